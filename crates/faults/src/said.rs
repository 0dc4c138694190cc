//! What a victim says on its standard output: one line of JSON each, written after what it tells of has happened, so that a
//! line that a kill has cut tells of nothing.

use std::io::Write as _;

use comity_types::Digest;
use serde::{Deserialize, Serialize};

/// A line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Said {
    /// The log is open: as it is published, and the decisions that wait.
    Opened {
        /// The public checkpoint.
        note: String,
        /// Their indexes.
        open: Vec<u64>,
    },
    /// An append has returned.
    Placed(Box<Placed>),
    /// This record is about to be erased.
    Erasing {
        /// Its leaf.
        index: u64,
    },
    /// That has returned.
    Erased {
        /// Its leaf.
        index: u64,
    },
    /// A publication has returned.
    Published {
        /// The public checkpoint.
        note: String,
    },
    /// The log does not open.
    Refused {
        /// Whether it says that it is damaged.
        damaged: bool,
        /// What it says.
        why: String,
    },
    /// The log has failed, and everything that was tried after that was refused.
    Failed {
        /// What it says.
        why: String,
    },
    /// It did what it must not.
    Broken {
        /// What.
        why: String,
    },
}

/// An acknowledgement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Placed {
    /// The leaf's bytes in hexadecimal.
    pub(crate) leaf: String,
    /// Its index.
    pub(crate) index: u64,
    /// The way to the root.
    pub(crate) path: Vec<Digest>,
    /// Another leaf that was to be proven, and the way from it.
    pub(crate) also: Option<(u64, Vec<Digest>)>,
    /// The checkpoint.
    pub(crate) note: String,
}

/// Says it: one write, while nobody else writes.
pub(crate) fn say(said: &Said) {
    let Ok(mut line) = serde_json::to_string(said) else { return };
    line.push('\n');
    let mut out = std::io::stdout().lock();
    // Whoever listened has gone: nobody is told, and the campaign counts what it was told.
    let _heard = out.write_all(line.as_bytes()).and_then(|()| out.flush()).is_ok();
}

/// Bytes as they are said.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Them again.
pub(crate) fn unhex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    rest.is_empty().then(|| pairs.iter().map(byte).collect())?
}
