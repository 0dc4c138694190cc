//! One federation: its nodes and callers, what they do, and what is said about them meanwhile.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use comity_membership::{By, Statement, Subject};
use comity_proto::inference;
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::super::node::{Answering, Handler, Node, Seen, Unfinished, reset, status};
use super::super::world::{Organisation, PURPOSE, framed, read};
use super::super::*;
use super::Tally;
use super::deliveries::{Asked, Delivery, Got, Known, marker};
use super::mode::Mode;
use super::model::{Demands, Dice, Model, Offered, PLACES};

/// Nodes, each of an organisation of its own.
const NODES: u64 = 5;
/// Organisations with an app.
const CALLERS: u64 = 3;
/// Requests at once.
const AT_ONCE: u64 = 24;
/// Demands that are made often.
const OFTEN: u64 = 16;
/// Deliveries between two changes of the state, about.
const BETWEEN_CHANGES: u64 = 20;
/// How long a caller waits who waits long.
const LONG: Duration = Duration::from_secs(1);
/// How long one waits who does not.
const SHORT: Duration = Duration::from_millis(20);
/// Where nobody listens.
const NOWHERE: &str = "127.0.0.1:1";

/// A federation, and what happens in it.
pub(super) struct Episode {
    world: World,
    known: Arc<Known>,
    nodes: Vec<(Node, Organisation)>,
    callers: Vec<SpiffeId>,
    model: Mutex<Model>,
    dice: Mutex<Dice>,
    deliveries: mpsc::UnboundedReceiver<Got>,
    delivered: Arc<AtomicU64>,
    wanted: u64,
}

/// Sessions that callers name.
const SESSIONS: u64 = 8;

/// What may have a request asked of two nodes, or of one that no draw has chosen.
fn preferences(dice: &mut Dice) -> policy::Preferences {
    let hedge = dice.percent(40).then_some(policy::Hedge { after_ms: Some(10) });
    let session = if dice.percent(40) { vec![u8::try_from(dice.below(SESSIONS)).unwrap(); 32] } else { Vec::new() };
    policy::Preferences { hedge, session: session.into(), ..Default::default() }
}

/// What callers saw.
#[derive(Debug, Default)]
struct Seens {
    requests: AtomicU64,
    refused: AtomicU64,
    over_budget: AtomicU64,
    answered: AtomicU64,
}

impl Episode {
    /// Draws one that ends after so many deliveries.
    pub(super) async fn draw(seed: u64, mode: Mode, wanted: u64) -> Self {
        let mut dice = Dice::new(seed);
        let world = mode.world(&mut dice).await;
        let known = Arc::new(Known::new(world.log_key.clone(), world.access.parts().places.clone()));
        let (deliver, deliveries) = mpsc::unbounded_channel();
        let (delivered, mut model) = (Arc::<AtomicU64>::default(), Model::default());
        let mut nodes = Vec::new();
        for index in 0..NODES {
            let organisation = Organisation::new(&format!("n{index}.example"));
            let (id, seat) = (organisation.id("node", "n1"), *dice.one(&PLACES));
            world.admit(&organisation, seat, &id).await;
            model.seats.insert(organisation.domain().to_string(), seat);
            let behaviour = behaviour(id.clone(), Dice::new(dice.next()), deliver.clone(), Arc::clone(&delivered));
            let unfinished = unfinished(id.clone(), world.registry.clone(), deliver.clone());
            let credentials = organisation.credentials(&id);
            let clock: Arc<dyn Clock> = Arc::<world::AheadClock>::clone(&world.clock);
            let node = Node::handing_all(id, credentials, world.trusted(), (behaviour, unfinished), clock).await;
            nodes.push((node, organisation));
        }
        let mut callers = Vec::new();
        for index in 0..CALLERS {
            let organisation = Organisation::new(&format!("c{index}.example"));
            let (id, seat) = (organisation.id("app", "a1"), *dice.one(&PLACES));
            world.admit(&organisation, seat, &id).await;
            model.seats.insert(organisation.domain().to_string(), seat);
            callers.push(id);
        }
        let (model, dice) = (Mutex::new(model), Mutex::new(dice));
        let episode = Self { world, known, nodes, callers, model, dice, deliveries, delivered, wanted };
        for index in 0..episode.nodes.len() {
            episode.publish(index).await;
        }
        episode
    }

    /// Lets it happen, and checks every delivery.
    pub(super) async fn run(mut self) -> Tally {
        let (over, seens) = (CancellationToken::new(), Seens::default());
        let (mut tally, mut changes) = (Tally::default(), 0);
        let (_closed, deliveries) = mpsc::unbounded_channel();
        let mut deliveries = std::mem::replace(&mut self.deliveries, deliveries);
        let (this, known) = (&self, Arc::clone(&self.known));
        let check = async {
            while tally.deliveries < this.wanted {
                known.check(&deliveries.recv().await.unwrap(), &mut tally).await;
            }
            over.cancel();
        };
        let change = async {
            let mut next = BETWEEN_CHANGES;
            while !over.is_cancelled() {
                // Not a matter of time: the state changes as often as requests are delivered, or are made at all.
                let steps = || this.delivered.load(Ordering::Relaxed) + seens.requests.load(Ordering::Relaxed) / 8;
                while steps() < next && !over.is_cancelled() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                this.change().await;
                (next, changes) = (steps() + BETWEEN_CHANGES, changes + 1);
            }
        };
        let ask = futures::future::join_all((0..AT_ONCE).map(|number| {
            let (over, seens) = (over.clone(), &seens);
            async move {
                let mut dice = Dice::new(this.draw_seed() ^ number);
                while over.run_until_cancelled(Box::pin(this.ask(&mut dice, seens))).await.is_some() {
                    // Whoever is suspended is refused without waiting for anything, and somebody has to lift them.
                    tokio::task::yield_now().await;
                }
            }
        }));
        tokio::join!(check, change, ask);
        tally.changes = changes;
        tally.requests = seens.requests.into_inner();
        tally.refused = seens.refused.into_inner();
        tally.over_budget = seens.over_budget.into_inner();
        tally.answered = seens.answered.into_inner();
        tally
    }

    fn draw_seed(&self) -> u64 {
        self.dice.lock().unwrap().next()
    }

    /// Says something, which changes the state to what the model is then.
    async fn change(&self) {
        let mut dice = Dice::new(self.draw_seed());
        match dice.below(10) {
            0..=3 => {
                let node = usize::try_from(dice.below(NODES)).unwrap();
                self.publish(node).await;
            }
            4..=6 => self.suspend(&mut dice).await,
            7 | 8 => self.lift(&mut dice).await,
            _ => self.move_seat(&mut dice).await,
        }
    }

    /// A node offers something else, now and then where nobody listens.
    async fn publish(&self, index: usize) {
        let (node, organisation) = &self.nodes[index];
        let mut dice = Dice::new(self.draw_seed());
        let mut model = self.model.lock().unwrap().clone();
        // A member that is suspended cannot speak.
        let is_out = |subject: &str| model.out.contains(subject);
        if is_out(node.id.as_str()) || is_out(organisation.domain().as_str()) {
            return;
        }
        model.offers.retain(|name, _| !name.starts_with(&format!("{}/", organisation.domain())));
        let offers: Vec<_> = (0..dice.below(4)).map(|place| (format!("o{place}"), Offered::draw(&mut dice))).collect();
        let published = offers.iter().map(|(id, offered)| offered.as_offer(id, node.id.as_str())).collect();
        model.offers.extend(offers.into_iter().map(|(id, one)| (format!("{}/n1/{id}", organisation.domain()), one)));
        let address = if dice.percent(10) { NOWHERE } else { &node.address };
        let statement =
            Statement::OffersPublished { node: node.id.clone(), address: address.to_owned(), offers: published };
        self.world.say_as(organisation, statement).await;
        if dice.percent(20) {
            node.break_connections();
        }
        self.is_now(model);
    }

    async fn suspend(&self, dice: &mut Dice) {
        let member = self.member(dice);
        let subject = if dice.percent(50) { member.as_str().to_owned() } else { member.trust_domain().to_string() };
        let mut model = self.model.lock().unwrap().clone();
        // Where everybody is out, nothing happens.
        if model.out.len() >= 3 || !model.out.insert(subject.clone()) {
            return;
        }
        let reason = "a test".to_owned();
        self.world.govern(Statement::Suspended { subject: subject_of(&subject), reason, by: By::Federation }).await;
        self.known.is_out(&subject);
        self.is_now(model);
    }

    async fn lift(&self, dice: &mut Dice) {
        let mut model = self.model.lock().unwrap().clone();
        let out: Vec<_> = model.out.iter().cloned().collect();
        if out.is_empty() {
            return;
        }
        let subject = dice.one(&out);
        model.out.remove(subject);
        self.known.is_in(subject);
        self.world.govern(Statement::Lifted { subject: subject_of(subject), by: By::Federation }).await;
        self.is_now(model);
    }

    /// An organisation with a node has its seat elsewhere.
    async fn move_seat(&self, dice: &mut Dice) {
        let (_, organisation) = dice.one(&self.nodes);
        let mut model = self.model.lock().unwrap().clone();
        if model.out.contains(organisation.domain().as_str()) {
            return;
        }
        let seat = *dice.one(&PLACES);
        model.seats.insert(organisation.domain().to_string(), seat);
        let organisation_facts = Box::new(organisation.facts(seat));
        let statement = Statement::OrganisationUpdated { organisation: organisation_facts, layers: Box::default() };
        self.world.say_as(organisation, statement).await;
        self.is_now(model);
    }

    fn is_now(&self, model: Model) {
        *self.model.lock().unwrap() = model.clone();
        self.known.now(self.world.registry.snapshot(), model);
    }

    fn member(&self, dice: &mut Dice) -> SpiffeId {
        let nodes = self.nodes.iter().map(|(node, _)| node.id.clone());
        let members: Vec<_> = nodes.chain(self.callers.iter().cloned()).collect();
        dice.one(&members).clone()
    }

    /// One request, which somebody waits for, or does not.
    async fn ask(&self, dice: &mut Dice, seens: &Seens) {
        let caller = dice.one(&self.callers).clone();
        let method = *dice.one(&[Method::Chat, Method::ChatStream, Method::Embed, Method::Forward]);
        // What was asked before is asked again, as callers do.
        let demands =
            if dice.percent(60) { Demands::draw(&mut Dice::new(dice.below(OFTEN))) } else { Demands::draw(dice) };
        let envelope = inference::Envelope {
            model: demands.model.into(),
            requirements: Some(demands.on_the_wire()),
            purposes: vec![PURPOSE.into()],
            preferences: Some(preferences(dice)),
            nonce: if dice.percent(50) { dice.next().to_be_bytes().repeat(2).into() } else { Bytes::new() },
            ..Default::default()
        };
        let number = dice.next();
        let body: Bytes = framed(&message(&envelope, number, dice)).into();
        let since = self.known.epoch();
        let asked = Asked { caller: caller.clone(), method, demands, envelope, body: body.clone(), since };
        self.known.asked.lock().unwrap().insert(number, asked);
        let mut request = Request::new(Body::new(http_body_util::Full::new(body)));
        request.headers_mut().insert("x-secret", number.to_string().parse().unwrap());
        request.headers_mut().insert("authorization", "Bearer of-the-caller".parse().unwrap());
        let patience = if dice.percent(10) { SHORT } else { LONG };
        seens.requests.fetch_add(1, Ordering::Relaxed);
        let certificate = Digest::of(caller.as_str().as_bytes());
        let answer = async {
            match self.world.access.serve(&caller, certificate, method, request).await {
                Ok(response) => {
                    let offer = response.headers().get("comity-offer").cloned();
                    let (bytes, _trailers) = read(response).await;
                    if !bytes.is_empty() {
                        let said = String::from_utf8(bytes).unwrap();
                        let node = offer.unwrap().to_str().unwrap().split('/').next().unwrap().to_owned();
                        assert!(said.starts_with(&format!("{number} by {node}")), "another's answer: {said}");
                        seens.answered.fetch_add(1, Ordering::Relaxed);
                    }
                }
                Err(failure) if failure.reason == "NO_ELIGIBLE_OFFER" || failure.reason == "MODEL_NOT_OFFERED" => {
                    seens.refused.fetch_add(1, Ordering::Relaxed);
                }
                Err(failure) if failure.reason == "BUDGET_EXCEEDED" => {
                    seens.over_budget.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => {}
            }
        };
        // Who gives up drops the request, wherever it is.
        let _given_up = tokio::time::timeout(patience, answer).await;
    }
}

fn subject_of(subject: &str) -> Subject {
    match subject.parse::<SpiffeId>() {
        Ok(member) => Subject::Member(member),
        Err(_) => Subject::Organisation(subject.parse().unwrap()),
    }
}

/// A message that ends with the number that it is known by.
fn message(envelope: &inference::Envelope, number: u64, dice: &mut Dice) -> Vec<u8> {
    let envelope = envelope.encode_to_vec();
    let mut payload = vec![0xff; usize::try_from(dice.below(2_000)).unwrap()];
    payload.extend_from_slice(&number.to_be_bytes());
    let mut message = BytesMut::new();
    for (key, value) in [(0x0a, envelope.as_slice()), (0x12, payload.as_slice())] {
        message.put_u8(key);
        prost::encoding::encode_varint(value.len() as u64, &mut message);
        message.put_slice(value);
    }
    message.to_vec()
}

/// Hands over what a node got of a request that ended before its end.
fn unfinished(node: SpiffeId, registry: Registry, deliver: mpsc::UnboundedSender<Got>) -> Unfinished {
    Arc::new(move |seen| {
        let epoch = registry.snapshot().epoch().size;
        let delivery = Delivery { node: node.clone(), seen, arrived: Instant::now() };
        // The episode may be over.
        let _over = deliver.send(Got::Bytes(delivery, epoch));
    })
}

/// What a node does with its requests: it hands over what it got, and then answers, or does not, or not to the end.
fn behaviour(node: SpiffeId, dice: Dice, deliver: mpsc::UnboundedSender<Got>, delivered: Arc<AtomicU64>) -> Handler {
    let dice = Mutex::new(dice);
    Arc::new(move |seen: Seen, answering: Answering| {
        let number = marker(&seen.body);
        let is_unary = [Method::Chat, Method::Embed].map(Method::path).contains(&seen.path.as_str());
        delivered.fetch_add(1, Ordering::Relaxed);
        // The episode may be over.
        let _over = deliver.send(Got::Request(Delivery { node: node.clone(), seen, arrived: Instant::now() }));
        let words = data(&format!("{number} by {}", node.trust_domain()));
        let declined = |code, reason: &'static str| Ok(status(Failure::new(code, reason, "no")));
        let frames = match dice.lock().unwrap().below(100) {
            0..=54 if is_unary => vec![Ok(words), Ok(ok())],
            0..=54 => vec![Ok(words), Ok(data("more")), Ok(ok())],
            55..=69 => vec![declined(Code::ResourceExhausted, "BACKEND_OVERLOADED")],
            70..=75 => vec![declined(Code::PermissionDenied, "NODE_VETO")],
            76..=79 => vec![declined(Code::Unavailable, "LOG_UNPUBLISHED")],
            80..=84 => vec![declined(Code::InvalidArgument, "INVALID_FIELD")],
            85..=89 => vec![reset()],
            90..=94 => vec![Ok(words), reset()],
            95..=98 => vec![Ok(words)],
            // It says nothing, for as long as somebody waits.
            _ => {
                node::spawn(async move { answering.closed().await });
                return;
            }
        };
        for frame in frames {
            let _left = answering.try_send(frame);
        }
    })
}
