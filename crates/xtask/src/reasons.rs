//! `cargo xtask reasons`: docs/reasons.md, from the list of codes in `comity-policy` and the case of each in
//! tests/cases/reasons.toml. The cases are evaluated, so that no example is an invention.

mod node;

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};
use comity_policy::cases::{self, Expectation};
use comity_policy::{Reason, ReasonCode, Side, Tables};

/// The reference, from the workspace's root.
const REFERENCE: &str = "docs/reasons.md";
/// A case for each code, named like it.
const CASES: &str = "tests/cases/reasons.toml";
/// The command that mends a stale file.
const MEND: &str = "run `cargo xtask reasons` and commit what it writes";
/// Codes that are given where no pure function sees why: there is no case, and the example is told.
const TOLD: &[(ReasonCode, &str)] =
    &[(ReasonCode::FederationPolicy, "the operator of the offer is suspended; the broker knows who is a member")];

const HEAD: &str = "\
<!-- Written by `cargo xtask reasons` from crates/policy/src/reason.rs and tests/cases/reasons.toml: edit those. -->

# Reasons

Every reason for which an offer may be refused. The list is closed: another code is another version of the schema. A
refusal shows all of them, never the first alone, as `CODE(subject)` with the field that was read, what was found there
and what would have been accepted. The side says on whose behalf: a code that is about a fact is given by whichever
side reads the fact. What mends it stands for both: what the caller can do, and what the node's operator can.

Each example is a case of [tests/cases/reasons.toml](../tests/cases/reasons.toml); `comity policy test` runs it.
";

/// Writes the reference, or with `check` says whether it is current.
///
/// # Errors
/// A code without a case, a case that gives another reason, a file that cannot be read or written, or with `check` one
/// that is stale.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let path = root.join(REFERENCE);
    let text = reference(root)?;
    let present = std::fs::read_to_string(&path).unwrap_or_default();
    match (present == text, check) {
        (true, _) => Ok(()),
        (false, true) => bail!("{REFERENCE} is stale: {MEND}"),
        (false, false) => std::fs::write(&path, text).with_context(|| format!("cannot write {REFERENCE}")),
    }
}

/// The whole page.
fn reference(root: &Path) -> Result<String> {
    let text = std::fs::read_to_string(root.join(CASES)).with_context(|| format!("cannot read {CASES}"))?;
    let cases = cases::parse(&text).with_context(|| format!("{CASES} is no case file"))?;
    let tables = Tables::builtin().map_err(|error| anyhow::anyhow!("the built-in tables: {error}"))?;
    let mut page = HEAD.to_owned();
    for side in Side::ALL {
        let codes: Vec<_> = ReasonCode::ALL.iter().copied().filter(|code| code.side() == side).collect();
        write!(page, "\n## {}\n\n{}\n\n", heading(side), index(&codes))?;
        for code in codes {
            page.push_str(&entry(code, &example(code, &cases, tables)?));
        }
    }
    Ok(page)
}

const fn heading(side: Side) -> &'static str {
    match side {
        Side::Caller => "The caller's requirements",
        Side::Node => "The node's terms",
        Side::Licence => "The model's licence",
        Side::Statute => "Law",
        Side::Federation => "The federation, and the state that things are in",
    }
}

/// Links to the entries, in one line.
fn index(codes: &[ReasonCode]) -> String {
    codes.iter().map(|code| format!("[{code}](#{})", code.as_str().to_lowercase())).collect::<Vec<_>>().join(" · ")
}

fn entry(code: ReasonCode, example: &str) -> String {
    let (side, meaning, hint, node) = (code.side().as_str(), code.meaning(), code.hint(), node::for_node(code));
    format!(
        "### {code}\n\n{meaning}\n\n- Side: {side}.\n- Example: {example}\n- The caller: {hint}.\n- The node: {node}.\n\n"
    )
}

/// What the code's case says, and the reason that comes of it.
fn example(code: ReasonCode, cases: &[Expectation], tables: &Tables) -> Result<String> {
    if let Some((_, told)) = TOLD.iter().find(|(one, _)| *one == code) {
        return Ok(format!("{told}."));
    }
    let case = cases.iter().find(|case| case.id == code.as_str());
    let case = case.with_context(|| format!("{code} has no example: add a case with this id to {CASES}"))?;
    let verdict = case.verdict(tables)?;
    ensure!(
        case.compare(&verdict).is_as_expected(),
        "{CASES}: {code} is not as expected (`comity policy test {CASES}`)"
    );
    let reason = verdict.reasons().iter().find(|reason| reason.code == code);
    let reason = reason.with_context(|| format!("{CASES}: the case {code} gives another reason"))?;
    let Reason { path, actual, expected, .. } = reason;
    Ok(format!("{}: `{reason}` (`{path}` is {actual}, accepted: {expected}).", case.about))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_of_reasons_is_current() {
        super::run(&crate::workspace_root(), true).unwrap();
    }
}
