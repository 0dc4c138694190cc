//! Whose decisions a report is of, and what shows that none is missing.

use comity_transparency::receipt::Verified;
use comity_transparency::record::Field;
use comity_types::{OfferName, SpiffeId, TrustDomain};

/// Whose rows are in a report.
#[derive(Debug)]
pub(super) enum Asked {
    /// An operator of the federation sees all, of everybody or of one organisation: what is missing is seen.
    Governor(Option<TrustDomain>),
    /// Others see what this organisation asked or answered, as far as the broker shows it.
    Member(TrustDomain),
}

impl Asked {
    /// What shows that nothing is missing.
    pub(super) const fn completeness(&self) -> &'static str {
        match self {
            Self::Governor(_) => "log",
            Self::Member(_) => "broker",
        }
    }

    /// Whether a row belongs to the report. Whose it was of which nothing is recorded any more, nobody knows: it is in the report of
    /// whoever sees all.
    pub(super) fn covers(&self, verified: &Verified) -> bool {
        let (Self::Governor(Some(of)) | Self::Member(of)) = self else { return true };
        if let Self::Governor(_) = self
            && verified.decision().is_without_record()
        {
            return true;
        }
        // What whoever sees all is not shown is in every report, and is held against whoever hid it.
        if let Self::Governor(_) = self
            && hidden(verified).is_some()
        {
            return true;
        }
        let caller = verified.text(Field::CALLER).and_then(|caller| caller.parse::<SpiffeId>().ok());
        let offer = verified.text(Field::OFFER).and_then(|offer| offer.parse::<OfferName>().ok());
        let answered = offer.map(|offer| offer.node().trust_domain().clone());
        caller.is_some_and(|caller| caller.trust_domain() == of) || answered.as_ref() == Some(of)
    }
}

/// What is hidden of a record that is shown: whoever governs is shown all of what is kept, and others what a row is made of.
pub(super) fn hidden(verified: &Verified) -> Option<&'static str> {
    const OF_DECISION: [Field; 4] = [Field::CALLER, Field::MODEL, Field::ELIGIBLE, Field::ENVELOPE];
    const OF_OUTCOME: [Field; 4] = [Field::OFFER, Field::STATUS, Field::JURISDICTION, Field::NODE_OUTCOME];
    let decision = (!verified.decision().is_without_record())
        .then(|| OF_DECISION.into_iter().find(|field| verified.decision().hides(*field)))
        .flatten();
    let outcome = verified
        .outcome()
        .filter(|outcome| !outcome.is_without_record())
        .and_then(|outcome| OF_OUTCOME.into_iter().find(|field| outcome.hides(*field)));
    decision.or(outcome).map(Field::name)
}

#[cfg(test)]
mod tests {
    use comity_transparency::NoteVerifier;

    use super::*;
    use crate::commands::receipt::testing::TestLog;

    #[test]
    fn a_row_belongs_to_whoever_asked_or_answered_and_an_erased_one_to_every_report_of_who_sees_all() {
        let mut log = TestLog::new();
        let decision = log.decision(1, &[(Field::CALLER, "spiffe://a.example/app/x")]);
        let outcome = log.outcome(1, decision, &[(Field::OFFER, "b.example/n1/chat")]);
        let receipt = log.receipt(decision, Some(outcome));
        let mut erased = receipt.clone();
        (erased.decision.record, erased.outcome.as_mut().unwrap().record) = (None, None);
        let key = NoteVerifier::of(&log.root.decision_log[0]);
        let [whole, erased] =
            [receipt, erased].map(|receipt| receipt.verify(&log.root.decision_log_origin(), &key).unwrap());
        let of = |domain: &str| domain.parse::<TrustDomain>().unwrap();
        for (domain, is_its) in [("a.example", true), ("b.example", true), ("c.example", false)] {
            let (governor, member) = (Asked::Governor(Some(of(domain))), Asked::Member(of(domain)));
            assert_eq!((governor.covers(&whole), member.covers(&whole)), (is_its, is_its), "{domain}");
            assert_eq!((governor.covers(&erased), member.covers(&erased)), (true, false), "{domain}");
        }
        assert!(Asked::Governor(None).covers(&whole));
        assert_eq!(
            (Asked::Governor(None).completeness(), Asked::Member(of("a.example")).completeness()),
            ("log", "broker")
        );
    }

    #[test]
    fn what_is_hidden_from_whoever_sees_all_is_in_every_report_of_theirs_and_named() {
        let mut log = TestLog::new();
        let decision = log.decision(1, &[(Field::CALLER, "spiffe://a.example/app/x"), (Field::MODEL, "m")]);
        let outcome = log.outcome(1, decision, &[(Field::OFFER, "b.example/n1/chat"), (Field::STATUS, "0")]);
        let key = NoteVerifier::of(&log.root.decision_log[0]);
        let shown = |fields: &[Field]| {
            let receipt = log.receipt_hiding(fields, decision, Some(outcome));
            receipt.verify(&log.root.decision_log_origin(), &key).unwrap()
        };
        assert_eq!(hidden(&shown(&[])), None);
        let elsewhere = Asked::Governor(Some("c.example".parse().unwrap()));
        for field in [Field::CALLER, Field::MODEL, Field::OFFER, Field::STATUS] {
            let verified = shown(&[field]);
            assert_eq!(hidden(&verified), Some(field.name()));
            assert!(elsewhere.covers(&verified), "{}", field.name());
        }
        assert!(!elsewhere.covers(&shown(&[])));
    }
}
