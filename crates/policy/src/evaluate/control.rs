//! Who operates the node, and who controls the operator (VOCABULARY D9).

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
        let controllers = findings.value(PATH, operator.ultimate_controllers.as_ref());
        for controller in controllers.into_iter().flatten() {
            findings.allowed(
                ReasonCode::ControllerNotAllowed,
                PATH,
                &controller.seat,
                &demanded.allowed_controller_seats,
            );
            findings.forbidden(
                ReasonCode::ControllerNotAllowed,
                PATH,
                &controller.seat,
                &demanded.forbidden_controller_seats,
            );
        }
    }
}
