//! The quota: whether the caller has used up what the offer grants it.
//!
//! Whoever has used nothing of an offer is not asked, so that a quota costs no first request anything, and the index has
//! to ask of those alone that were used.

use comity_types::{Name, SpiffeId};

use super::facet::{Facet, OfUsage};
use super::findings::{Field, Findings};
use crate::terms::Quota;
use crate::{Claim, Offer, Organisation, ReasonCode, Side, Tables, Usage};

/// Has the caller used up what the offer grants it?
pub(super) struct WithinQuota;

/// An offer that states a quota. Each is used for itself, so that no two are the same.
type Granted<'a> = (&'a Claim<Quota>, &'a SpiffeId, &'a Name);

impl Facet for WithinQuota {
    const SIDE: Side = Side::Federation;
    type Facts<'a> = Granted<'a>;
    type Part = OfUsage;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        granted(offer)
    }

    fn is_asked(used: &&Usage) -> bool {
        !used.is_empty()
    }

    fn check<'t>(granted: &Self::Facts<'t>, used: &&'t Usage, findings: &mut Findings<'t>) {
        check(*granted, used, findings);
    }
}

/// The offer's quota; none if it states none.
pub(super) fn granted(offer: &Offer) -> Option<Granted<'_>> {
    let quota = offer.terms.as_ref()?.quota.as_ref()?;
    Some((quota, &offer.node, &offer.id))
}

/// Holds what was used of an offer against its quota.
pub(super) fn check<'t>((quota, node, id): Granted<'t>, used: &Usage, findings: &mut Findings<'t>) {
    let used = used.of(node, id);
    if used == 0 {
        return;
    }
    let Some(quota) = findings.value(&"quota", Some(quota)) else { return };
    let most = quota.requests_per_day;
    if used >= u64::from(most) {
        let (expected, actual) = (format_args!("at most {most} requests a day"), format_args!("{used} used"));
        let field = Field { path: &"terms.quota", expected: &expected, actual: &actual };
        findings.reject(ReasonCode::QuotaExceeded, "", field);
    }
}
