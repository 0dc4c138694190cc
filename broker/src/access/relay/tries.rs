//! The tries of one request: one after another, and, where the caller wants that, one beside another.

use std::collections::VecDeque;
use std::pin::pin;
use std::time::Duration;

use comity_proto::error::{Failure, RETRY_AFTER_SECONDS};
use comity_transparency::record::MAX_TRIES;
use comity_types::TrustDomain;
use futures::future::{Either, select};
use tokio::time::{Instant, timeout_at};

use super::attempt::{self, Ahead, Answer, Outcome, Rejection};
use crate::access::Parts;
use crate::access::commit::Permit;
use crate::access::decide::Candidate;
use crate::access::request::Admitted;
use crate::access::retries::Further;
use crate::access::settle::Settlement;
use crate::edge::cut;
use crate::ledger::decisions::{TryRecord, UsedNothing};

/// What it says of a try beside which another one was answered first.
const OUTPACED: &str = "outpaced";
/// When to come back who got no further try: by then the failures of now count for half less, and the node that failed comes
/// behind the others.
const AGAIN_SECONDS: u64 = 5;

/// What is known of a request's tries.
pub(super) struct Tries<'a> {
    parts: &'a Parts,
    admitted: &'a Admitted,
    permit: &'a Permit,
    settlement: &'a mut Settlement,
    /// Whom nobody has asked yet, or who may be asked once more.
    waiting: VecDeque<(usize, &'a Candidate)>,
    /// Whose nodes have failed it.
    failed: Vec<&'a TrustDomain>,
    /// The numbers of tries that there may still be: of one that nothing was sent for, the number is there again.
    numbers: VecDeque<u32>,
    /// Whether a further try has been granted, and nothing has been sent for it so far.
    is_granted: bool,
    /// The try that was granted as one beside another, and as what.
    hedge: Option<(u32, Further)>,
    ahead: Option<Ahead>,
    /// The try that failed last: it is the one that the caller is told of.
    last: Option<Failed<'a>>,
}

/// A try that begins.
struct Try<'a> {
    rank: usize,
    candidate: &'a Candidate,
    attempt: u32,
    ahead: Option<Ahead>,
}

/// What comes next.
enum Next<'a> {
    Try(Try<'a>),
    /// The permit has ended.
    Expired,
    Nobody,
}

/// A try that failed.
struct Failed<'a> {
    rank: usize,
    candidate: &'a Candidate,
    attempt: u32,
    rejection: Rejection,
}

/// How a try ended.
struct Done<'a> {
    rank: usize,
    candidate: &'a Candidate,
    attempt: u32,
    outcome: Outcome,
}

impl<'a> Tries<'a> {
    pub(super) fn new(
        parts: &'a Parts,
        admitted: &'a Admitted,
        permit: &'a Permit,
        settlement: &'a mut Settlement,
        ahead: Option<Ahead>,
    ) -> Self {
        let waiting = permit.candidates().collect();
        Self {
            parts,
            admitted,
            permit,
            settlement,
            waiting,
            failed: Vec::new(),
            numbers: (1..=MAX_TRIES).collect(),
            is_granted: false,
            hedge: None,
            ahead,
            last: None,
        }
    }

    /// Makes them, until one is answered; `None` if the permit ended.
    pub(super) async fn run(mut self) -> Result<Option<Answer>, Failure> {
        self.parts.retries.asked(self.admitted.caller.trust_domain(), Instant::now());
        loop {
            let one = match self.next(None) {
                Next::Try(one) => one,
                Next::Expired => {
                    self.give_back();
                    return Ok(None);
                }
                Next::Nobody => break,
            };
            let done = match self.hedge_after(one.candidate) {
                None => try_one(self.parts, self.admitted, self.permit, one).await?,
                // Boxed: every request has room for what it awaits, and few are hedged.
                Some(after) => Box::pin(self.hedged(one, after)).await?,
            };
            match done.outcome {
                Outcome::Answered(answer) => {
                    self.settlement.stands(self.permit, (done.rank, done.candidate), done.attempt, OUTPACED);
                    if answer.first.trailers_ref().is_some_and(attempt::was_not_run) {
                        self.settlement.used_nothing(done.attempt, UsedNothing::NotRun);
                    }
                    return Ok(Some(*answer));
                }
                Outcome::Rejected(rejection) => {
                    let was_worked_on = rejection.was_worked_on();
                    self.rejected((done.rank, done.candidate), done.attempt, rejection);
                    if was_worked_on && self.has_next() && !self.may_go_on() {
                        return self.stands().map_or(Ok(None), |last| Err(withheld(last.candidate, &last.rejection)));
                    }
                }
            }
        }
        self.give_back();
        match self.stands() {
            Some(Failed { candidate, rejection, .. }) => rejection.conclude(self.admitted.method, candidate).map(Some),
            // Nothing was tried: other requests have used up what every offer or its budget grants, so that this one is decided anew.
            None => Ok(None),
        }
    }

    /// A try, and another one beside it where nothing of an answer has come after this time. Where there is no hedge left for that,
    /// later: a try that has met silence is as good as failed, and has what is left for failures.
    async fn hedged(&mut self, one: Try<'a>, after: Duration) -> Result<Done<'a>, Failure> {
        let (parts, admitted, permit) = (self.parts, self.admitted, self.permit);
        let (candidate, begun) = (one.candidate, Instant::now());
        let silent = parts.links.silent_after(&candidate.offer.name, admitted.caller.trust_domain());
        let mut first = pin!(try_one(parts, admitted, permit, one));
        let mut other = None;
        for (after, what) in [(after, Further::Hedge), (after.max(silent), Further::Retry)] {
            if let Ok(done) = timeout_at(begun + after, first.as_mut()).await {
                return done;
            }
            other = self.beside(candidate, what);
            if other.is_some() {
                break;
            }
        }
        let Some(other) = other else { return first.await };
        let second = pin!(try_one(parts, admitted, permit, other));
        // Whoever is left behind by an answer is dropped with this, which resets its node's call.
        let (done, left) = match select(first, second).await {
            Either::Left((done, left)) => (done?, Either::Left(left)),
            Either::Right((done, left)) => (done?, Either::Right(left)),
        };
        let Done { rank, candidate, attempt, outcome } = done;
        let Outcome::Rejected(rejection) = outcome else { return Ok(Done { rank, candidate, attempt, outcome }) };
        self.rejected((rank, candidate), attempt, rejection);
        left.await
    }

    /// A try beside that of `first`: at another node, and within what the budget has for this.
    fn beside(&mut self, first: &'a Candidate, what: Further) -> Option<Try<'a>> {
        let is_elsewhere = |(_, one): &(usize, &Candidate)| one.offer.name.node() != first.offer.name.node();
        if self.numbers.is_empty() || !self.waiting.iter().any(is_elsewhere) || !self.takes_another(what) {
            return None;
        }
        match self.next(Some(first)) {
            Next::Try(other) => {
                self.hedge = Some((other.attempt, what));
                Some(other)
            }
            Next::Expired | Next::Nobody => {
                self.gives_back(what);
                None
            }
        }
    }

    /// How long to wait before another node is asked as well, if the caller wants that.
    fn hedge_after(&self, candidate: &Candidate) -> Option<Duration> {
        let hedge = self.admitted.envelope.prefer.hedge?;
        let said = hedge.after_ms.map(|after| Duration::from_millis(after.into()));
        Some(said.unwrap_or_else(|| self.parts.links.slow_after(&candidate.offer.name)))
    }

    /// Begins the next try, not at the node of `beside`.
    fn next(&mut self, beside: Option<&'a Candidate>) -> Next<'a> {
        while let Some(attempt) = self.numbers.front().copied() {
            let Some((rank, candidate)) = self.take_next(beside) else { break };
            let ahead = self.ahead.take().filter(|ahead| ahead.is_for(candidate));
            let now = self.parts.clock.now();
            let newest = self.parts.registry.snapshot().federation().epoch();
            if now >= self.permit.expires_at(candidate) || self.permit.is_overtaken(newest, now) {
                self.withdraw(attempt, ahead.is_some());
                return Next::Expired;
            }
            let has_room = self.settlement.reserves(candidate, attempt);
            if !has_room || !takes_quota(self.parts, self.admitted, self.permit, candidate) {
                self.settlement.passed_over(attempt);
                self.withdraw(attempt, ahead.is_some());
                continue;
            }
            self.numbers.pop_front();
            if ahead.is_none() {
                self.settlement.trying(self.permit, (rank, candidate), attempt);
            }
            return Next::Try(Try { rank, candidate, attempt, ahead });
        }
        Next::Nobody
    }

    /// Whom to try next: the first of those whose organisation has not failed this request, or else the first. So no
    /// organisation can use up the tries of a request by offers that are cheap and answer nothing.
    fn take_next(&mut self, beside: Option<&Candidate>) -> Option<(usize, &'a Candidate)> {
        let beside = beside.map(|candidate| candidate.offer.name.node());
        let place = |is_wanted: &dyn Fn(&Candidate) -> bool| {
            let of = |(_, one): &(usize, &Candidate)| beside != Some(one.offer.name.node()) && is_wanted(one);
            self.waiting.iter().position(of)
        };
        let organisation = |one: &Candidate| one.offer.name.node().trust_domain().clone();
        let untried = |one: &Candidate| {
            let its = organisation(one);
            !self.failed.contains(&&its) && beside.map(|node| node.trust_domain()) != Some(&its)
        };
        let next = place(&untried).or_else(|| place(&|_| true))?;
        self.waiting.remove(next)
    }

    fn has_next(&self) -> bool {
        !self.numbers.is_empty() && !self.waiting.is_empty()
    }

    /// Whether there may be a try after one that failed: the one that was granted before, where nothing was sent for that.
    fn may_go_on(&mut self) -> bool {
        self.is_granted = self.is_granted || self.takes_another(Further::Retry);
        self.is_granted
    }

    /// Whether there may be one more try, and counts it.
    fn takes_another(&self, what: Further) -> bool {
        let granted = self.parts.retries.take(self.admitted.caller.trust_domain(), what, Instant::now());
        self.parts.metrics.further_try(if granted { what.word() } else { "withheld" });
        granted
    }

    /// Nobody is left to send anything to.
    fn give_back(&mut self) {
        if std::mem::take(&mut self.is_granted) {
            self.gives_back(Further::Retry);
        }
    }

    fn gives_back(&self, what: Further) {
        self.parts.retries.give_back(self.admitted.caller.trust_domain(), what, Instant::now());
    }

    /// This try has failed. Where nothing was sent for it, its number is there again, and whatever it was granted as.
    fn was_sent(&mut self, attempt: u32, is_sent: bool) {
        let hedge = self.hedge.take_if(|(hedge, _)| *hedge == attempt);
        match (is_sent, hedge) {
            (true, Some(_)) => {}
            (true, None) => self.is_granted = false,
            (false, hedge) => {
                self.numbers.push_front(attempt);
                hedge.into_iter().for_each(|(_, what)| self.gives_back(what));
            }
        }
    }

    fn rejected(&mut self, (rank, candidate): (usize, &'a Candidate), attempt: u32, rejection: Rejection) {
        tracing::warn!(decision.id = %self.permit.id(), offer.id = %candidate.offer.name, attempt, reason = %rejection, "a try failed");
        self.settlement.failed(attempt, rejection.word());
        let used_nothing = rejection.used_nothing();
        used_nothing.into_iter().for_each(|why| self.settlement.used_nothing(attempt, why));
        self.was_sent(attempt, used_nothing != Some(UsedNothing::NotSent));
        self.failed.push(candidate.offer.name.node().trust_domain());
        if rejection.is_out_of_reach() {
            // Its other offers are there as well: a request waits for it once.
            self.waiting.retain(|(_, other)| other.offer.name.node() != candidate.offer.name.node());
        }
        // A connection that broke says little about the node; it may have another chance, after the others.
        if rejection.is_accident() {
            self.waiting.push_back((rank, candidate));
        }
        self.last = Some(Failed { rank, candidate, attempt, rejection });
    }

    /// The try that failed last, which the record is of from here on: another one may have begun after it.
    fn stands(&mut self) -> Option<Failed<'a>> {
        let failed = self.last.take()?;
        self.settlement.stands(self.permit, (failed.rank, failed.candidate), failed.attempt, OUTPACED);
        Some(failed)
    }

    /// Records that a node has the message of this request, if it does, and gets no permit for it.
    fn withdraw(&mut self, attempt: u32, is_there: bool) {
        if is_there {
            self.numbers.retain(|number| *number != attempt);
            self.settlement.failed(attempt, TryRecord::WITHDRAWN.to_owned());
        }
    }
}

/// One try, until its node loses its place.
async fn try_one<'a>(
    parts: &'a Parts,
    admitted: &'a Admitted,
    permit: &'a Permit,
    one: Try<'a>,
) -> Result<Done<'a>, Failure> {
    let Try { rank, candidate, attempt, ahead } = one;
    let outcome = tokio::select! {
        biased;
        suspended = cut::of_member(&parts.registry, candidate.offer.name.node(), None) => Outcome::Rejected(Rejection::Suspended(suspended)),
        outcome = attempt::attempt(parts, admitted, permit, (rank, candidate), attempt, ahead) => outcome?,
    };
    parts.metrics.tried(matches!(outcome, Outcome::Answered(_)));
    Ok(Done { rank, candidate, attempt, outcome })
}

/// What the caller gets where this failure is the last, since too many requests have needed further tries.
fn withheld(candidate: &Candidate, rejection: &Rejection) -> Failure {
    let (offer, word) = (&candidate.offer.name, rejection.word());
    let message = format!(
        "{offer} failed ({word}), and no other node was asked, since too many of the last requests needed a further try (hint: try again in {AGAIN_SECONDS} s)"
    );
    let failure = Failure::new(rejection.code(), "RETRIES_WITHHELD", message).with("offer", offer);
    failure.with("failed", word).with(RETRY_AFTER_SECONDS, AGAIN_SECONDS)
}

/// Counts a try against the quota of its offer. False if other requests have used that up since the decision: the offer
/// then gets none of this one.
fn takes_quota(parts: &Parts, admitted: &Admitted, permit: &Permit, candidate: &Candidate) -> bool {
    let (caller, tables) = (admitted.caller.trust_domain(), parts.registry.tables());
    let Some(offer) = permit.offer(candidate) else { return false };
    let taken = parts.quotas.take(caller, offer, parts.clock.now(), &tables);
    if taken.is_err() {
        tracing::info!(decision.id = %permit.id(), offer.id = %candidate.offer.name, "a quota was used up after the decision");
    }
    taken.is_ok()
}
