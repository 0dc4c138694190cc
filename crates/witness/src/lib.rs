//! Witnesses of logs over HTTP (c2sp.org/tlog-witness), both sides. What is judged and signed is `comity_transparency`'s.
//!
//! ```text
//! log ─▶ Circle ─▶ WitnessClient ──POST add-checkpoint──▶ Station ─▶ judge ─▶ Home: stored ─▶ cosignatures
//!          └──▶ Round: the checkpoint with cosignatures, who is missing and why, and what does not fit
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`home`] | what a witness keeps: keys, the latest checkpoints, evidence |
//! | [`silence`] | of which logs it signs nothing, and why |
//! | [`station`] | what it answers |
//! | [`client`] | one witness, as a log calls it |
//! | [`circle`] | all witnesses of a policy, asked at once |

pub mod circle;
pub mod client;
pub mod home;
pub mod silence;
pub mod station;
#[cfg(test)]
mod tests;

pub use circle::{Circle, CircleError, Missed, Proofs, Round};
pub use client::{CallError, Reply, WitnessClient};
pub use home::{Home, HomeError};
pub use silence::{Silence, Silent};
pub use station::{Station, StationError};
