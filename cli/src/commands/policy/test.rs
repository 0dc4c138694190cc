//! `comity policy test`: case files, each check held against the complete reasons that it expects.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::Args;
use comity_policy::cases::{self, Expectation, Outcome};
use comity_policy::{Reason, Tables};
use serde_json::{Value, json};

use crate::args::Global;
use crate::error::CliError;
use crate::files::is_json;
use crate::output::{Format, known, print_json, print_line};
use crate::requirements::read_text;

/// Run case files, and show how each failing check differs; ends with 1 if one does.
///
/// A line with `-` was expected and is missing, one with `+` was found and not expected. docs/policy.md documents the
/// form of the files.
#[derive(Debug, Args)]
pub(crate) struct TestArgs {
    /// Case files, or folders of them: every *.toml in it
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// What became of a check, or why there is no verdict.
type Checked = (Expectation, Result<Outcome, String>);

/// Runs the files. All of them are read before the first check, so that a malformed one is named at once.
pub(super) fn run(args: &TestArgs, global: &Global) -> Result<(), CliError> {
    let tables = global.tables()?;
    let mut files = Vec::new();
    for path in case_files(&args.files)? {
        let bad = |error| CliError::BadFile { path: path.clone(), expected: "a case file", source: Box::new(error) };
        let text = read_text(&path)?;
        if is_json(&path, &text) {
            return Err(no_json(&path));
        }
        let cases = cases::parse(&text).map_err(bad)?;
        files.push((path, cases));
    }
    let checked: Vec<(PathBuf, Vec<Checked>)> = files
        .into_iter()
        .map(|(path, cases)| (path, cases.into_iter().map(|case| check(case, &tables)).collect()))
        .collect();
    let checks = checked.iter().map(|(_, cases)| cases.len()).sum::<usize>();
    let failed = checked.iter().flat_map(|(_, cases)| cases).filter(|case| !passed(case)).count();
    match global.output {
        Format::Json => print_json(&json!({
            "checks": checks,
            "failed": failed,
            "files": checked.iter().map(file_json).collect::<Vec<_>>(),
        }))?,
        Format::Table => {
            for (path, cases) in &checked {
                for case in cases.iter().filter(|case| !passed(case)) {
                    print_line(&difference(path, case))?;
                }
            }
            let what = if failed == 0 { "all as expected".to_owned() } else { format!("{failed} failed") };
            print_line(&format!("{checks} checks in {}: {what}", counted(checked.len(), "file")))?;
        }
    }
    if failed == 0 { Ok(()) } else { Err(not_as_expected(failed, checks)) }
}

fn no_json(path: &Path) -> CliError {
    CliError::Usage {
        problem: format!("{} is JSON, and case files are TOML alone", path.display()),
        hint:
            "docs/policy.md has the form of case files; `comity policy check` reads offers, organisations and requests \
               as JSON"
                .to_owned(),
    }
}

fn not_as_expected(failed: usize, checks: usize) -> CliError {
    CliError::Failed {
        problem: format!("{failed} of {checks} checks are not as expected"),
        hint: "docs/reasons.md says what each reason means; `expect` is the complete set".to_owned(),
    }
}

/// The files that are named, and those of folders that are, by name.
fn case_files(named: &[PathBuf]) -> Result<Vec<PathBuf>, CliError> {
    let mut files = Vec::new();
    for path in named {
        if path.is_dir() {
            files.extend(of_folder(path)?);
        } else {
            files.push(path.clone());
        }
    }
    Ok(files)
}

fn of_folder(folder: &Path) -> Result<BTreeSet<PathBuf>, CliError> {
    let unreadable = |source| CliError::File { doing: "read", path: folder.to_owned(), source };
    let mut files = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.insert(path);
        }
    }
    if files.is_empty() {
        return Err(CliError::Usage {
            problem: format!("there is no case file in {}", folder.display()),
            hint: "name a folder with *.toml files, or the files".to_owned(),
        });
    }
    Ok(files)
}

fn check(case: Expectation, tables: &Tables) -> Checked {
    let outcome = case.verdict(tables).map(|verdict| case.compare(&verdict)).map_err(|error| error.to_string());
    (case, outcome)
}

fn passed((_, outcome): &Checked) -> bool {
    outcome.as_ref().is_ok_and(Outcome::is_as_expected)
}

/// How a check differs, a line each.
fn difference(path: &Path, (case, outcome): &Checked) -> String {
    let about = if case.about.is_empty() { String::new() } else { format!(" ({})", case.about) };
    let mut lines = vec![format!("FAILED {}: case {}{about}", path.display(), case.id)];
    match outcome {
        Err(problem) => lines.push(format!("  ! {problem}")),
        Ok(outcome) => {
            lines.extend(outcome.missing.iter().map(|reason| format!("  - {reason}")));
            lines.extend(outcome.unexpected.iter().map(found));
            lines.extend(outcome.other_end.map(|end| {
                let expected = known(case.expires_at);
                format!(
                    "  ~ expires_at: expected {expected}, found {}",
                    end.map_or_else(|| "none".to_owned(), |end| end.to_string())
                )
            }));
        }
    }
    lines.join("\n")
}

fn found(reason: &Reason) -> String {
    let Reason { side, path, expected, actual, .. } = reason;
    format!("  + {reason}\n      {}: {path} is {actual}, accepted: {expected}", side.as_str())
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("{number} {what}") } else { format!("{number} {what}s") }
}

fn file_json((path, cases): &(PathBuf, Vec<Checked>)) -> Value {
    json!({ "file": path, "checks": cases.iter().map(case_json).collect::<Vec<_>>() })
}

fn case_json(checked: &Checked) -> Value {
    let (case, outcome) = checked;
    let reason = |reason: &Reason| {
        json!({
            "reason": reason.to_string(),
            "side": reason.side.as_str(),
            "party": reason.party,
            "path": reason.path,
            "expected": reason.expected,
            "actual": reason.actual,
            "rule": reason.rule,
        })
    };
    let (error, missing, unexpected, end) = match outcome {
        Err(problem) => (Some(problem), Vec::new(), Vec::new(), None),
        Ok(Outcome { missing, unexpected, other_end }) => {
            let end = other_end.map(|end| json!({ "expected": case.expires_at, "found": end }));
            (None, missing.iter().collect(), unexpected.iter().map(reason).collect(), end)
        }
    };
    json!({
        "id": case.id,
        "about": case.about,
        "passed": passed(checked),
        "error": error,
        "missing": missing,
        "unexpected": unexpected,
        "expires_at": end,
    })
}
