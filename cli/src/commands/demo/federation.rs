//! The federation: founded, joined and governed through its programs, as people would.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use super::cast::{APPS, App, NODE_NAME, NODES, Node, ORGANISATIONS, Organisation};
use super::folder::Folder;
use super::models::Ask;
use super::processes::{Processes, failed, finish, line, succeed};
use super::programs::Programs;
use super::{DemoError, tell_line};

/// The federation's trust domain.
const NAME: &str = "federation.example";
/// The operator that founds it.
const OPERATOR: &str = "alice";
/// Where the broker stands: requests that stay in the EU may pass it.
const PLACE: &str = "DE";

/// A federation that runs.
#[derive(Debug)]
pub(super) struct Federation {
    programs: Programs,
    dir: PathBuf,
    address: String,
}

impl Federation {
    /// Founds it, starts its broker, lets everyone join and starts the nodes.
    pub(super) async fn start(
        programs: Programs,
        folder: &Folder,
        processes: &mut Processes,
        ask: &Ask,
    ) -> Result<Self, DemoError> {
        let dir = folder.path().to_owned();
        tell_line(&format!("A federation on this machine, below D={}:", dir.display()))?;
        for organisation in ORGANISATIONS {
            tell_line(&format!("  {:<16} {}", organisation.domain, organisation.about))?;
        }
        let federation = Self { programs, dir, address: free_address()? };
        federation.found().await?;
        federation.start_broker(processes).await?;
        federation.write_facts()?;
        for node in &NODES {
            federation.start_node(node, processes, ask).await?;
        }
        for app in APPS {
            federation.enrol(app).await?;
        }
        for node in &NODES {
            let ready = federation.node_dir(node).join("data/ready");
            processes.ready(&log_name(node), &ready).await?;
        }
        tell_line("The broker and three nodes run, each a process of its own with mutual TLS; two apps have joined.")?;
        Ok(federation)
    }

    /// Where everything is.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Where the broker is.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The programs.
    pub(super) fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The operator's identity.
    pub(super) fn operator_dir(&self) -> PathBuf {
        self.dir.join("operator").join(OPERATOR)
    }

    /// An app's identity.
    pub(super) fn app_dir(&self, app: &App) -> PathBuf {
        self.dir.join(app.organisation.domain).join(app.name)
    }

    /// `comity` as somebody.
    pub(super) fn comity_as(&self, identity: &Path) -> Command {
        let mut command = self.programs.comity();
        command.arg("--identity").arg(identity);
        command
    }

    /// Governs, as the operator.
    pub(super) async fn govern(&self, words: &[&str]) -> Result<Value, DemoError> {
        let mut command = self.comity_as(&self.operator_dir());
        json(command.args(words).args(["-o", "json"])).await
    }

    async fn found(&self) -> Result<(), DemoError> {
        let mut init = self.programs.comity();
        init.args(["federation", "init", "--name", NAME, "--operator", OPERATOR, "--place", PLACE]);
        init.args(["--listen", &self.address, "--advertise", &self.address]).arg("--dir").arg(&self.dir);
        succeed(&mut init).await.map(drop)
    }

    async fn start_broker(&self, processes: &mut Processes) -> Result<(), DemoError> {
        let mut run = self.programs.broker();
        processes.start("broker", run.args(["run", "--config"]).arg(self.dir.join("broker/broker.toml")))?;
        processes.ready("broker", &self.dir.join("broker/data/address")).await.map(drop)
    }

    fn write_facts(&self) -> Result<(), DemoError> {
        ORGANISATIONS.iter().try_for_each(|organisation| write(&self.facts(organisation), &organisation.toml()))
    }

    async fn start_node(&self, node: &Node, processes: &mut Processes, ask: &Ask) -> Result<(), DemoError> {
        let config = self.node_dir(node).join("node.toml");
        write(&config, &node.toml(ask))?;
        let invite = self.invite(node.organisation, "node", NODE_NAME).await?;
        self.join(|| {
            let mut join = self.programs.node();
            join.args(["join", &invite, "--config"])
                .arg(&config)
                .arg("--organisation")
                .arg(self.facts(node.organisation));
            join
        })
        .await?;
        let mut run = self.programs.node();
        processes.start(&log_name(node), run.args(["run", "--config"]).arg(&config))
    }

    async fn enrol(&self, app: &App) -> Result<(), DemoError> {
        let invite = self.invite(app.organisation, "app", app.name).await?;
        self.join(|| {
            let mut join = self.programs.comity();
            join.args(["join", &invite, "--dir"])
                .arg(self.app_dir(app))
                .arg("--organisation")
                .arg(self.facts(app.organisation));
            join
        })
        .await
    }

    /// An invite: by the operator for a new organisation, by the organisation itself for its own members.
    async fn invite(&self, organisation: &Organisation, kind: &str, name: &str) -> Result<String, DemoError> {
        let words = ["invite", organisation.domain, "--kind", kind, "--name", name, "-o", "json"];
        let inviter = self.organisation_dir(organisation).unwrap_or_else(|| self.operator_dir());
        let answer = json(self.comity_as(&inviter).args(words)).await?;
        let invite = answer.get("invite").and_then(Value::as_str);
        invite
            .map(str::to_owned)
            .ok_or_else(|| DemoError::Answer { command: "comity invite".to_owned(), said: "no invite".to_owned() })
    }

    /// Joins; a new organisation waits for its approval and asks again, with the same invite.
    async fn join(&self, join: impl Fn() -> Command) -> Result<(), DemoError> {
        let mut first = join();
        let asked = finish(&mut first).await?;
        let waiting = self.govern(&["enrolment", "list"]).await?;
        let ids: Vec<&str> =
            waiting.get("enrolments").and_then(Value::as_array).into_iter().flatten().filter_map(id).collect();
        for id in &ids {
            self.govern(&["approve", "--yes", id]).await?;
        }
        match (asked.status.success(), ids.is_empty()) {
            (true, _) => Ok(()),
            (false, true) => Err(failed(&first, &asked)),
            (false, false) => succeed(&mut join()).await.map(drop),
        }
    }

    /// The identity that has the organisation's key: its node's, which joined first.
    fn organisation_dir(&self, organisation: &Organisation) -> Option<PathBuf> {
        let node = NODES.iter().find(|node| node.organisation.domain == organisation.domain)?;
        Some(self.node_dir(node).join("data/identity")).filter(|dir| dir.join("organisation.key.pem").exists())
    }

    fn facts(&self, organisation: &Organisation) -> PathBuf {
        self.dir.join(organisation.domain).join("organisation.toml")
    }

    fn node_dir(&self, node: &Node) -> PathBuf {
        self.dir.join(node.organisation.domain).join(NODE_NAME)
    }
}

fn id(enrolment: &Value) -> Option<&str> {
    enrolment.get("id").and_then(Value::as_str)
}

fn log_name(node: &Node) -> String {
    format!("node-of-{}", node.organisation.domain)
}

/// Runs a command that has to succeed, and reads the JSON that it prints.
pub(super) async fn json(command: &mut Command) -> Result<Value, DemoError> {
    let said = succeed(command).await?;
    serde_json::from_str(&said).map_err(|_| DemoError::Answer { command: line(command), said })
}

/// Writes a file, and the folder that it is in.
pub(super) fn write(path: &Path, text: &str) -> Result<(), DemoError> {
    let written = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| fs::write(path, text));
    written.map_err(DemoError::system(format!("write {}", path.display())))
}

/// An address whose port is free: it stands in the root document before the broker starts, so 0 will not do.
fn free_address() -> Result<String, DemoError> {
    let address = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    Ok(address.map_err(DemoError::system("find a free port"))?.to_string())
}
