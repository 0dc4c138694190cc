//! Stopping members, and letting them in again.

pub(crate) mod lift;
pub(crate) mod suspend;
