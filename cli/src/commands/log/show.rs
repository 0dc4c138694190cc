//! `comity log show`.

use comity_membership::{Application, Body, Entry, Federation, Payload, Statement};
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
    global.output.list(&["epoch", "at", "statement", "about", "scope", "version", "signed by"], rows, &json)
}

pub(super) struct Line {
    epoch: u64,
    at: String,
    kind: &'static str,
    about: String,
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
            about: "-".into(),
            scope: "-".into(),
            version: None,
            signers: Vec::new(),
            statement,
        };
        match &entry.body {
            Body::Founded(genesis) => plain("founded", json!(genesis)),
            Body::Lapsed { subject } => {
                Self { about: subject.to_string(), ..plain("lapsed", json!({ "subject": subject })) }
            }
            Body::Signed(envelope) => match Payload::peek(envelope) {
                Ok(Payload { version, statement, .. }) => Self {
                    kind: statement.kind(),
                    about: about(&statement),
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
        vec![self.epoch.to_string(), self.at.clone(), kind, self.about.clone(), self.scope.clone(), version, signers]
    }

    pub(super) fn json(&self) -> Value {
        json!({
            "epoch": self.epoch,
            "at": self.at,
            "kind": self.kind,
            "about": self.about,
            "scope": self.scope,
            "version": self.version,
            "signedBy": self.signers,
            "statement": self.statement,
        })
    }
}

/// Whom a statement is about, and why it was said.
fn about(statement: &Statement) -> String {
    let because = |whom: String, reason: &str| if reason.is_empty() { whom } else { format!("{whom}: {reason}") };
    match statement {
        Statement::RootChanged { operators, root_threshold, membership_threshold } => {
            format!(
                "{} operators, {root_threshold} for the root, {membership_threshold} for membership",
                operators.len()
            )
        }
        Statement::OrganisationAdmitted { application } => Application::open(application).map_or_else(
            |_| "-".to_owned(),
            |opened| format!("{} with {}", opened.organisation.trust_domain, opened.member),
        ),
        Statement::OrganisationUpdated { organisation, .. } => organisation.trust_domain.to_string(),
        Statement::AnchorsChanged { organisation, .. } | Statement::KeysChanged { organisation, .. } => {
            organisation.to_string()
        }
        Statement::OrganisationWithdrawn { organisation, reason } | Statement::Evicted { organisation, reason } => {
            because(organisation.to_string(), reason)
        }
        Statement::MemberInvited { member, invite, .. } => format!("{member} by {invite}"),
        Statement::InviteRevoked { invite, .. } => invite.to_string(),
        Statement::MemberAdmitted { id, .. } => id.to_string(),
        Statement::MemberWithdrawn { id, reason } => because(id.to_string(), reason),
        Statement::Suspended { subject, reason, .. } => because(subject.to_string(), reason),
        Statement::Lifted { subject, .. } => subject.to_string(),
        Statement::OffersPublished { node, offers, .. } => format!("{node}: {} offers", offers.len()),
        Statement::TermsAccepted { of, version, .. } => format!("version {version} of {of}"),
        Statement::TermsWithdrawn { of, .. } => of.to_string(),
        Statement::AuditorRecognised { auditor, .. } => auditor.to_string(),
        Statement::AuditorRevoked { auditor, reason } => because(auditor.to_string(), reason),
        Statement::ClaimAudited { audit, .. } => format!("{} of {}", audit.path, audit.about),
        Statement::AuditWithdrawn { about, path, reason, .. } => because(format!("{path} of {about}"), reason),
        Statement::TablesAdopted { tables } => format!("{} tables", tables.len()),
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
