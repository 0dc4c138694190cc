//! The fold and the [model](super::model) say the same of whatever anybody says, in whatever order, whoever signs.

mod events;

use std::time::Duration;

use comity_policy::Claim;
use comity_policy::claim::{Assurance, value_digest};
use comity_types::Place;

use self::events::{DOMAINS, Event, OF_ONE, OPERATORS, aim, certificate, event, id, members};
use super::model::{self, Act, Gone, Model, Whose, scope};
use super::*;
use crate::signed::Genesis;
use crate::statement::Audit;

/// What is said, at which version, by whom, and as what entry.
type Utterance = (Act, u64, BTreeSet<String>, Body);

/// Both, side by side.
struct Pair {
    fold: TestFederation,
    model: Model,
    /// All that was said, with its signers and version, whether it was accepted or not.
    /// What was said, with the hour at which it was signed.
    said: Vec<(u64, Utterance)>,
    entries: Vec<Vec<u8>>,
}

impl Pair {
    fn founded() -> Self {
        let mut fold = TestFederation { now: Some(read("2026-11-25")), ..TestFederation::default() };
        let first: BTreeSet<String> = OPERATORS[..4].iter().map(|name| id(name)).collect();
        let operators = first.iter().map(|id| (read(id), fold.key(id).public())).collect();
        let (federation, root_sha256) = (read("fed.example"), Digest::of(b"root"));
        let (root_threshold, membership_threshold) = (3, 2);
        let genesis = Genesis { federation, root_sha256, operators, root_threshold, membership_threshold };
        let model = Model { operators: first, root: 3, membership: 2, epoch: 1, ..Model::default() };
        let mut pair = Self { fold, model, said: Vec::new(), entries: Vec::new() };
        pair.take(Body::Founded(genesis)).unwrap();
        for (domain, member) in DOMAINS.map(str::to_owned).into_iter().zip(members().into_iter().step_by(OF_ONE)) {
            pair.happen(Event::Said { act: Act::Admit { domain, member }, near: None, mask: u8::MAX, extra: None });
        }
        pair
    }

    fn take(&mut self, body: Body) -> Result<(), Refused> {
        let entry = self.fold.entry(body);
        self.fold.apply(&entry)?;
        self.entries.push(entry.to_json().unwrap());
        Ok(())
    }

    fn happen(&mut self, event: Event) {
        let (signed, (act, version, signers, body)) = match event {
            Event::Hours(hours) => {
                self.fold.wait(Duration::from_secs(hours * 3600));
                self.model.hour += hours;
                return;
            }
            Event::Again(back) => match self.said.iter().rev().nth(back) {
                Some(said) => said.clone(),
                None => return,
            },
            Event::Said { act, near, mask, extra } => {
                (self.model.hour, self.sign(aim(&self.model, act, near), mask, extra))
            }
        };
        let may_wait = match scope(&act) {
            Some(scope) if scope == "root" || scope == "tables" || scope.starts_with("governance/") => 30 * 24,
            Some(_) => 24,
            None => u64::MAX,
        };
        let may_be_said = self.model.hour - signed <= may_wait && self.model.has_seen(&act, signed);
        let expected = may_be_said && self.model.say(&act, version, &signers);
        let taken = self.take(body.clone());
        assert_eq!(taken.is_ok(), expected, "{act:?} at {version} by {signers:?}: {taken:?}");
        self.said.push((signed, (act, version, signers, body)));
    }

    fn sign(&mut self, mut act: Act, mask: u8, extra: Option<String>) -> Utterance {
        // What is signed names an instant: said again later, it is the same one.
        if let Act::Invite { ends, .. } = &mut act {
            *ends = self.model.hour + 24;
        }
        if let Act::Recognise { until, .. } | Act::Audit { until, .. } = &mut act {
            *until += self.model.hour;
        }
        let groups = self.model.groups(&act).unwrap_or_default();
        let matter: BTreeSet<String> = groups.into_iter().flat_map(|(group, _)| group).collect();
        let some = matter.into_iter().enumerate().filter(|(n, _)| mask & (1 << n) != 0).map(|(_, one)| one);
        let signers: BTreeSet<String> = some.chain(extra).collect();
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
            Act::Root { operators, root, membership } => {
                let [root_threshold, membership_threshold] = [root, membership].map(|n| u32::try_from(*n).unwrap());
                let operators = operators.iter().map(|id| (read(id), self.fold.key(id).public())).collect();
                Statement::RootChanged { operators, root_threshold, membership_threshold }
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
            Act::Anchors { domain, anchors } => {
                Statement::AnchorsChanged { organisation: read(domain), anchors: anchors.clone() }
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
            Act::Join { member, number, key } => {
                let (key, invite) = (self.fold.key(key).public(), number.map(invite));
                Statement::MemberAdmitted { id: read(member), key, tls_key: TlsKey::Admitted, invite }
            }
            Act::Withdraw { member } => withdrawn(member),
            Act::Publish { node, version, place } => offers::published(node, vec![offer(node, *version, place)]),
            Act::Unpublish { node } => offers::published(node, vec![]),
            Act::Update { domain, seat } => audits::updated(domain, seat),
            Act::Accept { domain, of, version } => {
                let terms = self.fold.federation.terms_of(&read(of), *version);
                terms::accepted(domain, of, *version, terms)
            }
            Act::Unaccept { domain, of } => Statement::TermsWithdrawn { organisation: read(domain), of: read(of) },
            Act::Recognise { domain, until, path } => Statement::AuditorRecognised {
                auditor: read(domain),
                paths: [read(path)].into(),
                up_to: Assurance::Audited,
                until: self.at_hour(*until),
            },
            Act::Unrecognise { domain } => audits::revoked(domain),
            Act::Audit { domain, about, value, until } => {
                let (about, path) = (read(about), read(model::path(about)));
                let value = digest_of(path, value);
                let (level, evidence) = (Assurance::Audited, Digest::of(b"a report"));
                let (from, until) = (read("2026-01-01"), self.at_hour(*until));
                audits::audited(domain, Audit { about, path, value, level, evidence, from, until })
            }
            Act::Unaudit { domain, about } => Statement::AuditWithdrawn {
                auditor: read(domain),
                about: read(about),
                path: read(model::path(about)),
                reason: String::new(),
            },
            Act::Adopt { tables } => tables::adopted(tables),
            Act::Suspend { subject, whose } => suspended(subject, by(whose)),
            Act::Lift { subject, whose } => lifted(subject, by(whose)),
            Act::Lapse { .. } => return None,
        })
    }

    fn at_hour(&self, hour: u64) -> Timestamp {
        self.start().plus(Duration::from_secs(hour * 3600))
    }

    /// What the policy is handed.
    fn agree_on_what_counts(&self) {
        let (federation, model) = (&self.fold.federation, &self.model);
        assert!(federation.is_weighed(), "what is kept is what comes out anew");
        let mut accepted = BTreeMap::new();
        for state in federation.organisations() {
            let domain = state.organisation.trust_domain.to_string();
            let of =
                state.facts.accepted_terms.iter().map(|(of, version)| ((domain.clone(), of.to_string()), *version));
            accepted.extend(of);
            let anchors = (state.anchors.clone(), state.anchors_epoch);
            assert_eq!(Some(&anchors), model.anchors.get(&domain), "{domain}");
            assert_eq!(signed(state.facts.seat.as_ref()), self.until(model.signed(&domain)), "{domain}");
        }
        assert_eq!(accepted, model.accepted);
        for offer in federation.offers() {
            let name = offer.name().to_string();
            assert_eq!(signed(offer.processing_locations.as_ref()), self.until(model.signed(&name)), "{name}");
        }
        assert_eq!(federation.offers().count(), model.offers.len());
        let audits = federation.audits.iter().flat_map(|(about, all)| all.keys().map(move |(_, by)| (about, by)));
        let standing: BTreeSet<_> = audits.map(|(about, by)| (about.to_string(), by.to_string())).collect();
        assert_eq!(standing, model.audits.keys().cloned().collect());
        let tables = federation.adopted().map(|adopted| adopted.texts.clone());
        assert_eq!(tables, model.tables.as_deref().map(tables::texts));
    }

    fn until(&self, hours: BTreeMap<String, u64>) -> BTreeMap<String, Timestamp> {
        let start = self.start();
        hours.into_iter().map(|(by, hour)| (by, start.plus(Duration::from_secs(hour * 3600)))).collect()
    }

    /// Who left, how, with what operators held against it, and whose keys theirs were.
    fn agree_on_who_left(&self) {
        let (federation, model) = (&self.fold.federation, &self.model);
        let left = federation.departures().map(|(subject, departure)| (subject.to_string(), self.gone(departure)));
        assert_eq!(left.collect::<BTreeMap<_, _>>(), model.gone);
        let former: BTreeMap<_, _> = federation.former.iter().map(|(key, id)| (*key, id.to_string())).collect();
        let expected = model.former.iter().map(|(holder, id)| (self.fold.keys[holder].public().id(), id.clone()));
        assert_eq!(former, expected.collect());
    }

    fn gone(&self, departure: &Departure) -> Gone {
        let Departure { evicted, reason, epoch, held } = departure;
        assert_eq!(reason, if *evicted { "a reason" } else { "" });
        let lapses = |at: Timestamp| at.since(self.start()).as_secs() / 3600;
        let held = held.iter().map(|(subject, word)| (subject.to_string(), word.lapses_at.map(lapses))).collect();
        Gone { evicted: *evicted, epoch: *epoch, held }
    }

    fn start(&self) -> Timestamp {
        self.fold.now.unwrap().minus(Duration::from_secs(self.model.hour * 3600))
    }

    fn agree(&self) {
        self.agree_on_what_counts();
        self.agree_on_who_left();
        let (federation, model) = (&self.fold.federation, &self.model);
        for id in members().into_iter().chain(OPERATORS.map(id)) {
            let (certificate, digest) = (certificate(&id), Digest::of(b"certificate"));
            let standing = told(&federation.standing_with(&read(&id), digest));
            assert_eq!(standing, model.standing(&id, &certificate), "{id}");
            assert_eq!(told(&federation.standing(&read(&id))), model.standing(&id, "no certificate"), "{id}");
        }
        let voters: BTreeSet<String> = federation.voters().map(|(id, _)| id.to_string()).collect();
        assert_eq!(voters, model.voters());
        assert!(voters.len() >= model.highest(), "both thresholds stay within reach");
        let governance = federation.governance().unwrap();
        let thresholds = [governance.root_threshold, governance.membership_threshold];
        assert_eq!(thresholds.map(|n| usize::try_from(n).unwrap()), [model.root, model.membership]);
        let there: BTreeSet<String> = federation.members().map(|(id, _)| id.to_string()).collect();
        assert_eq!(there, model.members.keys().chain(&model.operators).cloned().collect());
        let invites: Vec<_> = federation.invites().map(|(id, open)| (id.clone(), open.member.to_string())).collect();
        let expected = model.invites.iter().map(|(n, (member, _))| (InviteId::from_bytes([*n; 16]), member.clone()));
        assert_eq!(invites, expected.collect::<Vec<_>>());
        let brakes: BTreeSet<String> =
            federation.brakes().into_iter().map(|(_, subject)| subject.to_string()).collect();
        let expected = model.words.iter().filter(|(_, word)| word.is_some()).map(|((subject, _), _)| subject.clone());
        assert_eq!(brakes, expected.collect());
        let versions: BTreeMap<_, _> =
            federation.versions.iter().map(|(s, said)| (s.to_string(), said.last())).collect();
        assert_eq!(versions, model.said);
    }
}

/// The statements of a claim whose signatures were checked: who signed, and until when it holds.
fn signed<T>(claim: Option<&Claim<T>>) -> BTreeMap<String, Timestamp> {
    let all = claim.into_iter().flat_map(Claim::statements).filter(|one| one.countersigned.is_yes());
    all.map(|one| (one.issuer.clone().unwrap(), one.validity.until.unwrap())).collect()
}

/// An offer that says where it is processed, under terms of a version.
fn offer(node: &str, version: u32, place: &str) -> Offer {
    let mut offer = terms::offer(node, "o1", version);
    offer.processing_locations = Some(Claim::always(BTreeSet::from([read(place)])));
    offer
}

/// The digest of a place, as a claim at a path states it.
fn digest_of(path: ClaimPath, place: &str) -> Digest {
    let place: Place = read(place);
    if path.is_of_organisation() { value_digest(&place) } else { value_digest(&BTreeSet::from([place])) }
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

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { cases: 256, ..Default::default() })]

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
