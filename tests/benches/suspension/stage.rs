//! A federation with an app of one organisation that asks the node of another, all the time.

use std::time::Duration;

use comity_client::connection::Channel;
use comity_client::{Connection, Identity};
use comity_identity::IdentityDir;
use comity_membership::Subject;
use comity_proto::error::Detail;
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{
    ChatPayload, ChatStreamRequest, ChatStreamResponse, ContentPart, Envelope, Message, Role, content_part,
};
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node};
use comity_tests::node::NodeSpec;
use comity_types::Digest;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tonic::{Status, Streaming};

use crate::{LONGEST, STREAMS};

/// How long to wait before asking again whoever was lifted a moment ago.
const GLANCE: Duration = Duration::from_millis(5);

type Client = InferenceClient<Channel>;

/// Who is suspended, and what its streams end with.
pub(crate) struct Who {
    pub(crate) name: &'static str,
    pub(crate) subject: Subject,
    reason: &'static str,
    serves: bool,
}

impl Who {
    /// A stream in flight ended for the right reason.
    pub(crate) fn check_cut(&self, status: &Status) {
        assert_eq!(reason(status).as_deref(), Some(self.reason), "{}: {status}", self.name);
    }

    /// A request was refused for the right reason: whoever serves is passed over, and nobody else is there.
    pub(crate) fn check(&self, status: &Status) {
        let reason = reason(status);
        let right = reason.as_deref() == Some(self.reason) || (self.serves && reason.is_some());
        assert!(right, "{}: {status:?}", self.name);
    }
}

/// The federation.
pub(crate) struct Stage {
    streams: Client,
    requests: Client,
    app: IdentityDir,
    node: Node,
    pub(crate) federation: Federation,
    _backend: Backend,
}

impl Stage {
    /// Founds it; everybody runs.
    pub(crate) fn set() -> Self {
        let backend = Backend::start(Behaviour::Stall);
        let mut federation = Federation::start();
        let mut node = federation.node(EU_OWNED, &NodeSpec::openai("n1", &backend.url(), "DE"));
        for said in ["SUSPENDED", "suspended", "a try failed", "cancelled"] {
            node.program.expect_log(said);
            federation.expect_log(said);
        }
        let app = Identity::open(&federation.app(EU_BODY, "assistant").identity).unwrap();
        let [streams, requests] = [(); 2].map(|()| Connection::open(&app).unwrap().channel());
        let app = app.dir().clone();
        let [streams, requests] = [streams, requests].map(InferenceClient::new);
        Self { streams, requests, app, node, federation, _backend: backend }
    }

    /// Everyone whose suspension is measured.
    pub(crate) fn everyone(&self) -> [Who; 5] {
        let (organisation, member) = ("ORGANISATION_SUSPENDED", "MEMBER_SUSPENDED");
        let app = format!("spiffe://{}/app/assistant", EU_BODY.domain);
        let leaf = Digest::of(self.app.chain().unwrap().first().unwrap());
        let certificate = format!("{app}#sha256={leaf}");
        let of = |name, subject: &str, reason, serves| Who { name, subject: subject.parse().unwrap(), reason, serves };
        [
            of("the caller's organisation", EU_BODY.domain, organisation, false),
            of("the app", &app, member, false),
            of("the app's certificate", &certificate, "CERTIFICATE_SUSPENDED", false),
            of("the node's organisation", EU_OWNED.domain, organisation, true),
            of("the node", &self.node.id, member, true),
        ]
    }

    /// Opens the streams, each after its first piece: when each ends, and how.
    pub(crate) async fn open_streams(&self) -> JoinSet<(Instant, Status)> {
        let mut opening = JoinSet::new();
        for _ in 0..STREAMS {
            opening.spawn(tokio::time::timeout(LONGEST, begin(self.streams.clone())));
        }
        let mut ends = JoinSet::new();
        while let Some(begun) = opening.join_next().await {
            ends.spawn(end(begun.unwrap().unwrap()));
        }
        ends
    }

    /// One request after another over a connection that is open: when the first is refused, and how.
    pub(crate) fn ask_until_refused(&self) -> impl Future<Output = (Instant, Status)> + use<> {
        let mut client = self.requests.clone();
        async move {
            loop {
                if let Err(status) = client.chat_stream(request()).await {
                    return (Instant::now(), status);
                }
            }
        }
    }

    /// A request that is sent after the word was taken is refused.
    pub(crate) async fn check_refused(&self, who: &Who) {
        match self.requests.clone().chat_stream(request()).await {
            Ok(_) => panic!("{}: a request was let through after the word was taken", who.name),
            Err(status) => who.check(&status),
        }
    }
}

/// Begins a stream. Whose suspension was lifted may need a moment to be connected again.
async fn begin(mut client: Client) -> Streaming<ChatStreamResponse> {
    let mut tick = tokio::time::interval(GLANCE);
    loop {
        tick.tick().await;
        if let Ok(response) = client.chat_stream(request()).await {
            let mut stream = response.into_inner();
            if stream.message().await.is_ok_and(|piece| piece.is_some()) {
                return stream;
            }
        }
    }
}

/// When a stream ends, and how.
async fn end(mut stream: Streaming<ChatStreamResponse>) -> (Instant, Status) {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("a stream came to a good end"),
            Err(status) => return (Instant::now(), status),
        }
    }
}

fn reason(status: &Status) -> Option<String> {
    Detail::of(status).map(|detail| detail.reason)
}

fn request() -> ChatStreamRequest {
    let text = ContentPart { part: Some(content_part::Part::Text("What is the capital of France?".into())) };
    let message = Message { role: Role::User.into(), content: vec![text], ..Default::default() };
    let envelope =
        Envelope { model: "test-model".into(), purposes: vec!["dpv:CustomerCare".into()], ..Default::default() };
    ChatStreamRequest {
        envelope: Some(envelope),
        payload: Some(ChatPayload { messages: vec![message], ..Default::default() }),
    }
}
