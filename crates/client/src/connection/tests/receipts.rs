//! What an app of this SDK gets from a broker that lies about what is on record, over a real connection.

use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{
    ChatPayload, ChatRequest, ChatStreamRequest, ChatStreamResponse, EmbedRequest, Envelope,
};
use comity_types::Digest;
use tonic::Status;

use super::*;
use crate::connection::Channel;
use crate::testing::models::{self, Lie, WORDS};

/// Every lie, and what the app is told.
const LIES: [(Lie, &str); 16] = [
    (Lie::NoReceipt, "came without a receipt"),
    (Lie::NoneAtAll, "cannot be read"),
    (Lie::OfAnotherCaller, "of another request"),
    (Lie::OfAnotherRequest, "of another request"),
    (Lie::Again, "of another request"),
    (Lie::AlteredField, "does not hold"),
    (Lie::ForgedSignature, "does not hold"),
    (Lie::RecordedAsFailed, "ended with status 14"),
    (Lie::RecordedAsRefused, "was not answered"),
    (Lie::AnotherOffer, "comity-offer: org-c.example"),
    (Lie::HiddenOffer, "comity-offer: org-c.example/n1/chat, and its receipt says nothing of it"),
    (Lie::NotEligible, "was not among those that the decision let try"),
    (Lie::HiddenCandidates, "does not show that the offer that answered was eligible"),
    (Lie::AnotherOperator, "the operator that the broker recorded is not org-b.example"),
    (Lie::AnotherDecision, "comity-decision-id"),
    (Lie::EndedAtOnce, "came without a receipt"),
];

struct App {
    world: World,
    connection: Connection,
    client: InferenceClient<Channel>,
}

impl App {
    async fn new() -> Self {
        let world = World::new().await;
        let connection = Connection::open(&joined(&world).await).unwrap();
        let client = InferenceClient::new(connection.channel());
        Self { world, connection, client }
    }

    async fn chat(&mut self) -> Result<(), Status> {
        self.client.chat(ChatRequest { envelope: envelope(), payload: None }).await.map(drop)
    }

    /// What arrived, and how it ended.
    async fn stream(&mut self) -> (Vec<String>, Result<(), Status>) {
        let mut words = Vec::new();
        let mut stream = match self.client.chat_stream(ChatStreamRequest { envelope: envelope(), payload: None }).await
        {
            Ok(answer) => answer.into_inner(),
            Err(status) => return (words, Err(status)),
        };
        loop {
            match stream.message().await {
                Ok(Some(piece)) => words.push(piece.text),
                Ok(None) => return (words, Ok(())),
                Err(status) => return (words, Err(status)),
            }
        }
    }

    /// Whatever is asked here is refused.
    async fn embed(&mut self) -> Status {
        self.client.embed(EmbedRequest { envelope: envelope(), payload: None }).await.unwrap_err()
    }
}

fn envelope() -> Option<Envelope> {
    Some(Envelope { model: "tiny".into(), ..Envelope::default() })
}

fn is_unproven(status: &Status, why: &str) {
    let explained = explain(status);
    assert_eq!((explained.cause, explained.cause.reason()), (Cause::Unproven, Some("ANSWER_UNPROVEN")), "{status:?}");
    assert!(explained.message.contains("not proven") && explained.message.contains(why), "{why}: {explained:?}");
    assert!(explained.hint.is_some_and(|hint| hint.contains("tell the operators")));
}

#[tokio::test]
async fn an_answer_counts_that_its_receipt_proves() {
    let mut app = App::new().await;
    for _ in 0..3 {
        app.chat().await.unwrap();
        let (words, ended) = app.stream().await;
        ended.unwrap();
        assert_eq!(words, WORDS);
        assert_eq!(app.embed().await.message(), "none is eligible");
    }
}

#[tokio::test]
async fn the_broker_is_told_how_long_an_answer_may_be_as_the_payload_says_it_unless_the_app_has_said_it() {
    let mut app = App::new().await;
    for (own, of_payload, told) in
        [(None, Some(16), Some(16)), (None, None, None), (Some(32), Some(16), Some(32)), (Some(32), None, Some(32))]
    {
        let envelope = || envelope().map(|envelope| Envelope { max_output_tokens: own, ..envelope });
        let payload = || Some(ChatPayload { max_output_tokens: of_payload, ..ChatPayload::default() });
        let asked = |app: &App| app.world.models.asked().max_output_tokens;
        app.client.chat(ChatRequest { envelope: envelope(), payload: payload() }).await.unwrap();
        assert_eq!(asked(&app), told);
        let streamed = app.client.chat_stream(ChatStreamRequest { envelope: envelope(), payload: payload() }).await;
        // Its receipt is of the envelope that was sent.
        let mut answer = streamed.unwrap().into_inner();
        while answer.message().await.unwrap().is_some() {}
        assert_eq!(asked(&app), told);
    }
}

#[tokio::test]
async fn an_answer_that_its_receipt_does_not_prove_is_an_error_that_says_why() {
    let mut app = App::new().await;
    for (lie, why) in LIES {
        app.world.models.lie(None);
        app.chat().await.unwrap();
        app.world.models.lie(lie);
        is_unproven(&app.chat().await.unwrap_err(), why);
    }
}

#[tokio::test]
async fn a_streamed_answer_passes_as_it_comes_and_ends_in_an_error_if_it_is_not_proven() {
    let mut app = App::new().await;
    for (lie, why) in LIES {
        app.world.models.lie(None);
        app.stream().await.1.unwrap();
        app.world.models.lie(lie);
        let (words, ended) = app.stream().await;
        is_unproven(&ended.unwrap_err(), why);
        let arrived = if lie == Lie::EndedAtOnce { &[][..] } else { &WORDS[..] };
        assert_eq!(words, arrived, "{lie:?}");
    }
}

#[tokio::test]
async fn a_refusal_needs_no_receipt_and_one_that_it_has_is_to_be_true() {
    let mut app = App::new().await;
    app.world.models.lie(Lie::NoReceipt);
    assert_eq!(app.embed().await.message(), "none is eligible");
    for (lie, why) in [
        (Lie::NoneAtAll, "cannot be read"),
        (Lie::OfAnotherRequest, "of another request"),
        (Lie::ForgedSignature, "does not hold"),
    ] {
        app.world.models.lie(lie);
        is_unproven(&app.embed().await, why);
    }
    app.world.models.lie(None);
    app.chat().await.unwrap();
    app.world.models.lie(Lie::Again);
    is_unproven(&app.embed().await, "of another request");
}

#[tokio::test]
async fn a_receipt_that_was_shown_once_is_not_taken_again_on_another_connection() {
    let mut app = App::new().await;
    app.chat().await.unwrap();
    app.world.models.lie(Lie::Again);
    let again = Connection::open(&Identity::open(app.world.member_dir()).unwrap()).unwrap();
    app.client = InferenceClient::new(again.channel());
    is_unproven(&app.chat().await.unwrap_err(), "of another request");
}

#[tokio::test]
async fn one_receipt_proves_one_of_two_answers_that_come_at_once() {
    let app = App::new().await;
    let open = async || {
        let request = ChatStreamRequest { envelope: envelope(), payload: None };
        app.client.clone().chat_stream(request).await.unwrap().into_inner()
    };
    let first = open().await;
    app.world.models.lie(Lie::Again);
    let second = open().await;
    let end = async |mut stream: tonic::Streaming<ChatStreamResponse>| loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            ended => break ended.map(drop),
        }
    };
    end(first).await.unwrap();
    is_unproven(&end(second).await.unwrap_err(), "of another request");
}

#[tokio::test]
async fn what_was_decided_by_another_state_of_the_federation_than_was_followed_is_not_proven() {
    let app = App::new().await;
    let ask = async |root_at: fn(u64) -> Option<Digest>| {
        let mut client = InferenceClient::new(app.connection.clone().held_against(root_at).channel());
        client.chat(ChatRequest { envelope: envelope(), payload: None }).await.map(drop)
    };
    ask(|_| None).await.unwrap();
    ask(|epoch| Some(models::state(epoch))).await.unwrap();
    is_unproven(&ask(|_| Some(Digest::of(b"another"))).await.unwrap_err(), "by another log of the federation");
}

#[tokio::test]
async fn channels_with_a_deadline_look_at_receipts_too() {
    let app = App::new().await;
    app.world.models.lie(Lie::NoReceipt);
    let mut client = InferenceClient::new(app.connection.unary());
    let status = client.chat(ChatRequest { envelope: envelope(), payload: None }).await.unwrap_err();
    is_unproven(&status, "came without a receipt");
}

#[tokio::test]
async fn whoever_asks_for_it_by_name_gets_what_the_broker_sends() {
    let app = App::new().await;
    let mut client = InferenceClient::new(app.connection.danger_without_receipts());
    for lie in [Lie::NoReceipt, Lie::OfAnotherRequest, Lie::ForgedSignature] {
        app.world.models.lie(lie);
        client.chat(ChatRequest { envelope: envelope(), payload: None }).await.unwrap();
    }
}
