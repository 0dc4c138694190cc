//! Rotation without a dropped request: every identity rolls, again and again, under hundreds of calls in flight. What it
//! prints at its end is in docs/bench-rotation.md.

use std::collections::HashSet;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use comity_client::connection::Channel;
use comity_client::{Connection, Identity, enrol};
use comity_identity::{Authority, SigningRequest, pem};
use comity_proto::error::{Detail, retry_after};
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{
    ChatPayload, ChatRequest, ChatStreamRequest, ContentPart, Envelope, Message, Role, content_part,
};
use comity_proto::metadata::OFFER;
use comity_runtime::clock::SystemClock;
use comity_tests::backend::{Backend, Behaviour, PIECES};
use comity_tests::clients::comity;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, PENDING, US_VENDOR};
use comity_tests::node::NodeSpec;
use comity_tests::program::{built, run, said, succeed};
use comity_tests::wait;
use comity_types::{Clock as _, Digest, SpiffeId, Timestamp};
use tokio::time::Instant;
use tonic::Status;

/// The life of every certificate of a program, in seconds: rolled at half of it, or an eighth later. A connection that is made
/// just before has three eighths left, is left after half of that, and what runs on it has the other half: 9 s, while a stream
/// of the backend takes 1.5 s, and some of those last seconds go into the connection that replaces it, where two cores are
/// shared with much else. With half of that, one run of six cut streams there.
const LEAF_SECONDS: u32 = 48;
/// The same where tunnels alone are to be replaced, as often as can be: each leaves when the next one stands.
const SHORT_LEAF_SECONDS: u32 = 24;
/// Between two rolls of one app, which are asked for: six apps come to one every quarter of a second.
const ROLL_EVERY: Duration = Duration::from_millis(1500);
/// Apps, each with one connection.
const APPS: usize = 6;
/// Calls that each app has in flight, all the time: half of them streams.
const CALLS_OF_AN_APP: usize = 40;
/// Between two certificates that an organisation's own authority signs: a program that renews finds a fresh one.
const SIGN_EVERY: Duration = Duration::from_millis(500);
/// Tunnels that the only node to ask opens one after the other, two of them at once: one of them is replaced every three seconds
/// or so, and a scenario waits for a minute at most.
const TUNNELS: usize = 12;
/// What a broker says to a caller whose call it does not begin now, and when to come again.
const LATER: &str = "BROKER_OVERLOADED";
/// How an answer ended that began and has no end.
const CUT: &str = "a stream was cut after";
/// How often the broker and each node are to roll before it is enough.
const ROLLS: usize = 2;

#[test]
fn certificates_and_authorities_roll_under_hundreds_of_calls_and_none_fails_and_no_stream_is_cut() {
    let backend = Backend::start(Behaviour::Brisk);
    let federation = short_lived(LEAF_SECONDS);
    let spec = |name: &str| NodeSpec::openai(name, &backend.url(), "DE");
    // One of them listens nowhere, and one is of an organisation that has its own authority.
    let mut nodes: Vec<Node> = [(EU_BODY, spec("n1")), (EU_BODY, spec("n2").dialling_out()), (EU_OWNED, spec("n1"))]
        .map(|(organisation, spec)| federation.node(organisation, &spec))
        .into();
    let own = OwnAuthority::join(&federation, &spec("n1"));
    nodes.push(own.node(&federation));
    let apps: Vec<_> = (0..APPS).map(|index| federation.app(EU_OWNED, &format!("a{index}"))).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (load, began) = (Arc::<Load>::default(), Instant::now());
    let identities: Vec<Identity> = apps.iter().map(|app| Identity::open(&app.identity).unwrap()).collect();
    let mut working: Vec<_> = identities.iter().flat_map(|identity| callers(&runtime, identity, &load)).collect();
    working.extend(identities.into_iter().map(|identity| runtime.spawn(roll(identity, Arc::clone(&load)))));
    // The authority that the broker hosts for two of the nodes gets a new key meanwhile, that of the fourth a successor,
    roll_authority(&federation);
    own.roll(&federation);
    let mut seen = vec![HashSet::new(); nodes.len()];
    wait::until("every node has rolled", || {
        for (node, seen) in nodes.iter().zip(&mut seen) {
            seen.insert(Digest::of(&std::fs::read(node.folder.join("data/identity/cert.pem")).unwrap_or_default()));
        }
        let renewed = nodes.iter().all(|node| node_rolls(node) >= ROLLS);
        let rolled = seen.iter().all(|seen| seen.len() > ROLLS) && renewed && broker_rolls(&federation) >= ROLLS;
        (rolled || load.has_failed()).then_some(())
    });
    // and both lose the old one.
    roll_authority(&federation);
    assert_eq!([EU_BODY.domain, US_VENDOR.domain].map(|domain| anchors(&federation, domain)), [1, 1]);
    wait::until("calls go on by the new authorities alone", || {
        let enough = load.answers.load(Ordering::SeqCst) > 500 && load.streams.load(Ordering::SeqCst) > 500;
        (enough || load.has_failed()).then_some(())
    });
    load.over.store(true, Ordering::SeqCst);
    runtime.block_on(async {
        for one in working {
            one.await.unwrap();
        }
    });
    load.report(&federation, &nodes, began.elapsed());
    let [answers, streams, most, rolls] =
        [&load.answers, &load.streams, &load.most, &load.rolls].map(|count| count.load(Ordering::SeqCst));
    assert_eq!(*load.failures.lock().unwrap(), Vec::<String>::new(), "after {answers} answers and {streams} streams");
    assert!(most >= 200, "only {most} calls were in flight");
    assert!(answers > 500 && streams > 500, "{answers} answers, {streams} streams");
    assert!(rolls > 20, "{rolls} rolls of apps");
    assert_eq!(passed_over(&federation, &nodes), Vec::<String>::new(), "tries went on with another offer");
}

#[test]
fn a_node_that_dials_out_and_is_the_only_one_to_ask_replaces_its_tunnels_all_the_time_and_no_call_fails() {
    let backend = Backend::start(Behaviour::Brisk);
    let federation = short_lived(SHORT_LEAF_SECONDS);
    let node = federation.node(EU_BODY, &NodeSpec::openai("n1", &backend.url(), "DE").dialling_out());
    let identity = Identity::open(federation.app(EU_OWNED, "a1").identity).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (load, began) = (Arc::<Load>::default(), Instant::now());
    let callers = callers(&runtime, &identity, &load);
    wait::until("the tunnels were replaced many times", || {
        let replaced = node.program.log().matches("a tunnel to the broker stands").count();
        (replaced >= TUNNELS || load.has_failed()).then_some(())
    });
    load.over.store(true, Ordering::SeqCst);
    runtime.block_on(async {
        for caller in callers {
            caller.await.unwrap();
        }
    });
    let nodes = [node];
    load.report(&federation, &nodes, began.elapsed());
    assert_eq!(*load.failures.lock().unwrap(), Vec::<String>::new());
    assert_eq!(passed_over(&federation, &nodes), Vec::<String>::new(), "tries failed");
    let [answers, streams] = [&load.answers, &load.streams].map(|count| count.load(Ordering::SeqCst));
    assert!(answers > TUNNELS && streams > TUNNELS, "{answers} answers, {streams} streams");
}

/// A federation whose certificates last for seconds.
fn short_lived(seconds: u32) -> Federation {
    let mut federation = Federation::found();
    let config = federation.broker_config();
    let leaf = ["broker", "node", "app", "operator"].map(|kind| format!("{kind} = \"{seconds}s\"\n")).concat();
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

fn anchors(federation: &Federation, domain: &str) -> usize {
    let signer = federation.organisation_dir(domain).unwrap();
    let listed = federation.say_as(&signer, &["organisation", "anchors", "list", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    listed["sha256"].as_array().unwrap().len()
}

fn broker_rolls(federation: &Federation) -> usize {
    federation.broker.as_ref().unwrap().log().matches("renewed the broker's certificate").count()
}

/// What the broker says of every try that failed, and nodes of every request that they refused.
fn passed_over(federation: &Federation, nodes: &[Node]) -> Vec<String> {
    let said = |log: String, what: &str| log.lines().filter(|line| line.contains(what)).map(str::to_owned).collect();
    let tries: Vec<String> = said(federation.broker.as_ref().unwrap().log(), "a try failed");
    tries.into_iter().chain(nodes.iter().flat_map(|node| said(node.program.log(), "refused a request"))).collect()
}

fn node_rolls(node: &Node) -> usize {
    node.program.log().matches("renewed the certificate").count()
}

/// An organisation's own authority, which is on no machine of the federation: it signs the request of its node, again
/// and again, and puts the certificate where the node looks for it.
struct OwnAuthority {
    desk: Arc<Desk>,
    stop: Option<mpsc::Sender<()>>,
    signing: Option<JoinHandle<()>>,
}

/// Where it signs.
struct Desk {
    folder: PathBuf,
    id: SpiffeId,
    authority: Mutex<Authority>,
}

impl Desk {
    /// Nobody reads half of a certificate.
    fn sign(&self) {
        let (identity, authority) = (self.folder.join("data/identity"), self.authority.lock().unwrap());
        let request = pem::decode_request(&std::fs::read(identity.join("request.pem")).unwrap()).unwrap();
        let (request, life) = (SigningRequest::parse(&request).unwrap(), Duration::from_secs(LEAF_SECONDS.into()));
        let issued = authority.issue(&request, &self.id, &[], life, SystemClock.now()).unwrap();
        let beside = self.folder.join("fresh.pem");
        std::fs::write(&beside, pem::encode(&issued.chain)).unwrap();
        std::fs::rename(beside, identity.join("cert.pem")).unwrap();
    }

    /// Signs by another authority from now on; gives when the last certificate of the one before has ended.
    fn replace(&self, next: Authority) -> Timestamp {
        *self.authority.lock().unwrap() = next;
        SystemClock.now().plus(Duration::from_secs(LEAF_SECONDS.into()))
    }
}

impl OwnAuthority {
    /// Lets the organisation join with its authority and a node.
    fn join(federation: &Federation, spec: &NodeSpec) -> Self {
        let folder = federation.folder().join(US_VENDOR.domain).join(&spec.name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("node.toml"), spec.toml()).unwrap();
        federation.write_facts(US_VENDOR, &folder.join("organisation.toml"));
        let authority = Authority::generate(US_VENDOR.domain.parse().unwrap(), SystemClock.now()).unwrap();
        std::fs::write(folder.join("own-ca.pem"), pem::encode(&[authority.anchor()])).unwrap();
        let invite = federation.invite(US_VENDOR, "node", &spec.name);
        let join = || {
            let mut join = Command::new(built("comity-node"));
            join.current_dir(&folder).args(["join", &invite, "--config", "node.toml"]);
            join.args(["--organisation", "organisation.toml", "--ca", "own-ca.pem"]);
            join
        };
        let asked = run(&mut join());
        assert_eq!(asked.status.code(), Some(PENDING), "{}", said(&asked));
        let id = format!("spiffe://{}/node/{}", US_VENDOR.domain, spec.name).parse().unwrap();
        let desk = Arc::new(Desk { folder: folder.clone(), id, authority: Mutex::new(authority) });
        desk.sign();
        let (stop, stopped) = mpsc::channel();
        let signer = Arc::clone(&desk);
        let signing = std::thread::spawn(move || {
            while stopped.recv_timeout(SIGN_EVERY) == Err(RecvTimeoutError::Timeout) {
                signer.sign();
            }
        });
        federation.approve_all();
        let _joined = succeed(&mut join());
        Self { desk, stop: Some(stop), signing: Some(signing) }
    }

    fn node(&self, federation: &Federation) -> Node {
        let node = federation.run_joined(self.desk.id.as_str(), &self.desk.folder, &[]);
        node.wait_until_ready();
        node
    }

    /// Its successor beside it, then alone; whoever would lock themselves out is stopped.
    fn roll(&self, federation: &Federation) {
        let next = Authority::generate(US_VENDOR.domain.parse().unwrap(), SystemClock.now()).unwrap();
        let file = |name: &str, authorities: &[_]| {
            std::fs::write(self.desk.folder.join(name), pem::encode(authorities)).unwrap();
        };
        file("next.pem", &[next.anchor()]);
        file("both.pem", &[self.desk.authority.lock().unwrap().anchor(), next.anchor()]);
        let refused = self.set("next.pem");
        assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
        assert!(said(&refused).contains("leave it in the file until every member has"), "{}", said(&refused));
        assert_eq!(anchors(federation, US_VENDOR.domain), 1, "nothing was signed");
        let both = self.set("both.pem");
        assert!(both.status.success(), "{}", said(&both));
        let ended = self.desk.replace(next);
        wait::until("the last certificate of the old authority has ended", || {
            (SystemClock.now() > ended).then_some(())
        });
        let alone = self.set("next.pem");
        assert!(alone.status.success(), "{}", said(&alone));
    }

    fn set(&self, file: &str) -> Output {
        let (dir, file) = (self.desk.folder.join("data/identity"), self.desk.folder.join(file));
        run(comity().arg("--identity").arg(dir).args(["organisation", "anchors", "set"]).arg(file))
    }
}

impl Drop for OwnAuthority {
    fn drop(&mut self) {
        drop(self.stop.take());
        let _ended = self.signing.take().map(JoinHandle::join);
    }
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
    /// Calls that were told to come again, since the broker had as many to decide as it can.
    later: AtomicUsize,
    failures: Mutex<Vec<String>>,
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

    /// The figures, for whoever runs it with `--nocapture`.
    #[expect(clippy::print_stdout, reason = "a measurement is its output")]
    fn report(&self, federation: &Federation, nodes: &[Node], took: Duration) {
        let of = |count: &AtomicUsize| count.load(Ordering::SeqCst);
        let of_nodes: usize = nodes.iter().map(node_rolls).sum();
        let rolls = broker_rolls(federation) + of_nodes + of(&self.rolls);
        let between = took.as_millis() / u128::try_from(rolls.max(1)).unwrap();
        let failures = self.failures.lock().unwrap();
        let cut = failures.iter().filter(|what| what.starts_with(CUT)).count();
        println!("| what | how many |\n|---|--:|");
        for (what, count) in [
            ("rolls of the broker's certificate", broker_rolls(federation)),
            ("rolls of nodes' certificates", of_nodes),
            ("rolls of apps' certificates", of(&self.rolls)),
            ("most calls in flight", of(&self.most)),
            ("tries that were passed over, and requests that nodes refused", passed_over(federation, nodes).len()),
            ("calls that were told to come again later, and did", of(&self.later)),
            ("whole answers", of(&self.answers)),
            ("whole streams", of(&self.streams)),
            ("failed calls", failures.len() - cut),
            ("cut streams", cut),
        ] {
            println!("| {what} | {count} |");
        }
        println!("under load for {} s, a roll every {between} ms", took.as_secs());
    }

    /// Waits for as long as the broker says that has no time for more calls now: a small machine gets there, and that has
    /// nothing to do with what rolls. Every other refusal is a failure.
    async fn comes_again(&self, status: Status) -> Result<(), Status> {
        let is_later = Detail::of(&status).is_some_and(|detail| detail.reason == LATER);
        let Some(pause) = retry_after(&status).filter(|_| is_later) else { return Err(status) };
        self.later.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(pause).await;
        Ok(())
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
                    load.end(&load.streams, stream(&load, client.clone()).await);
                } else {
                    load.end(&load.answers, answer(&load, client.clone()).await);
                }
            }
        })
    };
    (0..CALLS_OF_AN_APP).map(caller).collect()
}

async fn answer(load: &Load, mut client: InferenceClient<Channel>) -> Result<(), String> {
    loop {
        let request = ChatRequest { envelope: Some(envelope()), payload: Some(payload()) };
        let Err(status) = client.chat(request).await else { return Ok(()) };
        load.comes_again(status).await.map_err(|status| format!("an answer: {status:?}"))?;
    }
}

async fn stream(load: &Load, mut client: InferenceClient<Channel>) -> Result<(), String> {
    let answer = loop {
        let request = ChatStreamRequest { envelope: Some(envelope()), payload: Some(payload()) };
        match client.chat_stream(request).await {
            Ok(answer) => break answer,
            Err(status) => load.comes_again(status).await.map_err(|status| format!("a stream: {status:?}"))?,
        }
    };
    let (offer, mut said) = (format!("{:?}", answer.metadata().get(OFFER)), String::new());
    let mut pieces = answer.into_inner();
    let cut = |status: Status, said: &str| format!("{CUT} {said:?} of {offer}: {}", status.message());
    while let Some(piece) = pieces.message().await.map_err(|status| cut(status, &said))? {
        said.push_str(&piece.text);
    }
    if said == PIECES.concat() { Ok(()) } else { Err(format!("{CUT} {said:?} of {offer}")) }
}

fn envelope() -> Envelope {
    Envelope { model: "test-model".into(), purposes: vec!["dpv:CustomerCare".into()], ..Default::default() }
}

fn payload() -> ChatPayload {
    let text = ContentPart { part: Some(content_part::Part::Text("hello".into())) };
    let message = Message { role: Role::User.into(), content: vec![text], ..Default::default() };
    ChatPayload { messages: vec![message], ..Default::default() }
}

/// Rolls one app again and again.
async fn roll(identity: Identity, load: Arc<Load>) {
    let mut tick = tokio::time::interval(ROLL_EVERY);
    while !load.is_over() {
        tick.tick().await;
        match enrol::renew(&identity).await {
            Ok(_) => drop(load.rolls.fetch_add(1, Ordering::SeqCst)),
            Err(error) => load.fail(format!("a renewal: {error:?}")),
        }
    }
}
