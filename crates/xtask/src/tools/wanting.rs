//! Packages that want a newer Python than the oldest that the tests run on, and what is left out of the tests where there is none.
//! What was left out did not pass: it is not run, and is said last, where nobody overlooks it.

use std::path::Path;
use std::process::{Command, Stdio};

/// Such a package.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanting {
    /// As the pins name it.
    package: &'static str,
    /// The oldest Python that it runs on.
    oldest: &'static str,
    /// A part of the names of the tests that need it.
    tests: &'static str,
}

/// All of them; `tests/verifiers/python/requirements.txt` has the same versions of Python beside them.
const ALL: [Wanting; 3] = [
    Wanting { package: "aics-tlog", oldest: "3.12", tests: "newer_python::aics_tlog" },
    Wanting { package: "aics-witness", oldest: "3.12", tests: "third_party::" },
    Wanting { package: "tlog-scales", oldest: "3.11", tests: "newer_python::tlog_scales" },
];

/// Those that are not in this environment.
pub(crate) fn missing(environment: &Path) -> Vec<Wanting> {
    let python = environment.join("bin/python");
    let is_there = |wanting: &Wanting| {
        let script = "import importlib.metadata as there, sys; there.version(sys.argv[1])";
        let asked = Command::new(&python).args(["-c", script, wanting.package]).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    };
    ALL.into_iter().filter(|wanting| !is_there(wanting)).collect()
}

/// What leaves their tests out.
pub(crate) fn skipping(missing: &[Wanting]) -> Vec<&'static str> {
    missing.iter().flat_map(|wanting| ["--skip", wanting.tests]).collect()
}

/// What is said of them, a line each.
pub(crate) fn said(missing: &[Wanting], python: &str) -> String {
    let line = |wanting: &Wanting| {
        let Wanting { package, oldest, tests } = wanting;
        format!(
            "xtask: SKIPPED, which is not passed: the tests `{tests}` of {package}, which wants Python {oldest} and was not installed with \
             {python}, the newest in PATH that makes environments (hint: put python{oldest} or newer there, with its venv module)\n"
        )
    };
    missing.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_named_with_its_reason_and_is_not_run() {
        let environment = std::env::temp_dir().join("comity-xtask-no-environment");
        let missing = missing(&environment);
        assert_eq!(missing.len(), ALL.len(), "an environment that is not there has none of them");
        assert_eq!(skipping(&missing)[..2], ["--skip", "newer_python::aics_tlog"]);
        let said = said(&missing, "Python 3.10.4");
        assert_eq!(said.matches("SKIPPED, which is not passed").count(), 3, "{said}");
        assert!(said.contains("aics-tlog, which wants Python 3.12") && said.contains("with Python 3.10.4"), "{said}");
        assert_eq!(super::said(&[], "Python 3.13.0"), "");
    }

    #[test]
    fn the_pins_want_what_is_said_here() {
        let pins = std::fs::read_to_string(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../tests/verifiers/python/requirements.txt"
        ));
        let pins = pins.unwrap();
        for Wanting { package, oldest, .. } in ALL {
            let pin = pins.lines().find(|line| line.starts_with(&format!("{package}=="))).unwrap();
            assert!(pin.ends_with(&format!("python_version >= \"{oldest}\"")), "{pin}");
        }
        assert_eq!(pins.matches("python_version").count(), ALL.len(), "a package that wants one is not known here");
    }
}
