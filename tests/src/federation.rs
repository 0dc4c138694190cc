//! A federation on this machine: founded, joined and governed through the programs,
//! as people would. How the programs are called stands here and nowhere else.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::clients::{Caller, comity};
use crate::node::NodeSpec;
use crate::operators;
use crate::program::{Program, built, folders_below, run, said, succeed};
use crate::proxy::Proxy;
use crate::wait;

/// The federation's trust domain.
pub const FEDERATION: &str = "federation.example";
/// How a program that joins ends while operators have not decided: EX_TEMPFAIL of sysexits.h.
pub const PENDING: i32 = 75;
/// The operator that founds it.
pub(crate) const OPERATOR: &str = "alice";

/// An organisation of a scenario.
#[derive(Debug, Clone, Copy)]
pub struct OrganisationSpec {
    /// Its trust domain.
    pub domain: &'static str,
    /// Where it has its seat.
    pub seat: &'static str,
    /// Where who controls it has its seat, if somebody does.
    pub controller: Option<&'static str>,
}

/// A public body of the EU.
pub const EU_BODY: OrganisationSpec = OrganisationSpec { domain: "eu-body.example", seat: "DE", controller: None };
/// A company of the EU that is owned from the US.
pub const EU_OWNED: OrganisationSpec =
    OrganisationSpec { domain: "eu-owned.example", seat: "IE", controller: Some("US") };
/// A vendor of the US.
pub const US_VENDOR: OrganisationSpec = OrganisationSpec { domain: "us-vendor.example", seat: "US", controller: None };

/// A federation with its broker.
#[derive(Debug)]
pub struct Federation {
    /// The broker's process; `None` while it is down. It stands first, so that it ends before its folder, with its
    /// log, is removed.
    pub broker: Option<Program>,
    address: String,
    folder: TempDir,
    /// Who lets members in: as many as have to.
    approvers: Vec<String>,
}

/// A node that has joined and runs.
#[derive(Debug)]
pub struct Node {
    /// Its SPIFFE ID.
    pub id: String,
    /// Its folder, with its `node.toml`.
    pub folder: PathBuf,
    /// Its process.
    pub program: Program,
}

impl Node {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> String {
        wait::for_file(&self.folder.join("data/address"))
    }

    /// Waits until its offers are published.
    pub fn wait_until_ready(&self) {
        let _ready = wait::for_file(&self.folder.join("data/ready"));
    }
}

impl Federation {
    /// Founds a federation and starts its broker, which is in Germany.
    #[must_use]
    pub fn start() -> Self {
        Self::start_in("DE")
    }

    /// Founds a federation and starts its broker, which is in this place.
    #[must_use]
    pub fn start_in(place: &str) -> Self {
        let mut federation = Self::found_in(place);
        federation.start_broker();
        federation
    }

    /// Founds a federation whose broker is in Germany, and down.
    #[must_use]
    pub fn found() -> Self {
        Self::found_in("DE")
    }

    /// Founds a federation whose broker is in this place, and down.
    ///
    /// # Panics
    /// If it cannot be founded.
    #[must_use]
    pub fn found_in(place: &str) -> Self {
        Self::found_at(&free_address(), place, &[], &[], 1)
    }

    /// Founds a federation of several operators, of whom so many have to sign, and starts its broker. The founder is
    /// alice; the others made their keys where they are.
    #[must_use]
    pub fn start_governed(others: &[&str], threshold: usize) -> Self {
        let mut federation = Self::found_at(&free_address(), "DE", &[], others, threshold);
        federation.start_broker();
        federation
    }

    /// Founds a federation and starts its broker, which is reached through a proxy as well; gives the proxy.
    #[must_use]
    pub fn start_with_proxy() -> (Self, Proxy) {
        let address = free_address();
        let proxy = Proxy::start(&address);
        let mut federation = Self::found_at(&address, "DE", &[proxy.address()], &[], 1);
        federation.start_broker();
        (federation, proxy)
    }

    /// Founds a federation and starts its broker, which nobody reaches but through a proxy; gives the proxy.
    #[must_use]
    pub fn start_behind_proxy() -> (Self, Proxy) {
        let address = free_address();
        let proxy = Proxy::start(&address);
        let mut federation = Self::found_by(&address, &[proxy.address()], "DE", &[], 1);
        federation.start_broker();
        (federation, proxy)
    }

    fn found_at(address: &str, place: &str, advertised: &[String], others: &[&str], threshold: usize) -> Self {
        let all = [&[address.to_owned()], advertised].concat();
        Self::found_by(address, &all, place, others, threshold)
    }

    fn found_by(address: &str, advertised: &[String], place: &str, others: &[&str], threshold: usize) -> Self {
        let folder = tempfile::Builder::new().prefix("comity-scenario-").tempdir().unwrap();
        let mut init = comity();
        init.args(["federation", "init", "--name", FEDERATION, "--operator", OPERATOR]);
        init.args(["--listen", address, "--place", place]);
        for advertised in advertised {
            init.args(["--advertise", advertised]);
        }
        let requests = others.iter().map(|name| operators::request(folder.path(), name));
        init.args(requests.collect::<Vec<_>>().concat()).args(["--threshold", &threshold.to_string()]);
        let _said = succeed(init.arg("--dir").arg(folder.path()));
        others.iter().for_each(|name| operators::take_over(folder.path(), name));
        let approvers = [OPERATOR].iter().chain(others).take(threshold).map(ToString::to_string).collect();
        Self { broker: None, address: address.to_owned(), folder, approvers }
    }

    /// Where the broker listens.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The scenario's folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the broker and waits until it serves.
    pub fn start_broker(&mut self) {
        let config = self.broker_config();
        let mut command = Command::new(built("comity-broker"));
        let ready = self.broker_data().join("address");
        let _gone = std::fs::remove_file(&ready);
        self.broker = Some(Program::start("broker", command.args(["run", "--config"]).arg(config), self.folder()));
        // Node.js sends the broker's IP address as its name, against RFC 6066, section 3. TLS takes no notice but says so.
        self.expect_log("Illegal SNI extension: ignoring IP address presented as hostname");
        let _address = wait::for_file(&ready);
    }

    /// Ends the broker as a power cut would, and starts it again.
    ///
    /// # Panics
    /// If it is down already.
    pub fn cut_broker_and_restart(&mut self) {
        self.broker.take().expect("the broker is down already").cut();
        self.start_broker();
    }

    /// Stops the broker as its service manager does, and waits until it has ended.
    ///
    /// # Panics
    /// If it is down already.
    pub fn stop_broker(&mut self) {
        let _status = self.broker.take().expect("the broker is down already").stop();
    }

    /// The broker's configuration.
    #[must_use]
    pub fn broker_config(&self) -> PathBuf {
        self.folder().join("broker/broker.toml")
    }

    /// Lets warnings and errors of the broker pass whose line has this text: they are what the scenario is about.
    ///
    /// # Panics
    /// If the broker is down.
    pub fn expect_log(&mut self, text: &str) {
        self.broker.as_mut().expect("the broker is down").expect_log(text);
    }

    fn broker_data(&self) -> PathBuf {
        self.folder().join("broker/data")
    }

    /// The operator that founded the federation.
    #[must_use]
    pub fn operator(&self) -> Caller {
        Caller { address: self.address.clone(), identity: self.folder().join("operator").join(OPERATOR) }
    }

    /// Runs `comity` as the operator; gives its standard output.
    #[must_use]
    pub fn govern(&self, arguments: &[&str]) -> String {
        succeed(comity().arg("--identity").arg(self.operator().identity).args(arguments))
    }

    /// The same, as JSON.
    ///
    /// # Panics
    /// If it is not JSON.
    #[must_use]
    pub fn govern_json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.govern(&[arguments, &["-o", "json"]].concat())).unwrap()
    }

    /// Runs `comity` as an app, to whatever end.
    #[must_use]
    pub fn ask(&self, app: &Caller, arguments: &[&str]) -> Output {
        run(comity().arg("--identity").arg(&app.identity).args(arguments))
    }

    /// Lets a node of an organisation join, and starts it.
    #[must_use]
    pub fn node(&self, organisation: OrganisationSpec, spec: &NodeSpec) -> Node {
        let node = self.start_node(organisation, spec);
        node.wait_until_ready();
        node
    }

    /// The same, without waiting until its offers are published.
    ///
    /// # Panics
    /// If it cannot join.
    #[must_use]
    pub fn start_node(&self, organisation: OrganisationSpec, spec: &NodeSpec) -> Node {
        let folder = self.folder().join(organisation.domain).join(&spec.name);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("node.toml"), spec.toml()).unwrap();
        self.start_node_in(organisation, &spec.name, folder)
    }

    /// Lets the node join whose `node.toml` is in `folder`, and starts it. The facts of a new organisation are in the
    /// folder's `organisation.toml`; they are written if there is none.
    ///
    /// # Panics
    /// If it cannot join.
    #[must_use]
    pub fn start_node_in(&self, organisation: OrganisationSpec, name: &str, folder: PathBuf) -> Node {
        let (config, facts) = (folder.join("node.toml"), folder.join("organisation.toml"));
        if !facts.exists() {
            self.write_facts(organisation, &facts);
        }
        let invite = self.invite(organisation, "node", name);
        self.join(|| {
            let mut join = Command::new(built("comity-node"));
            join.args(["join", &invite, "--config"]).arg(&config).arg("--organisation").arg(&facts);
            join
        });
        Self::run(format!("spiffe://{}/node/{name}", organisation.domain), folder, &[])
    }

    /// Runs a node that has joined in another way than [`Federation::node`] has it join.
    #[must_use]
    pub fn run_joined(&self, id: &str, folder: &Path, arguments: &[&str]) -> Node {
        Self::run(id.to_owned(), folder.to_owned(), arguments)
    }

    /// Runs a node again that has joined and was stopped.
    #[must_use]
    pub fn run_node(&self, node: &Node) -> Node {
        Self::run(node.id.clone(), node.folder.clone(), &[])
    }

    /// The same, with these arguments; waits until its offers are published.
    #[must_use]
    pub fn run_node_with(&self, node: &Node, arguments: &[&str]) -> Node {
        let _gone = std::fs::remove_file(node.folder.join("data/ready"));
        let node = Self::run(node.id.clone(), node.folder.clone(), arguments);
        node.wait_until_ready();
        node
    }

    fn run(id: String, folder: PathBuf, arguments: &[&str]) -> Node {
        let mut command = Command::new(built("comity-node"));
        command.args(["run", "--config"]).arg(folder.join("node.toml")).args(arguments);
        let program = Program::start("node", &mut command, &folder);
        Node { id, folder, program }
    }

    /// Lets an app of an organisation join.
    ///
    /// # Panics
    /// If it cannot join.
    #[must_use]
    pub fn app(&self, organisation: OrganisationSpec, name: &str) -> Caller {
        let identity = self.folder().join(organisation.domain).join(name);
        self.join(self.joining_app(organisation, name, &identity));
        Caller { address: self.address.clone(), identity }
    }

    /// Lets an app of a new organisation ask to join, which waits for an approval; gives what asks again.
    ///
    /// # Panics
    /// If it does not wait.
    pub fn waiting_app(&self, organisation: OrganisationSpec, name: &str) -> impl Fn() -> Command + use<> {
        let join = self.joining_app(organisation, name, &self.folder().join(organisation.domain).join(name));
        let asked = run(&mut join());
        assert_eq!(asked.status.code(), Some(PENDING), "{}", said(&asked));
        join
    }

    fn joining_app(&self, organisation: OrganisationSpec, name: &str, identity: &Path) -> impl Fn() -> Command + use<> {
        std::fs::create_dir_all(identity).unwrap();
        let (identity, facts) = (identity.to_owned(), self.folder().join(format!("{}.toml", organisation.domain)));
        self.write_facts(organisation, &facts);
        let invite = self.invite(organisation, "app", name);
        move || {
            let mut join = comity();
            join.args(["join", &invite, "--dir"]).arg(&identity).arg("--organisation").arg(&facts);
            join
        }
    }

    /// An invite: as the operator would hand it over to a new organisation, and as one that takes part already would to a
    /// member of its own.
    ///
    /// # Panics
    /// If none is given.
    #[must_use]
    pub fn invite(&self, organisation: OrganisationSpec, kind: &str, name: &str) -> String {
        let inviter = self.organisation_dir(organisation.domain).unwrap_or_else(|| self.operator().identity);
        let words = ["invite", organisation.domain, "--kind", kind, "--name", name, "-o", "json"];
        let invite: Value = serde_json::from_str(&self.say_as(&inviter, &words)).unwrap();
        invite["invite"].as_str().unwrap().to_owned()
    }

    /// Runs `comity` as somebody; gives its standard output.
    #[must_use]
    pub fn say_as(&self, identity: &Path, arguments: &[&str]) -> String {
        succeed(comity().arg("--identity").arg(identity).args(arguments))
    }

    /// The identity that has the key of an organisation, and takes part: that of its first member.
    #[must_use]
    pub fn organisation_dir(&self, domain: &str) -> Option<PathBuf> {
        let own = format!("spiffe://{domain}/");
        let joined =
            |dir: &PathBuf| std::fs::read_to_string(dir.join("identity.json")).is_ok_and(|who| who.contains(&own));
        let signs = |dir: &PathBuf| dir.join("organisation.key.pem").exists() && joined(dir);
        folders_below(self.folder()).into_iter().find(signs)
    }

    /// Writes an organisation's facts, as the file that it would write.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn write_facts(&self, organisation: OrganisationSpec, path: &Path) {
        std::fs::write(path, facts_text(organisation)).unwrap();
    }

    /// Joins; where the organisation is new, approves it and joins again.
    ///
    /// # Panics
    /// If it cannot join.
    pub fn join(&self, join: impl Fn() -> Command) {
        let first = run(&mut join());
        if first.status.success() {
            return;
        }
        assert_eq!(first.status.code(), Some(PENDING), "{}", said(&first));
        self.approve_all();
        let _joined = succeed(&mut join());
    }

    /// Lets everybody in who waits.
    ///
    /// # Panics
    /// If an operator cannot.
    pub fn approve_all(&self) {
        let waiting = self.govern_json(&["enrolment", "list"]);
        for enrolment in waiting["enrolments"].as_array().into_iter().flatten() {
            if enrolment["state"] != "ENROLMENT_STATE_WAITING" {
                continue;
            }
            for operator in &self.approvers {
                let approve = ["approve", "--yes", enrolment["id"].as_str().unwrap()];
                let _approved = self.say_as(&self.operator_named(operator).identity, &approve);
            }
        }
    }
}

/// An organisation's facts.
fn facts_text(organisation: OrganisationSpec) -> String {
    let OrganisationSpec { domain, seat, controller } = organisation;
    let controllers = controller.map(|seat| format!("{{ name = \"Owner of {domain}\", seat = \"{seat}\" }}"));
    format!(
        "trust_domain = \"{domain}\"\nname = \"{domain}\"\nseat = \"{seat}\"\nultimate_controllers = [{}]\n",
        controllers.unwrap_or_default()
    )
}

/// An address of this machine whose port is free: a broker that restarts has to come back to it.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn free_address() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}
