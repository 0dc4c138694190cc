//! `comity terms list`.

use std::collections::{BTreeMap, BTreeSet};

use comity_membership::Federation;
use comity_types::{Digest, TrustDomain};
use serde_json::json;

use crate::args::Global;
use crate::error::CliError;
use crate::output::joined;
use crate::session::Session;

/// Whose terms, at which versions, accepted by whom.
struct Row {
    of: TrustDomain,
    stated: BTreeSet<u32>,
    by: Option<TrustDomain>,
    version: Option<u32>,
    terms: BTreeSet<Digest>,
    epoch: Option<u64>,
}

/// Lists them.
pub(super) async fn run(global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let followed = session.log().await?;
    let federation = followed.log().federation();
    let own = session.identity().id().trust_domain();
    let only = (federation.name() != Some(own)).then_some(own);
    let rows = rows(federation, only);
    let cells = rows.iter().map(|row| {
        let version = row.version.map_or_else(|| "-".to_owned(), |version| version.to_string());
        let epoch = row.epoch.map_or_else(|| "-".to_owned(), |epoch| epoch.to_string());
        vec![row.of.to_string(), joined(&row.stated), joined(&row.by), version, epoch]
    });
    let json = rows.iter().map(|row| {
        json!({
            "of": row.of,
            "stated": row.stated,
            "organisation": row.by,
            "accepted": row.version,
            "terms": row.terms,
            "epoch": row.epoch,
        })
    });
    let header = ["terms of", "versions", "accepted by", "version", "epoch"];
    global.output.list(&header, cells.collect(), &json.collect::<Vec<_>>())
}

fn rows(federation: &Federation, only: Option<&TrustDomain>) -> Vec<Row> {
    let mut stated = BTreeMap::<TrustDomain, BTreeSet<u32>>::new();
    for offer in federation.offers() {
        let version = offer.terms.as_ref().map_or(0, |terms| terms.version);
        if version > 0 {
            stated.entry(offer.node.trust_domain().clone()).or_default().insert(version);
        }
    }
    let seen = |of: &TrustDomain| stated.get(of).cloned().unwrap_or_default();
    let mut rows = Vec::new();
    for state in federation.organisations() {
        let by = &state.organisation.trust_domain;
        if only.is_some_and(|only| only != by) {
            continue;
        }
        rows.extend(state.accepted.iter().map(|(of, accepted)| Row {
            of: of.clone(),
            stated: seen(of),
            by: Some(by.clone()),
            version: Some(accepted.version),
            terms: accepted.terms.clone(),
            epoch: Some(accepted.epoch),
        }));
    }
    let without = stated.keys().filter(|of| !rows.iter().any(|row| row.of == **of)).cloned().collect::<Vec<_>>();
    rows.extend(without.into_iter().map(|of| Row {
        stated: seen(&of),
        of,
        by: None,
        version: None,
        terms: BTreeSet::new(),
        epoch: None,
    }));
    rows.sort_by(|a, b| (&a.of, &a.by).cmp(&(&b.of, &b.by)));
    rows
}
