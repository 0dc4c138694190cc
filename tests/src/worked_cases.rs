//! The worked cases of the vocabulary, and those of layers, cast with members that a live federation can have.
//!
//! Facts are those of an admission, and a case is about facts. So every different set of facts becomes an organisation
//! of its own, with what it demands and with the one app that asks, whose trust domain is numbered (`op-3.example`); and
//! an offer's id says its case. Nothing
//! else of a case is touched, and [`Cast::of`] shows by the engine that it still expects the same.

use std::collections::BTreeMap;

use comity_policy::cases::{self, Expectation, World};
use comity_policy::{Offer, Organisation, OrganisationFile, Tables, Verdict};
use comity_types::{OfferName, Place};

use crate::program::workspace;

/// Where the case file has its operator.
const OPERATOR: &str = "op.example";
/// Where it has its caller.
const CALLER: &str = "ca.example";
/// The case files; their ids are unique over all of them.
const FILES: [&str; 2] = ["vocabulary.toml", "layers.toml"];
/// The app of a case that names none: no layer speaks of it.
const SOME_APP: &str = "a1";

/// A case, with the names that its members have in the federation.
#[derive(Debug)]
pub struct Case {
    /// What is asked, and what is expected.
    pub expectation: Expectation,
    /// Where the broker is that is asked.
    pub broker: Place,
}

/// All cases.
#[derive(Debug)]
pub struct Cast {
    /// Each with its broker; none of the files is left out.
    pub cases: Vec<Case>,
}

/// Names organisations by their facts: the same facts, the same organisation.
#[derive(Default)]
struct Names(BTreeMap<String, String>);

impl Names {
    fn of(&mut self, facts: String, prefix: &str) -> String {
        let next = format!("{prefix}-{}.example", self.0.len() + 1);
        self.0.entry(facts).or_insert(next).clone()
    }
}

impl Cast {
    /// The cases of `vocabulary.toml` and `layers.toml`, for brokers at `places`: each goes to the first whose place leaves
    /// the engine's verdict as it is, or, where the case itself says where the broker is, to that one.
    ///
    /// # Panics
    /// If a case has no such broker, or other names change what the engine says.
    #[must_use]
    pub fn of(places: &[Place]) -> Self {
        let (mut operators, mut callers) = (Names::default(), Names::default());
        let cast = |expectation: Expectation| {
            let before = verdict(&expectation, world(&expectation).broker_places.as_ref());
            let expectation = renamed(expectation, &mut operators, &mut callers);
            let after = verdict(&expectation, world(&expectation).broker_places.as_ref());
            assert_eq!(before, after, "case {}: other names change the verdict", expectation.id);
            let broker = broker(&expectation, places);
            Case { expectation, broker }
        };
        let read = |file| std::fs::read_to_string(workspace().join("tests/cases").join(file)).unwrap();
        let all = FILES.into_iter().flat_map(|file| cases::parse(&read(file)).unwrap());
        Self { cases: all.map(cast).collect() }
    }

    /// The cases that a broker at `place` is asked.
    pub fn at<'a>(&'a self, place: &Place) -> impl Iterator<Item = &'a Case> {
        self.cases.iter().filter(|case| case.broker == *place)
    }

    /// The organisations that operate nodes at a broker, each with its offers.
    #[must_use]
    pub fn operators<'a>(&'a self, place: &Place) -> Vec<(&'a Organisation, Vec<Offer>)> {
        let mut all: BTreeMap<&str, (&Organisation, Vec<Offer>)> = BTreeMap::new();
        for World { operator, offer, .. } in self.at(place).map(|case| world(&case.expectation)) {
            let entry = all.entry(operator.trust_domain.as_str()).or_insert_with(|| (operator, Vec::new()));
            entry.1.push(offer.clone());
        }
        all.into_values().collect()
    }

    /// The organisations that call a broker, each with the name of its app.
    ///
    /// # Panics
    /// If what one demands cannot be used.
    #[must_use]
    pub fn callers(&self, place: &Place) -> Vec<(OrganisationFile, String)> {
        let caller = |case: &Case| {
            let world = world(&case.expectation);
            let app = world.app.as_ref().map_or(SOME_APP, |app| app.as_str()).to_owned();
            (world.caller.facts().trust_domain.clone(), (expanded(world), app))
        };
        self.at(place).map(caller).collect::<BTreeMap<_, _>>().into_values().collect()
    }
}

impl Case {
    /// The offer that it is about.
    #[must_use]
    pub fn offer(&self) -> OfferName {
        world(&self.expectation).offer.name()
    }
}

fn renamed(mut expectation: Expectation, operators: &mut Names, callers: &mut Names) -> Expectation {
    let operator = operators.of(serde_json::to_string(&world(&expectation).operator).unwrap(), "op");
    // Callers state things about operators by name, so that their facts are told apart under the new one.
    let of_operator = with_domain(world(&expectation), OPERATOR, &operator);
    let caller = callers.of(serde_json::to_string(&(&of_operator.caller, &of_operator.app)).unwrap(), "ca");
    let mut renamed = with_domain(&of_operator, CALLER, &caller);
    renamed.offer.id = format!("c{}", expectation.id.replace('/', "")).parse().unwrap();
    expectation.world = Ok(renamed);
    expectation
}

/// Who asks, with what it demands.
fn expanded(world: &World) -> OrganisationFile {
    world.caller.clone().expand(Tables::builtin().unwrap()).unwrap()
}

/// What a case is about; each of these files can be put together.
///
/// # Panics
/// If one cannot.
#[must_use]
pub fn world(expectation: &Expectation) -> &World {
    expectation.world.as_ref().unwrap_or_else(|problem| panic!("case {}: {problem}", expectation.id))
}

/// The world with another trust domain, wherever it stands: a name of the case file is nowhere a part of another.
fn with_domain(world: &World, old: &str, new: &str) -> World {
    serde_json::from_str(&serde_json::to_string(world).unwrap().replace(old, new)).unwrap()
}

fn broker(expectation: &Expectation, places: &[Place]) -> Place {
    let given = world(expectation).broker_places.as_ref();
    let expected = verdict(expectation, given);
    let fits = |place: &&Place| match given {
        Some(given) => given.iter().eq([*place]),
        None => verdict(expectation, Some(&[(*place).clone()].into())) == expected,
    };
    let found = places.iter().find(fits);
    found.unwrap_or_else(|| panic!("case {}: no broker is where its verdict stays", expectation.id)).clone()
}

/// What the engine says of a case, for a broker at these places.
fn verdict(expectation: &Expectation, places: Option<&std::collections::BTreeSet<Place>>) -> Verdict {
    let world = world(expectation);
    let tables = Tables::builtin().unwrap();
    let file = world.require.clone().expand(tables).unwrap();
    let caller = expanded(world);
    let demanded = caller.layers.demanded(world.app.as_ref(), &file.requirements);
    let request = comity_policy::Request {
        caller: &caller.facts,
        model: world.model.as_ref(),
        capability: world.capability,
        declared: &file.declared,
        requirements: &demanded.requirements,
        broker_places: places,
        used: &world.used,
        as_of: world.as_of,
    };
    comity_policy::evaluate(&world.offer, &world.operator, &request, tables)
}
