//! Why the broker cannot start, or had to stop.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use crate::certificate::CertificateError;
use crate::founding::FoundingError;
use crate::ledger::decisions::LedgerError;
use crate::registry::RegistryError;
use crate::registry::admission::AdmissionError;
use crate::registry::authorities::AuthorityError;
use crate::registry::enrolments::store::StoreError;
use crate::registry::proposals::ProposalError;

/// Why the broker cannot start, or had to stop.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BrokerError {
    /// The data directory is not what was founded.
    #[error(transparent)]
    Founding(#[from] FoundingError),
    /// The registry cannot be opened.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The enrolments cannot be opened.
    #[error(transparent)]
    Enrolments(#[from] StoreError),
    /// The proposals cannot be opened.
    #[error(transparent)]
    Proposals(#[from] ProposalError),
    /// The decision log cannot be opened.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It is not known what budgets have left.
    #[error(transparent)]
    Budgets(#[from] crate::budgets::keeper::KeeperError),
    /// The policy of witnesses is none for this log.
    #[error("field witnesses.policy of the configuration cannot be used")]
    Witnesses(#[from] comity_witness::CircleError),
    /// The key of the membership log is none.
    #[error("root.json: field log_key")]
    LogKey(#[from] comity_types::Invalid),
    /// The membership log is not what witnesses have seen of it.
    #[error(transparent)]
    Membership(crate::ledger::witnesses::WitnessError),
    /// No witness can be called.
    #[error("witnesses cannot be called")]
    Web(#[from] comity_runtime::web::ClientError),
    /// Hosted authorities do not do what their organisations have signed.
    #[error("a hosted authority cannot be used")]
    Admission(#[from] AdmissionError),
    /// The federation's authority cannot be used.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// The broker gets no certificate.
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// The root's anchors cannot be used.
    #[error("root.json: field anchors")]
    Anchors(#[from] comity_identity::anchors::AnchorError),
    /// No address is advertised, which the configuration's checks refuse.
    #[error("field advertise of the configuration is empty")]
    NotAdvertised,
    /// TLS cannot be set up.
    #[error("cannot set up TLS")]
    Tls(#[from] rustls::Error),
    /// Reflection cannot be set up.
    #[error("cannot set up reflection")]
    Reflection(#[from] tonic_reflection::server::Error),
    /// The address cannot be bound.
    #[error("cannot listen on {address} (hint: field listen of the configuration)")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The address for metrics cannot be listened on.
    #[error("cannot listen on {address}, where metrics are to be served (hint: see [metrics] in broker.toml)")]
    ListenForMetrics {
        /// The address.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Spans cannot be sent, which the configuration's checks refuse.
    #[error("traces.endpoint: {problem}")]
    Traces {
        /// Why.
        problem: String,
    },
    /// The access log cannot be written.
    #[error(transparent)]
    AccessLog(#[from] comity_runtime::access_log::Unwritable),
    /// The address for trust bundles cannot be bound.
    #[error("cannot listen on {address} (hint: field bundles.listen of the configuration)")]
    ListenForBundles {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The address cannot be told.
    #[error("cannot write {}", path.display())]
    Address {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A journal has failed: what it holds is unknown, so nothing more may be promised.
    #[error("a journal has failed, and the broker stops: {cause}")]
    JournalFailed {
        /// Why.
        cause: Arc<str>,
    },
}
