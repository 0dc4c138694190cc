//! Of an entry that was refused: whether it is a second statement at a position that is taken, signed by those who have to
//! sign it. An entry that nobody signed is a fault of whoever sent it; this one is proof.

use comity_membership::equivocation::{Checked, Evidence, Shown};
use comity_membership::{Body, Entry, Equivocation, NotTaken, Refused};
use comity_proto::membership::WatchResponse;
use tokio::time::timeout;
use tonic::Streaming;

use super::{FollowError, Followed, PART_DEADLINE};

/// Most bytes of entries that are read behind one that was refused: what is waited for is the broker's own word, which it need not
/// give, and a file that people pass on.
const MAX_BEHIND_BYTES: usize = 8 * 1024 * 1024;

/// What a broker sent from an entry on that was refused: whoever reads on to its next checkpoint has its signature over a log that has
/// that entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    pub(super) entries: Vec<Vec<u8>>,
    pub(super) checkpoint: String,
}

impl Behind {
    /// Reads on behind the refused entry; none where the broker ends, is silent, or sends more than is read.
    pub async fn read(parts: &mut Streaming<WatchResponse>, refused: &[u8]) -> Option<Self> {
        let (mut entries, mut bytes) = (vec![refused.to_vec()], refused.len());
        while bytes <= MAX_BEHIND_BYTES {
            let part = timeout(PART_DEADLINE, parts.message()).await.ok()?.ok()??;
            if !part.checkpoint.is_empty() {
                return Some(Self { entries, checkpoint: part.checkpoint });
            }
            bytes = bytes.saturating_add(part.entry.len());
            entries.push(part.entry.to_vec());
        }
        None
    }
}

/// Whether an entry was refused because another statement stands at its position.
pub(super) fn is_of_two(why: &FollowError) -> bool {
    matches!(why, FollowError::NotTaken(NotTaken::Refused { source, .. }) if matches!(**source, Refused::Equivocation { .. }))
}

impl Followed {
    /// Proves that the entry which was refused so is an equivocation, by the `lines` of this log from its founding on, whose
    /// signatures were checked when they were taken in. None where it is not, or these are not its lines.
    #[must_use]
    pub fn convict<E: AsRef<[u8]>>(
        &self,
        lines: &[E],
        refused: &[u8],
        why: &FollowError,
    ) -> Option<(Equivocation, Evidence)> {
        if !is_of_two(why) {
            return None;
        }
        let Body::Signed(second) = Entry::from_json(refused).ok()?.body else { return None };
        Evidence::of(self.log().genesis(), lines, &second, Checked::Before).ok()
    }

    /// The evidence with what the broker signed of the log that has both, `lines` being the log up to what was refused: where that
    /// holds, the log's key is convicted besides those who signed twice. Before it counts the checkpoint that was agreed with last.
    #[must_use]
    pub fn with_shown<E: AsRef<[u8]>>(&self, lines: &[E], behind: &Behind, evidence: Evidence) -> Evidence {
        let between = lines.iter().skip(evidence.entries.len()).map(AsRef::as_ref);
        let all = between.chain(behind.entries.iter().map(Vec::as_slice));
        let entries: Result<Vec<_>, _> = all.map(|line| String::from_utf8(line.to_vec())).collect();
        let Ok(entries) = entries else { return evidence };
        // One that was agreed with before the first statement came is of neither.
        let first = evidence.entries.len() as u64;
        let has_first =
            |note: &&str| note.lines().nth(1).and_then(|size| size.parse().ok()).is_some_and(|size: u64| size >= first);
        let before = self.checkpoint().filter(has_first).map(str::to_owned);
        let shown = Shown { entries, before, after: behind.checkpoint.clone() };
        evidence.with(shown, self.log().genesis(), &self.key)
    }
}
