//! A federation is a list of statements, and its state a pure fold over them.
//!
//! ```text
//! Entry { epoch 1, Founded } ─▶ Entry { epoch 2, ... } ─▶ ...   the list: append-only, strictly +1
//!            └────────── Federation::apply ──────────┘          the state at the last epoch
//! ```
//!
//! The broker appends, and everyone who follows the list folds the same state from
//! it: no clock, no I/O. Who may make which statement is decided before it is
//! appended; what a statement may say is decided here.
//!
//! | module | holds |
//! |---|---|
//! | [`statement`] | what can be said |
//! | [`federation`] | the fold |

pub mod federation;
pub mod statement;

pub use federation::{Federation, MemberState, NodeState, OrganisationState, Refused, Standing, Suspension};
pub use statement::{Entry, Statement, Subject, offer_digest};
