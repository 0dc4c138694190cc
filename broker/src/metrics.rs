//! The names of what the broker counts and of the fields that it logs, in one place.

/// The event that ends every request that was decided.
pub const EVENT_SETTLED: &str = "settled";
