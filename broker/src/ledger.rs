//! What the broker keeps for good: append-only files that survive a crash.
//!
//! | module | holds |
//! |---|---|
//! | [`journal`] | frames in a file, durable in groups |
//! | [`log`] | the decision log: leaves in a Merkle tree, records beside it |
//! | [`receipts`] | receipts of what is published, for whoever has a right to them |
//! | [`witnesses`] | the log before its witnesses |
//! | [`decisions`] | what is recorded of a decision and of its outcome, and the receipts of both |

pub mod decisions;
pub mod journal;
pub mod log;
pub mod receipts;
pub mod witnesses;
