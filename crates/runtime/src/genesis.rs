//! The founding of the membership log, as the root document says it.

use comity_identity::Root;
use comity_membership::{Genesis, log};
use comity_transparency::{Kind, NoteVerifier, Verifier};
use comity_types::{Digest, Invalid};

/// What the log's first entry has to say, for everyone who pins this root document.
#[must_use]
pub fn genesis(root: &Root, root_sha256: Digest) -> Genesis {
    Genesis {
        federation: root.federation.clone(),
        root_sha256,
        operators: root.operators.iter().map(|operator| (operator.id.clone(), operator.key.clone())).collect(),
        root_threshold: root.root_threshold,
        membership_threshold: root.membership_threshold,
    }
}

/// What checks the checkpoints of the membership log.
#[must_use]
pub fn log_verifier(root: &Root) -> NoteVerifier {
    root.log_verifier(log::origin(&root.federation))
}

/// The key that signs the membership log, as policies of witnesses name it.
///
/// # Errors
/// The root document's is none.
pub fn log_key(root: &Root) -> Result<Verifier, Invalid> {
    Verifier::new(&log::origin(&root.federation), Kind::Note, &root.log_key)
}
