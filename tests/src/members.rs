//! Many members at once: they join, and publish their offers, through the SDK, as a program of another maker would.
//! A scenario with a hundred organisations would otherwise spend its time with starting programs.

use std::path::PathBuf;
use std::sync::Arc;

use comity_client::enrol::{self, JoinState, Joining};
use comity_client::follow::{self, Followed};
use comity_client::say::{self, Draft, Said};
use comity_client::{Connection, Identity};
use comity_identity::{Invite, Inviter, KeyPair};
use comity_membership::{InviteId, Statement};
use comity_policy::{Layers, Offer, Organisation, OrganisationFile};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{InviteRequest, Kind, ListEnrolmentsRequest};
use comity_transparency::Signer as _;
use comity_types::{SpiffeId, ids};

use crate::federation::Federation;

/// How long an invite holds, in seconds: longer than a scenario takes.
const INVITE_SECONDS: u32 = 3600;
/// Where nodes are said to be that nobody calls: the discard port of the loopback.
const NOWHERE: &str = "127.0.0.1:9";

/// Lets members in: new organisations by an operator's signature, and their further members by their own.
#[derive(Debug, Clone)]
pub struct Admission {
    operator: Identity,
    folder: PathBuf,
}

impl Admission {
    /// To this federation, by the operator that founded it. Has to be used inside a runtime.
    ///
    /// # Panics
    /// If its identity cannot be used.
    #[must_use]
    pub fn to(federation: &Federation) -> Self {
        let operator = Identity::open(federation.operator().identity).unwrap();
        Self { operator, folder: federation.folder().join("members") }
    }

    /// Lets an organisation with these facts in, with one node that publishes `offers`.
    ///
    /// # Panics
    /// If it is refused, or its offers are.
    pub async fn node(&self, facts: &Organisation, name: &str, offers: &[Offer]) {
        let _identity = self.node_at(NOWHERE, facts, name, offers).await;
    }

    /// The same, of a node that is at `address`; gives its identity.
    ///
    /// # Panics
    /// As for [`Admission::node`].
    pub async fn node_at(&self, address: &str, facts: &Organisation, name: &str, offers: &[Offer]) -> Identity {
        let file = OrganisationFile { facts: facts.clone(), layers: Layers::default() };
        let identity = Identity::open(self.join(&file, ids::Kind::Node, name).await).unwrap();
        let statement = Statement::OffersPublished {
            node: identity.id().clone(),
            address: address.into(),
            offers: offers.to_vec(),
        };
        let key = identity.dir().key().unwrap();
        assert!(matches!(sign_and_say(&identity, &key, statement).await, Said::InForce(_)));
        identity
    }

    /// Lets an organisation with these facts and demands in, with one app; gives the folder of the app's identity.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn app(&self, file: &OrganisationFile, name: &str) -> PathBuf {
        self.join(file, ids::Kind::App, name).await
    }

    async fn join(&self, file: &OrganisationFile, kind: ids::Kind, name: &str) -> PathBuf {
        let domain = file.facts.trust_domain.as_str();
        let folder = self.folder.join(domain).join(name);
        let first = self.first_member(domain);
        let invite = match &first {
            Some(first) => own_invite(&Identity::open(first).unwrap(), kind, name).await,
            None => self.invite(domain, kind, name).await,
        };
        let join = async || Box::pin(enrol::join(Joining::new(&invite, &[kind], Some(file), &folder))).await.unwrap();
        let mut state = join().await;
        if let JoinState::Pending { enrolment_id, .. } = state {
            self.approve(&enrolment_id).await;
            state = join().await;
        }
        assert!(matches!(state, JoinState::Issued(_)), "{domain} is not let in: {state:?}");
        folder
    }

    /// The folder of the member that has the organisation's key, if it takes part.
    fn first_member(&self, domain: &str) -> Option<PathBuf> {
        let members = std::fs::read_dir(self.folder.join(domain)).ok()?;
        members.filter_map(Result::ok).map(|entry| entry.path()).find(|dir| dir.join("organisation.key.pem").exists())
    }

    async fn invite(&self, domain: &str, kind: ids::Kind, name: &str) -> Invite {
        let wire = if kind == ids::Kind::Node { Kind::Node } else { Kind::App };
        let request = InviteRequest {
            trust_domain: domain.into(),
            kind: wire.into(),
            name: name.into(),
            ttl_seconds: INVITE_SECONDS,
            dry_run: false,
        };
        let mut operator = MembershipClient::new(Connection::open(&self.operator).unwrap().unary());
        operator.invite(request).await.unwrap().into_inner().invite.parse().unwrap()
    }

    async fn approve(&self, enrolment: &str) {
        let mut operator = MembershipClient::new(Connection::open(&self.operator).unwrap().unary());
        let waiting = operator.list_enrolments(ListEnrolmentsRequest::default()).await.unwrap().into_inner().enrolments;
        let application = waiting.into_iter().find(|waiting| waiting.id == enrolment).unwrap().application;
        let statement = Statement::OrganisationAdmitted { application: serde_json::from_slice(&application).unwrap() };
        let key = self.operator.dir().key().unwrap();
        assert!(matches!(sign_and_say(&self.operator, &key, statement).await, Said::InForce(_)));
    }
}

/// An organisation's invite for a member of its own.
async fn own_invite(first: &Identity, kind: ids::Kind, name: &str) -> Invite {
    let root = first.dir().identity().unwrap().federation_root;
    let invite = Invite::generate(Inviter::Organisation, root, &first.brokers()[0]).unwrap();
    let statement = Statement::MemberInvited {
        member: SpiffeId::new(first.id().trust_domain().clone(), kind, name.parse().unwrap()),
        invite: InviteId::from_bytes(invite.id),
        key: invite.signer().unwrap().public_key().unwrap(),
        expires_at: first.clock().now().plus(std::time::Duration::from_secs(INVITE_SECONDS.into())),
    };
    let key = first.dir().organisation_key().unwrap().unwrap();
    assert!(matches!(sign_and_say(first, &key, statement).await, Said::InForce(_)));
    invite
}

/// Says a statement, as whoever reads the log first.
async fn sign_and_say(identity: &Identity, key: &KeyPair, statement: Statement) -> Said {
    let connection = Connection::open(identity).unwrap();
    let federation = identity.dir().identity().unwrap().federation_root;
    let draft = Draft { federation, statement, at: identity.clock().now() };
    if identity.id().kind() == ids::Kind::App {
        return say::say_unseen(&connection, draft, key).await.unwrap();
    }
    let followed = Followed::new(identity.root(), federation, Arc::clone(identity.clock()));
    let followed = follow::read(&connection, followed, |_, _| {}).await.unwrap();
    let signed = draft.sign(followed.log().federation(), &[key]).unwrap();
    say::submit(&connection, &signed).await.unwrap()
}
