//! The node's terms: whom it serves, for what, with which content (VOCABULARY D1, D12, D18).

mod callers;
mod content;
mod ownership;
mod purposes;

pub(super) use callers::{Agreement, Callers};
pub(super) use content::Content;
pub(super) use ownership::CallerOwnership;
pub(super) use purposes::Purposes;

use super::findings::{Field, Findings};
use crate::ReasonCode;

fn incomplete(path: &str, subject: &str, expected: &str, findings: &mut Findings<'_>) {
    let field = Field { path: &path, expected: &expected, actual: &"nothing" };
    findings.reject(ReasonCode::NodeTermsIncomplete, subject, field);
}
