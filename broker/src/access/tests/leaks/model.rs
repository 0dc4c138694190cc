//! What a federation is to somebody who does not know the engine: who sits where, what is offered under which few terms, and
//! who is out. [`Model::allows`] is the policy of that, in plain words.

use std::collections::{BTreeMap, BTreeSet};

use comity_policy::terms::Quota;
use comity_policy::{Claim, Offer};
use comity_proto::policy;

/// Places, with what is in the EU first.
pub(super) const PLACES: [&str; 5] = ["DE", "FR", "US", "CH", "JP"];
/// How many of them are in the EU.
const IN_THE_EU: usize = 2;
/// What is offered.
pub(super) const MODELS: [&str; 2] = ["test-model", "other-model"];

/// Numbers that look random and follow from a seed: SplitMix64.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    pub(super) const fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub(super) const fn percent(&mut self, chance: u64) -> bool {
        self.below(100) < chance
    }

    pub(super) fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let index = self.below(of.len() as u64);
        &of[usize::try_from(index).unwrap()]
    }
}

/// A set of places: some, or the EU.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Places {
    Eu,
    These(BTreeSet<&'static str>),
}

impl Places {
    fn draw(dice: &mut Dice) -> Self {
        if dice.percent(30) {
            return Self::Eu;
        }
        let count = 1 + dice.below(3);
        Self::These((0..count).map(|_| *dice.one(&PLACES)).collect())
    }

    fn have(&self, place: &str) -> bool {
        match self {
            Self::Eu => PLACES[..IN_THE_EU].contains(&place),
            Self::These(places) => places.contains(place),
        }
    }

    fn names(&self) -> Vec<String> {
        match self {
            Self::Eu => vec!["EU".to_owned()],
            Self::These(places) => places.iter().map(ToString::to_string).collect(),
        }
    }

    fn on_the_wire(&self) -> policy::PlaceSet {
        policy::PlaceSet { places: self.names() }
    }
}

/// What is offered, as far as anybody here demands or states it.
#[derive(Debug, Clone)]
pub(super) struct Offered {
    pub(super) model: &'static str,
    place: &'static str,
    /// How many days prompts are kept; none are if absent.
    kept_days: Option<u32>,
    trains: bool,
    price: u64,
    /// Whose seat may be where; anywhere if absent.
    served: Option<Places>,
    /// Requests that it grants an organisation a day: what takes offers away, and adds none.
    quota: Option<u32>,
}

impl Offered {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        Self {
            model: if dice.percent(80) { MODELS[0] } else { MODELS[1] },
            place: *dice.one(&PLACES),
            kept_days: dice.percent(50).then(|| 1 + u32::try_from(dice.below(30)).unwrap()),
            trains: dice.percent(30),
            price: 1 + dice.below(9),
            served: dice.percent(60).then(|| Places::draw(dice)),
            quota: dice.percent(20).then(|| 1 + u32::try_from(dice.below(40)).unwrap()),
        }
    }

    /// As it is published.
    pub(super) fn as_offer(&self, id: &str, node: &str) -> Offer {
        let Self { model, place, price, .. } = self;
        let retention =
            self.kept_days.map(|days| format!("{{ data = 'content', trigger = 'routine', max_days = {days} }}"));
        let training = if self.trains { "opt-out" } else { "never" };
        let served =
            self.served.as_ref().map_or_else(|| "'everyone'".to_owned(), |served| format!("{:?}", served.names()));
        let text = format!(
            "id = '{id}'
            node = '{node}'
            model = '{model}'
            capabilities = ['chat', 'embed', 'forward']
            processing_locations = ['{place}']
            sub_processors = []
            storage_locations = ['{place}']
            access_locations = ['{place}']
            licence = 'Apache-2.0'
            price = {{ currency = 'EUR', input_micros_per_million_tokens = {price}, output_micros_per_million_tokens = {price} }}
            [terms]
            retention = [{}]
            training_use = '{training}'
            allowed_purposes = ['{}']
            caller_rules = {{ served = {served} }}",
            retention.unwrap_or_default(),
            super::super::world::PURPOSE,
        );
        let mut offer: Offer = toml::from_str(&text).unwrap();
        offer.terms.as_mut().unwrap().quota =
            self.quota.map(|requests_per_day| Claim::always(Quota { requests_per_day }));
        offer
    }
}

/// What a request demands.
#[derive(Debug, Clone)]
pub(super) struct Demands {
    pub(super) model: &'static str,
    within: Option<Places>,
    not_in: Option<Places>,
    operator_in: Option<Places>,
    most_days: Option<u32>,
    no_training: bool,
    most: Option<u64>,
}

impl Demands {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        Self {
            model: if dice.percent(85) { MODELS[0] } else { MODELS[1] },
            within: dice.percent(50).then(|| Places::draw(dice)),
            not_in: dice.percent(25).then(|| Places::draw(dice)),
            operator_in: dice.percent(25).then(|| Places::draw(dice)),
            most_days: dice.percent(40).then(|| u32::try_from(dice.below(30)).unwrap()),
            no_training: dice.percent(40),
            most: dice.percent(20).then(|| 1 + dice.below(9)),
        }
    }

    pub(super) fn on_the_wire(&self) -> policy::Requirements {
        let one = |places: &Option<Places>| places.iter().map(Places::on_the_wire).collect();
        policy::Requirements {
            allowed_processing_locations: one(&self.within),
            forbidden_processing_locations: self.not_in.as_ref().map(Places::on_the_wire),
            allowed_operator_seats: one(&self.operator_in),
            retention_limits: self
                .most_days
                .iter()
                .map(|days| policy::RetentionLimit { max_content_retention_days: *days, ..Default::default() })
                .collect(),
            no_training: self.no_training,
            max_prices: self
                .most
                .iter()
                .map(|most| policy::Price {
                    currency: "EUR".into(),
                    input_micros_per_million_tokens: *most,
                    output_micros_per_million_tokens: *most,
                })
                .collect(),
            ..Default::default()
        }
    }
}

/// A federation at one epoch.
#[derive(Debug, Clone, Default)]
pub(super) struct Model {
    /// Where each organisation has its seat.
    pub(super) seats: BTreeMap<String, &'static str>,
    /// Offers by name.
    pub(super) offers: BTreeMap<String, Offered>,
    /// Organisations and members that are suspended.
    pub(super) out: BTreeSet<String>,
}

impl Model {
    /// Whether a member takes part.
    fn takes_part(&self, member: &str) -> bool {
        !self.out.contains(member) && !self.out.contains(domain_of(member))
    }

    /// Whether `caller` may have this of `offer`, which is `node`'s.
    pub(super) fn allows(&self, caller: &str, demands: &Demands, node: &str, offer: &str) -> bool {
        let Some(offered) = self.offers.get(offer) else { return false };
        let seat = |member: &str| self.seats[domain_of(member)];
        let inside = |places: &Option<Places>, place: &str| places.as_ref().is_none_or(|places| places.have(place));
        self.takes_part(caller)
            && self.takes_part(node)
            && offered.model == demands.model
            && inside(&demands.within, offered.place)
            && !demands.not_in.as_ref().is_some_and(|places| places.have(offered.place))
            && inside(&demands.operator_in, seat(node))
            && offered.kept_days.is_none_or(|days| demands.most_days.is_none_or(|most| days <= most))
            && !(demands.no_training && offered.trains)
            && demands.most.is_none_or(|most| offered.price <= most)
            && inside(&offered.served, seat(caller))
    }
}

/// `spiffe://n0.example/node/n1` is of `n0.example`.
pub(super) fn domain_of(member: &str) -> &str {
    member.trim_start_matches("spiffe://").split('/').next().unwrap_or_default()
}
