//! What a policy of witnesses (c2sp.org/tlog-policy) makes of a checkpoint of one of the federation's logs.

use comity_transparency::policy::{JudgeError, NotWitnessed, Octets, Policy};
use comity_transparency::{CheckpointNote, Verifier};
use comity_types::TrustDomain;

/// Why a checkpoint does not count by a policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyNotMet {
    /// Whoever runs the log is no witness of it.
    #[error("witness {witness} is the federation's own, and no witness of its log")]
    Own {
        /// Which.
        witness: Octets,
    },
    /// It is about others.
    #[error("it names logs, and not this one")]
    OtherLogs,
    /// It would hold whoever cosigned.
    #[error("its quorum is `none`: nobody has to cosign, and it shows nothing")]
    AsksForNobody,
    /// The checkpoint is none of this log, or one of its signatures is forged.
    #[error(transparent)]
    Checkpoint(#[from] JudgeError),
    /// Too few have cosigned; more may yet.
    #[error(transparent)]
    TooFew(#[from] NotWitnessed),
}

/// Those of the policy's witnesses that have cosigned a checkpoint of the log that these keys sign, which `federation` runs:
/// enough of them, by the policy.
///
/// # Errors
/// They are not enough, or the policy is none for this log.
pub fn cosigned_by(
    policy: &Policy,
    federation: &TrustDomain,
    keys: &[Verifier],
    note: &CheckpointNote,
) -> Result<Vec<String>, PolicyNotMet> {
    fits(policy, federation, keys)?;
    let judged = policy.judge_of(keys, note)?;
    let names = judged.cosigned_by.iter().map(|cosigned| cosigned.witness.to_string()).collect();
    judged.witnessed()?;
    Ok(names)
}

/// Whether a policy can say anything of the log that these keys sign, which `federation` runs.
///
/// # Errors
/// It counts the federation itself, or is about other logs.
pub fn fits(policy: &Policy, federation: &TrustDomain, keys: &[Verifier]) -> Result<(), PolicyNotMet> {
    if let Some(own) = policy.own_witness(federation) {
        return Err(PolicyNotMet::Own { witness: own.name.clone() });
    }
    if policy.is_about(keys) { Ok(()) } else { Err(PolicyNotMet::OtherLogs) }
}

/// The same for whoever relies on witnesses: a policy that asks for nobody is none to them.
///
/// # Errors
/// Those of [`fits`], or nobody has to cosign.
pub fn asks_for_somebody(policy: &Policy, federation: &TrustDomain, keys: &[Verifier]) -> Result<(), PolicyNotMet> {
    fits(policy, federation, keys)?;
    if policy.asks_for_nobody() { Err(PolicyNotMet::AsksForNobody) } else { Ok(()) }
}
