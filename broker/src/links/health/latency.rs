//! How long an offer takes to begin its answers: what is usual, which callers may prefer by, and the peak, which spreads
//! requests among offers that are equal.

use std::time::Duration;

use tokio::time::Instant;

/// How fast a peak is forgotten: what is left of it after so long is a third. Some answers of a model fit in, and an offer
/// ten times as slow as another is looked at again after 23 s even if nobody else leads there.
const PEAK_DECAY: Duration = Duration::from_secs(10);
/// How much an answer counts in what is usual: about the last eight do, so that one hiccup is none.
const NEWS: f64 = 1.0 / 8.0;
/// How long what was usual is believed without another answer: who was slow may be so no more, and who is not asked would
/// never show it.
const REMEMBERED: Duration = Duration::from_secs(600);
/// How long somebody has to have waited in vain for that to say anything of an offer that never answered: many leave sooner.
const PATIENCE: Duration = Duration::from_secs(1);
/// How often one request finds out about an offer that has not answered with anything: others are there to answer meanwhile.
const FINDING_OUT: Duration = Duration::from_secs(10);
/// What is never slow: sooner, the clock of a busy machine would say so, and not the offer.
const LEAST_SLOW: Duration = Duration::from_millis(10);
/// What such an offer costs otherwise: more than any that has answered.
const UNPROVEN: u64 = u64::MAX / 2;

/// What was seen of one offer.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Latency {
    peak: Option<Estimate>,
    usual: Option<Estimate>,
    /// How far answers are from what is usual, in the mean, in seconds.
    deviation: f64,
    tried_at: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Estimate {
    seconds: f64,
    at: Instant,
}

impl Latency {
    /// A request begins.
    pub(super) const fn tried(&mut self, now: Instant) {
        self.tried_at = Some(now);
    }

    /// The first bytes of an answer came after so long.
    pub(super) fn answered(&mut self, now: Instant, after: Duration) {
        let after = after.as_secs_f64();
        let peak = self.peak.map_or(after, |peak| {
            // A peak counts at once, and what is faster bit by bit.
            after.max(after + (peak.seconds - after) * peak.left(now))
        });
        self.peak = Some(Estimate { seconds: peak, at: now });
        self.becomes_usual(now, after);
    }

    /// Nothing had come after so long, when nobody waited for it any longer.
    pub(super) fn waited(&mut self, now: Instant, in_vain: Duration) {
        let at_least = in_vain.as_secs_f64();
        if self.peak.is_none_or(|peak| peak.seconds * peak.left(now) < at_least) {
            self.peak = Some(Estimate { seconds: at_least, at: now });
        }
        if self.believed(now).map_or(in_vain >= PATIENCE, |usual| usual < at_least) {
            self.becomes_usual(now, at_least);
        }
    }

    /// It declined, or ended its answer without a message: that it did so fast makes it no faster, and what is known of it is
    /// not forgotten for that, or whoever answers nothing but errors would get the requests of all others.
    pub(super) fn declined(&mut self, now: Instant) {
        let usual = self.believed(now).unwrap_or_default();
        if let Some(peak) = &mut self.peak {
            *peak = Estimate { seconds: usual.max(peak.seconds * peak.left(now)), at: now };
        }
    }

    fn becomes_usual(&mut self, now: Instant, seconds: f64) {
        let (seconds, deviation) = match self.believed(now) {
            Some(usual) => {
                let off = (seconds - usual).abs();
                (usual + (seconds - usual) * NEWS, self.deviation + (off - self.deviation) * NEWS)
            }
            // Of one answer alone, half of it is as good a guess as any (RFC 6298, section 2.2).
            None => (seconds, seconds / 2.0),
        };
        self.deviation = deviation;
        self.usual = Some(Estimate { seconds, at: now });
    }

    /// What one more request would cost beside so many in flight: nanoseconds, of which only the order counts.
    pub(super) fn cost(&self, now: Instant, in_flight: usize) -> u64 {
        let beside = u64::try_from(in_flight).unwrap_or(u64::MAX);
        match self.peak {
            Some(peak) => nanos(peak.seconds * peak.left(now)).saturating_mul(beside.saturating_add(1)),
            None if self.wants_finding_out(now, in_flight) => 0,
            None => UNPROVEN.saturating_add(beside),
        }
    }

    /// Milliseconds that it usually takes, coarsely. Where that is not known, or no longer, 0 for the one request that finds
    /// out, and nothing for others beside it.
    pub(super) fn usual_ms(&self, now: Instant, in_flight: usize) -> Option<u64> {
        let usual = self.believed(now).map(|seconds| coarse(nanos(seconds) / 1_000_000));
        usual.or_else(|| self.wants_finding_out(now, in_flight).then_some(0))
    }

    /// What about nineteen of twenty answers do not take: two mean deviations above what is usual are that, where answers are
    /// spread as errors are.
    pub(super) fn slow_after(&self, now: Instant) -> Option<Duration> {
        let slow = self.believed(now)? + 2.0 * self.deviation;
        Some(Duration::try_from_secs_f64(slow).ok()?.max(LEAST_SLOW))
    }

    fn wants_finding_out(&self, now: Instant, in_flight: usize) -> bool {
        let is_due = |at| now.saturating_duration_since(at) >= FINDING_OUT;
        in_flight == 0 && self.tried_at.is_none_or(is_due)
    }

    fn believed(&self, now: Instant) -> Option<f64> {
        self.usual.filter(|usual| now.saturating_duration_since(usual.at) < REMEMBERED).map(|usual| usual.seconds)
    }
}

impl Estimate {
    /// The part of it that is not forgotten.
    fn left(&self, now: Instant) -> f64 {
        (-now.saturating_duration_since(self.at).as_secs_f64() / PEAK_DECAY.as_secs_f64()).exp()
    }
}

fn nanos(seconds: f64) -> u64 {
    u64::try_from(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX).as_nanos()).unwrap_or(u64::MAX)
}

/// Three significant bits, steps of a seventh to a quarter: offers that differ by less are equally fast, and share the
/// requests, instead of handing all of them to and fro.
const fn coarse(ms: u64) -> u64 {
    let shift = (u64::BITS - ms.leading_zeros()).saturating_sub(3);
    ms >> shift << shift
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn measured(answers: &[u64]) -> (Latency, Instant) {
        let (mut latency, mut now) = (Latency::default(), Instant::now());
        for ms in answers {
            now += MS(1);
            latency.answered(now, MS(*ms));
        }
        (latency, now)
    }

    #[test]
    fn a_peak_counts_at_once_and_is_forgotten_with_time_and_one_hiccup_changes_little_of_what_is_usual() {
        let (latency, now) = measured(&[100, 100, 100, 900]);
        assert_eq!(latency.cost(now, 0), 900_000_000);
        assert_eq!(latency.usual_ms(now, 9), Some(192), "100 + 800 / 8, coarsely");
        let later = latency.cost(now + PEAK_DECAY, 0);
        assert!((330_000_000..332_000_000).contains(&later), "{later}");
    }

    #[test]
    fn what_it_costs_grows_with_the_requests_in_flight() {
        let (latency, now) = measured(&[10]);
        assert_eq!([0, 1, 9].map(|in_flight| latency.cost(now, in_flight)), [10_000_000, 20_000_000, 100_000_000]);
    }

    #[test]
    fn an_offer_that_never_answered_is_tried_by_one_request_and_not_by_more() {
        let (unknown, now) = (Latency::default(), Instant::now());
        let (slow, _) = measured(&[60_000]);
        assert_eq!(unknown.cost(now, 0), 0);
        assert!(unknown.cost(now, 1) > slow.cost(now, 1_000));
        assert!(unknown.cost(now, 2) > unknown.cost(now, 1));
        assert_eq!([0, 1].map(|in_flight| unknown.usual_ms(now, in_flight)), [Some(0), None]);
        let mut tried = unknown;
        tried.tried(now);
        let known = |after| (tried.cost(now + after, 0), tried.usual_ms(now + after, 0));
        assert_eq!((known(MS(1)), known(FINDING_OUT)), ((UNPROVEN, None), (0, Some(0))));
    }

    #[test]
    fn who_declines_at_once_is_no_faster_for_that() {
        let (mut latency, mut now) = measured(&[100, 100]);
        for _ in 0..100 {
            now += MS(1_000);
            latency.declined(now);
        }
        assert_eq!((latency.cost(now, 0), latency.usual_ms(now, 0)), (100_000_000, Some(96)));
        let (mut unknown, _) = measured(&[]);
        unknown.declined(now);
        assert_eq!(unknown.cost(now, 1), UNPROVEN + 1);
    }

    #[test]
    fn waiting_in_vain_counts_as_an_answer_that_took_as_long_unless_answers_take_longer() {
        let (mut latency, now) = measured(&[100]);
        latency.waited(now, MS(50));
        let seen = |latency: &Latency| (latency.cost(now, 0), latency.usual_ms(now, 1));
        assert_eq!(seen(&latency), (100_000_000, Some(96)), "it might have answered in the next moment");
        latency.waited(now, MS(900));
        assert_eq!(seen(&latency), (900_000_000, Some(192)));
        let (mut unknown, _) = measured(&[]);
        unknown.waited(now, MS(999));
        assert_eq!(seen(&unknown), (999_000_000, None));
        unknown.waited(now, MS(1_000));
        assert_eq!(seen(&unknown), (1_000_000_000, Some(896)));
    }

    #[test]
    fn slow_is_what_hardly_any_answer_takes() {
        let (unknown, now) = measured(&[]);
        assert_eq!(unknown.slow_after(now), None);
        let (steady, now) = measured(&[100; 100]);
        assert_eq!(steady.slow_after(now).unwrap().as_millis(), 100);
        let spread: Vec<_> = (0..400).map(|number| 100 + (number * 7) % 100).collect();
        let (latency, now) = measured(&spread);
        let slow = latency.slow_after(now).unwrap();
        let sooner = spread.iter().filter(|ms| MS(**ms) < slow).count();
        assert!((360..=400).contains(&sooner), "{slow:?}: {sooner} of 400");
        let (fast, now) = measured(&[1; 100]);
        assert_eq!(fast.slow_after(now), Some(LEAST_SLOW));
        assert_eq!(steady.slow_after(now + REMEMBERED), None);
    }

    #[test]
    fn what_was_usual_is_not_believed_for_ever() {
        let (mut latency, now) = measured(&[100]);
        assert_eq!(latency.usual_ms(now + REMEMBERED - MS(1), 0), Some(96));
        let later = now + REMEMBERED;
        assert_eq!(latency.usual_ms(later, 0), Some(0));
        latency.answered(later, MS(500));
        assert_eq!(latency.usual_ms(later, 0), Some(448), "nothing of the old is in it");
    }

    #[test]
    fn nearly_equal_waits_are_equal_and_small_ones_exact() {
        assert_eq!([0, 1, 5, 7, 96, 111, 112].map(coarse), [0, 1, 5, 7, 96, 96, 112]);
        assert_eq!(coarse(u64::MAX), 7 << 61);
    }
}
