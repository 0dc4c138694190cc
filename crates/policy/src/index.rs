//! Many offers, held against one request at once.
//!
//! Offers are alike: a federation has thousands of them, and a few dozen places, terms and rules. So the index sorts
//! offers into classes, one set of classes for each facet of the evaluation (what a facet reads, piece by piece,
//! decides what is alike), and asks each class once. The facets are those of [`evaluate`](crate::evaluate()), so that
//! the answers are its answers (law L7). Answers are remembered by the part of the request that they read, and stand
//! until the first instant from which they may be others.
//!
//! ```text
//! offers ─▶ classes, by facet ─┐
//! request ─▶ its five parts ───┼─▶ ask each class, or remember ─▶ Answer { eligible, codes, reasons, expires_at }
//! ```
//!
//! | module | holds |
//! |---|---|
//! | `classes` | offers that share a piece of what a facet reads |
//! | `part` | what the facets of one part of a request say |
//! | `memo` | what they said before |
//! | `lasting` | what of an answer holds for the next requests |
//! | `bits` | sets of offers |

mod bits;
mod classes;
mod lasting;
mod memo;
mod part;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use comity_types::{ModelName, Name, OfferName, SpiffeId, Timestamp, TrustDomain};

use bits::Bits;
use classes::Classes;
pub use lasting::Lasting;
use memo::Memo;
use part::PartAnswer;

use crate::evaluate::facet::{FACETS, PartName};
use crate::reason::ReasonCodes;
use crate::{Offer, Organisation, Reason, Request, Tables, Usage, Verdict};

/// Most offers of an index: numbers of 32 bits stand for them, and no federation comes near.
pub const MAX_OFFERS: usize = 1 << 24;

/// The offers of a federation, sorted into classes.
#[derive(Debug)]
pub struct Index {
    tables: Arc<Tables>,
    /// Everybody's facts, where the index is a federation's.
    organisations: BTreeMap<TrustDomain, Arc<Organisation>>,
    entries: Vec<Entry>,
    /// The places of each model's offers.
    models: BTreeMap<ModelName, Vec<usize>>,
    /// The places of the offers that state a quota, in the order of their names.
    limited: Vec<usize>,
    /// By facet.
    facets: Vec<Classes>,
    memo: Memo,
}

/// An offer, and who operates it.
#[derive(Debug)]
struct Entry {
    name: OfferName,
    offer: Offer,
    operator: Arc<Organisation>,
}

impl Entry {
    fn new(offer: Offer, operator: Arc<Organisation>) -> Self {
        Self { name: offer.name(), offer, operator }
    }

    fn facts(&self) -> (&Offer, &Organisation) {
        (&self.offer, &self.operator)
    }

    /// What an offer is used under.
    const fn used_as(&self) -> (&SpiffeId, &Name) {
        (&self.offer.node, &self.offer.id)
    }

    fn is_limited(&self) -> bool {
        self.offer.terms.as_ref().is_some_and(|terms| terms.quota.is_some())
    }
}

impl Index {
    /// Sorts `offers` into classes. Those whose operator is not among `organisations`, and those past [`MAX_OFFERS`],
    /// are left out: nobody could answer for them.
    #[must_use]
    pub fn new(
        organisations: impl IntoIterator<Item = Organisation>,
        offers: impl IntoIterator<Item = Offer>,
        tables: Arc<Tables>,
    ) -> Self {
        let organisations: BTreeMap<_, _> = organisations
            .into_iter()
            .map(|organisation| (organisation.trust_domain.clone(), Arc::new(organisation)))
            .collect();
        let entry = |offer: Offer| {
            let operator = Arc::clone(organisations.get(offer.node.trust_domain())?);
            Some(Entry::new(offer, operator))
        };
        let entries = offers.into_iter().filter_map(entry).take(MAX_OFFERS).collect();
        Self::sorted(organisations, entries, tables)
    }

    /// Of offers that come with their operators' facts, from files.
    #[must_use]
    pub fn of_pairs(pairs: impl IntoIterator<Item = (Offer, Organisation)>, tables: Arc<Tables>) -> Self {
        let entry = |(offer, operator)| Entry::new(offer, Arc::new(operator));
        Self::sorted(BTreeMap::new(), pairs.into_iter().map(entry).take(MAX_OFFERS).collect(), tables)
    }

    fn sorted(
        organisations: BTreeMap<TrustDomain, Arc<Organisation>>,
        entries: Vec<Entry>,
        tables: Arc<Tables>,
    ) -> Self {
        let facets = FACETS.iter().map(|facet| Classes::of(facet, &entries, &tables)).collect();
        let mut models = BTreeMap::<_, Vec<usize>>::new();
        for (place, entry) in entries.iter().enumerate() {
            models.entry(entry.offer.model.clone()).or_default().push(place);
        }
        let of_place = |place: &usize| entries.get(*place).filter(|entry| entry.is_limited());
        let mut limited: Vec<_> = (0..entries.len()).filter(|place| of_place(place).is_some()).collect();
        limited.sort_by_key(|place| of_place(place).map(Entry::used_as));
        let memo = Memo::over(entries.len());
        Self { tables, organisations, entries, models, limited, facets, memo }
    }

    /// The facts of an organisation. Requests whose caller they are, and no copy of them, are remembered.
    #[must_use]
    pub fn organisation(&self, name: &TrustDomain) -> Option<&Organisation> {
        self.organisations.get(name).map(Arc::as_ref)
    }

    /// What offers are held against.
    #[must_use]
    pub fn tables(&self) -> Arc<Tables> {
        Arc::clone(&self.tables)
    }

    /// How many offers there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.entries.len()
    }

    /// True if there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The places of a model's offers.
    #[must_use]
    pub fn of_model(&self, model: &ModelName) -> &[usize] {
        self.models.get(model).map_or(&[], Vec::as_slice)
    }

    /// An offer by its place, which is that in the list that the index was made of.
    #[must_use]
    pub fn offer(&self, place: usize) -> Option<&Offer> {
        self.entries.get(place).map(|entry| &entry.offer)
    }

    /// Its name.
    #[must_use]
    pub fn name(&self, place: usize) -> Option<&OfferName> {
        self.entries.get(place).map(|entry| &entry.name)
    }

    /// Who operates it.
    #[must_use]
    pub fn operator(&self, place: usize) -> Option<&Organisation> {
        self.entries.get(place).map(|entry| entry.operator.as_ref())
    }

    /// The places of the offers that state a quota and of which a caller has used something.
    fn used(&self, used: &Usage) -> BTreeSet<usize> {
        let used_as = |place: &usize| self.entries.get(*place).map(Entry::used_as);
        let of = |wanted| {
            let first = self.limited.partition_point(|place| used_as(place) < Some(wanted));
            self.limited.iter().skip(first).take_while(move |place| used_as(place) == Some(wanted))
        };
        used.offers().flat_map(of).copied().collect()
    }

    /// How many classes there are, of all facets together.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.facets.iter().map(Classes::len).sum()
    }

    /// Forgets every answer, so that the next ones are made anew: for measurements.
    pub fn forget(&self) {
        self.memo.forget(|_| true);
    }

    /// Forgets the answers to what was demanded, and keeps what nodes say of callers: for measurements.
    pub fn forget_demands(&self) {
        self.memo.forget(|part| part == PartName::Demand);
    }

    /// Holds a request against every offer.
    #[must_use]
    pub fn ask(&self, request: &Request<'_>) -> Answer<'_> {
        const PARTS: [PartName; 4] = [PartName::Instant, PartName::Model, PartName::Use, PartName::Demand];
        // What is remembered of an organisation holds for the facts that the index has of it, and for no others.
        let own = self.organisation(&request.caller.trust_domain).is_some_and(|own| std::ptr::eq(own, request.caller));
        let parts = PARTS.map(|part| {
            let ask = || PartAnswer::new(self, part, request);
            if own { self.memo.get(part, request, ask) } else { Arc::new(ask()) }
        });
        // What a caller has used is another with every request, so that there is nothing to remember.
        let used = self.used(request.used);
        let usage = (!used.is_empty()).then(|| PartAnswer::of_some(self, PartName::Usage, request, &used));
        let mut eligible = Bits::all(self.entries.len());
        parts.iter().map(Arc::as_ref).chain(&usage).for_each(|part| eligible.keep(&part.eligible));
        Answer { index: self, parts, usage, eligible, words: RefCell::default() }
    }
}

/// What became of a request: the verdict on every offer.
#[derive(Debug)]
pub struct Answer<'i> {
    index: &'i Index,
    parts: [Arc<PartAnswer>; 4],
    /// What quotas say, where the caller has used anything that has one.
    usage: Option<PartAnswer>,
    eligible: Bits,
    /// Reasons in words, by facet and class: written once for all offers of the class, and gone with the answer.
    words: RefCell<Words>,
}

/// Reasons by facet and class.
type Words = BTreeMap<(usize, usize), Rc<[Reason]>>;

impl Answer<'_> {
    fn parts(&self) -> impl Iterator<Item = &PartAnswer> {
        self.parts.iter().map(Arc::as_ref).chain(&self.usage)
    }

    /// The places of the offers that are eligible.
    pub fn eligible(&self) -> impl Iterator<Item = usize> {
        self.eligible.iter()
    }

    /// How many offers are eligible.
    #[must_use]
    pub fn eligible_count(&self) -> usize {
        self.eligible.count()
    }

    /// True if the offer at a place is eligible.
    #[must_use]
    pub fn is_eligible(&self, place: usize) -> bool {
        self.eligible.contains(place)
    }

    /// When what made an eligible offer eligible ends, if it does.
    #[must_use]
    pub fn expires_at(&self, place: usize) -> Option<Timestamp> {
        self.parts().filter_map(|part| part.of(self.index, place).1).min()
    }

    /// The first instant from which a request that differs in nothing else may have another answer, if there is one.
    #[must_use]
    pub fn changes_at(&self) -> Option<Timestamp> {
        self.parts().filter_map(PartAnswer::changes_at).min()
    }

    /// The codes of every reason against an offer; none if it is eligible.
    #[must_use]
    pub fn codes(&self, place: usize) -> ReasonCodes {
        self.parts().fold(ReasonCodes::NONE, |codes, part| codes.union(part.of(self.index, place).0))
    }

    /// The codes of every reason against every offer, by its place.
    #[must_use]
    pub fn all_codes(&self) -> Vec<ReasonCodes> {
        let mut all = vec![ReasonCodes::NONE; self.eligible.len()];
        self.parts().for_each(|part| part.add_codes(self.index, &mut all));
        all
    }

    /// The verdict on the offer at a place, which is that of [`evaluate`](crate::evaluate()): `request` has to be the
    /// one that was asked.
    #[must_use]
    pub fn verdict(&self, place: usize, request: &Request<'_>) -> Verdict {
        if self.is_eligible(place) {
            return Verdict::Eligible { expires_at: self.expires_at(place) };
        }
        let mut reasons = Vec::new();
        for (facet, class) in self.parts().flat_map(|part| part.against(self.index, place)) {
            let mut words = self.words.borrow_mut();
            let write = || part::words(self.index, facet, class, request).into();
            reasons.extend(words.entry((facet, class)).or_insert_with(write).iter().cloned());
        }
        reasons.sort();
        reasons.dedup();
        Verdict::Rejected { reasons }
    }
}

#[cfg(test)]
mod tests;
