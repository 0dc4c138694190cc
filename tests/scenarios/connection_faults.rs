//! A node's connection that fails, in each of the ways in which connections do: what an app is told, and what its receipt says of
//! the tries, is the row of `docs/faults.md`, of real programs as of a broker's flow alone.

use std::time::Duration;

use comity_client::{Connection, Identity};
use comity_proto::error::Detail;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{ChatPayload, ChatStreamRequest, ContentPart, Envelope, Message, Role, content_part};
use comity_proto::policy::{PlaceSet, Requirements};
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::Caller;
use comity_tests::endpoint::{Does, Endpoint, INTERNAL_ERROR, NO_ERROR, Said, data, goaway, head, message, ok, reset};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use serde_json::Value;
use tonic::Status;

/// What is promised, row by row.
const PROMISED: &str = include_str!("../../docs/faults.md");
/// How long an app waits: longer than it takes to give up an address.
const PATIENT: Duration = Duration::from_secs(30);
/// A name that no server of names has (RFC 6761).
const NO_NAME: &str = "node.invalid:443";
/// Where the node is that has the fault, and where the other one is.
const PLACES: [&str; 2] = ["DE", "IE"];

/// What an app gets of one call.
struct Got {
    text: String,
    decision: String,
    /// The offer that answered, if one began to.
    offer: Option<String>,
    failed: Option<Status>,
}

/// A node that has the fault, and is asked first; and another one.
struct Scene {
    _other: Node,
    federation: Federation,
    app: Caller,
    /// Ends after the broker, which may then not say that a connection broke.
    endpoint: Option<Endpoint>,
    _backend: Backend,
}

impl Scene {
    /// The node is at this address, where it has one that is not its own, and does this; nobody is there where it does nothing.
    fn new(advertised: Option<&str>, does: Option<Does>) -> Self {
        let backend = Backend::start(Behaviour::Answer);
        let mut federation = Federation::start();
        for expected in ["a try failed", "a link broke", "a node did not sign what it answered", "an answer broke off"]
        {
            federation.expect_log(expected);
        }
        let [failing, other] = PLACES.map(|place| NodeSpec::openai("n1", &backend.url(), place));
        let mut failing = failing.costing(1);
        if let Some(address) = advertised {
            failing.reached.push_str(&format!("\nadvertise = \"{address}\""));
        }
        let mut failing = federation.node(EU_BODY, &failing);
        let other = federation.node(EU_OWNED, &other.costing(2));
        let app = federation.app(EU_OWNED, "assistant");
        let address = failing.address();
        assert!(failing.program.stop().success());
        let identity = failing.folder.join("data/identity");
        let endpoint = does.map(|does| Endpoint::start(&address, &identity, does));
        Self { _other: other, federation, app, endpoint, _backend: backend }
    }

    /// Asks for an answer that is made in one of these places.
    fn ask(&self, places: &[&str]) -> Got {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let identity = Identity::open(&self.app.identity).unwrap();
            asked(&Connection::open(&identity).unwrap(), places).await
        })
    }

    /// The tries of a decision, by its receipt.
    fn tries(&self, decision: &str) -> String {
        let shown = self.federation.ask(&self.app, &["receipt", "show", decision, "-o", "json"]);
        assert!(shown.status.success(), "{}", said(&shown));
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        let one = |tried: &Value| {
            let node = if tried["offer"].as_str().unwrap().starts_with(EU_BODY.domain) { "it" } else { "other" };
            tried["failed"].as_str().map_or_else(|| node.to_owned(), |failed| format!("{node} ({failed})"))
        };
        shown["tries"].as_array().unwrap().iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// What becomes of a request that either may answer, or the one with the fault alone.
    fn row(&self, name: &str) -> String {
        let seen = [&PLACES[..], &PLACES[..1]].map(|places| {
            self.endpoint.iter().for_each(Endpoint::begin_anew);
            let got = self.ask(places);
            format!("{} | {}", got.told(), self.tries(&got.decision))
        });
        format!("| {name} | {} |", seen.join(" | "))
    }
}

impl Got {
    /// As the table has it.
    fn told(&self) -> String {
        let is_of_other = self.offer.as_ref().is_some_and(|offer| offer.starts_with(EU_OWNED.domain));
        match &self.failed {
            None if is_of_other => "answered: other".to_owned(),
            None => format!("answered: {}", self.text),
            Some(status) => {
                let reason = Detail::of(status).map(|detail| detail.reason).unwrap_or_default();
                let before = if self.text.is_empty() { String::new() } else { format!("\"{}\", then ", self.text) };
                format!("{before}`{:?}` `{reason}`", status.code())
            }
        }
    }
}

async fn asked(connection: &Connection, places: &[&str]) -> Got {
    let part = ContentPart { part: Some(content_part::Part::Text("What is the capital of France?".into())) };
    let question = Message { role: Role::User.into(), content: vec![part], ..Message::default() };
    let places = PlaceSet { places: places.iter().map(ToString::to_string).collect() };
    let requirements = Requirements { allowed_processing_locations: vec![places], ..Requirements::default() };
    let envelope = Envelope {
        model: "test-model".into(),
        purposes: vec!["dpv:CustomerCare".into()],
        requirements: Some(requirements),
        ..Envelope::default()
    };
    let payload = ChatPayload { messages: vec![question], ..ChatPayload::default() };
    let mut request = tonic::Request::new(ChatStreamRequest { envelope: Some(envelope), payload: Some(payload) });
    request.set_timeout(PATIENT);
    let mut got = Got { text: String::new(), decision: String::new(), offer: None, failed: None };
    match InferenceClient::new(connection.channel()).chat_stream(request).await {
        Err(status) => {
            got.decision = Detail::of(&status).unwrap().metadata["decision_id"].clone();
            got.failed = Some(status);
        }
        Ok(answer) => {
            let told = |name| answer.metadata().get(name).map(|value| value.to_str().unwrap().to_owned());
            (got.decision, got.offer) = (told("comity-decision-id").unwrap(), told("comity-offer"));
            let mut answer = answer.into_inner();
            loop {
                match answer.message().await {
                    Ok(Some(piece)) => got.text.push_str(&piece.text),
                    Ok(None) => break,
                    Err(status) => {
                        got.failed = Some(status);
                        break;
                    }
                }
            }
        }
    }
    got
}

/// Holds a row of the table against what happens.
fn is_as_promised(name: &str, scene: &Scene) {
    let happened = scene.row(name);
    assert!(
        PROMISED.lines().any(|line| line == happened),
        "this is what happens; mend it, or docs/faults.md:\n{happened}"
    );
}

fn goes_on(frames: &[Vec<u8>]) -> Said {
    Said { frames: frames.concat(), hangs_up: false }
}

fn hangs_up(frames: &[Vec<u8>]) -> Said {
    Said { frames: frames.concat(), hangs_up: true }
}

fn hello(stream: u32) -> Said {
    goes_on(&[head(stream), data(stream, &message("hello")), ok(stream)])
}

/// An answer that has begun.
fn half(stream: u32) -> Vec<u8> {
    [head(stream), data(stream, &message("half"))].concat()
}

fn saying(says: comity_tests::endpoint::Says) -> Scene {
    Scene::new(None, Some(Does::Says(says)))
}

#[test]
fn an_address_where_nobody_listens_is_passed_over_and_alone_it_is_an_error() {
    is_as_promised("connection refused", &Scene::new(None, None));
}

#[test]
fn a_name_that_nobody_knows_is_passed_over_and_alone_it_is_an_error() {
    is_as_promised("no such name", &Scene::new(Some(NO_NAME), None));
}

#[test]
fn an_address_where_packets_are_dropped_is_given_up_in_time() {
    is_as_promised("packets are dropped: the connection never stands", &Scene::new(None, Some(Does::Drops)));
}

#[test]
fn an_address_that_takes_connections_and_says_nothing_is_given_up_in_time() {
    is_as_promised("black hole: connected, and never a byte", &Scene::new(None, Some(Does::Nothing)));
}

#[test]
fn a_connection_that_is_closed_before_the_first_byte_is_a_failed_try_and_no_answer() {
    is_as_promised("connection closed before the first byte", &saying(|_, _| hangs_up(&[])));
}

#[test]
fn an_answer_that_is_cut_after_its_first_byte_is_an_error_and_is_tried_nowhere_else() {
    let scene = saying(|_, stream| goes_on(&[half(stream), reset(stream, INTERNAL_ERROR)]));
    is_as_promised("answer reset after its first byte", &scene);
}

#[test]
fn a_connection_that_is_left_at_once_is_a_failed_try() {
    let scene = saying(|number, stream| if number == 0 { goes_on(&[goaway(0, NO_ERROR)]) } else { hello(stream) });
    is_as_promised("GOAWAY on a connection that was made for the request, which is not looked at", &scene);
}

#[test]
fn a_connection_that_is_left_under_a_running_answer_carries_it_to_its_end() {
    let scene = saying(|_, stream| {
        let answer = message("hello");
        let (begun, rest) = answer.split_at(8);
        let before = [head(stream), data(stream, begun), goaway(stream, NO_ERROR)];
        goes_on(&[&before[..], &[data(stream, rest), ok(stream)]].concat())
    });
    is_as_promised("GOAWAY in the middle, what runs is finished", &scene);
}

#[test]
fn a_node_that_fails_before_its_first_byte_and_says_so_is_a_failed_try() {
    let scene = saying(|_, stream| hangs_up(&[goaway(stream, INTERNAL_ERROR)]));
    is_as_promised("GOAWAY with an error before the first byte", &scene);
}

#[test]
fn a_node_that_fails_under_a_running_answer_and_says_so_is_an_error() {
    let scene = saying(|_, stream| hangs_up(&[half(stream), goaway(stream, INTERNAL_ERROR)]));
    is_as_promised("GOAWAY with an error in the middle", &scene);
}

#[test]
fn a_connection_that_is_left_when_the_next_request_is_on_its_way_is_replaced_within_the_try() {
    let scene = saying(|number, stream| match number {
        1 => goes_on(&[goaway(stream - 2, NO_ERROR)]),
        _ => hello(stream),
    });
    let first = scene.ask(&PLACES[..1]);
    assert_eq!((first.told(), scene.tries(&first.decision)), ("answered: hello".into(), "it".into()));
    for places in [&PLACES[..1], &PLACES[..]] {
        let next = scene.ask(places);
        assert_eq!((next.told(), scene.tries(&next.decision)), ("answered: hello".into(), "it".into()));
    }
    let rows = PROMISED.lines().find(|line| line.starts_with("| GOAWAY, the request not looked at |"));
    assert_eq!(rows.unwrap().matches("answered: hello | it |").count(), 2);
}
