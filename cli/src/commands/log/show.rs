//! `comity log show`.

use comity_membership::{Body, Entry, Federation, Payload};
use comity_transparency::KeyId;
use serde_json::{Value, json};

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;

/// Lists the entries, each proven before it is shown.
pub(super) async fn run(after: u64, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let mut entries = Vec::new();
    let followed = session.log_with(|epoch, entry| entries.push((epoch, entry.to_vec()))).await?;
    let federation = followed.log().federation();
    let read = entries.iter().filter(|(epoch, _)| *epoch > after).filter_map(|(_, bytes)| Entry::from_json(bytes).ok());
    let lines: Vec<Line> = read.map(|entry| Line::of(&entry, federation)).collect();
    let rows = lines.iter().map(Line::row).collect();
    let json: Vec<Value> = lines.iter().map(Line::json).collect();
    global.output.list(&["epoch", "at", "statement", "scope", "version", "signed by"], rows, &json)
}

pub(super) struct Line {
    epoch: u64,
    at: String,
    kind: &'static str,
    scope: String,
    version: Option<u64>,
    signers: Vec<String>,
    statement: Value,
}

impl Line {
    pub(super) fn of(entry: &Entry, federation: &Federation) -> Self {
        let (at, epoch) = (entry.at.to_string(), entry.epoch);
        let plain = |kind, statement| Self {
            epoch,
            at: at.clone(),
            kind,
            scope: "-".into(),
            version: None,
            signers: Vec::new(),
            statement,
        };
        match &entry.body {
            Body::Founded(genesis) => plain("founded", json!(genesis)),
            Body::Lapsed { subject } => plain("lapsed", json!({ "subject": subject })),
            Body::Signed(envelope) => match Payload::peek(envelope) {
                Ok(Payload { version, statement, .. }) => Self {
                    kind: statement.kind(),
                    scope: statement.scope().map(|scope| scope.to_string()).unwrap_or_default(),
                    version: Some(version),
                    signers: envelope.signatures.iter().map(|one| signer(federation, one.keyid)).collect(),
                    statement: json!(statement),
                    ..plain("", Value::Null)
                },
                Err(_) => plain("unreadable", Value::Null),
            },
        }
    }

    pub(super) fn row(&self) -> Vec<String> {
        let version = self.version.map_or_else(|| "-".into(), |version| version.to_string());
        let (kind, signers) = (self.kind.replace('_', " "), self.signers.join(" "));
        vec![self.epoch.to_string(), self.at.clone(), kind, self.scope.clone(), version, signers]
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "epoch": self.epoch,
            "at": self.at,
            "kind": self.kind,
            "scope": self.scope,
            "version": self.version,
            "signedBy": self.signers,
            "statement": self.statement,
        })
    }
}

/// Whose key it is now; a key that is nobody's any more by its fingerprint.
fn signer(federation: &Federation, key: KeyId) -> String {
    let member = federation.members().find(|(_, member)| member.key.id() == key).map(|(id, _)| id.to_string());
    let organisation = || {
        let mut all = federation.organisations();
        all.find(|state| state.keys.iter().any(|own| own.id() == key))
            .map(|state| state.organisation.trust_domain.to_string())
    };
    member.or_else(organisation).unwrap_or_else(|| format!("key {}", key.fingerprint()))
}
