//! What others are shown of a verdict and of a listing, on an offer whose private terms refuse the caller in every way
//! that there is.

use comity_types::{ModelName, Timestamp};

use super::*;
use crate::{Capability, Declared, Request, Requirements, Tables, Usage, evaluate};

const OFFER: &str = r#"
id = "chat"
node = "spiffe://op.example/node/n1"
model = "m"
capabilities = ["chat"]
processing_locations = ["US"]
sub_processors = []
licence = "Apache-2.0"
[terms]
version = 3
retention = []
training_use = "never"
governing_law = "FR"
disclosure = "code-only"
allowed_purposes = ["dpv:ServiceProvision"]
prohibited_purposes = ["dpv:Marketing"]
high_risk = "prohibited"
accepted_data_categories = ["dpv-pd:Contact"]
classification_ceilings = { UK-GSC = { level = "OFFICIAL" } }
[terms.caller_rules]
served = ["JP", "NZ"]
served_except = ["NZ-AUK"]
denied_organisation_types = ["military"]
denied_sectors = ["84"]
denied_lists = ["OFAC-SDN"]
min_terms_version = 3
[[terms.caller_rules.ownership]]
id = "secret-rule"
target = ["CN"]
threshold_bp = 3700
"#;
const OPERATOR: &str = r#"
trust_domain = "op.example"
name = "OP"
seat = "FR"
principal_place_of_business = "FR"
establishments = ["FR"]
disclosure = "code-only"
ultimate_controllers = [{ name = "Hidden Hand", seat = "US" }]
ownership = { parties = { Whale = { seat = "BR" } }, stakes = [{ holder = "Whale", share = { percent = 45 } }] }
"#;
const CALLER: &str = r#"
trust_domain = "ca.example"
name = "CA"
seat = "DE"
organisation_type = "military"
sector = "84.22"
restricted_party_lists = ["OFAC-SDN"]
disclosure = "code-only"
ownership = { parties = { Dragon = { seat = "CN" } }, stakes = [{ holder = "Dragon", share = { percent = 60 } }] }
"#;
/// What nobody but the offer's organisation may read: rules, places, thresholds, ceilings, lists.
const OF_TERMS: &[&str] = &[
    "secret-rule",
    "37",
    "JP",
    "NZ",
    "military",
    "84",
    "OFAC-SDN",
    "Marketing",
    "ServiceProvision",
    "Contact",
    "OFFICIAL",
    "version 3",
    "terms.",
];
/// What nobody but the operator's organisation may read.
const OF_OPERATOR: &[&str] = &["Hidden", "Whale", "BR", "ownership", "ultimate_controllers"];

struct World {
    offer: Offer,
    operator: Organisation,
    caller: Organisation,
}

impl World {
    fn new() -> Self {
        let of = |text| toml::from_str(text).unwrap();
        Self { offer: toml::from_str(OFFER).unwrap(), operator: of(OPERATOR), caller: of(CALLER) }
    }

    fn reasons(&self) -> Vec<Reason> {
        let file = toml::from_str::<crate::requirements::RequirementsTable>(
            "purposes = ['dpv:Marketing']\nai_act_tags = ['eu-aiact:AnnexIII-4-a']\ndata_categories = ['dpv-pd:HealthData']
             classifications = [{ scheme = 'UK-GSC', level = 'SECRET', caveats = ['SENSITIVE'] }, { scheme = 'NATO', level = 'NATO RESTRICTED' }]
             allowed_processing_locations = ['EU']\nno_exposure = ['US-CLOUD-ACT']\nforbidden_controller_seats = ['US']
             foreign_ownership = { home = ['EU'], individual_bp = 2400, aggregate_bp = 3900 }",
        );
        let tables = Tables::builtin().unwrap();
        let file = file.unwrap().expand(tables).unwrap();
        self.judge(&file.declared, &file.requirements)
    }

    fn judge(&self, declared: &Declared, requirements: &Requirements) -> Vec<Reason> {
        let request = Request {
            caller: &self.caller,
            model: None::<&ModelName>,
            capability: Capability::Chat,
            declared,
            requirements,
            broker_places: None,
            used: Usage::none(),
            as_of: "2026-11-22".parse::<Timestamp>().unwrap(),
        };
        evaluate(&self.offer, &self.operator, &request, Tables::builtin().unwrap()).reasons().to_vec()
    }

    fn shown(&self, viewer: Viewer<'_>) -> Vec<Reason> {
        let sources = Sources { offer: &self.offer, operator: &self.operator, caller: &self.caller };
        sources.shown_to(viewer, &self.reasons())
    }
}

/// All that reasons of these sides, or about this party, say besides their codes.
fn details<'a>(reasons: impl IntoIterator<Item = &'a Reason>) -> String {
    let of = |r: &Reason| [&r.subject, &r.path, &r.expected, &r.actual, &r.rule].map(String::as_str).join(" ");
    reasons.into_iter().map(of).collect::<Vec<_>>().join("\n")
}

fn codes(reasons: &[Reason]) -> BTreeSet<ReasonCode> {
    reasons.iter().map(|reason| reason.code).collect()
}

#[test]
fn private_terms_refuse_others_by_the_code_alone_and_the_caller_reads_the_rest_whole() {
    let (world, other) = (World::new(), "ca.example".parse().unwrap());
    let (whole, shown) = (world.reasons(), world.shown(Viewer::Member(&other)));
    let of_node = |reasons: &[Reason]| reasons.iter().filter(|r| r.side == Side::Node).cloned().collect::<Vec<_>>();
    assert!(of_node(&whole).len() >= 12, "{whole:#?}");
    for secret in OF_TERMS {
        assert!(details(&of_node(&whole)).contains(secret), "the world does not speak of {secret}");
    }
    assert_eq!(details(&of_node(&shown)).trim(), "");
    assert_eq!(codes(&shown), codes(&whole));
    assert!(shown.iter().any(|r| r.to_string() == "PROCESSING_LOCATION_NOT_ALLOWED(US)"), "{shown:#?}");
}

#[test]
fn reasons_that_become_equal_are_one_so_that_their_number_tells_nothing() {
    let (mut world, other) = (World::new(), "ca.example".parse().unwrap());
    let restricted = |reasons: &[Reason]| {
        reasons.iter().filter(|reason| reason.code == ReasonCode::CallerOwnershipRestricted).count()
    };
    let rules = world.offer.terms.as_mut().unwrap().caller_rules.as_mut().unwrap();
    let second = crate::caller_rules::OwnershipRule { id: "another".into(), ..rules.ownership[0].clone() };
    rules.ownership.push(second);
    assert_eq!((restricted(&world.reasons()), restricted(&world.shown(Viewer::Member(&other)))), (2, 1));
}

#[test]
fn an_operators_owners_are_in_no_reason_that_others_are_shown() {
    let (world, other) = (World::new(), "ca.example".parse().unwrap());
    let (whole, shown) = (world.reasons(), world.shown(Viewer::Member(&other)));
    let of_owners = [
        ReasonCode::CompelledAccessExposure,
        ReasonCode::ControllerNotAllowed,
        ReasonCode::ForeignOwnershipThresholdExceeded,
        ReasonCode::OwnershipUndetermined,
    ];
    assert!(of_owners[..3].iter().all(|code| codes(&whole).contains(code)), "{whole:#?}");
    let told: Vec<_> = shown.iter().filter(|reason| of_owners.contains(&reason.code)).collect();
    assert_eq!(details(told.iter().copied()).trim(), "");
    assert!(OF_OPERATOR.iter().all(|secret| !details(&shown).contains(secret)), "{shown:#?}");
}

#[test]
fn what_is_missing_of_an_owner_is_not_told_by_its_path_either() {
    let (mut world, other) = (World::new(), "ca.example".parse().unwrap());
    let text = OPERATOR.replace("seat = \"BR\" }", "kind = \"organisation\" }").replace("percent = 45", "percent = 95");
    world.operator = toml::from_str(&text).unwrap();
    assert!(details(&world.reasons()).contains("operator.ownership.parties.Whale.seat"), "{:#?}", world.reasons());
    assert!(!details(&world.shown(Viewer::Member(&other))).contains("Whale"));
}

#[test]
fn each_side_sees_what_is_its_own_and_not_what_is_the_others() {
    let world = World::new();
    let (operator, caller, third) =
        ("op.example".parse().unwrap(), "ca.example".parse().unwrap(), "third.example".parse().unwrap());
    let of_caller = |viewer| {
        let shown = world.shown(Viewer::Member(viewer));
        let restricted = shown.iter().find(|reason| reason.code == ReasonCode::CallerOwnershipRestricted);
        restricted.unwrap().to_string()
    };
    // Private terms about a caller's private owners are for neither to see whole.
    assert_eq!([&operator, &caller, &third].map(of_caller), ["CALLER_OWNERSHIP_RESTRICTED"; 3]);
    let own = world.shown(Viewer::Member(&operator));
    assert!(own.iter().any(|reason| reason.to_string() == "CALLER_PLACE_NOT_SERVED(DE)"), "{own:#?}");
    assert!(own.iter().any(|reason| reason.to_string() == "CONTROLLER_NOT_ALLOWED(US)"), "{own:#?}");
    assert_eq!(world.shown(Viewer::Governor), world.reasons());
}

#[test]
fn a_callers_owners_are_the_callers_to_read_where_the_terms_are_open() {
    let mut world = World::new();
    world.offer.terms.as_mut().unwrap().disclosure = Disclosure::Full;
    let (operator, caller) = ("op.example".parse().unwrap(), "ca.example".parse().unwrap());
    let told = |viewer| {
        let shown = world.shown(Viewer::Member(viewer));
        shown.iter().find(|r| r.code == ReasonCode::CallerOwnershipRestricted).unwrap().to_string()
    };
    assert_eq!(told(&caller), "CALLER_OWNERSHIP_RESTRICTED(secret-rule)");
    assert_eq!(told(&operator), "CALLER_OWNERSHIP_RESTRICTED");
}

#[test]
fn what_is_not_kept_is_shown_as_it_is() {
    let mut world = World::new();
    world.offer.terms.as_mut().unwrap().disclosure = Disclosure::Full;
    world.operator.disclosure = Disclosure::Full;
    world.caller.disclosure = Disclosure::Full;
    assert_eq!(world.shown(Viewer::Member(&"third.example".parse().unwrap())), world.reasons());
}

#[test]
fn a_listing_has_the_promises_of_private_terms_and_none_of_their_demands() {
    let (world, other, own) = (World::new(), "ca.example".parse().unwrap(), "op.example".parse().unwrap());
    let shown = offer(&world.offer, Viewer::Member(&other));
    let told = toml::Table::try_from(shown.terms.as_ref().unwrap()).unwrap();
    let told: BTreeSet<_> = told.keys().map(String::as_str).collect();
    assert_eq!(told, ["version", "retention", "training_use", "governing_law", "disclosure"].into());
    assert_eq!(Offer { terms: None, ..shown.into_owned() }, Offer { terms: None, ..world.offer.clone() });
    assert_eq!(*offer(&world.offer, Viewer::Member(&own)), world.offer);
    assert_eq!(*offer(&world.offer, Viewer::Governor), world.offer);
}

#[test]
fn a_listing_has_no_owners_of_an_organisation_that_keeps_them() {
    let (world, other) = (World::new(), "ca.example".parse().unwrap());
    let shown = organisation(&world.operator, Viewer::Member(&other));
    assert_eq!((&shown.ownership, &shown.ultimate_controllers), (&None, &None));
    assert_eq!((&shown.seat, shown.disclosure), (&world.operator.seat, Disclosure::CodeOnly));
    assert_eq!(*organisation(&world.operator, Viewer::Member(&world.operator.trust_domain)), world.operator);
    assert_eq!(*organisation(&world.operator, Viewer::Governor), world.operator);
}

#[test]
fn a_reason_is_about_owners_by_its_code_and_party_or_by_its_path_or_by_its_subject() {
    let about = |code, party: &str, path: &str, subject: &str| {
        let (expected, actual, rule) = (String::new(), String::new(), String::new());
        let (subject, path, party) = (subject.to_owned(), path.to_owned(), party.to_owned());
        let reason = Reason { code, subject, side: Side::Caller, path, party, expected, actual, rule };
        is_about_owners(&reason, "operator")
    };
    let (exposed, missing) = (ReasonCode::CompelledAccessExposure, ReasonCode::ClaimMissing);
    assert!(about(exposed, "operator", "operator.seat", "US"));
    assert!(about(missing, "operator", "operator.ownership", "UK"));
    assert!(about(missing, "offer", "sub_processors", "operator.ultimate_controllers"));
    assert!(!about(exposed, "caller", "caller.seat", "US"));
    assert!(!about(missing, "operator", "operator.seat", "operator.seat"));
    assert!(!about(missing, "caller", "caller.ownership", "caller.ownership"));
}

#[test]
fn a_listing_has_every_promise_of_private_terms() {
    let (mut world, other) = (World::new(), "ca.example".parse().unwrap());
    let promises = toml::from_str(
        "version = 3\nretention = []\ntraining_use = 'never'\nhuman_review = { mode = 'never' }\ncontent_logging = false
         transfer_basis = 'scc'\ncertifications = []\ngoverning_law = 'FR'\ncourts = 'FR'\nsupport = 'best-effort'
         liability_cap = { currency = 'EUR', micros = 1 }\navailability_bp = 9990\nquota = { requests_per_day = 9 }\ndisclosure = 'code-only'",
    );
    world.offer.terms = Some(promises.unwrap());
    assert_eq!(offer(&world.offer, Viewer::Member(&other)).terms, world.offer.terms);
}
