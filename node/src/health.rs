//! Whether this node serves, and if not, why: as gRPC health, and as a file for whoever cannot ask over a socket.
//!
//! It is looked at again and again, so that what ends by time alone, a certificate or the age of what is known, shows
//! without anything happening.

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_client::Identity;
use comity_membership::Standing;
use comity_proto::inference::inference_server::InferenceServer;
use comity_runtime::health::{BEAT, Health as Said};
use comity_types::{Name, Timestamp};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::server::NamedService;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::HealthServer;
use tonic_health::server::{HealthReporter, HealthService};

use crate::guard::{Lie, LogHistory};
use crate::replica::{NotCurrent, Replica, SILENCE};
use crate::retry::Pace;
use crate::serve::Server;

/// Between two looks: a supervisor that asks every few seconds is not told what was.
const LOOK: Duration = Duration::from_secs(1);
/// The node as a whole, and the service that it is there for.
const NAMES: [&str; 2] = ["", <InferenceServer<Server> as NamedService>::NAME];

/// What gRPC health says. Clones are the same.
#[derive(Debug, Clone)]
pub struct Health {
    reporter: HealthReporter,
}

/// What health depends on, and where it is written.
#[derive(Debug)]
pub struct Watched {
    /// Who the node is, and until when.
    pub identity: Identity,
    /// What it knows of the federation.
    pub replica: Replica,
    /// What it was shown of the decision log.
    pub history: LogHistory,
    /// What it works with.
    pub work: Work,
    /// Where it says how it is.
    pub file: PathBuf,
}

/// What health asks of whoever serves the requests. That of [`Default`] is well.
#[derive(Clone)]
pub struct Work {
    can_keep: Arc<dyn Fn() -> bool + Send + Sync>,
    failing: Arc<dyn Fn() -> Vec<Name> + Send + Sync>,
}

impl Work {
    /// Whether what is let in can be kept, and which offers' backends failed the last request.
    pub(crate) fn new(
        can_keep: impl Fn() -> bool + Send + Sync + 'static,
        failing: impl Fn() -> Vec<Name> + Send + Sync + 'static,
    ) -> Self {
        Self { can_keep: Arc::new(can_keep), failing: Arc::new(failing) }
    }
}

impl Default for Work {
    fn default() -> Self {
        Self::new(|| true, Vec::new)
    }
}

impl fmt::Debug for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Work").finish_non_exhaustive()
    }
}

/// Why a node does not serve.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Nobody believes who it is any more.
    #[error(
        "this node's certificate ended at {not_after} (hint: see in its log why it could not be renewed; `comity doctor` finds the cause)"
    )]
    CertificateEnded {
        /// When.
        not_after: Timestamp,
    },
    /// The broker does not let it take part.
    #[error("the broker lets this node take no part: {why}")]
    Barred {
        /// What it says.
        why: String,
    },
    /// It has never heard of the federation's state.
    #[error(
        "this node has not heard of the federation's state yet (hint: its broker is away, or cannot be reached: `comity doctor` finds out)"
    )]
    Unheard,
    /// What it knows may not be acted on.
    #[error(transparent)]
    NotCurrent(#[from] NotCurrent),
    /// What the broker's log proves does not count.
    #[error("this node runs nothing: {0}")]
    Log(Lie),
    /// What it lets in cannot be kept, so that it runs nothing.
    #[error(
        "this node runs nothing: it cannot write to its data directory (hint: look for free space; its log has the file and the error)"
    )]
    Unkept,
    /// By what it knows, it takes no part.
    #[error("this node takes no part: {why} (hint: {mend})")]
    NotAMember {
        /// Why.
        why: String,
        /// Who ends that.
        mend: &'static str,
    },
}

impl Health {
    /// Says that the node does not serve yet.
    pub async fn new() -> Self {
        let health = Self { reporter: HealthReporter::new() };
        health.set(ServingStatus::NotServing).await;
        health
    }

    /// The service that says it.
    pub(crate) fn service(&self) -> HealthServer<HealthService> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// Says how the node is, until `stop`; then that it does not serve, to nobody who waits for more.
    pub async fn follow(mut self, watched: Watched, pace: Pace, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow_for_ever(&watched, LOOK.min(pace.look))).await.unwrap_or(());
        self.set(ServingStatus::NotServing).await;
        for name in NAMES {
            self.reporter.clear_service_status(name).await;
        }
        // A file that stays is too old soon.
        let _removed = std::fs::remove_file(&watched.file).is_ok();
    }

    async fn follow_for_ever(&self, watched: &Watched, look: Duration) {
        let mut before: Option<Result<(), Unfit>> = None;
        let mut file = StatusFile::default();
        loop {
            let found = judge(&watched.identity, &watched.replica, &watched.history);
            let found = found.and_then(|()| if (watched.work.can_keep)() { Ok(()) } else { Err(Unfit::Unkept) });
            if before.as_ref().map(kind) != Some(kind(&found)) {
                self.set(if found.is_ok() { ServingStatus::Serving } else { ServingStatus::NotServing }).await;
                log(before.as_ref(), &found);
                file.is_due = true;
            }
            file.keep(&watched.file, &said(watched, &found));
            before = Some(found);
            sleep(look).await;
        }
    }

    async fn set(&self, status: ServingStatus) {
        for name in NAMES {
            self.reporter.set_service_status(name, status).await;
        }
    }
}

/// Whether the node can serve: who it is holds, what it knows is fresh, and it takes part.
///
/// # Errors
/// It cannot, and why.
pub fn judge(identity: &Identity, replica: &Replica, history: &LogHistory) -> Result<(), Unfit> {
    let leaf = identity.leaf();
    if identity.clock().now() > leaf.not_after {
        return Err(Unfit::CertificateEnded { not_after: leaf.not_after });
    }
    match replica.check() {
        Err(halted @ NotCurrent::Halted { .. }) => return Err(halted.into()),
        _ if replica.barred().is_some() => {
            return Err(Unfit::Barred { why: replica.barred().unwrap_or_default().to_string() });
        }
        Err(_) if replica.age().is_none() => return Err(Unfit::Unheard),
        current => current?,
    }
    match history.check(identity.clock().now()) {
        // A broker that is away publishes nothing, and sends nothing: when it is back, both go on.
        Err(Lie::Unpublished) if replica.age().is_none_or(|age| age > SILENCE) => {}
        log => log.map_err(Unfit::Log)?,
    }
    let federation = replica.federation();
    let mut mend = "ask an operator of the federation";
    let why = match federation.standing_with(identity.id(), leaf.certificate) {
        Standing::Active => return Ok(()),
        Standing::Unknown => format!("{} was never admitted", identity.id()),
        Standing::Suspended { subject, reason, .. } => {
            if federation.is_suspended_by_its_own_alone(&subject) {
                mend = "your own organisation suspended it, and whoever has its key ends that: comity lift";
            }
            format!("{subject} is suspended: {reason}")
        }
        Standing::Departed { subject, departure } => format!("{subject} is no member any more: {}", departure.reason),
    };
    Err(Unfit::NotAMember { why, mend })
}

/// What distinguishes one state from another: also why the node takes no part, and not how old something is by now.
fn kind(found: &Result<(), Unfit>) -> Option<(std::mem::Discriminant<Unfit>, &str)> {
    let unfit = found.as_ref().err()?;
    let why = match unfit {
        Unfit::Barred { why } | Unfit::NotAMember { why, .. } => why,
        Unfit::CertificateEnded { .. } | Unfit::Unheard | Unfit::NotCurrent(_) | Unfit::Log(_) | Unfit::Unkept => "",
    };
    Some((std::mem::discriminant(unfit), why))
}

/// Starting, a node has heard of nothing: that is no news.
fn log(before: Option<&Result<(), Unfit>>, found: &Result<(), Unfit>) {
    match found {
        Ok(()) => tracing::info!("this node serves"),
        Err(Unfit::Unheard) if before.is_none() => tracing::info!("this node waits for the federation's state"),
        // Nobody else has said so.
        Err(unfit @ (Unfit::CertificateEnded { .. } | Unfit::NotCurrent(NotCurrent::Stale { .. }))) => {
            tracing::warn!(why = %unfit, "this node does not serve");
        }
        Err(unfit) => tracing::info!(why = %unfit, "this node does not serve"),
    }
}

/// What is odd although the node may serve: that it follows the log no further, that it cosigns nothing of a log as a witness,
/// and backends that fail.
fn notice(watched: &Watched) -> Option<String> {
    let behind = watched.replica.behind().map(|why| why.to_string());
    let silent = watched.history.silent().into_iter().map(|log| format!("as a witness of {}: {}", log.origin, log.why));
    let failing = (watched.work.failing)();
    let backends = failing.iter().map(|offer| {
        format!("the backend of the offer {offer} failed the last request (hint: `comity-node check` tries it)")
    });
    let all: Vec<_> = behind.into_iter().chain(silent).chain(backends).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

fn said(watched: &Watched, found: &Result<(), Unfit>) -> Said {
    let now = watched.identity.clock().now();
    Said {
        serving: found.is_ok(),
        why: found.as_ref().err().map(ToString::to_string),
        notice: notice(watched),
        stale: watched.replica.stale_classes().iter().map(ToString::to_string).collect(),
        budgets: watched.replica.budgets().classes().map(|(class, it)| (class.to_string(), it.as_secs())).collect(),
        epoch: watched.replica.federation().epoch(),
        heard_at: watched.replica.age().map(|age| now.minus(age)),
        at: now,
    }
}

/// The file, and what was the matter with it.
#[derive(Debug, Default)]
struct StatusFile {
    is_due: bool,
    written_at: Option<Timestamp>,
    failed: bool,
}

impl StatusFile {
    /// Writes it if something has changed or it is time.
    fn keep(&mut self, path: &Path, said: &Said) {
        let at = said.at;
        if !self.is_due && self.written_at.is_some_and(|before| at >= before && at.since(before) < BEAT) {
            return;
        }
        (self.is_due, self.written_at) = (false, Some(at));
        let written = said.write(path);
        self.told(path, written);
    }

    fn told(&mut self, path: &Path, written: io::Result<()>) {
        match written {
            Ok(()) => self.failed = false,
            Err(error) if !self.failed => {
                self.failed = true;
                tracing::warn!(path = %path.display(), error = %error, "cannot write how this node is");
            }
            Err(_) => {}
        }
    }
}
