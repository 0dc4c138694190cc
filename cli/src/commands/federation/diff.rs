//! `comity federation diff`: what two epochs differ in, both folded here from the log.

use serde_json::json;

use super::state::fields;
use crate::args::Global;
use crate::changes::{self, Change};
use crate::error::CliError;
use crate::output::{Format, print_json, say};
use crate::session::Session;

/// Shows what is not the same.
pub(super) async fn run(from: u64, to: Option<u64>, global: &Global) -> Result<(), CliError> {
    if to.is_some_and(|to| to < from) {
        return Err(CliError::Usage {
            problem: format!("epoch {from} is later than the one it is compared with"),
            hint: "name the earlier one first".to_owned(),
        });
    }
    let session = Session::open(global).await?;
    let (before, after) = (session.log_at(Some(from)).await?, session.log_at(to).await?);
    let to = after.federation().epoch();
    let changes = changes::between(&fields(before.federation()), &fields(after.federation()));
    if global.output == Format::Json {
        let field = |one: &Change| json!({ "field": one.field, "from": one.now, "to": one.then });
        return print_json(&json!({ "from": from, "to": to, "fields": changes.iter().map(field).collect::<Vec<_>>() }));
    }
    if changes.is_empty() {
        say("they are the same");
        return Ok(());
    }
    changes::table(&changes, &["field", &format!("at epoch {from}"), &format!("at epoch {to}")], global)
}
