//! The models of a broker that keeps a decision log, and lies about it as it is told to.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use comity_proto::convert::wire_receipt;
use comity_proto::inference::inference_server::Inference;
use comity_proto::inference::{
    ChatRequest, ChatResponse, ChatStreamRequest, ChatStreamResponse, EmbedRequest, EmbedResponse, Envelope,
    ForwardRequest, ForwardResponse,
};
use comity_proto::metadata::{DECISION_ID, OFFER, RECEIPT};
use comity_runtime::trailers::Trailers;
use comity_transparency::leaf::{Epoch, Kind, Leaf};
use comity_transparency::proof::{inclusion, root};
use comity_transparency::receipt::{Proven, Receipt};
use comity_transparency::record::{Disclosure, Field, Record, RecordKind, SALT_BYTES};
use comity_transparency::tile::Tiles;
use comity_transparency::{Checkpoint, LogKey};
use comity_types::{DecisionId, Digest, Secret, Timestamp};
use prost::Message as _;
use tokio_stream::Stream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Response, Status};

use super::MEMBER;
use crate::founding::Founded;

/// Who answers.
pub(crate) const ANSWERED_BY: &str = "org-b.example/n1/chat";
/// The SHA-256 of its stored form: nothing is held against it here.
const ANSWERED_AS: &str = "ab12";
/// Where a decision names the offer that it would try first.
fn first() -> Field {
    Field::candidate(0).unwrap()
}
/// What is answered.
pub(crate) const WORDS: [&str; 2] = ["Pa", "ris"];

/// What a broker says that is not so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// It keeps no record.
    NoReceipt,
    /// It shows something else.
    NoneAtAll,
    /// It shows the record of what somebody else asked.
    OfAnotherCaller,
    /// It shows the record of something else that was asked.
    OfAnotherRequest,
    /// It shows the same receipt as for the call before.
    Again,
    /// It shows another value than the one that its log is committed to.
    AlteredField,
    /// Its log is one that nobody has heard of.
    ForgedSignature,
    /// It recorded a failure.
    RecordedAsFailed,
    /// It recorded a refusal.
    RecordedAsRefused,
    /// It says that somebody else answered.
    AnotherOffer,
    /// It hides who answered, and says that it was somebody else.
    HiddenOffer,
    /// It recorded that an offer answered that the decision does not name.
    NotEligible,
    /// The same, and it hides which ones the decision names.
    HiddenCandidates,
    /// It recorded that the offer was somebody else's than it is named after.
    AnotherOperator,
    /// It says that it was another decision.
    AnotherDecision,
    /// It says at once that all is well, with no word more.
    EndedAtOnce,
}

/// The root of the federation's log by which is decided.
pub(crate) fn state(epoch: u64) -> Digest {
    Digest::of(&epoch.to_be_bytes())
}

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// Answers every chat, and refuses every embedding.
#[derive(Debug, Clone)]
pub(crate) struct Models(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    key: LogKey,
    tiles: Mutex<Tiles>,
    lie: Mutex<Option<Lie>>,
    last: Mutex<Option<Receipt>>,
    asked: Mutex<Option<Envelope>>,
}

/// What a call ends with.
struct Said {
    decision: DecisionId,
    receipt: Option<Vec<u8>>,
}

impl Models {
    pub(super) fn new(founded: &Founded) -> Self {
        let keys = ["decision-log.key", "decision-log.ml-dsa-44.key"];
        let [plain, post_quantum] = keys.map(|name| Secret::new(std::fs::read(founded.data_dir.join(name)).unwrap()));
        let key = LogKey::from_pkcs8(&founded.root.decision_log_origin(), &plain, &post_quantum).unwrap();
        let (tiles, lie, last, asked) = Default::default();
        Self(Arc::new(Inner { key, tiles, lie, last, asked }))
    }

    /// From now on.
    pub(crate) fn lie(&self, lie: impl Into<Option<Lie>>) {
        *self.0.lie.lock().unwrap() = lie.into();
    }

    /// The envelope of the last request.
    pub(crate) fn asked(&self) -> Envelope {
        self.0.asked.lock().unwrap().clone().unwrap()
    }

    fn lies(&self, lie: Lie) -> bool {
        *self.0.lie.lock().unwrap() == Some(lie)
    }

    /// Logs a request and how it ended, and what is said of it.
    fn log(&self, envelope: &Envelope, ended: Code) -> Said {
        let lies = |lie| self.lies(lie);
        *self.0.asked.lock().unwrap() = Some(envelope.clone());
        let caller = if lies(Lie::OfAnotherCaller) { "spiffe://org-a.example/app/other" } else { MEMBER };
        let envelope = Envelope {
            model: if lies(Lie::OfAnotherRequest) { "large".into() } else { envelope.model.clone() },
            ..envelope.clone()
        };
        let ended = if lies(Lie::RecordedAsFailed) { Code::Unavailable } else { ended };
        let decision = Record::new(RecordKind::Decision, [1; SALT_BYTES])
            .with(Field::CALLER, caller)
            .and_then(|record| record.with(Field::ENVELOPE_SHA256, Digest::of(&envelope.encode_to_vec()).as_bytes()))
            .and_then(|record| {
                let is_named = !lies(Lie::NotEligible) && !lies(Lie::HiddenCandidates);
                let offer = if is_named { ANSWERED_BY } else { "org-c.example/n1/chat" };
                let candidate = format!(r#"{{"offer":"{offer}","offer_sha256":"{ANSWERED_AS}","expires_at":1}}"#);
                record.with(first(), candidate)
            });
        let outcome = |code: Code| {
            let status = i32::from(code).to_string();
            let operator = if lies(Lie::AnotherOperator) { "org-c.example" } else { "org-b.example" };
            Record::new(RecordKind::Outcome, [2; SALT_BYTES])
                .with(Field::OFFER, ANSWERED_BY)
                .and_then(|record| record.with(Field::OFFER_SHA256, ANSWERED_AS))
                .and_then(|record| record.with(Field::OPERATOR, operator))
                .and_then(|record| record.with(Field::STATUS, status.as_str()))
                .unwrap()
        };
        let shown = if lies(Lie::AlteredField) { outcome(Code::Aborted) } else { outcome(ended) };
        let (decision, outcome) = (decision.unwrap(), outcome(ended));
        let (hides, hides_candidates) = (lies(Lie::HiddenOffer), lies(Lie::HiddenCandidates));
        let of_decision = decision.disclose(|field| !hides_candidates || field != first());
        let shown = [of_decision, shown.disclose(|field| !hides || field != Field::OFFER)];
        let mut receipt = self.append([&decision, &outcome], shown);
        if lies(Lie::RecordedAsRefused) || ended == Code::FailedPrecondition {
            receipt.outcome = None;
        }
        let mut last = self.0.last.lock().unwrap();
        let receipt = if lies(Lie::Again) { last.clone().unwrap() } else { last.insert(receipt).clone() };
        let other = lies(Lie::AnotherDecision).then(|| DecisionId::from_bytes([9; 16]));
        let decision = other.unwrap_or_else(|| Leaf::from_bytes(&receipt.decision.leaf).unwrap().decision);
        let receipt = match () {
            () if lies(Lie::NoReceipt) => None,
            () if lies(Lie::NoneAtAll) => Some(b"trust me".to_vec()),
            () => Some(wire_receipt(&receipt).encode_to_vec()),
        };
        Said { decision, receipt }
    }

    fn append(&self, records: [&Record; 2], shown: [Disclosure; 2]) -> Receipt {
        let mut tiles = self.0.tiles.lock().unwrap();
        let first = tiles.size();
        let kinds = [Kind::Decision, Kind::Outcome { decision: first }];
        let leaves = records.into_iter().zip(kinds).map(|(record, kind)| {
            let leaf = Leaf {
                kind,
                at: Timestamp::from_millis(1_795_000_000_000).unwrap(),
                decision: DecisionId::from_bytes(u128::from(first).to_be_bytes()),
                epoch: Epoch { size: 1, root: state(1) },
                engine: 1,
                record: record.commitment(),
            };
            tiles.push(leaf.hash());
            leaf.to_bytes()
        });
        let [decision, outcome] = <[_; 2]>::try_from(leaves.collect::<Vec<_>>()).unwrap();
        let size = first + 2;
        let proven = |index, leaf, record| {
            let path = inclusion(&*tiles, index, size).unwrap().unwrap();
            Proven { index, leaf, path, record: Some(record) }
        };
        let [shown_decision, shown_outcome] = shown;
        let (decision, outcome) = (proven(first, decision, shown_decision), proven(first + 1, outcome, shown_outcome));
        let origin = self.0.key.origin().to_owned();
        let checkpoint = Checkpoint { origin: origin.clone(), size, root: root(&*tiles, size).unwrap() };
        let forged = self.lies(Lie::ForgedSignature).then(|| LogKey::generate(&origin).unwrap());
        let note = forged.as_ref().unwrap_or(&self.0.key).sign(&checkpoint, Some(1_795_000_000)).unwrap();
        Receipt { checkpoint: note, decision, outcome: Some(outcome) }
    }

    /// Says in an answer that ends well what the broker says of it.
    fn tell<T>(&self, envelope: Option<&Envelope>, answer: T) -> Result<Response<T>, Status> {
        let said = self.log(envelope.unwrap(), Code::Ok);
        if self.lies(Lie::EndedAtOnce) {
            return Err(Status::new(Code::Ok, ""));
        }
        let mut response = Response::new(answer);
        let offer = if self.lies(Lie::AnotherOffer) || self.lies(Lie::HiddenOffer) {
            "org-c.example/n1/chat"
        } else {
            ANSWERED_BY
        };
        response.metadata_mut().insert(OFFER, offer.parse().unwrap());
        response.metadata_mut().insert(DECISION_ID, said.decision.to_string().parse().unwrap());
        let mut last = Response::new(());
        if let Some(receipt) = said.receipt {
            last.metadata_mut().insert_bin(RECEIPT, MetadataValue::from_bytes(&receipt));
        }
        response.extensions_mut().insert(Trailers(last.into_parts().0.into_headers()));
        Ok(response)
    }
}

#[tonic::async_trait]
impl Inference for Models {
    type ChatStreamStream = Answers<ChatStreamResponse>;
    type ForwardStream = Answers<ForwardResponse>;

    async fn chat(&self, request: Request<ChatRequest>) -> Result<Response<ChatResponse>, Status> {
        self.tell(request.get_ref().envelope.as_ref(), ChatResponse::default())
    }

    async fn chat_stream(
        &self,
        request: Request<ChatStreamRequest>,
    ) -> Result<Response<Self::ChatStreamStream>, Status> {
        let pieces = WORDS.map(|text| Ok(ChatStreamResponse { text: text.into(), ..ChatStreamResponse::default() }));
        let answer: Self::ChatStreamStream = Box::pin(tokio_stream::iter(pieces));
        self.tell(request.get_ref().envelope.as_ref(), answer)
    }

    async fn embed(&self, request: Request<EmbedRequest>) -> Result<Response<EmbedResponse>, Status> {
        let said = self.log(request.get_ref().envelope.as_ref().unwrap(), Code::FailedPrecondition);
        let mut refusal = Status::failed_precondition("none is eligible");
        if let Some(receipt) = said.receipt {
            refusal.metadata_mut().insert_bin(RECEIPT, MetadataValue::from_bytes(&receipt));
        }
        Err(refusal)
    }

    async fn forward(&self, _: Request<ForwardRequest>) -> Result<Response<Self::ForwardStream>, Status> {
        Err(Status::unimplemented("no"))
    }
}
