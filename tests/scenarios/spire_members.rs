//! An organisation that runs SPIRE, or another agent of SPIFFE: it joins by its trust bundle, and its nodes, apps and
//! operators take a fresh certificate with a fresh key from the Workload API as often as the agent hands one out.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use comity_identity::{Authority, Bundle};
use comity_runtime::clock::SystemClock;
use comity_tests::backend::{Backend, Behaviour};
use comity_tests::clients::{comity, python};
use comity_tests::federation::{EU_BODY, EU_OWNED, Federation, PENDING};
use comity_tests::node::NodeSpec;
use comity_tests::program::{Program, built, run, said, succeed, workspace};
use comity_tests::wait;
use comity_types::Clock as _;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// How many certificates the agent hands out while calls go on.
const ROTATIONS: usize = 4;
/// What is asked, again and again.
const QUESTION: [&str; 6] = ["chat", "--model", "test-model", "--purpose", "dpv:CustomerCare", "hello"];

/// An agent that hands these identities to whoever asks.
struct Agent {
    program: Program,
    folder: PathBuf,
}

impl Agent {
    fn start(folder: &Path, ids: &[&str]) -> Self {
        let mut command = Command::new(python());
        command.arg(workspace().join("tests/clients/python/agent.py"));
        command.arg("--socket").arg(folder.join("agent.sock")).arg("--bundle").arg(folder.join("bundle.json"));
        for id in ids {
            command.args(["--id", id]);
        }
        let agent = Self { program: Program::start("agent", &mut command, folder), folder: folder.to_owned() };
        let _served = wait::for_file(&agent.bundle());
        agent
    }

    fn bundle(&self) -> PathBuf {
        self.folder.join("bundle.json")
    }

    fn socket(&self) -> String {
        format!("unix://{}", self.folder.join("agent.sock").display())
    }

    fn handed_out(&self) -> usize {
        self.program.log().lines().filter(|line| line.starts_with("handed out")).count()
    }

    /// Runs `comity` as one of its identities.
    fn comity(&self, dir: &Path, words: &[&str]) -> Output {
        run(comity().arg("--workload-api").arg(self.socket()).arg("--identity").arg(dir).args(words))
    }
}

/// Whoever asked was answered.
fn answered(output: &Output) {
    assert!(output.status.success() && said(output).contains("Paris"), "{}", said(output));
}

/// Serves a bundle by HTTPS, with a certificate of an authority whose file it gives.
fn serve(bundle: &Path, folder: &Path) -> (String, PathBuf) {
    let issued = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let authority = folder.join("web.pem");
    std::fs::write(&authority, issued.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(issued.signing_key.serialize_der().into());
    let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let config = Arc::new(builder.with_single_cert(vec![issued.cert.der().clone()], key).unwrap());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}/bundle.json", listener.local_addr().unwrap());
    let text = std::fs::read(bundle).unwrap();
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            answer(tcp.unwrap(), &config, &text);
        }
    });
    (url, authority)
}

/// Whoever does not believe the server breaks off.
fn answer(tcp: TcpStream, config: &Arc<ServerConfig>, text: &[u8]) {
    let mut tls = StreamOwned::new(ServerConnection::new(Arc::clone(config)).unwrap(), tcp);
    let mut asked = [0; 4096];
    if !tls.read(&mut asked).is_ok_and(|bytes| bytes > 0) {
        return;
    }
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", text.len());
    tls.write_all(head.as_bytes()).unwrap();
    tls.write_all(text).unwrap();
    tls.conn.send_close_notify();
    let _gone = tls.flush().is_err();
}

#[test]
fn a_member_joins_by_its_trust_bundles_url_and_serves_on_while_its_agent_rotates_certificate_and_key() {
    let backend = Backend::start(Behaviour::Answer);
    let federation = Federation::start();
    let folder = federation.folder().join(EU_BODY.domain).join("n1");
    std::fs::create_dir_all(&folder).unwrap();
    let agent = Agent::start(&folder, &["spiffe://eu-body.example/node/n1"]);
    let (url, web) = serve(&agent.bundle(), &folder);
    let source = format!("[identity]\nworkload_api = \"{}\"\n", agent.socket());
    let toml = NodeSpec::openai("n1", &backend.url(), "DE").toml();
    std::fs::write(folder.join("node.toml"), format!("{toml}\n{source}")).unwrap();
    federation.write_facts(EU_BODY, &folder.join("organisation.toml"));

    let invite = federation.invite(EU_BODY, "node", "n1");
    let join = |bundle: &str| {
        let mut join = Command::new(built("comity-node"));
        join.args(["join", &invite, "--config"]).arg(folder.join("node.toml"));
        join.arg("--organisation").arg(folder.join("organisation.toml")).args(["--spiffe-bundle", bundle]);
        join
    };
    // Anyone on the way could change what comes by HTTP, and whoever serves it has to be believed.
    let insecure = run(&mut join(&url.replace("https://", "http://")));
    assert!(insecure.status.code() == Some(2) && said(&insecure).contains("is not https://"), "{}", said(&insecure));
    let unknown = run(&mut join(&url));
    assert!(unknown.status.code() == Some(2) && said(&unknown).contains("UnknownIssuer"), "{}", said(&unknown));
    let waits = run(join(&url).env("SSL_CERT_FILE", &web));
    assert_eq!(waits.status.code(), Some(PENDING), "{}", said(&waits));
    federation.approve_all();
    let _joined = succeed(join(&url).env("SSL_CERT_FILE", &web));
    let certificate = std::fs::read_to_string(folder.join("data/identity/cert.pem")).unwrap_or_default();
    assert_eq!(certificate, "", "the agent's certificates are not kept");

    let mut run_node = Command::new(built("comity-node"));
    let _node = Program::start("node", run_node.args(["run", "--config"]).arg(folder.join("node.toml")), &folder);
    let _ready = wait::for_file(&folder.join("data/ready"));
    let app = federation.app(EU_OWNED, "assistant");
    let from = agent.handed_out();
    wait::until("the agent has rotated", || {
        answered(&federation.ask(&app, &QUESTION));
        (agent.handed_out() >= from + ROTATIONS).then_some(())
    });
}

/// An organisation whose app has joined by its bundle, and whose operator by the Workload API alone.
struct Members {
    /// First, so that it ends before the folder with its log is removed.
    agent: Agent,
    federation: Federation,
    app: PathBuf,
    operator: PathBuf,
}

impl Members {
    fn join() -> Self {
        let federation = Federation::start();
        let folder = federation.folder().join(EU_BODY.domain);
        std::fs::create_dir_all(&folder).unwrap();
        let ids = ["spiffe://eu-body.example/app/a1", "spiffe://eu-body.example/operator/o1"];
        let agent = Agent::start(&folder, &ids);
        let [app, operator] = ["a1", "o1"].map(|name| folder.join(name));
        let members = Self { agent, federation, app, operator };
        members.join_app();
        members.join_operator();
        members
    }

    fn join_app(&self) {
        let facts = self.agent.folder.join("organisation.toml");
        self.federation.write_facts(EU_BODY, &facts);
        let invite = self.federation.invite(EU_BODY, "app", "a1");
        let joining = |bundle: &[&str]| {
            let mut join = comity();
            join.args(["join", &invite, "--dir"]).arg(&self.app).arg("--organisation").arg(&facts).args(bundle);
            join
        };
        let bundle = self.agent.bundle();
        let bundle = ["--spiffe-bundle", bundle.to_str().unwrap()];
        let socket = self.agent.socket();
        // One without the other admits a key that no agent has, or no authority.
        for (missing, named) in [
            (run(&mut joining(&bundle)), "--workload-api SOCKET"),
            (run(joining(&[]).env("COMITY_WORKLOAD_API", &socket)), "--spiffe-bundle FILE|URL"),
            (run(joining(&["--hosted"]).env("COMITY_WORKLOAD_API", &socket)), "leave out --workload-api"),
        ] {
            assert!(missing.status.code() == Some(2) && said(&missing).contains(named), "{}", said(&missing));
        }
        let waits = run(joining(&bundle).env("COMITY_WORKLOAD_API", &socket));
        assert_eq!(waits.status.code(), Some(PENDING), "{}", said(&waits));
        self.federation.approve_all();
        // The first command that uses the directory completes the identity.
        let shown = self.agent.comity(&self.app, &["organisation", "show", EU_BODY.domain]);
        assert!(shown.status.success(), "{}", said(&shown));
        assert_eq!(std::fs::read_to_string(self.app.join("cert.pem")).unwrap_or_default(), "", "nothing is kept");
    }

    fn join_operator(&self) {
        let words = ["invite", EU_BODY.domain, "--kind", "operator", "--name", "o1", "-o", "json"];
        let invite = self.agent.comity(&self.app, &words);
        assert!(invite.status.success(), "{}", said(&invite));
        let invite: serde_json::Value = serde_json::from_slice(&invite.stdout).unwrap();
        let mut join = comity();
        join.args(["--workload-api", &self.agent.socket(), "join", invite["invite"].as_str().unwrap(), "--dir"]);
        let _joined = succeed(join.arg(&self.operator));
    }
}

#[test]
fn an_app_and_an_operator_are_heard_with_every_key_that_the_agent_hands_out_and_nobody_with_a_key_of_their_own() {
    let backend = Backend::start(Behaviour::Answer);
    let members = Members::join();
    let _node = members.federation.node(EU_OWNED, &NodeSpec::openai("n1", &backend.url(), "DE"));
    for _ in 0..ROTATIONS {
        let from = members.agent.handed_out();
        answered(&members.agent.comity(&members.app, &QUESTION));
        let listed = members.agent.comity(&members.operator, &["app", "list"]);
        assert!(listed.status.success() && said(&listed).contains("app/a1"), "{}", said(&listed));
        assert!(members.agent.handed_out() >= from + 2, "both had keys of the agent");
    }
    let alone = run(comity().arg("--identity").arg(&members.app).args(QUESTION));
    assert!(!alone.status.success(), "the directory alone has no certificate: {}", said(&alone));
}

#[test]
fn a_member_of_spire_rolls_its_authority_by_a_bundle_and_is_kept_from_locking_itself_out() {
    let members = Members::join();
    let (domain, folder) = (EU_BODY.domain.parse().unwrap(), &members.agent.folder);
    let current = Bundle::from_json(domain, &std::fs::read(members.agent.bundle()).unwrap()).unwrap();
    let next = Authority::generate(current.domain.clone(), SystemClock.now()).unwrap().anchor();
    let write = |name: &str, anchors: Vec<_>| {
        let path = folder.join(name);
        std::fs::write(&path, Bundle { anchors, ..current.clone() }.to_json().unwrap()).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let set = |bundle: &str| members.agent.comity(&members.app, &["organisation", "anchors", "set", bundle]);
    let refused = set(&write("next.json", vec![next.clone()]));
    assert_eq!(refused.status.code(), Some(2), "{}", said(&refused));
    assert!(said(&refused).contains("leave it in the file until every member has"), "{}", said(&refused));
    let rolled = set(&write("both.json", [current.anchors.clone(), vec![next]].concat()));
    assert!(rolled.status.success(), "{}", said(&rolled));
    let listed = members.agent.comity(&members.app, &["organisation", "anchors", "list", "-o", "json"]);
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    assert_eq!(listed["sha256"].as_array().map(Vec::len), Some(2), "{listed}");
}
