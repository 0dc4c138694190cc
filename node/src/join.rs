//! Takes up an invite: after it, the node has an identity.

use std::fmt;
use std::path::{Path, PathBuf};

use comity_client::enrol::{self, AuthorityError, EnrolError, JoinState, Joining, OwnAuthority};
use comity_identity::invite::InviteError;
use comity_identity::store::StoreError;
use comity_identity::{Invite, Inviter};
use comity_membership::federation::MAX_APPLIED_OFFERS_BYTES;
use comity_policy::check::{self, Unfit};
use comity_policy::organisation::{LayerError, OrganisationTable};
use comity_policy::{Offer, OrganisationFile, Tables};
use comity_runtime::config::ConfigError;
use comity_runtime::tables::TablesError;
use comity_runtime::web::bundle;
use comity_types::ids::Kind;
use comity_types::{Name, SpiffeId};

use crate::config::{Config, Misfit};

mod settling;

pub use comity_runtime::web::bundle::BundleSourceError;
pub use settling::{settle, wait};

#[cfg(test)]
mod tests;

/// Where an enrolment stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Joined {
    /// The node has this identity.
    Issued(SpiffeId),
    /// Operators have to approve first.
    Pending {
        /// What operators approve.
        enrolment_id: String,
        /// A short form of the key's digest.
        fingerprint: String,
    },
    /// The organisation's own authority has to sign.
    AwaitsCertificate {
        /// Whom the certificate has to name.
        id: SpiffeId,
        /// The signing request.
        request: PathBuf,
        /// Where the chain is expected.
        certificate: PathBuf,
    },
}

/// What is told to whoever waits, in one line.
impl fmt::Display for Joined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Issued(id) => write!(f, "joined as {id}"),
            Self::Pending { enrolment_id, fingerprint } => write!(
                f,
                "the enrolment {enrolment_id} waits for the federation's operators; fingerprint of this node's key: {fingerprint}"
            ),
            Self::AwaitsCertificate { id, request, certificate } => write!(
                f,
                "{id} is admitted, and waits for a certificate of its organisation's own authority (hint: have it sign {} for 24 hours at most, with the extensions that the request asks for, `openssl x509 -req ... -days 1 -copy_extensions copy`, and put the chain into {})",
                request.display(),
                certificate.display()
            ),
        }
    }
}

/// What a node joins with, beside its invite.
#[derive(Debug, Clone, Copy, Default)]
pub struct Papers<'a> {
    /// What the organisation is and demands, where it is new.
    pub organisation: Option<&'a Path>,
    /// The certificates of the organisation's own authority; none where the broker hosts one.
    pub ca: Option<&'a Path>,
    /// The key of that authority, if it signs on this machine.
    pub ca_key: Option<&'a Path>,
    /// The trust bundle of the organisation, where its certificates come from a Workload API: a file, or an https URL.
    pub spiffe_bundle: Option<&'a str>,
}

/// Why a node cannot join.
#[derive(Debug, thiserror::Error)]
pub enum JoinError {
    /// The invite is none.
    #[error("the invite cannot be read")]
    Invite(#[from] InviteError),
    /// The organisation's facts cannot be read.
    #[error("the organisation's facts cannot be read")]
    Organisation(#[from] Box<ConfigError>),
    /// What the organisation demands of its own requests cannot be used.
    #[error("the organisation's requirements cannot be used")]
    Layers(#[from] Box<LayerError>),
    /// The tables that the organisation's codes are held against cannot be used.
    #[error("node.tables cannot be used")]
    Tables(#[from] TablesError),
    /// A fact of the organisation cannot be as it stands.
    #[error("the organisation's facts cannot be used")]
    Facts(#[from] Unfit),
    /// The offers of the configuration cannot be as they stand, and operators would be shown them.
    #[error(
        "the offers that operators are to be shown cannot be used:\n{}\nhint: `comity-node check` tells all that is wrong with the configuration; a node joins without offers as well",
        misfits.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    )]
    Offers {
        /// Every one.
        misfits: Vec<Misfit>,
    },
    /// The offers of the configuration are too long for an application.
    #[error(
        "offers: they have {found} bytes, and at most {MAX_APPLIED_OFFERS_BYTES} are shown to operators (hint: join with a configuration that has fewer; a node that is in publishes the rest)"
    )]
    TooLong {
        /// How many bytes they have, as JSON.
        found: usize,
    },
    /// The organisation's own authority cannot be used.
    #[error("the organisation's own authority cannot be used")]
    Authority(#[from] AuthorityError),
    /// There is no trust bundle.
    #[error(transparent)]
    Bundle(#[from] BundleSourceError),
    /// Enrolment failed.
    #[error(transparent)]
    Enrol(#[from] EnrolError),
    /// What was issued cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Operators said no.
    #[error(
        "the federation's operators turned the enrolment down: {reason} (hint: settle that with them, and `comity-node join` again with the invite that they then make)"
    )]
    Rejected {
        /// Their reason.
        reason: String,
    },
}

/// Takes up `invite` with these papers. Operators who decide on a new organisation are shown the offers of `config`.
///
/// Safe to call again with the same invite: the same key asks, and gets the same answer.
///
/// # Errors
/// The invite, the papers or the directory cannot be used, or the broker refuses.
pub async fn join(config: &Config, invite: &str, papers: Papers<'_>) -> Result<Joined, JoinError> {
    let invite: Invite = invite.parse()?;
    let organisation = papers.organisation.map(|path| read(path, &*config.tables()?)).transpose()?;
    // Nobody is asked about a later node, whatever it means to publish.
    let new = organisation.as_ref().filter(|_| invite.from == Inviter::Operators);
    let offers = new.map(|file| intended(config, file)).transpose()?.unwrap_or_default();
    let authority = authority(papers, organisation.as_ref()).await?;
    let dir = config.identity_dir();
    let bare = Joining::new(&invite, &[Kind::Node], organisation.as_ref(), &dir);
    let joining = Joining { authority: authority.as_ref(), offers: &offers, ..bare };
    joined(Box::pin(enrol::join(joining)).await?)
}

/// What stands for the node in its offers until the invite has said its name.
const UNNAMED: &str = "joining";

/// The offers of the configuration, said to be unusable before anybody is asked.
fn intended(config: &Config, organisation: &OrganisationFile) -> Result<Vec<Offer>, JoinError> {
    #[expect(clippy::expect_used, reason = "every join with offers reads the constant")]
    let name: Name = UNNAMED.parse().expect("UNNAMED is a name");
    let node = SpiffeId::new(organisation.facts.trust_domain.clone(), Kind::Node, name);
    let offers = config.intended(&node, &*config.tables()?).map_err(|misfits| JoinError::Offers { misfits })?;
    // Checked values always have a JSON form; were they ever to lack one, the broker would refuse them.
    let found = serde_json::to_vec(&offers).unwrap_or_default().len();
    if found > MAX_APPLIED_OFFERS_BYTES { Err(JoinError::TooLong { found }) } else { Ok(offers) }
}

fn joined(state: JoinState) -> Result<Joined, JoinError> {
    match state {
        JoinState::Issued(dir) => Ok(Joined::Issued(dir.identity()?.spiffe_id)),
        JoinState::Pending { enrolment_id, fingerprint } => Ok(Joined::Pending { enrolment_id, fingerprint }),
        JoinState::AwaitsCertificate { id, request, certificate } => {
            Ok(Joined::AwaitsCertificate { id, request, certificate })
        }
        JoinState::Rejected { reason } => Err(JoinError::Rejected { reason }),
    }
}

/// The organisation's own authority, if it has one: certificates, or the trust bundle that they are in.
async fn authority(
    papers: Papers<'_>,
    organisation: Option<&OrganisationFile>,
) -> Result<Option<OwnAuthority>, JoinError> {
    let Some(source) = papers.spiffe_bundle else {
        return Ok(papers.ca.map(|ca| OwnAuthority::read(ca, papers.ca_key)).transpose()?);
    };
    // A member of an organisation that takes part already states no anchors: those stand in the log.
    let Some(organisation) = organisation else { return Ok(Some(OwnAuthority::of_workload_api())) };
    let domain = organisation.facts.trust_domain.clone();
    Ok(Some(OwnAuthority::of_bundle(domain, &bundle::load(source).await?)?))
}

/// The facts in a file, none of which the operators would have to ask about, and what its owner demands of itself.
fn read(path: &Path, tables: &Tables) -> Result<OrganisationFile, JoinError> {
    let table: OrganisationTable = comity_runtime::config::load(path).map_err(Box::new)?;
    let file = table.expand(tables).map_err(Box::new)?;
    check::organisation_file(&file.facts, tables)?;
    Ok(file)
}
