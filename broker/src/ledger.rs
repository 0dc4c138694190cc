//! What the broker keeps for good: append-only files that survive a crash.
//!
//! | module | holds |
//! |---|---|
//! | [`journal`] | frames in a file, durable in groups |
//! | [`decisions`] | the record of every decision and of its outcome |

pub mod decisions;
pub mod journal;
