//! Each mistake that a file can hold is refused, with the field it stands in and what was expected.
//!
//! A row changes one thing of a file that is accepted: what stands there, what is put there, and the words that the
//! refusal must have. The wire's own table is in `proto`.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by ending")]

mod codes;

use comity_policy::node_file::NodeFile;
use comity_policy::organisation::OrganisationTable;
use comity_policy::requirements::{RequirementsError, RequirementsFile};
use comity_policy::{Tables, cases, check};

const REQUIREMENTS: &str = include_str!("../../../../tests/fuzz/seeds/requirements.toml");
const ORGANISATION: &str = include_str!("../../../../tests/fuzz/seeds/operator.toml");
const OFFER: &str = include_str!("../../../../tests/fuzz/seeds/offer.toml");

/// What stands there, what is put there, and the words of the refusal.
type Row = (&'static str, &'static str, &'static [&'static str]);

/// What is wrong with a text, if anything is.
type Reader = fn(&str) -> Result<(), String>;

fn tables() -> &'static Tables {
    Tables::builtin().unwrap()
}

fn requirements(text: &str) -> Result<(), String> {
    RequirementsFile::from_toml(text, tables()).map(drop).map_err(|error| match error {
        RequirementsError::Malformed(source) => source.to_string(),
        error @ (RequirementsError::UnknownPreset { .. }
        | RequirementsError::Needs { .. }
        | RequirementsError::Field { .. }) => error.to_string(),
    })
}

fn organisation(text: &str) -> Result<(), String> {
    let table: OrganisationTable = toml::from_str(text).map_err(|error| error.to_string())?;
    let file = table.expand(tables()).map_err(|error| error.to_string())?;
    check::organisation_file(&file.facts, tables()).map_err(|unfit| unfit.to_string())
}

/// The offer as an entry of a node's file.
fn node_toml(offer: &str) -> String {
    let (offer, terms) = offer.split_once("[terms]").unwrap();
    let offer = offer.replace("node = \"spiffe://op.example/node/n1\"\n", "backend = \"b\"\nterms = \"t\"\n");
    let terms = terms.replace("[terms.caller_rules]", "[terms.t.caller_rules]");
    format!("[terms.t]{terms}\n[[offers]]\n{offer}")
}

fn node(text: &str) -> Result<(), String> {
    let file = NodeFile::parse(&node_toml(text)).map_err(|error| error.to_string())?;
    let node = "spiffe://op.example/node/n1".parse().unwrap();
    let offers = file.offers(&node, tables()).map(drop);
    offers.map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
}

/// The offer as the fixture of a case.
fn case(offer: &str) -> Result<(), String> {
    let offer = offer.replace("[terms.", "[fixture.offer.terms.").replace("[terms]", "[fixture.offer.terms]");
    let text = format!(
        "[fixture]\nas_of = 2026-11-22\nbroker_places = ['DE']\n[fixture.operator]\ntrust_domain = 'op.example'\nname \
         = 'OP'\n[fixture.caller]\ntrust_domain = 'ca.example'\nname = 'CA'\n[fixture.require]\npurposes = \
         ['dpv:Marketing']\n[fixture.offer]\n{offer}\n[[case]]\nid = '1'\nexpect = []\n"
    );
    whole_case(&text)
}

/// A file whose cases all can be put together, and evaluated.
fn whole_case(text: &str) -> Result<(), String> {
    let evaluated = |all: Vec<cases::Expectation>| {
        all.iter().try_for_each(|case| case.verdict(Tables::builtin().unwrap()).map(drop))
    };
    cases::parse(text).and_then(evaluated).map_err(|error| match error {
        cases::CaseError::Malformed(source) => source.to_string(),
        error @ (cases::CaseError::TooLong(_) | cases::CaseError::Case { .. }) => error.to_string(),
    })
}

fn hold(good: &str, read: Reader, rows: &[Row]) {
    assert_eq!(read(good), Ok(()));
    for (right, wrong, words) in rows {
        assert!(good.contains(right), "{right} is not in the file");
        let Err(refusal) = read(&good.replacen(right, wrong, 1)) else { panic!("{wrong} was accepted") };
        for word in *words {
            assert!(refusal.contains(word), "{wrong}: no {word:?} in {refusal}");
        }
    }
}

#[test]
fn requirements_files_are_refused_with_the_field_and_what_was_expected() {
    let rows: &[Row] = &[
        // Unknown values and fields.
        ("min_safety_grade = \"fair\"", "min_safety_grade = \"fine\"", &["min_safety_grade", "`fine`", "`very-good`"]),
        ("[\"legal-obligation\"]", "[\"law\"]", &["accept_retention_triggers", "`law`", "`legal-obligation`"]),
        ("no_training = true", "no_trainings = true", &["no_trainings", "expected one of", "`no_training`"]),
        ("max_age_days = 365", "max_age = 365", &["max_age", "`max_age_days`"]),
        ("SOV-2 = 3", "SOV-9 = 3", &["min_seal", "`SOV-9`", "`SOV-8`"]),
        ("dpv:CustomerCare", "dpv:Care", &["purposes: \"dpv:Care\"", "comity table show purposes"]),
        // Shares and levels.
        (
            "individual_bp = 2400",
            "individual_bp = 10001",
            &["foreign_ownership.individual_bp", "10000, which is 100 %"],
        ),
        ("aggregate_bp = 3900", "aggregate_bp = -1", &["aggregate_bp = -1", "u32"]),
        ("min_availability_bp = 9900", "min_availability_bp = 10001", &["min_availability_bp", "100 %"]),
        ("SOV-2 = 3", "SOV-2 = 5", &["min_seal.SOV-2", "0 to 4"]),
        ("min_cada_level = 2", "min_cada_level = 0", &["min_cada_level", "1 to 4"]),
        ("min_gaiax_label = 1", "min_gaiax_label = 4", &["min_gaiax_label", "1 to 3"]),
        // Currencies: no code, and a code that is not assigned.
        ("currency = \"EUR\", micros", "currency = \"EURO\", micros", &["min_liability_cap", "\"EURO\"", "ISO 4217"]),
        ("currency = \"EUR\", input", "currency = \"EUX\", input", &["max_price", "\"EUX\"", "ISO 4217"]),
        // Places.
        ("[\"EEA\", \"GDPR-ADEQUATE\"]", "[\"UK\"]", &["allowed_processing_locations", "did you mean \"GB\"?"]),
        ("output_used_in = [\"FR\"]", "output_used_in = [\"EL\"]", &["output_used_in", "did you mean \"GR\"?"]),
        (
            "[\"EEA\", \"GDPR-ADEQUATE\"]",
            "[\"DE-\"]",
            &["allowed_processing_locations", "\"DE-\" is no place", "UA-43"],
        ),
        ("[\"EEA\", \"GDPR-ADEQUATE\"]", "[\"DE-BERLIN\"]", &["\"DE-BERLIN\" is no place", "DE or UA-43"]),
        ("[\"EEA\", \"GDPR-ADEQUATE\"]", "[\"EU-\"]", &["\"EU-\"", "table of blocs"]),
        ("[\"UA-43\"]", "[\"UK-LND\"]", &["forbidden_storage_locations", "did you mean \"GB-LND\"?"]),
        ("home = [\"EU\"]", "home = [\"UK\"]", &["foreign_ownership.home", "did you mean \"GB\"?"]),
        ("FR = 10", "UK = 10", &["prefer.locations", "did you mean \"GB\"?"]),
        ("FR = 10", "FR = 256", &["prefer", "FR = 256", "u8"]),
        (
            "access_origins = [\"DE\"]",
            "access_origins = [\"Germany\"]",
            &["access_origins", "ISO 3166 place such as DE"],
        ),
        ("[\"CN\"]", "[\"ZZ\"]", &["forbidden_access_locations", "\"ZZ\"", "such as DE"]),
        // Twice.
        ("output_used_in = [\"FR\"]", "output_used_in = [\"GB\", \"GB\"]", &["output_used_in", "\"GB\" stands twice"]),
        ("preset = [\"zdr\"]", "preset = [\"zdr\", \"zdr\"]", &["preset", "\"zdr\" stands twice"]),
        // Texts.
        ("[\"hyperscaler\"]", "[\"\"]", &["forbidden_sub_processors", "1 to 256 bytes"]),
        ("[\"tdx\"]", "[\"t\\u202edx\"]", &["accept_attested_runtimes", "marks of writing direction"]),
        ("preset = [\"zdr\"]", "preset = [\"zdrr\"]", &["zdrr", "zdr-strict"]),
    ];
    hold(REQUIREMENTS, requirements, rows);
}

#[test]
fn organisation_files_are_refused_with_the_field_and_what_was_expected() {
    let rows: &[Row] = &[
        ("\"commercial\"", "\"company\"", &["organisation_type", "`company`", "`commercial`"]),
        ("\"vat-id\"", "\"vat\"", &["registration_numbers", "`vat`", "`vat-id`"]),
        ("sector =", "sektor =", &["sektor", "`sector`"]),
        ("directness = \"unknown\"", "directnes = \"unknown\"", &["ownership", "directnes", "`directness`"]),
        ("interest = \"golden-share\"", "interest = \"gold\"", &["ownership", "`gold`", "`golden-share`"]),
        ("value = \"DE\", until = 2027-01-01", "value = \"DE\", untill = 2027-01-01", &["seat", "untill", "`until`"]),
        // Reversed, and stated twice.
        ("until = 2027-01-01 }", "from = 2028-01-01, until = 2027-01-01 }", &["seat", "before `until`"]),
        ("from = 2027-01-01", "from = 2026-01-01", &["seat", "states it twice", "hint"]),
        ("sector =", "seat = \"DE\"\nsector =", &["seat", "duplicate key"]),
        (
            "[{ scheme = \"vat-id\", number = \"DE123456789\" }]",
            "[{ scheme = \"local\", number = \"1\" }, { scheme = \"local\", number = \"1\" }]",
            &["registration_numbers[1]", "twice"],
        ),
        // Shares and graphs.
        ("percent = 33.3333", "percent = 100.01", &["ownership", "from 0 to 100 %"]),
        ("percent = 33.3333", "percent = 33.33333", &["ownership", "four decimals"]),
        ("at_least = 25, below = 50", "at_least = 60, at_most = 50", &["ownership", "least is not above its most"]),
        ("percent = 33.3333", "percent = 80", &["ownership", "shareholding of self", "more than 100 %"]),
        (
            "holder = \"A\", share = { percent",
            "holder = \"Z\", share = { percent",
            &["stakes[0].holder", "no party \"Z\"", "hint"],
        ),
        (
            "subject = \"A\", holder = \"B\"",
            "subject = \"B\", holder = \"B\"",
            &["stakes[2]", "nothing holds itself", "hint"],
        ),
        ("holder = \"S\", interest", "holder = \"self\", interest", &["stakes[5]", "nothing holds itself"]),
        (
            "float = { kind = \"dispersed\" }",
            "float = { kind = \"dispersed\", seat = \"CN\" }",
            &["ownership", "parties.float.seat", "nobody in particular", "hint"],
        ),
        (
            "{ name = \"Holding\", seat = \"FR\" }",
            "{ name = \"Holding\", seat = \"FR\" }, { name = \"Holding\", seat = \"DE\" }",
            &["ultimate_controllers", "Holding stands twice"],
        ),
        ("holder = \"float\"", "holder = \"A\"", &["stakes[6]", "stated before"]),
        ("S = { kind = \"state\" }", "self = { kind = \"state\" }", &["parties", "the organisation itself"]),
        // Places.
        ("headquarters = \"DE-BE\"", "headquarters = \"UK\"", &["headquarters", "did you mean \"GB\"?"]),
        ("value = \"FR\"", "value = \"EL\"", &["seat", "did you mean \"GR\"?"]),
        ("establishments = [\"DE\", \"US\"]", "establishments = [\"UK\"]", &["establishments", "did you mean \"GB\"?"]),
        (
            "name = \"Holding\", seat = \"FR\"",
            "name = \"Holding\", seat = \"UK\"",
            &["ultimate_controllers.seat", "did you mean \"GB\"?"],
        ),
        ("A = { seat = \"CN\" }", "A = { seat = \"UK\" }", &["ownership.parties.A.seat", "did you mean \"GB\"?"]),
        ("headquarters = \"DE-BE\"", "headquarters = \"de\"", &["headquarters", "\"de\"", "ISO 3166 place such as DE"]),
        ("sector = \"62.10\"", "sector = \"zz\"", &["sector", "\"zz\"", "84.22", "comity table show sectors"]),
        // Texts and the like.
        ("name = \"OP\"", "name = \"\"", &["name", "1 to 256 bytes"]),
        (
            "name = \"Holding\"",
            "name = \"Hold\\u001bing\"",
            &["ultimate_controllers.Holding.name", "control characters"],
        ),
        ("\"2024-11\"", "\"2024-13\"", &["monthly_active_users", "calendar month"]),
        ("529900T8BM49AURSDO55", "529900T8BM49AURSDO56", &["lei", "529900T8BM49AURSDO56"]),
        ("\"op.example\"", "\"Op Example\"", &["trust_domain", "Op Example"]),
    ];
    hold(ORGANISATION, organisation, rows);
}

/// Mistakes in an offer, which node files and case files share.
const OFFERS: &[Row] = &[
    // Unknown values and fields, in offers and in terms.
    ("[\"text\", \"image\"]", "[\"text\", \"smell\"]", &["modalities", "`smell`", "`video`"]),
    ("safety_grade = \"good\"", "safety_grade = \"fine\"", &["safety_grade", "`fine`", "`very-good`"]),
    ("training_use = \"opt-out\"", "training_use = \"sometimes\"", &["training_use", "`sometimes`", "`always`"]),
    ("role = \"cloud-host\"", "role = \"host\"", &["sub_processors", "`host`", "`cloud-host`"]),
    ("trigger = \"legal-obligation\"", "trigger = \"law\"", &["retention", "`law`", "`legal-obligation`"]),
    ("training_use =", "traning_use =", &["traning_use", "`training_use`"]),
    ("denied_sectors =", "denied_sector =", &["denied_sector", "`denied_sectors`"]),
    ("max_days = 30", "days = 30", &["retention", "days", "`max_days`"]),
    ("comparison = \"at-least\"", "comparision = \"at-least\"", &["ownership", "comparision", "`comparison`"]),
    ("level = \"OFFICIAL\"", "lvl = \"OFFICIAL\"", &["classification_ceilings", "lvl", "`level`"]),
    // Reversed.
    (
        "in_force = { from = 2026-01-01, until = 2099-12-31 }",
        "in_force = { from = 2027-01-01, until = 2026-01-01 }",
        &["in_force", "`from` must be before `until`"],
    ),
    (
        "value = [\"DE\"], from = 2026-01-01",
        "value = [\"DE\"], until = 2025-01-01, from = 2026-01-01",
        &["access_locations", "before `until`"],
    ),
    (
        "issued_at = 2026-01-01",
        "issued_at = 2028-01-01, until = 2028-01-01",
        &["access_locations", "`issued_at` must be before `until`"],
    ),
    (
        "in_force = [{ from = 2026-01-01, until = 2027-01-01 }]",
        "in_force = [{ from = 2027-01-01, until = 2027-01-01 }]",
        &["caller_rules.ownership[1].in_force[0]", "before `until`"],
    ),
    ("expires = 2028-03-01", "expires = 2024-03-01", &["certifications.ISO27001.issued", "not before `expires`"]),
    (
        "period_end = 2026-06-30",
        "period_end = 2025-06-30",
        &["certifications.BSI-C5.period_start", "not before `period_end`"],
    ),
    // Shares and levels.
    ("threshold_bp = 5000", "threshold_bp = 10001", &["caller_rules.ownership[1].threshold_bp", "100 %"]),
    ("availability_bp = 9990", "availability_bp = 10001", &["availability_bp", "100 %"]),
    ("SOV-1 = 3", "SOV-1 = 5", &["seal.SOV-1", "0 to 4"]),
    ("cada_level = 2", "cada_level = 5", &["cada_level", "1 to 4"]),
    ("gaiax_label = 2", "gaiax_label = 0", &["gaiax_label", "1 to 3"]),
    // Currencies.
    ("currency = \"EUR\", input", "currency = \"EURO\", input", &["price", "\"EURO\"", "ISO 4217"]),
    ("currency = \"EUR\", micros", "currency = \"EUX\", micros", &["liability_cap", "\"EUX\"", "ISO 4217"]),
    // Twice.
    (
        "issuer = \"GLEIF\", assurance = \"audited\"",
        "assurance = \"audited\"",
        &["processing_locations", "states it twice"],
    ),
    ("id = \"CN\", target", "id = \"V50\", target", &["caller_rules.ownership", "V50 stands twice"]),
    (
        "ultimate_controllers = [{ name = \"Inc\", seat = \"US\" }] }]",
        "ultimate_controllers = [] }, { id = \"host\", role = \"support\", places = [\"DE\"], content_access = false }]",
        &["sub_processors", "host stands twice"],
    ),
    ("[\"DE\", \"FR\"]", "[\"DE\", \"FR\", \"DE\"]", &["processing_locations", "\"DE\" stands twice"]),
    ("[\"fed:MilitaryUse\"]", "[\"fed:MilitaryUse\", \"fed:MilitaryUse\"]", &["prohibited_purposes", "stands twice"]),
    ("caveats = [\"SENSITIVE\"]", "caveats = [\"X\", \"X\"]", &["classification_ceilings", "\"X\" stands twice"]),
    // Texts.
    ("id = \"host\"", "id = \"\"", &["sub_processors", "id", "1 to 64 bytes"]),
    (
        "model_provider = \"Maker\"",
        "model_provider = \"Ma\\u202eker\"",
        &["model_provider", "marks of writing direction"],
    ),
    ("auditor = \"A\"", "auditor = \"\"", &["certifications.BSI-C5.auditor", "1 to 256 bytes"]),
    ("uri = \"https://evidence.example/1\"", "uri = \"\"", &["access_locations.evidence.uri", "1 to 2048 bytes"]),
    ("capabilities = [\"chat\", \"tools\"]", "capabilities = []", &["capabilities", "is empty"]),
    ("id = \"chat\"", "id = \"Chat!\"", &["id", "Chat!"]),
    ("served = [", "served = \"all\" # [", &["served", "\"all\"", "everyone"]),
];

#[test]
fn node_files_are_refused_with_the_field_and_what_was_expected() {
    hold(OFFER, node, OFFERS);
}

#[test]
fn case_files_are_refused_with_the_case_the_field_and_what_was_expected() {
    hold(OFFER, case, OFFERS);
    let good = "[fixture]\nas_of = 2026-11-22\n[fixture.offer]\nid = 'chat'\nnode = 'spiffe://op.example/node/n1'\nmodel \
        = 'm'\ncapabilities = ['chat']\n[fixture.operator]\ntrust_domain = 'op.example'\nname = 'OP'\n[fixture.caller]\n\
        trust_domain = 'ca.example'\nname = 'CA'\n[[case]]\nid = '1'\nset = { 'offer.model' = 'n' }\nexpect = []\n";
    let rows: &[Row] = &[
        ("expect = []", "expekt = []", &["expekt", "`expect`"]),
        ("expect = []", "expect = ['NO_SUCH']", &["case 1", "`expect`", "NO_SUCH", "docs/reasons.md"]),
        ("id = '1'", "id = ''", &["`id`", "1 to 256 bytes"]),
        ("expect = []", "expect = []\n[[case]]\nid = '1'\nexpect = []", &["case 1", "rename one"]),
        ("'offer.model' = 'n'", "'offer.model.x' = 'n'", &["case 1", "offer.model.x", "no table"]),
        ("'offer.model' = 'n'", "'caller.seat' = 'de'", &["case 1", "caller.seat", "ISO 3166"]),
        (
            "'offer.model' = 'n'",
            "'require.max_price' = { currency = 'EUX', input_micros_per_million_tokens = 1, output_micros_per_million_tokens = 1 }",
            &["case 1", "require.max_price", "EUX", "ISO 4217"],
        ),
        ("'offer.model' = 'n'", "'caller.name' = ''", &["case 1", "caller.name", "1 to 256 bytes"]),
        ("'offer.model' = 'n'", "capability = 'sing'", &["case 1", "capability", "`sing`", "`embed`"]),
        ("as_of = 2026-11-22", "as_of = 'soon'", &["as_of", "\"soon\"", "2026-11-22"]),
    ];
    hold(good, whole_case, rows);
}

#[test]
fn a_list_is_as_long_as_it_is_written() {
    let many = "\"dpv:CustomerCare\", ".repeat(100_000);
    let refused = requirements(&REQUIREMENTS.replacen("\"dpv:CustomerCare\"", &many, 1)).unwrap_err();
    assert!(refused.contains("\"dpv:CustomerCare\" stands twice"), "{refused}");
}

#[test]
fn cycles_of_ownership_are_accepted_and_what_holds_itself_is_not() {
    let graph = |stakes: &str| {
        organisation(&format!(
            "trust_domain = 'a.example'\nname = 'A'\nownership = {{ parties = {{ b = {{}}, c = {{}} }}, stakes = [{stakes}] }}"
        ))
    };
    let ring = "{ holder = 'b' }, { subject = 'b', holder = 'c', share = { percent = 60 } }, \
        { subject = 'c', holder = 'b', share = { percent = 60 } }";
    assert_eq!(graph(ring), Ok(()), "companies do hold each other: the arithmetic settles cycles");
    assert!(graph("{ subject = 'b', holder = 'b' }").unwrap_err().contains("nothing holds itself"));
}
