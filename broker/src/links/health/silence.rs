//! An offer that takes an organisation's requests and gives nothing comes behind the others for a while, for that organisation
//! alone.
//!
//! How long somebody waits is the caller's to choose: who waits for a moment makes every node look silent. So nobody's waits are
//! held against an offer for anybody else, and nobody else's answers speak for it: a node that answers its own friends, or whoever
//! tests it, is as silent as it is to those whom it does not answer (decision 30).

use std::collections::BTreeMap;
use std::time::Duration;

use comity_types::TrustDomain;
use tokio::time::Instant;

use super::ejection::{self, Phase};

/// What is no silence: an interactive model has begun to answer by then, and who gives up sooner has found out nothing.
const LEAST_SILENT: Duration = Duration::from_secs(2);
/// How many times as long as an answer took the next one may take before that is silence: a longer prompt is no fault.
const TIMES_AN_ANSWER: u32 = 2;
/// How long an answer says how long the next ones may take: a model that reasons for half a minute, and is asked now and then, is
/// always believed, and who answers once in a while, late, is not asked first for long because of that.
const BELIEVED: Duration = Duration::from_secs(120);
/// How many more silences than answers there are when it comes behind: one or two are an accident, and each one is a caller who
/// waited in vain.
const ENOUGH: u32 = 3;
/// How long the first time is. Longer than for failures, since no request that meets silence is tried elsewhere in time.
const FIRST_TIME: Duration = Duration::from_secs(30);
/// How long the longest is. Who asks once in some minutes would meet the silent one each time if it came back in between.
const MAX_TIME: Duration = Duration::from_secs(600);
/// After how long nothing is left of what an organisation has seen: an hour later it is another node.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What the organisations have seen of one offer that waited for it in vain, or long. Those whom it answers soon are not here.
#[derive(Debug, Default)]
pub(super) struct Silences(BTreeMap<TrustDomain, Silence>);

#[derive(Debug, Clone, Copy)]
struct Silence {
    /// Silences, less the answers since.
    more: u32,
    /// The longest wait for an answer that is believed.
    answer: Option<(Duration, Instant)>,
    times: u32,
    until: Option<Instant>,
    /// When it was last heard of.
    at: Instant,
}

impl Silences {
    /// Where the offer stands for `caller`.
    pub(super) fn phase(&self, now: Instant, caller: &TrustDomain) -> Phase {
        self.0.get(caller).map_or(Phase::In, |silence| silence.phase(now))
    }

    /// After how long without a byte a request of `caller` has met silence.
    pub(super) fn silent_after(&self, now: Instant, caller: &TrustDomain) -> Duration {
        self.0.get(caller).map_or(LEAST_SILENT, |silence| silence.silent_after(now))
    }

    /// The first bytes of an answer to `caller` came after so long.
    pub(super) fn answered(&mut self, now: Instant, caller: &TrustDomain, after: Duration) {
        match self.0.get_mut(caller) {
            Some(silence) => silence.answered(now, after),
            // What is answered sooner is believed without being kept.
            None if after * TIMES_AN_ANSWER <= LEAST_SILENT => {}
            None => self.of(now, caller).answered(now, after),
        }
    }

    /// Nobody of `caller` waits any longer, and nothing had come after so long. Where it comes behind for that, for how long.
    pub(super) fn waited(&mut self, now: Instant, caller: &TrustDomain, in_vain: Duration) -> Option<Duration> {
        if in_vain < self.silent_after(now, caller) { None } else { self.of(now, caller).met(now) }
    }

    /// Whether it is behind for anybody.
    pub(super) fn is_out(&self, now: Instant) -> bool {
        self.0.values().any(|silence| silence.phase(now) == Phase::Out)
    }

    /// It has no more entries than organisations have asked within the time that is remembered.
    fn of(&mut self, now: Instant, caller: &TrustDomain) -> &mut Silence {
        if !self.0.contains_key(caller) {
            self.0.retain(|_, silence| now.saturating_duration_since(silence.at) < REMEMBERED);
        }
        let unknown = Silence { more: 0, answer: None, times: 0, until: None, at: now };
        let silence = self.0.entry(caller.clone()).or_insert(unknown);
        if now.saturating_duration_since(silence.at) >= REMEMBERED {
            *silence = unknown;
        }
        silence.at = now;
        silence
    }
}

impl Silence {
    fn phase(&self, now: Instant) -> Phase {
        ejection::phase(self.until, now)
    }

    fn silent_after(&self, now: Instant) -> Duration {
        self.believed(now).map_or(LEAST_SILENT, |answer| LEAST_SILENT.max(answer * TIMES_AN_ANSWER))
    }

    fn believed(&self, now: Instant) -> Option<Duration> {
        self.answer.filter(|(_, at)| now.saturating_duration_since(*at) < BELIEVED).map(|(answer, _)| answer)
    }

    fn answered(&mut self, now: Instant, after: Duration) {
        self.at = now;
        self.more = self.more.saturating_sub(1);
        if self.believed(now).is_none_or(|answer| answer <= after) {
            self.answer = Some((after, now));
        }
        match self.phase(now) {
            Phase::Out => self.until = Some(now),
            Phase::Returning(_) => {}
            Phase::In => self.times = 0,
        }
    }

    /// A request has met silence. What began before it came behind says nothing new while it is.
    fn met(&mut self, now: Instant) -> Option<Duration> {
        if self.phase(now) == Phase::Out {
            return None;
        }
        self.more = self.more.saturating_add(1);
        // Once it is known for that, each caller who finds out whether it is back is one too many.
        if self.more < ENOUGH && self.times == 0 {
            return None;
        }
        let time = FIRST_TIME.saturating_mul(1 << self.times.min(16)).min(MAX_TIME);
        (self.more, self.times, self.until) = (0, self.times.saturating_add(1), Some(now + time));
        Some(time)
    }
}

#[cfg(test)]
pub(super) const LONGEST_SILENCE: Duration = MAX_TIME;

#[cfg(test)]
mod tests {
    use super::super::ejection::SLOW_START;
    use super::*;

    const SECONDS: fn(u64) -> Duration = Duration::from_secs;

    fn caller() -> TrustDomain {
        "caller.example".parse().unwrap()
    }

    fn other() -> TrustDomain {
        "other.example".parse().unwrap()
    }

    /// An offer that has met as many of `caller`'s requests with silence.
    fn silent(times: u32) -> (Silences, Instant) {
        let (mut silences, now) = (Silences::default(), Instant::now());
        for _ in 0..times {
            let _out = silences.waited(now, &caller(), SECONDS(4));
        }
        (silences, now)
    }

    #[test]
    fn who_gives_nothing_again_and_again_comes_behind_for_whom_it_gives_nothing_and_for_nobody_else() {
        assert_eq!(silent(ENOUGH - 1).0.phase(Instant::now(), &caller()), Phase::In);
        let (silences, now) = silent(ENOUGH);
        assert_eq!([caller(), other()].map(|who| silences.phase(now, &who)), [Phase::Out, Phase::In]);
        assert!(silences.is_out(now));
        let back = now + FIRST_TIME;
        assert!(matches!(silences.phase(back, &caller()), Phase::Returning(_)) && !silences.is_out(back));
        assert_eq!(silences.phase(back + SLOW_START, &caller()), Phase::In);
    }

    #[test]
    fn who_gives_up_in_a_moment_has_found_out_nothing() {
        let (mut silences, now) = silent(0);
        for _ in 0..1_000 {
            assert_eq!(silences.waited(now, &caller(), LEAST_SILENT - Duration::from_millis(1)), None);
        }
        assert_eq!(silences.phase(now, &caller()), Phase::In);
        assert!(silences.0.is_empty(), "nothing is kept of it");
    }

    #[test]
    fn a_model_that_reasons_for_long_is_not_silent_to_the_impatient_of_an_organisation_that_it_answers() {
        let (mut silences, mut now) = silent(0);
        for _ in 0..100 {
            silences.answered(now, &caller(), SECONDS(30));
            for _ in 0..20 {
                now += SECONDS(5);
                assert_eq!(silences.waited(now, &caller(), SECONDS(5)), None);
            }
        }
        assert_eq!(silences.waited(now, &caller(), SECONDS(61)), None, "one is an accident");
    }

    #[test]
    fn whom_it_answers_speaks_for_it_to_nobody_else() {
        let (mut silences, now) = silent(0);
        let out = (0..ENOUGH).any(|_| {
            silences.answered(now, &other(), SECONDS(300));
            silences.waited(now, &caller(), SECONDS(4)).is_some()
        });
        assert!(out);
    }

    #[test]
    fn who_answers_one_in_a_few_comes_behind_all_the_same_and_who_answers_half_does_not() {
        for (answers_every, is_out) in [(2, false), (3, true), (10, true)] {
            let (mut silences, now) = silent(0);
            let out = (1..100).any(|number| {
                if number % answers_every == 0 {
                    silences.answered(now, &caller(), SECONDS(0));
                    return false;
                }
                silences.waited(now, &caller(), SECONDS(4)).is_some()
            });
            assert_eq!(out, is_out, "{answers_every}");
        }
    }

    #[test]
    fn each_time_is_longer_and_costs_one_caller_until_all_is_well_for_a_while() {
        let (mut silences, mut now) = silent(ENOUGH);
        now += FIRST_TIME;
        let mut times = Vec::new();
        for _ in 0..6 {
            let time = silences.waited(now, &caller(), SECONDS(4)).unwrap();
            times.push(time.as_secs());
            now += time;
        }
        assert_eq!(times, [60, 120, 240, 480, 600, 600]);
        silences.answered(now, &caller(), SECONDS(1));
        assert_eq!(silences.waited(now, &caller(), SECONDS(4)), Some(MAX_TIME), "one answer is not well for a while");
        now += MAX_TIME + SLOW_START;
        silences.answered(now, &caller(), SECONDS(1));
        assert_eq!(silences.waited(now, &caller(), SECONDS(4)), None);
    }

    #[test]
    fn an_answer_brings_it_back_little_by_little() {
        let (mut silences, now) = silent(ENOUGH);
        silences.answered(now, &caller(), SECONDS(1));
        assert!(matches!(silences.phase(now, &caller()), Phase::Returning(_)));
    }

    #[test]
    fn what_nobody_has_seen_for_long_is_forgotten() {
        let (mut silences, now) = silent(ENOUGH);
        let later = now + REMEMBERED;
        assert_eq!(silences.waited(later, &caller(), SECONDS(4)), None, "it is the first one again");
        assert_eq!(silences.waited(later + REMEMBERED, &other(), SECONDS(4)), None);
        assert_eq!(silences.0.len(), 1);
    }
}
