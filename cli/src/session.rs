//! An identity, opened and renewed when half its time is over, and a connection to its broker.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use comity_client::connection::{Channel, ConnectionError, Unary};
use comity_client::workload_api::{Socket, WorkloadError};
use comity_client::{Cause, Connection, Identity, WorkloadApi, enrol, explain};
use comity_identity::IdentityDir;
use comity_identity::store::StoreError;
use comity_proto::catalog::catalog_client::CatalogClient;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::transparency::transparency_client::TransparencyClient;
use comity_runtime::clock::SystemClock;
use comity_types::Digest;

use crate::args::Global;
use crate::commands::join;
use crate::error::CliError;
use crate::output::say;
use crate::render_error::in_one_line;

/// Most bytes of an answer: the vectors of a full call of a large model, or a federation's whole catalogue.
const MAX_ANSWER_BYTES: usize = 64 * 1024 * 1024;

/// A connection to the broker as one identity.
#[derive(Debug)]
pub(crate) struct Session {
    identity: Identity,
    federation_root: Digest,
    connection: Connection,
}

impl Session {
    /// Opens the identity that the command line names, renews it if that is due, and prepares a connection.
    pub(crate) async fn open(global: &Global) -> Result<Self, CliError> {
        let dir = global.identity.as_deref().ok_or_else(no_identity)?;
        let identity = match &global.workload_api {
            Some(socket) => handed_out(dir, socket).await?,
            None => kept(dir).await?,
        };
        let connection = Connection::open(&identity).map_err(unconnected)?;
        let federation_root = identity.dir().identity().map_err(|error| unusable(dir, error))?.federation_root;
        Ok(Self { identity, federation_root, connection })
    }

    /// The identity that the command line names with its certificate as it is, where that has ended: for what needs none.
    pub(crate) fn shut_out(global: &Global) -> Option<Self> {
        let identity = on_disk(global).ok()?;
        let federation_root = identity.dir().identity().ok()?.federation_root;
        let connection = Connection::open(&identity).ok()?;
        Some(Self { identity, federation_root, connection }).filter(Self::is_shut_out)
    }

    /// Whether nobody takes its certificate any more.
    pub(crate) fn is_shut_out(&self) -> bool {
        self.identity.clock().now() > self.identity.leaf().not_after
    }

    /// Who it is.
    pub(crate) const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Renews the identity where that is due, for a command that stays.
    pub(crate) async fn keep_fresh(&self) -> Result<(), CliError> {
        keep_fresh(&self.identity).await
    }

    /// SHA-256 of the root document that the identity pins.
    pub(crate) const fn federation_root(&self) -> Digest {
        self.federation_root
    }

    /// The connection itself.
    pub(crate) const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// The models and offers.
    pub(crate) fn catalog(&self) -> CatalogClient<Unary> {
        CatalogClient::new(self.connection.unary()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The registry.
    pub(crate) fn membership(&self) -> MembershipClient<Unary> {
        MembershipClient::new(self.connection.unary()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The decision log.
    pub(crate) fn transparency(&self) -> TransparencyClient<Unary> {
        TransparencyClient::new(self.connection.unary()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }

    /// The models themselves.
    pub(crate) fn inference(&self) -> InferenceClient<Channel> {
        InferenceClient::new(self.connection.channel()).max_decoding_message_size(MAX_ANSWER_BYTES)
    }
}

/// The directory that the command line names.
pub(crate) fn dir(global: &Global) -> Result<PathBuf, CliError> {
    global.identity.clone().ok_or_else(no_identity)
}

/// The identity that the command line names, as it is on disk.
pub(crate) fn on_disk(global: &Global) -> Result<Identity, CliError> {
    let dir = dir(global)?;
    if global.workload_api.is_some() {
        return Err(CliError::Usage {
            problem: "the certificate comes from a Workload API, which renews it".to_owned(),
            hint: "leave out --workload-api (COMITY_WORKLOAD_API) for an identity whose key is in its directory"
                .to_owned(),
        });
    }
    Identity::open(&dir).map_err(|error| unusable(&dir, error))
}

/// An identity whose key and certificate are in `dir`; renewed, if that is due.
async fn kept(dir: &Path) -> Result<Identity, CliError> {
    join::complete(dir, None).await?;
    let identity = Identity::open(dir).map_err(|error| unusable(dir, error))?;
    keep_fresh(&identity).await?;
    Ok(identity)
}

/// An identity whose key and certificate a Workload API hands out, and keeps fresh.
async fn handed_out(dir: &Path, socket: &Socket) -> Result<Identity, CliError> {
    join::complete(dir, Some(socket)).await?;
    let kept = IdentityDir::open_without_key(dir).and_then(|dir| dir.identity());
    let id = kept.map_err(|error| unusable(dir, error))?.spiffe_id;
    let failed = |source: WorkloadError| CliError::Client {
        doing: "use the Workload API",
        source: Box::new(source),
        hint: None,
    };
    let credentials = WorkloadApi::open(socket).await.map_err(failed)?.credentials(&id).await.map_err(failed)?;
    let opened = Identity::open_with_credentials(dir, Arc::new(credentials), Arc::new(SystemClock));
    opened.map_err(|error| unusable(dir, error))
}

/// A renewal that fails while the certificate still holds is worth a word, not an end: the next call tries again.
async fn keep_fresh(identity: &Identity) -> Result<(), CliError> {
    let Err(error) = identity.keep_fresh().await else { return Ok(()) };
    if identity.clock().now() > identity.leaf().not_after {
        return Err(CliError::Client {
            doing: "renew the identity, whose certificate has ended",
            source: Box::new(error),
            hint: None,
        });
    }
    say(&format!("warning: {} could not be renewed, and will be tried again: {}", identity.id(), in_one_line(&error)));
    Ok(())
}

/// Puts what the broker says to the key of whoever failed in the place of TLS's one word: that it was evicted, and why.
pub(crate) async fn explained(error: CliError, global: &Global) -> CliError {
    let CliError::Status { doing, status } = &error else { return error };
    if explain(status).cause != Cause::CertificateRefused {
        return error;
    }
    let identity = global.identity.as_ref().and_then(|dir| Identity::open(dir).ok());
    let Some(identity) = identity else { return error };
    match enrol::why_refused(&identity).await {
        Some(told) => CliError::call(doing, told),
        None => error,
    }
}

pub(crate) fn no_identity() -> CliError {
    CliError::Usage {
        problem: "this command acts as somebody, and no identity is named".to_owned(),
        hint: "name its directory with --identity DIR or COMITY_IDENTITY; `comity join` makes one from an invite"
            .to_owned(),
    }
}

/// Why there is no identity; what is wrong with one that is there says its own hint.
fn unusable(dir: &Path, error: StoreError) -> CliError {
    if let StoreError::TurnedDown { reason, .. } = error {
        return CliError::Rejected { reason };
    }
    let missing = matches!(error, StoreError::Missing { .. });
    let hint = missing.then(|| {
        format!(
            "name the directory of an identity with --identity DIR or COMITY_IDENTITY; `comity join INVITE --dir {}` makes one there",
            dir.display()
        )
    });
    CliError::Client { doing: "use the identity", source: Box::new(error), hint }
}

fn unconnected(error: ConnectionError) -> CliError {
    CliError::Client { doing: "use the identity", source: Box::new(error), hint: None }
}
