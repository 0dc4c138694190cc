//! `comity claim list`.

use comity_membership::federation::AuditState;
use comity_membership::{Claimant, Federation};
use comity_policy::claim::{Assurance, ClaimPath};
use comity_types::{Timestamp, TrustDomain};
use serde_json::json;

use super::stated;
use crate::args::Global;
use crate::error::CliError;
use crate::layers;
use crate::output::joined;
use crate::session::Session;

/// Lists what somebody states, with the level that counts now.
pub(super) async fn run(of: &Claimant, global: &Global) -> Result<(), CliError> {
    let session = Session::open(global).await?;
    let followed = session.log().await?;
    let (federation, now) = (followed.log().federation(), session.identity().clock().now());
    let (mut rows, mut views) = (Vec::new(), Vec::new());
    for claim in stated::all(federation, of)? {
        let audits = audits(federation, of, claim.path, now);
        let level = audits.iter().filter(|one| one.counts).map(|one| one.state.audit.level).max();
        let level = level.unwrap_or(Assurance::SelfDeclared).as_str();
        let behind = joined(audits.iter().filter(|one| one.counts).map(|one| one.by));
        rows.push(vec![claim.path.to_string(), layers::text(&claim.text), level.to_owned(), behind]);
        views.push(json!({
            "path": claim.path,
            "stated": claim.text,
            "values": claim.digests,
            "level": level,
            "audits": audits.iter().map(Signed::json).collect::<Vec<_>>(),
        }));
    }
    global.output.list(&["claim", "stated", "level", "audited by"], rows, &views)
}

/// An audit that stands, and whether it counts now.
struct Signed<'a> {
    by: &'a TrustDomain,
    state: &'a AuditState,
    counts: bool,
}

impl Signed<'_> {
    fn json(&self) -> serde_json::Value {
        let audit = &self.state.audit;
        json!({
            "auditor": self.by,
            "value": audit.value,
            "level": audit.level,
            "evidence": audit.evidence,
            "from": audit.from,
            "until": audit.until,
            "epoch": self.state.epoch,
            "counts": self.counts,
        })
    }
}

fn audits<'a>(federation: &'a Federation, of: &Claimant, path: ClaimPath, now: Timestamp) -> Vec<Signed<'a>> {
    let all = federation.audits_of(of).filter(|(of_path, ..)| *of_path == path);
    let signed = |(_, by, state): (_, &'a TrustDomain, &'a AuditState)| {
        let until = federation.auditor(by).map(|auditor| auditor.until.min(state.audit.until));
        let holds = state.audit.from <= now && until.is_some_and(|until| now < until);
        Signed { by, state, counts: holds && federation.is_heard(by) }
    };
    all.map(signed).collect()
}
