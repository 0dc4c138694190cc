//! What others have signed of a claim: an auditor's word on exactly the value that somebody states (VOCABULARY D16).
//!
//! What a party writes about itself is its own word, whatever level it gives. Where signatures can be checked, whoever
//! checks them hands the policy [weighed](Claim::weighed) claims: with nobody's name on a statement who did not sign it,
//! and with one statement more for each audit.

use comity_types::{Digest, Interval};
use serde::Serialize;

use super::{Appraisal, Assurance, Claim, Evidence, Statement};

/// Whether the signature of a statement's issuer was checked. Only [`Claim::weighed`] says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Countersigned(bool);

impl Countersigned {
    /// It was not.
    pub const NO: Self = Self(false);

    /// True if it was.
    #[must_use]
    pub const fn is_yes(self) -> bool {
        self.0
    }
}

/// An audit of one value, whose signature was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Countersignature {
    /// Who signed.
    pub auditor: String,
    /// The [digest](value_digest) of the value.
    pub value: Digest,
    /// How far the auditor stands behind it.
    pub level: Assurance,
    /// SHA-256 of what the auditor keeps of it.
    pub evidence: Digest,
    /// When it holds.
    pub validity: Interval,
}

/// What a value is known by in an audit: SHA-256 of its JSON form, whose order of fields is fixed.
#[must_use]
pub fn value_digest<T: Serialize>(value: &T) -> Digest {
    // A value of a claim holds no float and no map with keys that are no text, so that it always has a JSON form; were it
    // ever to lack one, nobody audits the digest of nothing.
    Digest::of(&serde_json::to_vec(value).unwrap_or_default())
}

impl<T: Clone + Serialize> Claim<T> {
    /// What the claim is worth where signatures are checked: what is stated counts as the party's own word, and each
    /// audit of exactly a stated value, for as long as both hold, as its auditor's.
    #[must_use]
    pub fn weighed(&self, audits: &[Countersignature]) -> Self {
        let mut weighed = Vec::with_capacity(self.0.len());
        for stated in &self.0 {
            weighed.push(Statement { issuer: None, countersigned: Countersigned::NO, ..stated.clone() });
            if audits.is_empty() {
                continue;
            }
            let digest = value_digest(&stated.value);
            weighed.extend(audits.iter().filter(|audit| audit.value == digest).filter_map(|audit| stated.by(audit)));
        }
        Self(weighed)
    }

    /// The digests of all values that are stated, live or not.
    pub(crate) fn digests(&self) -> impl Iterator<Item = Digest> {
        self.0.iter().map(|stated| value_digest(&stated.value))
    }
}

impl<T: Clone> Statement<T> {
    /// The same, as an auditor signed it; `None` if they never hold together.
    fn by(&self, audit: &Countersignature) -> Option<Self> {
        let from = self.validity.from.into_iter().chain(audit.validity.from).max();
        let until = self.validity.until.into_iter().chain(audit.validity.until).min();
        let validity = Interval { from, until };
        (!validity.is_empty()).then(|| Self {
            value: self.value.clone(),
            validity,
            assurance: audit.level,
            issuer: Some(audit.auditor.clone()),
            evidence: Some(Evidence { uri: String::new(), sha256: Some(audit.evidence) }),
            // What the party takes back, no audit keeps alive.
            issued_at: self.issued_at,
            revoked_at: self.revoked_at,
            // Who signs that hardware has measured it has appraised the measurement.
            appraisal: (audit.level == Assurance::Attested).then_some(Appraisal::Affirming),
            countersigned: Countersigned(true),
        })
    }
}

#[cfg(test)]
mod tests {
    use comity_types::Timestamp;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn audit(value: &str, level: Assurance) -> Countersignature {
        let validity = Interval { from: Some(at("2026-01-01")), until: Some(at("2027-01-01")) };
        let evidence = Digest::of(b"a report");
        Countersignature { auditor: "audit.example".into(), value: value_digest(&value), level, evidence, validity }
    }

    fn claimed(value: &str, assurance: Assurance) -> Claim<String> {
        let issuer = Some("GLEIF".to_owned());
        Claim::of(Statement { assurance, issuer, ..Statement::declared(value.to_owned()) })
    }

    /// The highest level of what is live and says `value`, to somebody who trusts every issuer's name.
    fn level(claim: &Claim<String>, value: &str, as_of: &str) -> Assurance {
        let value = value.to_owned();
        let all = claim.saying(&value, at(as_of)).map(|one| one.level(true, |_, _| true));
        all.max().unwrap_or_default()
    }

    #[test]
    fn a_name_that_somebody_writes_into_its_own_claim_counts_for_nothing() {
        let claim = claimed("DE", Assurance::Audited);
        assert_eq!(level(&claim, "DE", "2026-06-01"), Assurance::Audited, "where names are believed");
        assert_eq!(level(&claim.weighed(&[]), "DE", "2026-06-01"), Assurance::SelfDeclared);
        let of_another_value = claim.weighed(&[audit("FR", Assurance::Audited)]);
        assert_eq!(level(&of_another_value, "DE", "2026-06-01"), Assurance::SelfDeclared);
        assert_eq!(of_another_value.statements().len(), 1, "an audit states nothing that the party does not");
    }

    #[test]
    fn an_audit_of_exactly_the_value_counts_for_as_long_as_it_holds() {
        let claim = Claim::always("DE".to_owned()).weighed(&[audit("DE", Assurance::Audited)]);
        for (as_of, found) in [
            ("2025-12-31", Assurance::SelfDeclared),
            ("2026-01-01", Assurance::Audited),
            ("2026-12-31", Assurance::Audited),
            ("2027-01-01", Assurance::SelfDeclared),
        ] {
            assert_eq!(level(&claim, "DE", as_of), found, "{as_of}");
        }
        let attested = Claim::always("tdx".to_owned()).weighed(&[audit("tdx", Assurance::Attested)]);
        assert_eq!(level(&attested, "tdx", "2026-06-01"), Assurance::Attested);
    }

    #[test]
    fn an_audit_keeps_nothing_alive_that_its_party_ended_or_took_back() {
        let validity = Interval { from: None, until: Some(at("2026-03-01")) };
        let ends = Claim::of(Statement { validity, ..Statement::declared("DE".to_owned()) });
        let back = Claim::of(Statement { revoked_at: Some(at("2026-03-01")), ..Statement::declared("DE".to_owned()) });
        for claim in [ends, back] {
            let weighed = claim.weighed(&[audit("DE", Assurance::Audited)]);
            assert_eq!(level(&weighed, "DE", "2026-02-28"), Assurance::Audited);
            assert_eq!(weighed.live(at("2026-03-01")).count(), 0);
        }
        let over = Interval { from: None, until: Some(at("2025-01-01")) };
        let before = Claim::of(Statement { validity: over, ..Statement::declared("DE".to_owned()) });
        assert_eq!(before.weighed(&[audit("DE", Assurance::Audited)]).statements().len(), 1);
    }

    #[test]
    fn no_file_says_that_a_signature_was_checked() {
        let weighed = Claim::always("DE".to_owned()).weighed(&[audit("DE", Assurance::Audited)]);
        let json = serde_json::to_string(&weighed).unwrap();
        assert!(!json.contains("countersigned"), "{json}");
        let again: Claim<String> = serde_json::from_str(&json).unwrap();
        assert!(again.statements().iter().all(|one| !one.countersigned.is_yes()));
        assert!(serde_json::from_str::<Claim<String>>(r#"{"value":"DE","countersigned":true}"#).is_err());
    }
}
