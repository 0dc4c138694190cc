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
";

fn read(cases: &str) -> Result<Vec<Expectation>, String> {
    parse(&format!("{FIXTURE}{cases}")).map_err(|error| match error {
        CaseError::Malformed(source) => source.to_string(),
        CaseError::Case { .. } => error.to_string(),
    })
}

/// What is not as expected, by case.
fn wrong(file: &str) -> Vec<String> {
    let tables = Tables::builtin().unwrap();
    let outcomes = parse(file).unwrap().into_iter().map(|case| {
        let outcome = case.compare(&case.verdict(tables).unwrap());
        (!outcome.is_as_expected()).then(|| format!("{}: {outcome:?}", case.id))
    });
    outcomes.flatten().collect()
}

#[test]
fn the_worked_cases_of_the_vocabulary_hold() {
    let cases = include_str!("../../../../tests/cases/vocabulary.toml");
    assert!(parse(cases).unwrap().len() > 60);
    assert_eq!(wrong(cases), Vec::<String>::new());
}

#[test]
fn the_example_of_each_reason_gives_it_and_no_other() {
    assert_eq!(wrong(include_str!("../../../../tests/cases/reasons.toml")), Vec::<String>::new());
}

#[test]
fn rules_begin_and_end_where_they_say() {
    assert_eq!(wrong(include_str!("../../../../tests/cases/edges.toml")), Vec::<String>::new());
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
    assert_eq!((case.id.as_str(), case.world.capability), ("1/a", Capability::Chat));
    assert!(case.compare(&case.verdict(Tables::builtin().unwrap()).unwrap()).is_as_expected());
    let storage = case.world.offer.storage_locations.as_ref().unwrap();
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
fn a_case_is_as_expected_if_its_reasons_are_and_its_end_is() {
    let outcome = |terms: &str, more: &str| {
        let cases = read(&format!("[[case]]\nid = '1'\nset = {{ 'offer.terms' = {terms} }}\n{more}")).unwrap();
        cases[0].compare(&cases[0].verdict(Tables::builtin().unwrap()).unwrap())
    };
    let open = "{ allowed_purposes = ['dpv:Purpose'], caller_rules = { served = 'everyone' } }";
    let end = "expect = ['PURPOSE_UNDECLARED']\nexpires_at = 2027-01-01";
    assert!(outcome(open, "expect = ['PURPOSE_UNDECLARED']").is_as_expected());
    let missing = outcome(open, "expect = ['PURPOSE_UNDECLARED', 'PRICE_ABOVE_MAX(input)']");
    assert!(missing.unexpected.is_empty() && !missing.is_as_expected());
    let unexpected = outcome(open, "expect = []");
    assert!(unexpected.missing.is_empty() && !unexpected.is_as_expected());
    let other = outcome(open, end);
    assert_eq!(other.other_end, Some(None));
    assert!(other.missing.is_empty() && other.unexpected.is_empty() && !other.is_as_expected());
}

#[test]
fn mistakes_name_the_case_and_the_field() {
    let error = |cases: &str| read(cases).unwrap_err();
    assert!(error("[[case]]\nid = '1'\nexpect = ['NO_SUCH']").contains("case 1: `expect`: NO_SUCH"));
    assert!(error("[[case]]\nid = '1'").contains("`expect` is missing"));
    assert!(error("[[case]]\nid = '1'\nexpekt = []").contains("expekt"));
    assert!(error("[[case]]\nid = '1'\nexpect = []\nunset = ['offer.nothing']").contains("has no offer.nothing"));
    assert!(error("[[case]]\nid = '1'\nexpect = []\nset = { 'offer.id.x' = 1 }").contains("offer.id.x"));
    assert!(error("[[case]]\nid = '1'\nexpect = []\nset = { 'offer.lisence' = 'MIT' }").contains("lisence"));
    assert!(error("[[case]]\nid = '1'\nexpect = []\n[[case]]\nid = '1'\nexpect = []").contains("rename one"));
    assert!(
        error("[[case]]\nid = '1'\n[[case.sub]]\nid = 'a'\n[[case.sub.sub]]\nid = 'b'\nexpect = []")
            .contains("none of its own")
    );
    assert!(error("").contains("0 expectations"));
}
