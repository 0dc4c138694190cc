use super::*;

mod tables;
mod words;

const FIXTURE: &str = "
[fixture]
as_of = 2026-11-22
[fixture.offer]
id = 'chat'
node = 'spiffe://op.example/node/n1'
model = 'm'
capabilities = ['chat']
licence = 'MIT'
[fixture.operator]
trust_domain = 'op.example'
name = 'OP'
[fixture.caller]
trust_domain = 'ca.example'
name = 'CA'
[fixture.require]
purposes = ['dpv:CustomerCare']
";

fn read(cases: &str) -> Result<Vec<Expectation>, String> {
    parse(&format!("{FIXTURE}{cases}")).map_err(|error| match error {
        CaseError::Malformed(source) => source.to_string(),
        CaseError::TooLong(_) | CaseError::Case { .. } => error.to_string(),
    })
}

/// The files of tests/cases, by name, with their text.
fn shipped() -> BTreeMap<String, String> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/cases");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let name = |path: &std::path::Path| path.file_name().unwrap().to_str().unwrap().to_owned();
    files.map(|path| (name(&path), std::fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn every_case_that_ships_is_as_expected() {
    let tables = Tables::builtin().unwrap();
    let mut wrong = Vec::new();
    for (file, text) in shipped() {
        for case in parse(&text).unwrap_or_else(|error| panic!("{file}: {error}")) {
            match case.verdict(tables).map(|verdict| case.compare(&verdict)) {
                Ok(outcome) if outcome.is_as_expected() => {}
                outcome => wrong.push(format!("{file} {}: {outcome:?}", case.id)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_cases_that_ship_are_those_of_the_vocabulary_and_more() {
    let count = |file: &str| parse(&shipped()[file]).unwrap().len();
    assert!(count("vocabulary.toml") > 60 && count("semantics.toml") > 500);
}

#[test]
fn changes_reach_every_field_and_sub_cases_change_on_top() {
    let cases = read(
        "[[case]]\nid = '1'\nset = { 'offer.{processing,storage}_locations' = ['DE'] }\nunset = ['offer.capabilities']
         [[case.sub]]\nid = 'a'\nset = { 'offer.capabilities' = ['embed'], 'offer.storage_locations' = [] }
         expect = ['CAPABILITY_MISSING(chat)', 'NODE_TERMS_INCOMPLETE']",
    )
    .unwrap();
    let [case] = cases.as_slice() else { panic!("{cases:?}") };
    assert_eq!((case.id.as_str(), case.world.as_ref().unwrap().capability), ("1/a", Capability::Chat));
    assert!(case.compare(&case.verdict(Tables::builtin().unwrap()).unwrap()).is_as_expected());
    let storage = case.world.as_ref().unwrap().offer.storage_locations.as_ref().unwrap();
    assert!(storage.statements()[0].value.is_empty());
}

#[test]
fn an_outcome_names_what_is_missing_and_what_is_too_much() {
    let cases = read("[[case]]\nid = '1'\nexpect = ['PRICE_ABOVE_MAX(input)']").unwrap();
    let outcome = cases[0].compare(&cases[0].verdict(Tables::builtin().unwrap()).unwrap());
    assert_eq!(outcome.missing, BTreeSet::from(["PRICE_ABOVE_MAX(input)".to_owned()]));
    assert_eq!(outcome.unexpected.iter().map(ToString::to_string).collect::<Vec<_>>(), ["NODE_TERMS_INCOMPLETE"]);
}

#[test]
fn a_path_without_braces_says_what_one_of_several_is_instead() {
    let set = "'offer.access_locations' = ['FR'], 'offer.{access,storage,processing}_locations' = ['DE']";
    let cases = read(&format!("[[case]]\nid = '1'\nset = {{ {set} }}\nexpect = []")).unwrap();
    let offer = &cases[0].world.as_ref().unwrap().offer;
    let of = |claim: &Option<crate::Claim<BTreeSet<Place>>>| claim.as_ref().unwrap().statements()[0].value.clone();
    assert_eq!(of(&offer.access_locations), BTreeSet::from(["FR".parse().unwrap()]));
    assert_eq!(of(&offer.storage_locations), BTreeSet::from(["DE".parse().unwrap()]));
}

#[test]
fn a_file_may_say_whose_word_counts_and_no_other_file_believes_it() {
    let set = "'offer.licence' = { value = 'MIT', assurance = 'audited', issuer = 'AUDIT' }, 'require.min_assurance' = { licence = 'audited' }";
    let trusted = format!("issuers = [{{ id = 'AUDIT', up_to = 'audited' }}], {set}");
    let reasons = |set: &str| {
        let cases = read(&format!("[[case]]\nid = '1'\nset = {{ {set} }}\nexpect = []")).unwrap();
        let verdict = cases[0].verdict(Tables::builtin().unwrap()).unwrap();
        verdict.reasons().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(reasons(&trusted), ["NODE_TERMS_INCOMPLETE"]);
    assert_eq!(reasons(set), ["ISSUER_NOT_TRUSTED(licence)", "NODE_TERMS_INCOMPLETE"]);
}

#[test]
fn a_case_is_as_expected_if_its_reasons_are_and_its_end_is() {
    let outcome = |terms: &str, more: &str| {
        let cases = read(&format!("[[case]]\nid = '1'\nset = {{ 'offer.terms' = {terms} }}\n{more}")).unwrap();
        cases[0].compare(&cases[0].verdict(Tables::builtin().unwrap()).unwrap())
    };
    let open = "{ caller_rules = { served = 'everyone' } }";
    let end = "expect = ['PURPOSE_NOT_ALLOWED(dpv:CustomerCare)']\nexpires_at = 2027-01-01";
    assert!(outcome(open, "expect = ['PURPOSE_NOT_ALLOWED(dpv:CustomerCare)']").is_as_expected());
    let missing = outcome(open, "expect = ['PURPOSE_NOT_ALLOWED(dpv:CustomerCare)', 'PRICE_ABOVE_MAX(input)']");
    assert!(missing.unexpected.is_empty() && !missing.is_as_expected());
    let unexpected = outcome(open, "expect = []");
    assert!(unexpected.missing.is_empty() && !unexpected.is_as_expected());
    let other = outcome(open, end);
    assert_eq!(other.other_end, Some(None));
    assert!(other.missing.is_empty() && other.unexpected.is_empty() && !other.is_as_expected());
}

#[test]
fn a_file_that_cannot_be_used_names_the_case_and_the_field() {
    let error = |cases: &str| read(cases).unwrap_err();
    assert!(error("[[case]]\nid = '1'").contains("`expect` is missing"));
    assert!(error("[[case]]\nid = '1'\nexpekt = []").contains("expekt"));
    assert!(error("[[case]]\nid = '1'\nexpect = []\n[[case]]\nid = '1'\nexpect = []").contains("rename one"));
    assert!(
        error("[[case]]\nid = '1'\n[[case.sub]]\nid = 'a'\n[[case.sub.sub]]\nid = 'b'\nexpect = []")
            .contains("none of its own")
    );
    assert!(error("").contains("there are none"));
}

#[test]
fn cases_that_would_take_more_memory_than_there_need_be_are_refused_before_they_do() {
    let large = "x".repeat(100_000);
    let mut text = format!("[[case]]\nid = '1'\nset = {{ 'offer.licence' = '{large}' }}\n");
    for sub in 0..MAX_EXPANDED_BYTES / large.len() + 1 {
        text += &format!("[[case.sub]]\nid = '{sub}'\nexpect = []\n");
    }
    let error = read(&text).unwrap_err();
    assert!(error.contains("all cases take more than 16 MiB"), "{error}");
}

#[test]
fn a_case_that_cannot_be_put_together_fails_alone_and_names_the_field() {
    let tables = Tables::builtin().unwrap();
    let error = |case: &str| {
        let cases =
            read(&format!("[[case]]\nid = '1'\n{case}\n[[case]]\nid = '2'\nexpect = ['NODE_TERMS_INCOMPLETE']"));
        let cases = cases.unwrap();
        let (good, broken) = cases.split_last().unwrap();
        assert!(good.compare(&good.verdict(tables).unwrap()).is_as_expected());
        broken.iter().map(|case| case.verdict(tables).unwrap_err().to_string()).collect::<Vec<_>>().join("; ")
    };
    assert!(error("expect = ['NO_SUCH']").contains("case 1: `expect`: NO_SUCH"));
    assert!(error("expect = []\nunset = ['offer.nothing']").contains("has no offer.nothing"));
    assert!(error("expect = []\nset = { 'offer.id.x' = 1 }").contains("offer.id.x"));
    assert!(error("expect = []\nset = { 'offer.lisence' = 'MIT' }").contains("lisence"));
    assert!(error("expect = []\nset = { 'operator.seat' = 'Utopia' }").contains("ISO 3166"));
    let deep = "a.".repeat(100_000);
    let long = "a".repeat(MAX_PATH_BYTES);
    let many = ",".repeat(MAX_ALTERNATIVES);
    for field in ["set = { '@' = 1 }", "unset = ['@']"] {
        let error = |path: &str| error(&format!("expect = []\n{}", field.replace('@', path)));
        assert!(error(&format!("offer.{deep}b")).contains("at most 1024 and 32 are accepted"), "{field}");
        assert!(error(&format!("offer.{long}")).contains("at most 1024 and 32 are accepted"), "{field}");
        assert!(error(&format!("offer.{{{many}}}")).contains("at most 64 are accepted"), "{field}");
    }
    let twice = "{ statements = [{ value = 'DE' }, { value = 'FR' }] }";
    assert!(error(&format!("expect = []\nset = {{ 'operator.seat' = {twice} }}")).contains("states it twice"));
    let of_subs =
        error("unset = ['offer.nothing']\n[[case.sub]]\nid = 'a'\nexpect = []\n[[case.sub]]\nid = 'b'\nexpect = []");
    assert!(of_subs.contains("case 1/a: ") && of_subs.contains("case 1/b: "), "{of_subs}");
}

#[test]
fn a_layer_that_an_organisation_file_may_not_have_fails_its_case_with_its_field() {
    let problem = |set: &str| {
        let cases = read(&format!("[[case]]\nid = '1'\napp = 'assistant'\nset = {{ {set} }}\nexpect = []")).unwrap();
        cases[0].verdict(Tables::builtin().unwrap()).unwrap_err().to_string()
    };
    for (set, words) in [
        ("'caller.require.purposes' = ['dpv:CustomerCare']", ["caller.require", "purposes"]),
        ("'caller.apps.assistant.require.preset' = ['none']", ["caller.apps.assistant.require", "\"none\""]),
        ("'caller.apps.assistant.requires.no_training' = true", ["caller", "requires"]),
        ("'caller.apps.\"A b\".require' = {}", ["caller", "A b"]),
        ("'operator.require.no_training' = true", ["operator", "require"]),
        ("app = 'A b'", ["app", "A b"]),
    ] {
        let problem = problem(set);
        assert!(words.iter().all(|word| problem.contains(word)), "{set}: {problem}");
    }
}

#[test]
fn a_world_is_read_as_it_was_written_with_its_layers() {
    let set = "'caller.require.no_training' = true, 'caller.apps.assistant.require.min_cada_level' = 2";
    let cases = read(&format!("[[case]]\nid = '1'\napp = 'assistant'\nset = {{ {set} }}\nexpect = []")).unwrap();
    let world = cases[0].world.as_ref().unwrap();
    let read: World = serde_json::from_str(&serde_json::to_string(world).unwrap()).unwrap();
    assert_eq!((&read.caller, &read.app), (&world.caller, &world.app));
    assert!(read.app.is_some());
}
