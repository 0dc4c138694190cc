//! Nothing reaches a backend without a permit and the node's own consent, and what it used is told.

use std::collections::{BTreeSet, HashMap};
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use comity_identity::KeyPair;
use comity_membership::{By, Statement, Subject, TlsKey, offer_digest};
use comity_policy::{Offer, Tables};
use comity_proto::error::Detail;
use comity_proto::inference::content_part::Part;
use comity_proto::{metadata, permit as permit_wire};
use comity_runtime::trailers::{LateTrailers, Trailers};
use comity_transparency::Signer as _;
use comity_transparency::leaf::{Epoch, Kind};
use comity_types::{Clock, Digest, SpiffeId, Timestamp, TrustDomain};
use futures::StreamExt as _;
use prost::Message as _;
use tokio::sync::oneshot;
use tonic::Code;
use tonic::metadata::MetadataValue;

use super::*;
use crate::backend::{Backend, Fault, Model, Pieces};
use crate::config::Config;
use crate::guard::{LogHistory, Seen};
use crate::replica::EPOCH_TOLERANCE;
use crate::replica::Replica;
use crate::testing::{Decided, History, Permits, facts};
use comity_proto::metadata::OUTCOME_CONTEXT;

mod payloads;
mod places;
mod quotas;
mod veto;

const NODE: &str = "spiffe://org-a.example/node/n1";
const APP: &str = "spiffe://org-b.example/app/a1";
const USAGE: wire::Usage = wire::Usage { input_tokens: 3, output_tokens: 2 };
/// A forwarded answer, in pieces.
const FORWARDED: [&str; 3] = [r#"{"choices":[],"usa"#, r#"ge":{"prompt_tokens":3,"#, r#""completion_tokens":2}}"#];
const NODE_TOML: &str = r#"
[node]
listen = "127.0.0.1:0"
data_dir = "data"
[backends.server]
kind = "openai"
url = "http://127.0.0.1:9"
[terms.standard]
retention = []
training_use = "never"
allowed_purposes = ["dpv:Purpose"]
caller_rules = { served = ["DE"] }
[[offers]]
id = "chat"
model = "test-model"
backend = "server"
capabilities = ["chat", "embed", "forward"]
processing_locations = ["DE"]
sub_processors = []
licence = "Apache-2.0"
terms = "standard"
"#;

/// Longer than any deadline of these tests: what has not ended then would never end.
const TOO_LONG: Duration = Duration::from_secs(60);

async fn in_time<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(TOO_LONG, work).await.expect("it would not have ended")
}

fn now() -> Timestamp {
    "2026-11-22T09:00:00Z".parse().unwrap()
}

/// Stands still until it is moved.
#[derive(Debug, Default)]
struct Still(Mutex<Duration>);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        now().plus(*self.0.lock().unwrap())
    }
}

/// Counts what it is asked, and answers as it is told to; a call that is dropped is told of.
#[derive(Debug, Default)]
struct Fake {
    asked: Mutex<Vec<String>>,
    fault: Mutex<Option<Fault>>,
    dropped: Mutex<Option<oneshot::Sender<()>>>,
}

struct Told(Option<oneshot::Sender<()>>);

impl Drop for Told {
    fn drop(&mut self) {
        if let Some(told) = self.0.take() {
            told.send(()).unwrap();
        }
    }
}

impl Fake {
    fn take(&self, model: &str) -> Result<(), Fault> {
        self.asked.lock().unwrap().push(model.to_owned());
        self.fault.lock().unwrap().take().map_or(Ok(()), Err)
    }
}

#[async_trait]
impl Backend for Fake {
    async fn chat(&self, model: &str, _: wire::ChatPayload) -> Result<wire::ChatResponse, Fault> {
        self.take(model)?;
        let dropped = self.dropped.lock().unwrap().take();
        if dropped.is_some() {
            let _told = Told(dropped);
            std::future::pending::<()>().await;
        }
        Ok(wire::ChatResponse { usage: Some(USAGE), ..Default::default() })
    }

    async fn chat_stream(&self, model: &str, _: wire::ChatPayload) -> Result<Pieces<wire::ChatStreamResponse>, Fault> {
        self.take(model)?;
        let dropped = self.dropped.lock().unwrap().take();
        let first = wire::ChatStreamResponse { text: "Hel".into(), ..Default::default() };
        let last = wire::ChatStreamResponse { usage: Some(USAGE), ..Default::default() };
        Ok(async_stream::stream! {
            yield Ok(first);
            if dropped.is_some() {
                let _told = Told(dropped);
                std::future::pending::<()>().await;
            }
            yield Ok(last);
        }
        .boxed())
    }

    async fn embed(&self, model: &str, _: wire::EmbedPayload) -> Result<wire::EmbedResponse, Fault> {
        self.take(model).map(|()| wire::EmbedResponse::default())
    }

    async fn forward(&self, model: &str, _: wire::ForwardPayload) -> Result<Pieces<wire::ForwardResponse>, Fault> {
        let piece = |body: &&'static str| Ok(wire::ForwardResponse { body: (*body).into(), ..Default::default() });
        self.take(model).map(|()| futures::stream::iter(FORWARDED.iter().map(piece).collect::<Vec<_>>()).boxed())
    }

    async fn models(&self) -> Result<Vec<Model>, Fault> {
        Ok(Vec::new())
    }

    fn capabilities(&self) -> BTreeSet<Capability> {
        BTreeSet::from([Capability::Chat])
    }
}

struct World {
    permits: Permits,
    key: Arc<KeyPair>,
    shown: LogHistory,
    clock: Arc<Still>,
    replica: Replica,
    history: History,
    fake: Arc<Fake>,
    offer: Offer,
    server: Server,
    _dir: tempfile::TempDir,
}

fn world() -> World {
    world_of(NODE_TOML)
}

fn world_of(config: &str) -> World {
    let (permits, key) = (Permits::new(), Arc::new(KeyPair::generate().unwrap()));
    let node: SpiffeId = NODE.parse().unwrap();
    let planned = Config::parse(config).unwrap().plan(&node, Tables::builtin().unwrap()).unwrap().remove(0);
    let (fake, offer) = (Arc::new(Fake::default()), planned.offer);
    let digests = HashMap::from([(offer.name(), offer_digest(&offer))]);
    let clock = Arc::new(Still::default());
    // Nothing is written there, unless the log contradicts itself.
    let shown = permits.history("/nowhere/evidence".into(), None);
    let dir = tempfile::tempdir().unwrap();
    let seen = Seen::open(dir.path(), now()).unwrap();
    let guard = Guard::new(node, (permits.log(), shown.clone()), digests, seen, clock.clone());
    let route = Route {
        offer: offer.clone(),
        backend: fake.clone(),
        backend_model: "own-name".to_owned(),
        places: Places::new(planned.max_in_flight),
    };
    let federation = crate::testing::World::at("127.0.0.1:1");
    let history = federation.history_at(now());
    let replica = federation.replica(clock.clone());
    let signer = OutcomeSigner { key: Arc::clone(&key), replica: replica.clone(), clock: clock.clone() };
    let tables = comity_runtime::tables::load(None).unwrap();
    let server = Server::new(guard, std::iter::once(route).collect(), tables, signer);
    World { permits, shown, key, clock, replica, history, fake, offer, server, _dir: dir }
}

/// What a log says, after its founding.
#[derive(Clone)]
enum Said {
    /// An organisation is admitted, with its first member.
    Admitted(&'static str, String, &'static str),
    /// Another member of `org-b.example` is.
    Member(String),
    /// Somebody is suspended.
    Suspended(Subject),
    /// Whatever else is said, and by whom.
    Signed(Box<Statement>, &'static str),
}

impl Said {
    fn to(self, history: &mut History) {
        match self {
            Self::Admitted(domain, seat, member) => drop(history.admit(facts(domain, &seat), member)),
            Self::Member(id) => {
                let (key, tls_key) = (history.key(&id), TlsKey::Admitted);
                let admitted = Statement::MemberAdmitted { id: id.parse().unwrap(), key, tls_key, invite: None };
                history.say(admitted, &["org-b.example", &id]);
            }
            Self::Suspended(subject) => {
                let suspended = Statement::Suspended { subject, reason: "x".into(), by: By::Federation };
                history.say(suspended, &["alice"]);
            }
            Self::Signed(statement, by) => drop(history.say(*statement, &[by])),
        }
    }
}

/// The caller's organisation, with its seat, and the node's: at epoch 3 both are members.
fn statements(seat: &str) -> Vec<Said> {
    vec![Said::Admitted("org-b.example", seat.to_owned(), APP), Said::Admitted("org-a.example", "DE".to_owned(), NODE)]
}

fn envelope() -> wire::Envelope {
    wire::Envelope { model: "test-model".into(), purposes: vec!["dpv:CustomerCare".into()], ..Default::default() }
}

fn payload() -> wire::ChatPayload {
    let content = vec![wire::ContentPart { part: Some(Part::Text("a secret prompt".into())) }];
    let message = wire::Message { role: wire::Role::User.into(), content, ..Default::default() };
    wire::ChatPayload { messages: vec![message], ..Default::default() }
}

impl World {
    /// So much later; meanwhile, what permits came with turned out to be published.
    fn comes_to(&self, later: Duration) {
        self.shown.held(self.shown.waiting());
        *self.clock.0.lock().unwrap() = later;
    }

    /// The node has heard all this.
    fn knowing(mut self, said: Vec<Said>) -> Self {
        said.into_iter().for_each(|said| said.to(&mut self.history));
        self.history.all().iter().for_each(|part| self.replica.take(part).unwrap());
        self
    }

    /// The broker says that nothing has changed: what the node knows is fresh again.
    fn hears_of_the_broker(&self) {
        let epoch = self.replica.federation().epoch();
        self.replica.take(&self.history.checkpoint(epoch)).unwrap();
    }

    fn request<T>(&self, method: Method, message: T) -> Request<T> {
        self.request_of(APP, 1, method, message)
    }

    /// Such a request of `caller`, one of many, decided at the newest epoch; it has to be 3 at least.
    fn request_of<T>(&self, caller: &str, number: u32, method: Method, message: T) -> Request<T> {
        let newest = self.replica.federation().epoch().max(3);
        self.request_at(self.history.epoch(newest), caller, number, method, message)
    }

    /// Such a request, decided at this epoch.
    fn request_at<T>(&self, epoch: Epoch, caller: &str, number: u32, method: Method, message: T) -> Request<T> {
        self.request_with(&envelope(), epoch, caller, number, method, message)
    }

    /// Such a request, with this envelope.
    fn request_with<T>(
        &self,
        envelope: &wire::Envelope,
        epoch: Epoch,
        caller: &str,
        number: u32,
        method: Method,
        message: T,
    ) -> Request<T> {
        self.permitted(&self.decided(envelope, epoch, caller, number, method), message)
    }

    /// The first try of such a decision.
    fn decided(&self, envelope: &wire::Envelope, epoch: Epoch, caller: &str, number: u32, method: Method) -> Decided {
        Decided {
            kind: Kind::Decision,
            id: u8::try_from(number).unwrap(),
            at: self.clock.now(),
            epoch,
            caller: caller.into(),
            method: method.name().into(),
            envelope: Digest::of(&envelope.encode_to_vec()),
            offer: self.offer.name().to_string(),
            offer_sha256: offer_digest(&self.offer),
            life: Duration::from_secs(60),
            attempt: 1,
            besides: None,
        }
    }

    fn permitted<T>(&self, decided: &Decided, message: T) -> Request<T> {
        let permit = self.permits.permit(decided).encode_to_vec();
        let mut request = Request::new(message);
        request.metadata_mut().insert_bin(metadata::PERMIT, MetadataValue::from_bytes(&permit));
        request
    }

    fn chat_request(&self) -> Request<wire::ChatRequest> {
        self.request(Method::Chat, wire::ChatRequest { envelope: Some(envelope()), payload: Some(payload()) })
    }

    fn stream_request(&self) -> Request<wire::ChatStreamRequest> {
        self.request(
            Method::ChatStream,
            wire::ChatStreamRequest { envelope: Some(envelope()), payload: Some(payload()) },
        )
    }

    async fn refused(&self, request: Request<wire::ChatRequest>) -> (Code, String) {
        let status = self.server.chat(request).await.unwrap_err();
        assert!(self.fake.asked.lock().unwrap().is_empty(), "the backend was asked all the same: {status:?}");
        (status.code(), Detail::of(&status).unwrap().reason)
    }
}

fn reason(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}

/// What the node signed of a request, if the signature is the node's.
fn signed(world: &World, metadata: &tonic::metadata::MetadataMap) -> permit_wire::Outcome {
    let signed = metadata.get_bin(metadata::OUTCOME).expect("the node signed nothing").to_bytes().unwrap();
    let permit_wire::NodeOutcome { outcome, signature } = permit_wire::NodeOutcome::decode(signed).unwrap();
    let message = [OUTCOME_CONTEXT, &outcome].concat();
    assert!(world.key.public_key().unwrap().verifies(&message, &signature));
    permit_wire::Outcome::decode(outcome).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_node_signs_what_became_of_a_request_and_how_old_its_state_was() {
    let world = world().knowing(statements("DE"));
    let mut answer = world.server.chat(world.chat_request()).await.unwrap();
    let trailers = answer.extensions_mut().remove::<Trailers>().unwrap().0;
    let outcome = signed(&world, &tonic::metadata::MetadataMap::from_headers(trailers));
    assert_eq!((outcome.decision_index, outcome.attempt, outcome.status), (2, 1, 0));
    assert_eq!((outcome.input_tokens, outcome.output_tokens, outcome.epoch), (Some(3), Some(2), 3));
    assert_eq!((outcome.offer, outcome.state_age_ms), (world.offer.name().to_string(), 0));
    *world.fake.fault.lock().unwrap() = Some(Fault::Unreachable);
    let failed = world.server.chat(world.request_of(APP, 2, Method::Chat, chat_message())).await.unwrap_err();
    let outcome = signed(&world, failed.metadata());
    assert_eq!((outcome.status, outcome.input_tokens), (i32::from(failed.code()), None));
    // Nothing is heard for a while, and then again.
    world.comes_to(Duration::from_secs(42));
    let mut answer = world.server.chat(world.request_of(APP, 3, Method::Chat, chat_message())).await.unwrap();
    let trailers = answer.extensions_mut().remove::<Trailers>().unwrap().0;
    let outcome = signed(&world, &tonic::metadata::MetadataMap::from_headers(trailers));
    assert_eq!(outcome.state_age_ms, 42_000);
    world.hears_of_the_broker();
    *world.fake.fault.lock().unwrap() = Some(Fault::Unreachable);
    let failed = world.server.chat(world.request_of(APP, 4, Method::Chat, chat_message())).await.unwrap_err();
    assert_eq!(signed(&world, failed.metadata()).state_age_ms, 0);
}

#[tokio::test(start_paused = true)]
async fn what_a_node_signs_names_the_state_that_let_the_request_in_however_long_it_runs() {
    let mut world = world().knowing(statements("DE"));
    let (told, dropped) = oneshot::channel();
    *world.fake.dropped.lock().unwrap() = Some(told);
    let mut request = world.stream_request();
    request.set_timeout(Duration::from_secs(5));
    let mut pieces = world.server.chat_stream(request).await.unwrap().into_inner();
    assert_eq!(pieces.next().await.unwrap().unwrap().text, "Hel");
    Said::Member("spiffe://org-b.example/app/a2".into()).to(&mut world.history);
    for part in [world.history.entry(4), world.history.checkpoint(4)] {
        world.replica.take(&part).unwrap();
    }
    world.comes_to(Duration::from_secs(60));
    let late = in_time(pieces.next()).await.unwrap().unwrap_err();
    let outcome = signed(&world, late.metadata());
    assert_eq!((outcome.epoch, outcome.state_age_ms, world.replica.federation().epoch()), (3, 0, 4));
    drop((pieces, dropped));
}

#[tokio::test]
async fn a_permitted_request_runs_on_the_offers_own_model_and_says_what_it_used() {
    let world = world().knowing(statements("DE"));
    let mut answer = world.server.chat(world.chat_request()).await.unwrap();
    assert_eq!(*world.fake.asked.lock().unwrap(), ["own-name"]);
    let trailers = answer.extensions_mut().remove::<Trailers>().unwrap().0;
    let metadata = tonic::metadata::MetadataMap::from_headers(trailers);
    let usage = metadata.get_bin(metadata::USAGE).unwrap().to_bytes().unwrap();
    assert_eq!(wire::Usage::decode(usage).unwrap(), USAGE);
}

#[tokio::test]
async fn a_stream_says_what_it_used_once_it_has_ended() {
    let world = world().knowing(statements("DE"));
    let mut answer = world.server.chat_stream(world.stream_request()).await.unwrap();
    assert!(answer.extensions_mut().remove::<LateTrailers>().is_some());
    let pieces: Vec<_> = answer.into_inner().map(Result::unwrap).collect().await;
    assert_eq!((pieces[0].text.as_str(), pieces[1].usage), ("Hel", Some(USAGE)));
}

#[tokio::test]
async fn without_a_permit_for_exactly_it_nothing_runs() {
    let world = world().knowing(statements("DE"));
    let bare = Request::new(wire::ChatRequest { envelope: Some(envelope()), payload: Some(payload()) });
    assert_eq!(world.refused(bare).await, reason(Code::PermissionDenied, "PERMIT_MISSING"));
    let mut other = world.chat_request();
    other.get_mut().envelope = Some(wire::Envelope { model: "another".into(), ..envelope() });
    assert_eq!(world.refused(other).await, reason(Code::PermissionDenied, "PERMIT_OTHER_ENVELOPE"));
    let other = world.request(Method::Embed, world.chat_request().into_inner());
    assert_eq!(world.refused(other).await, reason(Code::PermissionDenied, "PERMIT_OTHER_METHOD"));
}

/// Which try it is stands in no leaf, and three are let in: one of them is answered.
#[tokio::test]
async fn a_decision_that_was_answered_runs_in_no_other_try() {
    let world = world().knowing(statements("DE"));
    let tried = |attempt| {
        let epoch = world.history.epoch(world.replica.federation().epoch().max(3));
        let decided = Decided { attempt, ..world.decided(&envelope(), epoch, APP, 1, Method::Chat) };
        world.permitted(&decided, wire::ChatRequest { envelope: Some(envelope()), payload: Some(payload()) })
    };
    world.server.chat(tried(1)).await.unwrap();
    for attempt in [2, 3] {
        let again = world.server.chat(tried(attempt)).await.unwrap_err();
        assert_eq!(Detail::of(&again).unwrap().reason, "PERMIT_REPLAYED", "{again}");
    }
    assert_eq!(world.fake.asked.lock().unwrap().len(), 1);
}

/// Such tries of one decision, to stream.
fn streamed(world: &World, attempt: u32) -> Request<wire::ChatStreamRequest> {
    let epoch = world.history.epoch(world.replica.federation().epoch().max(3));
    let decided = Decided { attempt, ..world.decided(&envelope(), epoch, APP, 1, Method::ChatStream) };
    world.permitted(&decided, wire::ChatStreamRequest { envelope: Some(envelope()), payload: Some(payload()) })
}

#[tokio::test]
async fn a_decision_of_whose_answer_the_first_piece_was_handed_over_runs_in_no_other_try() {
    let world = world().knowing(statements("DE"));
    // A try of which nothing was handed over may be followed by another.
    drop(world.server.chat_stream(streamed(&world, 1)).await.unwrap());
    let mut pieces = world.server.chat_stream(streamed(&world, 2)).await.unwrap().into_inner();
    assert_eq!(pieces.next().await.unwrap().unwrap().text, "Hel");
    // Before the trailers, and the node's signature in them.
    drop(pieces);
    let again = world.server.chat_stream(streamed(&world, 3)).await.map(drop).unwrap_err();
    assert_eq!(Detail::of(&again).unwrap().reason, "PERMIT_REPLAYED", "{again}");
    assert_eq!(world.fake.asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn of_tries_of_one_decision_at_the_same_time_one_is_answered() {
    let world = world().knowing(statements("DE"));
    let mut first = world.server.chat_stream(streamed(&world, 1)).await.unwrap().into_inner();
    let mut second = world.server.chat_stream(streamed(&world, 2)).await.unwrap().into_inner();
    assert_eq!(second.next().await.unwrap().unwrap().text, "Hel");
    let refused = first.next().await.unwrap().unwrap_err();
    assert_eq!(Detail::of(&refused).unwrap().reason, "PERMIT_REPLAYED", "{refused}");
    assert!(refused.metadata().get_bin(metadata::OUTCOME).is_none() && first.next().await.is_none());
    assert_eq!(second.next().await.unwrap().unwrap().usage, Some(USAGE));
}

#[tokio::test]
async fn nothing_is_handed_over_or_signed_where_it_cannot_be_kept_that_the_decision_is_answered() {
    let world = world().knowing(statements("DE"));
    let mut pieces = world.server.chat_stream(streamed(&world, 1)).await.unwrap().into_inner();
    world.server.parts.guard.fill_disk();
    let unkept = pieces.next().await.unwrap().unwrap_err();
    assert_eq!((unkept.code(), Detail::of(&unkept).unwrap().reason), reason(Code::Unavailable, "PERMITS_UNKEPT"));
    assert!(unkept.metadata().get_bin(metadata::OUTCOME).is_none() && pieces.next().await.is_none());
}

#[tokio::test]
async fn a_permit_runs_once() {
    let world = world().knowing(statements("DE"));
    world.server.chat(world.chat_request()).await.unwrap();
    let again = world.server.chat(world.chat_request()).await.unwrap_err();
    assert_eq!(Detail::of(&again).unwrap().reason, "PERMIT_REPLAYED");
    assert_eq!(world.fake.asked.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_suspended_caller_is_refused_even_with_a_permit_from_before() {
    let suspended = Said::Suspended(Subject::Member(APP.parse().unwrap()));
    let world = world().knowing([statements("DE"), vec![suspended]].concat());
    assert_eq!(world.refused(world.chat_request()).await, reason(Code::PermissionDenied, "NODE_VETO"));
}

#[tokio::test]
async fn what_was_decided_by_another_federation_than_the_one_that_the_node_follows_is_refused() {
    let world = world().knowing(statements("DE"));
    let other = Epoch { root: Digest::of(b"fork"), ..world.history.epoch(3) };
    let message = wire::ChatRequest { envelope: Some(envelope()), payload: Some(payload()) };
    let request = world.request_at(other, APP, 1, Method::Chat, message);
    assert_eq!(world.refused(request).await, reason(Code::PermissionDenied, "PERMIT_OTHER_FEDERATION"));
}

#[tokio::test]
async fn what_was_decided_by_a_state_that_has_been_over_for_a_while_is_refused() {
    let newer = Said::Member("spiffe://org-b.example/app/a2".into());
    let world = world().knowing([statements("DE"), vec![newer]].concat());
    let chat = |epoch, number| {
        let message = wire::ChatRequest { envelope: Some(envelope()), payload: Some(payload()) };
        world.request_at(epoch, APP, number, Method::Chat, message)
    };
    let [old, newest] = [3, 4].map(|epoch| world.history.epoch(epoch));
    assert!(world.server.chat(chat(old, 1)).await.is_ok());
    world.comes_to(EPOCH_TOLERANCE);
    assert!(world.server.chat(chat(old, 2)).await.is_ok());
    world.comes_to(EPOCH_TOLERANCE + Duration::from_millis(1));
    world.fake.asked.lock().unwrap().clear();
    assert_eq!(world.refused(chat(old, 3)).await, reason(Code::PermissionDenied, "PERMIT_OLD_EPOCH"));
    assert!(world.server.chat(chat(newest, 4)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_node_that_does_not_know_the_epoch_of_the_decision_is_unavailable() {
    let world = world().knowing(statements("DE").into_iter().take(1).collect());
    assert_eq!(world.refused(world.chat_request()).await, reason(Code::Unavailable, "REPLICA_BEHIND"));
}

#[tokio::test]
async fn a_payload_out_of_bounds_never_reaches_the_backend() {
    let world = world().knowing(statements("DE"));
    let mut empty = world.chat_request();
    empty.get_mut().payload = None;
    assert_eq!(world.refused(empty).await, reason(Code::InvalidArgument, "PAYLOAD_INVALID"));
}

#[tokio::test]
async fn a_payload_that_asks_for_more_than_its_envelope_says_never_reaches_the_backend() {
    let world = world().knowing(statements("DE"));
    let envelope = wire::Envelope { max_output_tokens: Some(16), ..envelope() };
    for (number, max_output_tokens) in (1..).zip([None, Some(17)]) {
        let payload = Some(wire::ChatPayload { max_output_tokens, ..payload() });
        let message = wire::ChatRequest { envelope: Some(envelope.clone()), payload };
        let request = world.request_with(&envelope, world.history.epoch(3), APP, number, Method::Chat, message);
        assert_eq!(world.refused(request).await, reason(Code::InvalidArgument, "PAYLOAD_INVALID"));
    }
}

#[tokio::test]
async fn what_a_broker_says_that_does_not_fit_is_not_served_upon() {
    let world = world().knowing(statements("DE").into_iter().take(1).collect());
    let mut longer = crate::testing::World::at("127.0.0.1:1").history_at(now());
    statements("DE").into_iter().for_each(|said| said.to(&mut longer));
    world.replica.take(&longer.entry(3)).unwrap_err();
    let mut request = world.chat_request();
    request.set_timeout(Duration::from_millis(50));
    assert_eq!(world.refused(request).await, reason(Code::Unavailable, "REPLICA_BEHIND"));
}

#[tokio::test]
async fn a_fault_of_the_backend_is_a_typed_error() {
    let world = world().knowing(statements("DE"));
    *world.fake.fault.lock().unwrap() = Some(Fault::RateLimited { retry_after_seconds: Some(7) });
    let status = world.server.chat(world.chat_request()).await.unwrap_err();
    let detail = Detail::of(&status).unwrap();
    assert_eq!((status.code(), detail.reason.as_str()), (Code::ResourceExhausted, "BACKEND_RATE_LIMITED"));
    assert_eq!(detail.metadata["retry_after_seconds"], "7");
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_call_and_the_backends_work() {
    let world = world().knowing(statements("DE"));
    let (told, dropped) = oneshot::channel();
    *world.fake.dropped.lock().unwrap() = Some(told);
    let mut request = world.chat_request();
    request.set_timeout(Duration::from_secs(5));
    let answer = in_time(world.server.chat(request)).await;
    assert_eq!(answer.unwrap_err().code(), Code::DeadlineExceeded);
    in_time(dropped).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_a_stream_in_the_middle() {
    let world = world().knowing(statements("DE"));
    let (told, dropped) = oneshot::channel();
    *world.fake.dropped.lock().unwrap() = Some(told);
    let mut request = world.stream_request();
    request.set_timeout(Duration::from_secs(5));
    let mut pieces = world.server.chat_stream(request).await.unwrap().into_inner();
    assert_eq!(pieces.next().await.unwrap().unwrap().text, "Hel");
    let last = in_time(pieces.next()).await.unwrap();
    assert_eq!(last.unwrap_err().code(), Code::DeadlineExceeded);
    drop(pieces);
    in_time(dropped).await.unwrap();
}

#[tokio::test]
async fn a_caller_that_leaves_a_stream_ends_the_backends_work() {
    let world = world().knowing(statements("DE"));
    let (told, dropped) = oneshot::channel();
    *world.fake.dropped.lock().unwrap() = Some(told);
    let mut pieces = world.server.chat_stream(world.stream_request()).await.unwrap().into_inner();
    assert_eq!(pieces.next().await.unwrap().unwrap().text, "Hel");
    {
        let mut second = std::pin::pin!(pieces.next());
        assert!(futures::poll!(&mut second).is_pending());
    }
    drop(pieces);
    in_time(dropped).await.unwrap();
}

#[test]
fn a_request_without_a_verified_peer_is_no_brokers() {
    let gate = broker_only("spiffe://federation.example/broker/b1".parse().unwrap());
    let status = gate(Request::new(())).unwrap_err();
    assert_eq!(Detail::of(&status).unwrap().reason, "NOT_A_BROKER");
}

#[tokio::test]
async fn a_node_that_has_not_heard_of_the_federation_for_too_long_serves_nobody_until_it_does() {
    let world = world().knowing(statements("DE"));
    world.comes_to(Duration::from_secs(16 * 60));
    assert_eq!(world.refused(world.chat_request()).await, reason(Code::Unavailable, "REPLICA_STALE"));
    world.hears_of_the_broker();
    world.server.chat(world.request_of(APP, 2, Method::Chat, chat_message())).await.unwrap();
}

/// Why a request was refused, with the class that it was refused for.
async fn stale_class(world: &World, request: Request<wire::ChatRequest>) -> (String, String) {
    let detail = Detail::of(&world.server.chat(request).await.unwrap_err()).unwrap();
    (detail.reason, detail.metadata["class"].clone())
}

#[tokio::test]
async fn a_caller_that_was_served_goes_on_for_longer_than_one_that_comes_anew() {
    let stale = |class: &str| ("REPLICA_STALE".to_owned(), class.to_owned());
    let (known, unknown) = (world().knowing(statements("DE")), world().knowing(statements("DE")));
    known.server.chat(known.chat_request()).await.unwrap();
    for world in [&known, &unknown] {
        world.comes_to(Duration::from_secs(61));
    }
    let again = |world: &World| world.request_of(APP, 2, Method::Chat, chat_message());
    known.server.chat(again(&known)).await.unwrap();
    assert_eq!(stale_class(&unknown, again(&unknown)).await, stale("new_callers"));
    known.comes_to(Duration::from_secs(16 * 60));
    assert_eq!(stale_class(&known, known.request_of(APP, 3, Method::Chat, chat_message())).await, stale("all"));
    unknown.hears_of_the_broker();
    unknown.server.chat(unknown.request_of(APP, 3, Method::Chat, chat_message())).await.unwrap();
}

#[tokio::test]
async fn what_is_run_is_counted_by_offer_and_tokens() {
    let world = world().knowing(statements("DE"));
    world.server.chat(world.chat_request()).await.unwrap();
    let again = world.request_of(APP, 2, Method::ChatStream, world.stream_request().into_inner());
    let stream = world.server.chat_stream(again).await;
    let answered = match stream {
        Ok(stream) => stream.into_inner().map(Result::unwrap).count().await,
        Err(status) => panic!("{status}"),
    };
    assert!(answered > 0);
    let text = world.server.metrics().encoded();
    for line in [
        format!("comity_node_tokens_total{{direction=\"output\"}} {}", 2 * USAGE.output_tokens),
        "comity_node_backend_up{offer=\"chat\"} 1".to_owned(),
        "comity_node_backend_first_answer_seconds_count{offer=\"chat\"} 2".to_owned(),
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is missing in {text}");
    }
}

fn chat_message() -> wire::ChatRequest {
    wire::ChatRequest { envelope: Some(envelope()), payload: Some(payload()) }
}
