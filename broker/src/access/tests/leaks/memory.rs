//! With what is remembered, decisions are what they are without, whatever happens in between.

use std::time::Duration;

use comity_membership::{By, Statement, Subject};
use comity_policy::terms::Quota;
use comity_policy::{Claim, Request as Question, Verdict};
use comity_proto::convert::Envelope;
use comity_proto::inference;
use comity_types::{Interval, Timestamp};
use prost::Message as _;

use super::super::decide::{self, Scope};
use super::super::world::{Organisation, PURPOSE};
use super::super::*;
use super::model::{Demands, Dice, Offered, PLACES};
use super::{any_seed, said, setting};

/// Organisations with a node.
const NODES: u64 = 4;
/// Organisations with an app.
const APPS: u64 = 2;
/// Things that happen.
const STEPS: u64 = 1_500;
/// Demands that are made.
const DEMANDS: u64 = 6;

/// A federation in which nobody answers: only what is decided counts.
struct Scene {
    world: World,
    nodes: Vec<(SpiffeId, Organisation)>,
    apps: Vec<SpiffeId>,
    out: BTreeSet<usize>,
}

impl Scene {
    async fn draw(dice: &mut Dice) -> Self {
        let (world, mut nodes, mut apps) = (World::new().await, Vec::new(), Vec::new());
        for index in 0..NODES {
            let organisation = Organisation::new(&format!("n{index}.example"));
            let node = organisation.id("node", "n1");
            world.admit(&organisation, dice.one::<&str>(&PLACES), &node).await;
            nodes.push((node, organisation));
        }
        for index in 0..APPS {
            let organisation = Organisation::new(&format!("c{index}.example"));
            let app = organisation.id("app", "a1");
            world.admit(&organisation, dice.one::<&str>(&PLACES), &app).await;
            apps.push(app);
        }
        let mut scene = Self { world, nodes, apps, out: BTreeSet::new() };
        for index in 0..scene.nodes.len() {
            scene.publish(index, dice).await;
        }
        scene
    }

    fn now(&self) -> Timestamp {
        self.world.access.parts().clock.now()
    }

    /// Offers, some of which end soon, or grant little a day.
    async fn publish(&mut self, index: usize, dice: &mut Dice) {
        let (node, organisation) = &self.nodes[index];
        if self.out.contains(&index) {
            return;
        }
        let offer = |place: u64, dice: &mut Dice| {
            let mut offer = Offered::draw(dice).as_offer(&format!("o{place}"), node.as_str());
            let soon = |dice: &mut Dice| Some(self.now().plus(Duration::from_secs(60 * dice.below(2_880))));
            if dice.percent(30) {
                offer.in_force = Interval { from: None, until: soon(dice) };
            } else if dice.percent(30) {
                offer.in_force = Interval { from: soon(dice), until: None };
            }
            if dice.percent(50) {
                let requests_per_day = u32::try_from(1 + dice.below(3)).unwrap();
                offer.terms.as_mut().unwrap().quota = Some(Claim::always(Quota { requests_per_day }));
            }
            offer
        };
        let offers = (0..2 + dice.below(6)).map(|place| offer(place, dice)).collect();
        let statement = Statement::OffersPublished { node: node.clone(), address: "127.0.0.1:1".into(), offers };
        self.world.say_as(organisation, statement).await;
    }

    /// Suspends one, or lifts the one that is out.
    async fn suspend_or_lift(&mut self, index: usize) {
        let index = self.out.first().copied().unwrap_or(index);
        let subject = Subject::Organisation(self.nodes[index].1.domain().clone());
        let (reason, by) = ("a test".to_owned(), By::Federation);
        self.world
            .govern(if self.out.remove(&index) {
                Statement::Lifted { subject, by }
            } else {
                self.out.insert(index);
                Statement::Suspended { subject, reason, by }
            })
            .await;
    }

    fn asked(&self, dice: &mut Dice) -> Admitted {
        let demands = Demands::draw(&mut Dice::new(dice.below(DEMANDS)));
        let wire = inference::Envelope {
            model: demands.model.into(),
            requirements: Some(demands.on_the_wire()),
            purposes: vec![PURPOSE.into()],
            ..Default::default()
        };
        let envelope_bytes = bytes::Bytes::from(wire.encode_to_vec());
        Admitted {
            caller: dice.one(&self.apps).clone(),
            certificate: World::certificate(),
            method: *dice.one(&[Method::Chat, Method::ChatStream, Method::Embed]),
            envelope: Arc::new(Envelope::try_from(wire).unwrap()),
            envelope_sha256: Digest::of(&envelope_bytes),
            asked: envelope_bytes.clone(),
            envelope_bytes,
            body: bytes::Bytes::new(),
            account: comity_runtime::observe::Account::default(),
            arrived: Instant::now(),
            deadline: Instant::now(),
        }
    }

    /// What is decided, held against a judgement of every offer of the model. True if something of it was remembered.
    fn decides_as_judged(&self, admitted: &Admitted) -> bool {
        let parts = self.world.access.parts();
        let snapshot = parts.registry.snapshot();
        let remembered = snapshot.memory.get(&admitted.question(), self.now()).is_some();
        let decision = match decide::decide(parts, admitted) {
            Ok(decision) => decision,
            Err(failure) => {
                assert_eq!(failure.reason, "MODEL_NOT_OFFERED");
                assert!(snapshot.index.of_model(&admitted.envelope.model).is_empty());
                return false;
            }
        };
        let (caller, demanded) =
            decide::demanded(&snapshot, &admitted.caller, &admitted.envelope.requirements).ok().unwrap();
        let used = parts.quotas.used(admitted.caller.trust_domain(), decision.at);
        let question = Question {
            caller,
            model: Some(&admitted.envelope.model),
            capability: admitted.method.capability(),
            declared: &admitted.envelope.declared,
            requirements: &demanded.requirements,
            broker_places: Some(&parts.places),
            used: &used,
            as_of: decision.at,
        };
        let judged = decide::judge(&snapshot, &question, Scope::OfItsModel);
        assert_eq!(decision.considered, judged.len());
        let expected = judged.iter().filter_map(|one| match one.verdict {
            Verdict::Eligible { expires_at } => Some((one.name.clone(), expires_at)),
            Verdict::Rejected { .. } => None,
        });
        let mut eligible: Vec<_> =
            decision.eligible.iter().map(|one| (one.offer.name.clone(), one.expires_at)).collect();
        eligible.sort();
        assert_eq!(eligible, expected.collect::<Vec<_>>(), "{admitted:?}");
        let digests = decision.eligible.iter().all(|one| {
            let offer = snapshot.federation().offer(&one.offer.name).unwrap();
            one.offer.sha256 == comity_membership::offer_digest(offer)
        });
        assert!(digests);
        assert_eq!(decision.refused.is_some(), eligible.is_empty());
        remembered
    }

    /// Another request of an offer that grants so many.
    fn use_one(&self, admitted: &Admitted, dice: &mut Dice) {
        let parts = self.world.access.parts();
        let snapshot = parts.registry.snapshot();
        let offers: Vec<_> = snapshot.index.of_model(&admitted.envelope.model).to_vec();
        if offers.is_empty() {
            return;
        }
        let offer = snapshot.index.offer(*dice.one(&offers)).unwrap();
        let caller = admitted.caller.trust_domain();
        let _full = parts.quotas.take(caller, offer, self.now(), &snapshot.tables());
    }
}

#[tokio::test]
async fn what_is_remembered_decides_as_a_judgement_of_every_offer_does_whatever_happens_in_between() {
    let seed = setting("COMITY_LEAKS_SEED").unwrap_or_else(any_seed);
    said(&format!("memory: seed {seed}"));
    let mut dice = Dice::new(seed);
    let mut scene = Scene::draw(&mut dice).await;
    let mut remembered = 0;
    for _ in 0..STEPS {
        let index = usize::try_from(dice.below(NODES)).unwrap();
        match dice.below(100) {
            0 => scene.publish(index, &mut dice).await,
            1 => scene.suspend_or_lift(index).await,
            2..=6 => scene.world.clock.advance(Duration::from_secs(60 * dice.below(90))),
            _ => {
                let asked = scene.asked(&mut dice);
                if dice.percent(20) {
                    scene.use_one(&asked, &mut dice);
                }
                remembered += u64::from(scene.decides_as_judged(&asked));
            }
        }
    }
    // Or nothing was shown.
    assert!(remembered > STEPS / 50, "{remembered} of {STEPS}");
}
