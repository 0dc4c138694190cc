//! Where requests are processed, stored, reached, and pass through (VOCABULARY D5, D6).

mod axis;
mod transfer;

use std::collections::BTreeSet;

use comity_types::Place;

use self::axis::Axis;
pub(super) use self::transfer::{Transfer, TransferOnwards, TransferToBroker};
use super::facet::{Among, Demand, Facet, OfDemand, each_of};
use super::findings::{Field, Findings, Joined};
use super::membership::Lists;
use super::truth::{Doubt, Participant};
use crate::offer::SubProcessor;
use crate::{Claim, Offer, Organisation, ReasonCode, Requirements, Side, Tables};

/// A piece of what is stated of an axis, and by whom.
type Places<'a> = (Among<'a, Place>, Participant<'a>);

const PROCESSING: &str = "processing_locations";

fn processing(demanded: &Requirements, code: ReasonCode) -> Axis<'_> {
    let lists = Lists::new(code, &demanded.allowed_processing_locations, &demanded.forbidden_processing_locations);
    Axis { path: PROCESSING, lists }
}

fn storage(demanded: &Requirements, code: ReasonCode) -> Axis<'_> {
    let lists = Lists::new(code, &demanded.allowed_storage_locations, &demanded.forbidden_storage_locations);
    Axis { path: "storage_locations", lists }
}

fn access(demanded: &Requirements, code: ReasonCode) -> Axis<'_> {
    let lists = Lists::new(code, &demanded.allowed_access_locations, &demanded.forbidden_access_locations);
    Axis { path: "access_locations", lists }
}

/// For whom a piece is asked about.
fn whom<'a>(piece: Among<'a, Place>, operator: &'a Organisation, tables: &Tables) -> Participant<'a> {
    match piece {
        Among::One(place) => Participant::operator_at(operator, place, tables),
        Among::Whole(_) => Participant::operator(operator),
    }
}

/// One facet an axis.
macro_rules! axes {
    ($($(#[$doc:meta])* $facet:ident = $axis:ident, $code:ident, $claim:ident;)*) => {$(
        $(#[$doc])*
        pub(super) struct $facet;

        impl Facet for $facet {
            const SIDE: Side = Side::Caller;
            type Facts<'a> = Places<'a>;
            type Part = OfDemand;

            fn facts<'a>(
                offer: &'a Offer,
                operator: &'a Organisation,
                tables: &Tables,
            ) -> impl IntoIterator<Item = Self::Facts<'a>> {
                each_of(offer.$claim.as_ref()).map(|piece| (piece, whom(piece, operator, tables)))
            }

            fn is_asked(asked: &Demand<'_>) -> bool {
                $axis(asked.requirements, ReasonCode::$code).lists.is_demanded()
            }

            fn place((piece, _): &Self::Facts<'_>) -> Option<Place> {
                match piece {
                    Among::One(place) => Some((*place).clone()),
                    Among::Whole(_) => None,
                }
            }

            fn lists(demanded: &Requirements) -> Option<Lists<'_>> {
                Some($axis(demanded, ReasonCode::$code).lists)
            }

            fn check<'t>((piece, operator): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
                $axis(asked.requirements, ReasonCode::$code).check(*piece, *operator, findings);
            }
        }
    )*};
}

axes! {
    /// Where requests are processed.
    Processing = processing, ProcessingLocationNotAllowed, processing_locations;
    /// Where data is stored.
    Storage = storage, StorageLocationNotAllowed, storage_locations;
    /// From where people reach the machine.
    Access = access, AccessLocationNotAllowed, access_locations;
}

/// What is read of who else takes part.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Reader<'a> {
    /// One of them, and where it is, if it can read content.
    One {
        /// Its name.
        id: &'a str,
        /// Where it is.
        places: Option<&'a BTreeSet<Place>>,
    },
    /// The claim, where it is missing, says that there are none, or says other things at other times.
    Unsettled(Option<&'a Claim<BTreeSet<SubProcessor>>>),
}

/// Who else takes part; whoever can read content processes, too.
pub(super) struct SubProcessors;

impl Facet for SubProcessors {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = (Reader<'a>, Participant<'a>);
    type Part = OfDemand;

    fn facts<'a>(
        offer: &'a Offer,
        operator: &'a Organisation,
        tables: &Tables,
    ) -> impl IntoIterator<Item = Self::Facts<'a>> {
        each_of(offer.sub_processors.as_ref()).map(|piece| match piece {
            Among::Whole(claim) => (Reader::Unsettled(claim), Participant::operator(operator)),
            Among::One(SubProcessor { id, content_access, places, .. }) => {
                let is_scoped = places.iter().any(|place| tables.blocs.is_scoped(&tables.places, place));
                let whom =
                    if is_scoped { Participant::operator(operator) } else { Participant::operator_of_no_scope() };
                (Reader::One { id, places: content_access.then_some(places) }, whom)
            }
        })
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        let demanded = asked.requirements;
        readers(demanded).is_demanded() || !demanded.forbidden_sub_processors.is_empty()
    }

    fn check<'t>((piece, operator): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        match piece {
            Reader::One { id, places } => check_sub_processor((id, *places), *operator, asked.requirements, findings),
            Reader::Unsettled(claim) => {
                let Some(all) = findings.value(&SUB_PROCESSORS, *claim) else { return };
                for SubProcessor { id, content_access, places, .. } in all.iter() {
                    let one = (id.as_str(), content_access.then_some(places));
                    check_sub_processor(one, *operator, asked.requirements, findings);
                }
            }
        }
    }
}

const SUB_PROCESSORS: &str = "sub_processors";

/// Whoever can read content processes, too.
fn readers(demanded: &Requirements) -> Lists<'_> {
    processing(demanded, ReasonCode::SubProcessorLocationNotAllowed).lists
}

fn check_sub_processor<'t>(
    (id, places): (&str, Option<&BTreeSet<Place>>),
    operator: Participant<'_>,
    demanded: &'t Requirements,
    findings: &mut Findings<'t>,
) {
    const PATH: &str = SUB_PROCESSORS;
    let (lists, forbidden) = (readers(demanded), &demanded.forbidden_sub_processors);
    if forbidden.contains(id) {
        let expected = format_args!("not {}", Joined(forbidden));
        let field = Field { path: &PATH, expected: &expected, actual: &id };
        findings.reject(ReasonCode::SubProcessorNotAllowed, id, field);
    }
    let Some(places) = places.filter(|_| lists.is_demanded()) else { return };
    if places.is_empty() {
        findings.doubt(&PATH, Doubt::missing(format_args!("{PATH}.{id}.places")));
    }
    for place in places {
        findings.hold(&lists, &PATH, place, Some(operator));
    }
}

/// The broker ends the caller's TLS, so that it processes too. What an operator takes part in says nothing of it.
pub(super) struct BrokerPath;

impl Facet for BrokerPath {
    const SIDE: Side = Side::Caller;
    type Facts<'a> = ();
    type Part = OfDemand;

    fn facts<'a>(_: &'a Offer, _: &'a Organisation, _: &Tables) -> impl IntoIterator<Item = Self::Facts<'a>> {
        [()]
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        asked.broker_places.is_some() && path(asked.requirements).is_demanded()
    }

    fn check<'t>((): &(), asked: &Demand<'t>, findings: &mut Findings<'t>) {
        const PATH: &str = "broker.places";
        let Some(places) = asked.broker_places else { return };
        if places.is_empty() {
            findings.doubt(&PATH, Doubt::missing(PATH));
        }
        for place in places {
            findings.hold(&path(asked.requirements), &PATH, place, Some(Participant::broker()));
        }
    }
}

fn path(demanded: &Requirements) -> Lists<'_> {
    processing(demanded, ReasonCode::BrokerPathNotAllowed).lists
}
