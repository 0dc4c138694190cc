//! Going on with what a directory has asked for: the key asks how it stands, and needs no invite for it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::IdentityDir;
use comity_runtime::clock::SystemClock;
use comity_types::Clock;
use comity_types::ids::Kind;
use tokio::time::{Instant, sleep, sleep_until};

use super::{EnrolError, JoinState, Newcomer, OwnAuthority, desk, taken};
use crate::error::{Cause, explain};

/// The first pause between two questions: an operator who sits beside the member is not waited for.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest: operators take minutes or days, and a question is two handshakes.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What goes on, and where.
#[derive(Debug, Clone)]
pub struct Resuming<'a> {
    /// What the program can become.
    pub kinds: &'a [Kind],
    /// The organisation's own authority, where the directory does not say it: that of a Workload API.
    pub authority: Option<&'a OwnAuthority>,
    /// Where the identity goes.
    pub dir: &'a Path,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
}

impl<'a> Resuming<'a> {
    /// Goes on with what was asked for in `dir`.
    #[must_use]
    pub fn new(kinds: &'a [Kind], dir: &'a Path) -> Self {
        Self { kinds, authority: None, dir, clock: Arc::new(SystemClock) }
    }
}

/// What is told while somebody waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// How it stands.
    Stands(JoinState),
    /// The broker is away, and is asked again.
    Away(String),
}

/// True if a directory has asked to join, and has no identity yet.
#[must_use]
pub fn has_asked(dir: &Path) -> bool {
    let dir = IdentityDir::unchecked(dir);
    !dir.is_joined() && dir.taken_up().is_ok_and(|taken| taken.is_some())
}

/// How it stands with what a directory has asked for; where it is decided, the identity is complete.
///
/// # Errors
/// Nothing was asked for, the broker cannot be reached, or what it says cannot be used.
pub async fn resume(resuming: &Resuming<'_>) -> Result<JoinState, EnrolError> {
    let dir = IdentityDir::create(resuming.dir)?;
    if dir.is_joined() {
        taken::check_kind(&dir.identity()?.spiffe_id, resuming.kinds)?;
        return Ok(JoinState::Issued(dir));
    }
    let nothing = || EnrolError::NothingAsked { dir: resuming.dir.to_owned() };
    let taken = dir.taken_up()?.ok_or_else(nothing)?;
    let address = taken.address.ok_or_else(nothing)?;
    let shown = desk::show(&address, taken.federation_root, &resuming.clock).await?;
    let key = dir.pending_key()?;
    let answer = shown.desk(&key, &resuming.clock)?.standing().await?;
    let own = match resuming.authority {
        Some(own) => Some(own.clone()),
        None => OwnAuthority::of_directory(&dir)?,
    };
    let newcomer = Newcomer { dir, key, kinds: resuming.kinds, authority: own.as_ref(), clock: &*resuming.clock };
    newcomer.settle(answer, &taken.id, &shown.root_json)
}

/// Asks until it is decided, or `patience` is over; without one, however long it takes. Says then how it stands.
///
/// # Errors
/// As for [`resume`], except that a broker that is away is asked again.
pub async fn wait(
    resuming: &Resuming<'_>,
    patience: Option<Duration>,
    tell: impl FnMut(Told),
) -> Result<JoinState, EnrolError> {
    wait_with(resuming, patience, FIRST_PAUSE, tell).await
}

/// As [`wait`], with another first pause.
pub(super) async fn wait_with(
    resuming: &Resuming<'_>,
    patience: Option<Duration>,
    mut pause: Duration,
    mut tell: impl FnMut(Told),
) -> Result<JoinState, EnrolError> {
    let end = patience.map(|patience| Instant::now() + patience);
    loop {
        let stands = match Box::pin(resume(resuming)).await {
            Ok(decided @ (JoinState::Issued(_) | JoinState::Rejected { .. })) => return Ok(decided),
            Ok(stands) => {
                tell(Told::Stands(stands.clone()));
                Some(stands)
            }
            Err(EnrolError::Call(status)) if is_away(&status) => {
                tell(Told::Away(explain(&status).message));
                None
            }
            Err(other) => return Err(other),
        };
        let over = end.is_some_and(|end| Instant::now() + pause > end);
        match (over, stands, end) {
            (true, Some(stands), _) => return Ok(stands),
            (true, None, Some(end)) => {
                sleep_until(end).await;
                return Box::pin(resume(resuming)).await;
            }
            _ => sleep(pause).await,
        }
        pause = LONGEST_PAUSE.min(pause * 3 / 2);
    }
}

/// True where nobody answered, or not to the end: it will pass by itself.
fn is_away(status: &tonic::Status) -> bool {
    let cause = explain(status).cause;
    matches!(cause, Cause::Unreachable | Cause::BrokenOff | Cause::DeadlineExceeded)
        || (cause == Cause::Answered && status.code() == tonic::Code::Unavailable)
}
