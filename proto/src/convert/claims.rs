//! Claims, intervals and the facts of organisations.

use comity_policy::{Claim, Controller, Organisation};
use comity_types::{Interval, Place, Timestamp};

use super::{MAX_TEXT_BYTES, WireError, bounded, parse, parse_all, text};
use crate::policy as wire;

/// Most controllers of an organisation.
const MAX_CONTROLLERS: usize = 64;

/// An instant on the wire, in milliseconds at most precise.
pub(crate) fn instant(path: &str, stamp: prost_types::Timestamp) -> Result<Timestamp, WireError> {
    let invalid = || WireError::new(path, "must be an instant before the year 10000");
    if !(0..1_000_000_000).contains(&stamp.nanos) {
        return Err(invalid());
    }
    let millis = stamp.seconds.checked_mul(1000).and_then(|ms| ms.checked_add(i64::from(stamp.nanos / 1_000_000)));
    millis.and_then(|millis| Timestamp::from_millis(millis).ok()).ok_or_else(invalid)
}

/// The wire's form of an instant.
pub(crate) fn wire_instant(at: Timestamp) -> prost_types::Timestamp {
    let millis = at.as_millis();
    // Below 1000 by construction, so that the product stays below 10^9.
    let nanos = i32::try_from(millis.rem_euclid(1000)).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp { seconds: millis.div_euclid(1000), nanos }
}

pub(crate) fn interval(path: &str, validity: Option<wire::Validity>) -> Result<Interval, WireError> {
    let validity = validity.unwrap_or_default();
    let bound = |name: &str, stamp: Option<_>| stamp.map(|stamp| instant(&format!("{path}.{name}"), stamp)).transpose();
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

pub(crate) fn places(path: &str, claim: Option<wire::PlacesClaim>) -> Result<Option<Claim<Vec<Place>>>, WireError> {
    let convert = |claim: wire::PlacesClaim| {
        let value = parse_all(&format!("{path}.places"), &claim.places)?;
        Ok(Claim { value, validity: interval(&format!("{path}.validity"), claim.validity)? })
    };
    claim.map(convert).transpose()
}

pub(crate) fn wire_places(claim: &Claim<Vec<Place>>) -> wire::PlacesClaim {
    wire::PlacesClaim {
        places: claim.value.iter().map(ToString::to_string).collect(),
        validity: wire_interval(claim.validity),
    }
}

impl TryFrom<wire::Organisation> for Organisation {
    type Error = WireError;

    fn try_from(organisation: wire::Organisation) -> Result<Self, WireError> {
        let seat = |claim: wire::PlaceClaim| {
            let value = parse("seat.place", &claim.place)?;
            Ok(Claim { value, validity: interval("seat.validity", claim.validity)? })
        };
        Ok(Self {
            trust_domain: parse("trust_domain", &organisation.trust_domain)?,
            name: text("name", organisation.name, MAX_TEXT_BYTES)?,
            seat: organisation.seat.map(seat).transpose()?,
            ultimate_controllers: organisation.ultimate_controllers.map(controllers).transpose()?,
        })
    }
}

fn controllers(claim: wire::ControllersClaim) -> Result<Claim<Vec<Controller>>, WireError> {
    let path = "ultimate_controllers";
    bounded(path, claim.controllers.len(), MAX_CONTROLLERS)?;
    let convert = |(index, controller): (usize, wire::Controller)| {
        let path = format!("{path}.controllers[{index}]");
        let name = text(&format!("{path}.name"), controller.name, MAX_TEXT_BYTES)?;
        Ok(Controller { name, seat: parse(format!("{path}.seat"), &controller.seat)? })
    };
    let value = claim.controllers.into_iter().enumerate().map(convert).collect::<Result<_, WireError>>()?;
    Ok(Claim { value, validity: interval(&format!("{path}.validity"), claim.validity)? })
}

impl From<&Organisation> for wire::Organisation {
    fn from(organisation: &Organisation) -> Self {
        let seat = |claim: &Claim<Place>| wire::PlaceClaim {
            place: claim.value.to_string(),
            validity: wire_interval(claim.validity),
        };
        let controller = |one: &Controller| wire::Controller { name: one.name.clone(), seat: one.seat.to_string() };
        let controllers = |claim: &Claim<Vec<Controller>>| wire::ControllersClaim {
            controllers: claim.value.iter().map(controller).collect(),
            validity: wire_interval(claim.validity),
        };
        Self {
            trust_domain: organisation.trust_domain.to_string(),
            name: organisation.name.clone(),
            seat: organisation.seat.as_ref().map(seat),
            ultimate_controllers: organisation.ultimate_controllers.as_ref().map(controllers),
        }
    }
}
