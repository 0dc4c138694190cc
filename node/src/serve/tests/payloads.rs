//! What a payload asks for is held against the offer, and what a forwarded one used is told.

use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::inference_server::InferenceServer;
use comity_runtime::trailers::TrailerLayer;
use tower::Layer as _;

use super::*;

fn forward_payload(body: &str) -> wire::ForwardPayload {
    wire::ForwardPayload { format: "openai/chat.completions".into(), body: body.to_owned().into() }
}

#[tokio::test]
async fn what_the_offer_does_not_say_that_its_model_can_do_never_reaches_the_backend() {
    let world = world().knowing(statements("DE"));
    let tool = wire::Tool { name: "search".into(), ..Default::default() };
    let image = Part::Image(wire::Image { media_type: "image/png".into(), data: b"png".to_vec().into() });
    let mut needy = world.chat_request();
    needy.get_mut().payload.as_mut().unwrap().tools.push(tool);
    needy.get_mut().payload.as_mut().unwrap().messages[0].content.push(wire::ContentPart { part: Some(image) });
    let status = world.server.chat(needy).await.unwrap_err();
    let detail = Detail::of(&status).unwrap();
    // A veto: the broker goes on to another offer, which may have it.
    assert_eq!((status.code(), detail.reason.as_str()), (Code::FailedPrecondition, "NODE_VETO"));
    assert_eq!((detail.metadata["capability"].as_str(), detail.metadata["field"].as_str()), ("tools", "payload.tools"));
    assert!(status.message().contains("required_capabilities"), "{status:?}");
    let reasons = detail.refusal.unwrap().verdicts.remove(0).reasons;
    let reasons: Vec<_> = reasons.iter().map(|reason| (reason.code.as_str(), reason.subject.as_str())).collect();
    assert_eq!(reasons, [("CAPABILITY_MISSING", "tools"), ("CAPABILITY_MISSING", "image-input")]);
    assert!(world.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_stream_and_a_forwarded_body_are_held_against_the_offer_as_well() {
    let stream = world().knowing(statements("DE"));
    let mut needy = stream.stream_request();
    needy.get_mut().payload.as_mut().unwrap().top_log_probabilities = Some(1);
    let status = stream.server.chat_stream(needy).await.err().unwrap();
    assert_eq!(Detail::of(&status).unwrap().metadata["capability"], "log-probabilities");
    let forward = world().knowing(statements("DE"));
    let payload = forward_payload(r#"{"tools":[{"type":"function"}]}"#);
    let request = wire::ForwardRequest { envelope: Some(envelope()), payload: Some(payload) };
    let status = forward.server.forward(forward.request(Method::Forward, request)).await.err().unwrap();
    assert_eq!(Detail::of(&status).unwrap().metadata["field"], "payload.body: tools");
    assert!(stream.fake.asked.lock().unwrap().is_empty() && forward.fake.asked.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_forwarded_answer_says_what_it_used_and_passes_as_it_came() {
    let world = world().knowing(statements("DE"));
    let payload = forward_payload(r#"{"messages":[]}"#);
    let request = wire::ForwardRequest { envelope: Some(envelope()), payload: Some(payload) };
    let request = world.request(Method::Forward, request);
    let mut node = InferenceClient::new(TrailerLayer.layer(InferenceServer::new(world.server)));
    let mut pieces = node.forward(request).await.unwrap().into_inner();
    let mut body = Vec::new();
    while let Some(piece) = pieces.message().await.unwrap() {
        body.extend_from_slice(&piece.body);
    }
    assert_eq!(body, FORWARDED.concat().as_bytes());
    let trailers = pieces.trailers().await.unwrap().unwrap();
    let usage = trailers.get_bin(metadata::USAGE).unwrap().to_bytes().unwrap();
    assert_eq!(wire::Usage::decode(usage).unwrap(), USAGE);
}
