//! Certificates that a caller asks for: any one that passes is enough; if none does, the one with the fewest faults
//! is shown (VOCABULARY D15).

use std::collections::BTreeSet;
use std::fmt::{self, Display};
use std::time::Duration;

use comity_types::time::earlier;
use comity_types::{ModelName, Place, Timestamp};

use crate::evaluate::facet::{Demand, Facet, OfDemand};
use crate::evaluate::findings::{Field, Findings, Joined};
use crate::evaluate::truth::{Doubt, Truth};
use crate::requirements::RequiredCertification;
use crate::tables::blocs::Reach;
use crate::tables::certifications::{CertificationScheme, Edition};
use crate::terms::{Certification, Certifications};
use crate::{Claim, Offer, Organisation, ReasonCode, Side, Tables};

const PATH: &str = "terms.certifications";
const DAY: Duration = Duration::from_hours(24);

/// Certificates that a caller asks for.
pub(crate) struct Certificates;

/// What is held, and what it has to cover.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Held<'a> {
    certifications: Option<&'a Claim<Certifications>>,
    /// The model, if a certificate is for some models alone.
    model: Option<&'a ModelName>,
    /// Where it may run, if a certificate is for some places alone.
    processing_locations: Option<&'a Claim<BTreeSet<Place>>>,
}

impl Facet for Certificates {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Held<'a>;
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        let certifications = offer.terms.as_ref().and_then(|terms| terms.certifications.as_ref());
        let held = || certifications.into_iter().flat_map(|claim| claim.statements()).flat_map(|one| &one.value.0);
        let is_for_some = |scope: fn(&Certification) -> bool| held().any(scope);
        let model = is_for_some(|one| !one.scope_services.is_empty()).then_some(&offer.model);
        let by_place = is_for_some(|one| !one.scope_sites.is_empty());
        let processing_locations = offer.processing_locations.as_ref().filter(|_| by_place);
        [Held { certifications, model, processing_locations }]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.required_certifications.is_empty()
    }

    fn check<'t>(facts: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        let Some(held) = findings.value(&"certifications", facts.certifications) else { return };
        for required in &asked.requirements.required_certifications {
            check_one(required, &held.0, facts, findings);
        }
    }
}

/// Something that is wrong with a certificate.
enum Fault {
    Wrong(ReasonCode, String),
    Open(Doubt),
}

/// What was made of a certificate: its faults, and until when the answer holds.
struct Opinion {
    faults: Vec<Fault>,
    until: Option<Timestamp>,
}

fn check_one(
    required: &RequiredCertification,
    held: &BTreeSet<Certification>,
    facts: &Held<'_>,
    findings: &mut Findings<'_>,
) {
    let Some(scheme) = findings.tables.certifications.get(&required.scheme) else {
        return findings.doubt(&PATH, Doubt::unrecognised(&required.scheme));
    };
    if let Some(level) = required.level.as_ref().filter(|level| scheme.rank(level).is_none()) {
        return findings.doubt(&PATH, Doubt::unrecognised(level));
    }
    let of_scheme = held.iter().filter(|one| one.scheme == required.scheme);
    let opinions: Vec<_> = of_scheme.map(|one| opinion(one, required, scheme, facts, findings)).collect();
    // The one that holds longest, so that the verdict does.
    let millis = |at: Option<Timestamp>| at.map_or(i64::MAX, Timestamp::as_millis);
    let passing = opinions.iter().filter(|opinion| opinion.faults.is_empty());
    if let Some(best) = passing.max_by_key(|opinion| millis(opinion.until)) {
        return findings.expires(best.until);
    }
    let expected = Described(required);
    match opinions.into_iter().min_by_key(|opinion| opinion.faults.len()) {
        None => {
            let field = Field { path: &PATH, expected: &expected, actual: &"none" };
            findings.reject(ReasonCode::CertificationMissing, &required.scheme, field);
        }
        Some(nearest) => nearest.explain(required, &expected, findings),
    }
}

fn opinion(
    one: &Certification,
    required: &RequiredCertification,
    scheme: &CertificationScheme,
    facts: &Held<'_>,
    findings: &mut Findings<'_>,
) -> Opinion {
    let mut opinion = Opinion { faults: Vec::new(), until: None };
    check_time(one, required, scheme, findings, &mut opinion);
    check_edition(one, required, scheme, findings, &mut opinion);
    check_level(one, required, scheme, &mut opinion);
    check_scope(one, facts, findings, &mut opinion);
    opinion
}

impl Opinion {
    fn wrong(&mut self, code: ReasonCode, actual: impl Into<String>) {
        self.faults.push(Fault::Wrong(code, actual.into()));
    }

    fn open(&mut self, doubt: Doubt) {
        self.faults.push(Fault::Open(doubt));
    }

    /// What is wrong with it; what is open besides need not be stated, since that would not help.
    fn explain(self, required: &RequiredCertification, expected: &dyn Display, findings: &mut Findings<'_>) {
        let is_wrong = self.faults.iter().any(|fault| matches!(fault, Fault::Wrong(..)));
        for fault in self.faults {
            match fault {
                Fault::Open(_) if is_wrong => {}
                Fault::Open(doubt) => findings.doubt(&PATH, doubt),
                Fault::Wrong(code, actual) => {
                    findings.reject(code, &required.scheme, Field { path: &PATH, expected, actual: &actual });
                }
            }
        }
    }

    fn holds_until(&mut self, at: Option<Timestamp>) {
        self.until = earlier(self.until, at);
    }
}

/// Issued and not expired; a report on a period has no end, and must not be too old.
fn check_time(
    one: &Certification,
    required: &RequiredCertification,
    scheme: &CertificationScheme,
    findings: &mut Findings<'_>,
    opinion: &mut Opinion,
) {
    let as_of = findings.as_of;
    findings.changes(one.issued);
    findings.changes(one.expires);
    if let Some(issued) = one.issued.filter(|issued| *issued > as_of) {
        opinion.wrong(ReasonCode::CertificationMissing, format!("issued {issued}"));
    }
    if let Some(expires) = one.expires {
        if expires <= as_of {
            opinion.wrong(ReasonCode::CertificationExpired, format!("expired {expires}"));
        }
        opinion.holds_until(Some(expires));
    }
    let Some(end) = one.period_end else { return check_days(one, scheme, opinion) };
    // Its last day is a whole one, and there is no report on days to come.
    let over = end.plus(DAY);
    findings.changes(Some(over));
    if as_of < over {
        opinion.wrong(ReasonCode::CertificationMissing, format!("its period ends {end}"));
    }
    let most = required.max_age_days.unwrap_or(scheme.max_age_days);
    let too_old = over.plus(DAY.saturating_mul(most));
    findings.changes(Some(too_old));
    if as_of >= too_old {
        opinion.wrong(ReasonCode::CertificationExpired, format!("its period ended {end}"));
    }
    opinion.holds_until(Some(too_old));
}

/// Without a period it needs the days of its issue and its end, unless it is, or may be, a report on one.
fn check_days(one: &Certification, scheme: &CertificationScheme, opinion: &mut Opinion) {
    let missing = |field: &str| Doubt::missing(format_args!("certifications.{}.{field}", one.scheme));
    match &one.level {
        Some(level) if scheme.periods.contains(level) => return opinion.open(missing("period_end")),
        Some(level) if !scheme.periods.is_empty() && scheme.rank(level).is_none() => {
            opinion.open(Doubt::unrecognised(level));
        }
        None if !scheme.periods.is_empty() => opinion.open(missing("level")),
        Some(_) | None => {}
    }
    for (field, day) in [("issued", one.issued), ("expires", one.expires)] {
        if day.is_none() {
            opinion.open(missing(field));
        }
    }
}

/// Of an edition that the requirement accepts, and that is not withdrawn for it. One that is not stated may be any.
fn check_edition(
    one: &Certification,
    required: &RequiredCertification,
    scheme: &CertificationScheme,
    findings: &mut Findings<'_>,
    opinion: &mut Opinion,
) {
    let missing = || Doubt::missing(format_args!("certifications.{}.edition", one.scheme));
    let Some(name) = one.edition.as_deref() else {
        let mut fates: Vec<_> = scheme.editions.iter().map(|row| fate(row, one, findings, opinion)).collect();
        fates.retain(|fate| *fate != Fate::Counts);
        if !required.editions.is_empty() || !fates.is_empty() {
            opinion.open(missing());
        }
        return;
    };
    if !required.editions.is_empty() && !required.editions.contains(name) {
        opinion.wrong(ReasonCode::CertificationEditionWithdrawn, format!("edition {name}"));
    }
    let row = scheme.edition(name);
    if row.is_none() && !scheme.editions.is_empty() {
        opinion.open(Doubt::unrecognised(name));
    }
    match row.map_or(Fate::Counts, |row| fate(row, one, findings, opinion)) {
        Fate::Counts => {}
        Fate::Withdrawn(why) => {
            opinion.wrong(ReasonCode::CertificationEditionWithdrawn, format!("edition {name} {why}"));
        }
        Fate::DependsOnStart => {
            opinion.open(Doubt::missing(format_args!("certifications.{}.period_start", one.scheme)));
        }
    }
}

/// What became of a certificate, if it is of an edition.
#[derive(PartialEq, Eq)]
enum Fate {
    Counts,
    Withdrawn(String),
    /// On when the period of the report began, which is not stated.
    DependsOnStart,
}

fn fate(row: &Edition, one: &Certification, findings: &mut Findings<'_>, opinion: &mut Opinion) -> Fate {
    if let Some(from) = row.withdrawn_from {
        findings.changes(Some(from));
        if from <= findings.as_of {
            return Fate::Withdrawn(format!("ended {from}"));
        }
        opinion.holds_until(Some(from));
    }
    let Some(before) = row.periods_before else { return Fate::Counts };
    match one.period_start {
        Some(start) if start >= before => Fate::Withdrawn(format!("for a period after {before}")),
        Some(_) => Fate::Counts,
        // It began before it ended, and before anybody could report on it.
        None if [one.period_end, one.issued].into_iter().flatten().any(|later| later < before) => Fate::Counts,
        None => Fate::DependsOnStart,
    }
}

fn check_level(
    one: &Certification,
    required: &RequiredCertification,
    scheme: &CertificationScheme,
    opinion: &mut Opinion,
) {
    let Some(least) = required.level.as_ref().and_then(|level| scheme.rank(level)) else { return };
    match one.level.as_ref().map(|level| (level, scheme.rank(level))) {
        None => opinion.open(Doubt::missing(format_args!("certifications.{}.level", one.scheme))),
        Some((level, None)) => opinion.open(Doubt::unrecognised(level)),
        Some((level, Some(found))) if found < least => {
            opinion.wrong(ReasonCode::CertificationLevelTooLow, level.as_str());
        }
        Some(_) => {}
    }
}

/// Covers the model, and every place where it may run.
fn check_scope(one: &Certification, facts: &Held<'_>, findings: &mut Findings<'_>, opinion: &mut Opinion) {
    let covers = |model: &ModelName| one.scope_services.contains(model.as_str());
    if !one.scope_services.is_empty() && !facts.model.is_some_and(covers) {
        opinion.wrong(ReasonCode::CertificationScopeMismatch, format!("covers {}", Joined(&one.scope_services)));
    }
    if one.scope_sites.is_empty() {
        return;
    }
    let sites = one.scope_sites.iter().cloned().map(Into::into).collect();
    const PATH: &str = "processing_locations";
    match findings.look(&PATH, facts.processing_locations) {
        Err(doubt) => opinion.open(doubt),
        Ok(places) if places.is_empty() => opinion.open(Doubt::missing(PATH)),
        Ok(places) => {
            let mut uncovered = None;
            for place in places.iter() {
                match findings.is_in_once(place, &sites, Reach::Within, None) {
                    Truth::Yes => {}
                    Truth::No => uncovered = uncovered.or(Some(place)),
                    Truth::Unknown(doubts) => doubts.into_iter().for_each(|doubt| opinion.open(doubt)),
                }
            }
            if let Some(place) = uncovered {
                opinion.wrong(ReasonCode::CertificationScopeMismatch, format!("does not cover {place}"));
            }
        }
    }
}

/// What is asked for, for people.
struct Described<'a>(&'a RequiredCertification);

impl Display for Described<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.level {
            Some(level) => write!(f, "{}, {level} or higher", self.0.scheme),
            None => f.write_str(&self.0.scheme),
        }
    }
}
