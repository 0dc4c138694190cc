//! Verdicts and reasons, on their way out.

use comity_policy::{Reason, Side, Verdict};
use comity_types::{ModelName, OfferName};

use super::claims::wire_instant;
use crate::policy as wire;

/// The wire's form of the verdict on `offer`.
#[must_use]
pub fn verdict(offer: &OfferName, model: &ModelName, verdict: &Verdict) -> wire::Verdict {
    let (reasons, expires_at) = match verdict {
        Verdict::Eligible { expires_at } => (Vec::new(), expires_at.map(wire_instant)),
        Verdict::Rejected { reasons } => (reasons.iter().map(Into::into).collect(), None),
    };
    let eligible = matches!(verdict, Verdict::Eligible { .. });
    wire::Verdict { offer: offer.to_string(), model: model.to_string(), eligible, reasons, expires_at }
}

impl From<&Reason> for wire::Reason {
    fn from(reason: &Reason) -> Self {
        let side = match reason.side {
            Side::Caller => wire::Side::Caller,
            Side::Node => wire::Side::Node,
            Side::Licence => wire::Side::Licence,
            Side::Statute => wire::Side::Statute,
            Side::Federation => wire::Side::Federation,
        };
        Self {
            code: reason.code.to_string(),
            subject: reason.subject.clone(),
            side: side.into(),
            path: reason.path.clone(),
            expected: reason.expected.clone(),
            actual: reason.actual.clone(),
            hint: reason.code.hint().to_owned(),
            party: reason.party.clone(),
            rule: reason.rule.clone(),
        }
    }
}
