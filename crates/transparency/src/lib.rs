//! What a log is made of, and all that is needed to verify one: pure, without clock and I/O.
//!
//! ```text
//! Signer ──sign──▶ Envelope (DSSE) ──▶ leaf ──▶ Tree (RFC 6962) ──▶ Checkpoint (C2SP) ──sign──▶ signed note
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`key`] | public keys, and who can sign |
//! | [`envelope`] | bytes with their signatures: DSSE |
//! | [`tree`] | the Merkle tree's root, leaf by leaf: RFC 6962 |
//! | [`note`] | signed text: C2SP signed-note |
//! | [`checkpoint`] | (size, root) of a log, signed: C2SP tlog-checkpoint |

pub mod checkpoint;
pub mod envelope;
pub mod key;
#[cfg(test)]
mod mutated;
pub mod note;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod tree;

pub use checkpoint::Checkpoint;
pub use envelope::{Envelope, EnvelopeError, Examined, Signature};
pub use key::{KeyId, PublicKey, Signer, SigningError};
pub use note::{NoteKey, NoteVerifier};
pub use tree::Tree;
