use comity_policy::claim::Assurance;
use tempfile::TempDir;

use super::*;
use crate::chain;

const AUDIT: &str = "[[issuer]]\nid = 'our-audit'\nabout = ''\nup_to = 'audited'\ninstrument = ''\nsource = ''\n\
                     recorded_at = 2026-01-01\nverified = true\n";

fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

/// What is said of a folder with these files that cannot be used.
#[track_caller]
fn refusal(files: &[(&str, &str)]) -> String {
    chain::text(&load(Some(folder(files).path())).unwrap_err())
}

#[test]
fn without_a_folder_the_tables_are_those_that_ship() {
    let tables = load(None).unwrap();
    assert_eq!(tables.digest(), Tables::builtin().unwrap().digest());
}

#[test]
fn a_table_of_the_folder_is_in_force_and_what_is_no_table_is_passed_over() {
    let folder = folder(&[("issuers.toml", AUDIT), ("README.md", "ours"), ("blocs.toml~", "nonsense")]);
    let tables = load(Some(folder.path())).unwrap();
    assert!(tables.issuers.trusts("our-audit", Assurance::Audited));
    assert_eq!(tables.changed().collect::<Vec<_>>(), [TableName::Issuers]);
}

#[test]
fn a_file_that_is_named_like_no_table_is_refused_with_the_names_that_there_are() {
    let said = refusal(&[("issuers.toml", AUDIT), ("issuer.toml", AUDIT)]);
    assert!(said.contains("issuer.toml: no table has this name") && said.contains("issuers.toml,"), "{said}");
}

#[test]
fn a_folder_without_a_table_or_that_is_not_there_is_refused() {
    assert!(refusal(&[("README.md", "")]).contains("has no table in it"));
    let missing = chain::text(&load(Some(Path::new("no-such-folder"))).unwrap_err());
    assert!(missing.contains("cannot read no-such-folder"), "{missing}");
}

#[test]
fn a_malformed_table_is_refused_with_its_file_its_row_and_its_field() {
    let unknown = refusal(&[("issuers.toml", &AUDIT.replace("'audited'", "'sworn'"))]);
    for word in ["issuers.toml:4:", "issuer[0].up_to", "sworn"] {
        assert!(unknown.contains(word), "no {word:?} in {unknown}");
    }
    let twice = refusal(&[("issuers.toml", &format!("{AUDIT}{AUDIT}"))]);
    for word in ["issuers.toml: our-audit: `id` stands twice", "hint"] {
        assert!(twice.contains(word), "no {word:?} in {twice}");
    }
}

#[test]
fn a_table_that_is_too_large_or_no_text_is_refused() {
    let most = usize::try_from(MAX_TABLE_BYTES).unwrap();
    let padded = |bytes: usize| format!("{AUDIT}#{}", "x".repeat(bytes - AUDIT.len() - 1));
    assert!(load(Some(folder(&[("issuers.toml", &padded(most))]).path())).is_ok());
    assert!(refusal(&[("issuers.toml", &padded(most + 1))]).contains("more than 1048576 bytes"));
    let folder = folder(&[]);
    std::fs::write(folder.path().join("blocs.toml"), [0xff, 0xfe]).unwrap();
    let said = chain::text(&load(Some(folder.path())).unwrap_err());
    assert!(said.contains("blocs.toml") && said.contains("UTF-8"), "{said}");
}
