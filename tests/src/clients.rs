//! Clients and servers of other makers, as `cargo xtask test` installs them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::{Value, json};

use crate::program::{built, run, said, workspace};
use crate::wait;

/// The folder that the tools were installed into.
///
/// # Panics
/// If nothing was installed there.
#[must_use]
pub fn tools() -> PathBuf {
    let set = std::env::var_os("COMITY_XTASK_CACHE").map(PathBuf::from);
    let folder = set.unwrap_or_else(|| workspace().join("target/xtask-tools"));
    assert!(folder.exists(), "{} is missing: run `cargo xtask test --prepare` first", folder.display());
    folder
}

/// Python with grpcio.
#[must_use]
pub fn python() -> PathBuf {
    tools().join("clients/bin/python")
}

/// The folder with Node.js's packages.
#[must_use]
pub fn npm() -> PathBuf {
    tools().join("npm")
}

/// SmolLM2-135M-Instruct.
///
/// # Panics
/// If it was not fetched.
#[must_use]
pub fn model() -> PathBuf {
    find(&tools().join("models"), "gguf").expect("the model was not fetched: run `cargo xtask test --prepare` first")
}

/// A cache folder, made below `folder`, as a user has one who fetched the model.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn models_as_a_user_has_them(folder: &Path) -> PathBuf {
    let cache = folder.join("cache");
    std::fs::create_dir_all(cache.join("comity")).unwrap();
    std::os::unix::fs::symlink(tools().join("models"), cache.join("comity/models")).unwrap();
    cache
}

/// The first file below a folder with this extension.
fn find(folder: &Path, extension: &str) -> Option<PathBuf> {
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(folder).ok()?.map_while(Result::ok).map(|entry| entry.path()).collect();
    entries.sort();
    entries.iter().find_map(|path| match path.is_dir() {
        true => find(path, extension),
        false => path.extension().is_some_and(|found| found == extension).then(|| path.clone()),
    })
}

/// Whether a caller shows its certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// It does.
    Shown,
    /// It has none.
    Withheld,
}

/// Somebody who calls: an address, and the folder of the identity that calls.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whom to call.
    pub address: String,
    /// As whom.
    pub identity: PathBuf,
}

impl Caller {
    /// Makes a call with Python's grpcio; gives what it saw.
    ///
    /// # Panics
    /// If the client itself fails.
    #[must_use]
    pub fn python(&self, case: &str, model: &str) -> Value {
        let stubs = tempfile::tempdir().unwrap();
        let mut command = Command::new(python());
        command.arg(workspace().join("tests/clients/python/client.py"));
        command.args([case, "--address", &self.address, "--model", model]);
        command.arg("--identity").arg(&self.identity).arg("--stubs").arg(stubs.path());
        command.arg("--schema").arg(workspace().join("proto/schema"));
        seen(&run(&mut command))
    }

    /// Shakes hands with the address by Python's `ssl`, in this version of TLS alone (`1.2`, `1.3`), with the
    /// caller's certificate or without one; gives the alert that it got, or what it heard.
    ///
    /// # Panics
    /// If the client itself fails.
    #[must_use]
    pub fn tls(&self, version: &str, certificate: Certificate) -> Value {
        let mut command = Command::new(python());
        command.arg(workspace().join("tests/clients/python/tls.py")).args([&self.address, version]);
        if certificate == Certificate::Shown {
            command.arg(&self.identity);
        }
        seen(&run(&mut command))
    }

    /// Makes a call with Node.js's grpc-js; gives what it saw.
    ///
    /// # Panics
    /// If the client itself fails.
    #[must_use]
    pub fn node(&self, case: &str, model: &str) -> Value {
        let mut command = Command::new("node");
        command.arg("--no-deprecation").arg(workspace().join("tests/clients/node/client.mjs"));
        command.args([case, &self.address]).arg(&self.identity).arg(workspace().join("proto/schema")).arg(model);
        seen(&run(command.env("COMITY_NODE_MODULES", npm())))
    }

    /// Runs `buf curl` against the address, with the reflection of the server.
    #[must_use]
    pub fn buf_curl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(npm().join("node_modules/.bin/buf"));
        command.args(["curl", "--protocol", "grpc"]);
        for (option, file) in [("--cacert", "federation-ca.pem"), ("--cert", "cert.pem"), ("--key", "key.pem")] {
            command.arg(option).arg(self.identity.join(file));
        }
        command.args(arguments).arg(format!("https://{}", self.address));
        run(&mut command)
    }

    /// Asks for an answer by `buf curl`, whoever it is that listens at the address.
    #[must_use]
    pub fn buf_chat(&self, model: &str) -> Output {
        let mut command = Command::new(npm().join("node_modules/.bin/buf"));
        command.args(["curl", "--insecure", "--protocol", "grpc"]);
        command.arg("--schema").arg(workspace().join("proto/schema"));
        for (option, file) in [("--cert", "cert.pem"), ("--key", "key.pem")] {
            command.arg(option).arg(self.identity.join(file));
        }
        let envelope = json!({ "model": model, "purposes": ["dpv:CustomerCare"] });
        let payload = json!({ "messages": [{ "role": "ROLE_USER", "content": [{ "text": "What is it?" }] }] });
        command.arg("--data").arg(json!({ "envelope": envelope, "payload": payload }).to_string());
        command.arg(format!("https://{}/comity.inference.v1.Inference/Chat", self.address));
        run(&mut command)
    }
}

/// The JSON that a client printed.
fn seen(output: &Output) -> Value {
    assert!(output.status.success(), "the client failed: {}", said(output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("no JSON ({error}): {}", said(output)))
}

/// llama.cpp's own server with SmolLM2, until it is dropped.
#[derive(Debug)]
pub struct LlamaServer {
    child: Child,
    url: String,
}

/// The API key that [`LlamaServer`] asks for.
pub const LLAMA_KEY: &str = "key-of-the-scenario";

impl LlamaServer {
    /// Starts it; it serves the model under this name.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start(alias: &str) -> Self {
        let mut command = Command::new(tools().join("llama/bin/python"));
        command.arg(workspace().join("tests/clients/llama/serve.py")).arg(model()).args([alias, LLAMA_KEY]);
        let said = tempfile::NamedTempFile::new().unwrap();
        let out = said.reopen().unwrap();
        let child = command.stdin(Stdio::piped()).stdout(out).stderr(Stdio::null()).spawn().unwrap();
        let mut server = Self { child, url: String::new() };
        server.url = wait::until("llama.cpp's server listens", || {
            let said = std::fs::read_to_string(said.path()).unwrap();
            // Whole lines only: the address must not be read while it is written.
            let (lines, _rest) = said.rsplit_once('\n')?;
            lines.lines().find_map(|line| Some(line.strip_prefix("listening ")?.to_owned()))
        });
        server
    }

    /// Its base URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}/v1", self.url)
    }
}

impl Drop for LlamaServer {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _killed = self.child.kill();
        let _status = self.child.wait();
    }
}

/// The operator's program.
#[must_use]
pub fn comity() -> Command {
    Command::new(built("comity"))
}
