//! When a certificate is renewed, and when a connection that was made with it is left, drained and ended. Pure: the
//! time is the caller's.
//!
//! ```text
//!  made ───────────── half ─────────────────────── margin ── end
//!    the dialler's calls │ its calls go over a new     │ whoever took it lets no new │ what is left
//!    go over it          │ connection, made before     │ call in; calls that run go on │ is cut
//! ```

use std::time::Duration;

use comity_types::Timestamp;

use crate::authority::CLOCK_SKEW;
use crate::spiffe::LeafIdentity;

/// How long before its end a connection takes no more calls: an hour, which is the longest that a call may last, and
/// what its end takes.
pub const DRAIN_MARGIN: Duration = Duration::from_secs(65 * 60);
/// The part of what is left of a connection that is its margin at most, where certificates are short.
const DRAIN_SHARE: u32 = 8;
/// The part of a certificate's life over which renewals are spread, so that members that joined together do not come
/// back together.
const SPREAD: u32 = 8;

/// What becomes of a connection between two certificates, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// From now on, whoever dialled sends its calls over a new connection. Long before [`Lifetime::drain_at`], so that
    /// between our own programs nobody is ever told to go away.
    pub leave_at: Timestamp,
    /// From now on, whoever took it takes no more calls on it, and says so.
    pub drain_at: Timestamp,
    /// Now it is cut: the first of its certificates ends.
    pub end_at: Timestamp,
}

impl Lifetime {
    /// Of a connection that is made at `now` and whose certificates hold until `ours` and `theirs`.
    #[must_use]
    pub fn between(now: Timestamp, ours: Timestamp, theirs: Timestamp) -> Self {
        let end_at = ours.min(theirs);
        let left = end_at.since(now);
        let margin = DRAIN_MARGIN.min(left / DRAIN_SHARE);
        Self { leave_at: now.plus(left / 2), drain_at: end_at.minus(margin), end_at }
    }
}

/// When a certificate is renewed: at half of its life, and up to an eighth later, which differs between certificates
/// and stays the same for each.
#[must_use]
pub fn renewal_time(leaf: &LeafIdentity) -> Timestamp {
    let issued = issued(leaf);
    let life = leaf.not_after.since(issued);
    issued.plus(life / 2 + jitter(leaf, life / SPREAD))
}

/// When it was issued: ours begin [`CLOCK_SKEW`] before, which is more than the whole life of some.
fn issued(leaf: &LeafIdentity) -> Timestamp {
    let issued = leaf.not_before.plus(CLOCK_SKEW);
    if issued < leaf.not_after { issued } else { leaf.not_before }
}

/// Between zero and `most`, by the certificate's digest: no randomness is needed.
fn jitter(leaf: &LeafIdentity, most: Duration) -> Duration {
    let [part, ..] = leaf.certificate.as_bytes();
    most * u32::from(*part) / u32::from(u8::MAX)
}

#[cfg(test)]
mod tests {
    use comity_types::Digest;

    use super::*;
    use crate::testing::now;

    const HOUR: Duration = Duration::from_secs(3600);
    const SECOND: Duration = Duration::from_secs(1);

    fn leaf(certificate: &[u8], life: Duration) -> LeafIdentity {
        LeafIdentity {
            id: "spiffe://org-a.example/node/n1".parse().unwrap(),
            not_before: now().minus(CLOCK_SKEW),
            not_after: now().plus(life),
            certificate: Digest::of(certificate),
            public_key: Digest::of(b"key"),
        }
    }

    #[test]
    fn renewal_is_due_in_the_eighth_after_half_life_and_differs_between_certificates() {
        for life in [24 * HOUR, 4 * SECOND] {
            let times: Vec<_> = (0..50_u8).map(|i| renewal_time(&leaf(&[i], life))).collect();
            let (from, until) = (now().plus(life / 2), now().plus(life / 2 + life / 8));
            assert!(times.iter().all(|time| (from..=until).contains(time)), "{times:?}");
            assert!(times.iter().collect::<std::collections::BTreeSet<_>>().len() > 25);
        }
    }

    #[test]
    fn a_certificate_of_another_maker_that_begins_when_it_is_issued_is_renewed_before_it_ends() {
        for life in [24 * HOUR, HOUR, Duration::from_secs(60)] {
            let leaf = LeafIdentity { not_before: now(), ..leaf(b"", life) };
            assert!(renewal_time(&leaf) > now() && renewal_time(&leaf) <= now().plus(life * 3 / 4), "{life:?}");
        }
    }

    #[test]
    fn a_connection_ends_with_the_first_of_its_certificates() {
        let [long, short] = [24 * HOUR, 12 * HOUR].map(|life| now().plus(life));
        let lifetime = Lifetime::between(now(), long, short);
        assert_eq!(lifetime, Lifetime::between(now(), short, long));
        let drain_at = short.minus(DRAIN_MARGIN);
        assert_eq!(lifetime, Lifetime { leave_at: now().plus(6 * HOUR), drain_at, end_at: short });
    }

    #[test]
    fn of_a_short_life_the_margin_is_a_part() {
        let end = now().plus(8 * SECOND);
        let lifetime = Lifetime::between(now(), end, end);
        assert_eq!((lifetime.leave_at, lifetime.drain_at), (now().plus(4 * SECOND), now().plus(7 * SECOND)));
    }

    #[test]
    fn whoever_dialled_has_left_before_it_is_told_to_go() {
        for millis in [1_u64, 10, 1_000, 1_000_000, 1_000_000_000, 10_000_000_000] {
            let end = now().plus(Duration::from_millis(millis));
            let Lifetime { leave_at, drain_at, end_at } = Lifetime::between(now(), end, end);
            assert!(leave_at <= drain_at && drain_at <= end_at, "{millis}");
        }
    }

    #[test]
    fn a_certificate_that_has_ended_leaves_nothing() {
        let ended = now().minus(SECOND);
        let lifetime = Lifetime::between(now(), now().plus(HOUR), ended);
        assert_eq!((lifetime.drain_at, lifetime.end_at), (ended, ended));
        assert!(lifetime.leave_at <= now());
    }
}
