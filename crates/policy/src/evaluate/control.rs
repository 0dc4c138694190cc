//! Who operates the node, and who controls the operator (VOCABULARY D9).

use comity_types::Place;

use super::findings::Findings;
use crate::{Organisation, ReasonCode, Requirements};

pub(super) fn check(operator: &Organisation, demanded: &Requirements, findings: &mut Findings<'_>) {
    if !demanded.allowed_operator_seats.is_unrestricted() {
        const PATH: &str = "operator.seat";
        if let Some(seat) = findings.value(PATH, operator.seat.as_ref()) {
            findings.allowed(ReasonCode::OperatorSeatNotAllowed, PATH, seat, &demanded.allowed_operator_seats);
        }
    }
    if !demanded.allowed_controller_seats.is_unrestricted() || !demanded.forbidden_controller_seats.is_empty() {
        const PATH: &str = "operator.ultimate_controllers";
        let Some(controllers) = findings.value(PATH, operator.ultimate_controllers.as_ref()) else { return };
        for controller in controllers {
            check_seat(&controller.seat, PATH, demanded, findings);
        }
        // Nobody controls it, so that it is ruled from its own seat.
        if controllers.is_empty()
            && let Some(seat) = findings.value("operator.seat", operator.seat.as_ref())
        {
            check_seat(seat, "operator.seat", demanded, findings);
        }
    }
}

fn check_seat(seat: &Place, path: &'static str, demanded: &Requirements, findings: &mut Findings<'_>) {
    findings.allowed(ReasonCode::ControllerNotAllowed, path, seat, &demanded.allowed_controller_seats);
    findings.forbidden(ReasonCode::ControllerNotAllowed, path, seat, &demanded.forbidden_controller_seats);
}
