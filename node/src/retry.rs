//! When to ask the broker again what failed, and whether to speak of it.

use std::time::Duration;

use comity_client::{Cause, Explanation, explain};
use comity_proto::error::Detail;
use tonic::{Code, Status};

/// The first pause after a failure.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause while the broker is away: one that is back is found within it.
const LONGEST_PAUSE_AWAY: Duration = Duration::from_secs(5);
/// The longest pause while the broker says no: people mend that, in minutes at best, and a whole federation of such nodes
/// costs the broker little.
const LONGEST_PAUSE_REFUSED: Duration = Duration::from_secs(60);
/// The longest pause while the broker says that this node is suspended. Whoever lifts it waits to see it serve, and who evicts
/// it to see that said; asking costs the broker one call on a connection that stands, refused before it is read.
const LONGEST_PAUSE_SUSPENDED: Duration = Duration::from_secs(3);
/// The reasons of that. Who was evicted, or has left, joins anew: that is a refusal as any other.
const SUSPENDED: [&str; 3] = ["ORGANISATION_SUSPENDED", "MEMBER_SUSPENDED", "CERTIFICATE_SUSPENDED"];
/// How long one call to the broker may take: it waits for a disk, not for people.
const CALL_DEADLINE: Duration = Duration::from_secs(30);
/// How long a stream has to last before it counts as one that works: as long as the longest pause, so that a broker
/// that takes calls and drops them is not asked more often than one that is away.
const SETTLE: Duration = Duration::from_secs(5);
/// Between two looks at the certificate's age: often enough for certificates of minutes, as tests have them.
const LOOK: Duration = Duration::from_secs(5);
/// The metadata by which a broker that is asked too often says when it may be asked again, in seconds.
const RETRY_AFTER: &str = "retry_after_seconds";

/// How fast to look, and to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// The first pause after a failure; each further one is twice as long.
    pub first_pause: Duration,
    /// The longest pause while the broker is away.
    pub longest_pause_away: Duration,
    /// The longest pause while the broker says no.
    pub longest_pause_refused: Duration,
    /// The longest pause while the broker says that this node is suspended.
    pub longest_pause_suspended: Duration,
    /// How long one call to the broker may take.
    pub call_deadline: Duration,
    /// How long a stream that says nothing has to last before it counts as one that works.
    pub settle: Duration,
    /// How long nothing may come of the broker's log.
    pub silence: Duration,
    /// Between two looks at the certificate's age.
    pub look: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            first_pause: FIRST_PAUSE,
            longest_pause_away: LONGEST_PAUSE_AWAY,
            longest_pause_refused: LONGEST_PAUSE_REFUSED,
            longest_pause_suspended: LONGEST_PAUSE_SUSPENDED,
            call_deadline: CALL_DEADLINE,
            settle: SETTLE,
            silence: crate::replica::SILENCE,
            look: LOOK,
        }
    }
}

/// Why the broker did not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    kind: Kind,
    topic: String,
    said: String,
    not_before: Duration,
}

/// Whether it will pass by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nobody answers, or nobody can now.
    Away,
    /// The answer is no, and stays so until people change something.
    Refused,
    /// The same, by one word of theirs, at any moment.
    Suspended,
}

impl Trouble {
    /// What a status says.
    #[must_use]
    pub fn of(status: &Status) -> Self {
        let Explanation { cause, message, hint, detail } = explain(status);
        let is_suspended = detail.as_ref().is_some_and(|detail| SUSPENDED.contains(&detail.reason.as_str()));
        let kind = match is_refusal(cause, status.code()) {
            true if is_suspended => Kind::Suspended,
            true => Kind::Refused,
            false => Kind::Away,
        };
        let not_before = detail.as_ref().and_then(retry_after).unwrap_or_default();
        let topic = detail.map_or_else(|| format!("{cause:?}: {:?}", status.code()), |detail| detail.reason);
        let hint = hint.map(|hint| format!(" (hint: {hint})")).unwrap_or_default();
        Self { kind, topic, said: format!("{message}{hint}"), not_before }
    }

    /// An answer that cannot be used, and will not be before people change something.
    #[must_use]
    pub fn unusable(error: &(dyn std::error::Error + 'static)) -> Self {
        let (topic, said) = (error.to_string(), crate::error_chain(error));
        Self { kind: Kind::Refused, topic, said, not_before: Duration::ZERO }
    }

    /// True if it may pass by itself.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.kind == Kind::Away
    }

    /// What it is, in a word: the broker's reason where it gave one.
    #[must_use]
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// What went wrong, and how to mend it, for people.
    #[must_use]
    pub fn said(&self) -> &str {
        &self.said
    }
}

fn is_refusal(cause: Cause, code: Code) -> bool {
    let refuses = matches!(
        code,
        Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::Unauthenticated
            | Code::FailedPrecondition
            | Code::ResourceExhausted
            | Code::Unimplemented
    );
    refuses || matches!(cause, Cause::WrongBroker | Cause::CertificateRefused | Cause::CertificateEnded)
}

fn retry_after(detail: &Detail) -> Option<Duration> {
    detail.metadata.get(RETRY_AFTER)?.parse().ok().map(Duration::from_secs)
}

/// The tries of one piece of work: how long to pause, and what was already said.
#[derive(Debug)]
pub struct Retry {
    pace: Pace,
    next: Duration,
    topic: Option<String>,
}

impl Retry {
    /// Nothing has failed yet.
    #[must_use]
    pub const fn new(pace: Pace) -> Self {
        Self { pace, next: pace.first_pause, topic: None }
    }

    /// True if the last try did not fail for the same: it is worth a line in the log.
    pub fn is_news(&mut self, trouble: &Trouble) -> bool {
        self.topic.replace(trouble.topic.clone()).is_none_or(|before| before != trouble.topic)
    }

    /// How long to wait before the next try: twice as long each time, up to a limit, and never shorter than the
    /// broker asks for, up to the longest limit. Those who were suspended at one moment, as an organisation's nodes are, do
    /// not go on asking at one moment: theirs is anything from half of it on.
    pub fn pause(&mut self, trouble: &Trouble) -> Duration {
        let longest = match trouble.kind {
            Kind::Away => self.pace.longest_pause_away,
            Kind::Refused => self.pace.longest_pause_refused,
            Kind::Suspended => self.pace.longest_pause_suspended,
        };
        let pause = self.next.min(longest);
        self.next = pause.saturating_mul(2);
        let pause = if trouble.kind == Kind::Suspended { pause / 2 + up_to(pause / 2) } else { pause };
        pause.max(trouble.not_before.min(self.pace.longest_pause_refused))
    }

    /// It works: the next failure is news, and is tried again soon. True if it did not work before.
    pub fn worked(&mut self) -> bool {
        self.next = self.pace.first_pause;
        self.topic.take().is_some()
    }
}

/// Any time from none to `limit`.
pub(crate) fn up_to(limit: Duration) -> Duration {
    let mut random = [0; 4];
    // Without randomness it is the limit itself.
    let share = match aws_lc_rs::rand::fill(&mut random) {
        Ok(()) => u32::from_be_bytes(random),
        Err(_) => u32::MAX,
    };
    limit.mul_f64(f64::from(share) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use comity_proto::error::Failure;

    use super::*;

    fn refused(reason: &'static str) -> Trouble {
        Trouble::of(&Failure::new(Code::PermissionDenied, reason, "no (hint: ask)").into())
    }

    fn away() -> Trouble {
        Trouble::of(&Status::unavailable("nobody"))
    }

    fn pauses(retry: &mut Retry, trouble: &Trouble) -> Vec<Duration> {
        std::iter::repeat_with(|| retry.pause(trouble)).take(20).collect()
    }

    #[test]
    fn pauses_grow_to_seconds_while_the_broker_is_away_and_to_a_minute_while_it_says_no() {
        for (trouble, longest) in [(away(), LONGEST_PAUSE_AWAY), (refused("EVICTED"), LONGEST_PAUSE_REFUSED)] {
            let pauses = pauses(&mut Retry::new(Pace::default()), &trouble);
            assert!(pauses.is_sorted() && pauses[0] == FIRST_PAUSE && pauses[19] == longest, "{pauses:?}");
        }
    }

    #[test]
    fn whoever_is_suspended_asks_every_few_seconds_and_not_when_all_the_others_do() {
        for reason in SUSPENDED {
            let pauses = pauses(&mut Retry::new(Pace::default()), &refused(reason)).split_off(10);
            let few_seconds = LONGEST_PAUSE_SUSPENDED / 2..=LONGEST_PAUSE_SUSPENDED;
            assert!(pauses.iter().all(|pause| few_seconds.contains(pause)), "{reason}: {pauses:?}");
            let different: std::collections::BTreeSet<_> = pauses.iter().collect();
            assert!(different.len() > 5, "{reason}: {pauses:?}");
        }
    }

    #[test]
    fn a_broker_that_goes_away_after_it_said_no_is_looked_for_more_often() {
        let mut retry = Retry::new(Pace::default());
        let _grown = pauses(&mut retry, &refused("EVICTED"));
        assert_eq!(retry.pause(&away()), LONGEST_PAUSE_AWAY);
    }

    #[test]
    fn a_broker_that_says_when_to_come_back_is_left_alone_until_then_but_not_for_ever() {
        let busy = |seconds: u64| {
            let failure = Failure::new(Code::ResourceExhausted, "PUBLISH_RATE", "too often");
            Trouble::of(&failure.with(RETRY_AFTER, seconds).into())
        };
        assert_eq!(Retry::new(Pace::default()).pause(&busy(7)), Duration::from_secs(7));
        assert_eq!(Retry::new(Pace::default()).pause(&busy(86_400)), LONGEST_PAUSE_REFUSED);
    }

    #[test]
    fn each_change_is_news_once_and_what_works_starts_over() {
        let mut retry = Retry::new(Pace::default());
        let news = [refused("A"), refused("A"), refused("B"), refused("B"), away()].map(|trouble| {
            retry.pause(&trouble);
            retry.is_news(&trouble)
        });
        assert_eq!(news, [true, false, true, false, true]);
        assert_eq!((retry.worked(), retry.worked()), (true, false));
        assert_eq!((retry.pause(&away()), retry.is_news(&away())), (FIRST_PAUSE, true));
    }

    #[test]
    fn what_is_said_keeps_the_hint() {
        assert_eq!(refused("A").said(), "no (hint: ask)");
    }
}
