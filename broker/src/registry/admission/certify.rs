//! Certificates for keys that are admitted, from the authority that the broker hosts for their organisation.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::{CertificateDer, SigningRequest, VerifiedPeer};
use comity_membership::federation::Suspensions;
use comity_membership::{Federation, Standing, Subject};
use comity_runtime::chain;
use comity_types::ids::Kind;
use comity_types::{Digest, SpiffeId, Timestamp, TrustDomain};

use super::error::Ends;
use super::{Admission, AdmissionError, Inner, is_used_up};
use crate::registry::authorities::AuthorityError;
use crate::registry::enrolments::State;

/// What was handed out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certificate {
    /// The chain, leaf first, DER; none where the organisation has an authority of its own, which signs.
    pub chain: Vec<Vec<u8>>,
    /// When the leaf ends.
    pub not_after: Option<Timestamp>,
    /// The organisation's anchors, DER.
    pub anchors: Vec<Vec<u8>>,
}

impl Admission {
    /// A fresh certificate for a member that takes part, for its own ID and the key it calls with alone:
    /// the edge knows members by their keys, so another key would be turned away there.
    ///
    /// # Errors
    /// It is suspended or unknown, asks for another key, or its authority cannot sign.
    pub fn renew(&self, peer: &VerifiedPeer, csr: &SigningRequest) -> Result<Certificate, AdmissionError> {
        if csr.public_key_digest() != peer.public_key() {
            let problem = "is for another key than the one that calls (hint: renew with the same key; a new key needs a new invite)".into();
            return Err(AdmissionError::Invalid { field: "csr_der", problem });
        }
        self.0.certificate(peer.id(), csr)
    }

    /// A certificate for a key that is admitted, whatever became of its last one: whoever signed the request has it.
    ///
    /// # Errors
    /// The key is not admitted, and where it asked to be: how that stands. Or its holder is suspended, or its authority
    /// cannot sign.
    pub fn certify(&self, csr: &SigningRequest) -> Result<(SpiffeId, Certificate), AdmissionError> {
        let member = self.0.holder(csr.public_key_digest())?;
        let certificate = self.0.certificate_by_key(&member, csr)?;
        Ok((member, certificate))
    }

    /// Whether [`certify`](Self::certify) would give the key a certificate by what is known of its holder: none is made, so that
    /// who only wants to know why it is refused puts no certificate into the world.
    ///
    /// # Errors
    /// Those of [`certify`](Self::certify), except that its authority cannot sign.
    pub fn would_certify(&self, csr: &SigningRequest) -> Result<(), AdmissionError> {
        let member = self.0.holder(csr.public_key_digest())?;
        let snapshot = self.0.registry.snapshot();
        self.0.check_certificates(snapshot.federation(), &member)?;
        check_standing(snapshot.federation(), &member)
    }
}

impl Admission {
    /// The anchors that an organisation has to sign so that its hosted authority gets a new key, or is rid of the old.
    ///
    /// # Errors
    /// The broker hosts none for it, or a roll is not over.
    pub fn anchors_due(&self, organisation: &TrustDomain) -> Result<Vec<Vec<u8>>, AdmissionError> {
        let in_force = self.0.certificates(self.0.registry.snapshot().federation(), organisation)?;
        let due = self.0.authorities.due(organisation, &in_force, self.0.clock.now())?;
        Ok(due.iter().map(|anchor| anchor.to_vec()).collect())
    }

    /// Has all hosted authorities do what their organisations have signed, as when the broker starts. Those that are lost
    /// are told of: their members notice when their certificates end, and by then it is late.
    ///
    /// # Errors
    /// Files cannot be used.
    pub fn follow_anchors(&self) -> Result<(), AdmissionError> {
        let snapshot = self.0.registry.snapshot();
        let federation = snapshot.federation();
        for state in federation.organisations() {
            let domain = &state.organisation.trust_domain;
            self.follow_anchors_of(domain)?;
            let anchors = self.0.anchors(federation, domain)?;
            if let Err(lost) = self.0.authorities.find(domain)
                && !self.0.authorities.is_another(domain, &anchors)?
            {
                self.0.authorities.count_lost(domain);
                tracing::error!(organisation = %domain, error = chain::text(&lost), "a hosted authority is lost, and signs nothing: certificates of its organisation end within a day");
            }
        }
        Ok(())
    }

    /// Has the hosted authority of one organisation do what it has signed.
    ///
    /// # Errors
    /// Files cannot be used; the broker's next start goes on where it stopped.
    pub fn follow_anchors_of(&self, organisation: &TrustDomain) -> Result<(), AdmissionError> {
        let in_force = self.0.certificates(self.0.registry.snapshot().federation(), organisation)?;
        Ok(self.0.authorities.follow(organisation, &in_force, self.0.leaf.load().longest(), self.0.clock.now())?)
    }
}

/// Whose key this is.
fn admitted(federation: &Federation, key: Digest) -> Option<SpiffeId> {
    federation.members().find(|(_, member)| member.key.id() == key).map(|(id, _)| id.clone())
}

/// Whether a member takes part, or its organisation's own pause alone keeps it from that: the pause may last for longer than a
/// certificate, and nobody else ends it. Nobody but the edge takes such a certificate: the organisation's bundle is empty, and
/// every call but the one that ends the pause is refused.
fn check_standing(federation: &Federation, member: &SpiffeId) -> Result<(), AdmissionError> {
    match federation.standing(member) {
        Standing::Active => Ok(()),
        Standing::Suspended { .. } if federation.is_paused_by_its_own_alone(member, None) => Ok(()),
        Standing::Suspended { subject, reason, .. } => {
            let (member, subject) = (member.clone(), Box::new(subject));
            Err(AdmissionError::Suspended { member, subject, reason })
        }
        Standing::Departed { .. } | Standing::Unknown => Err(AdmissionError::NotActive { member: member.clone() }),
    }
}

impl Inner {
    /// Whose key this is, as a member.
    fn holder(&self, key: Digest) -> Result<SpiffeId, AdmissionError> {
        let snapshot = self.registry.snapshot();
        admitted(snapshot.federation(), key).ok_or_else(|| self.not_admitted(snapshot.federation(), key))
    }

    /// Why a key has no certificate: its holder has left, it asked to be admitted and was not answered, it was turned
    /// down, or nobody knows it.
    /// Whoever has the key may know that: it is theirs.
    fn not_admitted(&self, federation: &Federation, key: Digest) -> AdmissionError {
        let (enrolments, fingerprint) = (self.enrolments.current(), key.fingerprint());
        let left = federation.former(&key).and_then(|id| match federation.standing(id) {
            Standing::Departed { subject, departure } => Some(AdmissionError::Departed {
                id: id.clone(),
                subject: Box::new(subject),
                departure: Box::new(departure),
            }),
            Standing::Active | Standing::Suspended { .. } | Standing::Unknown => None,
        });
        let unknown = left.unwrap_or_else(|| AdmissionError::KeyNotAdmitted { fingerprint: fingerprint.clone() });
        let Some((enrolment, _)) = enrolments.asked_by(&key) else { return unknown };
        match &enrolment.state {
            State::Rejected { rejection, .. } => AdmissionError::TurnedDown { reason: rejection.reason.clone() },
            // Answered once, and gone since: nothing waits any more.
            State::Requested(_) if is_used_up(federation, enrolment) => unknown,
            State::Requested(_) => AdmissionError::Waits { id: enrolment.invite.id.clone(), fingerprint },
            State::Open => unknown,
        }
    }

    /// A certificate for who has a member's key, and shows none. Whoever has a copy of the key asks as its holder does:
    /// once a certificate of theirs was suspended, only a connection with another one, which holds, gets a new one.
    pub(super) fn certificate_by_key(
        &self,
        member: &SpiffeId,
        csr: &SigningRequest,
    ) -> Result<Certificate, AdmissionError> {
        self.check_certificates(self.registry.snapshot().federation(), member)?;
        self.certificate(member, csr)
    }

    /// Whether the suspension of a certificate of theirs stands in the way of another one.
    fn check_certificates(&self, federation: &Federation, member: &SpiffeId) -> Result<(), AdmissionError> {
        for (sha256, suspensions) in federation.suspended_certificates_of(member) {
            if let Some(ends) = self.blocks(member, sha256, suspensions)? {
                let subject = Subject::Certificate { member: member.clone(), sha256: *sha256 };
                return Err(AdmissionError::CertificateSuspended { subject: Box::new(subject), ends });
            }
        }
        Ok(())
    }

    /// Who ends the suspension of a certificate, if it stands in the way of another one: what the threshold or the
    /// organisation said does, and what one operator said where the broker may have issued that certificate. One operator
    /// can name any digest, and shuts out nobody by one that nobody has.
    fn blocks(
        &self,
        member: &SpiffeId,
        sha256: &Digest,
        suspensions: &Suspensions,
    ) -> Result<Option<Ends>, AdmissionError> {
        if suspensions.own.is_some() {
            return Ok(Some(Ends::Organisation));
        }
        match suspensions.federation.as_ref().map(|standing| standing.lapses_at) {
            Some(None) => Ok(Some(Ends::Operators)),
            Some(Some(at)) => Ok(self.authorities.may_have_issued(member, sha256)?.then_some(Ends::Brake { at })),
            None => Ok(None),
        }
    }

    /// A certificate of a member that may have one ([`check_standing`]).
    fn certificate(&self, member: &SpiffeId, csr: &SigningRequest) -> Result<Certificate, AdmissionError> {
        let snapshot = self.registry.snapshot();
        let federation = snapshot.federation();
        check_standing(federation, member)?;
        let domain = member.trust_domain();
        let anchors = self.anchors(federation, domain)?;
        // The broker has one ready for every organisation that joined, also for those that brought their own. Where it is
        // missing, only what is left of it says that the organisation's own authority signs.
        let hosted = match self.authorities.find(domain) {
            Err(AuthorityError::Missing { .. }) if self.authorities.is_another(domain, &anchors)? => None,
            found => Some(found?).filter(|hosted| anchors.contains(&hosted.anchor().to_vec())),
        };
        let Some(hosted) = hosted else { return Ok(Certificate { chain: Vec::new(), not_after: None, anchors }) };
        let leaf = self.leaf.load();
        let life = match member.kind() {
            Kind::Node => leaf.node,
            Kind::App => leaf.app,
            Kind::Operator => leaf.operator,
            Kind::Broker => leaf.broker,
        };
        let internal = |error: &dyn std::fmt::Display| AdmissionError::Internal { problem: error.to_string() };
        let issued = hosted.issue(csr, member, &[], life, self.clock.now()).map_err(|error| internal(&error))?;
        if let Some(leaf) = issued.chain.first() {
            self.authorities.note_issued(member, Digest::of(leaf), issued.not_after, self.clock.now())?;
        }
        let chain = issued.chain.iter().map(|der| der.to_vec()).collect();
        Ok(Certificate { chain, not_after: Some(issued.not_after), anchors })
    }

    fn anchors(&self, federation: &Federation, domain: &TrustDomain) -> Result<Vec<Vec<u8>>, AdmissionError> {
        if federation.name() == Some(domain) {
            return Ok(vec![self.authorities.find(domain)?.anchor().to_vec()]);
        }
        let decode = |text: &String| {
            STANDARD.decode(text).map_err(|error| AdmissionError::Internal { problem: error.to_string() })
        };
        federation.organisation(domain).into_iter().flat_map(|state| &state.anchors).map(decode).collect()
    }

    fn certificates(
        &self,
        federation: &Federation,
        domain: &TrustDomain,
    ) -> Result<Vec<CertificateDer<'static>>, AdmissionError> {
        Ok(self.anchors(federation, domain)?.into_iter().map(CertificateDer::from).collect())
    }
}
