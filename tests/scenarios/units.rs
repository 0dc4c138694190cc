//! The units of systemd in `deploy/`: hardened, understood by systemd, and starting programs that take their words.

use std::io::Write as _;
use std::process::Command;

use comity_tests::program::{built, run, said, succeed, workspace};

/// The units.
const UNITS: [&str; 2] = ["comity-broker.service", "comity-node@.service"];
/// Where the units expect the programs.
const INSTALLED: &str = "/usr/local/bin/";
/// The directives that a unit may have, by section: what systemd does not know, it only warns about, and then does not do.
/// A directive that is new here is looked up in systemd.unit(5), systemd.service(5) or systemd.exec(5) first.
const KNOWN: &[(&str, &[&str])] = &[
    ("Unit", &["Description", "Documentation", "Wants", "After"]),
    (
        "Service",
        &[
            "ExecStartPre",
            "ExecStart",
            "ExecReload",
            "Restart",
            "RestartPreventExitStatus",
            "RestartSec",
            "TimeoutStopSec",
            "KillSignal",
            "DynamicUser",
            "StateDirectory",
            "StateDirectoryMode",
            "LimitCORE",
            "LimitNOFILE",
            "UMask",
        ],
    ),
    ("Service", HARDENING),
    ("Install", &["WantedBy"]),
];
/// What every unit must restrict, with whatever value.
const HARDENING: &[&str] = &[
    "NoNewPrivileges",
    "CapabilityBoundingSet",
    "AmbientCapabilities",
    "ProtectSystem",
    "ProtectHome",
    "ProtectProc",
    "ProcSubset",
    "PrivateTmp",
    "PrivateDevices",
    "PrivateUsers",
    "ProtectClock",
    "ProtectHostname",
    "ProtectKernelLogs",
    "ProtectKernelModules",
    "ProtectKernelTunables",
    "ProtectControlGroups",
    "RestrictAddressFamilies",
    "RestrictNamespaces",
    "RestrictRealtime",
    "RestrictSUIDSGID",
    "LockPersonality",
    "MemoryDenyWriteExecute",
    "RemoveIPC",
    "SystemCallArchitectures",
    "SystemCallFilter",
    "SystemCallErrorNumber",
];

fn text(unit: &str) -> String {
    std::fs::read_to_string(workspace().join("deploy/systemd").join(unit)).unwrap()
}

/// Section, directive and value of every line that has one.
fn directives(unit: &str) -> Vec<(String, String, String)> {
    let mut section = String::new();
    let mut found = Vec::new();
    for line in text(unit).lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.to_owned();
            continue;
        }
        let (directive, value) = line.split_once('=').unwrap_or_else(|| panic!("{unit}: no directive: {line}"));
        found.push((section.clone(), directive.to_owned(), value.to_owned()));
    }
    found
}

#[test]
fn every_directive_of_a_unit_is_known_in_its_section_and_none_of_the_hardening_is_missing() {
    for unit in UNITS {
        let found = directives(unit);
        for (section, directive, _) in &found {
            let known = KNOWN.iter().any(|(name, known)| name == section && known.contains(&directive.as_str()));
            assert!(known, "{unit}: {directive} is not known in [{section}]");
        }
        for needed in HARDENING {
            assert!(found.iter().any(|(_, directive, _)| directive == needed), "{unit}: {needed} is missing");
        }
    }
}

#[test]
fn the_programs_take_the_words_that_the_units_start_them_with() {
    for unit in UNITS {
        let mut starts = 0;
        for (_, _, line) in directives(unit).iter().filter(|(_, directive, _)| directive.starts_with("ExecStart")) {
            let (program, words) = line.split_once(' ').unwrap();
            let program = program.strip_prefix(INSTALLED).unwrap_or_else(|| panic!("{unit}: not installed: {line}"));
            // An option that it does not know is refused before it comes to the last word.
            let _usage = succeed(Command::new(built(program)).args(words.split(' ')).arg("--help"));
            starts += 1;
        }
        assert!(starts > 0, "{unit} starts nothing");
    }
}

#[test]
fn systemd_understands_the_units_where_it_is_installed() {
    if !run(Command::new("sh").args(["-c", "command -v systemd-analyze"])).status.success() {
        // Past the harness, which shows what is printed by tests that fail only.
        writeln!(
            std::io::stderr(),
            "NOT CHECKED: systemd-analyze is not installed, so only our own rules were held against the units"
        )
        .unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for unit in UNITS {
        // The programs are not installed where the tests run: what is verified is all but their path.
        std::fs::write(folder.path().join(unit), text(unit).replace(&format!("{INSTALLED}comity-"), "/bin/true "))
            .unwrap();
    }
    let verify = |units: [&str; 2]| {
        let mut analyze = Command::new("systemd-analyze");
        analyze.args(["verify", "--man=no"]).current_dir(folder.path());
        let output = run(analyze.args(units.map(|unit| folder.path().join(unit.replace("@.", "@one.")))));
        // It also verifies what this machine has installed, which is not ours.
        said(&output).lines().filter(|line| line.contains("comity-")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(verify(UNITS), Vec::<String>::new());
    // And it does look: a directive that there is not is found.
    std::fs::write(folder.path().join("comity-wrong.service"), "[Service]\nExecStart=/bin/true\nNoSuch=yes\n").unwrap();
    assert!(!verify(["comity-wrong.service", UNITS[0]]).is_empty(), "systemd-analyze says nothing about a wrong unit");
}
