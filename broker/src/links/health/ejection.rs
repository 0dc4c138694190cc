//! Who fails again and again comes behind the others for a while, longer each time, and comes back little by little.

use std::time::Duration;

use tokio::time::Instant;

use super::FULL_SHARE;

/// Failures of a row after which somebody is ejected, if they are at least half of what was tried in it: fewer happen to
/// everybody now and then.
pub(super) const FAILURES_IN_A_ROW: u32 = 5;
/// Tries that begin after the first failure of a row, and after which what fails only now and then is forgotten: so many that
/// half of them is far from chance, and few enough that whoever breaks in between is found out soon.
const ROW: u32 = 64;
/// How long the first time is. Not shorter than a link remembers that it could not be made.
pub(super) const FIRST_EJECTION: Duration = Duration::from_secs(5);
/// How long the longest is: whoever is back is noticed within this time, for the price of one failed try in it.
pub(super) const MAX_EJECTION: Duration = Duration::from_secs(60);
/// How long a share grows back to the whole: time to load a model and to fill caches.
pub(super) const SLOW_START: Duration = Duration::from_secs(30);
/// The share that it begins with, of [`FULL_SHARE`]: somebody has to find out.
const FIRST_SHARE: u32 = FULL_SHARE / 16;

/// The failures of a node, or of an offer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Ejection {
    in_a_row: u32,
    /// Tries that began since the first failure of the row.
    begun: u32,
    /// Tries that went well since, and had begun before its last failure.
    went_well: u32,
    failed_at: Option<Instant>,
    times: u32,
    until: Option<Instant>,
}

/// Where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    In,
    /// It is on its way back, and gets so much of [`FULL_SHARE`].
    Returning(u32),
    Out,
}

impl Phase {
    /// Where somebody stands who stands there for one reason, and there for another.
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Out, _) | (_, Self::Out) => Self::Out,
            (Self::Returning(one), Self::Returning(other)) => Self::Returning(one.min(other)),
            (Self::Returning(share), Self::In) | (Self::In, Self::Returning(share)) => Self::Returning(share),
            (Self::In, Self::In) => Self::In,
        }
    }
}

/// Where somebody stands who is out until then.
pub(super) fn phase(until: Option<Instant>, now: Instant) -> Phase {
    let Some(until) = until else { return Phase::In };
    if now < until {
        return Phase::Out;
    }
    let back = now.duration_since(until);
    if back >= SLOW_START {
        return Phase::In;
    }
    let grown = u128::from(FULL_SHARE) * back.as_millis() / SLOW_START.as_millis();
    Phase::Returning(u32::try_from(grown).unwrap_or(FULL_SHARE).max(FIRST_SHARE))
}

impl Ejection {
    pub(super) fn phase(&self, now: Instant) -> Phase {
        phase(self.until, now)
    }

    /// A try begins.
    pub(super) const fn begun(&mut self) {
        if self.in_a_row == 0 {
            return;
        }
        self.begun = self.begun.saturating_add(1);
        self.forget_what_is_rare();
    }

    const fn forget_what_is_rare(&mut self) {
        if self.tried() >= ROW && !self.fails_mostly() {
            self.end_row();
        }
    }

    /// Where answers take long, many tries are on their way between two failures, and most of them may do well.
    const fn fails_mostly(&self) -> bool {
        self.in_a_row.saturating_mul(2) >= self.tried()
    }

    /// Tries of the row: those that began in it, or, where fewer begin than before, those that ended.
    const fn tried(&self) -> u32 {
        let ended = self.in_a_row.saturating_add(self.went_well);
        if ended > self.begun { ended } else { self.begun }
    }

    const fn end_row(&mut self) {
        (self.in_a_row, self.begun, self.went_well) = (0, 0, 0);
    }

    /// It failed; after `enough` times in a row, of mostly failures, it is ejected, for the time that is returned. What fails
    /// while it is out makes that no longer: others were told nothing yet when they tried.
    pub(super) fn failed(&mut self, now: Instant, enough: u32) -> Option<Duration> {
        self.failed_at = Some(now);
        if self.phase(now) == Phase::Out {
            return None;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        // Where a single one is enough, nobody is there, and what went before says nothing.
        if self.in_a_row < enough || (enough > 1 && !self.fails_mostly()) {
            return None;
        }
        let time = FIRST_EJECTION.saturating_mul(1 << self.times.min(16)).min(MAX_EJECTION);
        self.end_row();
        (self.times, self.until) = (self.times.saturating_add(1), Some(now + time));
        Some(time)
    }

    /// A try that had begun then ended well. One that had begun before the last failure says little about what came since.
    pub(super) fn well(&mut self, now: Instant, begun: Instant) {
        if self.failed_at.is_some_and(|failed| begun < failed) {
            self.went_well = self.went_well.saturating_add(u32::from(self.in_a_row > 0));
            return self.forget_what_is_rare();
        }
        self.end_row();
        match self.phase(now) {
            Phase::Out => self.until = Some(now),
            Phase::Returning(_) => {}
            Phase::In => self.times = 0,
        }
    }

    /// It is there again after it was gone: its share grows from now on.
    pub(super) fn returned(&mut self, now: Instant) {
        if !matches!(self.phase(now), Phase::Returning(_)) {
            self.until = Some(now);
        }
    }

    /// Whether it has failed since it last did well.
    pub(super) const fn is_failing(&self) -> bool {
        self.in_a_row > 0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Pass(u64),
        Fail,
        FailAtOnce,
        Well,
        Returned,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..90_000_u64).prop_map(Step::Pass),
            Just(Step::Fail),
            Just(Step::FailAtOnce),
            Just(Step::Well),
            Just(Step::Returned),
        ]
    }

    proptest! {
        /// Whatever happens, nobody is out for longer than the longest time, and who is left alone is wholly back after it.
        #[test]
        fn an_ejection_is_bounded_and_always_ends(steps in prop::collection::vec(step(), 0..200)) {
            let (mut ejection, mut now) = (Ejection::default(), Instant::now());
            let mut in_a_row = 0;
            for step in steps {
                let was = ejection.phase(now);
                match step {
                    Step::Pass(ms) => now += Duration::from_millis(ms),
                    Step::Fail | Step::FailAtOnce => {
                        in_a_row += 1;
                        let enough = if matches!(step, Step::Fail) { FAILURES_IN_A_ROW } else { 1 };
                        if let Some(time) = ejection.failed(now, enough) {
                            prop_assert!((FIRST_EJECTION..=MAX_EJECTION).contains(&time) && in_a_row >= enough);
                            prop_assert!(was != Phase::Out && ejection.phase(now) == Phase::Out);
                        }
                    }
                    Step::Well => {
                        ejection.well(now, now);
                        in_a_row = 0;
                        prop_assert!(ejection.phase(now) != Phase::Out, "who answers is not out");
                    }
                    Step::Returned => ejection.returned(now),
                }
                if let Phase::Returning(share) = ejection.phase(now) {
                    prop_assert!((FIRST_SHARE..FULL_SHARE).contains(&share));
                }
                prop_assert!(ejection.phase(now + MAX_EJECTION) != Phase::Out);
                prop_assert_eq!(ejection.phase(now + MAX_EJECTION + SLOW_START), Phase::In);
            }
        }
    }

    fn ejected(ejection: &mut Ejection, now: Instant) -> Duration {
        (0..FAILURES_IN_A_ROW).find_map(|_| ejection.failed(now, FAILURES_IN_A_ROW)).unwrap()
    }

    #[test]
    fn each_ejection_is_longer_until_all_is_well_for_a_while() {
        let (mut ejection, mut now) = (Ejection::default(), Instant::now());
        let mut times = Vec::new();
        for _ in 0..6 {
            let time = ejected(&mut ejection, now);
            times.push(time.as_secs());
            now += time;
        }
        assert_eq!(times, [5, 10, 20, 40, 60, 60]);
        ejection.well(now, now);
        assert_eq!(ejected(&mut ejection, now), MAX_EJECTION, "one answer is not well for a while");
        now += MAX_EJECTION + SLOW_START;
        ejection.well(now, now);
        assert_eq!(ejected(&mut ejection, now), FIRST_EJECTION);
    }

    #[test]
    fn answers_of_before_do_not_hide_that_everything_new_fails() {
        let (mut ejection, begun) = (Ejection::default(), Instant::now());
        let now = begun + Duration::from_secs(1);
        let out = (0..FAILURES_IN_A_ROW).any(|_| {
            ejection.well(now, begun);
            ejection.failed(now, FAILURES_IN_A_ROW).is_some()
        });
        assert!(out);
        ejection.well(now, begun);
        assert_eq!(ejection.phase(now), Phase::Out);
    }

    /// Tries begin every 10 ms and take this long; those that `fails` says do.
    fn ejected_after(takes_ms: u64, tries: u64, fails: impl Fn(u64) -> bool) -> Option<u64> {
        let (mut ejection, start) = (Ejection::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        for now in (0..tries * 10 + takes_ms).step_by(10) {
            if now < tries * 10 {
                ejection.begun();
            }
            let Some(begun) = now.checked_sub(takes_ms) else { continue };
            if !fails(begun / 10) {
                ejection.well(at(now), at(begun));
            } else if ejection.failed(at(now), FAILURES_IN_A_ROW).is_some() {
                return Some(begun / 10);
            }
        }
        None
    }

    #[test]
    fn who_fails_now_and_then_stays_however_long_answers_take() {
        for takes_ms in [0, 100, 2_000, 8_000] {
            for every in [4, 10, 100] {
                assert_eq!(ejected_after(takes_ms, 10_000, |number| number % every == 0), None, "{takes_ms} {every}");
            }
        }
    }

    #[test]
    fn who_fails_always_from_some_time_on_is_found_out_within_a_row() {
        for takes_ms in [0, 100, 2_000, 8_000] {
            for from in [0, 1_000] {
                let fails = |number| number >= from || number % 100 == 0;
                let found = ejected_after(takes_ms, from + 4_000, fails).unwrap();
                assert!(found <= from + u64::from(2 * ROW), "{takes_ms} {from}: {found}");
            }
        }
    }

    #[test]
    fn a_share_grows_from_little_to_all() {
        let (mut ejection, now) = (Ejection::default(), Instant::now());
        ejection.returned(now);
        let shares = [0, 10, 15, 29].map(|seconds| ejection.phase(now + Duration::from_secs(seconds)));
        let of = |parts: u32, whole: u32| Phase::Returning(FULL_SHARE * parts / whole);
        assert_eq!(shares, [of(1, 16), of(10, 30), of(15, 30), of(29, 30)]);
        assert_eq!(ejection.phase(now + SLOW_START), Phase::In);
    }
}
