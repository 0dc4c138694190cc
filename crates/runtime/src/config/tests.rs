use std::io::Write as _;

use serde::Deserialize;

use super::*;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sample {
    #[expect(dead_code, reason = "read by serde alone")]
    listen: std::net::SocketAddr,
    #[serde(default)]
    backend: Vec<Backend>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Backend {
    url: String,
    #[serde(default)]
    limits: Limits,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limits {
    #[serde(default)]
    calls: u8,
}

fn mistake(text: &str) -> Mistake {
    let refused = parse::<Sample>(Path::new("node.toml"), text).unwrap_err();
    let ConfigError::Mistake(mistake) = refused else { panic!("{refused}") };
    *mistake
}

#[test]
fn a_good_file_is_read() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"listen = \"127.0.0.1:0\"\n[[backend]]\nurl = \"http://x\"\nlimits.calls = 3\n").unwrap();
    let sample: Sample = load(file.path()).unwrap();
    assert_eq!((sample.backend[0].url.as_str(), sample.backend[0].limits.calls), ("http://x", 3));
}

#[test]
fn a_value_of_the_wrong_type_is_shown_with_its_key_and_line() {
    let found = mistake("listen = \"127.0.0.1:0\"\n\n[[backend]]\nurl = \"a\"\n[[backend]]\nurl = 7\n");
    assert_eq!((found.line, found.column, found.key.as_str()), (6, 7, "backend[1].url"));
    assert_eq!(found.frame, "  |\n6 | url = 7\n  |       ^");
    let text = found.to_string();
    assert!(text.starts_with("node.toml:6:7: backend[1].url: invalid type: integer `7`, expected a string"), "{text}");
}

#[test]
fn a_value_that_its_type_refuses_is_shown() {
    let found = mistake("listen = \"here\"\n");
    assert_eq!((found.line, found.column, found.key.as_str()), (1, 10, "listen"));
    let found = mistake("listen = \"127.0.0.1:0\"\n[[backend]]\nurl = \"a\"\nlimits = { calls = 256 }\n");
    assert_eq!((found.line, found.key.as_str()), (4, "backend[0].limits.calls"));
}

#[test]
fn an_unknown_key_is_shown_with_those_there_are() {
    let found = mistake("listen = \"127.0.0.1:0\"\n[[backend]]\nurl = \"a\"\nurk = 1\n");
    assert_eq!((found.line, found.column, found.key.as_str()), (4, 1, "backend[0].urk"));
    assert!(found.problem.contains("`url` or `limits`"), "{}", found.problem);
}

#[test]
fn a_missing_key_is_named_and_its_table_shown() {
    let found = mistake("listen = \"127.0.0.1:0\"\n[[backend]]\nlimits = {}\n");
    assert_eq!((found.line, found.key.as_str()), (2, "backend[0]"));
    assert_eq!(found.problem, "missing field `url`");
}

#[test]
fn what_stands_twice_in_a_list_is_shown_with_its_path() {
    let error = parse::<toml::Table>(Path::new("a.toml"), "b = 1\n[c]\nd = [{ e = ['GB', 'GB'] }]").unwrap_err();
    let ConfigError::Mistake(found) = error else { panic!("{error:?}") };
    assert_eq!((found.line, found.column, found.key.as_str()), (3, 19, "c.d[0].e[1]"));
    assert_eq!(found.problem, "\"GB\" stands twice: remove one");
    let long = format!("a = [{}]", "'x', ".repeat(100_000));
    assert!(
        parse::<toml::Table>(Path::new("a.toml"), &long).unwrap_err().to_string().starts_with("a.toml:1:11: a[1]: ")
    );
}

#[test]
fn what_is_not_toml_is_shown() {
    let found = mistake("listen = \"127.0.0.1:0\"\nbackend = [\n");
    assert!(found.line >= 2, "{found}");
    assert!(!found.frame.is_empty());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let refused = load::<Sample>(Path::new("/nowhere/node.toml")).unwrap_err();
    let text = crate::chain::text(&refused);
    assert!(text.starts_with("cannot read /nowhere/node.toml: ") && text.contains("(hint: check the path"), "{text}");
}

#[test]
fn a_folder_in_the_place_of_a_file_is_told_from_one_that_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    assert!(load::<Sample>(folder.path()).unwrap_err().to_string().contains("that is a folder"));
}

#[test]
fn a_value_is_found_by_its_keys_and_what_is_missing_by_its_table() {
    let text =
        "listen = \"a\"\n[b.one]\nurl = \"x\"\n[[offers]]\nid = \"p\"\n[[offers]]\nid = \"q\"\nr.s = { t = 1 }\n";
    let line = |keys: &str| line_of(text, &keys.split('.').collect::<Vec<_>>());
    assert_eq!((line("listen"), line("b.one"), line("b.one.url")), (Some(1), Some(2), Some(3)));
    assert_eq!((line("offers.0.id"), line("offers.1.id"), line("offers.1.r.s.t")), (Some(5), Some(7), Some(8)));
    assert_eq!((line("b.one.key"), line("offers.1.gone"), line("offers.9")), (Some(2), Some(6), Some(4)));
    assert_eq!((line("gone"), line_of("= [", &["x"])), (None, None));
}

#[test]
fn a_file_above_the_limit_is_refused() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(&vec![b'#'; usize::try_from(MAX_CONFIG_BYTES).unwrap() + 1]).unwrap();
    assert!(matches!(load::<Sample>(file.path()), Err(ConfigError::TooLarge { .. })));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "[a-z=\\[\\]{}\"\n.é#' 0-9]{0,80}") {
        drop(parse::<Sample>(Path::new("x.toml"), &text));
    }

    #[test]
    fn no_text_makes_the_search_for_a_line_panic(text in "[a-c=\\[\\]{}\"\n. 0-9]{0,80}", keys in "[a-c0-9.]{0,8}") {
        let _line = line_of(&text, &keys.split('.').collect::<Vec<_>>());
    }

    #[test]
    fn no_value_of_a_known_key_makes_it_panic(value in "\\PC{0,40}", pad in "[\n ]{0,5}") {
        drop(parse::<Sample>(Path::new("x.toml"), &format!("{pad}listen = {value}")));
    }
}
