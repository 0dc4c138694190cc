use super::*;

const ROW: &str = "[[regime]]\nid = 'A'\nplaces = ['US']\nnexus = ['seat']\nin_force = [{ from = 2020-01-01 }]\n\
                   instrument = 'i'\nsource = 's'\nrecorded_at = 2026-01-01\nverified = true\n";

/// What is wrong with a table, beside those that ship.
fn wrong(table: TableName, text: &str) -> Option<Mistake> {
    mistake(table, text, &Folder::default())
}

fn of(text: &str) -> Mistake {
    wrong(TableName::Regimes, text).unwrap()
}

fn places(mistake: &Mistake) -> (Option<&str>, Option<&str>) {
    (mistake.row.as_deref(), mistake.field.as_deref())
}

#[test]
fn every_table_that_ships_is_well_formed() {
    for table in TableName::ALL {
        assert_eq!(wrong(*table, table.builtin()), None, "{}", table.as_str());
    }
}

#[test]
fn a_mistake_names_the_row_and_the_field() {
    let second = |from: &str, to: &str| format!("{ROW}\n{}", ROW.replace("'A'", "'B'").replace(from, to));
    for (from, to, field) in [
        ("verified = true", "verified = 'yes'", "verified"),
        ("verified = true\n", "", "verified"),
        ("nexus = ['seat']", "nexus = ['chair']", "nexus"),
        ("nexus = ['seat']", "nexuss = ['seat']", "nexus"),
        ("verified = true", "verified = true\nextra = 1", "extra"),
        ("nexus = ['seat']", "nexus = []", "places"),
        ("from = 2020-01-01", "from = 2020-01-01, until = 2019-01-01", "in_force"),
        ("places = ['US']", "places = ['UK']", "places"),
        ("places = ['US']", "places = ['US', 'US']", "places"),
        ("recorded_at = 2026-01-01", "recorded_at = 'soon'", "recorded_at"),
        ("instrument = 'i'", "instrument = ''", "instrument"),
        ("source = 's'", "source = ' '", "source"),
    ] {
        let found = of(&second(from, to));
        assert_eq!(places(&found), (Some("B"), Some(field)), "{to}: {found}");
    }
    assert_eq!(places(&of(&format!("{ROW}{ROW}"))), (Some("A"), Some("id")));
}

#[test]
fn a_place_or_bloc_that_no_table_has_is_named_for_what_it_may_be() {
    let of = |code: &str| {
        let text =
            TableName::Statutes.builtin().replacen("territory = [\"EU\"]", &format!("territory = [\"{code}\"]"), 1);
        wrong(TableName::Statutes, &text).unwrap()
    };
    let found = of("EUU");
    assert_eq!(places(&found), (Some("eu-aiact:A5-1-a"), Some("territory")), "{found}");
    assert!(
        found.problem.contains("\"EUU\" is in no table of blocs") && found.problem.contains("show blocs"),
        "{found}"
    );
    assert!(of("UK").problem.contains("did you mean \"GB\"?"));
    assert!(of("DE-").problem.contains("\"DE-\" is no place of ISO 3166"));
    let text = TableName::Licences.builtin();
    let seats = text.lines().find(|line| line.starts_with("seats = ")).unwrap();
    let found = wrong(TableName::Licences, &text.replacen(seats, "seats = [\"EUU\"]", 1)).unwrap();
    assert_eq!(places(&found).1, Some("grants.seats"), "{found}");
    let territory = text.lines().find(|line| line.starts_with("territory = ")).unwrap();
    let found =
        wrong(TableName::Licences, &text.replacen(territory, &territory.replace("\"EU\"", "\"EUU\""), 1)).unwrap();
    assert!(places(&found).1 == Some("territory") && found.problem.contains("table of blocs"), "{found}");
}

#[test]
fn mistakes_of_every_kind_of_row_name_it_and_the_field() {
    let changed = |table: TableName, from: &str, to: &str| {
        let text = table.builtin();
        assert!(text.contains(from), "{from}");
        let found = wrong(table, &text.replacen(from, to, 1)).unwrap();
        (found.row.unwrap_or_default(), found.field.unwrap_or_default())
    };
    let is = |row: &str, field: &str| (row.to_owned(), field.to_owned());
    use TableName::{Blocs, Certifications, Classifications, Issuers, Licences, Places, Presets, Purposes};
    assert_eq!(changed(Licences, "\"2023-06\"", "\"2023-66\""), is("LicenseRef-Llama-2", "scale.month"));
    assert_eq!(
        changed(Licences, "\"fed:MilitaryUse\",", "\"fed:MilitaryUse\", \"fed:MilitaryUse\","),
        is("LicenseRef-Llama-2", "excluded_purposes")
    );
    assert_eq!(changed(Certifications, "[\"type-1\", \"type-2\"]", "[\"type-1\", \"type-1\"]"), is("SOC2", "levels"));
    assert_eq!(changed(Certifications, "[\"type-1\", \"type-2\"]", "[\"\"]"), is("SOC2", "levels"));
    assert_eq!(
        changed(Classifications, "\"SECRET\", \"TOP SECRET\"", "\"SECRET\", \"SECRET\""),
        is("UK-GSC", "levels")
    );
    assert_eq!(changed(Issuers, "instrument = \"ISO 17442\"", "instrument = \"\""), is("GLEIF", "instrument"));
    for table in [Places, Purposes] {
        assert_eq!(changed(table, "source = \"W3C", "source = \"\" # \"W3C").1, "source", "{}", table.as_str());
    }
    let twice = |table: TableName, kind: &str| {
        let text = table.builtin();
        let start = text.find(&format!("[[{kind}]]")).unwrap();
        let row = text[start..].split("\n\n").next().unwrap().split(&format!("\n[[{kind}]]")).next().unwrap();
        let found = wrong(table, &format!("{text}\n{row}\n")).unwrap();
        (found.row.is_some(), found.field.unwrap_or_default())
    };
    assert_eq!(twice(Blocs, "bloc"), (true, "from".to_owned()));
    assert_eq!(twice(Presets, "preset"), (true, "name".to_owned()));
    let level = Classifications.builtin();
    let line = level.lines().find(|line| line.starts_with("same_as_level = ")).unwrap();
    let (row, field) = changed(Classifications, line, "same_as_level = \"NONE\"");
    assert!(row.ends_with(" NONE") && field == "same_as_level", "{row}: {field}");
}

#[test]
fn a_preset_that_demands_what_no_table_has_is_named() {
    let text = TableName::Presets.builtin().replace("no_exposure = [\"US-CLOUD-ACT\"]", "no_exposure = [\"US-CLOUD\"]");
    let found = mistake(TableName::Presets, &text, &Folder::default()).unwrap();
    assert_eq!(places(&found).1, Some("no_exposure"), "{found}");
    assert!(found.problem.contains("comity table show regimes"), "{found}");
}
