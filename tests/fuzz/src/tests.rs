//! What the seeds and the regressions hold, without libFuzzer.

use std::path::Path;

use comity_policy::node_file::NodeFile;
use comity_policy::organisation::OrganisationTable;
use comity_policy::requirements::RequirementsFile;
use comity_policy::{Tables, cases, check};

use super::*;

#[test]
fn every_seed_holds() {
    for target in Target::ALL {
        let seeds = seeds::of(*target);
        assert!(!seeds.is_empty(), "{target:?}");
        seeds.iter().for_each(|(_, text)| target.hold(text.as_bytes()));
    }
}

#[test]
fn every_seed_is_accepted() {
    let tables = Tables::builtin().unwrap();
    let node = "spiffe://op.example/node/n1".parse().unwrap();
    for target in Target::ALL {
        for (name, text) in seeds::of(*target) {
            let refused = match target {
                Target::Requirements => RequirementsFile::from_toml(&text, tables).err().map(|e| e.to_string()),
                Target::Node => NodeFile::parse(&text).unwrap().offers(&node, tables).err().map(|e| format!("{e:?}")),
                Target::Organisation => {
                    let file = toml::from_str::<OrganisationTable>(&text).unwrap().expand(tables).unwrap();
                    check::organisation_file(&file.facts, tables).err().map(|e| e.to_string())
                }
                Target::Cases => cases::parse(&text).err().map(|e| e.to_string()),
            };
            assert_eq!(refused, None, "{target:?}, {name}");
        }
    }
}

#[test]
fn every_input_that_once_broke_something_holds() {
    for target in Target::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("regressions").join(target.as_str());
        for file in std::fs::read_dir(&folder).into_iter().flatten() {
            target.hold(&std::fs::read(file.unwrap().path()).unwrap());
        }
    }
}
