//! The laws of the policy vocabulary, section 2 D4, on generated offers, callers and requirements.

use comity_types::Timestamp;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::requirements::RequirementsFile;

const PLACES: [&str; 7] = ["DE", "FR", "GB", "NO", "US", "UA-43", "CH"];
const SETS: [&str; 9] = ["EU", "EEA", "GDPR-ADEQUATE", "US", "UA", "DE", "NATO", "NO-SUCH-BLOC", "GB"];
const DAYS: [&str; 6] = ["2020-01-31", "2020-02-01", "2026-11-21", "2026-11-22", "2031-12-27", "2031-12-28"];

fn list(values: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    let values = values.to_vec();
    let most = values.len();
    subsequence(values, 0..=most).prop_map(|chosen| serde_json::to_string(&chosen).unwrap())
}

/// A claim's JSON: absent, bare, or with a validity around the days that are tried.
fn claim(value: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    let dated = |(value, from, until): (String, &str, &str)| {
        if from < until { format!(r#"{{"value":{value},"from":"{from}","until":"{until}"}}"#) } else { value }
    };
    (value, 0..3, select(DAYS.to_vec()), select(DAYS.to_vec()))
        .prop_map(move |(value, form, from, until)| match form {
            0 => "null".to_owned(),
            1 => value,
            _ => dated((value, from, until)),
        })
        .boxed()
}

fn quoted(values: &[&'static str]) -> impl Strategy<Value = String> + use<> {
    select(values.to_vec()).prop_map(|value| format!("{value:?}"))
}

fn controllers() -> impl Strategy<Value = String> {
    subsequence(PLACES.to_vec(), 0..3).prop_map(|seats| {
        let all: Vec<_> = seats.iter().map(|seat| format!(r#"{{"name":"c","seat":"{seat}"}}"#)).collect();
        format!("[{}]", all.join(","))
    })
}

fn organisation() -> impl Strategy<Value = Organisation> {
    (claim(quoted(&PLACES)), claim(controllers())).prop_map(|(seat, controllers)| {
        let json =
            format!(r#"{{"trust_domain":"o.example","name":"o","seat":{seat},"ultimate_controllers":{controllers}}}"#);
        serde_json::from_str(&json).unwrap()
    })
}

fn rules() -> impl Strategy<Value = String> {
    let served = prop_oneof![Just("\"everyone\"".to_owned()), list(&SETS)];
    let target = prop_oneof![Just("\"places-not-served\"".to_owned()), list(&SETS)];
    let rules = (served, list(&["UA-43", "GB"]), proptest::option::of(target)).prop_map(|(served, except, target)| {
        let rule = target.map(|target| format!(r#"{{"id":"R","target":{target}}}"#)).unwrap_or_default();
        format!(r#"{{"served":{served},"served_except":{except},"ownership":[{rule}]}}"#)
    });
    prop_oneof![1 => Just("null".to_owned()), 8 => rules]
}

fn retention() -> impl Strategy<Value = String> {
    let triggers = ["routine", "abuse-monitoring", "legal-obligation"];
    (select(vec!["content", "metadata"]), select(triggers.to_vec()), 0..40_u32)
        .prop_map(|(data, trigger, days)| format!(r#"[{{"data":"{data}","trigger":"{trigger}","max_days":{days}}}]"#))
}

fn offer() -> impl Strategy<Value = Offer> {
    let places = (claim(list(&PLACES)), claim(list(&PLACES)), claim(list(&PLACES)));
    let terms = (claim(retention()), claim(quoted(&["never", "opt-in", "opt-out", "always"])), rules());
    let purposes = (list(&["dpv:Purpose", "dpv:CustomerCare"]), list(&["fed:MilitaryUse", "dpv:Counterterrorism"]));
    let rest = (
        claim(quoted(&["MIT", "Apache-2.0"])),
        0..10_u64,
        select(vec!["EUR", "USD"]),
        list(&["chat", "tools", "embed"]),
        select(DAYS.to_vec()),
    );
    (places, terms, purposes, rest).prop_map(|((p, s, a), (r, t, c), (yes, no), (licence, price, currency, can, until))| {
        let json = format!(
            r#"{{"id":"c","node":"spiffe://o.example/node/n","model":"m","capabilities":{can},"processing_locations":{p},
            "storage_locations":{s},"access_locations":{a},"licence":{licence},"in_force":{{"until":"{until}"}},
            "price":{{"currency":"{currency}","input_micros_per_million_tokens":{price},"output_micros_per_million_tokens":{price}}},
            "terms":{{"retention":{r},"training_use":{t},"allowed_purposes":{yes},"prohibited_purposes":{no},"caller_rules":{c}}}}}"#
        );
        serde_json::from_str(&json).unwrap()
    })
}

/// One to three keys of a requirements file, out of all that there are.
fn requirements() -> impl Strategy<Value = Requirements> {
    let sets = || list(&SETS);
    let key = prop_oneof![
        sets().prop_map(|l| format!("allowed_processing_locations = {l}")),
        sets().prop_map(|l| format!("forbidden_processing_locations = {l}")),
        sets().prop_map(|l| format!("allowed_storage_locations = {l}")),
        sets().prop_map(|l| format!("forbidden_storage_locations = {l}")),
        sets().prop_map(|l| format!("allowed_access_locations = {l}")),
        sets().prop_map(|l| format!("forbidden_access_locations = {l}")),
        sets().prop_map(|l| format!("allowed_operator_seats = {l}")),
        sets().prop_map(|l| format!("allowed_controller_seats = {l}")),
        sets().prop_map(|l| format!("forbidden_controller_seats = {l}")),
        (0..40_u32, list(&["routine", "legal-obligation"])).prop_map(|(days, l)| format!("max_content_retention_days = {days}\naccept_retention_triggers = {l}")),
        Just("no_training = true".to_owned()),
        list(&["MIT", "Apache-2.0"]).prop_map(|l| format!("allowed_licences = {l}")),
        (0..10_u64).prop_map(|p| format!("max_price = {{ currency = 'EUR', input_micros_per_million_tokens = {p}, output_micros_per_million_tokens = {p} }}")),
        list(&["tools", "embed"]).prop_map(|l| format!("required_capabilities = {l}")),
    ];
    proptest::collection::vec(key, 0..3).prop_map(|keys| {
        let files = keys.iter().map(|key| RequirementsFile::from_toml(key, Tables::builtin().unwrap()).unwrap());
        files.map(|file| file.requirements).fold(Requirements::default(), Requirements::meet)
    })
}

#[derive(Debug, Clone)]
struct World {
    offer: Offer,
    operator: Organisation,
    caller: Organisation,
    purposes: BTreeSet<String>,
    as_of: Timestamp,
}

fn world() -> impl Strategy<Value = World> {
    let purposes = subsequence(vec!["dpv:CustomerCare", "dpv:PublicBenefit", "fed:MilitaryUse"], 0..3);
    (offer(), organisation(), organisation(), purposes, select(DAYS.to_vec())).prop_map(
        |(offer, operator, caller, purposes, day)| World {
            offer,
            operator,
            caller,
            purposes: purposes.into_iter().map(str::to_owned).collect(),
            as_of: day.parse().unwrap(),
        },
    )
}

fn verdict(world: &World, requirements: &Requirements) -> Verdict {
    let (origins, broker) = (BTreeSet::new(), BTreeSet::from(["DE".parse().unwrap()]));
    let request = Request {
        caller: &world.caller,
        access_origins: &origins,
        model: None,
        capability: Capability::Chat,
        purposes: &world.purposes,
        requirements,
        broker_places: &broker,
        as_of: world.as_of,
    };
    evaluate(&world.offer, &world.operator, &request, Tables::builtin().unwrap())
}

fn is_eligible(world: &World, requirements: &Requirements) -> bool {
    matches!(verdict(world, requirements), Verdict::Eligible { .. })
}

/// Every world that has one claim less.
fn with_a_claim_less(world: &World) -> Vec<World> {
    let offers: [fn(&mut Offer); 8] = [
        |offer| offer.processing_locations = None,
        |offer| offer.storage_locations = None,
        |offer| offer.access_locations = None,
        |offer| offer.licence = None,
        |offer| offer.price = None,
        |offer| offer.terms = None,
        |offer| offer.terms.iter_mut().for_each(|terms| (terms.retention, terms.training_use) = (None, None)),
        |offer| offer.terms.iter_mut().for_each(|terms| terms.caller_rules = None),
    ];
    let organisations: [fn(&mut Organisation); 2] = [|one| one.seat = None, |one| one.ultimate_controllers = None];
    let of_offers = offers.into_iter().map(|change| {
        let mut world = world.clone();
        change(&mut world.offer);
        world
    });
    let of_organisations = organisations.into_iter().flat_map(|change| {
        let (mut operator, mut caller) = (world.clone(), world.clone());
        change(&mut operator.operator);
        change(&mut caller.caller);
        [operator, caller]
    });
    of_offers.chain(of_organisations).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn l1_what_two_layers_allow_is_what_each_of_them_allows(world in world(), a in requirements(), b in requirements()) {
        let both = a.clone().meet(b.clone());
        prop_assert_eq!(is_eligible(&world, &both), is_eligible(&world, &a) && is_eligible(&world, &b));
    }

    #[test]
    fn l2_saying_less_never_makes_an_offer_eligible(world in world(), demanded in requirements()) {
        if !is_eligible(&world, &demanded) {
            for less in with_a_claim_less(&world) {
                prop_assert!(!is_eligible(&less, &demanded), "{:?}", less);
            }
        }
    }

    #[test]
    fn l3_the_order_of_layers_changes_nothing(world in world(), a in requirements(), b in requirements()) {
        prop_assert_eq!(verdict(&world, &a.clone().meet(b.clone())), verdict(&world, &b.meet(a)));
    }

    #[test]
    fn l5_and_l6_the_same_question_has_the_same_answer_and_a_refusal_its_reasons(world in world(), demanded in requirements()) {
        let first = verdict(&world, &demanded);
        prop_assert_eq!(&first, &verdict(&world, &demanded));
        if let Verdict::Rejected { reasons } = first {
            prop_assert!(!reasons.is_empty() && reasons.is_sorted());
        }
    }

    #[test]
    fn a_verdict_holds_until_it_expires(world in world(), demanded in requirements(), later in select(DAYS.to_vec())) {
        let later: Timestamp = later.parse().unwrap();
        if let Verdict::Eligible { expires_at } = verdict(&world, &demanded)
            && later >= world.as_of && expires_at.is_none_or(|end| later < end)
        {
            let then = World { as_of: later, ..world };
            prop_assert!(is_eligible(&then, &demanded));
        }
    }
}
