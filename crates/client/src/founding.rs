//! The files of a new federation: its root document, the broker's data and configuration, the first operator.
//!
//! ```text
//! <dir>/broker/broker.toml                         the broker's configuration
//! <dir>/broker/data/root.json                      the root document; its SHA-256 is what invites pin
//! <dir>/broker/data/ca/<federation>.{key.pem,pem}  the authority of the federation's own trust domain
//! <dir>/broker/data/permit.key                     the Ed25519 key that signs permits, PKCS #8 in DER
//! <dir>/operator/<name>/                           the first operator's identity
//! ```
//! `<dir>/broker` goes to the broker's machine; the operator's identity stays with the operator.

mod config;
mod files;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use comity_identity::authority::AuthorityError;
use comity_identity::permit::PermitError;
use comity_identity::request::{KeyError, RequestError};
use comity_identity::root::{ROOT_VERSION, RootError};
use comity_identity::store::StoreError;
use comity_identity::{Authority, IdentityDir, PermitKey, Root, SigningRequest, pem};
use comity_types::ids::Kind;
use comity_types::{Digest, Invalid, Name, Place, SpiffeId, Timestamp, TrustDomain};

/// How long the first operator's certificate lasts: as any operator's, renewed when it is used.
pub const OPERATOR_LIFETIME: Duration = Duration::from_secs(30 * 24 * 60 * 60);
/// The name of a federation's first broker.
pub const FIRST_REPLICA: &str = "b1";
/// The broker's directory.
const BROKER_DIR: &str = "broker";
/// The broker's data, below its directory.
pub const DATA_DIR: &str = "data";

/// What a federation is founded with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundingPlan {
    /// The federation's own trust domain.
    pub federation: TrustDomain,
    /// Where the files go; made if need be.
    pub dir: PathBuf,
    /// The first operator's name.
    pub operator: Name,
    /// Where the broker listens.
    pub listen: SocketAddr,
    /// How members reach the broker, `host:port`, best first.
    pub addresses: Vec<String>,
    /// Every place where the broker's machine stands.
    pub places: BTreeSet<Place>,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Founded {
    /// What pins the federation.
    pub root_digest: Digest,
    /// The root document.
    pub root: Root,
    /// The broker's configuration.
    pub config: PathBuf,
    /// The broker's data directory.
    pub data_dir: PathBuf,
    /// The first operator.
    pub operator: SpiffeId,
    /// The first operator's identity.
    pub operator_dir: IdentityDir,
}

/// Why a federation cannot be founded.
#[derive(Debug, thiserror::Error)]
pub enum FoundingError {
    /// There is one already, or an attempt that did not end well.
    #[error("{} is there already (hint: name another directory; a founded federation is not founded again)", path.display())]
    Exists {
        /// What is in the way.
        path: PathBuf,
    },
    /// The broker would stand nowhere.
    #[error("no place is given for the broker (hint: name every country that its machine stands in)")]
    NoPlace,
    /// A file or directory cannot be written.
    #[error("{} cannot be written", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The root document is refused, for an address most likely.
    #[error("the root document cannot be made")]
    Root(#[from] RootError),
    /// The authority cannot be made or does not issue.
    #[error("the federation's authority cannot be made")]
    Authority(#[from] AuthorityError),
    /// The permit key cannot be made.
    #[error("the permit key cannot be made")]
    Permit(#[from] PermitError),
    /// The operator's key cannot be made.
    #[error("the operator's key cannot be made")]
    Key(#[from] KeyError),
    /// The operator's own request is refused.
    #[error("the operator's signing request is refused")]
    Request(#[from] RequestError),
    /// The operator's identity cannot be stored.
    #[error("the operator's identity cannot be stored")]
    Store(#[from] StoreError),
    /// The first broker's name is none.
    #[error("the broker's name is refused")]
    Replica(#[from] Invalid),
}

/// Founds a federation at `now`. Nothing that is there is overwritten.
///
/// # Errors
/// The plan cannot be followed, or a file cannot be written; what was written until then is left for a look.
pub fn found(plan: &FoundingPlan, now: Timestamp) -> Result<Founded, FoundingError> {
    let authority = Authority::generate(plan.federation.clone(), now)?;
    let permit_key = PermitKey::generate()?;
    let root = root(plan, &authority, &permit_key, now)?;
    // Checked before anything is written.
    let root_json = root.to_json()?;
    let broker = claim_directory(plan)?;
    let data_dir = broker.join(DATA_DIR);
    write_data(&data_dir, &authority, &permit_key, &root_json)?;
    let (operator, operator_dir) = make_operator(plan, &authority, &root_json, now)?;
    let config = broker.join("broker.toml");
    files::write_public(&config, config::text(plan).as_bytes())?;
    Ok(Founded { root_digest: Root::digest(&root_json), root, config, data_dir, operator, operator_dir })
}

fn root(
    plan: &FoundingPlan,
    authority: &Authority,
    permit_key: &PermitKey,
    now: Timestamp,
) -> Result<Root, FoundingError> {
    if plan.places.is_empty() {
        return Err(FoundingError::NoPlace);
    }
    Ok(Root {
        version: ROOT_VERSION,
        federation: plan.federation.clone(),
        broker: SpiffeId::new(plan.federation.clone(), Kind::Broker, FIRST_REPLICA.parse()?),
        addresses: plan.addresses.clone(),
        anchors: vec![authority.anchor()],
        permit_key: permit_key.public()?,
        operators: vec![operator_id(plan)],
        founded_at: now,
    })
}

fn operator_id(plan: &FoundingPlan) -> SpiffeId {
    SpiffeId::new(plan.federation.clone(), Kind::Operator, plan.operator.clone())
}

/// Whoever makes the broker's directory founds; a second one finds it there.
fn claim_directory(plan: &FoundingPlan) -> Result<PathBuf, FoundingError> {
    let operator = operator_path(plan);
    if operator.exists() {
        return Err(FoundingError::Exists { path: operator });
    }
    files::make_directories(&plan.dir)?;
    let broker = plan.dir.join(BROKER_DIR);
    files::make_new_directory(&broker)?;
    Ok(broker)
}

fn operator_path(plan: &FoundingPlan) -> PathBuf {
    plan.dir.join("operator").join(plan.operator.as_str())
}

fn write_data(
    data: &Path,
    authority: &Authority,
    permit_key: &PermitKey,
    root_json: &[u8],
) -> Result<(), FoundingError> {
    let ca = data.join("ca");
    files::make_directories(&ca)?;
    let domain = authority.domain();
    files::write_secret(&ca.join(format!("{domain}.key.pem")), authority.key_pem().reveal().as_bytes())?;
    files::write_public(&ca.join(format!("{domain}.pem")), pem::encode(&[authority.anchor()]).as_bytes())?;
    files::write_secret(&data.join("permit.key"), permit_key.to_pkcs8()?.reveal())?;
    files::write_public(&data.join("root.json"), root_json)
}

fn make_operator(
    plan: &FoundingPlan,
    authority: &Authority,
    root_json: &[u8],
    now: Timestamp,
) -> Result<(SpiffeId, IdentityDir), FoundingError> {
    let (id, dir) = (operator_id(plan), IdentityDir::create(operator_path(plan))?);
    let request = SigningRequest::parse(&dir.pending_key()?.signing_request(&id)?)?;
    let issued = authority.issue(&request, &id, &[], OPERATOR_LIFETIME, now)?;
    dir.save(&issued.chain, root_json)?;
    Ok((id, dir))
}
