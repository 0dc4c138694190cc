//! Rotation without a dropped request: every identity rolls, again and again, under hundreds of calls in flight.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use comity_client::connection::Channel;
use comity_client::{Connection, Identity, enrol};
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{
    ChatPayload, ChatRequest, ChatStreamRequest, ContentPart, Envelope, Message, Role, content_part,
};
use comity_tests::backend::{Backend, Behaviour, PIECES};
use comity_tests::clients::comity;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node};
use comity_tests::node::NodeSpec;
use comity_tests::program::{run, said};
use comity_tests::wait;
use comity_types::Digest;

/// The life of every certificate of a program: rolled at half of it, or an eighth later. A connection that is made just
/// before has three eighths left, is left after half of that, and what runs on it has the other half: 3 s, while a
/// stream of the backend takes half of them.
const LEAF_SECONDS: u32 = 16;
/// Between two rolls of apps, which are rolled by hand, one after the other.
const ROLL_EVERY: Duration = Duration::from_millis(250);
/// Apps, each with one connection.
const APPS: usize = 6;
/// Calls that each app has in flight, all the time: half of them streams.
const CALLS_OF_AN_APP: usize = 40;
/// How often the broker and each node are to roll before it is enough.
const ROLLS: usize = 2;

#[test]
fn certificates_and_an_authority_roll_under_hundreds_of_calls_and_none_fails_and_no_stream_is_cut() {
    let backend = Backend::start(Behaviour::Brisk);
    let federation = short_lived();
    let nodes: Vec<Node> = [(EU_BODY, "n1"), (EU_BODY, "n2"), (EU_OWNED, "n1")]
        .map(|(organisation, name)| federation.node(organisation, &NodeSpec::openai(name, &backend.url(), "DE")))
        .into();
    let apps: Vec<_> = (0..APPS).map(|index| federation.app(EU_OWNED, &format!("a{index}"))).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let load = Arc::<Load>::default();
    let identities: Vec<Identity> = apps.iter().map(|app| Identity::open(&app.identity).unwrap()).collect();
    let callers: Vec<_> = identities.iter().flat_map(|identity| callers(&runtime, identity, &load)).collect();
    let roller = runtime.spawn(roll(identities, Arc::clone(&load)));
    // Half of the nodes are of an organisation whose authority gets a new key meanwhile,
    roll_authority(&federation);
    let mut seen = vec![HashSet::new(); nodes.len()];
    wait::until("every node has rolled", || {
        for (node, seen) in nodes.iter().zip(&mut seen) {
            seen.insert(Digest::of(&std::fs::read(node.folder.join("data/identity/cert.pem")).unwrap_or_default()));
        }
        let rolled = seen.iter().all(|seen| seen.len() > ROLLS) && broker_rolls(&federation) >= ROLLS;
        (rolled || load.has_failed()).then_some(())
    });
    // and loses the old one.
    roll_authority(&federation);
    assert_eq!(anchors(&federation), 1);
    wait::until("calls go on by the new authority alone", || {
        let enough = load.answers.load(Ordering::SeqCst) > 500 && load.streams.load(Ordering::SeqCst) > 500;
        (enough || load.has_failed()).then_some(())
    });
    load.over.store(true, Ordering::SeqCst);
    runtime.block_on(async {
        roller.await.unwrap();
        for caller in callers {
            caller.await.unwrap();
        }
    });
    let [answers, streams, most, rolls] =
        [&load.answers, &load.streams, &load.most, &load.rolls].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(*load.failures.lock().unwrap(), Vec::<String>::new(), "after {answers} answers and {streams} streams");
    assert!(most >= 200, "only {most} calls were in flight");
    assert!(answers > 500 && streams > 500, "{answers} answers, {streams} streams");
    assert!(rolls > 20, "{rolls} rolls of apps");
}

/// A federation whose certificates last for seconds.
fn short_lived() -> Federation {
    let mut federation = Federation::found();
    let config = federation.broker_config();
    let leaf = ["broker", "node", "app", "operator"].map(|kind| format!("{kind} = \"{LEAF_SECONDS}s\"\n")).concat();
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, format!("{text}\n[leaf]\ndanger_short = true\n{leaf}")).unwrap();
    federation.start_broker();
    federation
}

/// The organisation signs what is due for its hosted authority, as soon as it may.
fn roll_authority(federation: &Federation) {
    let signer = federation.organisation_dir(EU_BODY.domain).unwrap();
    wait::until("the authority rolls", || {
        let roll = run(comity().arg("--identity").arg(&signer).args(["organisation", "anchors", "roll"]));
        let waits = said(&roll).contains("ANCHORS_ROLLING");
        assert!(waits || roll.status.success(), "{}", said(&roll));
        roll.status.success().then_some(())
    });
}

fn anchors(federation: &Federation) -> usize {
    let signer = federation.organisation_dir(EU_BODY.domain).unwrap();
    let listed = federation.say_as(&signer, &["organisation", "anchors", "list", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    listed["sha256"].as_array().unwrap().len()
}

fn broker_rolls(federation: &Federation) -> usize {
    federation.broker.as_ref().unwrap().log().matches("renewed the broker's certificate").count()
}

/// What the callers did, and what became of it.
#[derive(Debug, Default)]
struct Load {
    over: AtomicBool,
    in_flight: AtomicUsize,
    most: AtomicUsize,
    answers: AtomicUsize,
    streams: AtomicUsize,
    rolls: AtomicUsize,
    failures: std::sync::Mutex<Vec<String>>,
}

impl Load {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn has_failed(&self) -> bool {
        !self.failures.lock().unwrap().is_empty()
    }

    fn fail(&self, what: String) {
        self.failures.lock().unwrap().push(what);
    }

    fn begin(&self) {
        let now = self.in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
    }

    fn end(&self, count: &AtomicUsize, outcome: Result<(), String>) {
        self.in_flight.fetch_sub(1, Ordering::SeqCst);
        match outcome {
            Ok(()) => drop(count.fetch_add(1, Ordering::SeqCst)),
            Err(why) => self.fail(why),
        }
    }
}

/// Calls over one connection, one after another, as many at once as [`CALLS_OF_AN_APP`].
fn callers(
    runtime: &tokio::runtime::Runtime,
    identity: &Identity,
    load: &Arc<Load>,
) -> Vec<tokio::task::JoinHandle<()>> {
    let connection = {
        let _inside = runtime.enter();
        Connection::open(identity).unwrap()
    };
    let caller = |index: usize| {
        let (client, load) = (InferenceClient::new(connection.channel()), Arc::clone(load));
        runtime.spawn(async move {
            while !load.is_over() {
                load.begin();
                if index.is_multiple_of(2) {
                    load.end(&load.streams, stream(client.clone()).await);
                } else {
                    load.end(&load.answers, answer(client.clone()).await);
                }
            }
        })
    };
    (0..CALLS_OF_AN_APP).map(caller).collect()
}

async fn answer(mut client: InferenceClient<Channel>) -> Result<(), String> {
    let request = ChatRequest { envelope: Some(envelope()), payload: Some(payload()) };
    client.chat(request).await.map(drop).map_err(|status| format!("an answer: {status:?}"))
}

async fn stream(mut client: InferenceClient<Channel>) -> Result<(), String> {
    let request = ChatStreamRequest { envelope: Some(envelope()), payload: Some(payload()) };
    let failed = |status: tonic::Status| format!("a stream: {status:?}");
    let mut pieces = client.chat_stream(request).await.map_err(failed)?.into_inner();
    let mut said = String::new();
    while let Some(piece) = pieces.message().await.map_err(failed)? {
        said.push_str(&piece.text);
    }
    if said == PIECES.concat() { Ok(()) } else { Err(format!("a stream was cut after {said:?}")) }
}

fn envelope() -> Envelope {
    Envelope { model: "test-model".into(), purposes: vec!["dpv:CustomerCare".into()], ..Default::default() }
}

fn payload() -> ChatPayload {
    let text = ContentPart { part: Some(content_part::Part::Text("hello".into())) };
    let message = Message { role: Role::User.into(), content: vec![text], ..Default::default() };
    ChatPayload { messages: vec![message], ..Default::default() }
}

/// Rolls one app after another.
async fn roll(identities: Vec<Identity>, load: Arc<Load>) {
    let mut tick = tokio::time::interval(ROLL_EVERY);
    for identity in identities.iter().cycle() {
        tick.tick().await;
        if load.is_over() {
            return;
        }
        match enrol::renew(identity).await {
            Ok(_) => drop(load.rolls.fetch_add(1, Ordering::SeqCst)),
            Err(error) => load.fail(format!("a renewal: {error:?}")),
        }
    }
}
