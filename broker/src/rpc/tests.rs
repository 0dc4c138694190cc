//! What every service promises about versions: a request of a newer contract is refused, a response is read.

use std::convert::Infallible;

use bytes::Bytes;
use comity_proto::catalog::ListModelsRequest;
use comity_proto::catalog::catalog_client::CatalogClient;
use comity_proto::error::Detail;
use comity_proto::membership::{Kind, ListEnrolmentsRequest};
use comity_proto::policy::Capability;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Response};
use http_body_util::{BodyExt as _, Full};
use prost::Message as _;
use tonic::body::Body;
use tonic::client::Grpc;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use tower::service_fn;

use crate::testing::{DEADLINE, Scene};

/// Messages as a newer contract may have them: each with a field 99 that says what ours cannot.
mod newer {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Requirements {
        #[prost(bool, tag = "99")]
        pub(super) no_emissions: bool,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Envelope {
        #[prost(string, tag = "1")]
        pub(super) model: String,
        #[prost(message, optional, tag = "2")]
        pub(super) requirements: Option<Requirements>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Explain {
        #[prost(message, optional, tag = "1")]
        pub(super) envelope: Option<Envelope>,
        #[prost(int32, tag = "2")]
        pub(super) capability: i32,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Reject {
        #[prost(string, tag = "1")]
        pub(super) enrolment_id: String,
        #[prost(string, tag = "2")]
        pub(super) reason: String,
        #[prost(uint64, tag = "99")]
        pub(super) until: u64,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Join {
        #[prost(string, tag = "99")]
        pub(super) hardware: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Models {
        #[prost(message, repeated, tag = "1")]
        pub(super) models: Vec<Model>,
        #[prost(string, tag = "99")]
        pub(super) next_page: String,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Model {
        #[prost(string, tag = "1")]
        pub(super) name: String,
        #[prost(string, tag = "99")]
        pub(super) family: String,
    }
}

async fn call<M: prost::Message + 'static>(channel: Channel, path: &'static str, message: M) -> Result<(), Status> {
    let mut grpc = Grpc::new(channel);
    grpc.ready().await.unwrap();
    let call = grpc.unary(Request::new(message), PathAndQuery::from_static(path), ProstCodec::<M, ()>::default());
    tokio::time::timeout(DEADLINE, call).await.expect("an answer in time").map(drop)
}

/// Checks that the status refuses field 99 of `message`, as the flow refuses one of an envelope.
fn refuses(answer: Result<(), Status>, message: &str) {
    let status = answer.expect_err(message);
    let reason = Detail::of(&status).map(|detail| detail.reason);
    assert_eq!((status.code(), reason.as_deref()), (Code::InvalidArgument, Some("INVALID_FIELD")), "{status}");
    let said = format!("{message} has no field 99 in this version of the contract (hint: ");
    assert!(status.message().starts_with(&said), "{status}");
}

#[tokio::test]
async fn a_constraint_of_a_newer_contract_is_not_explained_as_if_it_had_not_been_stated() {
    let scene = Scene::new().await;
    let app = scene.admit("app.example", Kind::App, "a1").await;
    let requirements = Some(newer::Requirements { no_emissions: true });
    let envelope = Some(newer::Envelope { model: "m".into(), requirements });
    let explain = newer::Explain { envelope, capability: Capability::Chat.into() };
    let channel = scene.connect(&app).await.unwrap();
    let answer = call(channel, "/comity.catalog.v1.Catalog/Explain", explain).await;
    refuses(answer, "comity.policy.v1.Requirements");
}

#[tokio::test]
async fn a_rejection_with_a_term_that_is_not_known_rejects_nobody() {
    let scene = Scene::new().await;
    let invite = scene.invite("a.example", Kind::Node, "n1").await;
    let reject = newer::Reject { enrolment_id: invite.id_text(), reason: "audit".into(), until: 1 };
    let channel = scene.connect(&scene.operator).await.unwrap();
    let answer = call(channel, "/comity.membership.v1.Membership/Reject", reject).await;
    refuses(answer, "comity.membership.v1.RejectRequest");
    let open = scene.operator().await.list_enrolments(ListEnrolmentsRequest::default()).await.unwrap().into_inner();
    assert_eq!(open.enrolments.len(), 1, "the invite is as good as before");
}

#[tokio::test]
async fn a_request_to_join_with_a_fact_that_is_not_known_is_refused() {
    let scene = Scene::new().await;
    let join = newer::Join { hardware: "attested".into() };
    let answer = call(scene.connect_to_enrol().await, "/comity.enrolment.v1.Enrolment/Join", join).await;
    refuses(answer, "comity.enrolment.v1.JoinRequest");
}

#[tokio::test]
async fn a_client_reads_the_response_of_a_newer_broker() {
    let broker = service_fn(async |_: http::Request<Body>| {
        let model = newer::Model { name: "m".into(), family: "f".into() };
        let models = newer::Models { models: vec![model], next_page: "2".into() }.encode_to_vec();
        let frame = [&[0][..], &u32::try_from(models.len()).unwrap().to_be_bytes(), &models].concat();
        let trailers = HeaderMap::from_iter([(Status::GRPC_STATUS, HeaderValue::from_static("0"))]);
        let body = Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers))));
        let response = Response::builder().header("content-type", "application/grpc");
        Ok::<_, Infallible>(response.body(Body::new(body)).unwrap())
    });
    let models = CatalogClient::new(broker).list_models(ListModelsRequest {}).await.unwrap().into_inner().models;
    assert_eq!((models.len(), models[0].name.as_str()), (1, "m"));
}
