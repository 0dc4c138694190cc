//! This node as a witness of its federation's logs (c2sp.org/tlog-witness): it cosigns what its broker's logs publish, and
//! never two histories of one.

use std::fmt;
use std::sync::Arc;

use comity_client::Identity;
use comity_identity::Root;
use comity_membership::log;
use comity_runtime::genesis;
use comity_runtime::tasks::Tasks;
use comity_runtime::web::Endpoint;
use comity_transparency::{Kind, Verifier};
use comity_types::{Clock, SpiffeId};
use comity_witness::station::WitnessedLog;
use comity_witness::{Silent, Station};
use tokio::sync::watch;

use crate::config::{Config, WitnessConfig};
use crate::node::NodeError;

/// Where a witness keeps its keys and what it signed, below the data directory.
const DIR: &str = "witness";

/// A witness that is bound and not yet served.
#[derive(Debug)]
pub struct Witness {
    station: Arc<Station>,
    endpoint: Endpoint,
}

impl Witness {
    /// Opens what it kept and binds its socket, if the configuration asks for a witness.
    ///
    /// # Errors
    /// What it kept cannot be used, or the address cannot be bound.
    pub async fn open(config: &Config, identity: &Identity) -> Result<Option<Self>, NodeError> {
        // The plan has refused a file with another.
        let Some(address) = config.witness.as_ref().and_then(|witness| witness.address().ok()) else {
            return Ok(None);
        };
        let station = Arc::new(station(config, identity)?);
        let bound = Endpoint::bind(address).await;
        let endpoint = bound.map_err(|source| NodeError::ListenForWitness { address, source })?;
        Ok(Some(Self { station, endpoint }))
    }

    /// Serves until `tasks` are to end.
    pub fn serve(self, tasks: &Tasks) {
        self.station.serve(self.endpoint, tasks);
    }

    /// The logs of which it cosigns nothing, and why.
    #[must_use]
    pub fn silent(&self) -> watch::Receiver<Vec<Silent>> {
        self.station.silent()
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> std::net::SocketAddr {
        self.endpoint.local_addr()
    }
}

fn station(config: &Config, identity: &Identity) -> Result<Station, NodeError> {
    let (name, clock) = (name(identity.id()), Arc::clone(identity.clock()) as Arc<dyn Clock>);
    Ok(Station::open(&config.node.data_dir.join(DIR), &name, logs(identity.root())?, clock)?)
}

/// What a node's cosignatures are signed as: `org-a.example/n1/witness`.
fn name(node: &SpiffeId) -> String {
    format!("{}/{}/witness", node.trust_domain(), node.name())
}

/// The logs of the federation: of decisions, and of membership.
fn logs(root: &Root) -> Result<Vec<WitnessedLog>, NodeError> {
    let membership = log::origin(&root.federation);
    let key = genesis::log_key(root).map_err(|_| NodeError::LogKey)?;
    Ok(vec![(root.decision_log_origin(), root.decision_log.to_vec()), (membership, vec![key])])
}

/// What others write into the policy that names this witness. As text: the lines.
#[derive(Debug)]
pub struct PolicyLines {
    node: String,
    keys: Vec<Verifier>,
    url: String,
}

/// The lines for the witness of this configuration; its keys are made, if it has none.
///
/// # Errors
/// The configuration has no witness, or what it kept cannot be used.
pub fn policy_lines(config: &Config, identity: &Identity) -> Result<PolicyLines, NodeError> {
    let witness = config.witness.as_ref().ok_or(NodeError::NoWitness)?;
    let keys = station(config, identity)?.verifiers().to_vec();
    let node = format!("{}/{}", identity.id().trust_domain(), identity.id().name());
    Ok(PolicyLines { node, keys, url: url(witness) })
}

fn url(witness: &WitnessConfig) -> String {
    witness.url.clone().unwrap_or_else(|| format!("http://{}", witness.listen))
}

impl fmt::Display for PolicyLines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, keys, url } = self;
        for key in keys {
            if key.kind() == Kind::MlDsa44Cosignature {
                writeln!(
                    f,
                    "# The same witness by ML-DSA-44, against quantum computers. One line of the two, or it counts twice."
                )?;
                write!(f, "# ")?;
            }
            writeln!(f, "witness {node} {key} {url}")?;
        }
        Ok(())
    }
}
