//! Why an enrolment or a renewal failed.

use std::path::PathBuf;

use comity_identity::SvidError;
use comity_identity::anchors::AnchorError;
use comity_identity::request::KeyError;
use comity_identity::root::RootError;
use comity_identity::store::StoreError;
use comity_types::SpiffeId;
use comity_types::ids::Kind;
use tonic::Status;

use crate::connection::ConnectionError;

/// Why an enrolment or a renewal failed.
#[derive(Debug, thiserror::Error)]
pub enum EnrolError {
    /// The directory cannot be used.
    #[error("the identity's directory cannot be used")]
    Store(#[from] StoreError),
    /// The key cannot sign.
    #[error("no signing request can be made")]
    Key(#[from] KeyError),
    /// The broker showed another root document than the invite pins.
    #[error("the federation's root document is refused")]
    Root(#[from] RootError),
    /// TLS cannot be set up.
    #[error("no connection can be made")]
    Connection(#[from] ConnectionError),
    /// The broker refused, or cannot be reached.
    #[error("the broker gave no certificate")]
    Call(#[source] Box<Status>),
    /// The broker's answer lacks something.
    #[error("the broker's answer has no {field} (hint: update this program)")]
    Incomplete {
        /// What is missing.
        field: &'static str,
    },
    /// The certificate that the broker sent does not name a member.
    #[error("the broker's certificate is refused")]
    Certificate(#[from] SvidError),
    /// The directory holds an identity that came by another invite, or by none.
    #[error("{} holds the identity {identity} already, and it did not come by this invite (hint: join in another directory)", dir.display())]
    AlreadyJoined {
        /// The directory.
        dir: PathBuf,
        /// Who stands there.
        identity: SpiffeId,
    },
    /// The directory asks with another invite, which is not decided.
    #[error("{} waits for the answer to another invite, enrolment {enrolment_id} (hint: ask again with that invite, or join in another directory)", dir.display())]
    AlreadyAsked {
        /// The directory.
        dir: PathBuf,
        /// The id of the other invite, by which operators know the enrolment.
        enrolment_id: String,
    },
    /// The organisation has an authority of its own, and it was not given.
    #[error(
        "{id} is admitted, and its organisation has a certificate authority of its own, which signs (hint: have it sign request.pem again, and put the chain into cert.pem; or join with --ca and --ca-key if it is to sign here)"
    )]
    NeedsAuthority {
        /// Who is admitted.
        id: SpiffeId,
    },
    /// The certificate that the organisation's own authority signed would be refused.
    #[error(transparent)]
    Given(Box<GivenCertificate>),
    /// The directory has not asked for anything that could go on.
    #[error("{} has not asked to join (hint: take up an invite there)", dir.display())]
    NothingAsked {
        /// The directory.
        dir: PathBuf,
    },
    /// The organisation's own authority cannot be used.
    #[error("the organisation's own authority cannot be used")]
    Authority(#[from] super::AuthorityError),
    /// A key of this member cannot sign statements.
    #[error("nothing can be signed")]
    Signing(#[from] comity_transparency::SigningError),
    /// The identity is of a kind that this program cannot act as.
    #[error(
        "{identity} is not of kind {} (hint: nodes join with `comity-node join`, apps and operators with `comity join`)",
        named(expected)
    )]
    OtherKind {
        /// Who it is.
        identity: SpiffeId,
        /// What this program can become.
        expected: Vec<Kind>,
    },
}

/// A certificate that the organisation's own authority signed, and that other members would refuse.
#[derive(Debug, thiserror::Error)]
#[error("{} would be refused: {problem} (hint: have your authority sign {} for {id}, for 24 hours at most, and put the chain, leaf first, in its place)", path.display(), request.display())]
pub struct GivenCertificate {
    /// Its file.
    pub path: PathBuf,
    /// The signing request.
    pub request: PathBuf,
    /// Whom it has to name.
    pub id: SpiffeId,
    /// What is wrong with it.
    pub problem: String,
}

impl From<Status> for EnrolError {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

impl From<rustls::Error> for EnrolError {
    fn from(error: rustls::Error) -> Self {
        Self::Connection(error.into())
    }
}

impl From<AnchorError> for EnrolError {
    fn from(error: AnchorError) -> Self {
        Self::Connection(error.into())
    }
}

/// "app or operator", as a message has it.
fn named(kinds: &[Kind]) -> String {
    let names: Vec<&str> = kinds.iter().map(|kind| kind.segment()).collect();
    names.join(" or ")
}
