//! The logs of which a witness signs nothing, and why: one that convicted itself, or one of which it does not know what it signed.
//! The others are cosigned as ever.

use std::path::{Path, PathBuf};

use comity_transparency::witness::{Evidence, Finding};

use crate::home::{Home, HomeError, is_named_by_content};
use crate::station::WitnessedLog;

/// A log of which nothing is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silent {
    /// Its origin.
    pub origin: String,
    /// Why.
    pub why: Silence,
}

/// Why nothing of a log is signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Silence {
    /// The log has signed two things of which one is untrue.
    #[error("the log has contradicted itself: this witness has the evidence, and cosigns nothing more of it")]
    Contradicted,
    /// What was kept against a log cannot be read, and may have convicted this one.
    #[error(
        "this witness cannot read what it kept against the log, and cosigns nothing of it until somebody has looked"
    )]
    Evidence,
    /// What was signed of it last is not known.
    #[error(
        "this witness cannot read what it signed of the log last, and cosigns nothing of it until somebody has looked"
    )]
    Memory,
}

impl Silence {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Contradicted, Self::Evidence, Self::Memory];

    /// In a word, for metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Contradicted => "contradicted",
            Self::Evidence => "evidence",
            Self::Memory => "memory",
        }
    }
}

/// Which of these logs evidence is against, and what it shows.
pub(crate) fn finding(evidence: &Evidence, logs: &[WitnessedLog]) -> Option<(String, Finding)> {
    let (origin, keys) = logs.iter().find(|(origin, _)| origin == evidence.origin())?;
    Some((origin.clone(), evidence.check(keys).ok()?))
}

/// Whether nothing can explain what the log signed.
pub(crate) const fn is_proof(finding: Finding) -> bool {
    match finding {
        Finding::Fork | Finding::Impossible | Finding::Rollback => true,
        Finding::Unconnected => false,
    }
}

/// The logs that were caught before, and those that may have been. Every file was evidence when it was kept: of one that is none
/// now, what it still says of a log decides which it may convict, and where it says nothing, it may be any.
pub(crate) fn by_evidence(home: &Home, logs: &[WitnessedLog]) -> Result<Vec<Silent>, HomeError> {
    let mut silent = Vec::new();
    for path in home.evidence()? {
        for found in by_file(&path, logs) {
            if !silent.contains(&found) {
                silent.push(found);
            }
        }
    }
    Ok(silent)
}

fn by_file(path: &PathBuf, logs: &[WitnessedLog]) -> Vec<Silent> {
    let file = path.display();
    let bytes = std::fs::read(path).unwrap_or_else(|error| {
        tracing::error!(%file, %error, "evidence cannot be read");
        Vec::new()
    });
    match whole(path, &bytes) {
        Some(evidence) if logs.iter().all(|(origin, _)| origin != evidence.origin()) => {
            tracing::warn!(%file, origin = evidence.origin(), "evidence is against a log that is none of this witness");
            Vec::new()
        }
        Some(evidence) => match finding(&evidence, logs) {
            Some((origin, finding)) if is_proof(finding) => {
                tracing::error!(origin, %file, "this log has contradicted itself");
                vec![Silent { origin, why: Silence::Contradicted }]
            }
            Some(_) => Vec::new(),
            None => unreadable(path, vec![evidence.origin().to_owned()]),
        },
        None => unreadable(path, named(&bytes, logs)),
    }
}

/// Evidence that is what was kept: its file is named by its SHA-256. Without its proof, what convicted a log would be a doubt
/// that anybody can raise.
fn whole(path: &Path, bytes: &[u8]) -> Option<Evidence> {
    let text = std::str::from_utf8(bytes).ok().filter(|_| is_named_by_content(path, bytes))?;
    text.parse().ok()
}

/// The logs that a damaged file names, as both of its checkpoints do: all of them where it names none.
fn named(bytes: &[u8], logs: &[WitnessedLog]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let origins = || logs.iter().map(|(origin, _)| origin);
    let named: Vec<_> = origins().filter(|origin| text.lines().any(|line| line == *origin)).cloned().collect();
    if named.is_empty() { origins().cloned().collect() } else { named }
}

fn unreadable(path: &Path, origins: Vec<String>) -> Vec<Silent> {
    let silent = |origin: String| {
        tracing::error!(
            origin,
            file = %path.display(),
            "what was kept against a log is not what it was: nothing of the log is cosigned until the file is as it was, or is moved away where everybody agrees which log counts"
        );
        Silent { origin, why: Silence::Evidence }
    };
    origins.into_iter().map(silent).collect()
}
