//! What a witness answers (tlog-witness): `POST /add-checkpoint`, and `GET /<SHA-256 of the origin>/checkpoint` for
//! monitors. Anybody may ask: what is sent proves itself, and so does what is answered.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_runtime::tasks::Tasks;
use comity_runtime::web::{Answer, Endpoint, body};
use comity_transparency::Verifier;
use comity_transparency::key::SigningError;
use comity_transparency::witness::{AddCheckpoint, Evidence, LogError, MAX_REQUEST_BYTES, Refused, Verdict, Witness};
use comity_types::{Clock, Timestamp};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::home::{Home, HomeError};
use crate::silence::{Silence, Silent, by_evidence, finding, is_proof};

/// Between two tries to keep what convicts a log.
const KEEP_AGAIN: Duration = Duration::from_secs(5);
/// Where checkpoints are sent.
const ADD_CHECKPOINT: &str = "/add-checkpoint";

/// A log that a witness takes up: its origin, and its keys, any of which is its word.
pub type WitnessedLog = (String, Vec<Verifier>);

/// A witness with its memory.
#[derive(Debug)]
pub struct Station {
    memory: Mutex<Memory>,
    verifiers: Vec<Verifier>,
    silent: watch::Sender<Vec<Silent>>,
    clock: Arc<dyn Clock>,
}

#[derive(Debug)]
struct Memory {
    witness: Witness,
    home: Home,
    keys: Vec<WitnessedLog>,
    /// Set by the first write that failed: what is stored is unknown then.
    has_failed: bool,
    /// What convicts logs and is not on disk yet: one piece for each of them.
    unkept: Vec<Evidence>,
}

/// Why a witness cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StationError {
    /// Its directory cannot be used.
    #[error(transparent)]
    Home(#[from] HomeError),
    /// It has no keys, or cannot sign.
    #[error("the witness cannot sign")]
    Signing(#[from] SigningError),
    /// A log cannot be taken up.
    #[error("the witness cannot take up the log {origin}")]
    Log {
        /// Which.
        origin: String,
        /// Why.
        source: LogError,
    },
}

impl Station {
    /// The witness `name` of these logs, with what it kept in `dir`.
    ///
    /// # Errors
    /// Its directory or its keys cannot be used, or the logs are none. What it kept of one log and cannot read silences it on
    /// that log alone.
    pub fn open(dir: &Path, name: &str, logs: Vec<WitnessedLog>, clock: Arc<dyn Clock>) -> Result<Self, StationError> {
        let (home, keys) = Home::open(dir, name)?;
        let mut witness = Witness::new(keys)?;
        // Before anything is signed.
        let mut silent = by_evidence(&home, &logs)?;
        for (origin, keys) in &logs {
            if !take_up(&mut witness, &home, origin, keys)? {
                silent.push(Silent { origin: origin.clone(), why: Silence::Memory });
            }
        }
        // What was stored, and perhaps never signed: monitors get it again.
        let now = seconds(clock.now());
        let is_silent = |origin: &str| silent.iter().any(|log| log.origin == origin);
        for stored in witness.unpublished().filter(|stored| !is_silent(&stored.checkpoint().origin)) {
            let _body = stored.sign(now)?;
        }
        let verifiers = witness.verifiers().cloned().collect();
        let memory = Mutex::new(Memory { witness, home, keys: logs, has_failed: false, unkept: Vec::new() });
        Ok(Self { memory, verifiers, silent: watch::channel(silent).0, clock })
    }

    /// Who verifies its cosignatures.
    #[must_use]
    pub fn verifiers(&self) -> &[Verifier] {
        &self.verifiers
    }

    /// The logs of which nothing is cosigned, and why.
    #[must_use]
    pub fn silent(&self) -> watch::Receiver<Vec<Silent>> {
        self.silent.subscribe()
    }

    fn silence(&self, origin: &str) -> Option<Silence> {
        self.silent.borrow().iter().find(|log| log.origin == origin).map(|log| log.why)
    }

    /// Serves at `endpoint` until `tasks` are to end.
    pub fn serve(self: &Arc<Self>, endpoint: Endpoint, tasks: &Tasks) {
        let station = Arc::clone(self);
        tracing::info!(address = %endpoint.local_addr(), "the witness is served");
        endpoint.serve("witness", tasks, move |request| Arc::clone(&station).answer(request));
        let (station, stop) = (Arc::clone(self), tasks.token());
        tasks.spawn("evidence", async move {
            stop.run_until_cancelled(station.keep_evidence_for_ever()).await.unwrap_or(());
        });
    }

    /// Keeps what convicts a log, however often that has to be tried.
    async fn keep_evidence_for_ever(self: Arc<Self>) {
        loop {
            tokio::time::sleep(KEEP_AGAIN).await;
            let station = Arc::clone(&self);
            // It waits for the disk.
            let _kept = tokio::task::spawn_blocking(move || station.is_evidence_kept()).await.is_ok();
        }
    }

    /// Tries again to keep what convicts a log, if that failed before. True if all of it is kept.
    pub fn is_evidence_kept(&self) -> bool {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Memory { home, unkept, .. } = &mut *memory;
        unkept.retain(|evidence| !keep_proof(home, evidence));
        unkept.is_empty()
    }

    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        match (request.method(), request.uri().path()) {
            (&Method::POST, ADD_CHECKPOINT) => {
                let Some(body) = body(request, MAX_REQUEST_BYTES).await else {
                    return Answer::text(StatusCode::BAD_REQUEST, "the request is too long, or breaks off\n");
                };
                // It waits for the disk.
                let added = tokio::task::spawn_blocking(move || self.add_checkpoint(&body)).await;
                added.unwrap_or_else(|_| unavailable())
            }
            (_, ADD_CHECKPOINT) => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "checkpoints are added by POST\n"),
            (&Method::GET | &Method::HEAD, path) => self.published(path.trim_start_matches('/')),
            _ => Answer::text(StatusCode::METHOD_NOT_ALLOWED, "checkpoints are read by GET\n"),
        }
    }

    /// Answers a monitor.
    #[must_use]
    pub fn published(&self, path: &str) -> Answer {
        let memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        match memory.witness.published(path) {
            Some(note) => Answer::text(StatusCode::OK, note),
            None => Answer::text(
                StatusCode::NOT_FOUND,
                "nothing is here: checkpoints are at /<SHA-256 of the origin>/checkpoint\n",
            ),
        }
    }

    /// Answers `add-checkpoint`, by its body. Waits for the disk.
    #[must_use]
    pub fn add_checkpoint(&self, body: &[u8]) -> Answer {
        let mut memory = self.memory.lock().unwrap_or_else(PoisonError::into_inner);
        let Memory { witness, home, keys, has_failed, unkept } = &mut *memory;
        if *has_failed {
            return unavailable();
        }
        // Of a log whose memory is lost it knows nothing to judge by.
        let asked = AddCheckpoint::parse(body).ok().map(|request| request.note().checkpoint().origin.clone());
        if asked.is_some_and(|origin| self.silence(&origin) == Some(Silence::Memory)) {
            return silent(Silence::Memory);
        }
        let advance = match witness.receive(body) {
            Verdict::Refused(refused) => return self.refuse((home, unkept), keys, *refused),
            Verdict::Advance(advance) => advance,
        };
        let origin = advance.checkpoint().origin.clone();
        if let Some(why) = self.silence(&origin) {
            return silent(why);
        }
        let signed = match advance.persist(|origin, note| home.store(origin, note)) {
            Ok(stored) => stored.sign(seconds(self.clock.now())).map_err(|error| error.to_string()),
            Err(error) => {
                *has_failed = true;
                Err(comity_runtime::chain::text(&error))
            }
        };
        match signed {
            Ok(lines) => Answer::text(StatusCode::OK, lines),
            Err(error) => {
                tracing::error!(error, origin, "the witness cannot keep a checkpoint, and signs nothing");
                unavailable()
            }
        }
    }

    fn refuse(
        &self,
        (home, unkept): (&Home, &mut Vec<Evidence>),
        keys: &[WitnessedLog],
        Refused { refusal, evidence }: Refused,
    ) -> Answer {
        if let Some(evidence) = evidence
            && let Some((origin, finding)) = finding(&evidence, keys)
            // One proof convicts: whoever sends more of them fills no disk.
            && self.silence(&origin) != Some(Silence::Contradicted)
        {
            if is_proof(finding) {
                tracing::error!(origin, ?finding, "a log contradicts itself, this witness cosigns nothing more of it");
                // Before it is on disk, which may be full.
                self.silent.send_modify(|logs| {
                    logs.retain(|log| log.origin != origin);
                    logs.push(Silent { origin, why: Silence::Contradicted });
                });
                if !keep_proof(home, &evidence) {
                    unkept.push(evidence);
                }
            } else {
                keep_doubt(home, &evidence, &origin);
            }
        }
        let status = StatusCode::from_u16(refusal.status()).unwrap_or(StatusCode::BAD_REQUEST);
        Answer { status, content_type: refusal.content_type(), body: refusal.body() }
    }
}

/// Keeps what convicts a log. False if it has to be tried again.
fn keep_proof(home: &Home, evidence: &Evidence) -> bool {
    let log = evidence.origin();
    match home.keep(evidence, true) {
        Ok(kept) => {
            let file = kept.map(|file| file.display().to_string());
            tracing::info!(log, file, "what convicts a log is kept");
            true
        }
        Err(error) => {
            let error = comity_runtime::chain::text(&error);
            tracing::error!(
                log,
                error,
                "what convicts a log cannot be kept, trying again: until then a restart would forget it"
            );
            false
        }
    }
}

/// Keeps what somebody has to explain, if there is room.
fn keep_doubt(home: &Home, evidence: &Evidence, origin: &str) {
    match home.keep(evidence, false) {
        Ok(kept) => {
            let file = kept.map(|file| file.display().to_string());
            tracing::error!(origin, file, "a log does not connect what it signed, or somebody sent a wrong proof");
        }
        Err(error) => tracing::error!(error = comity_runtime::chain::text(&error), "evidence cannot be kept"),
    }
}

/// Takes up a log with what was stored of it; false if that is not what it signed.
fn take_up(witness: &mut Witness, home: &Home, origin: &str, keys: &[Verifier]) -> Result<bool, StationError> {
    let taken = match home.stored(origin) {
        Ok(stored) => witness.add_log(origin, keys.to_vec(), stored.as_deref()),
        Err(error) => {
            tell_unread(origin, &error);
            return Ok(false);
        }
    };
    match taken {
        Ok(()) => Ok(true),
        Err(error @ LogError::Stored(_)) => {
            tell_unread(origin, &error);
            Ok(false)
        }
        Err(source) => Err(StationError::Log { origin: origin.to_owned(), source }),
    }
}

fn tell_unread(origin: &str, error: &(dyn std::error::Error + 'static)) {
    let error = comity_runtime::chain::text(error);
    tracing::error!(origin, error, "what this witness signed of a log cannot be read: it cosigns nothing of that log");
}

fn silent(why: Silence) -> Answer {
    Answer::text(StatusCode::UNPROCESSABLE_ENTITY, format!("{why}\n"))
}

fn unavailable() -> Answer {
    Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot keep what it would sign\n")
}

fn seconds(now: Timestamp) -> u64 {
    u64::try_from(now.as_millis() / 1000).unwrap_or_default()
}
