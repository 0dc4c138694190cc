use super::*;

const ROW: &str = "[[regime]]\nid = 'A'\nplaces = ['US']\nnexus = ['seat']\nin_force = [{ from = 2020-01-01 }]\n\
                   instrument = 'i'\nsource = 's'\nrecorded_at = 2026-01-01\nverified = true\n";

fn of(text: &str) -> Mistake {
    mistake(TableName::Regimes, text, &Folder::default()).unwrap()
}

fn places(mistake: &Mistake) -> (Option<&str>, Option<&str>) {
    (mistake.row.as_deref(), mistake.field.as_deref())
}

#[test]
fn every_table_that_ships_is_well_formed() {
    for table in TableName::ALL {
        assert_eq!(mistake(*table, table.builtin(), &Folder::default()), None, "{}", table.as_str());
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
    ] {
        let found = of(&second(from, to));
        assert_eq!(places(&found), (Some("B"), Some(field)), "{to}: {found}");
    }
    assert_eq!(places(&of(&format!("{ROW}{ROW}"))), (Some("A"), Some("id")));
}

#[test]
fn a_preset_that_demands_what_no_table_has_is_named() {
    let text = TableName::Presets.builtin().replace("no_exposure = [\"US-CLOUD-ACT\"]", "no_exposure = [\"US-CLOUD\"]");
    let found = mistake(TableName::Presets, &text, &Folder::default()).unwrap();
    assert_eq!(places(&found).1, Some("no_exposure"), "{found}");
    assert!(found.problem.contains("comity table show regimes"), "{found}");
}
