//! What a witness answers (tlog-witness): `POST /add-checkpoint`, and `GET /<SHA-256 of the origin>/checkpoint` for
//! monitors. Anybody may ask: what is sent proves itself, and so does what is answered.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_runtime::tasks::Tasks;
use comity_runtime::web::{Answer, Endpoint, body};
use comity_transparency::Verifier;
use comity_transparency::key::SigningError;
use comity_transparency::witness::{Evidence, Finding, LogError, MAX_REQUEST_BYTES, Refused, Verdict, Witness};
use comity_types::{Clock, Timestamp};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use tokio::sync::watch;

use crate::home::{Home, HomeError, is_named_by_content};

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
    contradicted: watch::Sender<Vec<String>>,
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
    /// What it kept against a log is not what it was.
    #[error(
        "{} is no evidence against a log of this witness, and was when it was kept (hint: look who changed it; the witness signs nothing until the file is as it was, or is moved away where everybody agrees which log counts)",
        path.display()
    )]
    Evidence {
        /// The file.
        path: PathBuf,
    },
}

impl Station {
    /// The witness `name` of these logs, with what it kept in `dir`.
    ///
    /// # Errors
    /// What it kept cannot be used, or is of another log than it says.
    pub fn open(dir: &Path, name: &str, logs: Vec<WitnessedLog>, clock: Arc<dyn Clock>) -> Result<Self, StationError> {
        let (home, keys) = Home::open(dir, name)?;
        let mut witness = Witness::new(keys)?;
        for (origin, keys) in &logs {
            let stored = home.stored(origin)?;
            let taken = witness.add_log(origin, keys.clone(), stored.as_deref());
            taken.map_err(|source| StationError::Log { origin: origin.clone(), source })?;
        }
        // Before anything is signed.
        let contradicted = contradicted(&home, &logs)?;
        // What was stored, and perhaps never signed: monitors get it again.
        let now = seconds(clock.now());
        for stored in
            witness.unpublished().filter(|stored| !contradicted.iter().any(|log| *log == stored.checkpoint().origin))
        {
            let _body = stored.sign(now)?;
        }
        let verifiers = witness.verifiers().cloned().collect();
        let memory = Mutex::new(Memory { witness, home, keys: logs, has_failed: false, unkept: Vec::new() });
        Ok(Self { memory, verifiers, contradicted: watch::channel(contradicted).0, clock })
    }

    /// Who verifies its cosignatures.
    #[must_use]
    pub fn verifiers(&self) -> &[Verifier] {
        &self.verifiers
    }

    /// The logs that have signed two things of which one is untrue, by their origins: their checkpoints are cosigned no more.
    #[must_use]
    pub fn contradicted(&self) -> watch::Receiver<Vec<String>> {
        self.contradicted.subscribe()
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
        let advance = match witness.receive(body) {
            Verdict::Refused(refused) => return self.refuse((home, unkept), keys, *refused),
            Verdict::Advance(advance) => advance,
        };
        let origin = advance.checkpoint().origin.clone();
        if self.contradicted.borrow().contains(&origin) {
            let text =
                "the log has contradicted itself: this witness has the evidence, and cosigns nothing more of it\n";
            return Answer::text(StatusCode::UNPROCESSABLE_ENTITY, text);
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
            && !self.contradicted.borrow().contains(&origin)
        {
            if is_proof(finding) {
                tracing::error!(origin, ?finding, "a log contradicts itself, this witness cosigns nothing more of it");
                // Before it is on disk, which may be full.
                self.contradicted.send_modify(|origins| origins.push(origin));
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

/// Which of these logs evidence is against, and what it shows.
fn finding(evidence: &Evidence, logs: &[WitnessedLog]) -> Option<(String, Finding)> {
    let (origin, keys) = logs.iter().find(|(origin, _)| origin == evidence.origin())?;
    Some((origin.clone(), evidence.check(keys).ok()?))
}

/// The logs that were caught before. Every file was evidence against one of these logs when it was kept: of one that is none
/// now, nobody knows whom it convicts.
fn contradicted(home: &Home, logs: &[WitnessedLog]) -> Result<Vec<String>, StationError> {
    let mut origins = Vec::new();
    for path in home.evidence()? {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(source) => return Err(HomeError::Io { path, source }.into()),
        };
        // Without its proof, what convicted a log would be a doubt that anybody can raise.
        let is_whole = is_named_by_content(&path, &bytes);
        let text = String::from_utf8(bytes).ok().filter(|_| is_whole);
        let found = text.and_then(|text| text.parse::<Evidence>().ok()).and_then(|evidence| finding(&evidence, logs));
        let Some((origin, finding)) = found else { return Err(StationError::Evidence { path }) };
        if is_proof(finding) {
            tracing::error!(origin, file = %path.display(), "this log has contradicted itself");
            origins.push(origin);
        }
    }
    Ok(origins)
}

/// Whether nothing can explain what the log signed.
const fn is_proof(finding: Finding) -> bool {
    match finding {
        Finding::Fork | Finding::Impossible | Finding::Rollback => true,
        Finding::Unconnected => false,
    }
}

fn unavailable() -> Answer {
    Answer::text(StatusCode::INTERNAL_SERVER_ERROR, "the witness cannot keep what it would sign\n")
}

fn seconds(now: Timestamp) -> u64 {
    u64::try_from(now.as_millis() / 1000).unwrap_or_default()
}
