//! Reasons on their way to a caller: cut to what those let it see of whom they speak. The journal keeps them whole.

use comity_membership::Federation;
use comity_policy::disclosure::{Sources, Viewer};
use comity_policy::{Reason, Verdict};
use comity_types::{OfferName, TrustDomain};

use super::decide::Judged;

/// The reasons against `offer` as a member of `caller`, which asked, may see them.
pub fn reasons(caller: &TrustDomain, federation: &Federation, offer: &OfferName, reasons: &[Reason]) -> Vec<Reason> {
    let (operator, asked) = (offer.node().trust_domain(), federation.organisation(caller));
    let known = federation.offer(offer).zip(federation.organisation(operator)).zip(asked);
    let Some(((offer, operator), asked)) = known else {
        // Nobody is left to say what may be shown.
        return reasons.iter().cloned().map(Reason::code_only).collect();
    };
    let sources = Sources { offer, operator: &operator.organisation, caller: &asked.organisation };
    sources.shown_to(Viewer::Member(caller), reasons)
}

/// The same of every verdict.
pub fn verdicts<'a>(caller: &TrustDomain, federation: &Federation, judged: Vec<Judged<'a>>) -> Vec<Judged<'a>> {
    let shown = |one: Judged<'a>| {
        let verdict = match one.verdict {
            eligible @ Verdict::Eligible { .. } => eligible,
            Verdict::Rejected { reasons: all } => {
                Verdict::Rejected { reasons: reasons(caller, federation, &one.name, &all) }
            }
        };
        Judged { verdict, ..one }
    };
    judged.into_iter().map(shown).collect()
}
