//! The program as whoever starts it sees it: what it prints, and how it ends.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says what is wrong by ending")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use comity_client::founding::{FoundingPlan, found};
use comity_runtime::clock::SystemClock;
use comity_types::Clock as _;

fn broker(command: &str, config: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_comity-broker")).arg(command).arg("--config").arg(config).output().unwrap()
}

fn config(dir: &tempfile::TempDir, text: &str) -> PathBuf {
    let path = dir.path().join("broker.toml");
    std::fs::write(&path, text).unwrap();
    path
}

const LEAST: &str = "listen = '127.0.0.1:0'\nadvertise = ['localhost:7443']\ndata_dir = 'data'\nplaces = ['DE']\n";

#[test]
fn check_config_says_that_the_example_is_in_order() {
    let checked = broker("check-config", &Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/broker.example.toml"));
    assert!(checked.status.success(), "{checked:?}");
    assert!(String::from_utf8_lossy(&checked.stdout).ends_with("is in order\n"), "{checked:?}");
}

#[test]
fn check_config_says_all_that_is_wrong_and_fails() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = LEAST.replace("'DE'", "'Germany'").replace("127.0.0.1:0", "here");
    let checked = broker("check-config", &config(&dir, &wrong));
    let told = String::from_utf8_lossy(&checked.stderr);
    assert_eq!(checked.status.code(), Some(2));
    assert!(told.contains("listen: ") && told.contains("places[0]: "), "{told}");

    let unknown = broker("check-config", &config(&dir, &format!("{LEAST}colour = 'red'\n")));
    let told = String::from_utf8_lossy(&unknown.stderr);
    assert!(told.contains("broker.toml:5:1") && told.contains("colour"), "{told}");
    assert_eq!(unknown.status.code(), Some(2));

    let missing = broker("run", &dir.path().join("nothere.toml"));
    let told = String::from_utf8_lossy(&missing.stderr);
    assert!(told.contains("nothere.toml") && told.trim_end().ends_with(')') && told.contains("(hint: "), "{told}");
    assert_eq!(missing.status.code(), Some(2));
}

#[test]
fn a_broker_without_a_founded_data_directory_ends_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let ended = broker("run", &config(&dir, LEAST));
    let told = String::from_utf8_lossy(&ended.stderr);
    assert_eq!(ended.status.code(), Some(1));
    assert!(told.contains("root.json") && told.contains("comity federation init"), "{told}");
}

#[test]
fn a_founded_broker_tells_its_address_and_ends_well_on_sigterm() {
    let dir = tempfile::tempdir().unwrap();
    let plan = FoundingPlan {
        federation: "fed.example".parse().unwrap(),
        dir: dir.path().join("federation"),
        operator: "ada".parse().unwrap(),
        co_operators: vec![],
        root_threshold: 1,
        membership_threshold: 1,
        listen: "127.0.0.1:0".parse().unwrap(),
        addresses: vec!["broker.fed.example:7443".into()],
        places: ["DE".parse().unwrap()].into(),
    };
    let founded = found(&plan, SystemClock.now()).unwrap();
    for _ in 0..2 {
        let mut running = start(&founded.config);
        let address = running.address(&founded.data_dir.join("address"));
        assert!(address.starts_with("127.0.0.1:"), "{address}");
        assert!(Command::new("kill").arg(running.0.id().to_string()).status().unwrap().success());
        assert!(running.0.wait().unwrap().success());
        assert!(!founded.data_dir.join("address").exists());
    }
}

/// A program that is ended with its test.
struct Running(Child);

fn start(config: &Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_comity-broker"));
    Running(command.args(["run", "--config"]).arg(config).stderr(Stdio::inherit()).spawn().unwrap())
}

impl Running {
    /// Looks for the file until it is there.
    fn address(&mut self, path: &Path) -> String {
        /// Times to look, 20 ms apart: 20 s.
        const LOOKS: usize = 1000;
        for _ in 0..LOOKS {
            if let Ok(address) = std::fs::read_to_string(path) {
                return address;
            }
            assert!(self.0.try_wait().unwrap().is_none(), "the broker ended before it listened");
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("no address within 20 s");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        let _ended = self.0.kill().is_ok() && self.0.wait().is_ok();
    }
}
