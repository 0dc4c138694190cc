//! Taking up an invite, and fresh certificates.
//!
//! The key is made in the member's own directory and stays there. The invite pins the federation's root document,
//! and the secret of the invite is shown to no one but the broker that the document names; that of an organisation's
//! invite is shown to nobody: it signs.
//!
//! | module | holds |
//! |---|---|
//! | `apply` | what the holder of an invite signs |
//! | `authority` | who signs certificates: the broker, or the organisation's own authority |
//! | `desk` | the broker, asked with one key |
//! | `renewal` | fresh certificates |
//! | `resume` | how it stands, asked without the invite, once or until it is decided |
//! | `taken` | one directory, one invite, one identity |

mod apply;
mod authority;
mod desk;
mod error;
mod renewal;
mod resume;
mod taken;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_identity::{CertificateDer, IdentityDir, Invite, KeyPair, leaf_identity};
use comity_policy::{Offer, OrganisationFile};
use comity_proto::enrolment as wire;
use comity_proto::enrolment::join_response::State;
use comity_runtime::clock::SystemClock;
use comity_types::display::harmless;
use comity_types::ids::Kind;
use comity_types::{Clock, SpiffeId};

pub use authority::{AuthorityError, OwnAuthority, to_be_signed};
pub use desk::pinned_root;
pub use error::{EnrolError, GivenCertificate};
pub use renewal::{renew, renew_due, why_refused};
pub use resume::{Resuming, Told, has_asked, resume, wait};

/// Where an enrolment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinState {
    /// Operators have to approve first: ask again with the same invite and directory.
    Pending {
        /// What operators approve.
        enrolment_id: String,
        /// A short form of the key's digest, to compare with them over another channel.
        fingerprint: String,
    },
    /// The key is admitted, and the organisation's own authority has to sign a certificate for it.
    AwaitsCertificate {
        /// Whom the certificate has to name.
        id: SpiffeId,
        /// The signing request, PKCS #10 in PEM.
        request: PathBuf,
        /// Where the chain is expected, leaf first, in PEM.
        certificate: PathBuf,
    },
    /// Done: the directory holds the identity.
    Issued(IdentityDir),
    /// Operators said no.
    Rejected {
        /// Why.
        reason: String,
    },
}

/// What joins, and where.
#[derive(Debug, Clone)]
pub struct Joining<'a> {
    /// The invite.
    pub invite: &'a Invite,
    /// What the program can become.
    pub kinds: &'a [Kind],
    /// What the organisation's file says, where the invite is for a new one.
    pub organisation: Option<&'a OrganisationFile>,
    /// The organisation's own authority; none where the broker hosts one.
    pub authority: Option<&'a OwnAuthority>,
    /// What the program means to publish, for the operators who decide on a new organisation; the name of its node is put
    /// into them once the invite has said it.
    pub offers: &'a [Offer],
    /// Where the identity goes.
    pub dir: &'a Path,
    /// What tells the time.
    pub clock: Arc<dyn Clock>,
}

impl<'a> Joining<'a> {
    /// Takes up `invite` in `dir` with an authority that the broker hosts.
    #[must_use]
    pub fn new(
        invite: &'a Invite,
        kinds: &'a [Kind],
        organisation: Option<&'a OrganisationFile>,
        dir: &'a Path,
    ) -> Self {
        Self { invite, kinds, organisation, authority: None, offers: &[], dir, clock: Arc::new(SystemClock) }
    }
}

/// Takes up an invite with a key in a directory.
///
/// Safe to call again at any time with the same invite: the same key asks, and gets the same answer. Another
/// invite is refused, so that no directory ever holds more than one identity.
///
/// # Errors
/// The broker cannot be reached, is not the one invited to, or refuses; the invite is for something that the program
/// cannot become; or the directory cannot be used, or belongs to another invite.
pub async fn join(joining: Joining<'_>) -> Result<JoinState, EnrolError> {
    let (invite, kinds) = (joining.invite, joining.kinds);
    let dir = IdentityDir::create(joining.dir)?;
    taken::check(&dir, invite)?;
    if dir.is_joined() {
        taken::check_kind(&dir.identity()?.spiffe_id, kinds)?;
        return Ok(JoinState::Issued(dir));
    }
    let shown = desk::show(&invite.address, invite.root, &joining.clock).await?;
    taken::take_up(&dir, invite)?;
    let key = dir.pending_key()?;
    let desk = shown.desk(&key, &joining.clock)?;
    let answer = match desk.ask(&joining, &dir, &key).await {
        Err(EnrolError::Call(status)) => desk.admitted(&dir, invite, *status).await?,
        answered => answered?,
    };
    let newcomer = Newcomer { dir, key, kinds, authority: joining.authority, clock: &*joining.clock };
    newcomer.settle(answer, &invite.id_text(), &shown.root_json)
}

/// Somebody who has asked, and what comes of the answer.
struct Newcomer<'a> {
    dir: IdentityDir,
    key: KeyPair,
    kinds: &'a [Kind],
    authority: Option<&'a OwnAuthority>,
    clock: &'a dyn Clock,
}

impl Newcomer<'_> {
    /// Stores what came of it.
    fn settle(self, answer: State, invite_id: &str, root_json: &[u8]) -> Result<JoinState, EnrolError> {
        match answer {
            State::Pending(wire::Pending { enrolment_id, fingerprint }) => {
                Ok(JoinState::Pending { enrolment_id, fingerprint })
            }
            State::Rejected(wire::Rejected { reason }) => {
                // The broker's words, which go to a terminal.
                let reason = harmless(&reason);
                self.dir.note_rejection(invite_id, &reason)?;
                Ok(JoinState::Rejected { reason })
            }
            State::Issued(issued) => {
                let id: SpiffeId =
                    issued.spiffe_id.parse().map_err(|_| EnrolError::Incomplete { field: "spiffe_id" })?;
                taken::check_kind(&id, self.kinds)?;
                let (chain, anchors) = (chain(issued.certificate_chain_der), chain(issued.organisation_anchors_der));
                if chain.is_empty() {
                    return authority::certify(&self, id, &anchors, root_json);
                }
                taken::check_kind(&leaf_id(&chain)?, self.kinds)?;
                // The broker signs for its organisation: an authority that was named here is none of that, and what it signs at the
                // next renewal nobody would take.
                self.dir.forget_source()?;
                self.dir.save(&chain, root_json)?;
                Ok(JoinState::Issued(self.dir))
            }
        }
    }
}

/// Whom a certificate names, before it is stored.
fn leaf_id(chain: &[CertificateDer<'static>]) -> Result<SpiffeId, EnrolError> {
    let leaf = chain.first().ok_or(EnrolError::Incomplete { field: "certificate_chain_der" })?;
    Ok(leaf_identity(leaf)?.id)
}

fn chain(wire: Vec<impl Into<Vec<u8>>>) -> Vec<CertificateDer<'static>> {
    wire.into_iter().map(|der| CertificateDer::from(der.into())).collect()
}
