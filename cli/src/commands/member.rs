//! Stopping members, letting them in again, and their leave.

pub(crate) mod evict;
pub(crate) mod lift;
pub(crate) mod suspend;
pub(crate) mod withdraw;
