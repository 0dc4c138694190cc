//! SPIFFE's Workload API: SPIRE's agent, or whoever else implements it, hands out the identity of this program over a
//! Unix socket, and the next one before that one ends.
//!
//! The part of the API that is needed is one call with three messages, so they stand here, field numbers as in the
//! published `workload.proto` (docs/decisions/0014).

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use comity_identity::tls::CredentialsError;
use comity_identity::workload::WorkloadSvidError;
use comity_identity::{Credentials, Svid};
use comity_types::{Invalid, Secret, SpiffeId};
use http::Uri;
use http::uri::PathAndQuery;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::UnixStream;
use tonic::transport::Endpoint;
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

#[cfg(test)]
mod tests;

/// The one call.
const METHOD: PathAndQuery = PathAndQuery::from_static("/SpiffeWorkloadAPI/FetchX509SVID");
/// What every call has to carry, so that nobody can be tricked into one (SPIFFE_Workload_Endpoint.md, section 6.2).
const HEADER: (&str, &str) = ("workload.spiffe.io", "true");
/// Longest wait for the socket and the begin of an answer: the other end is on this machine.
const DEADLINE: Duration = Duration::from_secs(10);
/// Largest answer, in bytes: some identities, each with its chain and its domain's authorities.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// Where a Workload API listens: `unix:///run/spire/agent.sock`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Socket(PathBuf);

impl Socket {
    /// The socket's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unix://{}", self.0.display())
    }
}

impl FromStr for Socket {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let path = text.strip_prefix("unix://").or_else(|| text.strip_prefix("unix:"));
        let path = path.filter(|path| path.starts_with('/') && !path.contains(['?', '#', '\0']));
        let path = path.ok_or_else(|| Invalid::new(text, "a Unix socket, such as unix:///run/spire/agent.sock"))?;
        Ok(Self(PathBuf::from(path)))
    }
}

impl TryFrom<String> for Socket {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        text.parse()
    }
}

/// Why a Workload API gave no identity.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WorkloadError {
    /// Nobody listens, or nobody answers.
    #[error(
        "the Workload API at {socket} cannot be reached (hint: does the agent run, and may this user open the socket?)"
    )]
    NotReached {
        /// Where it should be.
        socket: Socket,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It says no: most often, nobody registered this program.
    #[error("the Workload API says no: {} (hint: register this program with the agent's server)", .0.message())]
    Refused(Box<Status>),
    /// It has ended the stream.
    #[error("the Workload API has ended the stream")]
    Ended,
    /// It has identities, but not the one that is needed.
    #[error("the Workload API has no identity {expected}, but: {}", found.join(", "))]
    OtherId {
        /// Who this program is.
        expected: SpiffeId,
        /// Whom the API takes it for.
        found: Vec<String>,
    },
    /// What it handed out cannot be used.
    #[error("the Workload API handed out an identity that cannot be used")]
    Svid(#[from] WorkloadSvidError),
    /// Its parts do not belong together.
    #[error("the Workload API handed out an identity that cannot be used")]
    Credentials(#[from] CredentialsError),
}

impl WorkloadError {
    /// True if it may pass by itself: an agent that restarts.
    #[must_use]
    pub const fn is_away(&self) -> bool {
        matches!(self, Self::NotReached { .. } | Self::Ended)
    }
}

/// A stream of this program's identities: the first comes at once, each further one when the one before is renewed.
#[derive(Debug)]
pub struct WorkloadApi {
    answers: Streaming<wire::Response>,
}

impl WorkloadApi {
    /// Asks at `socket`.
    ///
    /// # Errors
    /// It cannot be reached, or refuses.
    pub async fn open(socket: &Socket) -> Result<Self, WorkloadError> {
        let late = |_| Status::deadline_exceeded(format!("no answer within {} s", DEADLINE.as_secs()));
        tokio::time::timeout(DEADLINE, Self::ask(socket))
            .await
            .unwrap_or_else(|elapsed| Err(not_reached(socket, late(elapsed))))
    }

    async fn ask(socket: &Socket) -> Result<Self, WorkloadError> {
        let path = socket.path().to_owned();
        let connect = tower::service_fn(move |_: Uri| {
            let path = path.clone();
            async move { Ok::<_, io::Error>(TokioIo::new(UnixStream::connect(path).await?)) }
        });
        // The URI is a form: there is one socket.
        let channel = Endpoint::from_static("http://workload").connect_with_connector(connect).await;
        let mut client = tonic::client::Grpc::new(channel.map_err(|error| not_reached(socket, error))?)
            .max_decoding_message_size(MAX_ANSWER_BYTES);
        client.ready().await.map_err(|error| not_reached(socket, error))?;
        let mut request = Request::new(wire::Request {});
        request.metadata_mut().insert(HEADER.0, tonic::metadata::MetadataValue::from_static(HEADER.1));
        let codec: ProstCodec<wire::Request, wire::Response> = ProstCodec::default();
        let answer = client.server_streaming(request, METHOD, codec).await;
        Ok(Self { answers: answer.map_err(refused)?.into_inner() })
    }

    /// The next identity, however long that takes: the one that names `id`, or the first, which is the default one.
    ///
    /// # Errors
    /// The stream has ended or broken, so that it has to be opened again; or there is no such identity in what came.
    pub async fn next(&mut self, id: Option<&SpiffeId>) -> Result<Svid, WorkloadError> {
        let answer = self.answers.message().await.map_err(refused)?.ok_or(WorkloadError::Ended)?;
        let is_meant = |svid: &&wire::Svid| id.is_none_or(|id| svid.spiffe_id == id.as_str());
        let Some(svid) = answer.svids.iter().find(is_meant) else {
            let found = answer.svids.iter().map(|svid| svid.spiffe_id.clone()).collect();
            return Err(id.map_or(WorkloadError::Ended, |id| WorkloadError::OtherId { expected: id.clone(), found }));
        };
        Ok(Svid::from_der(&svid.x509_svid, &Secret::new(svid.x509_svid_key.clone()), &svid.bundle)?)
    }
}

impl WorkloadApi {
    /// The next identity that names `id`, ready for TLS.
    ///
    /// # Errors
    /// As for [`WorkloadApi::next`].
    pub async fn credentials(&mut self, id: &SpiffeId) -> Result<Credentials, WorkloadError> {
        Ok(self.next(Some(id)).await?.into_credentials()?)
    }

    /// Waits for the next identity and has `credentials` be it: connections and listeners use it from their next
    /// handshake on.
    ///
    /// # Errors
    /// As for [`WorkloadApi::next`]; the old ones stay in use.
    pub async fn renew(&mut self, credentials: &Credentials) -> Result<(), WorkloadError> {
        let id = credentials.leaf().id;
        Ok(self.next(Some(&id)).await?.replace(credentials)?)
    }
}

fn not_reached(socket: &Socket, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> WorkloadError {
    WorkloadError::NotReached { socket: socket.clone(), source: source.into() }
}

fn refused(status: Status) -> WorkloadError {
    WorkloadError::Refused(Box::new(status))
}

/// The messages of `workload.proto` that are needed, and of those the fields that are.
pub(crate) mod wire {
    /// `X509SVIDRequest`.
    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct Request {}

    /// `X509SVIDResponse`.
    #[derive(Clone, PartialEq, Eq, prost::Message)]
    pub(crate) struct Response {
        #[prost(message, repeated, tag = "1")]
        pub(crate) svids: Vec<Svid>,
    }

    /// `X509SVID`. Its key is in it: it is never logged.
    #[derive(Clone, PartialEq, Eq, prost::Message)]
    #[prost(skip_debug)]
    pub(crate) struct Svid {
        #[prost(string, tag = "1")]
        pub(crate) spiffe_id: String,
        /// Certificates in DER, leaf first.
        #[prost(bytes = "vec", tag = "2")]
        pub(crate) x509_svid: Vec<u8>,
        /// PKCS #8 in DER.
        #[prost(bytes = "vec", tag = "3")]
        pub(crate) x509_svid_key: Vec<u8>,
        /// Certificates in DER: the authorities of its trust domain.
        #[prost(bytes = "vec", tag = "4")]
        pub(crate) bundle: Vec<u8>,
    }

    impl std::fmt::Debug for Svid {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "Svid({})", self.spiffe_id)
        }
    }
}
