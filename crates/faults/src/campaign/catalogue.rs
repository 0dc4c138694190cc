//! What is done to a log.

use serde::Serialize;

use crate::chance::Chance;

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// SIGKILL under load.
    Kill,
    /// SIGKILL again and again in the first milliseconds of a start.
    KillInRecovery,
    /// A power cut: what was not synced is cut, and files that the checkpoint does not cover are cut, emptied or gone.
    PowerCut,
    /// A power cut that leaves zeros or other bytes where something was to be written.
    Garbage,
    /// Files beside the log's, as a write leaves them that did not end.
    TornBeside,
    /// One bit is another.
    FlippedBit,
    /// A file system that is full.
    FullDisk,
    /// A limit to the length of files.
    FileLimit,
    /// A sync of the sequencer fails.
    SequencerSync,
    /// A sync of the publisher fails.
    PublisherSync,
    /// A write of the sequencer fails, or part of it arrives.
    SequencerWrite,
    /// A write of the publisher fails, or part of it arrives.
    PublisherWrite,
    /// An older copy of the folder is put back.
    OlderCopy,
}

/// How often each is chosen, of a hundred.
const WEIGHTS: [(u64, Fault); 12] = [
    (38, Fault::Kill),
    (12, Fault::KillInRecovery),
    (14, Fault::PowerCut),
    (6, Fault::Garbage),
    (4, Fault::TornBeside),
    (8, Fault::FlippedBit),
    (3, Fault::FullDisk),
    (3, Fault::FileLimit),
    (3, Fault::SequencerSync),
    (3, Fault::PublisherSync),
    (3, Fault::SequencerWrite),
    (3, Fault::PublisherWrite),
];

impl Fault {
    /// The next one; an older copy is how a log's lives end, and is not among them.
    pub(super) fn next(chance: &mut Chance) -> Self {
        let mut left = chance.within(0..WEIGHTS.iter().map(|(weight, _)| weight).sum());
        for (weight, fault) in WEIGHTS {
            if left < weight {
                return fault;
            }
            left -= weight;
        }
        Self::Kill
    }

    /// As the table has it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill -9 under load",
            Self::KillInRecovery => "kill -9 during the start, repeatedly",
            Self::PowerCut => "power cut: what was not synced is cut or gone",
            Self::Garbage => "power cut: zeros or garbage where it was to be",
            Self::TornBeside => "torn files beside",
            Self::FlippedBit => "a flipped bit",
            Self::FullDisk => "full disk",
            Self::FileLimit => "file size limit",
            Self::SequencerSync => "sequencer: a sync fails",
            Self::PublisherSync => "publisher: a sync fails",
            Self::SequencerWrite => "sequencer: a failed or short write",
            Self::PublisherWrite => "publisher: a failed or short write",
            Self::OlderCopy => "an older copy put back (not noticed without witnesses)",
        }
    }
}
