//! Blocs, purposes and presets: data that ships with the program, each row with its source.

/// The tables that a verdict is computed against.
#[derive(Debug, Clone)]
pub struct Tables {}
