//! When something was decided: no later than now, and while the epoch that it names was the federation's newest.

use std::time::Duration;

use comity_identity::authority::CLOCK_SKEW;

use super::{Account, Against, CheckError, contradiction};

/// How far the broker's clock may be ahead of the clock of whoever checks: as far as certificates bear with.
pub const CLOCK_TOLERANCE: Duration = CLOCK_SKEW;
/// How long after an entry of the federation's log something may still be decided by the state before it. An entry's time is
/// taken when it is written; it counts from when that is durable, some milliseconds later, or seconds where a disk stalls. As
/// much is allowed before an entry, for a clock that was set back by less.
pub const EPOCH_TOLERANCE: Duration = Duration::from_secs(5);

impl Account {
    /// Holds the leaves' times against the clock, the root document, and the federation's log.
    pub(super) fn when(&mut self, against: &Against<'_>) -> Result<(), CheckError> {
        let (at, epoch) = (self.verified.decision().leaf().at, self.verified.decision().leaf().epoch.size);
        let ended = self.verified.outcome().map(|outcome| outcome.leaf().at);
        let latest = against.now.plus(CLOCK_TOLERANCE);
        if let Some(later) = ended.into_iter().chain([at]).find(|at| *at > latest) {
            return Err(contradiction(format!(
                "it is of {later}, and by this clock it is {} (hint: is this machine's clock right?)",
                against.now
            )));
        }
        let founded = against.root.founded_at;
        if at < founded.minus(EPOCH_TOLERANCE) {
            return Err(contradiction(format!(
                "it was decided at {at}, and the federation was founded at {founded}, which is later"
            )));
        }
        let Some(state) = against.log else { return Ok(()) };
        if let Some(since) = state.log.federation().at().filter(|since| at < since.minus(EPOCH_TOLERANCE)) {
            return Err(contradiction(format!(
                "it was decided at {at}, and by epoch {epoch}, which came at {since}, later than that"
            )));
        }
        match state.until {
            Some(until) if at > until.plus(EPOCH_TOLERANCE) => Err(contradiction(format!(
                "it was decided at {at} by epoch {epoch}, which was over at {until}: the federation had come further"
            ))),
            Some(_) => {
                self.proven(format!("it was decided while epoch {epoch} was the federation's newest"));
                Ok(())
            }
            None => {
                self.unproven(format!(
                    "that epoch {epoch} was the federation's newest when it was decided: the log that was given ends there"
                ));
                Ok(())
            }
        }
    }
}
