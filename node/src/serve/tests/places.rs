//! How many requests run at once, what the others are told, and what the broker is told of it.

use comity_proto::error::retry_after;

use super::*;

fn load(metadata: &tonic::metadata::MetadataMap) -> (u32, u32) {
    let load = metadata.get_bin(metadata::LOAD).unwrap().to_bytes().unwrap();
    let permit_wire::Load { in_flight, limit } = permit_wire::Load::decode(load).unwrap();
    (in_flight, limit)
}

#[tokio::test]
async fn an_offer_works_on_so_many_requests_at_once_and_says_how_busy_it_is() {
    let world = world_of(&format!("{NODE_TOML}max_in_flight = 2\n")).knowing(statements("DE"));
    let mut streams = Vec::new();
    for attempt in [1, 2] {
        let message = wire::ChatStreamRequest { envelope: Some(envelope()), payload: Some(payload()) };
        let request = world.request_of(APP, attempt, Method::ChatStream, message);
        streams.push(world.server.chat_stream(request).await.unwrap());
    }
    let status = world.server.chat(world.request_of(APP, 3, Method::Chat, chat_message())).await.unwrap_err();
    let detail = Detail::of(&status).unwrap();
    assert_eq!((status.code(), detail.reason.as_str()), (Code::ResourceExhausted, "OFFER_FULL"));
    assert_eq!((&*detail.metadata["limit"], retry_after(&status)), ("2", Some(Duration::from_secs(1))));
    assert_eq!(world.fake.asked.lock().unwrap().len(), 2);
    streams.pop();
    let mut answer = world.server.chat(world.request_of(APP, 4, Method::Chat, chat_message())).await.unwrap();
    let trailers = answer.extensions_mut().remove::<Trailers>().unwrap().0;
    assert_eq!(load(&tonic::metadata::MetadataMap::from_headers(trailers)), (2, 2), "the stream and itself");
    streams.clear();
    *world.fake.fault.lock().unwrap() = Some(Fault::Busy { waiting: 16 });
    let busy = world.server.chat(world.request_of(APP, 5, Method::Chat, chat_message())).await.unwrap_err();
    assert_eq!((load(busy.metadata()), retry_after(&busy)), ((1, 2), Some(Duration::from_secs(2))));
}

#[tokio::test]
async fn a_node_that_is_full_says_when_to_come_back() {
    let world = world().knowing(statements("DE"));
    let held: Vec<_> = std::iter::from_fn(|| world.server.parts.rules.places().take()).collect();
    let status = world.server.chat(world.chat_request()).await.unwrap_err();
    assert_eq!(Detail::of(&status).unwrap().reason, "NODE_FULL");
    assert_eq!((held.len(), retry_after(&status)), (1024, Some(Duration::from_secs(1))));
    drop(held);
    assert!(world.server.chat(world.chat_request()).await.is_ok());
}
