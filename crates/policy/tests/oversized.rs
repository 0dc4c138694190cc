//! Every list and every text has a limit with a name: what is as long as it may be is accepted, one more is refused
//! with the field and the limit.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test says what is wrong by ending"
)]

use std::fmt::Write as _;

use comity_policy::limits::*;
use comity_policy::node_file::MAX_OFFERS;
use comity_policy::ownership::{MAX_PARTIES, MAX_STAKES};
use comity_policy::requirements::RequirementsFile;
use comity_policy::{Offer, Organisation, Tables, cases, check};

/// A field, its limit, and the file with that many of what is limited.
type Row<'a> = (&'a str, usize, &'a dyn Fn(usize) -> String);

fn hold(read: impl Fn(&str) -> Result<(), String>, rows: &[Row<'_>]) {
    for (path, most, make) in rows {
        assert_eq!(read(&make(*most)), Ok(()), "{path} at its limit");
        let refusal = read(&make(most + 1)).expect_err(path);
        for word in [*path, &most.to_string(), &(most + 1).to_string()] {
            assert!(refusal.contains(word), "{path}: no {word:?} in {refusal}");
        }
    }
}

/// `count` entries, each by its number.
fn many(count: usize, entry: impl Fn(usize) -> String) -> String {
    (0..count).map(entry).collect::<Vec<_>>().join(", ")
}

fn words(count: usize) -> String {
    many(count, |index| format!("'w{index}'"))
}

/// So many places of the table: countries, then the parts of some.
fn known(count: usize) -> Vec<String> {
    let places = &Tables::builtin().unwrap().places;
    let parts = (1..=95).map(|part| format!("FR-{part:02}")).filter(|code| places.knows(&code.parse().unwrap()));
    let known: Vec<_> = places.countries().map(ToString::to_string).chain(parts).take(count).collect();
    assert_eq!(known.len(), count);
    known
}

fn places(count: usize) -> String {
    let known = known(count);
    many(count, |index| format!("'{}'", known[index]))
}

fn long(bytes: usize) -> String {
    "x".repeat(bytes)
}

fn organisation(text: &str) -> Result<(), String> {
    let facts: Organisation = toml::from_str(text).map_err(|error| error.to_string())?;
    check::accept(check::organisation(&facts)).map_err(|unfit| unfit.to_string())
}

fn offer(text: &str) -> Result<(), String> {
    let offer: Offer = toml::from_str(text).map_err(|error| error.to_string())?;
    check::accept(check::offer(&offer)).map_err(|unfit| unfit.to_string())
}

fn requirements(text: &str) -> Result<(), String> {
    RequirementsFile::from_toml(text, Tables::builtin().unwrap()).map(drop).map_err(|error| error.to_string())
}

#[test]
fn facts_of_organisations_have_limits() {
    let of = |rest: &str| {
        format!("trust_domain = 'a.example'\n{}{rest}", if rest.starts_with("name") { "" } else { "name = 'A'\n" })
    };
    let holders = |count: usize| {
        many(count, |index| {
            format!(
                "{{ holder = 'p{}', interest = '{}' }}",
                index / 5,
                ["shareholding", "voting-rights", "appointment-of-board", "rights-granted-by-contract", "golden-share"]
                    [index % 5]
            )
        })
    };
    let parties = |count: usize| many(count, |index| format!("p{index} = {{}}"));
    hold(
        organisation,
        &[
            ("name", MAX_TEXT_BYTES, &|n| of(&format!("name = '{}'", long(n)))),
            ("registration_numbers", MAX_NUMBERS, &|n| {
                of(&format!(
                    "registration_numbers = [{}]",
                    many(n, |i| format!("{{ scheme = 'local', number = '{i}' }}"))
                ))
            }),
            ("registration_numbers[0].number", MAX_NUMBER_BYTES, &|n| {
                of(&format!("registration_numbers = [{{ scheme = 'local', number = '{}' }}]", long(n)))
            }),
            ("establishments", MAX_LIST, &|n| of(&format!("establishments = [{}]", places(n)))),
            ("ultimate_controllers", MAX_CONTROLLERS, &|n| {
                of(&format!("ultimate_controllers = [{}]", many(n, |i| format!("{{ name = 'c{i}', seat = 'DE' }}"))))
            }),
            ("ultimate_controllers.xxx", MAX_TEXT_BYTES, &|n| {
                of(&format!("ultimate_controllers = [{{ name = '{}', seat = 'DE' }}]", long(n)))
            }),
            ("sector", MAX_TEXT_BYTES, &|n| of(&format!("sector = '{}'", long(n)))),
            ("restricted_party_lists", MAX_LIST, &|n| of(&format!("restricted_party_lists = [{}]", words(n)))),
            ("restricted_party_lists", MAX_TEXT_BYTES, &|n| of(&format!("restricted_party_lists = ['{}']", long(n)))),
            ("accepted_terms", MAX_LIST, &|n| {
                of(&format!("accepted_terms = {{ {} }}", many(n, |i| format!("'o{i}.example' = 1"))))
            }),
            ("training_choices", MAX_LIST, &|n| {
                of(&format!("training_choices = {{ {} }}", many(n, |i| format!("'o{i}.example' = 'opted-in'"))))
            }),
            ("parties", MAX_PARTIES, &|n| of(&format!("ownership = {{ parties = {{ {} }} }}", parties(n)))),
            ("stakes", MAX_STAKES, &|n| {
                of(&format!("ownership = {{ parties = {{ {} }}, stakes = [{}] }}", parties(MAX_PARTIES), holders(n)))
            }),
            ("ownership.parties.xxx", MAX_TEXT_BYTES, &|n| {
                of(&format!("ownership = {{ parties = {{ {} = {{}} }} }}", long(n)))
            }),
            ("ownership.parties.p.restricted_party_lists", MAX_ENTRIES, &|n| {
                of(&format!("ownership = {{ parties = {{ p = {{ restricted_party_lists = [{}] }} }} }}", words(n)))
            }),
            ("statements", comity_policy::claim::MAX_STATEMENTS, &|n| {
                of(&format!(
                    "seat = {{ statements = [{}] }}",
                    many(n, |i| format!("{{ value = 'DE', issuer = 'i{i}' }}"))
                ))
            }),
            ("seat.issuer", MAX_TEXT_BYTES, &|n| of(&format!("seat = {{ value = 'DE', issuer = '{}' }}", long(n)))),
            ("seat.evidence.uri", MAX_URI_BYTES, &|n| {
                of(&format!("seat = {{ value = 'DE', evidence = {{ uri = '{}' }} }}", long(n)))
            }),
        ],
    );
}

const OFFER: &str = "id = 'chat'\nnode = 'spiffe://a.example/node/n1'\nmodel = 'm'\ncapabilities = ['chat']\n";

#[test]
fn offers_have_limits() {
    let of = |rest: String| format!("{OFFER}{rest}");
    let sub = |rest: String| {
        of(format!("sub_processors = [{{ id = 's', role = 'support', content_access = false, {rest} }}]"))
    };
    hold(
        offer,
        &[
            ("model_provider", MAX_TEXT_BYTES, &|n| of(format!("model_provider = '{}'", long(n)))),
            ("processing_locations", MAX_LIST, &|n| of(format!("processing_locations = [{}]", places(n)))),
            ("storage_locations", MAX_LIST, &|n| of(format!("storage_locations = [{}]", places(n)))),
            ("access_locations", MAX_LIST, &|n| of(format!("access_locations = [{}]", places(n)))),
            ("runtime", MAX_TEXT_BYTES, &|n| of(format!("runtime = '{}'", long(n)))),
            ("licence", MAX_TEXT_BYTES, &|n| of(format!("licence = '{}'", long(n)))),
            ("sub_processors", MAX_SUB_PROCESSORS, &|n| {
                of(format!(
                    "sub_processors = [{}]",
                    many(n, |i| format!("{{ id = 's{i}', role = 'support', places = [], content_access = false }}"))
                ))
            }),
            ("sub_processors.xxx", MAX_ID_BYTES, &|n| {
                of(format!(
                    "sub_processors = [{{ id = '{}', role = 'support', places = [], content_access = false }}]",
                    long(n)
                ))
            }),
            ("sub_processors.s.places", MAX_LIST, &|n| sub(format!("places = [{}]", places(n)))),
            ("sub_processors.s.establishments", MAX_LIST, &|n| {
                sub(format!("places = [], establishments = [{}]", places(n)))
            }),
            ("sub_processors.s.ultimate_controllers", MAX_CONTROLLERS, &|n| {
                sub(format!(
                    "places = [], ultimate_controllers = [{}]",
                    many(n, |i| format!("{{ name = 'c{i}', seat = 'DE' }}"))
                ))
            }),
        ],
    );
}

#[test]
fn terms_have_limits() {
    let of = |rest: String| format!("{OFFER}[terms]\n{rest}");
    let rules = |rest: String| of(format!("caller_rules = {{ served = 'everyone', {rest} }}"));
    let rule = |rest: String| rules(format!("ownership = [{{ {rest} }}]"));
    let certificate = |rest: String| of(format!("certifications = [{{ scheme = 'S', {rest} }}]"));
    hold(
        offer,
        &[
            ("terms.retention", MAX_RULES, &|n| {
                of(format!(
                    "retention = [{}]",
                    many(n, |i| format!("{{ data = 'content', trigger = 'routine', max_days = {i} }}"))
                ))
            }),
            ("terms.human_review.reviewer_places", MAX_LIST, &|n| {
                of(format!("human_review = {{ mode = 'routine', reviewer_places = [{}] }}", places(n)))
            }),
            ("terms.certifications", MAX_ENTRIES, &|n| {
                of(format!("certifications = [{}]", many(n, |i| format!("{{ scheme = 's{i}' }}"))))
            }),
            ("terms.certifications.S.scope_services", MAX_LIST, &|n| {
                certificate(format!("scope_services = [{}]", words(n)))
            }),
            ("terms.certifications.S.scope_sites", MAX_LIST, &|n| {
                certificate(format!("scope_sites = [{}]", places(n)))
            }),
            ("terms.certifications.S.auditor", MAX_TEXT_BYTES, &|n| certificate(format!("auditor = '{}'", long(n)))),
            ("terms.allowed_purposes", MAX_LIST, &|n| of(format!("allowed_purposes = [{}]", words(n)))),
            ("terms.prohibited_purposes", MAX_LIST, &|n| of(format!("prohibited_purposes = [{}]", words(n)))),
            ("terms.accepted_data_categories", MAX_LIST, &|n| of(format!("accepted_data_categories = [{}]", words(n)))),
            ("terms.classification_ceilings", MAX_RULES, &|n| {
                of(format!("classification_ceilings = {{ {} }}", many(n, |i| format!("s{i} = {{ level = 'L' }}"))))
            }),
            ("terms.classification_ceilings.S.caveats", MAX_ENTRIES, &|n| {
                of(format!("classification_ceilings = {{ S = {{ level = 'L', caveats = [{}] }} }}", words(n)))
            }),
            ("terms.caller_rules.served", MAX_LIST, &|n| of(format!("caller_rules = {{ served = [{}] }}", places(n)))),
            ("terms.caller_rules.served_except", MAX_LIST, &|n| rules(format!("served_except = [{}]", places(n)))),
            ("terms.caller_rules.denied_sectors", MAX_ENTRIES, &|n| rules(format!("denied_sectors = [{}]", words(n)))),
            ("terms.caller_rules.denied_lists", MAX_ENTRIES, &|n| rules(format!("denied_lists = [{}]", words(n)))),
            ("terms.caller_rules.ownership", MAX_OWNERSHIP_RULES, &|n| {
                rules(format!(
                    "ownership = [{}]",
                    many(n, |i| format!("{{ id = 'r{i}', target = 'places-not-served' }}"))
                ))
            }),
            ("terms.caller_rules.ownership[0].id", MAX_ID_BYTES, &|n| {
                rule(format!("id = '{}', target = 'places-not-served'", long(n)))
            }),
            ("terms.caller_rules.ownership[0].target", MAX_LIST, &|n| {
                rule(format!("id = 'r', target = [{}]", places(n)))
            }),
            ("terms.caller_rules.ownership[0].target.lists", MAX_ENTRIES, &|n| {
                rule(format!("id = 'r', target = {{ lists = [{}] }}", words(n)))
            }),
            ("terms.caller_rules.ownership[0].in_force", MAX_INTERVALS, &|n| {
                rule(format!("id = 'r', target = [], in_force = [{}]", many(n, |_| "{}".to_owned())))
            }),
        ],
    );
}

#[test]
fn requirements_have_limits() {
    let tables = Tables::builtin().unwrap();
    let list = |key: &'static str| move |n: usize| format!("{key} = [{}]", places(n));
    let each = [
        "allowed_processing_locations",
        "forbidden_processing_locations",
        "allowed_storage_locations",
        "forbidden_storage_locations",
        "allowed_access_locations",
        "forbidden_access_locations",
        "allowed_operator_seats",
        "allowed_controller_seats",
        "forbidden_controller_seats",
        "transfer_basis_outside",
        "allowed_governing_laws",
    ];
    for key in each {
        hold(requirements, &[(key, MAX_LIST, &list(key))]);
    }
    for key in ["access_origins", "output_used_in"] {
        hold(requirements, &[(key, MAX_REQUEST_LIST, &list(key))]);
    }
    let all: Vec<&str> = tables.purposes.iter().map(|(purpose, _)| purpose).collect();
    let purposes = |n: usize| format!("purposes = [{}]", many(n, |i| format!("'{}'", all[i])));
    let weights = |n: usize| known(n).iter().map(|place| format!("{place} = 1")).collect::<Vec<_>>().join(", ");
    hold(
        requirements,
        &[
            ("purposes", MAX_REQUEST_LIST, &purposes),
            ("data_categories", MAX_REQUEST_LIST, &|n| format!("data_categories = [{}]", words(n))),
            ("data_categories", MAX_TEXT_BYTES, &|n| format!("data_categories = ['{}']", long(n))),
            ("classifications", MAX_REQUEST_LIST, &|n| {
                format!(
                    "classifications = [{}]",
                    many(n, |i| format!("{{ scheme = 'UK-GSC', level = 'SECRET', caveats = ['{i}'] }}"))
                )
            }),
            ("classifications.caveats", MAX_ENTRIES, &|n| {
                format!("classifications = [{{ scheme = 'UK-GSC', level = 'SECRET', caveats = [{}] }}]", words(n))
            }),
            ("accept_attested_runtimes", MAX_REQUEST_LIST, &|n| {
                format!("no_exposure = ['US-CLOUD-ACT']\naccept_attested_runtimes = [{}]", words(n))
            }),
            ("foreign_ownership.home", MAX_LIST, &|n| {
                format!("foreign_ownership = {{ home = [{}], individual_bp = 1, aggregate_bp = 1 }}", places(n))
            }),
            ("forbidden_sub_processors", MAX_LIST, &|n| format!("forbidden_sub_processors = [{}]", words(n))),
            ("forbidden_sub_processors", MAX_TEXT_BYTES, &|n| format!("forbidden_sub_processors = ['{}']", long(n))),
            ("required_certifications", MAX_DEMANDS, &|n| {
                format!(
                    "required_certifications = [{}]",
                    many(n, |i| format!("{{ scheme = 'SOC2', max_age_days = {i} }}"))
                )
            }),
            ("required_certifications.editions", MAX_REQUEST_LIST, &|n| {
                format!("required_certifications = [{{ scheme = 'SOC2', editions = [{}] }}]", words(n))
            }),
            ("allowed_licences", MAX_LIST, &|n| format!("allowed_licences = [{}]", words(n))),
            ("prefer.locations", MAX_REQUEST_LIST, &|n| format!("prefer = {{ locations = {{ {} }} }}", weights(n))),
        ],
    );
}

#[test]
fn node_files_have_limits() {
    let file = |n: usize| {
        let mut text = "[terms.t]\n".to_owned();
        for index in 0..n {
            let _written = writeln!(
                text,
                "[[offers]]\nid = 'o{index}'\nmodel = 'm'\nbackend = 'b'\nterms = 't'\ncapabilities = ['chat']"
            );
        }
        text
    };
    let read = |text: &str| {
        let file = comity_policy::node_file::NodeFile::parse(text).map_err(|error| error.to_string())?;
        let node = "spiffe://a.example/node/n1".parse().unwrap();
        let offers = file.offers(&node, Tables::builtin().unwrap()).map(drop);
        offers.map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))
    };
    hold(read, &[("offers", MAX_OFFERS, &file)]);
}

#[test]
fn case_files_have_limits() {
    let fixture = "[fixture]\nas_of = 2026-11-22\nbroker_places = ['DE']\n[fixture.operator]\ntrust_domain = 'a.example'\nname = 'A'\n\
        [fixture.caller]\ntrust_domain = 'c.example'\nname = 'C'\n[fixture.offer]\n";
    let of = |cases: String| format!("{fixture}{OFFER}{cases}");
    let put_together = |all: Vec<cases::Expectation>| {
        all.into_iter()
            .try_for_each(|case| case.world.map(drop).map_err(|problem| format!("case {}: {problem}", case.id)))
    };
    let read = |text: &str| cases::parse(text).map_err(|error| error.to_string()).and_then(put_together);
    hold(
        read,
        &[
            ("`id`", MAX_TEXT_BYTES, &|n| of(format!("[[case]]\nid = '{}'\nexpect = []\n", long(n)))),
            ("`about`", MAX_TEXT_BYTES, &|n| of(format!("[[case]]\nid = '1'\nabout = '{}'\nexpect = []\n", long(n)))),
            ("broker_places", MAX_LIST, &|n| {
                of(format!("[[case]]\nid = '1'\nexpect = []\nset = {{ broker_places = [{}] }}\n", places(n)))
            }),
            ("`set`", cases::MAX_CHANGES, &|n| {
                let changes = many(n, |i| format!("'require.min_assurance.c{i}' = 'audited'"));
                of(format!("[[case]]\nid = '1'\nexpect = []\nset = {{ {changes} }}\n"))
            }),
            ("bytes", cases::MAX_CASE_FILE_BYTES, &|n| {
                let text = of("[[case]]\nid = '1'\nexpect = []\n#".to_owned());
                let rest = n - text.len();
                text + &long(rest)
            }),
        ],
    );
    let many = |n: usize| of((0..n).map(|i| format!("[[case]]\nid = '{i}'\nexpect = []\n")).collect());
    assert!(read(&many(cases::MAX_CASES)).is_ok());
    let refusal = read(&many(cases::MAX_CASES + 1)).unwrap_err();
    assert!(refusal.contains("at most 4096 cases"), "{refusal}");
}

#[test]
fn the_page_has_every_limit() {
    let page = include_str!("../../../docs/policy.md");
    let (_, table) = page.split_once("| at most | of what |").unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| line.is_empty() || line.starts_with('|')).collect();
    let limits = [
        (MAX_LIST, "entries of a list"),
        (MAX_TEXT_BYTES, "bytes of a text"),
        (MAX_OFFERS, "offers of a node"),
        (MAX_ID_BYTES, "name of a sub-processor or an ownership rule"),
        (MAX_NUMBER_BYTES, "registration number"),
        (MAX_URI_BYTES, "address of evidence"),
        (comity_policy::claim::MAX_STATEMENTS, "statements of a claim"),
        (MAX_NUMBERS, "registration numbers of an organisation"),
        (MAX_INTERVALS, "times at which an ownership rule is in force"),
        (MAX_RULES, "retention rules and classification ceilings"),
        (MAX_OWNERSHIP_RULES, "ownership rules"),
        (MAX_SUB_PROCESSORS, "sub-processors and certificates"),
        (MAX_ENTRIES, "caveats; lists and sectors"),
        (MAX_CONTROLLERS, "controllers"),
        (MAX_PARTIES, "parties of a graph"),
        (MAX_STAKES, "stakes of a graph"),
        (MAX_REQUEST_LIST, "of a request: purposes"),
        (MAX_DEMANDS, "that a request demands"),
        (MAX_PRESETS, "presets of a requirements file"),
        (cases::MAX_CASES, "cases of a case file, of 1 MiB"),
        (cases::MAX_CHANGES, "changes of a case"),
    ];
    for (limit, of) in limits {
        let stands = rows.iter().any(|row| row.contains(of) && row.contains(&limit.to_string()));
        assert!(stands, "docs/policy.md: no row has {limit}, {of}");
    }
    assert!(page.contains(&format!("| {} MiB | any file", MAX_FILE_BYTES / 1024 / 1024)));
}
