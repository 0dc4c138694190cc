//! A budget: what it is of, how much it grants, and to whom an account of its own.

use std::collections::{BTreeSet, HashMap};

use comity_types::{Digest, ModelName, Money, Name, OfferName, SpiffeId, Timestamp, TrustDomain};

use super::amount::Measure;
use super::period::Period;

/// Tokens that a request may write, where its budget says nothing else: what models answer at once, at most, and room for
/// twice that.
pub const OUTPUT_TOKENS_RESERVED: u64 = 4_096;

/// A budget of the operators of the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Budget {
    /// What it is called.
    pub name: Name,
    /// Requests of this organisation alone.
    pub organisation: Option<TrustDomain>,
    /// Requests of this app alone.
    pub app: Option<SpiffeId>,
    /// Requests for this model alone.
    pub model: Option<ModelName>,
    /// What is sent to this offer alone.
    pub offer: Option<OfferName>,
    /// Who or what has an account of its own; one account for all where it is empty.
    pub each: BTreeSet<Dimension>,
    /// How long what it grants is for; none where it limits nothing but calls at once.
    pub per: Option<Period>,
    /// What it grants an account.
    pub limits: Limits,
    /// Tokens that are reserved for the answer of a request.
    pub output_tokens_reserved: u64,
}

/// By what accounts are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dimension {
    /// The organisation that asks.
    Organisation,
    /// The app that asks.
    App,
    /// The model that is asked for.
    Model,
    /// The offer that is tried.
    Offer,
}

impl Dimension {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Organisation, Self::App, Self::Model, Self::Offer];

    /// Its name in files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Organisation => "organisation",
            Self::App => "app",
            Self::Model => "model",
            Self::Offer => "offer",
        }
    }
}

/// What an account may use; nothing is said of what is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests in a period.
    pub requests: Option<u64>,
    /// Tokens in a period, read and written together.
    pub tokens: Option<u64>,
    /// Tokens read in a period.
    pub input_tokens: Option<u64>,
    /// Tokens written in a period.
    pub output_tokens: Option<u64>,
    /// Money in a period.
    pub money: Option<Money>,
    /// Calls at once.
    pub concurrent: Option<u64>,
}

impl Limits {
    /// Of one kind.
    #[must_use]
    pub fn of(&self, measure: Measure) -> Option<u64> {
        match measure {
            Measure::Requests => self.requests,
            Measure::Tokens => self.tokens,
            Measure::InputTokens => self.input_tokens,
            Measure::OutputTokens => self.output_tokens,
            Measure::Money => self.money.as_ref().map(|money| money.micros),
            Measure::Concurrent => self.concurrent,
        }
    }

    /// All that there are.
    pub fn all(&self) -> impl Iterator<Item = (Measure, u64)> {
        Measure::ALL.into_iter().filter_map(|measure| Some((measure, self.of(measure)?)))
    }
}

impl Budget {
    /// Whether it is of what is sent to offers, so that it takes an offer away, and refuses no request.
    #[must_use]
    pub fn is_of_offers(&self) -> bool {
        self.offer.is_some() || self.each.contains(&Dimension::Offer)
    }

    /// Whether a request of `caller` for `model` is under it; where it is of offers, whether one that is sent to `offer` is.
    #[must_use]
    pub fn covers(&self, caller: &SpiffeId, model: &ModelName, offer: Option<&OfferName>) -> bool {
        self.is_of_offers() == offer.is_some()
            && self.organisation.as_ref().is_none_or(|of| of == caller.trust_domain())
            && self.app.as_ref().is_none_or(|of| of == caller)
            && self.model.as_ref().is_none_or(|of| of == model)
            && self.offer.as_ref().is_none_or(|of| Some(of) == offer)
    }

    /// What its accounts hold, as a digest: what it grants them may change, and they go on.
    #[must_use]
    pub fn kept_as(&self) -> Digest {
        let currency = self.limits.money.as_ref().map(|money| &money.currency);
        let Self { name, organisation, app, model, offer, each, per, output_tokens_reserved, limits: _ } = self;
        let text = format!(
            "{name:?} {organisation:?} {:?} {model:?} {offer:?} {each:?} {per:?} {output_tokens_reserved} {currency:?}",
            app.as_ref().map(SpiffeId::as_str)
        );
        Digest::of(text.as_bytes())
    }
}

/// All budgets of a broker.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Budgets {
    all: Vec<Budget>,
    /// Those that are of one organisation, so that a request is held against no other's.
    of_organisation: HashMap<TrustDomain, Vec<usize>>,
    of_all: Vec<usize>,
    /// What was decided before counts nothing.
    nothing_before: Option<Timestamp>,
}

impl Budgets {
    /// These, in the order of their file. What was decided before `nothing_before` counts nothing.
    #[must_use]
    pub fn new(all: Vec<Budget>, nothing_before: Option<Timestamp>) -> Self {
        let mut budgets = Self { all, nothing_before, ..Self::default() };
        for (place, budget) in budgets.all.iter().enumerate() {
            let of = budget.organisation.as_ref().or_else(|| budget.app.as_ref().map(SpiffeId::trust_domain));
            match of {
                Some(of) => budgets.of_organisation.entry(of.clone()).or_default().push(place),
                None => budgets.of_all.push(place),
            }
        }
        budgets
    }

    /// All of them, each with its place.
    pub fn all(&self) -> impl Iterator<Item = (usize, &Budget)> {
        self.all.iter().enumerate()
    }

    /// That of this place.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<&Budget> {
        self.all.get(place)
    }

    /// The instant before which nothing counts.
    #[must_use]
    pub const fn nothing_before(&self) -> Option<Timestamp> {
        self.nothing_before
    }

    /// Those that a request is under, or, with an offer, those that what is sent to it is under besides.
    pub fn of<'a>(
        &'a self,
        caller: &'a SpiffeId,
        model: &'a ModelName,
        offer: Option<&'a OfferName>,
    ) -> impl Iterator<Item = (usize, &'a Budget)> {
        let own = self.of_organisation.get(caller.trust_domain()).into_iter().flatten();
        let places = self.of_all.iter().chain(own).copied();
        let budgets = places.filter_map(|place| Some((place, self.all.get(place)?)));
        budgets.filter(move |(_, budget)| budget.covers(caller, model, offer))
    }
}
