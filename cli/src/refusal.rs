//! A refusal that was cut to fit into headers is asked for again, whole; what the
//! cut took from the reasons is put back from the list of reasons.

use comity_policy::ReasonCode;
use comity_proto::catalog::ExplainRequest;
use comity_proto::inference::Envelope;
use comity_proto::policy::{Capability, Refusal, Verdict};

use crate::error::CliError;
use crate::session::Session;

/// Completes `error` if it is a refusal of which a part did not travel. What cannot be had stays as it is.
pub(crate) async fn whole(error: CliError, session: &Session, envelope: &Envelope, capability: Capability) -> CliError {
    let CliError::Refused { refusal, considered } = error else { return error };
    if !is_cut(&refusal) {
        return CliError::Refused { refusal, considered };
    }
    let request = ExplainRequest { envelope: Some(envelope.clone()), capability: capability.into(), as_of: None };
    match session.catalog().explain(request).await {
        Ok(answer) => completed(refusal, answer.into_inner().verdicts, &envelope.model),
        Err(_) => CliError::Refused { refusal, considered },
    }
}

/// True if fewer verdicts arrived than offers were considered.
fn is_cut(refusal: &Refusal) -> bool {
    u32::try_from(refusal.verdicts.len()).is_ok_and(|arrived| arrived < refusal.considered)
}

/// The refusal with every verdict on an offer of the model that was asked for; others were not considered.
fn completed(refusal: Refusal, mut verdicts: Vec<Verdict>, model: &str) -> CliError {
    verdicts.retain(|verdict| verdict.model == model);
    fill_hints(&mut verdicts);
    let considered = u32::try_from(verdicts.len()).unwrap_or(u32::MAX);
    CliError::Refused { refusal: Refusal { verdicts, considered, ..refusal }, considered }
}

/// Puts in the hints that are missing: a code implies its hint.
pub(crate) fn fill_hints(verdicts: &mut [Verdict]) {
    for reason in verdicts.iter_mut().flat_map(|verdict| &mut verdict.reasons).filter(|reason| reason.hint.is_empty()) {
        if let Ok(code) = reason.code.parse::<ReasonCode>() {
            code.hint().clone_into(&mut reason.hint);
        }
    }
}

#[cfg(test)]
mod tests {
    use comity_proto::policy::Reason;

    use super::*;

    fn verdict(code: &str, hint: &str) -> Verdict {
        Verdict {
            reasons: vec![Reason { code: code.into(), hint: hint.into(), ..Reason::default() }],
            ..Verdict::default()
        }
    }

    #[test]
    fn a_missing_hint_comes_from_the_code_and_a_sent_one_stays() {
        let mut verdicts = [
            verdict("PURPOSE_UNDECLARED", ""),
            verdict("PURPOSE_UNDECLARED", "as sent"),
            verdict("OF_A_LATER_VERSION", ""),
        ];
        fill_hints(&mut verdicts);
        let hints: Vec<&str> = verdicts.iter().map(|verdict| verdict.reasons[0].hint.as_str()).collect();
        assert_eq!(hints, [ReasonCode::PurposeUndeclared.hint(), "as sent", ""]);
    }

    #[test]
    fn a_refusal_is_cut_if_fewer_verdicts_arrived_than_offers_were_considered() {
        let refusal = |considered| Refusal {
            verdicts: vec![verdict("PURPOSE_UNDECLARED", "")],
            considered,
            ..Refusal::default()
        };
        assert!(is_cut(&refusal(2)) && !is_cut(&refusal(1)));
    }

    #[test]
    fn the_whole_keeps_the_decision_and_has_the_offers_of_the_model_alone() {
        let cut = Refusal { decision_id: "ab".into(), verdicts: Vec::new(), considered: 2, ..Refusal::default() };
        let of = |model: &str| Verdict { model: model.into(), ..verdict("PURPOSE_UNDECLARED", "") };
        let error = completed(cut, vec![of("m"), of("another"), of("m")], "m");
        let CliError::Refused { refusal, considered } = error else { panic!("no refusal") };
        assert_eq!((refusal.decision_id.as_str(), refusal.verdicts.len(), considered), ("ab", 2, 2));
    }
}
