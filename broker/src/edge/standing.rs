//! Whether a caller takes part, by the log's word, and what it is told if it does not.

use comity_identity::VerifiedPeer;
use comity_membership::{Departure, Federation, MemberState, Standing, Subject};
use comity_proto::error::{Failure, ORGANISATION_KEYS};
use comity_types::SpiffeId;
use tonic::{Code, Status};

/// What members may still call whom their own organisation alone has suspended: nobody else could end that. What counts is
/// who signed.
const SUBMIT: &str = "/comity.membership.v1.Membership/Submit";

/// In what a caller is heard.
#[derive(Debug)]
pub(super) enum Hearing {
    /// In all that the methods table says.
    Full,
    /// The same, although its organisation has paused itself: nobody else could end that.
    Paused,
    /// In what ends its suspension, or its membership, by the organisation's key; otherwise it is told this.
    Release(Box<Failure>),
}

/// In what a caller of `path` is heard.
///
/// # Errors
/// In nothing: what it is told.
pub(super) fn hearing(federation: &Federation, peer: &VerifiedPeer, path: &str) -> Result<Hearing, Failure> {
    let (id, certificate) = (peer.id(), peer.certificate());
    let denied = denial_in(federation, id, federation.standing_with(id, certificate));
    let denied = denied.map(|failure| with_keys(failure, federation, peer));
    if let Some(wrong_key) = other_key(federation, peer) {
        return Err(denied.unwrap_or(wrong_key));
    }
    match denied {
        None => Ok(Hearing::Full),
        Some(_) if path == SUBMIT && federation.is_paused_by_its_own_alone(id, Some(certificate)) => {
            Ok(Hearing::Paused)
        }
        Some(failure) if path == SUBMIT && federation.is_held_by_its_own_alone(id, certificate) => {
            Ok(Hearing::Release(Box::new(failure)))
        }
        Some(failure) => Err(failure),
    }
}

/// The log's word on a peer: its standing, that of the certificate that it shows, and its key.
///
/// # Errors
/// It is unknown, suspended or gone, it or its organisation, or shows a certificate for another key.
pub fn check_peer(federation: &Federation, peer: &VerifiedPeer) -> Result<(), Status> {
    match hearing(federation, peer, "") {
        Ok(_) => Ok(()),
        Err(failure) => Err(failure.into()),
    }
}

/// The same, with the keys that end it where the organisation's own word does: whoever signs with an old one is not shown
/// the log, and would not learn that there is a newer.
fn with_keys(failure: Failure, federation: &Federation, peer: &VerifiedPeer) -> Failure {
    let own = federation.organisation(peer.id().trust_domain());
    match own.filter(|_| federation.is_held_by_its_own_alone(peer.id(), peer.certificate())) {
        Some(own) => {
            let keys: Vec<_> = own.keys.iter().map(|key| key.id().fingerprint()).collect();
            failure.with(ORGANISATION_KEYS, keys.join(" "))
        }
        None => failure,
    }
}

/// What somebody is told who does not take part; nothing to whoever does.
pub(super) fn denial_in(federation: &Federation, id: &SpiffeId, standing: Standing) -> Option<Failure> {
    let own =
        matches!(&standing, Standing::Suspended { subject, .. } if federation.is_suspended_by_its_own_alone(subject));
    let (ask, now) = (if own { LIFT } else { ASK }, federation.epoch());
    let (reason, subject, epoch, message) = match standing {
        Standing::Active => return None,
        Standing::Unknown => {
            ("UNKNOWN_MEMBER", id.to_string(), now, format!("{id} is not a member (hint: join with an invite)"))
        }
        Standing::Suspended { subject, reason, epoch } => {
            let code = match subject {
                Subject::Organisation(_) => "ORGANISATION_SUSPENDED",
                Subject::Member(_) => "MEMBER_SUSPENDED",
                Subject::Certificate { .. } => "CERTIFICATE_SUSPENDED",
            };
            (code, subject.to_string(), epoch, format!("{subject} is suspended since epoch {epoch}: {reason} {ask}"))
        }
        Standing::Departed { subject, departure } => return Some(departed(id, &subject, &departure)),
    };
    let failure = Failure::new(Code::PermissionDenied, reason, message);
    Some(failure.with("member", id).with("subject", subject).with("epoch", epoch))
}

/// What somebody is told who was a member.
pub(crate) fn departed(id: &SpiffeId, subject: &Subject, departure: &Departure) -> Failure {
    let Departure { evicted, reason, epoch, .. } = departure;
    let (code, how) = if *evicted { ("EVICTED", "was evicted") } else { ("WITHDRAWN", "has left") };
    let failure =
        Failure::new(Code::PermissionDenied, code, format!("{subject} {how} at epoch {epoch}: {reason} {ASK}"));
    failure.with("member", id).with("subject", subject).with("epoch", epoch)
}

/// Who ends what the federation's operators have said.
const ASK: &str = "(hint: ask an operator of the federation)";
/// Who ends what the organisation itself has said.
const LIFT: &str =
    "(hint: its own organisation suspended it, and whoever has the organisation's key ends that: comity lift)";

/// The certificate has to be for the key that was admitted: an authority may sign what it likes, and it is this key that
/// was admitted. Where an organisation has its own authority make the keys, it said so when it admitted the member.
fn other_key(federation: &Federation, peer: &VerifiedPeer) -> Option<Failure> {
    let recorded = federation.member(peer.id()).and_then(MemberState::pinned_key);
    if recorded.is_none_or(|recorded| recorded == peer.public_key()) {
        return None;
    }
    tracing::warn!(peer.id = %peer.id(), peer.key = peer.public_key().fingerprint(), "a member's certificate is for a key that was not admitted");
    let message = format!(
        "{} was admitted with another key (hint: use the key that joined; if it is lost, join under another name)",
        peer.id()
    );
    Some(Failure::new(Code::PermissionDenied, "KEY_NOT_ADMITTED", message))
}
