//! What was said at each position: a scope and a version in it. Every statement of a scope is remembered by its digest, so
//! that another one at a position of long ago is known for what it is.

use comity_types::Digest;
use rpds::VectorSync;

use super::Federation;
use crate::statement::Scope;

/// What stands at a position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// What the statement is known by: the digest of its payload.
    pub payload: Digest,
    /// The entry that has it.
    pub epoch: u64,
}

/// What was said in one scope, by version. Copied in an instant.
#[derive(Debug, Clone, Default)]
pub(super) struct Positions(VectorSync<Position>);

impl Positions {
    /// What stands at a version; the first one is 1.
    pub(super) fn at(&self, version: u64) -> Option<Position> {
        self.0.get(usize::try_from(version.checked_sub(1)?).ok()?).copied()
    }

    /// The version of the last statement.
    pub(super) fn last(&self) -> u64 {
        // A count of what is in memory.
        u64::try_from(self.0.len()).unwrap_or(u64::MAX)
    }

    /// With this as the next one.
    pub(super) fn and(&self, next: Position) -> Self {
        Self(self.0.push_back(next))
    }
}

impl Federation {
    /// What stands at a version of a scope, if anything does.
    #[must_use]
    pub fn position(&self, scope: &Scope, version: u64) -> Option<Position> {
        self.versions.get(scope)?.at(version)
    }
}
