//! The names of what the broker counts and of the fields that it logs, in one place.

/// The span of a request, from admission to settling.
pub const SPAN_ACCESS: &str = "access";
/// The event that ends every request that was decided.
pub const EVENT_SETTLED: &str = "settled";
