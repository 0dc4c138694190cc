//! Looks at the broker's decision log, each of which has to continue the last one; what does not is convicted and kept.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use comity_client::decisions::{DecisionLog, DecisionsError, Files, FilesError, FromBroker, Seen, kept};
use comity_runtime::chain;
use comity_transparency::leaf::Leaf;
use comity_types::Clock;
use tonic::Code;

use crate::error::CliError;
use crate::output::say;
use crate::progress::Progress;
use crate::session::Session;

/// What `--help` says about what is watched.
pub(super) const AFTER: &str = "\
The decision log's newest checkpoint is kept beside the identity (decisions.checkpoint.json), and each new one has to \
continue it by proof and to follow from its leaves, which are all read and hashed. One that does not ends this: what \
proves it is in decisions.evidence, which anybody checks with `comity log verify FILE --root root.json`; what proves \
nothing by itself is in decisions.doubt. What is not seen: a broker that shows everybody else another log. Compare the \
root with another member's.

Exit status: 1 the log is not to be believed; 2 a mistake or a fault.";
/// Shortest time between two looks: a log is published four times a second.
const MIN_EVERY: Duration = Duration::from_millis(250);
/// Longest time between two looks: whoever looks less often lets `--once` be run.
const MAX_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// How often to look.
pub(super) fn every(text: &str) -> Result<Duration, String> {
    let every = humantime::parse_duration(text).map_err(|error| format!("{error}; write 500ms, 10s or 1h"))?;
    let allowed = (MIN_EVERY..=MAX_EVERY).contains(&every);
    if allowed { Ok(every) } else { Err("looks may be 250ms to 24h apart".to_owned()) }
}

/// A log that is watched for an identity.
pub(super) struct Watch {
    dir: PathBuf,
    log: DecisionLog,
    files: FromBroker,
    clock: Arc<dyn Clock>,
    seen: Option<Seen>,
}

/// Of a log that was caught once, nothing is reported as if that had not been.
pub(crate) fn convicted(file: &Path) -> CliError {
    CliError::Failed {
        problem: format!("the decision log was convicted before, by {}", file.display()),
        hint: "`comity log verify FILE` says of what; move the file away once the federation has dealt with it"
            .to_owned(),
    }
}

impl Watch {
    /// Goes on from what is kept beside the identity; not where that convicts the log.
    pub(super) fn open(session: &Session) -> Result<Self, CliError> {
        let identity = session.identity();
        let (dir, log) = (identity.dir().path().to_owned(), DecisionLog::of(identity.root()));
        if let Some((file, _)) = kept::convicted(&dir, &log).map_err(unkept)? {
            return Err(convicted(&file));
        }
        let seen = kept::seen(&dir, &log).map_err(unkept)?;
        let (files, clock) = (FromBroker::new(session.connection()), Arc::clone(identity.clock()));
        Ok(Self { dir, log, files, clock, seen })
    }

    /// Looks, and keeps what was seen; gives it, and how many leaves are new.
    pub(super) async fn look(&mut self) -> Result<(&Seen, u64), CliError> {
        let before = self.seen.as_ref().map_or(0, |seen| seen.checkpoint().size);
        let seen = match verified(&self.log, &mut self.files, self.seen.as_ref(), |_, _| {}).await {
            Ok(seen) => seen,
            Err(error) => return Err(self.refused(error)),
        };
        if self.seen.as_ref() != Some(&seen) {
            kept::keep(&self.dir, &seen, self.clock.now()).map_err(unkept)?;
        }
        let new = seen.checkpoint().size - before;
        Ok((self.seen.insert(seen), new))
    }

    fn refused(&self, error: DecisionsError) -> CliError {
        let hint = match kept::convict(&self.dir, &error) {
            Ok(Some(file)) => format!(
                "keep {0}, and show it to the federation's operators: `comity log verify {0}` says what it proves",
                file.display()
            ),
            Ok(None) => "tell the operators of the federation".to_owned(),
            Err(unkept) => format!("what shows it could not be kept: {}", chain::text(&unkept)),
        };
        disbelieved(error, hint)
    }
}

/// Looks at a log, with a bar where that takes a while. `each` gets every leaf with its index.
pub(crate) async fn verified(
    log: &DecisionLog,
    files: &mut impl Files,
    seen: Option<&Seen>,
    mut each: impl FnMut(u64, &Leaf),
) -> Result<Seen, DecisionsError> {
    let (first, mut bar) = (seen.map_or(0, |seen| seen.checkpoint().size), None);
    let seen = log.advance(files, seen, |index, size, leaf| {
        bar.get_or_insert_with(|| Progress::of(Some(size - first), "leaves")).inc();
        each(index, leaf);
    });
    seen.await
}

/// A log that is not believed, or could not be read.
pub(crate) fn disbelieved(error: DecisionsError, hint: String) -> CliError {
    if let DecisionsError::Files(FilesError::Call(status)) = error {
        return CliError::call("read the decision log", *status);
    }
    if let DecisionsError::Files(FilesError::Disk { path, source }) = error {
        return CliError::File { doing: "read", path, source };
    }
    CliError::Failed { problem: format!("the decision log is not to be believed: {}", chain::text(&error)), hint }
}

/// Whether another look may do better: the broker could not be reached, or had no time. A no stays one.
pub(super) fn may_pass(error: &CliError) -> bool {
    let CliError::Status { status, .. } = error else { return false };
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Unknown)
}

/// Says that a look failed, and that there will be others.
pub(super) fn say_later(error: &CliError) {
    say(&format!("warning: {} (looked at again)", crate::render_error::in_one_line(error)));
}

fn unkept(error: kept::KeptError) -> CliError {
    CliError::Client { doing: "use what is kept of the decision log", source: Box::new(error), hint: None }
}
