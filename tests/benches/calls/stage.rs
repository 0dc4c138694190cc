//! A federation of real programs, in which an app of one organisation asks the node of another.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use comity_client::connection::Channel;
use comity_client::receipt::{Asked, of_trailers};
use comity_client::{Connection, Identity};
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{ChatPayload, ChatRequest, ContentPart, Envelope, Message, Role, content_part};
use comity_proto::transparency::GetReceiptRequest;
use comity_proto::transparency::transparency_client::TransparencyClient;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, free_address};
use comity_tests::node::NodeSpec;
use comity_transparency::leaf::Leaf;
use comity_transparency::receipt::Receipt;
use tokio::time::Instant;

/// What is asked.
const QUESTION: &str = "What is the capital of France?";

/// The federation; everybody runs.
pub(crate) struct Stage {
    client: InferenceClient<Channel>,
    metrics: String,
    backend: Backend,
    /// Who may read the federation's log.
    pub(crate) operator: Connection,
    pub(crate) identity: Identity,
    _node: Node,
    _federation: Federation,
}

impl Stage {
    /// Founds it, with a broker that commits so: `strict` or `overlapped`.
    pub(crate) fn set(commit: &str) -> Self {
        let metrics = free_address();
        let mut federation = Federation::found();
        let config = federation.broker_config();
        let text = fs::read_to_string(&config).unwrap();
        fs::write(&config, format!("commit = \"{commit}\"\n{text}\n[metrics]\nlisten = \"{metrics}\"\n")).unwrap();
        federation.start_broker();
        let backend = Backend::start(Behaviour::Answer);
        let node = federation.node(EU_OWNED, &NodeSpec::openai("n1", &backend.url(), "DE"));
        let identity = Identity::open(&federation.app(EU_BODY, "assistant").identity).unwrap();
        let client = InferenceClient::new(Connection::open(&identity).unwrap().channel());
        let operator = Connection::open(&Identity::open(&federation.operator().identity).unwrap()).unwrap();
        Self { client, metrics, backend, operator, identity, _node: node, _federation: federation }
    }

    /// Where the broker serves what it counts.
    pub(crate) fn metrics(&self) -> &str {
        &self.metrics
    }

    /// Asks, and checks that the answer is proven.
    pub(crate) async fn ask(&self) -> Receipt {
        let request = request();
        let envelope = request.envelope.clone().unwrap();
        let answer = self.client.clone().chat(request).await.unwrap();
        let asked = Asked { caller: self.identity.id(), envelope: &envelope };
        of_trailers(answer.metadata(), self.identity.root(), asked).unwrap().0
    }

    /// Asks, and fetches the receipt with all that is recorded: what eligibility is evaluated again from.
    pub(crate) async fn ask_for_all(&self) -> Receipt {
        let receipt = self.ask().await;
        let decision_id = Leaf::from_bytes(&receipt.decision.leaf).unwrap().decision.to_string();
        let mut transparency = TransparencyClient::new(self.operator.unary());
        let answer = transparency.get_receipt(GetReceiptRequest { decision_id }).await.unwrap();
        Receipt::try_from(answer.into_inner().receipt.unwrap()).unwrap()
    }

    /// Asks the model's own server, so often.
    pub(crate) fn ask_the_model(&self, times: usize) -> Vec<Duration> {
        let url = self.backend.url();
        let address = url.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/v1")).unwrap();
        let body = format!(r#"{{"model":"test-model","messages":[{{"role":"user","content":"{QUESTION}"}}]}}"#);
        let head = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let ask = |_| {
            let asked = Instant::now();
            let mut tcp = TcpStream::connect(address).unwrap();
            tcp.write_all(format!("{head}{body}").as_bytes()).unwrap();
            tcp.shutdown(std::net::Shutdown::Write).unwrap();
            let mut answer = String::new();
            tcp.read_to_string(&mut answer).unwrap();
            assert!(answer.contains("Paris"), "{answer}");
            asked.elapsed()
        };
        let times = (0..times).map(ask).collect();
        self.backend.forget();
        times
    }
}

fn request() -> ChatRequest {
    let text = ContentPart { part: Some(content_part::Part::Text(QUESTION.into())) };
    let message = Message { role: Role::User.into(), content: vec![text], ..Default::default() };
    let envelope = Envelope {
        model: "test-model".into(),
        purposes: vec!["dpv:CustomerCare".into()],
        nonce: vec![7; 16].into(),
        ..Default::default()
    };
    let payload = ChatPayload { messages: vec![message], ..Default::default() };
    ChatRequest { envelope: Some(envelope), payload: Some(payload) }
}
