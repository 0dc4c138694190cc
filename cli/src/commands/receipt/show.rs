//! `comity receipt show`.

use std::path::Path;

use comity_proto::transparency::GetReceiptRequest;
use comity_transparency::NoteVerifier;
use comity_transparency::receipt::{Receipt, Verified};
use comity_transparency::record::{Field, RecordKind};
use serde_json::{Map, Value, json};

use super::write;
use crate::args::Global;
use crate::error::CliError;
use crate::output::say;
use crate::session::Session;

/// Fetches it, checks it against the log's key, and shows it.
pub(super) async fn run(decision: &str, save: Option<&Path>, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let (receipt, verified) = fetch(&session, decision).await?;
    if let Some(path) = save {
        write(&receipt, path)?;
        say(&format!("written to {}: `comity receipt verify {0}` says what it proves", path.display()));
    }
    print(&verified, global)
}

/// The receipt of a decision, held against the pinned key of the log.
pub(in crate::commands) async fn fetch(session: &Session, decision: &str) -> Result<(Receipt, Verified), CliError> {
    let request = GetReceiptRequest { decision_id: decision.to_owned() };
    let answer = session.transparency().get_receipt(request).await;
    let answer = answer.map_err(|status| CliError::call("fetch the receipt", status))?.into_inner();
    let unbelieved = |problem: String| CliError::Failed {
        problem: format!("the broker's receipt is not to be believed: {problem}"),
        hint: "tell the operators of the federation, and keep what the broker sent".to_owned(),
    };
    let receipt = answer.receipt.ok_or_else(|| unbelieved("it is missing".to_owned()))?;
    let receipt = Receipt::try_from(receipt).map_err(|error| unbelieved(error.to_string()))?;
    let root = session.identity().root();
    let [plain, _] = &root.decision_log;
    let verified = receipt.verify(&root.decision_log_origin(), &NoteVerifier::of(plain));
    let verified = verified.map_err(|error| unbelieved(error.to_string()))?;
    Ok((receipt, verified))
}

/// Every field that is shown.
pub(in crate::commands) fn print(verified: &Verified, global: &Global) -> Result<(), CliError> {
    let decision = verified.decision();
    let mut fields = vec![
        ("decision", decision.leaf().decision.to_string()),
        ("at", decision.leaf().at.to_string()),
        ("epoch", decision.leaf().epoch.size.to_string()),
        ("leaf", decision.index().to_string()),
    ];
    let mut json = Map::from_iter(fields.iter().map(|(name, value)| ((*name).to_owned(), json!(value))));
    if let Some(outcome) = verified.outcome() {
        fields.push(("outcome leaf", outcome.index().to_string()));
        json.insert("outcomeLeaf".to_owned(), json!(outcome.index()));
    }
    if decision.is_without_record() {
        fields.push(("record", "erased".to_owned()));
        json.insert("recordErased".to_owned(), json!(true));
    }
    for field in [RecordKind::Decision, RecordKind::Outcome].into_iter().flat_map(RecordKind::fields) {
        if let Some(value) = verified.get(field) {
            fields.push((field.name(), text(field, value)));
            json.insert(field.name().to_owned(), value_of(field, value));
        }
    }
    global.output.record(fields, &Value::Object(json))
}

/// A field's value for people.
pub(crate) fn text(field: Field, value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        Ok(text) if field != Field::ENVELOPE_SHA256 => comity_types::display::harmless(text),
        _ => value.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// The same for programs: JSON where the field is JSON.
fn value_of(field: Field, value: &[u8]) -> Value {
    let parsed = serde_json::from_slice::<Value>(value).ok().filter(|value| value.is_array() || value.is_object());
    parsed.unwrap_or_else(|| Value::String(text(field, value)))
}
