//! `comity receipt show`.

use std::path::Path;

use comity_identity::Root;
use comity_proto::transparency::GetReceiptRequest;
use comity_transparency::NoteVerifier;
use comity_transparency::leaf::Leaf;
use comity_transparency::receipt::{Receipt, Verified};
use comity_transparency::record::{Field, RecordKind};
use serde_json::{Map, Value, json};

use super::upgrade::{kept_beside, other_ends};
use super::{read, told, write};
use crate::args::Global;
use crate::error::CliError;
use crate::output::{Format, print_line, say};
use crate::session::Session;

/// Fetches it, checks it against the log's key, and shows it.
pub(super) async fn run(decision: &str, save: Option<&Path>, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let Told { receipt, damaged } = told(&session, decision).await?;
    let verified = believed(&receipt, decision, session.identity().root()).map_err(|problem| match save {
        Some(path) => kept_beside(path, &receipt, &problem),
        None => unbelieved(&problem),
    })?;
    if let Some(path) = save {
        // What the file proves already is not written over by what goes against it.
        if let Some(kept) = earlier(path, &receipt)? {
            if let Some(problem) = other_ends(&kept, &receipt) {
                return Err(kept_beside(path, &receipt, &problem));
            }
            if shows_less(&kept, &receipt) {
                return Err(CliError::Failed {
                    problem: format!("{} shows more of this decision than the broker does now", path.display()),
                    hint:
                        "`comity receipt upgrade FILE` fetches the proof and keeps what is shown; or name another file"
                            .to_owned(),
                });
            }
        }
        write(&receipt, path)?;
        say(&format!("written to {}: `comity receipt verify {0}` says what it proves", path.display()));
    }
    print(&verified, &damaged, global)?;
    if damaged.is_empty() { Ok(()) } else { Err(damage(&damaged)) }
}

/// Records that the broker keeps, and cannot read.
fn damage(leaves: &[u64]) -> CliError {
    let leaves: Vec<_> = leaves.iter().map(u64::to_string).collect();
    CliError::Failed {
        problem: format!("the broker's record of leaf {} is damaged, not erased", leaves.join(" and leaf ")),
        hint: "tell the broker's operators: a backup of its data/decisions/records may have it".to_owned(),
    }
}

/// The receipt of the same decision that a file has, if it has one.
fn earlier(path: &Path, receipt: &Receipt) -> Result<Option<Receipt>, CliError> {
    if !path.exists() {
        return Ok(None);
    }
    let id = |receipt: &Receipt| Leaf::from_bytes(&receipt.decision.leaf).ok().map(|leaf| leaf.decision);
    match read(path) {
        Ok(kept) => Ok(Some(kept).filter(|kept| id(kept) == id(receipt))),
        Err(CliError::BadFile { .. } | CliError::Usage { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether a receipt hides what another one of the same decision shows.
pub(super) fn shows_less(kept: &Receipt, new: &Receipt) -> bool {
    let shows = |receipt: &Receipt, field| {
        let proven = [Some(&receipt.decision), receipt.outcome.as_ref()].into_iter().flatten();
        proven.filter_map(|proven| proven.record.as_ref()).any(|record| record.get(field).is_some())
    };
    let mut all = [RecordKind::Decision, RecordKind::Outcome].into_iter().flat_map(RecordKind::fields);
    all.any(|field| shows(kept, field) && !shows(new, field))
}

/// The receipt of a decision, held against the pinned key of the log.
pub(in crate::commands) async fn fetch(session: &Session, decision: &str) -> Result<(Receipt, Verified), CliError> {
    let Told { receipt, .. } = told(session, decision).await?;
    let verified = believed(&receipt, decision, session.identity().root()).map_err(|problem| unbelieved(&problem))?;
    Ok((receipt, verified))
}

/// A receipt as the broker tells it, and nobody has looked at yet.
pub(super) struct Told {
    pub(super) receipt: Receipt,
    /// Leaves whose record the broker says is damaged.
    pub(super) damaged: Vec<u64>,
}

/// The receipt of a decision, as the broker tells it.
pub(super) async fn told(session: &Session, decision: &str) -> Result<Told, CliError> {
    let request = GetReceiptRequest { decision_id: decision.to_owned() };
    let answer = session.transparency().get_receipt(request).await;
    let answer = answer.map_err(|status| CliError::call("fetch the receipt", status))?.into_inner();
    let receipt = answer.receipt.ok_or_else(|| unbelieved("it is missing"))?;
    let receipt = Receipt::try_from(receipt).map_err(|error| unbelieved(&error.to_string()))?;
    Ok(Told { receipt, damaged: answer.damaged })
}

/// Whether it holds, by the pinned key of the log, and is of the decision that was asked for.
pub(super) fn believed(receipt: &Receipt, decision: &str, root: &Root) -> Result<Verified, String> {
    let [plain, _] = &root.decision_log;
    let verified = receipt.verify(&root.decision_log_origin(), &NoteVerifier::of(plain));
    let verified = verified.map_err(|error| error.to_string())?;
    let found = verified.decision().leaf().decision;
    if found.to_string().eq_ignore_ascii_case(decision) {
        Ok(verified)
    } else {
        Err(format!("it is of the decision {found}, and {decision} was asked for"))
    }
}

fn unbelieved(problem: &str) -> CliError {
    CliError::Failed {
        problem: format!("the broker's receipt is not to be believed: {problem}"),
        hint: "tell the operators of the federation; `comity receipt show DECISION --save FILE` keeps what the broker sends beside \
               the file"
            .to_owned(),
    }
}

/// Every field that is shown, and what was demanded in words; of these leaves the broker has said that their record is damaged.
pub(in crate::commands) fn print(verified: &Verified, damaged: &[u64], global: &Global) -> Result<(), CliError> {
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
    if damaged.contains(&decision.index()) {
        fields.push(("record", "damaged".to_owned()));
        json.insert("recordDamaged".to_owned(), json!(true));
    } else if decision.is_without_record() {
        fields.push(("record", "erased".to_owned()));
        json.insert("recordErased".to_owned(), json!(true));
    }
    let demanded = told::request(verified);
    for field in [RecordKind::Decision, RecordKind::Outcome].into_iter().flat_map(RecordKind::fields) {
        if let Some(value) = verified.get(field) {
            // Its bytes tell people nothing: what they say stands below.
            if field != Field::ENVELOPE || demanded.lines.is_empty() {
                fields.push((field.name(), text(field, value)));
            }
            json.insert(field.name().to_owned(), value_of(field, value));
        }
    }
    json.extend(told::json(verified, None));
    global.output.record(fields, &Value::Object(json))?;
    if global.output == Format::Table { print_line(&demanded.text()) } else { Ok(()) }
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
