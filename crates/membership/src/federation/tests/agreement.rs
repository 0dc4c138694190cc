//! The fold and the [model](super::model) say the same of whatever anybody says, in whatever order, whoever signs.

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::select;

use super::model::{Act, BRAKE_HOURS, Model, Whose, domain, scope};
use super::*;
use crate::signed::Genesis;

const OPERATORS: [&str; 5] = ["o0", "o1", "o2", "o3", "o4"];
const DOMAINS: [&str; 2] = ["a.example", "b.example"];
const NAMES: [&str; 2] = ["n1", "n2"];

/// What happens.
#[derive(Debug, Clone)]
enum Event {
    /// Those of whom a bit is set sign, of all whose signature could matter; and perhaps somebody else does.
    Said {
        act: Act,
        mask: u8,
        extra: Option<String>,
    },
    /// What was said before, so many back, accepted or not, is said again.
    Again(usize),
    Hours(u64),
}

fn id(name: &str) -> String {
    operator_text(name)
}

fn members() -> Vec<String> {
    DOMAINS.iter().flat_map(|domain| NAMES.map(|name| format!("spiffe://{domain}/node/{name}"))).collect()
}

fn certificate(member: &str) -> String {
    format!("{member}#sha256={}", Digest::of(b"certificate"))
}

fn subjects() -> Vec<String> {
    let certificates = members().iter().map(|id| certificate(id)).collect::<Vec<_>>();
    let operators = OPERATORS.map(id).to_vec();
    let operator_certificate = vec![certificate(&id("o1"))];
    [DOMAINS.map(str::to_owned).to_vec(), members(), certificates, operators, operator_certificate].concat()
}

fn subset(of: Vec<String>) -> impl Strategy<Value = BTreeSet<String>> {
    let len = of.len();
    proptest::sample::subsequence(of, 0..=len).prop_map(BTreeSet::from_iter)
}

fn act() -> impl Strategy<Value = Act> {
    let domain = || select(DOMAINS.to_vec()).prop_map(str::to_owned);
    let (member, subject, number) = (|| select(members()), || select(subjects()), || 0..4_u8);
    let whose = || select(vec![Whose::All, Whose::One, Whose::Own]);
    let keys = |domain: &str| (0..3).map(|n| format!("{domain} {n}")).collect::<Vec<_>>();
    prop_oneof![
        1 => (subset(OPERATORS.map(id).to_vec()), 0..4_usize)
            .prop_map(|(operators, threshold)| Act::Root { operators, threshold }),
        4 => member().prop_map(|member| Act::Admit { domain: model::domain(&member), member }),
        1 => domain().prop_map(|domain| Act::Evict { domain }),
        1 => domain().prop_map(|domain| Act::Leave { domain }),
        2 => domain().prop_flat_map(move |domain| {
            subset(keys(&domain)).prop_map(move |keys| Act::Keys { domain: domain.clone(), keys })
        }),
        3 => (member(), number()).prop_map(|(member, number)| Act::Invite { member, number, ends: 0 }),
        1 => (domain(), number()).prop_map(|(domain, number)| Act::Revoke { domain, number }),
        4 => (member(), proptest::option::of(number())).prop_map(|(member, number)| Act::Join { member, number }),
        2 => member().prop_map(|member| Act::Withdraw { member }),
        1 => member().prop_map(|node| Act::Publish { node }),
        7 => (subject(), whose()).prop_map(|(subject, whose)| Act::Suspend { subject, whose }),
        5 => (subject(), whose()).prop_map(|(subject, whose)| Act::Lift { subject, whose }),
        2 => subject().prop_map(|subject| Act::Lapse { subject }),
    ]
}

fn event() -> impl Strategy<Value = Event> {
    let strangers = ["eve", "a.example 0", "b.example 1", "invite 1"].map(str::to_owned);
    let extra = select([strangers.to_vec(), members(), OPERATORS.map(id).to_vec()].concat());
    let extra = prop_oneof![12 => Just(None), 1 => extra.prop_map(Some)];
    let mask = prop_oneof![2 => Just(u8::MAX), 3 => any::<u8>(), 3 => (0..5_u8).prop_map(|bit| 1 << bit)];
    prop_oneof![
        20 => (act(), mask, extra).prop_map(|(act, mask, extra)| Event::Said { act, mask, extra }),
        2 => (0..8_usize).prop_map(Event::Again),
        1 => (1..BRAKE_HOURS).prop_map(Event::Hours),
    ]
}

/// Both, side by side.
struct Pair {
    fold: TestFederation,
    model: Model,
    /// All that was said, with its signers and version, whether it was accepted or not.
    said: Vec<(Act, u64, BTreeSet<String>, Body)>,
    entries: Vec<Vec<u8>>,
}

impl Pair {
    fn founded() -> Self {
        let mut fold = TestFederation { now: Some(read("2026-11-25")), ..TestFederation::default() };
        let first: BTreeSet<String> = OPERATORS[..4].iter().map(|name| id(name)).collect();
        let operators = first.iter().map(|id| (read(id), fold.key(id).public())).collect();
        let (federation, root_sha256) = (read("fed.example"), Digest::of(b"root"));
        let (root_threshold, membership_threshold) = (2, 2);
        let genesis = Genesis { federation, root_sha256, operators, root_threshold, membership_threshold };
        let model = Model { operators: first, threshold: 2, ..Model::default() };
        let mut pair = Self { fold, model, said: Vec::new(), entries: Vec::new() };
        pair.take(Body::Founded(genesis)).unwrap();
        pair
    }

    fn take(&mut self, body: Body) -> Result<(), Refused> {
        let entry = self.fold.entry(body);
        self.fold.apply(&entry)?;
        self.entries.push(entry.to_json().unwrap());
        Ok(())
    }

    fn happen(&mut self, event: Event) {
        let (act, version, signers, body) = match event {
            Event::Hours(hours) => {
                self.fold.wait(Duration::from_secs(hours * 3600));
                self.model.hour += hours;
                return;
            }
            Event::Again(back) => match self.said.iter().rev().nth(back) {
                Some(said) => said.clone(),
                None => return,
            },
            Event::Said { act, mask, extra } => self.sign(act, mask, extra),
        };
        let expected = self.model.say(&act, version, &signers);
        let taken = self.take(body.clone());
        assert_eq!(taken.is_ok(), expected, "{act:?} at {version} by {signers:?}: {taken:?}");
        self.said.push((act, version, signers, body));
    }

    fn sign(&mut self, mut act: Act, mask: u8, extra: Option<String>) -> (Act, u64, BTreeSet<String>, Body) {
        if let Act::Invite { ends, .. } = &mut act {
            *ends = self.model.hour + 24;
        }
        let could = could_sign(&act, &self.model).into_iter().enumerate().filter(|(n, _)| mask & (1 << n) != 0);
        let signers: BTreeSet<String> = could.map(|(_, one)| one).chain(extra).collect();
        let Some(statement) = self.statement(&act) else {
            let Act::Lapse { subject } = &act else { panic!("{act:?}") };
            let body = lapsed(subject);
            return (act, 0, BTreeSet::new(), body);
        };
        let version = self.model.next(&scope(&act).unwrap());
        let names: Vec<&str> = signers.iter().map(String::as_str).collect();
        let envelope = self.fold.signed_at(version, statement, &names);
        (act, version, signers, Body::Signed(envelope))
    }

    fn statement(&mut self, act: &Act) -> Option<Statement> {
        let by = |whose: &Whose| match whose {
            Whose::All => By::Federation,
            Whose::One => By::Brake,
            Whose::Own => By::Organisation,
        };
        let invite = |number: u8| InviteId::from_bytes([number; 16]);
        Some(match act {
            Act::Root { operators, threshold } => {
                let threshold = u32::try_from(*threshold).unwrap();
                let operators = operators.iter().map(|id| (read(id), self.fold.key(id).public())).collect();
                Statement::RootChanged { operators, root_threshold: threshold, membership_threshold: threshold }
            }
            Act::Admit { domain, member } => {
                let application = self.fold.application_by(domain, &format!("{domain} 0"), member);
                Statement::OrganisationAdmitted { application }
            }
            Act::Evict { domain } => evicted(domain),
            Act::Leave { domain } => left(domain),
            Act::Keys { domain, keys: holders } => {
                keys(&mut self.fold, domain, &holders.iter().map(String::as_str).collect::<Vec<_>>())
            }
            Act::Invite { member, number, ends } => {
                let in_hours = Duration::from_secs((ends - self.model.hour) * 3600);
                let expires_at = self.fold.now.unwrap().plus(in_hours);
                let key = self.fold.key(&format!("invite {number}")).public();
                Statement::MemberInvited { member: read(member), invite: invite(*number), key, expires_at }
            }
            Act::Revoke { domain, number } => {
                Statement::InviteRevoked { organisation: read(domain), invite: invite(*number) }
            }
            Act::Join { member, number } => {
                let (key, invite) = (self.fold.key(member).public(), number.map(invite));
                Statement::MemberAdmitted { id: read(member), key, tls_key: TlsKey::Admitted, invite }
            }
            Act::Withdraw { member } => withdrawn(member),
            Act::Publish { node } => offers::published(node, vec![]),
            Act::Suspend { subject, whose } => suspended(subject, by(whose)),
            Act::Lift { subject, whose } => lifted(subject, by(whose)),
            Act::Lapse { .. } => return None,
        })
    }

    fn agree(&self) {
        let (federation, model) = (&self.fold.federation, &self.model);
        for id in members().into_iter().chain(OPERATORS.map(id)) {
            let (certificate, digest) = (certificate(&id), Digest::of(b"certificate"));
            let standing = told(&federation.standing_with(&read(&id), digest));
            assert_eq!(standing, model.standing(&id, &certificate), "{id}");
            assert_eq!(told(&federation.standing(&read(&id))), model.standing(&id, "no certificate"), "{id}");
        }
        let voters: BTreeSet<String> = federation.voters().map(|(id, _)| id.to_string()).collect();
        assert_eq!(voters, model.voters());
        assert!(voters.len() >= model.threshold, "the threshold stays within reach");
        let invites: Vec<_> = federation.invites().map(|(id, open)| (id.clone(), open.member.to_string())).collect();
        let expected = model.invites.iter().map(|(n, (member, _))| (InviteId::from_bytes([*n; 16]), member.clone()));
        assert_eq!(invites, expected.collect::<Vec<_>>());
        let brakes: BTreeSet<String> =
            federation.brakes().into_iter().map(|(_, subject)| subject.to_string()).collect();
        let expected = model.words.iter().filter(|(_, word)| word.is_some()).map(|((subject, _), _)| subject.clone());
        assert_eq!(brakes, expected.collect());
        let versions: BTreeMap<_, _> =
            federation.versions.iter().map(|(s, head)| (s.to_string(), head.version)).collect();
        assert_eq!(versions, model.said);
    }
}

/// Everyone whose signature could matter.
fn could_sign(act: &Act, model: &Model) -> Vec<String> {
    let keys = |of: &str| {
        let keys = model.organisations.get(&domain(of));
        keys.map_or_else(|| vec![format!("{} 0", domain(of))], |keys| keys.iter().cloned().collect())
    };
    match act {
        Act::Root { .. } | Act::Admit { .. } | Act::Evict { .. } => OPERATORS.map(id).to_vec(),
        Act::Suspend { whose: Whose::All | Whose::One, .. } | Act::Lift { whose: Whose::All | Whose::One, .. } => {
            OPERATORS[..4].iter().map(|name| id(name)).collect()
        }
        Act::Suspend { subject: of, .. } | Act::Lift { subject: of, .. } => keys(of),
        Act::Leave { domain: of } | Act::Revoke { domain: of, .. } => keys(of),
        Act::Invite { member: of, .. } | Act::Withdraw { member: of } => keys(of),
        Act::Keys { domain, keys: new } => new.iter().cloned().chain(keys(domain)).collect(),
        Act::Join { member, number: None } => [vec![member.clone()], keys(member)].concat(),
        Act::Join { member, number: Some(number) } => vec![member.clone(), format!("invite {number}")],
        Act::Publish { node } => [vec![node.clone()], keys(node)].concat(),
        Act::Lapse { .. } => vec![],
    }
}

/// As the model tells it.
fn told(standing: &Standing) -> String {
    match standing {
        Standing::Active => "active".into(),
        Standing::Suspended { subject, .. } => format!("suspended {subject}"),
        Standing::Departed { subject, .. } => format!("departed {subject}"),
        Standing::Unknown => "unknown".into(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_fold_and_the_model_agree_on_whatever_is_said(events in proptest::collection::vec(event(), 20..60), cut in 0..60_usize) {
        let mut pair = Pair::founded();
        for event in events {
            pair.happen(event);
            pair.agree();
        }
        round_trips::survives(&pair.entries, cut % pair.entries.len(), &pair.fold.federation);
    }
}
