//! Claims: statements with their circumstances, instants and intervals.

use std::collections::BTreeSet;

use comity_policy::Claim;
use comity_policy::claim::{Appraisal, Assurance, Countersigned, Evidence, MAX_STATEMENTS, Statement};
use comity_policy::limits::MAX_URI_BYTES;
use comity_types::{Digest, Interval, Place, Timestamp};

use super::terms::some;
use super::{MAX_TEXT_BYTES, WireError, bounded, enums, optional_text, or_default, parse_all, text};
use crate::policy as wire;

enums!(assurance, wire_assurance, Assurance, Assurance, [SelfDeclared, RegistryCorroborated, Audited, Attested]);
enums!(appraisal, wire_appraisal, Appraisal, Appraisal, [None, Affirming, Warning, Contraindicated]);

/// An instant on the wire, in milliseconds at most precise.
///
/// # Errors
/// It is none, or not before the year 10000; names the field at `path`.
pub fn instant(path: &str, stamp: prost_types::Timestamp) -> Result<Timestamp, WireError> {
    let invalid = || WireError::new(path, "must be an instant before the year 10000");
    if !(0..1_000_000_000).contains(&stamp.nanos) {
        return Err(invalid());
    }
    let millis = stamp.seconds.checked_mul(1000).and_then(|ms| ms.checked_add(i64::from(stamp.nanos / 1_000_000)));
    millis.and_then(|millis| Timestamp::from_millis(millis).ok()).ok_or_else(invalid)
}

/// An instant that may be absent.
pub(super) fn instant_at(path: &str, stamp: Option<prost_types::Timestamp>) -> Result<Option<Timestamp>, WireError> {
    stamp.map(|stamp| instant(path, stamp)).transpose()
}

/// The wire's form of an instant.
#[must_use]
pub fn wire_instant(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    // Below 1000 by construction, so that the product stays below 10^9.
    let nanos = i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp { seconds: millis.div_euclid(1000), nanos }
}

pub(crate) fn interval(path: &str, validity: Option<wire::Validity>) -> Result<Interval, WireError> {
    let validity = validity.unwrap_or_default();
    let bound = |name: &str, stamp: Option<_>| instant_at(&format!("{path}.{name}"), stamp);
    let interval = Interval { from: bound("from", validity.from)?, until: bound("until", validity.until)? };
    if interval.is_empty() {
        return Err(WireError::new(path, "`from` must be before `until`"));
    }
    Ok(interval)
}

pub(crate) fn wire_interval(interval: Interval) -> Option<wire::Validity> {
    (interval != Interval::default())
        .then(|| wire::Validity { from: interval.from.map(wire_instant), until: interval.until.map(wire_instant) })
}

/// Reads every statement of a claim; `read` takes one apart. No statement is no claim.
pub(super) fn claim<W, T>(
    path: &str,
    wire: Vec<W>,
    read: impl Fn(&str, W) -> Result<(T, Option<wire::Provenance>), WireError>,
) -> Result<Option<Claim<T>>, WireError> {
    if wire.is_empty() {
        return Ok(None);
    }
    bounded(path, wire.len(), MAX_STATEMENTS)?;
    let one = |(index, wire): (usize, W)| {
        let path = format!("{path}[{index}]");
        let (value, provenance) = read(&path, wire)?;
        statement(&format!("{path}.provenance"), value, provenance.unwrap_or_default())
    };
    let statements = wire.into_iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()?;
    Claim::new(statements).map(Some).map_err(|error| WireError::new(path, error.to_string()))
}

fn statement<T>(path: &str, value: T, wire: wire::Provenance) -> Result<Statement<T>, WireError> {
    let of = |field: &str| format!("{path}.{field}");
    Ok(Statement {
        value,
        validity: interval(&of("validity"), wire.validity)?,
        assurance: or_default(wire.assurance, |number| assurance(&of("assurance"), number))?,
        issuer: optional_text(&of("issuer"), wire.issuer, MAX_TEXT_BYTES)?,
        evidence: wire.evidence.map(|evidence| read_evidence(&of("evidence"), evidence)).transpose()?,
        issued_at: instant_at(&of("issued_at"), wire.issued_at)?,
        revoked_at: instant_at(&of("revoked_at"), wire.revoked_at)?,
        appraisal: some(wire.appraisal, |number| appraisal(&of("appraisal"), number))?,
        countersigned: Countersigned::NO,
    })
}

fn read_evidence(path: &str, wire: wire::Evidence) -> Result<Evidence, WireError> {
    let uri = text(&format!("{path}.uri"), wire.uri, MAX_URI_BYTES)?;
    let sha256 = if wire.sha256.is_empty() { None } else { Some(digest(&format!("{path}.sha256"), &wire.sha256)?) };
    Ok(Evidence { uri, sha256 })
}

pub(super) fn digest(path: &str, bytes: &[u8]) -> Result<Digest, WireError> {
    let digest = bytes.try_into().map(Digest::from_bytes);
    digest.map_err(|_| WireError::new(path, format!("32 bytes are accepted, {} were sent", bytes.len())))
}

/// Writes every statement of a claim; `write` puts one together.
pub(super) fn wire_claim<T, W>(claim: Option<&Claim<T>>, write: impl Fn(&T, Option<wire::Provenance>) -> W) -> Vec<W> {
    let statements = claim.map(Claim::statements).unwrap_or_default();
    statements.iter().map(|statement| write(&statement.value, provenance(statement))).collect()
}

/// The circumstances of a statement; none if the operator declares it for all time.
fn provenance<T>(statement: &Statement<T>) -> Option<wire::Provenance> {
    let evidence = |evidence: &Evidence| wire::Evidence {
        uri: evidence.uri.clone(),
        sha256: evidence.sha256.map(|digest| digest.as_bytes().to_vec().into()).unwrap_or_default(),
    };
    let declared = statement.assurance == Assurance::SelfDeclared;
    let wire = wire::Provenance {
        validity: wire_interval(statement.validity),
        assurance: if declared { 0 } else { wire_assurance(statement.assurance).into() },
        issuer: statement.issuer.clone().unwrap_or_default(),
        evidence: statement.evidence.as_ref().map(evidence),
        issued_at: statement.issued_at.map(wire_instant),
        revoked_at: statement.revoked_at.map(wire_instant),
        appraisal: statement.appraisal.map(|tier| wire_appraisal(tier).into()).unwrap_or_default(),
    };
    (wire != wire::Provenance::default()).then_some(wire)
}

pub(super) fn places(path: &str, wire: Vec<wire::PlacesClaim>) -> Result<Option<Claim<BTreeSet<Place>>>, WireError> {
    claim(path, wire, |path, wire| Ok((place_list(&format!("{path}.places"), &wire.places)?, wire.provenance)))
}

pub(super) fn wire_places(claim: Option<&Claim<BTreeSet<Place>>>) -> Vec<wire::PlacesClaim> {
    wire_claim(claim, |places, provenance| wire::PlacesClaim { places: strings(places), provenance })
}

pub(super) fn place_list(path: &str, places: &[String]) -> Result<BTreeSet<Place>, WireError> {
    Ok(parse_all(path, places)?.into_iter().collect())
}

/// The texts of a set.
pub(super) fn strings<'a, T: ToString + 'a>(set: impl IntoIterator<Item = &'a T>) -> Vec<String> {
    set.into_iter().map(ToString::to_string).collect()
}

pub(super) fn text_claim(path: &str, wire: Vec<wire::TextClaim>) -> Result<Option<Claim<String>>, WireError> {
    claim(path, wire, |path, wire| Ok((text(&format!("{path}.text"), wire.text, MAX_TEXT_BYTES)?, wire.provenance)))
}

pub(super) fn wire_text(claim: Option<&Claim<String>>) -> Vec<wire::TextClaim> {
    wire_claim(claim, |text, provenance| wire::TextClaim { text: text.clone(), provenance })
}
