//! Who else takes part: which of them is forbidden, and where those are that can read content.

use std::collections::BTreeSet;

use comity_types::{Lei, Place};

use super::processing;
use crate::evaluate::facet::{Among, Demand, Facet, OfDemand, each_of};
use crate::evaluate::findings::{Field, Findings, Joined};
use crate::evaluate::membership::Lists;
use crate::evaluate::truth::{Doubt, Participant};
use crate::offer::SubProcessor;
use crate::{Claim, Offer, Organisation, ReasonCode, Requirements, Side, Tables};

pub(super) const SUB_PROCESSORS: &str = "sub_processors";

/// Who else takes part.
pub(crate) struct SubProcessors;

/// What is read of who one of them is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Identity<'a> {
    /// Its name, and who it is by register.
    One(&'a str, Option<&'a Lei>),
    /// The claim, where it is missing, says that there are none, or says other things at other times.
    Unsettled(Option<&'a Claim<BTreeSet<SubProcessor>>>),
}

impl Facet for SubProcessors {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = Identity<'a>;
    type Part = OfDemand;

    fn facts<'a>(offer: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        each_of(offer.sub_processors.as_ref()).map(|piece| match piece {
            Among::One(one) => Identity::One(&one.id, one.lei.as_ref()),
            Among::Whole(claim) => Identity::Unsettled(claim),
        })
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        !asked.requirements.forbidden_sub_processors.is_empty()
    }

    fn check<'t>(facts: &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        let forbidden = &asked.requirements.forbidden_sub_processors;
        match facts {
            Identity::One(id, lei) => check_identity(id, *lei, forbidden, findings),
            Identity::Unsettled(claim) => {
                let Some(all) = findings.value(&SUB_PROCESSORS, *claim) else { return };
                all.iter().for_each(|one| check_identity(&one.id, one.lei.as_ref(), forbidden, findings));
            }
        }
    }
}

/// Forbidden are names and identifiers. A name is the operator's to choose: who forbids an identifier has to be told
/// what the sub-processor's is.
fn check_identity(id: &str, lei: Option<&Lei>, forbidden: &BTreeSet<String>, findings: &mut Findings<'_>) {
    const PATH: &str = SUB_PROCESSORS;
    let is_forbidden = |name: &str| forbidden.contains(name);
    if is_forbidden(id) || lei.is_some_and(|lei| is_forbidden(lei.as_str())) {
        let expected = format_args!("not {}", Joined(forbidden));
        let field = Field { path: &PATH, expected: &expected, actual: &id };
        return findings.reject(ReasonCode::SubProcessorNotAllowed, id, field);
    }
    let is_lei = |name: &str| name.parse::<Lei>().is_ok();
    if lei.is_none() && !is_lei(id) && forbidden.iter().any(|name| is_lei(name)) {
        findings.doubt(&PATH, Doubt::missing(format_args!("{PATH}.{id}.lei")));
    }
}

/// Who else can read content: whoever can processes, too.
pub(crate) struct Readers;

/// What is read of where one of them is.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Reader<'a> {
    /// One is here.
    At(&'a Place),
    /// One, of this name, says no place.
    Nowhere(&'a str),
    /// The claim, where it is missing, says that there are none, or says other things at other times.
    Unsettled(Option<&'a Claim<BTreeSet<SubProcessor>>>),
}

impl Facet for Readers {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = (Reader<'a>, Participant<'a>);
    type Part = OfDemand;

    fn facts<'a>(
        offer: &'a Offer,
        operator: &'a Organisation,
        tables: &Tables,
    ) -> impl IntoIterator<Item = Self::Facts<'a>> {
        each_of(offer.sub_processors.as_ref()).flat_map(move |piece| {
            let (one, claim) = match piece {
                Among::One(one) => (Some(one), None),
                Among::Whole(claim) => (None, Some((Reader::Unsettled(claim), Participant::operator(operator)))),
            };
            let readers = one.into_iter().flat_map(readers);
            readers.map(move |reader| (reader, whom(reader, operator, tables))).chain(claim)
        })
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        lists(asked.requirements).is_demanded()
    }

    fn place((reader, _): &Self::Facts<'_>) -> Option<Place> {
        match reader {
            Reader::At(place) => Some((*place).clone()),
            Reader::Nowhere(_) | Reader::Unsettled(_) => None,
        }
    }

    fn lists(demanded: &Requirements) -> Option<Lists<'_>> {
        Some(lists(demanded))
    }

    fn check<'t>((reader, operator): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        let lists = lists(asked.requirements);
        match reader {
            Reader::Unsettled(claim) => {
                let Some(all) = findings.value(&SUB_PROCESSORS, *claim) else { return };
                let readers = all.iter().flat_map(readers);
                readers.for_each(|reader| check_reader(reader, &lists, *operator, findings));
            }
            Reader::At(_) | Reader::Nowhere(_) => check_reader(*reader, &lists, *operator, findings),
        }
    }
}

fn lists(demanded: &Requirements) -> Lists<'_> {
    processing(demanded, ReasonCode::SubProcessorLocationNotAllowed).lists
}

/// Where a sub-processor is, if it can read content.
fn readers(one: &SubProcessor) -> impl Iterator<Item = Reader<'_>> {
    let nowhere = one.places.is_empty().then_some(Reader::Nowhere(&one.id));
    one.places.iter().map(Reader::At).chain(nowhere).filter(|_| one.content_access)
}

fn whom<'a>(reader: Reader<'_>, operator: &'a Organisation, tables: &Tables) -> Participant<'a> {
    match reader {
        Reader::At(place) => Participant::operator_at(operator, place, tables),
        Reader::Nowhere(_) => Participant::operator_of_no_scope(),
        Reader::Unsettled(_) => Participant::operator(operator),
    }
}

fn check_reader<'t>(reader: Reader<'_>, lists: &Lists<'t>, operator: Participant<'_>, findings: &mut Findings<'t>) {
    match reader {
        Reader::At(place) => findings.hold(lists, &SUB_PROCESSORS, place, Some(operator)),
        Reader::Nowhere(id) => {
            findings.doubt(&SUB_PROCESSORS, Doubt::missing(format_args!("{SUB_PROCESSORS}.{id}.places")));
        }
        Reader::Unsettled(_) => {}
    }
}
