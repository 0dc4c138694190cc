//! The receipt that an answer ends with, held against what was asked, before the answer counts.
//!
//! It comes with the answer's last byte, earlier than any witness can have cosigned: what it is held against is the log's key
//! of the root document that is pinned, and this request. That it is this one and not an earlier one that asked for the same
//! is the [`nonce`](super::nonce)'s doing.

use std::fmt;
use std::sync::Arc;

use comity_identity::Root;
use comity_proto::metadata::{DECISION_ID, OFFER, RECEIPT};
use comity_proto::{inference, transparency};
use comity_transparency::NoteVerifier;
use comity_transparency::receipt::{Receipt, ReceiptError, Verified};
use comity_transparency::record::Field;
use comity_types::{Digest, SpiffeId};
use http::HeaderMap;
use prost::Message as _;
use tonic::Code;
use tonic::metadata::MetadataMap;

use super::named::consistent;
use super::{CheckError, by_state};
use crate::follow::{FollowError, States};

/// Why an answer is not proven.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Unproven {
    /// The answer came without a receipt.
    #[error("the answer came without a receipt")]
    Missing,
    /// The answer stopped without a status, and what it came to nobody says.
    #[error("the answer stopped without a status, and without a receipt")]
    NoStatus,
    /// What came is none.
    #[error("what came as its receipt cannot be read")]
    Malformed,
    /// It does not hold.
    #[error("its receipt does not hold")]
    Refused(#[from] ReceiptError),
    /// It is true, and of another request; or nothing tells the request from others that ask for the same.
    #[error("its receipt is of another request")]
    OfAnother,
    /// It was decided by another state of the federation than the one that this side knows.
    #[error("it was decided at epoch {epoch} by another log of the federation than the one that was followed here")]
    OtherFederation {
        /// The decision's epoch.
        epoch: u64,
    },
    /// The federation's log, which it is to be held against, cannot be read, or is not to be believed.
    #[error("the federation's log cannot be followed, which it is held against")]
    NotFollowed(#[source] Box<FollowError>),
    /// It was decided by a state of the federation that its log does not have, or had too long ago.
    #[error("it was decided at epoch {epoch}, and what the federation was then is not known here")]
    UnknownEpoch {
        /// The decision's epoch.
        epoch: u64,
    },
    /// The federation's log goes against it.
    #[error("the federation's log goes against its receipt")]
    AgainstFederation(#[source] Box<CheckError>),
    /// Nobody but the broker says what was answered.
    #[error("no node signed what is on record of the answer")]
    NotSigned,
    /// It says that the request was not answered.
    #[error("its receipt says that the request was not answered")]
    NotAnswered,
    /// It says that the request ended otherwise than the broker told.
    #[error("its receipt says that the request ended with status {recorded}, and the broker said {said}")]
    OtherStatus {
        /// On record.
        recorded: String,
        /// What came: the number of a gRPC status.
        said: i32,
    },
    /// What it says of the offer that answered goes against the decision, or against the offer's own name.
    #[error("its receipt contradicts itself")]
    Contradicts(#[source] Box<CheckError>),
    /// It does not show that the offer that answered is one that the decision let try: an honest broker's does.
    #[error("its receipt does not show that the offer that answered was eligible")]
    NotEligible,
    /// What the answer began with is not what is on record.
    #[error("the answer said {header}: {said}, and its receipt says {recorded}")]
    OtherHead {
        /// The metadata's name.
        header: &'static str,
        /// What came.
        said: String,
        /// On record.
        recorded: String,
    },
    /// What the answer began with is not shown to be on record.
    #[error("the answer said {header}: {said}, and its receipt says nothing of it")]
    HiddenHead {
        /// The metadata's name.
        header: &'static str,
        /// What came.
        said: String,
    },
}

/// Who asked what: a receipt that is true of another request proves nothing of this one.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The app that called.
    pub caller: &'a SpiffeId,
    /// The envelope that it sent, with the [`nonce`](super::nonce) that it gave it: a [`Channel`](crate::connection::Channel)
    /// gives one of its own to an envelope without, which nobody else knows then.
    pub envelope: &'a inference::Envelope,
}

/// The receipt among the trailers of an answer, held against the log's key of the root document that is pinned, and against
/// what was asked. A [`Channel`](crate::connection::Channel) has done it, and more, before the answer ends; this is for
/// whoever wants what was proven, or calls by other means.
///
/// # Errors
/// There is none, it does not hold, or it is of another request, or of one that was not answered.
pub fn of_trailers(trailers: &MetadataMap, root: &Root, asked: Asked<'_>) -> Result<(Receipt, Verified), Unproven> {
    let receipt = read(trailers)?.ok_or(Unproven::Missing)?;
    // A receipt of any request that asked for the same would be true of it.
    let envelope = (!asked.envelope.nonce.is_empty()).then(|| Digest::of(&asked.envelope.encode_to_vec()));
    let verified = held(&receipt, root, asked.caller, envelope)?;
    match verified.text(Field::STATUS) {
        Some("0") => Ok((receipt, eligible(verified, Code::Ok)?)),
        _ => Err(Unproven::NotAnswered),
    }
}

/// The receipt in metadata, if there is one.
fn read(metadata: &MetadataMap) -> Result<Option<Receipt>, Unproven> {
    let Some(value) = metadata.get_bin(RECEIPT) else { return Ok(None) };
    let bytes = value.to_bytes().map_err(|_| Unproven::Malformed)?;
    let wire = transparency::Receipt::decode(bytes).map_err(|_| Unproven::Malformed)?;
    Receipt::try_from(wire).map(Some).map_err(|_| Unproven::Malformed)
}

/// Whether it is in the federation's log, and of the request with this envelope; nothing is of one without a digest.
fn held(receipt: &Receipt, root: &Root, caller: &SpiffeId, envelope: Option<Digest>) -> Result<Verified, Unproven> {
    let [plain, _] = &root.decision_log;
    let verified = receipt.verify(&root.decision_log_origin(), &NoteVerifier::of(plain))?;
    let is_of_it = verified.text(Field::CALLER) == Some(caller.as_str())
        && envelope.is_some_and(|envelope| verified.get(Field::ENVELOPE_SHA256) == Some(envelope.as_bytes()));
    if is_of_it { Ok(verified) } else { Err(Unproven::OfAnother) }
}

/// The root of the federation's log at an epoch, as this side has followed it; none of one that it does not know.
pub(crate) type Epochs = dyn Fn(u64) -> Option<Digest> + Send + Sync;

/// What answers to one member are held against.
#[derive(Clone)]
pub(crate) struct Pinned {
    root: Arc<Root>,
    caller: SpiffeId,
    epochs: Option<Arc<Epochs>>,
    states: Option<Arc<States>>,
}

/// What the answer to one request is held against.
#[derive(Debug)]
pub(crate) struct Expected {
    pinned: Pinned,
    envelope: Option<Digest>,
}

impl fmt::Debug for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pinned").field("caller", &self.caller).finish_non_exhaustive()
    }
}

impl Pinned {
    pub(crate) fn new(root: Arc<Root>, caller: SpiffeId) -> Self {
        Self { root, caller, epochs: None, states: None }
    }

    pub(crate) fn with_epochs(self, epochs: Arc<Epochs>) -> Self {
        Self { epochs: Some(epochs), ..self }
    }

    pub(crate) fn with_states(self, states: Arc<States>) -> Self {
        Self { states: Some(states), ..self }
    }

    /// A call begins, with an envelope of this digest.
    pub(crate) const fn expect(self, envelope: Option<Digest>) -> Expected {
        Expected { pinned: self, envelope }
    }
}

impl Expected {
    /// Whether an answer that began with `head`, and ended with `code` and `last`, is proven. What failed needs no receipt,
    /// since nothing follows from it; one that it has is to be true.
    pub(crate) async fn check(&self, head: &HeaderMap, code: Code, last: &HeaderMap) -> Result<(), Unproven> {
        let Some(verified) = self.recorded(head, code, last)? else { return Ok(()) };
        let Some(states) = &self.pinned.states else { return Ok(()) };
        let epoch = verified.decision().leaf().epoch.size;
        let log = states.at(epoch).await.map_err(|error| Unproven::NotFollowed(Box::new(error)))?;
        by_state::held(verified, &log.ok_or(Unproven::UnknownEpoch { epoch })?, code)
    }

    /// What is on record of it, which is what was told; nothing, where it needs no receipt and has none.
    fn recorded(&self, head: &HeaderMap, code: Code, last: &HeaderMap) -> Result<Option<Verified>, Unproven> {
        let receipt = match read(&MetadataMap::from_headers(last.clone()))? {
            Some(receipt) => receipt,
            None if code == Code::Ok => return Err(Unproven::Missing),
            None => return Ok(None),
        };
        let Self { pinned, envelope } = self;
        let verified = held(&receipt, &pinned.root, &pinned.caller, *envelope)?;
        let epoch = verified.decision().leaf().epoch;
        let followed = pinned.epochs.as_ref().and_then(|root_at| root_at(epoch.size));
        if followed.is_some_and(|root| root != epoch.root) {
            return Err(Unproven::OtherFederation { epoch: epoch.size });
        }
        ended(&verified, code)?;
        began(&verified, head, code)?;
        eligible(verified, code).map(Some)
    }
}

/// Whether the decision names the offer that answered; of one that failed it is enough that nothing goes against it.
fn eligible(verified: Verified, code: Code) -> Result<Verified, Unproven> {
    let (verified, named) = consistent(verified).map_err(|error| Unproven::Contradicts(Box::new(error)))?;
    if named.is_some() || code != Code::Ok { Ok(verified) } else { Err(Unproven::NotEligible) }
}

/// Whether it ended as is on record.
fn ended(verified: &Verified, code: Code) -> Result<(), Unproven> {
    let said = i32::from(code);
    match verified.text(Field::STATUS) {
        None if code == Code::Ok => Err(Unproven::NotAnswered),
        Some(recorded) if recorded != said.to_string() => {
            Err(Unproven::OtherStatus { recorded: recorded.to_owned(), said })
        }
        // Of what was refused there is the decision alone.
        Some(_) | None => Ok(()),
    }
}

/// Whether it began with what is on record.
fn began(verified: &Verified, head: &HeaderMap, code: Code) -> Result<(), Unproven> {
    let decision = verified.decision().leaf().decision.to_string();
    for (header, recorded) in [(DECISION_ID, Some(decision.as_str())), (OFFER, verified.text(Field::OFFER))] {
        let Some(said) = head.get(header).map(|value| value.to_str().unwrap_or_default().to_owned()) else { continue };
        match recorded {
            Some(recorded) if said != recorded => {
                return Err(Unproven::OtherHead { header, said, recorded: recorded.to_owned() });
            }
            // Of what failed there may be no more than the decision.
            None if code == Code::Ok => return Err(Unproven::HiddenHead { header, said }),
            Some(_) | None => {}
        }
    }
    Ok(())
}
