//! Invites taken up, and members admitted by what they and others sign.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::{Invite, Inviter, KeyPair};
use comity_membership::{Application, InviteId, Statement, TlsKey};
use comity_policy::{Layers as StatedLayers, Organisation};
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::enrolment::join_response::State;
use comity_proto::enrolment::{CertifyRequest, GetInviteRequest, Issued, JoinRequest, LiftRequest};
use comity_proto::membership::{InviteRequest, Kind, ListEnrolmentsRequest};
use comity_proto::policy::Layers;
use comity_transparency::{Envelope, Signer as _};
use comity_types::{Clock as _, SpiffeId};
use tonic::Status;

use super::{HOUR, Member, Scene, csr, json, member, member_id, organisation};

impl Scene {
    /// Invites a member: by its organisation where that is there, by the operator otherwise.
    pub(crate) async fn invite(&self, domain: &str, kind: Kind, name: &str) -> Invite {
        if self.federation().organisation(&domain.parse().unwrap()).is_some() {
            return self.invite_own(domain, kind, name).await.unwrap();
        }
        let request = InviteRequest {
            trust_domain: domain.into(),
            kind: kind.into(),
            name: name.into(),
            ttl_seconds: 3600,
            dry_run: false,
        };
        self.operator().await.invite(request).await.unwrap().into_inner().invite.parse().unwrap()
    }

    /// An invite of an organisation for a member of its own.
    pub(crate) async fn invite_own(&self, domain: &str, kind: Kind, name: &str) -> Result<Invite, Status> {
        let invite = Invite::generate(Inviter::Organisation, self.root_sha256, &self.root.addresses[0]).unwrap();
        let member = member_id(domain, kind, name);
        let key = invite.signer().unwrap().public_key().unwrap();
        let expires_at = self.clock.now().plus(HOUR);
        let statement = Statement::MemberInvited { member, invite: InviteId::from_bytes(invite.id), key, expires_at };
        self.say_of(domain, statement).await?;
        Ok(invite)
    }

    /// Presents an invite, as a program that joins does.
    pub(crate) async fn join(
        &self,
        invite: &Invite,
        key: &KeyPair,
        organisation: Option<&Organisation>,
    ) -> Result<State, Status> {
        self.join_as(&[Kind::Node, Kind::App, Kind::Operator], invite, key, organisation).await
    }

    /// Like [`Scene::join`], as a program that can become one of `kinds` alone.
    pub(crate) async fn join_as(
        &self,
        kinds: &[Kind],
        invite: &Invite,
        key: &KeyPair,
        organisation: Option<&Organisation>,
    ) -> Result<State, Status> {
        self.join_stating(kinds, invite, key, organisation, None).await
    }

    /// Like [`Scene::join_as`], with what a new organisation demands of its own requests.
    pub(crate) async fn join_stating(
        &self,
        kinds: &[Kind],
        invite: &Invite,
        key: &KeyPair,
        organisation: Option<&Organisation>,
        layers: Option<Layers>,
    ) -> Result<State, Status> {
        let mut request = JoinRequest {
            invite_id: invite.id_text(),
            csr_der: csr(key).into(),
            kinds: kinds.iter().map(|kind| (*kind).into()).collect(),
            ..JoinRequest::default()
        };
        let mut client = EnrolmentClient::new(self.connect_to_enrol().await);
        if invite.from == Inviter::Operators {
            request.secret = invite.secret.reveal().to_vec().into();
        }
        let question = GetInviteRequest { invite_id: invite.id_text(), secret: request.secret.clone() };
        // What is said of the invite is for Join to say again.
        let described = client.get_invite(question).await.map(tonic::Response::into_inner);
        match (invite.from, described, organisation) {
            (Inviter::Operators, Ok(described), Some(facts)) if !described.hosted_anchor_der.is_empty() => {
                let layers = StatedLayers::try_from(layers.unwrap_or_default()).unwrap();
                let member = described.spiffe_id.parse().unwrap();
                let anchor = STANDARD.encode(&described.hosted_anchor_der);
                request.application = json(&self.application(invite, facts, layers, member, key, vec![anchor]));
            }
            (Inviter::Organisation, Ok(described), _) => {
                let member = described.spiffe_id.parse().unwrap();
                request.admission = json(&self.admission(invite, member, key, described.version));
            }
            (Inviter::Organisation, Err(refused), _) => return Err(refused),
            (Inviter::Operators, _, _) => {}
        }
        client.join(request).await.map(|response| response.into_inner().state.unwrap())
    }

    /// What a new organisation signs, by its own key and that of its first member.
    pub(crate) fn application(
        &self,
        invite: &Invite,
        facts: &Organisation,
        layers: StatedLayers,
        member: SpiffeId,
        key: &KeyPair,
        anchors: Vec<String>,
    ) -> Envelope {
        let own = self.key(&facts.trust_domain);
        let application = Application {
            federation: self.root_sha256,
            invite: InviteId::from_bytes(invite.id),
            organisation: facts.clone(),
            layers,
            anchors,
            keys: vec![own.public_key().unwrap()],
            member,
            member_key: key.public_key().unwrap(),
            tls_key: TlsKey::Admitted,
            offers: Vec::new(),
        };
        application.sign(&[&*own, key]).unwrap()
    }

    /// What the holder of an organisation's invite signs.
    pub(crate) fn admission(&self, invite: &Invite, member: SpiffeId, key: &KeyPair, version: u64) -> Envelope {
        let statement = Statement::MemberAdmitted {
            id: member,
            key: key.public_key().unwrap(),
            tls_key: TlsKey::Admitted,
            invite: Some(InviteId::from_bytes(invite.id)),
        };
        self.signed_at(version, statement, &[&invite.signer().unwrap(), key])
    }

    /// What a new organisation signed that waits.
    pub(crate) async fn waiting_application(&self, enrolment_id: &str) -> Envelope {
        let enrolments =
            self.operator().await.list_enrolments(ListEnrolmentsRequest::default()).await.unwrap().into_inner();
        let waiting = enrolments.enrolments.into_iter().find(|enrolment| enrolment.id == enrolment_id).unwrap();
        serde_json::from_slice(&waiting.application).unwrap()
    }

    /// Approves what waits: admits the new organisation as it applied, by the operator.
    pub(crate) async fn approve(&self, enrolment_id: &str) -> Result<u64, Status> {
        let application = self.waiting_application(enrolment_id).await;
        self.govern(Statement::OrganisationAdmitted { application }).await
    }

    /// Presents what the holder of an organisation's invite signed.
    pub(crate) async fn join_by(&self, invite: &Invite, key: &KeyPair, admission: &Envelope) -> Result<State, Status> {
        let request = JoinRequest {
            invite_id: invite.id_text(),
            csr_der: csr(key).into(),
            kinds: vec![Kind::Node.into(), Kind::App.into()],
            admission: json(admission),
            ..JoinRequest::default()
        };
        let mut client = EnrolmentClient::new(self.connect_to_enrol().await);
        client.join(request).await.map(|response| response.into_inner().state.unwrap())
    }

    /// Asks for a certificate of a key that is admitted.
    pub(crate) async fn certify(&self, key: &KeyPair) -> Result<Issued, Status> {
        let mut client = EnrolmentClient::new(self.connect_to_enrol().await);
        let request = CertifyRequest { csr_der: csr(key).into(), dry_run: false };
        client.certify(request).await.map(|response| response.into_inner().issued.unwrap())
    }

    /// Hands in a statement without a certificate.
    pub(crate) async fn lift_as_nobody(&self, envelope: &Envelope) -> Result<u64, Status> {
        let mut client = EnrolmentClient::new(self.connect_to_enrol().await);
        client.lift(LiftRequest { envelope: json(envelope) }).await.map(|answer| answer.into_inner().epoch)
    }

    /// Ends the brakes that have lapsed by the clock, as the broker does from time to time.
    pub(crate) async fn end_brakes(&self) {
        let registry = self.running.lock().unwrap().as_ref().unwrap().registry.clone();
        registry.end_lapsed().await.unwrap();
    }

    /// Has an operator more govern, with the same thresholds.
    pub(crate) async fn seat(&self, id: &SpiffeId, key: &KeyPair) -> u64 {
        let governance = self.federation().governance().unwrap().clone();
        let mut operators = governance.operators;
        operators.insert(id.clone(), key.public_key().unwrap());
        let (root_threshold, membership_threshold) = (governance.root_threshold, governance.membership_threshold);
        self.govern(Statement::RootChanged { operators, root_threshold, membership_threshold }).await.unwrap()
    }

    /// Brings a member in, with its organisation where that is new.
    pub(crate) async fn admit(&self, domain: &str, kind: Kind, name: &str) -> Member {
        self.admit_demanding(organisation(domain), kind, name, None).await
    }

    /// Like [`Scene::admit`], with the organisation's facts.
    pub(crate) async fn admit_of(&self, facts: Organisation, kind: Kind, name: &str) -> Member {
        self.admit_demanding(facts, kind, name, None).await
    }

    /// Like [`Scene::admit_of`], with what a new organisation demands of its own requests.
    pub(crate) async fn admit_demanding(
        &self,
        facts: Organisation,
        kind: Kind,
        name: &str,
        layers: Option<Layers>,
    ) -> Member {
        let domain = facts.trust_domain.as_str();
        let (invite, key) = (self.invite(domain, kind, name).await, KeyPair::generate().unwrap());
        let join = async || self.join_stating(&[kind], &invite, &key, Some(&facts), layers.clone()).await;
        let mut state = join().await.unwrap();
        if let State::Pending(pending) = &state {
            if facts.trust_domain == self.root.federation {
                self.seat(&member_id(domain, kind, name), &key).await;
            } else {
                self.approve(&pending.enrolment_id).await.unwrap();
            }
            state = join().await.unwrap();
        }
        let State::Issued(issued) = state else { panic!("{domain} {name} got no certificate: {state:?}") };
        member(&issued, key)
    }
}
