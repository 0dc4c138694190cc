//! What an index has and what it remembers, on offers that a person can count.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_types::ModelName;

use super::super::{Answer, Index};
use crate::evaluate::facet::FACETS;
use crate::evaluate::laws::world::tables;
use crate::requirements::RequirementsFile;
use crate::{Capability, Declared, Offer, Organisation, ReasonCode, Request, Requirements, Usage, evaluate};

fn offer(operator: &str, node: &str, model: &str, more: &str) -> Offer {
    let text = format!(
        "id = 'o'\nnode = 'spiffe://{operator}/node/{node}'\nmodel = '{model}'\ncapabilities = ['chat']\n{more}"
    );
    toml::from_str(&text).unwrap()
}

fn organisation(name: &str) -> Organisation {
    toml::from_str(&format!("trust_domain = '{name}'\nname = 'ORG'\nseat = 'FR'")).unwrap()
}

/// Two offers of model `a`, one of model `b`, and one whose operator nobody knows.
fn index() -> Index {
    let offers = [
        offer("op.example", "n1", "a", ""),
        offer("op.example", "n2", "b", ""),
        offer("nobody.example", "n3", "b", ""),
        offer("op.example", "n4", "a", "in_force = { until = 2027-01-01 }"),
    ];
    let organisations = ["op.example", "ca.example", "cb.example"].map(organisation);
    Index::new(organisations, offers, Arc::new(tables().clone()))
}

fn model(name: &str) -> ModelName {
    name.parse().unwrap()
}

#[test]
fn an_index_has_the_offers_whose_operator_it_knows_in_their_order() {
    let index = index();
    assert_eq!((index.len(), index.is_empty()), (3, false));
    assert_eq!((index.of_model(&model("a")), index.of_model(&model("b"))), ([0, 2].as_slice(), [1].as_slice()));
    assert!(index.of_model(&model("c")).is_empty());
    assert_eq!((index.offer(1).unwrap().model.clone(), index.offer(3)), (model("b"), None));
    assert_eq!(index.operator(1), index.organisation(&"op.example".parse().unwrap()));
    let none = Index::new([], [offer("op.example", "n1", "a", "")], Arc::new(tables().clone()));
    assert_eq!((none.len(), none.is_empty(), none.classes()), (0, true, 0));
}

#[test]
fn offers_are_in_one_class_until_a_facet_tells_them_apart() {
    let of =
        |offers: Vec<Offer>| Index::new([organisation("op.example")], offers, Arc::new(tables().clone())).classes();
    let one = || offer("op.example", "n1", "a", "");
    // Nothing is read of an offer whose terms nobody has to accept, and that has no rule on owners and no quota; three
    // claims are read of what becomes of content, and as many of where it goes.
    let bare = FACETS.len() - 3 + 2 + 2;
    assert_eq!(of(vec![one()]), bare);
    // How far somebody stands behind claims is asked of each offer by itself.
    assert_eq!(of(vec![one(), offer("op.example", "n2", "a", "")]), bare + 1);
    // The version of terms that nobody has to accept tells nobody apart.
    let versions = ["1", "2"].map(|version| offer("op.example", version, "a", &format!("terms.version = {version}")));
    let served = versions.map(|mut offer| {
        offer.terms.as_mut().unwrap().caller_rules = toml::from_str("served = 'everyone'").unwrap();
        offer
    });
    assert_eq!(of(served.into()), bare + 1);
    assert_eq!(of(vec![one(), offer("op.example", "n2", "b", "")]), bare + 2);
    // Certificates may cover some models alone: where one does, the model is read with them.
    let certified = ["a", "b"].map(|model| {
        let held = "terms.certifications = [{ scheme = 'ISO27001', edition = '2022', scope_services = ['a'] }]";
        offer("op.example", "n", model, held)
    });
    assert_eq!(of(certified.into()), bare + 3);
    // Places are judged one by one, so that two lists of two places have three classes.
    let placed = ["'DE', 'FR'", "'FR', 'US'"]
        .map(|places| offer("op.example", "n", "a", &format!("processing_locations = [{places}]")));
    // They are read twice: for where they may be, and for what leaves the caller's.
    assert_eq!(of(placed.into()), bare + 1 + 2 + 2);
}

#[test]
fn two_statements_of_one_operator_are_held_apart() {
    let allowed = RequirementsFile::from_toml("allowed_operator_seats = ['FR']", tables()).unwrap();
    let moved = Organisation { seat: Some(crate::Claim::always("US".parse().unwrap())), ..organisation("op.example") };
    let pairs = [organisation("op.example"), moved].map(|operator| (offer("op.example", "n", "a", ""), operator));
    let index = Index::of_pairs(pairs, Arc::new(tables().clone()));
    let caller = organisation("ca.example");
    let request = Request::any(&caller, &allowed);
    let refused = |place| index.ask(&request).codes(place).contains(ReasonCode::OperatorSeatNotAllowed);
    assert_eq!([refused(0), refused(1)], [false, true]);
    for place in [0, 1] {
        let expected = evaluate(index.offer(place).unwrap(), index.operator(place).unwrap(), &request, tables());
        assert_eq!(index.ask(&request).verdict(place, &request), expected);
    }
}

#[test]
fn two_offers_of_one_name_are_held_apart() {
    let audited = RequirementsFile::from_toml("min_assurance = { licence = 'audited' }", tables()).unwrap();
    let offers = ["'MIT'", "{ value = 'MIT', assurance = 'audited', issuer = 'AUDITOR' }"]
        .map(|licence| offer("op.example", "n", "a", &format!("licence = {licence}")));
    let index = Index::new([organisation("op.example")], offers, Arc::new(tables().clone()));
    let caller = organisation("ca.example");
    let request = Request::any(&caller, &audited);
    let refused = |place| index.ask(&request).codes(place).contains(ReasonCode::AssuranceTooLow);
    assert_eq!([refused(0), refused(1)], [true, false]);
}

#[test]
fn an_answer_is_of_every_offer_each_for_itself_and_all_together() {
    let served = "terms = { allowed_purposes = ['dpv:Purpose'], caller_rules = { served = 'everyone' } }";
    // More than a word of bits, and every third of them serves nobody.
    let of = |place: usize| {
        let more = if place.is_multiple_of(3) { "" } else { served };
        offer(
            "op.example",
            &format!("n{place}"),
            "a",
            &format!("licence = 'MIT'\nin_force = {{ until = 2027-01-01 }}\n{more}"),
        )
    };
    let index = Index::new([organisation("op.example")], (0..100).map(of), Arc::new(tables().clone()));
    let file = RequirementsFile::from_toml("purposes = ['dpv:Purpose']", tables()).unwrap();
    let caller = organisation("ca.example");
    let request = Request::any(&caller, &file);
    let answer = index.ask(&request);
    let eligible: Vec<_> = (0..100).filter(|place: &usize| !place.is_multiple_of(3)).collect();
    assert_eq!(answer.eligible().collect::<Vec<_>>(), eligible);
    assert_eq!(answer.eligible_count(), eligible.len());
    let all = answer.all_codes();
    assert_eq!(all.len(), 100);
    for (place, codes) in all.into_iter().enumerate() {
        let is = !place.is_multiple_of(3);
        assert_eq!((answer.is_eligible(place), answer.codes(place).is_empty(), codes.is_empty()), (is, is, is));
        assert_eq!(answer.expires_at(place), Some("2027-01-01".parse().unwrap()));
    }
}

/// What may be asked for, and how many facets more than those of every request it takes to answer.
const ASKS: &[(&str, usize)] = &[
    ("ai_act_tags = ['eu-aiact:A5-1-c']", 1),
    ("classifications = [{ scheme = 'UK-GSC', level = 'SECRET' }]", 1),
    ("data_categories = ['pd:Name']", 1),
    ("required_capabilities = ['tools']", 0),
    ("allowed_processing_locations = ['EU']", 2),
    ("forbidden_processing_locations = ['US']", 2),
    ("allowed_storage_locations = ['EU']", 1),
    ("forbidden_storage_locations = ['US']", 1),
    ("allowed_access_locations = ['EU']", 1),
    ("forbidden_access_locations = ['US']", 1),
    ("forbidden_sub_processors = ['S']", 1),
    ("transfer_basis_outside = ['EEA']", 2),
    ("allowed_operator_seats = ['EU']", 1),
    ("allowed_controller_seats = ['EU']", 1),
    ("forbidden_controller_seats = ['US']", 1),
    ("foreign_ownership = { home = ['EU'], individual_bp = 1, aggregate_bp = 1 }", 1),
    ("no_exposure = ['US-CLOUD-ACT']", 2),
    ("max_content_retention_days = 0", 1),
    ("no_human_review = true", 1),
    ("no_content_logging = true", 1),
    ("no_training = true", 1),
    ("required_certifications = [{ scheme = 'SOC2' }]", 1),
    ("min_seal = { SOV-1 = 1 }", 1),
    ("min_cada_level = 1", 1),
    ("min_gaiax_label = 1", 1),
    ("min_safety_grade = 'fair'", 1),
    ("min_assurance = { seal = 'audited' }", 1),
    ("allowed_licences = ['MIT']", 1),
    ("allowed_governing_laws = ['EU']", 1),
    ("min_liability_cap = { currency = 'EUR', micros = 1 }", 1),
    ("min_support = 'business-hours'", 1),
    ("min_availability_bp = 9000", 1),
    ("max_price = { currency = 'EUR', input_micros_per_million_tokens = 1, output_micros_per_million_tokens = 1 }", 1),
];

#[test]
fn only_the_facets_are_asked_that_a_request_is_about() {
    let caller = organisation("ca.example");
    let asked = |text: &str, model: Option<&ModelName>, broker_places: Option<&BTreeSet<_>>| {
        let file = RequirementsFile::from_toml(text, tables()).unwrap();
        let request = Request {
            caller: &caller,
            model,
            capability: Capability::Chat,
            declared: &file.declared,
            requirements: &file.requirements,
            broker_places,
            used: Usage::none(),
            as_of: "2026-11-22".parse().unwrap(),
        };
        FACETS.iter().filter(|facet| facet.is_asked(&request)).count()
    };
    // In force, its capabilities, its licence, its callers and their owners, the terms they accepted, their purposes.
    let always = asked("", None, None);
    assert_eq!(always, 7);
    for (text, more) in ASKS {
        assert_eq!(asked(text, None, None), always + more, "{text}");
    }
    assert_eq!(asked("", Some(&model("a")), None), always + 1);
    let used = [("op.example/n1/chat".parse().unwrap(), 1)].into_iter().collect();
    let nothing = RequirementsFile::from_toml("", tables()).unwrap();
    let request = Request { used: &used, ..Request::any(&caller, &nothing) };
    assert_eq!(FACETS.iter().filter(|facet| facet.is_asked(&request)).count(), always + 1);
    let places = BTreeSet::from(["DE".parse().unwrap()]);
    assert_eq!(asked("", None, Some(&places)), always);
    assert_eq!(asked("allowed_processing_locations = ['EU']", None, Some(&places)), always + 3);
}

/// Which parts of two answers are one answer: that of the instant, the model, the use and the demands.
fn same(one: &Answer<'_>, other: &Answer<'_>) -> [bool; 4] {
    std::array::from_fn(|part| Arc::ptr_eq(&one.parts[part], &other.parts[part]))
}

#[test]
fn an_answer_is_remembered_by_what_it_was_given_to_and_for_as_long_as_it_stands() {
    let index = index();
    let (declared, requirements) = (Declared::default(), Requirements::default());
    let (a, b) = (model("a"), model("b"));
    let request = Request {
        caller: index.organisation(&"ca.example".parse().unwrap()).unwrap(),
        model: Some(&a),
        capability: Capability::Chat,
        declared: &declared,
        requirements: &requirements,
        broker_places: None,
        used: Usage::none(),
        as_of: "2026-11-22".parse().unwrap(),
    };
    let first = index.ask(&request);
    let again = |request: &Request<'_>| same(&first, &index.ask(request));
    let at = |day: &str| Request { as_of: day.parse().unwrap(), ..request.clone() };
    assert_eq!(again(&request), [true; 4]);
    assert_eq!(again(&at("2026-12-31")), [true; 4]);
    let other = index.organisation(&"cb.example".parse().unwrap()).unwrap();
    assert_eq!(again(&Request { caller: other, ..request.clone() }), [true, true, false, false]);
    assert_eq!(again(&Request { model: Some(&b), ..request.clone() }), [true, false, true, true]);
    assert_eq!(again(&Request { capability: Capability::Embed, ..request.clone() }), [true, true, true, false]);
    let purposes = Declared { purposes: BTreeSet::from(["dpv:Purpose".to_owned()]), ..Declared::default() };
    assert_eq!(again(&Request { declared: &purposes, ..request.clone() }), [true, true, false, true]);
    let tighter = Requirements { no_training: true, ..Requirements::default() };
    assert_eq!(again(&Request { requirements: &tighter, ..request.clone() }), [true, true, true, false]);
    let places = BTreeSet::from(["DE".parse().unwrap()]);
    assert_eq!(again(&Request { broker_places: Some(&places), ..request.clone() }), [true, true, true, false]);
    let stranger = request.caller.clone();
    assert_eq!(again(&Request { caller: &stranger, ..request.clone() }), [false; 4]);
    // All of these later, the first ones are remembered still.
    assert_eq!(again(&request), [true; 4]);
    // An offer ends, and what was said of the day before is said of that day alone.
    assert_eq!(again(&at("2027-01-01")), [false, true, true, true]);
    assert_eq!(same(&index.ask(&at("2027-01-01")), &index.ask(&at("2027-01-01"))), [true; 4]);
    // What is said of the later day has taken the place of what was said of the first.
    index.forget_demands();
    assert_eq!(again(&request), [false, true, true, false]);
    index.forget();
    assert_eq!(again(&request), [false; 4]);
}

#[test]
fn what_was_used_is_asked_each_time_and_nothing_else_because_of_it() {
    let quota = |node: &str| offer("op.example", node, "a", "terms = { quota = { requests_per_day = 2 } }");
    let offers = [quota("n1"), quota("n2"), offer("op.example", "n3", "a", "")];
    let index = Index::new(["op.example", "ca.example"].map(organisation), offers, Arc::new(tables().clone()));
    let file = RequirementsFile::from_toml("", tables()).unwrap();
    let request = Request::any(index.organisation(&"ca.example".parse().unwrap()).unwrap(), &file);
    let first = index.ask(&request);
    for used in [[0, 1, 0], [2, 1, 9], [1, 2, 0], [2, 2, 2]] {
        let names = (0..3).map(|place| index.offer(place).unwrap().name());
        let usage = names.zip(used).filter(|(_, requests)| *requests > 0).collect();
        let request = Request { used: &usage, ..request.clone() };
        let answer = index.ask(&request);
        assert_eq!(same(&first, &answer), [true; 4]);
        for (place, used) in used.into_iter().enumerate() {
            let is_refused = answer.codes(place).contains(ReasonCode::QuotaExceeded);
            assert_eq!(is_refused, used >= 2 && place < 2, "{usage:?}, offer {place}");
            let expected = evaluate(index.offer(place).unwrap(), index.operator(place).unwrap(), &request, tables());
            assert_eq!(answer.verdict(place, &request), expected);
        }
    }
}

#[test]
fn prices_are_held_against_a_ceiling_as_if_each_were_asked() {
    let price = |currency: &str, input: u32, output: u32| {
        let sides = format!("input_micros_per_million_tokens = {input}, output_micros_per_million_tokens = {output}");
        offer("op.example", "n", "a", &format!("price = {{ currency = '{currency}', {sides} }}"))
    };
    let in_one = |currency: &'static str| (0..40).map(move |step| price(currency, step % 7, step));
    let offers: Vec<_> = in_one("EUR").chain(in_one("USD")).chain([offer("op.example", "n", "a", "")]).collect();
    let index = Index::new(["op.example", "ca.example"].map(organisation), offers, Arc::new(tables().clone()));
    let caller = index.organisation(&"ca.example".parse().unwrap()).unwrap();
    for (currency, input, output) in [("EUR", 3, 20), ("USD", 0, 0), ("EUR", 6, 39), ("USD", 99, 99), ("GBP", 5, 5)] {
        let text = format!(
            "max_price = {{ currency = '{currency}', input_micros_per_million_tokens = {input}, output_micros_per_million_tokens = {output} }}"
        );
        let file = RequirementsFile::from_toml(&text, tables()).unwrap();
        let request = Request::any(caller, &file);
        let answer = index.ask(&request);
        for place in 0..index.len() {
            let expected = evaluate(index.offer(place).unwrap(), index.operator(place).unwrap(), &request, tables());
            assert_eq!(answer.verdict(place, &request), expected, "{text}, offer {place}");
        }
    }
}

#[test]
fn of_two_offers_of_one_name_each_is_held_against_its_quota() {
    let operator = organisation("op.example");
    let limited = |most: u32| offer("op.example", "n1", "a", &format!("terms.quota = {{ requests_per_day = {most} }}"));
    let pairs = [limited(1), limited(5), limited(1)].map(|offer| (offer, operator.clone()));
    let index = Index::of_pairs(pairs, Arc::new(tables().clone()));
    let (caller, nothing) = (organisation("ca.example"), RequirementsFile::from_toml("", tables()).unwrap());
    let used = [("op.example/n1/o".parse().unwrap(), 1)].into_iter().collect();
    let request = Request { used: &used, ..Request::any(&caller, &nothing) };
    let answer = index.ask(&request);
    let exceeded = [0, 1, 2].map(|place| answer.codes(place).contains(ReasonCode::QuotaExceeded));
    assert_eq!(exceeded, [true, false, true]);
}
