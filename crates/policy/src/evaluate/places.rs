//! Where requests are processed, stored, reached, and pass through (VOCABULARY D5, D6).

mod axis;
mod transfer;

use std::collections::BTreeSet;

use comity_types::{Lei, Place};

use self::axis::Axis;
pub(super) use self::transfer::{Transfer, TransferOnwards, TransferToBroker};
use super::facet::{Among, Demand, Facet, OfDemand, each_of};
use super::findings::{Field, Findings, Joined};
use super::truth::{Doubt, Participant};
use crate::offer::SubProcessor;
use crate::{Claim, Offer, Organisation, ReasonCode, Requirements, Side, Tables};

/// A piece of what is stated of an axis, and by whom.
type Places<'a> = (Among<'a, Place>, Participant<'a>);

fn processing(demanded: &Requirements) -> Axis<'_> {
    Axis {
        path: "processing_locations",
        allowed: &demanded.allowed_processing_locations,
        forbidden: &demanded.forbidden_processing_locations,
    }
}

fn storage(demanded: &Requirements) -> Axis<'_> {
    Axis {
        path: "storage_locations",
        allowed: &demanded.allowed_storage_locations,
        forbidden: &demanded.forbidden_storage_locations,
    }
}

fn access(demanded: &Requirements) -> Axis<'_> {
    Axis {
        path: "access_locations",
        allowed: &demanded.allowed_access_locations,
        forbidden: &demanded.forbidden_access_locations,
    }
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
                $axis(asked.requirements).is_demanded()
            }

            fn check<'t>((piece, operator): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
                $axis(asked.requirements).check(ReasonCode::$code, *piece, *operator, findings);
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
        /// Who it is, by register.
        lei: Option<&'a Lei>,
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
            Among::One(SubProcessor { id, lei, content_access, places, .. }) => {
                let is_scoped = places.iter().any(|place| tables.blocs.is_scoped(&tables.places, place));
                let whom =
                    if is_scoped { Participant::operator(operator) } else { Participant::operator_of_no_scope() };
                (Reader::One { id, lei: lei.as_ref(), places: content_access.then_some(places) }, whom)
            }
        })
    }

    fn is_asked(asked: &Demand<'_>) -> bool {
        let demanded = asked.requirements;
        processing(demanded).is_demanded() || !demanded.forbidden_sub_processors.is_empty()
    }

    fn check<'t>((piece, operator): &Self::Facts<'t>, asked: &Demand<'t>, findings: &mut Findings<'t>) {
        match piece {
            Reader::One { id, lei, places } => {
                check_identity(id, *lei, &asked.requirements.forbidden_sub_processors, findings);
                check_reader(id, *places, *operator, asked.requirements, findings);
            }
            Reader::Unsettled(claim) => {
                let Some(all) = findings.value(&SUB_PROCESSORS, *claim) else { return };
                for SubProcessor { id, lei, content_access, places, .. } in all.iter() {
                    check_identity(id, lei.as_ref(), &asked.requirements.forbidden_sub_processors, findings);
                    check_reader(id, content_access.then_some(places), *operator, asked.requirements, findings);
                }
            }
        }
    }
}

const SUB_PROCESSORS: &str = "sub_processors";

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

/// Whoever can read content processes, too.
fn check_reader<'t>(
    id: &str,
    places: Option<&BTreeSet<Place>>,
    operator: Participant<'_>,
    demanded: &'t Requirements,
    findings: &mut Findings<'t>,
) {
    const PATH: &str = SUB_PROCESSORS;
    let axis = processing(demanded);
    let Some(places) = places.filter(|_| axis.is_demanded()) else { return };
    if places.is_empty() {
        findings.doubt(&PATH, Doubt::missing(format_args!("{PATH}.{id}.places")));
    }
    for place in places {
        axis.check_place(ReasonCode::SubProcessorLocationNotAllowed, PATH, place, operator, findings);
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
        asked.broker_places.is_some() && processing(asked.requirements).is_demanded()
    }

    fn check<'t>((): &(), asked: &Demand<'t>, findings: &mut Findings<'t>) {
        const PATH: &str = "broker.places";
        let Some(places) = asked.broker_places else { return };
        if places.is_empty() {
            findings.doubt(&PATH, Doubt::missing(PATH));
        }
        for place in places {
            let code = ReasonCode::BrokerPathNotAllowed;
            processing(asked.requirements).check_place(code, PATH, place, Participant::broker(), findings);
        }
    }
}
