use std::io::Write as _;

use clap::Parser;
use comity_policy::Requirements;

use super::*;

#[derive(Debug, Parser)]
struct Flags {
    #[command(flatten)]
    requirements: RequirementArgs,
}

fn parsed(flags: &[&str]) -> Result<RequirementArgs, String> {
    let words = std::iter::once("test").chain(flags.iter().copied());
    Flags::try_parse_from(words).map(|flags| flags.requirements).map_err(|error| error.to_string())
}

fn model() -> ModelName {
    "m".parse().unwrap()
}

fn tables() -> &'static Tables {
    Tables::builtin().unwrap()
}

fn merged(flags: &[&str]) -> Requirements {
    parsed(flags).unwrap().merged(&model(), tables()).unwrap().requirements
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

#[test]
fn nothing_given_demands_nothing() {
    assert_eq!(merged(&[]), Requirements::default());
}

#[test]
fn a_flag_cannot_loosen_a_file_nor_a_file_a_preset() {
    let file = file("allowed_processing_locations = ['US']\nno_training = true\n");
    let all =
        merged(&["--require", file.path().to_str().unwrap(), "--preset", "eu-processing", "--processing", "DE,FR"]);
    assert_eq!(all.allowed_processing_locations.0.len(), 3, "every list has to hold");
    assert!(all.no_training);
    let alone = merged(&["--preset", "eu-processing"]);
    assert_eq!(all.clone().meet(alone), all, "the merge is as tight as each of its parts");
}

#[test]
fn every_flag_demands_something() {
    for flags in [
        &["--processing", "EU"][..],
        &["--not-processing", "US"],
        &["--storage", "EU"],
        &["--not-storage", "US"],
        &["--access", "EU"],
        &["--not-access", "US"],
        &["--operator-seat", "EU"],
        &["--controller-seat", "EU"],
        &["--not-controller-seat", "US"],
        &["--max-retention-days", "0", "--accept-retention", "legal-obligation"],
        &["--no-training"],
        &["--licence", "Apache-2.0"],
        &["--max-price", "EUR:0.5:1.5"],
        &["--capability", "tools"],
    ] {
        assert_ne!(merged(flags), Requirements::default(), "{flags:?} demands nothing");
    }
}

#[test]
fn purposes_and_origins_travel_in_the_envelope() {
    let args = parsed(&["--purpose", "dpv:CustomerCare", "--access-origin", "DE,FR"]).unwrap();
    let envelope = args.envelope(&model(), tables()).unwrap();
    assert_eq!(
        (envelope.purposes, envelope.access_origins),
        (vec!["dpv:CustomerCare".to_owned()], vec!["DE".to_owned(), "FR".to_owned()])
    );
}

#[test]
fn mistakes_are_named() {
    for (flags, word) in [
        (["--processing", "uk"], "the United Kingdom is GB"),
        (["--processing", "Atlantis"], "Atlantis"),
        (["--max-price", "EUR:1.2345678:1"], "EUR:0.50:1.50"),
        (["--max-price", "EURO:1:1"], "ISO 4217"),
        (["--accept-retention", "boredom"], "legal-obligation"),
        (["--accept-retention", "routine"], "--max-retention-days"),
    ] {
        let error = parsed(&flags).unwrap_err();
        assert!(error.contains(word), "{flags:?}: no {word} in {error}");
    }
    let unassigned = parsed(&["--processing", "UK"]).unwrap().merged(&model(), tables()).unwrap_err();
    assert!(unassigned.to_string().contains("allowed_processing_locations") && unassigned.to_string().contains("GB"));
    let unknown = parsed(&["--preset", "eu-sovreign"]).unwrap().merged(&model(), tables()).unwrap_err();
    assert!(unknown.to_string().contains("eu-sovereign"), "{unknown}");
}

#[test]
fn a_broken_file_is_named_with_its_line() {
    let file = file("no_training = true\nno_trainig = true\n");
    let error = parsed(&["--require", file.path().to_str().unwrap()]).unwrap().merged(&model(), tables()).unwrap_err();
    assert!(matches!(&error, CliError::BadFile { path, .. } if path == file.path()), "{error}");
}

#[test]
fn prices_are_exact() {
    assert_eq!(micros("0.50"), Some(500_000));
    assert_eq!(micros("12"), Some(12_000_000));
    assert_eq!(micros("0.000001"), Some(1));
    for wrong in ["", ".5", "1.0000001", "-1", "1e3", "99999999999999999999"] {
        assert_eq!(micros(wrong), None, "{wrong}");
    }
}

#[test]
fn the_example_of_requirements_is_accepted_and_demands_something_with_every_key() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/requirements.example.toml");
    let file = read(&path, tables()).unwrap().file;
    assert!(!file.declared.purposes.is_empty());
    let example: toml::Table = toml::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    for key in ["allowed_controller_seats", "max_price", "required_capabilities", "accept_retention_triggers", "preset"]
    {
        assert!(example.contains_key(key), "{key} is not shown");
    }
}

#[test]
fn the_documents_name_every_key_that_may_be_written() {
    use comity_policy::caller_rules::{CallerRules, OwnershipRule};
    use comity_policy::cases::World;
    use comity_policy::offer::SubProcessor;
    use comity_policy::ownership::{Party, Stake};
    use comity_policy::terms::Certification;
    use comity_policy::{Offer, Organisation, Terms};

    /// serde lists the fields that it expects when it meets one that it does not know.
    fn keys<T: for<'de> Deserialize<'de>>() -> Vec<String> {
        let error = toml::from_str::<toml::Table>("zzz = 1").unwrap().try_into::<T>().err().unwrap().to_string();
        error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
    }
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/policy.md")).unwrap();
    let all = [
        keys::<RequirementsTable>(),
        keys::<Organisation>(),
        keys::<Offer>(),
        keys::<Terms>(),
        keys::<CallerRules>(),
        keys::<OwnershipRule>(),
        keys::<SubProcessor>(),
        keys::<Certification>(),
        keys::<Party>(),
        keys::<Stake>(),
        keys::<World>(),
    ];
    for key in all.iter().inspect(|keys| assert!(keys.len() > 4, "{keys:?}")).flatten() {
        assert!(page.contains(key), "docs/policy.md does not name `{key}`");
    }
    for key in ["`require`", "`apps.NAME.require`"] {
        assert!(page.contains(key), "docs/policy.md does not name {key}");
    }
}
