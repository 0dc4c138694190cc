//! `comity budget list`.

use comity_proto::catalog::{BudgetAccount, BudgetState, ListBudgetsRequest};
use comity_proto::convert::instant;
use comity_proto::json::Canonical;

use crate::args::Global;
use crate::error::CliError;
use crate::session::Session;

/// Lists the accounts, a row for each limit.
pub(crate) async fn run(global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let answer = session.catalog().list_budgets(ListBudgetsRequest {}).await;
    let listing = answer.map_err(|status| CliError::call("list the budgets", status))?.into_inner();
    let rows = listing.accounts.iter().flat_map(|account| account.states.iter().map(|state| row(account, state)));
    let header = ["budget", "of", "measure", "limit", "used", "reserved", "renewed at"];
    global.output.list(&header, rows.collect(), &Canonical(&listing))
}

fn row(account: &BudgetAccount, state: &BudgetState) -> Vec<String> {
    let BudgetAccount { budget, organisation, app, model, offer, renews_at, currency, .. } = account;
    // An app says which organisation it is of.
    let who = if app.is_empty() { organisation } else { app };
    let of: Vec<_> = [who, model, offer].into_iter().filter(|text| !text.is_empty()).cloned().collect();
    let BudgetState { measure, limit, used, reserved } = state;
    let measure = if measure == "money" { format!("millionths of one {currency}") } else { measure.replace('_', " ") };
    let is_renewed = state.measure != "concurrent";
    let renews_at = renews_at.filter(|_| is_renewed).and_then(|at| instant("renews_at", at).ok());
    vec![
        budget.clone(),
        if of.is_empty() { "everybody".to_owned() } else { of.join(" ") },
        measure,
        limit.to_string(),
        used.to_string(),
        reserved.to_string(),
        renews_at.map(|at| at.to_string()).unwrap_or_default(),
    ]
}
