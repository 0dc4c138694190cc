//! Who is refused, by whom and for how long.
//!
//! Operators and the organisation itself suspend without regard to each other: somebody takes part whom neither
//! refuses, and each lifts its own alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use comity_transparency::{KeyId, PublicKey};
use comity_types::ids::Kind;
use comity_types::{Digest, SpiffeId, Timestamp};

use super::{Departure, Federation, Place, Refused, check_reason};
use crate::Payload;
use crate::statement::{By, Statement, Subject};

/// How long one operator's suspension holds without the others: long enough for a weekend, too short to rule by.
pub const BRAKE: Duration = Duration::from_secs(72 * 60 * 60);

/// Most certificates of one member that are suspended at once: whose key is copied more often, suspend the member.
pub const MAX_CERTIFICATES: usize = 64;

/// Why and since when somebody is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspension {
    /// Why.
    pub reason: String,
    /// The epoch of the statement.
    pub epoch: u64,
    /// Its time.
    pub at: Timestamp,
    /// When it lapses, if nobody ratifies it: a brake's alone.
    pub lapses_at: Option<Timestamp>,
}

/// Who refuses somebody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Suspensions {
    /// The federation: the threshold of its operators, or one by a brake.
    pub federation: Option<Suspension>,
    /// The organisation itself.
    pub own: Option<Suspension>,
}

impl Suspensions {
    /// True if nobody does.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.federation.is_none() && self.own.is_none()
    }

    /// The one to tell of: the federation's before the organisation's.
    #[must_use]
    pub fn first(&self) -> Option<&Suspension> {
        self.federation.as_ref().or(self.own.as_ref())
    }

    /// Each of the two, with who said it of whom.
    fn each(&self, subject: Subject) -> impl Iterator<Item = (Subject, By, &Suspension)> {
        let by = |one: &Suspension| if one.lapses_at.is_some() { By::Brake } else { By::Federation };
        let federation = self.federation.iter().map(move |one| (by(one), one));
        let own = self.own.iter().map(|one| (By::Organisation, one));
        federation.chain(own).map(move |(by, one)| (subject.clone(), by, one))
    }

    const fn by(&self, by: By) -> Option<&Suspension> {
        match by {
            By::Federation | By::Brake => self.federation.as_ref(),
            By::Organisation => self.own.as_ref(),
        }
    }

    const fn of(&mut self, by: By) -> &mut Option<Suspension> {
        match by {
            By::Federation | By::Brake => &mut self.federation,
            By::Organisation => &mut self.own,
        }
    }
}

/// Whether a member takes part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It does.
    Active,
    /// It, its organisation or its certificate is suspended.
    Suspended {
        /// Which of them.
        subject: Subject,
        /// Why.
        reason: String,
        /// Since which epoch.
        epoch: u64,
    },
    /// It, or its organisation, was a member and is none any more.
    Departed {
        /// Which of the two.
        subject: Subject,
        /// How.
        departure: Departure,
    },
    /// It was never admitted.
    Unknown,
}

impl Federation {
    /// Whether a member takes part: itself, and its organisation.
    #[must_use]
    pub fn standing(&self, id: &SpiffeId) -> Standing {
        let organisation = Subject::Organisation(id.trust_domain().clone());
        let Some(member) = self.member(id) else { return self.absence(id, organisation) };
        let of_organisation = self.organisation(id.trust_domain()).and_then(|state| state.suspensions.first());
        match (of_organisation, member.suspensions.first()) {
            (Some(suspension), _) => suspended(organisation, suspension),
            (None, Some(suspension)) => suspended(Subject::Member(id.clone()), suspension),
            (None, None) => Standing::Active,
        }
    }

    /// As [`standing`](Self::standing), for a member that shows this certificate.
    #[must_use]
    pub fn standing_with(&self, id: &SpiffeId, certificate: Digest) -> Standing {
        let standing = self.standing(id);
        if standing != Standing::Active || self.certificates.is_empty() {
            return standing;
        }
        match self.certificates.get(&(id.clone(), certificate)).and_then(Suspensions::first) {
            Some(suspension) => suspended(Subject::Certificate { member: id.clone(), sha256: certificate }, suspension),
            None => Standing::Active,
        }
    }

    /// The certificates of a member that are suspended.
    pub fn suspended_certificates_of(&self, id: &SpiffeId) -> impl Iterator<Item = (&Digest, &Suspensions)> {
        let of_it = self.certificates.iter().filter(move |((member, _), _)| member == id);
        of_it.map(|((_, sha256), suspensions)| (sha256, suspensions))
    }

    /// The certificates that are suspended, with whose they are.
    pub fn suspended_certificates(&self) -> impl Iterator<Item = (&SpiffeId, &Digest, &Suspension)> {
        self.certificates.iter().filter_map(|((id, digest), all)| Some((id, digest, all.first()?)))
    }

    /// The brakes, with the instant at which each lapses, the first to lapse at the head.
    #[must_use]
    pub fn brakes(&self) -> Vec<(Timestamp, Subject)> {
        let organisations = self.organisations.iter().map(|(d, s)| (Subject::Organisation(d.clone()), &s.suspensions));
        let members = self.members.iter().map(|(id, s)| (Subject::Member(id.clone()), &s.suspensions));
        let certificates = self.certificates.iter().map(|((id, digest), suspensions)| {
            (Subject::Certificate { member: id.clone(), sha256: *digest }, suspensions)
        });
        let lapses = |all: &Suspensions| all.federation.as_ref().and_then(|suspension| suspension.lapses_at);
        let all = organisations.chain(members).chain(certificates);
        let mut brakes: Vec<_> = all.filter_map(|(subject, all)| Some((lapses(all)?, subject))).collect();
        brakes.sort();
        brakes
    }

    /// Everybody who is refused, by whom, and why: the federation's word and the organisation's own stand apart.
    #[must_use]
    pub fn suspended(&self) -> Vec<(Subject, By, &Suspension)> {
        let organisations = self.organisations.iter().map(|(d, s)| (Subject::Organisation(d.clone()), &s.suspensions));
        let members = self.members.iter().map(|(id, s)| (Subject::Member(id.clone()), &s.suspensions));
        let certificates = self.certificates.iter().map(|((id, digest), suspensions)| {
            (Subject::Certificate { member: id.clone(), sha256: *digest }, suspensions)
        });
        organisations.chain(members).chain(certificates).flat_map(|(subject, all)| all.each(subject)).collect()
    }

    /// Who made the brake that holds this subject, if one does.
    #[must_use]
    pub fn braked_by(&self, subject: &Subject) -> Option<&SpiffeId> {
        let mut all = self.brakes.keys().filter(|(_, braked)| braked == subject).map(|(operator, _)| operator);
        all.find(|operator| self.is_braked_by(operator, subject))
    }

    /// Whether its organisation alone suspended this subject, and so ends that by its own word.
    #[must_use]
    pub fn is_suspended_by_its_own_alone(&self, subject: &Subject) -> bool {
        self.suspensions_on(subject).is_some_and(|all| all.own.is_some() && all.federation.is_none())
    }

    fn suspensions_on(&self, subject: &Subject) -> Option<&Suspensions> {
        match subject {
            Subject::Organisation(domain) => self.organisation(domain).map(|state| &state.suspensions),
            Subject::Member(id) => self.member(id).map(|state| &state.suspensions),
            Subject::Certificate { member, sha256 } => self.certificates.get(&(member.clone(), *sha256)),
        }
    }

    /// Whether a brake holds this subject that `operator` made, and may take back.
    #[must_use]
    pub fn is_braked_by(&self, operator: &SpiffeId, subject: &Subject) -> bool {
        let standing = self.suspensions_on(subject).and_then(|all| all.federation.as_ref());
        let brake = standing.filter(|standing| standing.lapses_at.is_some()).map(|standing| &standing.epoch);
        brake.is_some() && brake == self.brakes.get(&(operator.clone(), subject.clone()))
    }

    /// Whether a member is refused, and by nobody but its own organisation: as a whole, as a member, or by the certificate
    /// that it shows. The organisation's key ends all three.
    #[must_use]
    pub fn is_held_by_its_own_alone(&self, id: &SpiffeId, certificate: Digest) -> bool {
        let (Some(organisation), Some(member)) = (self.organisation(id.trust_domain()), self.member(id)) else {
            return false;
        };
        let shown = self.certificates.get(&(id.clone(), certificate));
        let all = || [&organisation.suspensions, &member.suspensions].into_iter().chain(shown);
        all().any(|one| one.own.is_some()) && all().all(|one| one.federation.is_none())
    }

    /// Whether nothing refuses a member but that its organisation has paused itself as a whole, which it ends by its own
    /// word. A member or a certificate that it suspended beside that, it has reason not to listen to in anything else.
    #[must_use]
    pub fn is_paused_by_its_own_alone(&self, id: &SpiffeId, certificate: Option<Digest>) -> bool {
        let (Some(organisation), Some(member)) = (self.organisation(id.trust_domain()), self.member(id)) else {
            return false;
        };
        let shown = certificate.and_then(|certificate| self.certificates.get(&(id.clone(), certificate)));
        let (own, rest) = (&organisation.suspensions, [&member.suspensions].into_iter().chain(shown));
        own.own.is_some() && own.federation.is_none() && rest.into_iter().all(Suspensions::is_none)
    }

    fn absence(&self, id: &SpiffeId, organisation: Subject) -> Standing {
        let departed = |subject: Subject| {
            let departure = self.departed.get(&subject)?.clone();
            Some(Standing::Departed { subject, departure })
        };
        departed(organisation).or_else(|| departed(Subject::Member(id.clone()))).unwrap_or(Standing::Unknown)
    }

    pub(super) fn suspend(
        &mut self,
        subject: &Subject,
        reason: &str,
        by: By,
        place: Place,
        signers: &BTreeSet<KeyId>,
    ) -> Result<(), Refused> {
        check_reason(reason)?;
        self.check_enough_operators(subject, by, signers)?;
        self.check_few_certificates(subject, by)?;
        let spent = if by == By::Brake { self.brakes_spent(subject, signers)? } else { Vec::new() };
        let lapses_at = (by == By::Brake).then(|| place.at.plus(BRAKE));
        let standing = self.suspensions_of(subject)?.of(by);
        // The threshold may ratify a brake, and no more.
        let ratifies = by == By::Federation && standing.as_ref().is_some_and(|standing| standing.lapses_at.is_some());
        if standing.is_some() && !ratifies {
            return Err(Refused::AlreadySuspended(subject.clone()));
        }
        *standing = Some(Suspension { reason: reason.to_owned(), epoch: place.epoch, at: place.at, lapses_at });
        if by == By::Federation {
            self.brakes.retain(|(_, braked), _| braked != subject);
        }
        self.brakes.extend(spent.into_iter().map(|brake| (brake, place.epoch)));
        self.weigh_audited_by(subject);
        Ok(())
    }

    pub(super) fn lift(&mut self, subject: &Subject, by: By, signers: &BTreeSet<KeyId>) -> Result<(), Refused> {
        let lifted = self.take_off(subject, by, signers);
        self.forget_certificates();
        self.weigh_audited_by(subject);
        lifted
    }

    /// Whether operators who lift a suspension can have seen it when they signed. A brake is no statement of the scope in which
    /// they lift, so that no version there tells whether theirs came before it.
    pub(super) fn check_seen(&self, payload: &Payload) -> Result<(), Refused> {
        let Statement::Lifted { subject, by: By::Federation } = &payload.statement else { return Ok(()) };
        let came_later = |(of, by, standing): &(Subject, By, &Suspension)| {
            of == subject && *by != By::Organisation && payload.at < standing.at
        };
        match self.suspended().iter().find(|one| came_later(one)) {
            Some((.., standing)) => Err(Refused::NotSeen { subject: subject.clone(), since: standing.at }),
            None => Ok(()),
        }
    }

    fn take_off(&mut self, subject: &Subject, by: By, signers: &BTreeSet<KeyId>) -> Result<(), Refused> {
        let brakes = self.brakes_of(subject, signers);
        let all = self.suspensions_of(subject)?;
        let not_theirs = not_by(by, all, subject);
        let place = all.of(by);
        let standing = place.as_ref().ok_or(not_theirs)?;
        // One operator takes back a brake, and not what the threshold has said.
        if by == By::Brake && standing.lapses_at.is_none() {
            return Err(Refused::Ratified(subject.clone()));
        }
        // And their own alone: or whoever has the key of one would undo what another stops them with.
        if by == By::Brake && !brakes.contains(&standing.epoch) {
            return Err(Refused::TooFew { who: "operators who braked it", have: 0, needed: 1 });
        }
        *place = None;
        if by == By::Federation {
            self.brakes.retain(|(_, braked), _| braked != subject);
        }
        Ok(())
    }

    pub(super) fn lapse(&mut self, subject: &Subject, now: Timestamp) -> Result<(), Refused> {
        let lapsed = self.take_off_lapsed(subject, now);
        self.forget_certificates();
        self.weigh_audited_by(subject);
        lapsed
    }

    fn take_off_lapsed(&mut self, subject: &Subject, now: Timestamp) -> Result<(), Refused> {
        let place = self.suspensions_of(subject)?.of(By::Brake);
        let lapses_at = place.as_ref().and_then(|standing| standing.lapses_at);
        if lapses_at.is_none_or(|at| now < at) {
            return Err(Refused::NotLapsed(subject.clone()));
        }
        *place = None;
        Ok(())
    }

    fn suspensions_of(&mut self, subject: &Subject) -> Result<&mut Suspensions, Refused> {
        let place = match subject {
            Subject::Organisation(domain) => {
                self.organisations.get_mut(domain).map(|state| &mut Arc::make_mut(state).suspensions)
            }
            Subject::Member(id) => self.members.get_mut(id).map(|state| &mut Arc::make_mut(state).suspensions),
            Subject::Certificate { member, sha256 } if self.members.contains_key(member) => {
                self.certificates.entry_or_default(&(member.clone(), *sha256))
            }
            Subject::Certificate { .. } => None,
        };
        place.ok_or_else(|| Refused::NotAMember(subject.clone()))
    }

    /// Each counts its own: or one operator could leave an organisation no room for its own certificates.
    fn check_few_certificates(&self, subject: &Subject, by: By) -> Result<(), Refused> {
        let Subject::Certificate { member, sha256 } = subject else { return Ok(()) };
        let others = self.certificates.iter().filter(|((id, digest), _)| id == member && digest != sha256);
        let suspended = others.filter(|(_, suspensions)| suspensions.by(by).is_some()).count();
        if suspended < MAX_CERTIFICATES { Ok(()) } else { Err(Refused::TooManyCertificates(member.clone())) }
    }

    /// None is kept that nobody refuses: also one that was only looked for.
    fn forget_certificates(&mut self) {
        self.certificates.retain(|_, suspensions| !suspensions.is_none());
    }

    /// The operators who signed a brake, none of whom has braked this subject since the threshold last spoke of it.
    ///
    /// Nobody here can know which certificates there are, so those of a member are one subject: or one operator could stop
    /// a member for ever, with digests that it makes up, one after the other.
    fn brakes_spent(&self, subject: &Subject, signers: &BTreeSet<KeyId>) -> Result<Vec<(SpiffeId, Subject)>, Refused> {
        let spent: Vec<_> = self.signed_by(signers).map(|id| (id.clone(), subject.clone())).collect();
        if spent.iter().any(|brake| self.brakes.contains_key(brake)) {
            return Err(Refused::BrakeSpent(subject.clone()));
        }
        let Subject::Certificate { member, .. } = subject else { return Ok(spent) };
        let signed = |operator: &SpiffeId| spent.iter().any(|(id, _)| id == operator);
        let another = |braked: &Subject| matches!(braked, Subject::Certificate { member: of, .. } if of == member);
        match self.brakes.keys().find(|(operator, braked)| another(braked) && signed(operator)) {
            Some((_, braked)) => Err(Refused::BrakeSpentOnAnother(Box::new(braked.clone()))),
            None => Ok(spent),
        }
    }

    /// The epochs at which those who signed have braked this subject.
    fn brakes_of(&self, subject: &Subject, signers: &BTreeSet<KeyId>) -> BTreeSet<u64> {
        self.signed_by(signers).filter_map(|id| self.brakes.get(&(id.clone(), subject.clone()))).copied().collect()
    }

    fn signed_by(&self, signers: &BTreeSet<KeyId>) -> impl Iterator<Item = &SpiffeId> {
        self.voters().filter(|(_, key)| signers.contains(&key.id())).map(|(id, _)| id)
    }

    /// What operators have suspended of a member: itself, or a certificate.
    pub(super) fn held_by_operators(&self, id: &SpiffeId) -> Option<Subject> {
        if self.member(id).is_some_and(|member| member.suspensions.federation.is_some()) {
            return Some(Subject::Member(id.clone()));
        }
        let mut all = self.certificates.iter().filter(|((member, _), _)| member == id);
        let held = all.find(|(_, suspensions)| suspensions.federation.is_some());
        held.map(|((member, sha256), _)| Subject::Certificate { member: member.clone(), sha256: *sha256 })
    }

    /// Operators cannot be suspended below the threshold: nobody could lift it again. Nor can they be braked so that
    /// it needs those who brake: one alone would have a veto for as long as a brake holds. Who is braked by a certificate
    /// counts as braked, since it may be the only one they have. What the threshold says of a certificate takes away no
    /// vote, and with every operator signing it also not the last one.
    fn check_enough_operators(&self, subject: &Subject, by: By, signers: &BTreeSet<KeyId>) -> Result<(), Refused> {
        let Some(id) = subject.member() else { return Ok(()) };
        let governed = id.kind() == Kind::Operator && self.name() == Some(id.trust_domain());
        let votes = match by {
            By::Organisation => false,
            By::Brake => true,
            By::Federation => matches!(subject, Subject::Member(_)),
        };
        if !governed || !votes {
            return Ok(());
        }
        let needed = self.governance.as_ref().map_or(1, |all| all.root_threshold.max(all.membership_threshold));
        let brakes = |key: &PublicKey| signers.contains(&key.id());
        let out = |voter: &SpiffeId, key| by == By::Brake && (brakes(key) || self.held_by_operators(voter).is_some());
        let left = self.voters().filter(|(voter, key)| *voter != id && !out(voter, key)).count();
        if left < usize::try_from(needed).unwrap_or(usize::MAX) {
            return Err(Refused::LastOperator(subject.clone()));
        }
        Ok(())
    }
}

/// What whoever lifts is told where they have not suspended the subject themselves.
fn not_by(by: By, all: &Suspensions, subject: &Subject) -> Refused {
    match by {
        By::Federation | By::Brake if all.own.is_some() => Refused::SuspendedByItsOwn(subject.clone()),
        By::Organisation if all.federation.is_some() => Refused::SuspendedByOperators(subject.clone()),
        By::Federation | By::Brake | By::Organisation => Refused::NotSuspended(subject.clone()),
    }
}

fn suspended(subject: Subject, suspension: &Suspension) -> Standing {
    Standing::Suspended { subject, reason: suspension.reason.clone(), epoch: suspension.epoch }
}
