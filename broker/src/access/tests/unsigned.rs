//! A node that has the prompt, answers well, and writes at the end what it likes: nothing of that stays at the broker.

use std::path::Path;

use comity_identity::KeyPair;
use comity_proto::convert::wire_instant;
use comity_proto::permit::{NodeOutcome, Outcome};
use comity_proto::{inference, metadata, transparency};
use comity_runtime::clock::SystemClock;
use comity_transparency::Signer as _;
use comity_transparency::receipt::{Receipt, Verified};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::Frame;
use prost::Message as _;

use super::node::{Node, Seen};
use super::*;
use crate::testing::Logged;

/// What the prompt has in it, and nothing else has.
const MARKER: &str = "the-patient-is-seventeen-and-afraid";
/// What clients read of trailers, if nobody says otherwise.
const READ_BY_CLIENTS: usize = 8 * 1024;

/// What a node writes at the end of its answer.
pub(super) struct End {
    key: Arc<KeyPair>,
    said: Outcome,
    trailers: HeaderMap,
    /// Whether there is no answer before it.
    declines: bool,
}

impl End {
    fn put(&mut self, name: &'static str, bytes: &[u8]) {
        let value = base64::Engine::encode(&base64::engine::general_purpose::STANDARD_NO_PAD, bytes);
        self.trailers.insert(HeaderName::from_static(name), HeaderValue::try_from(value).unwrap());
    }

    fn signed(&self) -> NodeOutcome {
        let outcome = self.said.encode_to_vec();
        let signature = self.key.sign(&[metadata::OUTCOME_CONTEXT, &outcome].concat()).unwrap();
        NodeOutcome { outcome: outcome.into(), signature: signature.into() }
    }

    /// What a node sends that does as it should.
    pub(super) fn sign(&mut self) {
        self.put(metadata::OUTCOME, &self.signed().encode_to_vec());
    }

    /// What a node sends that declines, and says that it used something.
    pub(super) fn decline(&mut self, failure: Failure) {
        self.said.status = failure.code.into();
        self.sign();
        self.trailers.remove(Status::GRPC_STATUS);
        Status::from(failure).add_header(&mut self.trailers).unwrap();
        self.declines = true;
    }

    /// That, and so many bytes in a field that nobody knows.
    fn sign_and_plant(&mut self, bytes: &[u8]) {
        let mut sent = self.signed().encode_to_vec();
        sent.push(0x7a);
        prost::encoding::encode_varint(bytes.len() as u64, &mut sent);
        sent.extend(bytes);
        self.put(metadata::OUTCOME, &sent);
    }
}

/// What a caller gets of a node that ends its answer so, and what is left of it.
struct Ended {
    trailers: HeaderMap,
    receipt: Verified,
    log: Logged,
    world: World,
    _node: Node,
}

/// A node that answers, and ends its answer so.
pub(super) fn ending(
    log_key: comity_transparency::NoteVerifier,
    ending: impl Fn(&mut End) + Send + Sync + 'static,
) -> impl FnOnce(KeyPair) -> node::Handler {
    move |key| {
        let key = Arc::new(key);
        Arc::new(move |seen: Seen, answering: node::Answering| {
            let decision = seen.decision(&log_key);
            let candidate = seen.candidate(&log_key);
            let said = Outcome {
                decision_id: decision.leaf().decision.as_bytes().to_vec().into(),
                decision_index: decision.index(),
                attempt: seen.permit().attempt,
                offer: candidate["offer"].as_str().unwrap().to_owned(),
                status: 0,
                input_tokens: Some(3),
                output_tokens: Some(4),
                ended_at: Some(wire_instant(SystemClock.now())),
                epoch: decision.leaf().epoch.size,
                state_age_ms: 900,
            };
            let mut end = End { key: Arc::clone(&key), said, trailers: HeaderMap::new(), declines: false };
            end.put(metadata::USAGE, &inference::Usage { input_tokens: 3, output_tokens: 4 }.encode_to_vec());
            end.trailers.insert("grpc-status", "0".parse().unwrap());
            ending(&mut end);
            let answer = Some(data("hello")).filter(|_| !end.declines);
            let frames = answer.into_iter().chain([Frame::trailers(end.trailers)]);
            frames.for_each(|frame| answering.try_send(Ok(frame)).unwrap());
        })
    }
}

async fn ended_by(ending: impl Fn(&mut End) + Send + Sync + 'static) -> Ended {
    let (log, world) = (Logged::default(), World::new().await);
    let collecting = log.collect();
    let node = world.node_handing("a.example", self::ending(world.log_key.clone(), ending)).await;
    let (bytes, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!((bytes.as_slice(), ended(&trailers).0), (&b"hello"[..], Code::Ok));
    let receipt = trailers[metadata::RECEIPT].as_bytes();
    let receipt = base64::Engine::decode(&base64::engine::general_purpose::STANDARD_NO_PAD, receipt).unwrap();
    let receipt = Receipt::try_from(transparency::Receipt::decode(receipt.as_slice()).unwrap()).unwrap();
    let receipt = receipt.verify(world::LOG, &world.log_key).unwrap();
    assert_eq!(world.journal(1).await.1.len(), 1);
    drop(collecting);
    Ended { trailers, receipt, log, world, _node: node }
}

#[tokio::test]
async fn of_who_asks_for_so_many_tokens_at_most_no_node_signs_that_it_wrote_more() {
    for (wrote, word) in [(16, None), (33, Some("excessive")), (262_144, Some("excessive"))] {
        let world = World::new().await;
        let ending = move |end: &mut End| {
            end.said.output_tokens = Some(wrote);
            end.put(metadata::USAGE, &inference::Usage { input_tokens: 3, output_tokens: wrote }.encode_to_vec());
            end.sign();
        };
        let _node = world.node_handing("a.example", self::ending(world.log_key.clone(), ending)).await;
        let envelope = inference::Envelope { max_output_tokens: Some(16), ..world::envelope(in_germany()) };
        let (_, trailers) = read(world.call(Method::Chat, framed(&world::message_of(&envelope)), &[]).await).await;
        assert_eq!(ended(&trailers).0, Code::Ok);
        let outcome = world.journal(1).await.1.remove(0);
        assert_eq!(outcome.output_tokens, Some(wrote).filter(|_| word.is_none()));
        let tries: serde_json::Value = serde_json::from_str(&outcome.tries).unwrap();
        assert_eq!(tries[0]["unsigned"].as_str(), word);
    }
}

impl Ended {
    /// Why nothing of the node's word was kept, if nothing was.
    fn unsigned(&self) -> Option<String> {
        let tries: serde_json::Value = serde_json::from_str(self.receipt.text(Field::TRIES).unwrap()).unwrap();
        let said = tries[0]["unsigned"].as_str().map(str::to_owned);
        assert_eq!(self.world.access.parts().metrics.count_unsigned(), u64::from(said.is_some()));
        assert_eq!(self.receipt.get(Field::NODE_OUTCOME).is_none(), said.is_some());
        said
    }

    /// What went on as what the node used.
    fn usage(&self) -> Option<Vec<u8>> {
        settle::binary(&self.trailers, metadata::USAGE)
    }

    /// What the broker logged of it.
    fn warned(&self) -> Vec<String> {
        self.log.lines_with("a node did not sign what it answered")
    }

    fn keeps_nothing_of(&self, marker: &str) {
        let is_in = |bytes: &[u8]| bytes.windows(marker.len()).any(|part| part == marker.as_bytes());
        let mut files = Vec::new();
        below(self.world.dir(), &mut files);
        assert!(files.iter().any(|(_, bytes)| is_in_any(bytes, b"a.example/n1/o1")), "the search finds what is there");
        for (file, bytes) in &files {
            assert!(!is_in(bytes), "{marker} is in {file}");
        }
        assert!(self.log.lines_with(marker).is_empty());
        let shown = Field::NODE_OUTCOME;
        assert!(self.receipt.get(shown).is_none_or(|bytes| !is_in(bytes)));
        let length: usize = self.trailers.iter().map(|(name, value)| name.as_str().len() + value.len() + 32).sum();
        assert!(length < READ_BY_CLIENTS, "{length} bytes of trailers");
        assert!(self.trailers.values().all(|value| !is_in(value.as_bytes())));
    }
}

fn is_in_any(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn below(dir: &Path, files: &mut Vec<(String, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, files);
        } else {
            files.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

#[tokio::test]
async fn a_nodes_word_on_what_it_answered_is_in_the_receipt() {
    let ended = ended_by(End::sign).await;
    assert_eq!(ended.unsigned(), None);
    assert_eq!(ended.warned(), [""; 0]);
}

#[tokio::test]
async fn a_prompt_that_a_node_plants_beside_its_signed_word_is_nowhere_at_the_broker() {
    let ended = ended_by(|end| end.sign_and_plant(MARKER.as_bytes())).await;
    assert_eq!(ended.unsigned().as_deref(), Some("malformed"));
    ended.keeps_nothing_of(MARKER);
    assert!(ended.warned()[0].contains("node.id=spiffe://a.example/node/n1"), "{:?}", ended.warned());
}

#[tokio::test]
async fn nor_where_it_is_planted_in_any_other_trailer() {
    let ended = ended_by(|end| {
        end.sign();
        end.put(metadata::USAGE, &[&[8, 3, 16, 4, 0x7a, 35], MARKER.as_bytes()].concat());
        end.trailers.insert("x-prompt", MARKER.parse().unwrap());
        end.put(metadata::RECEIPT, MARKER.as_bytes());
    });
    let ended = ended.await;
    assert_eq!(ended.unsigned(), None);
    assert_eq!(
        ended.usage(),
        Some(inference::Usage { input_tokens: 3, output_tokens: 4 }.encode_to_vec()),
        "and nothing more"
    );
    ended.keeps_nothing_of(MARKER);
}

#[tokio::test]
async fn a_text_that_a_node_plants_in_its_counters_is_nowhere_at_the_broker() {
    for is_signed in [true, false] {
        let ended = ended_by(move |end| {
            let [input_tokens, output_tokens] = [*b"patient!", *b"is afrai"].map(u64::from_be_bytes);
            (end.said.input_tokens, end.said.output_tokens) = (Some(input_tokens), Some(output_tokens));
            end.put(metadata::USAGE, &inference::Usage { input_tokens, output_tokens }.encode_to_vec());
            if is_signed {
                end.sign();
            }
        });
        let ended = ended.await;
        assert_eq!(ended.unsigned().as_deref(), Some("excessive"));
        assert_eq!((ended.usage(), ended.receipt.get(Field::USAGE)), (None, None));
        assert!(ended.warned()[0].contains("input_tokens"), "{:?}", ended.warned());
    }
}

#[tokio::test]
async fn nothing_that_a_node_sends_at_the_end_makes_the_callers_call_fail() {
    for length in [11_000, 14_000] {
        let ended = ended_by(move |end| end.sign_and_plant(&vec![b'Z'; length / 4 * 3])).await;
        assert_eq!(ended.unsigned().as_deref(), Some("malformed"));
        ended.keeps_nothing_of(&"Z".repeat(32));
    }
    let ended = ended_by(|end| {
        end.sign();
        end.trailers.insert("grpc-message", "Z".repeat(2_000).parse().unwrap());
        end.put("grpc-status-details-bin", &[b'Z'; 4_000]);
    });
    ended.await.keeps_nothing_of(&"Z".repeat(32));
}

#[tokio::test]
async fn a_failure_that_a_node_tells_at_length_is_told_in_short() {
    let world = World::new().await;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "13".parse().unwrap());
    trailers.insert("grpc-message", "Z".repeat(5_000).parse().unwrap());
    trailers.insert("grpc-status-details-bin", "Z".repeat(7_000).parse().unwrap());
    let _node = world.node("a.example", "DE", 1, says(vec![Ok(Frame::trailers(trailers))])).await;
    let (_, trailers) = read(world.ask(in_germany()).await).await;
    assert_eq!(ended(&trailers).0, Code::Internal);
    assert!(!trailers.contains_key("grpc-message") && !trailers.contains_key("grpc-status-details-bin"));
    assert!(trailers.contains_key(metadata::RECEIPT));
}

#[tokio::test]
async fn garbage_another_usage_another_decision_and_another_key_are_not_the_nodes_word() {
    let garbage = ended_by(|end| end.put(metadata::OUTCOME, &[0xff, 0xff])).await;
    let no_base64 = ended_by(|end| drop(end.trailers.insert(metadata::OUTCOME, "*".parse().unwrap()))).await;
    let usage = ended_by(|end| {
        end.said.output_tokens = Some(5);
        end.sign();
    });
    let usage = usage.await;
    let decision = ended_by(|end| {
        end.said.decision_id = vec![9; 16].into();
        end.sign();
    });
    let decision = decision.await;
    let forged = ended_by(|end| {
        let stranger = Arc::new(KeyPair::generate().unwrap());
        let sent = End { key: stranger, said: end.said.clone(), trailers: HeaderMap::new(), declines: false }.signed();
        end.put(metadata::OUTCOME, &sent.encode_to_vec());
    });
    let forged = forged.await;
    let all = [garbage, no_base64, usage, decision, forged];
    let words: Vec<_> = all.iter().map(|ended| ended.unsigned().unwrap()).collect();
    assert_eq!(words, ["malformed", "malformed", "other", "other", "forged"]);
    assert!(all.iter().all(|ended| ended.warned().len() == 1));
    assert!(all[2].warned()[0].contains("another usage"), "{:?}", all[2].warned());
}

#[tokio::test]
async fn an_answer_that_no_node_signed_says_so_and_is_no_alarm() {
    let ended = ended_by(|_| ()).await;
    assert_eq!(ended.unsigned().as_deref(), Some("missing"));
    assert_eq!(ended.warned(), [""; 0]);
}
