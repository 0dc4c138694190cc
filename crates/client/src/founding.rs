//! The files of a new federation: its root document, the broker's data and configuration, the operators.
//!
//! ```text
//! <dir>/broker/broker.toml                         the broker's configuration
//! <dir>/broker/data/root.json                      the root document; its SHA-256 is what invites pin
//! <dir>/broker/data/ca/<federation>.{key.pem,pem}  the authority of the federation's own trust domain
//! <dir>/broker/data/decision-log.key               the Ed25519 key that signs the decision log's checkpoints, PKCS #8 in DER
//! <dir>/broker/data/decision-log.ml-dsa-44.key     the ML-DSA-44 key that signs those that are published, PKCS #8 in DER
//! <dir>/broker/data/log.key                        the Ed25519 key that signs the log's checkpoints, PKCS #8 in DER
//! <dir>/operator/<name>/                           the founding operator's identity
//! <dir>/operator/<other>/                          what another operator adds to the key that they made
//! ```
//! `<dir>/broker` goes to the broker's machine; an operator's folder goes to the operator.

mod config;
mod files;
mod operators;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use comity_identity::authority::AuthorityError;
use comity_identity::request::{KeyError, RequestError};
use comity_identity::root::{ROOT_VERSION, RootError, decision_log_origin};
use comity_identity::store::StoreError;
use comity_identity::{Authority, IdentityDir, KeyPair, Root, RootOperator, pem};
use comity_membership::log;
use comity_transparency::{LogKey, NoteKey, Signer as _, SigningError};
use comity_types::ids::Kind;
use comity_types::{Digest, Invalid, Name, Place, SpiffeId, Timestamp, TrustDomain};

/// How long the first operator's certificate lasts: as any operator's, renewed when it is used.
pub const OPERATOR_LIFETIME: Duration = comity_identity::authority::MAX_LEAF_LIFETIME;
/// The name of a federation's first broker.
pub const FIRST_REPLICA: &str = "b1";
/// The broker's directory.
const BROKER_DIR: &str = "broker";
/// The broker's data, below its directory.
pub const DATA_DIR: &str = "data";

pub use self::operators::{CoOperator, Requested, request};

/// What a federation is founded with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundingPlan {
    /// The federation's own trust domain.
    pub federation: TrustDomain,
    /// Where the files go; made if need be.
    pub dir: PathBuf,
    /// The name of the operator who founds; their key is made here.
    pub operator: Name,
    /// Operators who made their keys themselves.
    pub co_operators: Vec<CoOperator>,
    /// How many operators change who governs.
    pub root_threshold: u32,
    /// How many operators admit, suspend, lift and evict.
    pub membership_threshold: u32,
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
    /// The folders of the other operators, which each adds to the directory of their key.
    pub co_operator_dirs: Vec<PathBuf>,
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
    /// A co-operator's request was made for somebody else.
    #[error(
        "the request that is named for {name} was made for {asked} (hint: name the file that {expected} made: comity operator request)"
    )]
    OtherRequest {
        /// The name that it was given by.
        name: Name,
        /// Whom it asks to name.
        asked: SpiffeId,
        /// Whom it would have to.
        expected: SpiffeId,
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
    /// A log's key cannot be made.
    #[error("a log's key cannot be made")]
    Log(#[from] SigningError),
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
    let keys = Keys::generate(plan, now)?;
    let root = root(plan, &keys, now)?;
    // Checked before anything is written.
    let root_json = root.to_json()?;
    let broker = claim_directory(plan)?;
    let data_dir = broker.join(DATA_DIR);
    write_data(&data_dir, &keys, &root_json)?;
    let made = operators::make(plan, &keys, &root_json, now)?;
    let config = broker.join("broker.toml");
    files::write_public(&config, config::text(plan).as_bytes())?;
    let operators::Made { operator, operator_dir, co_operator_dirs } = made;
    Ok(Founded {
        root_digest: Root::digest(&root_json),
        root,
        config,
        data_dir,
        operator,
        operator_dir,
        co_operator_dirs,
    })
}

/// What founding would make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WouldFound {
    /// The first broker.
    pub broker: SpiffeId,
    /// All operators, the founder first.
    pub operators: Vec<SpiffeId>,
    /// The directories: the broker's, and one an operator.
    pub directories: Vec<PathBuf>,
}

/// What [`found`] would make, with keys that are thrown away. Nothing is written.
///
/// # Errors
/// The plan cannot be followed.
pub fn would_found(plan: &FoundingPlan, now: Timestamp) -> Result<WouldFound, FoundingError> {
    let root = root(plan, &Keys::generate(plan, now)?, now)?;
    root.to_json()?;
    let mut directories = vec![plan.dir.join(BROKER_DIR)];
    directories.extend(names(plan).map(|name| operator_path(plan, name)));
    if let Some(path) = directories.iter().find(|path| path.exists()) {
        return Err(FoundingError::Exists { path: path.clone() });
    }
    let operators = root.operators.into_iter().map(|operator| operator.id).collect();
    Ok(WouldFound { broker: root.broker, operators, directories })
}

/// The keys that are made when a federation is founded.
struct Keys {
    authority: Authority,
    decisions: LogKey,
    log: NoteKey,
    operator: KeyPair,
}

impl Keys {
    fn generate(plan: &FoundingPlan, now: Timestamp) -> Result<Self, FoundingError> {
        Ok(Self {
            authority: Authority::generate(plan.federation.clone(), now)?,
            decisions: LogKey::generate(&decision_log_origin(&broker_id(plan)?))?,
            log: NoteKey::generate(log::origin(&plan.federation))?,
            operator: KeyPair::generate()?,
        })
    }
}

fn root(plan: &FoundingPlan, keys: &Keys, now: Timestamp) -> Result<Root, FoundingError> {
    if plan.places.is_empty() {
        return Err(FoundingError::NoPlace);
    }
    let mut operators = vec![RootOperator { id: operator_id(plan, &plan.operator), key: keys.operator.public_key()? }];
    for CoOperator { name, request } in &plan.co_operators {
        let expected = operator_id(plan, name);
        if let Some(asked) = request.asked_for().filter(|asked| **asked != expected) {
            return Err(FoundingError::OtherRequest { name: name.clone(), asked: asked.clone(), expected });
        }
        operators.push(RootOperator { id: operator_id(plan, name), key: request.public_key()? });
    }
    Ok(Root {
        version: ROOT_VERSION,
        federation: plan.federation.clone(),
        broker: broker_id(plan)?,
        addresses: plan.addresses.clone(),
        anchors: vec![keys.authority.anchor()],
        decision_log: keys.decisions.verifiers().clone(),
        log_key: keys.log.public()?,
        operators,
        root_threshold: plan.root_threshold,
        membership_threshold: plan.membership_threshold,
        founded_at: now,
    })
}

fn broker_id(plan: &FoundingPlan) -> Result<SpiffeId, Invalid> {
    Ok(SpiffeId::new(plan.federation.clone(), Kind::Broker, FIRST_REPLICA.parse()?))
}

fn operator_id(plan: &FoundingPlan, name: &Name) -> SpiffeId {
    SpiffeId::new(plan.federation.clone(), Kind::Operator, name.clone())
}

/// Whoever makes the broker's directory founds; a second one finds it there.
fn claim_directory(plan: &FoundingPlan) -> Result<PathBuf, FoundingError> {
    if let Some(path) = names(plan).map(|name| operator_path(plan, name)).find(|path| path.exists()) {
        return Err(FoundingError::Exists { path });
    }
    files::make_directories(&plan.dir)?;
    let broker = plan.dir.join(BROKER_DIR);
    files::make_new_directory(&broker)?;
    Ok(broker)
}

/// The operators' names, the founder's first.
fn names(plan: &FoundingPlan) -> impl Iterator<Item = &Name> {
    std::iter::once(&plan.operator).chain(plan.co_operators.iter().map(|other| &other.name))
}

fn operator_path(plan: &FoundingPlan, name: &Name) -> PathBuf {
    plan.dir.join("operator").join(name.as_str())
}

fn write_data(data: &Path, keys: &Keys, root_json: &[u8]) -> Result<(), FoundingError> {
    let ca = data.join("ca");
    files::make_directories(&ca)?;
    let (authority, domain) = (&keys.authority, keys.authority.domain());
    files::write_secret(&ca.join(format!("{domain}.key.pem")), authority.key_pem().reveal().as_bytes())?;
    files::write_public(&ca.join(format!("{domain}.pem")), pem::encode(&[authority.anchor()]).as_bytes())?;
    let [plain, post_quantum] = keys.decisions.to_pkcs8()?;
    files::write_secret(&data.join("decision-log.key"), plain.reveal())?;
    files::write_secret(&data.join("decision-log.ml-dsa-44.key"), post_quantum.reveal())?;
    files::write_secret(&data.join("log.key"), keys.log.to_pkcs8()?.reveal())?;
    files::write_public(&data.join("root.json"), root_json)
}
