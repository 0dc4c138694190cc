//! A federation is a log of signed statements, and its state a pure fold over them.
//!
//! ```text
//! Statement ──sign──▶ Envelope ──the broker gives it a place──▶ Entry { epoch, at, body } ─▶ Log::take
//!                                                    authority: did those sign who have to? │
//!                                                    Federation: does it fit?               ▼
//!                                                               the state at the last epoch, and the tree's root
//! ```
//!
//! The broker orders, and can do no more: everyone who follows the log checks every signature, folds the same state
//! and computes the same root. No clock, no I/O.
//!
//! | module | holds |
//! |---|---|
//! | [`statement`] | what can be said |
//! | [`signed`] | a statement with what binds it to one federation and one place, and its signatures |
//! | [`prepared`] | a statement that was read and verified, and waits for its place |
//! | [`authority`] | who has to sign what |
//! | [`federation`] | the fold |
//! | [`log`] | the fold with the tree over it, and whether a checkpoint agrees |
//! | [`equivocation`] | the proof that two different statements were signed at one position |

pub mod authority;
pub mod equivocation;
pub mod federation;
pub mod log;
pub mod prepared;
pub mod signed;
pub mod statement;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use equivocation::{Equivocation, Unproven};
pub use federation::{Departure, Federation, MemberState, NodeState, OrganisationState, Refused, Standing, Suspension};
pub use log::{Diverged, Log, NotTaken};
pub use prepared::Prepared;
pub use signed::{Application, Body, Entry, Genesis, Payload, sign};
pub use statement::{Audit, By, Claimant, InviteId, Scope, Statement, Subject, TlsKey, offer_digest, terms_digest};
