//! What nobody may take: each is done to a copy of the exhibit, and every tool looks at the whole of it.

mod table;

use std::path::Path;

use comity_identity::Root;
use comity_tests::exhibit::Exhibit;
use comity_tests::verifiers::{TOOLS, Tool};
use comity_transparency::NoteKey;
use comity_types::Secret;

use Word::{Elsewhere, Refuses, Takes};
use table::NEGATIVES;

/// The broker's own key of its log: what a broker could sign, whatever it ought to.
pub(crate) fn log_key(root: &Root, data: &Path) -> NoteKey {
    let der = Secret::new(std::fs::read(data.join("decision-log.key")).unwrap());
    NoteKey::from_pkcs8(root.decision_log_origin(), &der).unwrap()
}

/// What is done, and what each tool says to it, in the order of [`TOOLS`].
struct Negative {
    name: &'static str,
    done: fn(&mut Exhibit, &NoteKey),
    said: [Word; TOOLS.len()],
}

/// What a tool says. Each is held to it, so that none is believed to look where it does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    /// It refuses the exhibit, for this reason.
    Refuses(&'static str),
    /// It does not read what was changed, and takes the exhibit as before.
    Elsewhere,
    /// It reads it, and takes it: it is laxer than we are.
    Takes,
}

/// Does each to a copy, and holds what every tool says of it against the table.
pub(super) fn refused_by_whoever_looks(exhibit: &Exhibit, key: &NoteKey, tools: &[Tool]) {
    let mut wrong = Vec::new();
    for (number, negative) in NEGATIVES.iter().enumerate() {
        let mut copy = exhibit.copy(exhibit.folder.with_file_name(format!("negative-{number}")));
        (negative.done)(&mut copy, key);
        for (tool, word) in TOOLS.into_iter().zip(negative.said).filter(|(tool, _)| tools.contains(tool)) {
            match (tool.judge(&copy), word) {
                (Ok(_), Elsewhere | Takes) => {}
                (Err(said), Refuses(reason)) if said.contains(reason) => {}
                (judged, _) => wrong.push(format!("{tool:?}, {}: {judged:?} in place of {word:?}", negative.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_negative_is_refused_by_a_tool_that_is_not_ours_and_by_ours_where_it_reads_that() {
    for negative in NEGATIVES {
        let who: Vec<_> = TOOLS.into_iter().zip(negative.said).filter(|(_, word)| matches!(word, Refuses(_))).collect();
        assert!(who.iter().any(|(tool, _)| *tool != Tool::Comity), "{}: {who:?}", negative.name);
        assert_ne!(negative.said[TOOLS.len() - 1], Takes, "{}", negative.name);
    }
}

/// The tools that are installed. Of the others that is said, and the tests of [`newer_python`](super::newer_python) do not pass:
/// nobody is to believe that they were asked.
pub(super) fn installed() -> Vec<Tool> {
    let (there, missing): (Vec<_>, Vec<_>) = TOOLS.into_iter().partition(|tool| tool.is_installed());
    for tool in missing {
        super::aloud(&format!("SKIPPED: {tool:?} is not installed, it wants a newer Python"));
    }
    there
}
