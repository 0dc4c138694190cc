//! What `deploy/` shows is what the programs accept.

use std::process::Command;

use comity_tests::program::{built, run, said, succeed, workspace};

#[test]
fn the_example_of_a_broker_is_accepted() {
    let example = workspace().join("deploy/broker.example.toml");
    let _said = succeed(Command::new(built("comity-broker")).args(["check-config", "--config"]).arg(example));
}

#[test]
fn the_units_are_what_systemd_understands() {
    let units = ["comity-broker.service", "comity-node@.service"];
    let folder = tempfile::tempdir().unwrap();
    for unit in units {
        // The programs are not installed where the tests run: what is verified is all but their path.
        let text = std::fs::read_to_string(workspace().join("deploy/systemd").join(unit)).unwrap();
        std::fs::write(folder.path().join(unit), text.replace("/usr/local/bin/comity-", "/bin/true ")).unwrap();
    }
    if run(Command::new("sh").args(["-c", "command -v systemd-analyze"])).status.success() {
        let output = run(Command::new("systemd-analyze")
            .arg("verify")
            .arg("--man=no")
            .current_dir(folder.path())
            .args(units.map(|unit| folder.path().join(unit.replace("@.", "@one.")))));
        let complaints: Vec<String> =
            said(&output).lines().filter(|line| line.contains("comity-")).map(str::to_owned).collect();
        assert!(complaints.is_empty(), "{complaints:?}");
    }
}
