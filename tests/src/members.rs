//! Many members at once: they join, and publish their offers, through the SDK, as a program of another maker would.
//! A scenario with a hundred organisations would otherwise spend its time with starting programs.

use std::path::PathBuf;

use comity_client::connection::Unary;
use comity_client::enrol::{self, JoinState};
use comity_client::{Connection, Identity};
use comity_identity::Invite;
use comity_policy::{Layers, Offer, Organisation, OrganisationFile};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{ApproveRequest, InviteRequest, Kind, PublishOffersRequest};
use comity_types::ids;

use crate::federation::Federation;

/// How long an invite holds, in seconds: longer than a scenario takes.
const INVITE_SECONDS: u32 = 3600;
/// Where nodes are said to be that nobody calls: the discard port of the loopback.
const NOWHERE: &str = "127.0.0.1:9";

/// Lets members in, by an operator's word.
#[derive(Debug, Clone)]
pub struct Admission {
    operator: MembershipClient<Unary>,
    folder: PathBuf,
}

impl Admission {
    /// Of this federation, by the operator that founded it. Has to be called, and used, inside a runtime.
    ///
    /// # Panics
    /// If its identity cannot be used.
    #[must_use]
    pub fn to(federation: &Federation) -> Self {
        let operator = client(&Identity::open(federation.operator().identity).unwrap());
        Self { operator, folder: federation.folder().join("members") }
    }

    /// Lets an organisation with these facts in, with one node that publishes `offers`.
    ///
    /// # Panics
    /// If it is refused, or its offers are.
    pub async fn node(&self, facts: &Organisation, name: &str, offers: &[Offer]) {
        let file = OrganisationFile { facts: facts.clone(), layers: Layers::default() };
        let identity = Identity::open(self.join(&file, ids::Kind::Node, name).await).unwrap();
        let offers = offers.iter().map(Into::into).collect();
        client(&identity).publish_offers(PublishOffersRequest { address: NOWHERE.into(), offers }).await.unwrap();
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
        let (mut operator, folder) = (self.operator.clone(), self.folder.join(domain).join(name));
        let wire = if kind == ids::Kind::Node { Kind::Node } else { Kind::App };
        let invite = InviteRequest {
            trust_domain: domain.into(),
            kind: wire.into(),
            name: name.into(),
            ttl_seconds: INVITE_SECONDS,
        };
        let invite: Invite = operator.invite(invite).await.unwrap().into_inner().invite.parse().unwrap();
        let join = async || Box::pin(enrol::join(&invite, &[kind], Some(file), &folder)).await.unwrap();
        let mut state = join().await;
        if let JoinState::Pending { enrolment_id, .. } = state {
            operator.approve(ApproveRequest { enrolment_id }).await.unwrap();
            state = join().await;
        }
        assert!(matches!(state, JoinState::Issued(_)), "{domain} is not let in: {state:?}");
        folder
    }
}

fn client(identity: &Identity) -> MembershipClient<Unary> {
    MembershipClient::new(Connection::open(identity).unwrap().unary())
}
