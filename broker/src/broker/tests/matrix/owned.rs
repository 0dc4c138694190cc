//! What a call comes to that is about something of own.example, whose members are the first columns: the edge lets its
//! operators and those of another organisation in alike, and the services tell them apart.

use std::fmt::Write as _;

use comity_policy::terms::Disclosure;
use comity_proto::catalog::ListOffersRequest;
use comity_proto::catalog::catalog_client::CatalogClient;
use comity_proto::convert::wire_instant;
use comity_proto::error::Detail;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{Kind, ListAppsRequest, ListEnrolmentsRequest, ListOrganisationsRequest};
use comity_proto::policy::{Layers, PlaceSet, Requirements};
use comity_proto::transparency::transparency_client::TransparencyClient;
use comity_proto::transparency::{EraseRecordRequest, GetReceiptRequest, ListReceiptsRequest};
use futures::StreamExt as _;
use tonic::Status;
use tonic::transport::Channel;

use super::{ADMITTED, OUTCOMES, OWN, Peer};
use crate::access::tests::stage::chat;
use crate::testing::{DEADLINE, Member, Scene, offer};

/// It is answered as if there were no such thing, or without what is own.example's alone to see.
const HIDDEN: char = '.';
/// Where own.example's node says that it is; nobody calls it.
const NOWHERE: &str = "127.0.0.1:9";
/// Between these, everything is.
const FIRST: &str = "2020-01-01T00:00:00Z";
const LAST: &str = "2040-01-01T00:00:00Z";

/// What own.example demands of its own requests: it and the federation's operators see it.
pub(super) fn demands() -> Option<Layers> {
    let places = PlaceSet { places: vec!["EU".into()] };
    let requirements = Requirements { allowed_processing_locations: vec![places], ..Requirements::default() };
    Some(Layers { organisation: Some(requirements), apps: vec![] })
}

/// What own.example has, and others may ask for.
pub(super) struct Things {
    /// A decision on a request of its app.
    decision: String,
    /// The same for each peer, which erases it where it may.
    erased: Vec<String>,
}

impl Things {
    /// A federation in which own.example has an open invite, an offer whose demands it keeps to itself, and decisions.
    pub(super) async fn new(scene: &Scene, app: &Member, node: &Member, peers: usize) -> Self {
        let mut offer = offer(&node.id, "chat", "MIT");
        offer.terms.as_mut().unwrap().disclosure = Disclosure::CodeOnly;
        let model = offer.model.to_string();
        scene.publish(node, NOWHERE, vec![offer]).await.unwrap();
        let mut client = InferenceClient::new(scene.connect(app).await.unwrap());
        let elsewhere = vec![PlaceSet { places: vec!["US".into()] }];
        let mut asked = chat(Requirements { allowed_processing_locations: elsewhere, ..Requirements::default() });
        asked.envelope.as_mut().unwrap().model = model;
        let mut decisions = Vec::new();
        for _ in 0..=peers {
            let refused = client.chat(asked.clone()).await.unwrap_err();
            let refusal = Detail::of(&refused).and_then(|detail| detail.refusal);
            decisions.push(refusal.unwrap_or_else(|| panic!("{refused}")).decision_id);
        }
        scene.invite_own(OWN, Kind::App, "later").await.unwrap();
        Self { decision: decisions.pop().unwrap(), erased: decisions }
    }
}

/// What somebody asks for.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Demands,
    Apps,
    OpenInvites,
    Terms,
    Receipt,
    Receipts,
    Erasure,
}

const ROWS: [(Asked, &str); 7] = [
    (Asked::Demands, "/comity.membership.v1.Membership/ListOrganisations: what it demands of its own requests"),
    (Asked::Apps, "/comity.membership.v1.Membership/ListApps: its apps"),
    (Asked::OpenInvites, "/comity.membership.v1.Membership/ListEnrolments: its open invite"),
    (Asked::Terms, "/comity.catalog.v1.Catalog/ListOffers: what its offer demands of callers, by code alone"),
    (Asked::Receipt, "/comity.transparency.v1.Transparency/GetReceipt: of a request of its app"),
    (Asked::Receipts, "/comity.transparency.v1.Transparency/ListReceipts: those of its app"),
    (Asked::Erasure, "/comity.transparency.v1.Transparency/EraseRecord: of a request of its app"),
];

impl Asked {
    /// Whether the answer has it.
    async fn of(self, peer: &Channel, decision: &str, erased: &str) -> Result<bool, Status> {
        let membership = || MembershipClient::new(peer.clone());
        let transparency = || TransparencyClient::new(peer.clone());
        match self {
            Self::Demands => {
                let all = membership().list_organisations(ListOrganisationsRequest {}).await?.into_inner();
                let own = |one: &comity_proto::membership::OrganisationEntry| {
                    one.organisation.as_ref().is_some_and(|facts| facts.trust_domain == OWN)
                };
                Ok(all.organisations.into_iter().find(own).unwrap().layers == demands())
            }
            Self::Apps => {
                let all = membership().list_apps(ListAppsRequest {}).await?.into_inner();
                Ok(all.apps.iter().any(|app| app.spiffe_id.contains(OWN)))
            }
            Self::OpenInvites => {
                let all = membership().list_enrolments(ListEnrolmentsRequest::default()).await?.into_inner();
                Ok(all.enrolments.iter().any(|one| one.spiffe_id.contains(OWN)))
            }
            Self::Terms => {
                let all =
                    CatalogClient::new(peer.clone()).list_offers(ListOffersRequest::default()).await?.into_inner();
                let own = all.offers.into_iter().find(|one| one.name.starts_with(OWN)).unwrap();
                Ok(own.offer.unwrap().terms.unwrap().caller_rules.is_some())
            }
            Self::Receipt => {
                let request = GetReceiptRequest { decision_id: decision.to_owned() };
                transparency().get_receipt(request).await.map(|answer| answer.into_inner().receipt.is_some())
            }
            Self::Receipts => {
                // The scene's clock stands: to now, which is not among it, there is nothing.
                let [from, to] = [FIRST, LAST].map(|at| Some(wire_instant(at.parse().unwrap())));
                let request = ListReceiptsRequest { from, to, ..ListReceiptsRequest::default() };
                let mut list = transparency().list_receipts(request).await?.into_inner();
                let first = tokio::time::timeout(DEADLINE, list.next()).await.expect("an answer comes");
                first.transpose().map(|first| first.is_some_and(|first| first.receipt.is_some()))
            }
            Self::Erasure => {
                let request = EraseRecordRequest { decision_id: erased.to_owned() };
                transparency().erase_record(request).await.map(|_erased| true)
            }
        }
    }
}

/// What it comes to, by its mark.
fn mark(answer: Result<bool, Status>) -> char {
    let status = match answer {
        Ok(true) => return ADMITTED,
        Ok(false) => return HIDDEN,
        Err(status) => status,
    };
    let reason = Detail::of(&status).map(|detail| detail.reason).unwrap_or_default();
    if reason == "DECISION_NOT_FOUND" {
        return HIDDEN;
    }
    let known = OUTCOMES.iter().find(|(_, code, word)| *word == reason && *code == status.code());
    known.unwrap_or_else(|| panic!("{status}")).0
}

/// The rows, under the columns of the table.
pub(super) async fn rows(peers: &[Peer], things: &Things) -> String {
    let mut table = format!("\nof what is {OWN}'s, {HIDDEN} where it is not shown\n");
    for (asked, what) in ROWS {
        for ((_, peer), erased) in peers.iter().zip(&things.erased) {
            write!(table, "{} ", mark(asked.of(peer, &things.decision, erased).await)).unwrap();
        }
        writeln!(table, "{what}").unwrap();
    }
    table
}
