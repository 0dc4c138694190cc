//! The worked cases of the policy vocabulary, section 3, as far as this version's vocabulary reaches.
//! The expected set is the complete one; none means eligible.

use comity_types::{Place, Timestamp};

use super::*;
use crate::requirements::RequirementsFile;

/// One case: the fixture, changed.
struct Case {
    offer: Offer,
    operator: Organisation,
    caller: Organisation,
    origins: BTreeSet<Place>,
    purposes: BTreeSet<String>,
    broker: BTreeSet<Place>,
    requirements: Requirements,
    as_of: Timestamp,
}

fn organisation(domain: &str, seat: &str, controllers: &str) -> Organisation {
    let json = format!(
        r#"{{"trust_domain":"{domain}","name":"{domain}","seat":"{seat}","ultimate_controllers":{controllers}}}"#
    );
    serde_json::from_str(&json).unwrap()
}

/// The fixture: an operator in France, a caller in Germany, customer care.
fn fixture() -> Case {
    let offer = r#"{"id":"chat","node":"spiffe://op.example/node/n1","model":"m","capabilities":["chat"],
        "processing_locations":["FR"],"storage_locations":["FR"],"access_locations":["FR"],"licence":"Apache-2.0",
        "terms":{"retention":[],"training_use":"never","allowed_purposes":["dpv:Purpose"],
          "prohibited_purposes":["fed:MilitaryUse"],"caller_rules":{"served":"everyone"}}}"#;
    Case {
        offer: serde_json::from_str(offer).unwrap(),
        operator: organisation("op.example", "FR", r#"[{"name":"FRP","seat":"FR"}]"#),
        caller: organisation("ca.example", "DE", "[]"),
        origins: BTreeSet::new(),
        purposes: BTreeSet::from(["dpv:CustomerCare".to_owned()]),
        broker: BTreeSet::from(["FR".parse().unwrap()]),
        requirements: Requirements::default(),
        as_of: "2026-11-22".parse().unwrap(),
    }
}

/// The vendor of cases 18 to 25: serves a list, and nobody who is controlled from outside it.
fn vendor(seat: &str, controllers: &str) -> Case {
    let mut case = fixture().processing(&["US"]);
    let rules = r#"{"served":["AU","CA","DE","FR","GB","JP","SG","TW","UA","US"],"served_except":["UA-43","UA-40","UA-14","UA-09"],
        "ownership":[{"id":"V50","target":"places-not-served"}]}"#;
    case.offer.terms.as_mut().unwrap().caller_rules = Some(serde_json::from_str(rules).unwrap());
    case.caller = organisation("ca.example", seat, controllers);
    case
}

impl Case {
    fn require(mut self, toml: &str) -> Self {
        let file = RequirementsFile::from_toml(toml, Tables::builtin().unwrap()).unwrap();
        self.requirements = self.requirements.meet(file.requirements);
        self
    }

    /// "proc X" of the table: all three lists. The broker of the fixture stands where the offer does.
    fn processing(mut self, places: &[&str]) -> Self {
        let places: Vec<Place> = places.iter().map(|place| place.parse().unwrap()).collect();
        self.broker = places.iter().filter(|place| place.country() != "US").take(1).cloned().collect();
        if self.broker.is_empty() {
            self.broker = BTreeSet::from(["FR".parse().unwrap()]);
        }
        let claim = Some(crate::Claim::always(places));
        (self.offer.processing_locations, self.offer.storage_locations) = (claim.clone(), claim.clone());
        self.offer.access_locations = claim;
        self
    }

    fn broker(mut self, place: &str) -> Self {
        self.broker = BTreeSet::from([place.parse().unwrap()]);
        self
    }

    fn at(mut self, day: &str) -> Self {
        self.as_of = day.parse().unwrap();
        self
    }

    fn change(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn verdict(&self) -> Verdict {
        let request = Request {
            caller: &self.caller,
            access_origins: &self.origins,
            model: None,
            capability: Capability::Chat,
            purposes: &self.purposes,
            requirements: &self.requirements,
            broker_places: &self.broker,
            as_of: self.as_of,
        };
        evaluate(&self.offer, &self.operator, &request, Tables::builtin().unwrap())
    }

    #[track_caller]
    fn gives(self, expected: &[&str]) {
        let found = match self.verdict() {
            Verdict::Eligible { .. } => vec![],
            Verdict::Rejected { reasons } => reasons.iter().map(ToString::to_string).collect(),
        };
        assert_eq!(found, expected);
    }
}

const EU: &str = "allowed_processing_locations = ['EU']";
const EEA: &str = "allowed_processing_locations = ['EEA']";
const ADQ: &str = "allowed_processing_locations = ['EEA', 'GDPR-ADEQUATE']";

#[test]
fn case_1_the_union_by_date() {
    let case = |day| fixture().processing(&["GB"]).require(EU).at(day).broker("FR");
    case("2026-11-22").gives(&["PROCESSING_LOCATION_NOT_ALLOWED(GB)"]);
    case("2020-01-31").gives(&[]);
    case("2020-02-01").gives(&["PROCESSING_LOCATION_NOT_ALLOWED(GB)"]);
}

#[test]
fn cases_2_to_4_the_economic_area_and_adequacy() {
    let case = |place: &str, rule| fixture().processing(&[place]).require(rule).broker("FR");
    case("NO", EU).gives(&["PROCESSING_LOCATION_NOT_ALLOWED(NO)"]);
    case("NO", EEA).gives(&[]);
    case("CH", EEA).gives(&["PROCESSING_LOCATION_NOT_ALLOWED(CH)"]);
    case("CH", ADQ).gives(&[]);
    case("GB", ADQ).gives(&[]);
    case("GB", ADQ).at("2031-12-28").gives(&["PROCESSING_LOCATION_NOT_ALLOWED(GB)"]);
}

#[test]
fn case_6a_a_scoped_adequacy_is_unknown_and_not_yes() {
    fixture().processing(&["US"]).require(ADQ).gives(&["CLAIM_MISSING(operator.dpf_participation)"]);
}

#[test]
fn case_7_every_place_counts() {
    fixture().processing(&["DE", "US"]).require(EU).gives(&["PROCESSING_LOCATION_NOT_ALLOWED(US)"]);
}

#[test]
fn case_8_an_unset_place_fails_where_it_is_asked_for() {
    let case = || fixture().change(|case| case.offer.processing_locations = None);
    case().require(EU).gives(&["CLAIM_MISSING(processing_locations)"]);
    case().require("forbidden_processing_locations = ['CN']").gives(&["CLAIM_MISSING(processing_locations)"]);
    case().gives(&[]);
}

#[test]
fn case_12_access_is_an_axis_of_its_own() {
    let access = Some(crate::Claim::always(vec!["DE".parse().unwrap(), "IN".parse().unwrap()]));
    let case = fixture().processing(&["DE"]).require(EU).require("allowed_access_locations = ['EU']");
    case.change(|case| case.offer.access_locations = access).gives(&["ACCESS_LOCATION_NOT_ALLOWED(IN)"]);
}

#[test]
fn case_13_the_broker_processes_too() {
    fixture().require(EU).broker("US").gives(&["BROKER_PATH_NOT_ALLOWED(US)"]);
}

#[test]
fn cases_18_and_21_the_vendors_ownership_rule() {
    vendor("SG", r#"[{"name":"P","seat":"CN"}]"#).gives(&["CALLER_OWNERSHIP_RESTRICTED(V50)"]);
    vendor("SG", r#"[{"name":"P","seat":"SG"}]"#).gives(&[]);
    let silent = vendor("SG", "[]").change(|case| case.caller.ultimate_controllers = None);
    silent.gives(&["CALLER_OWNERSHIP_UNDETERMINED(V50)"]);
}

#[test]
fn case_24_the_vendors_places() {
    let sg = r#"[{"name":"P","seat":"SG"}]"#;
    vendor("HK", r#"[{"name":"P","seat":"GB"}]"#).gives(&["CALLER_PLACE_NOT_SERVED(HK)"]);
    vendor("UA-43", sg).gives(&["CALLER_PLACE_NOT_SERVED(UA-43)"]);
    vendor("UA-30", sg).gives(&[]);
    let from_china = vendor("SG", sg).change(|case| case.origins = BTreeSet::from(["CN".parse().unwrap()]));
    from_china.gives(&["CALLER_PLACE_NOT_SERVED(CN)"]);
}

#[test]
fn case_26_without_terms_nobody_is_served() {
    fixture().change(|case| case.offer.terms = None).gives(&["NODE_TERMS_INCOMPLETE"]);
}

#[test]
fn case_31_purposes() {
    let case = |purposes: &[&str], prohibited: &str| {
        fixture().change(|case| {
            case.purposes = purposes.iter().map(ToString::to_string).collect();
            case.offer.terms.as_mut().unwrap().prohibited_purposes = BTreeSet::from([prohibited.to_owned()]);
        })
    };
    case(&[], "fed:MilitaryUse").gives(&["PURPOSE_UNDECLARED"]);
    case(&["dpv:PublicBenefit"], "dpv:Counterterrorism").gives(&["PURPOSE_TOO_BROAD(dpv:PublicBenefit)"]);
    case(&["dpv:ImprovePublicServices"], "dpv:Counterterrorism").gives(&[]);
    case(&["dpv:Counterterrorism"], "dpv:Counterterrorism").gives(&["PURPOSE_PROHIBITED(dpv:Counterterrorism)"]);
    case(&["dpv:Nonsense"], "fed:MilitaryUse").gives(&["CODE_UNRECOGNISED(dpv:Nonsense)"]);
    let narrow = fixture()
        .change(|case| case.offer.terms.as_mut().unwrap().allowed_purposes = BTreeSet::from(["dpv:Marketing".into()]));
    narrow.gives(&["PURPOSE_NOT_ALLOWED(dpv:CustomerCare)"]);
}

fn retaining(rule: &str, max: &str) -> Case {
    let rules = serde_json::from_str(rule).unwrap();
    fixture().require(max).change(|case| case.offer.terms.as_mut().unwrap().retention = rules)
}

#[test]
fn case_36_retention() {
    let abuse = r#"[{"data":"content","trigger":"abuse-monitoring","max_days":30}]"#;
    retaining(abuse, "max_content_retention_days = 0").gives(&["RETENTION_EXCEEDS_MAX(ABUSE_MONITORING)"]);
    retaining(abuse, "max_content_retention_days = 30").gives(&[]);
    retaining("null", "max_content_retention_days = 0").gives(&["CLAIM_MISSING(retention)"]);
    retaining(r#"[{"data":"metadata","trigger":"routine","max_days":365}]"#, "max_content_retention_days = 0")
        .gives(&[]);
    let legal = r#"[{"data":"content","trigger":"legal-obligation","max_days":3650}]"#;
    retaining(legal, "preset = ['zdr']").gives(&[]);
    retaining(legal, "preset = ['zdr', 'zdr-strict']").gives(&["RETENTION_EXCEEDS_MAX(LEGAL_OBLIGATION)"]);
}

#[test]
fn case_38_training() {
    let case = |training: &str| {
        let training = serde_json::from_str(training).unwrap();
        fixture()
            .require("no_training = true")
            .change(|case| case.offer.terms.as_mut().unwrap().training_use = training)
    };
    case("\"opt-out\"").gives(&["TRAINING_ON_INPUTS"]);
    case("\"always\"").gives(&["TRAINING_ON_INPUTS"]);
    case("\"opt-in\"").gives(&[]);
    case("null").gives(&["CLAIM_MISSING(training_use)"]);
}

#[test]
fn case_44b_licences() {
    let case = fixture().require("allowed_licences = ['Apache-2.0']");
    let other = Some(crate::Claim::always("CC-BY-NC-4.0".to_owned()));
    case.change(|case| case.offer.licence = other).gives(&["LICENCE_NOT_ACCEPTABLE(CC-BY-NC-4.0)"]);
}

#[test]
fn operators_and_their_controllers() {
    fixture().require("allowed_operator_seats = ['US']").gives(&["OPERATOR_SEAT_NOT_ALLOWED(FR)"]);
    fixture().require("forbidden_controller_seats = ['FR']").gives(&["CONTROLLER_NOT_ALLOWED(FR)"]);
    fixture().require("allowed_controller_seats = ['US']").gives(&["CONTROLLER_NOT_ALLOWED(FR)"]);
    let silent = || fixture().change(|case| (case.operator.seat, case.operator.ultimate_controllers) = (None, None));
    silent().gives(&[]);
    let missing = ["CLAIM_MISSING(operator.seat)", "CLAIM_MISSING(operator.ultimate_controllers)"];
    silent().require("preset = ['eu-sovereign']").gives(&missing);
}

#[test]
fn prices_hold_in_their_own_currency() {
    let max =
        "max_price = { currency = 'EUR', input_micros_per_million_tokens = 5, output_micros_per_million_tokens = 5 }";
    let case = |price: &str| {
        let price = serde_json::from_str(price).unwrap();
        fixture().require(max).change(|case| case.offer.price = price)
    };
    let price = |currency, input, output| {
        format!(
            r#"{{"currency":"{currency}","input_micros_per_million_tokens":{input},"output_micros_per_million_tokens":{output}}}"#
        )
    };
    case("null").gives(&["CLAIM_MISSING(price.EUR)"]);
    case(&price("USD", 1, 1)).gives(&["CLAIM_MISSING(price.EUR)"]);
    case(&price("EUR", 5, 5)).gives(&[]);
    case(&price("EUR", 6, 7)).gives(&["PRICE_ABOVE_MAX(input)", "PRICE_ABOVE_MAX(output)"]);
}

#[test]
fn dates_of_claims_and_offers() {
    let seat = |claim: &str| {
        fixture()
            .require("allowed_operator_seats = ['FR']")
            .change(|case| case.operator.seat = serde_json::from_str(claim).unwrap())
    };
    seat(r#"{"value":"FR","until":"2026-11-22"}"#).gives(&["CLAIM_EXPIRED(operator.seat)"]);
    seat(r#"{"value":"FR","from":"2026-11-23"}"#).gives(&["CLAIM_NOT_YET_VALID(operator.seat)"]);
    let until = seat(r#"{"value":"FR","until":"2026-11-23"}"#).verdict();
    assert_eq!(until, Verdict::Eligible { expires_at: Some("2026-11-23".parse().unwrap()) });
    let ended = serde_json::from_str(r#"{"until":"2026-11-22"}"#).unwrap();
    fixture().change(|case| case.offer.in_force = ended).gives(&["OFFER_NOT_IN_FORCE"]);
}

#[test]
fn what_a_bloc_says_ends_with_its_row() {
    let verdict = fixture().processing(&["GB"]).require(ADQ).broker("FR").verdict();
    assert_eq!(verdict, Verdict::Eligible { expires_at: Some("2031-12-28".parse().unwrap()) });
}

#[test]
fn an_empty_list_allows_nothing_and_an_unknown_bloc_is_named() {
    let nothing = ["PROCESSING_LOCATION_NOT_ALLOWED(FR)", "BROKER_PATH_NOT_ALLOWED(FR)"];
    fixture().require("allowed_processing_locations = []").gives(&nothing);
    fixture().require("allowed_processing_locations = ['FR', 'OLD-BLOC']").gives(&["CODE_UNRECOGNISED(OLD-BLOC)"]);
    fixture().require("forbidden_storage_locations = ['OLD-BLOC']").gives(&["CODE_UNRECOGNISED(OLD-BLOC)"]);
}

#[test]
fn all_reasons_are_given_at_once() {
    let case = fixture()
        .processing(&["US"])
        .require("preset = ['eu-processing', 'zdr-strict']\nrequired_capabilities = ['tools']");
    case.change(|case| case.purposes.clear()).gives(&[
        "PROCESSING_LOCATION_NOT_ALLOWED(US)",
        "STORAGE_LOCATION_NOT_ALLOWED(US)",
        "ACCESS_LOCATION_NOT_ALLOWED(US)",
        "PURPOSE_UNDECLARED",
        "CAPABILITY_MISSING(tools)",
    ]);
}

#[test]
fn a_place_with_a_country_code_of_its_own_is_not_inside_its_parent() {
    fixture().processing(&["FR-NC"]).require(EU).broker("FR").gives(&["PROCESSING_LOCATION_NOT_ALLOWED(FR-NC)"]);
    fixture().processing(&["FR-RE"]).require(EU).broker("FR").gives(&[]);
    vendor("CN-TW", r#"[{"name":"P","seat":"SG"}]"#).gives(&[]);
    vendor("CN-HK", r#"[{"name":"P","seat":"SG"}]"#).gives(&["CALLER_PLACE_NOT_SERVED(CN-HK)"]);
}

#[test]
fn a_country_may_be_the_part_of_it_that_is_forbidden() {
    let case = fixture().processing(&["UA"]).require("forbidden_processing_locations = ['UA-43']").broker("FR");
    case.gives(&["PROCESSING_LOCATION_NOT_ALLOWED(UA)"]);
    vendor("UA", r#"[{"name":"P","seat":"SG"}]"#).gives(&["CALLER_PLACE_NOT_SERVED(UA)"]);
}

#[test]
fn an_organisation_that_nobody_controls_is_ruled_from_its_own_seat() {
    let case = fixture().change(|case| case.operator = organisation("op.example", "US", "[]"));
    case.require("preset = ['no-us-control']").gives(&["CONTROLLER_NOT_ALLOWED(US)"]);
    let public = fixture().change(|case| case.operator = organisation("op.example", "DE", "[]"));
    public.require("preset = ['eu-sovereign']").gives(&[]);
}

#[test]
fn purposes_are_judged_although_the_callers_are_not() {
    let case = fixture().change(|case| {
        case.offer.terms.as_mut().unwrap().caller_rules = None;
        case.purposes.clear();
    });
    case.gives(&["NODE_TERMS_INCOMPLETE", "PURPOSE_UNDECLARED"]);
}
