//! Where requests are processed, stored, reached, and pass through (VOCABULARY D5, D6).

mod axis;
mod sub_processors;
mod transfer;

use comity_types::Place;

use self::axis::Axis;
pub(super) use self::sub_processors::{Readers, SubProcessors};
pub(super) use self::transfer::{Transfer, TransferOnwards, TransferToBroker};
use super::facet::{Among, Demand, Facet, OfDemand, each_of};
use super::findings::Findings;
use super::membership::Lists;
use super::truth::{Doubt, Participant};
use crate::{Offer, Organisation, ReasonCode, Requirements, Side, Tables};

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
