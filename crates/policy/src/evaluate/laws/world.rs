//! Worlds: a good one in JSON, with a few things in it changed at random.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use comity_types::{ModelName, Place, Timestamp};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde::Deserialize;
use serde_json::{Value, json};

use super::demands::{self, declared, demand, families, read_by};
use super::facts::{GOOD, OF_OFFERS, OF_ORGANISATIONS, PLAIN, TOGETHER};
use crate::evaluate::Verdict;
use crate::requirements::{RequirementsFile, RequirementsTable};
use crate::tables::TableName;
use crate::{Capability, Offer, Organisation, Request, Requirements, Tables, Usage};

/// Days around which something changes: of blocs, of laws, of certificates, of the claims here.
pub(crate) const DAYS: [&str; 9] = [
    "2020-01-31",
    "2020-02-01",
    "2026-11-21",
    "2026-11-22",
    "2026-11-23",
    "2026-12-01",
    "2026-12-02",
    "2031-12-27",
    "2031-12-28",
];

/// The tables that ship, with an auditor, a verifier, a licence whose territory binds callers too, and licences that
/// ask for a number of users: `unstated = "below"` is a row's choice that lets silence pass, so that L2 is none of its
/// business.
pub(crate) fn tables() -> &'static Tables {
    static TABLES: LazyLock<Tables> = LazyLock::new(|| {
        let more = "about = ''\ninstrument = ''\nsource = ''\nrecorded_at = 2026-11-23\nverified = true\n";
        let issuers = TableName::Issuers.builtin().to_owned()
            + &format!(
                "\n[[issuer]]\nid = 'AUDITOR'\nup_to = 'audited'\n{more}\n[[issuer]]\nid = 'VERIFIER'\nup_to = 'attested'\n{more}"
            );
        let both = "\n[[rule]]\nlicence = 'LicenseRef-Both'\nbinds = 'operator-and-caller'\nterritory = { excluded = ['EEA'] }\ninstrument = ''\nsource = ''\nrecorded_at = 2026-11-23\nverified = true\n";
        let licences = TableName::Licences.builtin().replace("unstated = \"below\"", "unstated = \"unknown\"") + both;
        let changed = [(TableName::Issuers, issuers), (TableName::Licences, licences)];
        let text = |name| match changed.iter().find(|(changed, _)| *changed == name) {
            Some((_, text)) => text.as_str(),
            None => name.builtin(),
        };
        Tables::parse(text).unwrap()
    });
    &TABLES
}

/// Everything that a verdict is computed from, as JSON, so that it can be changed field by field.
#[derive(Debug, Clone)]
pub(crate) struct World(pub(crate) Value);

/// The same, read.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Read {
    pub(crate) as_of: Timestamp,
    broker_places: Option<BTreeSet<Place>>,
    model: Option<ModelName>,
    used: Usage,
    pub(crate) offer: Offer,
    pub(crate) operator: Organisation,
    pub(crate) caller: Organisation,
    require: RequirementsTable,
    #[serde(skip)]
    pub(crate) file: RequirementsFile,
}

/// The good world, in which every claim is stated but the quota.
pub(crate) fn stated() -> Read {
    World(read(GOOD)).read()
}

impl World {
    pub(crate) fn read(&self) -> Read {
        let mut read: Read = serde_json::from_value(self.0.clone()).unwrap_or_else(|error| panic!("{error}: {self:?}"));
        read.file = read.require.clone().expand(tables()).unwrap();
        read
    }

    /// What is stated at a path; `None` if nothing is, or what would hold it is not there.
    pub(crate) fn at(&mut self, path: &str) -> Option<&mut Value> {
        let at = path.split('.').try_fold(&mut self.0, |value, key| value.get_mut(key))?;
        (!at.is_null()).then_some(at)
    }

    /// States something at a path, if what holds it is there.
    pub(crate) fn set(&mut self, path: &str, value: Value) {
        let (holder, key) = path.rsplit_once('.').unwrap_or(("", path));
        let holder = if holder.is_empty() { Some(&mut self.0) } else { self.at(holder) };
        if let Some(Value::Object(fields)) = holder {
            fields.insert(key.to_owned(), value);
        }
    }

    /// The paths of the claims that are not as in the good world.
    pub(crate) fn changed_claims(&self) -> Vec<String> {
        let (mut good, mut own) = (Self(read(GOOD)), self.clone());
        let paths = claims().into_iter().map(|(path, _)| path);
        paths.filter(|path| own.at(path).is_some() && own.at(path) != good.at(path)).collect()
    }

    /// The same at another instant.
    pub(crate) fn at_instant(&self, as_of: Timestamp) -> Self {
        let mut world = self.clone();
        world.set("as_of", json!(as_of.to_string()));
        world
    }
}

impl Read {
    pub(crate) fn request<'a>(&'a self, requirements: &'a Requirements) -> Request<'a> {
        Request {
            caller: &self.caller,
            model: self.model.as_ref(),
            capability: Capability::Chat,
            declared: &self.file.declared,
            requirements,
            broker_places: self.broker_places.as_ref(),
            used: &self.used,
            as_of: self.as_of,
        }
    }

    pub(crate) fn verdict(&self, requirements: &Requirements) -> Verdict {
        crate::evaluate(&self.offer, &self.operator, &self.request(requirements), tables())
    }

    pub(crate) fn node_verdict(&self, requirements: &Requirements) -> Verdict {
        crate::evaluate_node_side(&self.offer, &self.operator, &self.request(requirements), tables())
    }

    /// By its own requirements.
    pub(crate) fn own(&self) -> Verdict {
        self.verdict(&self.file.requirements)
    }

    pub(crate) fn is_eligible(&self, requirements: &Requirements) -> bool {
        matches!(self.verdict(requirements), Verdict::Eligible { .. })
    }
}

/// The paths of all claims.
pub(crate) fn claims() -> Vec<(String, &'static [&'static str])> {
    let of_offers = OF_OFFERS.iter().map(|(_, path, values)| ((*path).to_owned(), *values));
    let of = |who: &'static str| OF_ORGANISATIONS.iter().map(move |(path, values)| (format!("{who}.{path}"), *values));
    of_offers.chain(of("operator")).chain(of("caller")).collect()
}

/// Something that is changed in a world.
type Change = (String, Value);

/// What decides which change it is, whatever the path.
#[derive(Debug, Clone)]
struct Dice {
    value: Index,
    other: Index,
    statements: Option<Vec<Value>>,
    rules: Value,
}

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The good world.
pub(super) fn good() -> World {
    World(read(GOOD))
}

fn dice() -> impl Strategy<Value = Dice> {
    (any::<Index>(), any::<Index>(), circumstances(), ownership_rules())
        .prop_map(|(value, other, statements, rules)| Dice { value, other, statements, rules })
}

impl Dice {
    fn change(self, path: &str) -> Change {
        let claims = claims();
        let claim = claims.iter().find(|(claim, _)| claim == path).map(|(_, values)| *values);
        let plain = PLAIN.iter().find(|(plain, _)| *plain == path).map(|(_, values)| *values);
        let value = match (claim, plain) {
            (Some(values), _) => self.claim(values),
            (None, Some(values)) => read(self.value.get::<&str>(values)),
            (None, None) if path == RULES => self.rules,
            (None, None) => panic!("nothing is known of {path}"),
        };
        (path.to_owned(), value)
    }

    fn claim(self, values: &[&str]) -> Value {
        let Some(mut statements) = self.statements else { return Value::Null };
        let last = statements.len() - 1;
        for (number, statement) in statements.iter_mut().enumerate() {
            let which = if number == last { &self.value } else { &self.other };
            statement["value"] = read(which.get::<&str>(values));
        }
        match statements.as_mut_slice() {
            [Value::Object(fields)] if fields.len() == 1 => fields["value"].take(),
            [one] => one.take(),
            _ => json!({ "statements": statements }),
        }
    }
}

pub(super) const RULES: &str = "offer.terms.caller_rules.ownership";

/// A change of anything.
fn anything() -> impl Strategy<Value = Vec<Change>> {
    let paths = claims().into_iter().map(|(path, _)| path);
    let all: Vec<_> = paths.chain(PLAIN.iter().map(|(path, _)| (*path).to_owned())).chain([RULES.to_owned()]).collect();
    (select(all), dice()).prop_map(|(path, dice)| vec![dice.change(&path)])
}

/// Something that is asked, and a change of what it is held against.
fn asked() -> impl Strategy<Value = Vec<Change>> {
    let asked = prop_oneof![4 => demand().boxed(), 1 => declared().boxed()];
    (asked, proptest::collection::vec((any::<Index>(), dice()), 0..4)).prop_map(|(asked, picks)| {
        let paths = read_by(&asked);
        let keys = asked.as_object().unwrap().iter().map(|(key, value)| (format!("require.{key}"), value.clone()));
        let picks = picks.into_iter().filter(|_| !paths.is_empty());
        keys.chain(picks.map(|(which, dice)| dice.change(which.get::<String>(&paths)))).collect()
    })
}

/// Changes of things that are held against one another.
fn together() -> impl Strategy<Value = Vec<Change>> {
    (select(TOGETHER), proptest::collection::vec(dice(), 3))
        .prop_map(|(paths, dice)| paths.iter().zip(dice).map(|(path, dice)| dice.change(path)).collect())
}

/// How a claim is stated: not at all, or by one or two statements, each with or without dates, assurance and so on.
fn circumstances() -> impl Strategy<Value = Option<Vec<Value>>> {
    let dates = proptest::sample::subsequence(DAYS.to_vec(), 2);
    let assured = (
        select(vec!["self-declared", "registry-corroborated", "audited", "attested"]),
        select(vec!["GLEIF", "AUDITOR", "VERIFIER", "somebody"]),
        select(vec!["affirming", "warning", "none", "contraindicated"]),
    );
    let dated = |dates: &[&str], which: usize| match which {
        0 => json!({ "from": dates[0] }),
        1 => json!({ "until": dates[1] }),
        2 => json!({ "from": dates[0], "until": dates[1] }),
        3 => json!({ "issued_at": dates[0] }),
        4 => json!({ "revoked_at": dates[0] }),
        _ => json!({}),
    };
    let own = (dates.clone(), 0..10_usize).prop_map(move |(dates, which)| dated(&dates, which));
    let of_another = (dates, 0..12_usize, assured).prop_map(move |(dates, which, (level, issuer, appraisal))| {
        let mut statement = dated(&dates, which);
        statement["assurance"] = level.into();
        statement["issuer"] = issuer.into();
        statement["appraisal"] = appraisal.into();
        statement
    });
    prop_oneof![
        1 => Just(None),
        5 => own.clone().prop_map(|one| Some(vec![one])),
        3 => of_another.clone().prop_map(|one| Some(vec![one])),
        3 => (own, of_another).prop_map(|(one, other)| Some(vec![one, other])),
    ]
}

/// A rule on ownership, with all that it may say.
pub(super) fn ownership_rules() -> impl Strategy<Value = Value> {
    let target = select(vec![r#""places-not-served""#, r#"["US","CN"]"#, r#"["EU"]"#, r#"{"lists":["SDN"]}"#]);
    let interests = select(vec!["[]", r#"["shareholding"]"#, r#"["voting-rights","golden-share"]"#]);
    let in_force =
        select(vec!["[]", r#"[{"until":"2026-11-22"},{"from":"2026-12-01"}]"#, r#"[{"from":"2026-11-22"}]"#]);
    let rule = (
        (target, select(vec!["ownership", "control", "either"]), interests, in_force),
        (
            select(vec!["more-than", "at-least"]),
            select(vec![2_500, 5_000]),
            any::<bool>(),
            select(vec!["cascade", "look-through"]),
        ),
    );
    proptest::collection::vec(rule, 1..3).prop_map(|rules| {
        rules
            .into_iter()
            .enumerate()
            .map(|(index, ((target, test, interests, in_force), (comparison, bp, aggregate, indirect)))| {
                json!({
                    "id": format!("R{index}"), "target": read(target), "test": test, "interests": read(interests),
                    "in_force": read(in_force), "comparison": comparison, "threshold_bp": bp, "aggregate": aggregate,
                    "indirect": indirect,
                })
            })
            .collect()
    })
}

/// Two layers that demand the same in different ways, and a world with the first of them and with changes of what they
/// read: mere chance would seldom bring these together.
pub(crate) fn theme() -> impl Strategy<Value = (World, Requirements, Requirements)> {
    let picks = || proptest::collection::vec(any::<Index>(), 1..3);
    let changes = proptest::collection::vec((any::<Index>(), dice()), 1..3);
    let as_of = prop_oneof![2 => Just("2026-11-22"), 1 => select(DAYS.to_vec())];
    (select(families()), changes, picks(), picks(), as_of).prop_map(|(family, changes, one, other, as_of)| {
        let layer = |picks: &[Index]| {
            let all = picks.iter().map(|pick| demands::of(pick.get::<Value>(&family).clone()));
            all.fold(Requirements::default(), Requirements::meet)
        };
        let (first, mut world) = (one[0].get::<Value>(&family), World(read(GOOD)));
        let paths = read_by(first);
        for (path, value) in changes.into_iter().map(|(which, dice)| dice.change(which.get::<String>(&paths))) {
            world.set(&path, value);
        }
        for (key, value) in first.as_object().unwrap() {
            world.set(&format!("require.{key}"), value.clone());
        }
        world.set("as_of", as_of.into());
        (world, layer(&one), layer(&other))
    })
}

/// The good world with a few changes, and with some demands of its own.
pub(crate) fn world() -> impl Strategy<Value = World> {
    prop_oneof![2 => mixed(), 1 => theme().prop_map(|(world, ..)| world)]
}

fn mixed() -> impl Strategy<Value = World> {
    let change = prop_oneof![4 => asked(), 2 => together(), 1 => anything()];
    let as_of = prop_oneof![3 => Just("2026-11-22"), 1 => select(DAYS.to_vec())];
    (proptest::collection::vec(change, 0..4), as_of).prop_map(|(changes, as_of)| {
        let mut world = World(read(GOOD));
        for (path, value) in changes.into_iter().flatten() {
            world.set(&path, value);
        }
        world.set("as_of", as_of.into());
        world
    })
}

#[test]
fn every_claim_is_among_the_facts() {
    let offers = OF_OFFERS.iter().map(|(path, ..)| (*path).to_owned());
    let organisations = OF_ORGANISATIONS.iter().map(|(path, _)| format!("operator.{path}"));
    let known: BTreeSet<String> = offers.chain(organisations).collect();
    assert_eq!(known, crate::evaluate::ASSURANCE_PATHS.iter().map(|path| (*path).to_owned()).collect());
}

#[test]
fn nothing_speaks_against_the_good_world() {
    let good = World(read(GOOD)).read();
    assert_eq!(good.own().reasons(), []);
    for (path, values) in claims() {
        for value in values {
            let mut world = World(read(GOOD));
            world.set(&path, read(value));
            world.read();
        }
    }
}
