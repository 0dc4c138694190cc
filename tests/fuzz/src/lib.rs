//! What must hold of any text that is given as a file of policy, and the texts to begin with.
//!
//! ```text
//! seeds ──────────────┐
//! regressions/ ───────┼─▶ Target::hold ─▶ nothing, or a panic that says what did not hold
//! libFuzzer (targets/)┘
//! ```
//!
//! Whatever is accepted can be evaluated without a panic, is refused with reasons or not at all (VOCABULARY L6), gives
//! the same verdict twice (L5), and is the same again when it is written and read. Seeds and regressions are replayed
//! by this crate's tests; `cargo xtask fuzz` looks for more.
//!
//! Adding a target: 1. a variant of [`Target`] with its function, 2. a file in `targets/` and its `[[bin]]`.
#![expect(clippy::panic, reason = "a panic is how a fuzz target says that something does not hold")]

mod cases;
mod node;
mod organisation;
mod requirements;
pub mod seeds;
mod world;

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// What callers demand.
    Requirements,
    /// What a node offers.
    Node,
    /// What an organisation states of itself.
    Organisation,
    /// Fixtures, changes and what is expected.
    Cases,
}

impl Target {
    /// Every target.
    pub const ALL: &[Self] = &[Self::Requirements, Self::Node, Self::Organisation, Self::Cases];

    /// Its name, of its program (`fuzz-<name>`) and of its folder below `regressions/`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Requirements => "requirements",
            Self::Node => "node",
            Self::Organisation => "organisation",
            Self::Cases => "cases",
        }
    }

    /// Holds `data` against what this target promises; what is no UTF-8 no program reads.
    ///
    /// # Panics
    /// Something does not hold.
    pub fn hold(self, data: &[u8]) {
        let Ok(text) = std::str::from_utf8(data) else { return };
        match self {
            Self::Requirements => requirements::hold(text),
            Self::Node => node::hold(text),
            Self::Organisation => organisation::hold(text),
            Self::Cases => cases::hold(text),
        }
    }
}

#[cfg(test)]
mod tests;
