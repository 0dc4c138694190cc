//! No prompt, completion or secret is in any log, record, trace or metric: markers are planted in all of them, calls end in
//! every way, all programs say all that they can, and whatever they wrote or served is searched.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_client::{Connection, Identity};
use comity_proto::inference::inference_client::InferenceClient;
use comity_proto::inference::{Envelope, ForwardPayload, ForwardRequest};
use comity_tests::backend::{Backend, Behaviour, PIECES};
use comity_tests::clients::Caller;
use comity_tests::collector::Collector;
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, Node, free_address};
use comity_tests::node::NodeSpec;
use comity_tests::program::said;
use comity_tests::wait;
use serde_json::Value;

use crate::secrets::{files_below, find, private_key};

/// What prompts, of chat and of embeddings, and what is said to a model before them, have in them and nothing else has.
const PROMPT: &str = "the-patient-is-seventeen-and-afraid";
const EMBEDDED: &str = "her-address-is-four-privet-drive";
/// What a body has in it that is forwarded as it is.
const FORWARDED: &str = "he-was-seen-leaving-by-the-back-door";
/// A piece of every good answer.
const COMPLETION: &str = PIECES[1];
/// Whatever is said by anything that a program is made of.
const EVERYTHING: &str = "trace";
/// Calls of the session that are decided on: two answers, two embeddings, a forwarded body, a refusal, and four that a
/// backend fails.
const DECISIONS: usize = 10;

/// A text in every form that it could be written in.
pub(crate) fn forms(text: &str) -> Vec<Vec<u8>> {
    forms_of(text.as_bytes())
}

/// The same of any bytes.
pub(crate) fn forms_of(bytes: &[u8]) -> Vec<Vec<u8>> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let listed = format!("{bytes:?}");
    let mut forms = vec![bytes.into(), hex.to_uppercase().into(), hex.into(), listed.trim_matches(['[', ']']).into()];
    // Wherever it stands in what is encoded, but for the letters that share their bits with what stands beside it.
    for skipped in 0..3 {
        let whole = &bytes[skipped..];
        forms.push(STANDARD.encode(&whole[..whole.len() / 3 * 3]).into());
    }
    forms
}

#[test]
fn a_marker_is_found_in_every_form_and_at_every_place() {
    let of = forms(PROMPT);
    let is_in = |bytes: &[u8]| of.iter().any(|form| find(bytes, form).is_some());
    for before in ["", "x", "xy", "xyz"] {
        let text = format!("{before}{PROMPT} and more");
        let (encoded, listed) = (STANDARD.encode(&text), format!("{:?}", text.as_bytes()));
        assert!(is_in(text.as_bytes()) && is_in(encoded.as_bytes()) && is_in(listed.as_bytes()), "{before}");
    }
    assert!(!is_in(b"the-patient-is-eighteen-and-afraid"));
}

/// A federation whose programs say all that they can, count, trace every request, and write their access logs: the broker to
/// a file, the node to where it logs.
struct Scene {
    node: Node,
    backend: Backend,
    app: Caller,
    federation: Federation,
    metrics: [String; 2],
    collector: Collector,
}

impl Scene {
    fn new() -> Self {
        let metrics = [free_address(), free_address()];
        let collector = Collector::start();
        let endpoint = collector.endpoint();
        let counting = |at: &str| {
            let traces = format!("[traces]\nendpoint = \"{endpoint}\"\nratio = 1.0\n");
            format!("\n[metrics]\nlisten = \"{at}\"\n{traces}[access_log]\n")
        };
        let talkative = format!("\n[log]\nfilter = \"{EVERYTHING}\"\n");
        let mut federation = Federation::found();
        let config = federation.broker_config();
        std::fs::write(
            &config,
            std::fs::read_to_string(&config).unwrap() + &talkative + &counting(&metrics[0]) + "file = \"access.log\"\n",
        )
        .unwrap();
        federation.start_broker();
        federation.expect_log(" ");
        let backend = Backend::start(Behaviour::Answer);
        let folder = federation.folder().join(EU_BODY.domain).join("n1");
        std::fs::create_dir_all(&folder).unwrap();
        let mut spec = NodeSpec::openai("n1", &backend.url(), "DE");
        spec.capabilities = r#"["chat", "embed", "forward"]"#.to_owned();
        std::fs::write(folder.join("node.toml"), spec.toml() + &counting(&metrics[1])).unwrap();
        let mut node = federation.start_node_in(EU_BODY, "n1", folder);
        node.wait_until_ready();
        assert!(node.program.stop().success());
        let mut node = federation.run_node_with(&node, &["--log-filter", EVERYTHING]);
        node.program.expect_log(" ");
        let app = federation.app(EU_OWNED, "assistant");
        Self { node, backend, app, federation, metrics, collector }
    }

    /// A chat with the marker in it. Gives what was printed.
    fn chat(&self, more: &[&str]) -> std::process::Output {
        let words = [&["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare"], more, &[PROMPT]].concat();
        self.federation.ask(&self.app, &words)
    }

    fn embed(&self) -> std::process::Output {
        let folder = self
            .federation
            .folder()
            .parent()
            .unwrap()
            .join(format!("{}-texts", self.federation.folder().file_name().unwrap().display()));
        std::fs::create_dir_all(&folder).unwrap();
        let [from, to] = ["texts.jsonl", "embedded.jsonl"].map(|name| folder.join(name));
        std::fs::write(&from, format!("\"{EMBEDDED}\"\n")).unwrap();
        let words = ["embed", "--model", "test-model", "--purpose", "dpv:CustomerCare"];
        let output =
            self.federation.ask(&self.app, &[&words[..], &[from.to_str().unwrap(), to.to_str().unwrap()]].concat());
        std::fs::remove_dir_all(&folder).unwrap();
        output
    }

    /// A body in the backend's own format, with the marker in it, as no command sends one. Gives the backend's answer.
    fn forward(&self) -> Vec<u8> {
        let envelope =
            Envelope { model: "test-model".into(), purposes: vec!["dpv:CustomerCare".into()], ..Default::default() };
        let body = format!(r#"{{"model": "any", "messages": [{{"role": "user", "content": "{FORWARDED}"}}]}}"#);
        let payload = ForwardPayload { format: "openai/chat.completions".into(), body: body.into() };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let app = Identity::open(&self.app.identity).unwrap();
            let mut client = InferenceClient::new(Connection::open(&app).unwrap().channel());
            let request = ForwardRequest { envelope: Some(envelope), payload: Some(payload) };
            let mut pieces = client.forward(request).await.unwrap().into_inner();
            let mut answer = Vec::new();
            while let Some(piece) = pieces.message().await.unwrap() {
                answer.extend_from_slice(&piece.body);
            }
            answer
        })
    }

    /// Calls that end in every way.
    fn session(&self) {
        let answer = self.chat(&[]);
        assert!(said(&answer).contains("Paris"), "{}", said(&answer));
        assert!(self.embed().status.success());
        assert!(find(&self.forward(), COMPLETION.as_bytes()).is_some());
        assert_eq!(self.chat(&["--processing", "FR"]).status.code(), Some(1));
        for behaviour in [Behaviour::Echo(500), Behaviour::Echo(400), Behaviour::Echo(200), Behaviour::Cut] {
            self.backend.behave(behaviour);
            let failed = self.chat(&[]);
            assert!(!failed.status.success(), "{behaviour:?}: {}", said(&failed));
        }
        self.backend.behave(Behaviour::Echo(400));
        assert!(!self.embed().status.success());
        self.backend.behave(Behaviour::Answer);
        assert!(self.chat(&["-o", "json"]).status.success());
    }

    /// What members and operators are shown of all that, by name.
    fn shown(&self) -> Vec<(String, Vec<u8>)> {
        let mut shown = Vec::new();
        let mut keep = |name: String, output: std::process::Output| {
            assert!(output.status.success(), "{name}: {}", said(&output));
            shown.push((name, [output.stdout, output.stderr].concat()));
        };
        let operator = self.federation.operator();
        let ask = |who: &Caller, words: &[&str]| self.federation.ask(who, words);
        for format in ["csv", "json", "html"] {
            keep(format!("audit as {format}"), ask(&operator, &["audit", "--from", "2026-01-01", "--format", format]));
        }
        let rows = ask(&operator, &["audit", "--from", "2026-01-01", "--format", "json"]);
        let rows: Value = serde_json::from_slice(&rows.stdout).unwrap();
        let decisions: Vec<&str> =
            rows.as_array().unwrap().iter().map(|row| row["decision"].as_str().unwrap()).collect();
        assert_eq!(decisions.len(), DECISIONS, "{rows}");
        for decision in decisions {
            for (who, caller) in [("an operator", &operator), ("whoever asked", &self.app)] {
                let file = self.federation.folder().join(format!("{decision} for {who}.tlog-proof"));
                let words = ["receipt", "show", decision, "-o", "json", "--save", file.to_str().unwrap()];
                keep(format!("the receipt of {decision} for {who}"), ask(caller, &words));
            }
        }
        for (name, address) in ["the broker", "the node"].iter().zip(&self.metrics) {
            shown.push((format!("the metrics of {name}"), scrape(address)));
        }
        shown.push(("the spans".to_owned(), self.collector.received()));
        shown
    }

    /// Waits until the spans of the last request are there: its own, its try, and the node's.
    fn wait_for_spans(&self) {
        wait::until("spans of every request are collected", || {
            let spans = self.collector.spans();
            let of = |program: &str| spans.iter().filter(|(name, span)| name == program && span.name != "try").count();
            (of("comity-broker") == DECISIONS && of("comity-node") == DECISIONS - 1).then_some(())
        });
    }
}

/// What is at an address, as whoever scrapes it reads it.
fn scrape(address: &str) -> Vec<u8> {
    let mut tcp = TcpStream::connect(address).unwrap();
    tcp.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    tcp.read_to_end(&mut answer).unwrap();
    assert!(find(&answer, b"# EOF").is_some());
    answer
}

/// Everything that the programs wrote, with logs, journals, records and what was written ahead.
fn written(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let name = |path: &PathBuf| path.strip_prefix(folder).unwrap().display().to_string();
    files_below(folder).iter().map(|path| (name(path), std::fs::read(path).unwrap_or_default())).collect()
}

#[test]
fn nothing_of_a_prompt_a_completion_or_a_secret_is_in_any_log_record_trace_or_metric() {
    let scene = Scene::new();
    scene.session();
    scene.wait_for_spans();
    let folder = scene.federation.folder();
    // What is written ahead now is published soon, and both have to be searched.
    let before = written(folder);
    assert!(before.iter().any(|(name, bytes)| name.contains("decisions/wal/") && !bytes.is_empty()));
    let shown = scene.shown();
    let all = [before, shown, written(folder)].concat();
    // The search would find what is there, and the markers were where they have to be.
    let with = |text: &str| all.iter().filter(|(_, bytes)| find(bytes, text.as_bytes()).is_some()).count();
    assert!(with("eu-owned.example/app/assistant") > 5 && with("comity_broker_") > 0 && with("comity_node_") > 0);
    for part in [
        "decisions/tile/",
        "decisions/records/",
        "decisions/checkpoint",
        "n1/data/",
        "broker.log",
        "access.log",
        "the spans",
    ] {
        assert!(all.iter().any(|(name, _)| name.contains(part)), "{part} is not searched");
    }
    for program in [scene.federation.broker.as_ref().unwrap(), &scene.node.program] {
        wait::until("a program says all that it can", || program.log().contains("TRACE").then_some(()));
    }
    let asked = scene.backend.asked().concat();
    for marker in [PROMPT, EMBEDDED, FORWARDED] {
        assert!(find(&asked, marker.as_bytes()).is_some(), "{marker} did not reach the backend");
    }
    for marker in [PROMPT, EMBEDDED, FORWARDED, COMPLETION] {
        let forms = forms(marker);
        for (name, bytes) in &all {
            assert!(!forms.iter().any(|form| find(bytes, form).is_some()), "{marker:?} is in {name}");
        }
    }
    let files = files_below(folder);
    let keys: Vec<_> = files.iter().filter_map(|file| private_key(file)).collect();
    assert!(keys.len() > 5);
    for key in &keys {
        let own = key.file.strip_prefix(folder).unwrap().display().to_string();
        for (name, bytes) in all.iter().filter(|(name, _)| *name != own) {
            assert!(!key.is_in(bytes), "the key {own} is in {name}");
        }
    }
}
