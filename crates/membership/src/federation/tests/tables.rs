//! By which tables the federation decides.

use std::sync::Arc;

use comity_policy::Tables;
use comity_policy::tables::TableName;

use super::*;

/// The tables that ship, with `more` at the end of that of issuers.
pub(super) fn texts(more: &str) -> BTreeMap<TableName, String> {
    let text = |table: &TableName| {
        let more = if *table == TableName::Issuers { more } else { "" };
        (*table, format!("{}{more}", table.builtin()))
    };
    TableName::ALL.iter().map(text).collect()
}

pub(super) fn adopted(more: &str) -> Statement {
    Statement::TablesAdopted { tables: texts(more) }
}

/// A row of the table of issuers.
pub(super) fn issuer(id: &str) -> String {
    format!(
        "\n[[issuer]]\nid = '{id}'\nabout = ''\nup_to = 'audited'\ninstrument = ''\nsource = ''\nrecorded_at = 2026-01-01\nverified = true\n"
    )
}

#[test]
fn tables_are_adopted_by_the_threshold_and_count_from_that_epoch_on() {
    let mut test = with_a();
    let own = Arc::new(Tables::builtin().unwrap().clone());
    assert!(test.federation.adopted().is_none());
    assert!(Arc::ptr_eq(test.federation.tables_or(&own), &own));
    let statement = adopted(&issuer("ours"));
    assert_eq!(test.say(statement.clone(), &["alice"]), too_few(1));
    for stranger in [A, NODE, "eve"] {
        assert!(has_no_say(&test.say(statement.clone(), &["alice", "bob", stranger])), "{stranger}");
    }
    let before = test.federation.clone();
    assert_eq!(test.say(statement, &BOTH), Ok(()));
    let now = test.federation.adopted().unwrap();
    assert_eq!((now.epoch, now.texts.clone()), (test.federation.epoch(), texts(&issuer("ours"))));
    assert_eq!(test.federation.tables_or(&own).digest(), now.tables.digest());
    assert_ne!(now.tables.digest(), own.digest());
    assert!(!test.federation.judges_as(&before) && before.adopted().is_none());
}

#[test]
fn tables_that_nobody_could_decide_by_are_refused() {
    let mut test = three();
    let bad = |test: &mut TestFederation, change: &dyn Fn(&mut BTreeMap<TableName, String>)| {
        let mut tables = texts("");
        change(&mut tables);
        match test.say(Statement::TablesAdopted { tables }, &BOTH) {
            Err(Refused::Tables(why)) => why,
            other => panic!("{other:?}"),
        }
    };
    for table in TableName::ALL {
        let why = bad(&mut test, &|tables| drop(tables.remove(table)));
        assert!(why.contains(table.as_str()) && why.contains("missing"), "{why}");
        let why = bad(&mut test, &|tables| tables.get_mut(table).unwrap().insert_str(0, "colour = 'red'\n"));
        assert!(why.contains(table.as_str()) && why.contains("colour"), "{why}");
    }
    let twice = bad(&mut test, &|tables| tables.get_mut(&TableName::Issuers).unwrap().push_str(&issuer("GLEIF")));
    assert!(twice.contains("GLEIF: `id` stands twice"), "{twice}");
    let long = bad(&mut test, &|tables| {
        tables.get_mut(&TableName::Blocs).unwrap().push_str(&"#".repeat(MAX_TABLES_BYTES));
    });
    assert!(long.contains("bytes"), "{long}");
    assert!(test.federation.adopted().is_none());
    test.say(adopted(""), &BOTH).unwrap();
    assert!(bad(&mut test, &|_| {}).contains("already"));
}

#[test]
fn the_largest_tables_fit_into_a_statement() {
    let mut test = three();
    let room = MAX_TABLES_BYTES - texts("").values().map(String::len).sum::<usize>();
    let envelope = test.signed(adopted(&"#".repeat(room)), &BOTH);
    let bytes = serde_json::to_vec(&envelope).unwrap().len();
    assert!(bytes < 1024 * 1024, "{bytes}");
    assert_eq!(test.enter(Body::Signed(envelope)), Ok(()));
}
