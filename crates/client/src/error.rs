//! What a status means: who said it, what went wrong, how to mend it.

#[cfg(test)]
mod tests;

use std::error::Error;

use comity_proto::error::Detail;
use comity_runtime::chain::{links, text};
use rustls::AlertDescription;
use tonic::{Code, Status, TimeoutExpired};

use crate::connection::{CertificateEnded, NoAnswer, NotReached};
use crate::receipt::Unproven;

/// What a connection that broke in the middle of a call means.
const BROKEN_OFF: &str = "the broker broke off: the connection to it ended in the middle of the call";

/// A status, explained.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What kind of failure it is.
    pub cause: Cause,
    /// What went wrong, for people.
    pub message: String,
    /// How to mend it, where that is known.
    pub hint: Option<String>,
    /// What the broker or node said beyond that: its reason, and the verdicts of a refusal.
    pub detail: Option<Detail>,
}

/// What kind of failure a status is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// Comity answered, and the answer was no: see the detail.
    Answered,
    /// Nobody answered at the broker's addresses.
    Unreachable,
    /// Somebody else answered.
    WrongBroker,
    /// The broker does not accept our certificate.
    CertificateRefused,
    /// Our certificate has ended.
    CertificateEnded,
    /// The time that the caller gave was over.
    DeadlineExceeded,
    /// The caller gave up.
    Cancelled,
    /// The connection to the broker broke in the middle of a call: what arrived is not the whole answer.
    BrokenOff,
    /// The answer's receipt does not prove it: see [`Unproven`].
    Unproven,
    /// Anything else.
    Other,
}

impl Cause {
    /// What a program may look for, where nobody was left to give a reason.
    #[must_use]
    pub const fn reason(self) -> Option<&'static str> {
        match self {
            Self::BrokenOff => Some("BROKER_BROKE_OFF"),
            Self::Unproven => Some("ANSWER_UNPROVEN"),
            Self::Answered
            | Self::Unreachable
            | Self::WrongBroker
            | Self::CertificateRefused
            | Self::CertificateEnded
            | Self::DeadlineExceeded
            | Self::Cancelled
            | Self::Other => None,
        }
    }
}

/// Explains a status.
#[must_use]
pub fn explain(status: &Status) -> Explanation {
    if let Some(detail) = Detail::of(status) {
        let (message, hint) = split_hint(status.message());
        return Explanation { cause: Cause::Answered, message, hint, detail: Some(detail) };
    }
    let cause = cause(status);
    let said = || status.source().map_or_else(|| status.message().to_owned(), text);
    // What a broken connection says of itself is TLS's and HTTP/2's own words, which mend nothing.
    let message = match alert_in(status) {
        Some(alert) => of_alert(cause, alert).unwrap_or_else(said),
        None if cause == Cause::BrokenOff => BROKEN_OFF.to_owned(),
        // Why it is not is in the status as well.
        None if cause == Cause::Unproven => status.message().to_owned(),
        None => said(),
    };
    let (message, own_hint) = split_hint(&message);
    Explanation { cause, message, hint: own_hint.or_else(|| hint(cause).map(str::to_owned)), detail: None }
}

fn cause(status: &Status) -> Cause {
    let by_code = || if status.code() == Code::DeadlineExceeded { Cause::DeadlineExceeded } else { Cause::Other };
    let by_code = || if status.code() == Code::Cancelled { Cause::Cancelled } else { by_code() };
    let by_code = || Some(by_code()).filter(|cause| *cause != Cause::Other || !is_transport(status));
    let by_code = || by_code().unwrap_or(Cause::BrokenOff);
    links(status).find_map(cause_of_link).unwrap_or_else(by_code)
}

/// Only what this side's transport has met has a source: what the broker said came over the wire, without one.
fn is_transport(status: &Status) -> bool {
    status.source().is_some()
}

/// The innermost error that tells: a [`NotReached`] says less than the TLS error within it.
fn cause_of_link(error: &(dyn Error + 'static)) -> Option<Cause> {
    if error.is::<CertificateEnded>() {
        return Some(Cause::CertificateEnded);
    }
    if error.is::<Unproven>() {
        return Some(Cause::Unproven);
    }
    if error.is::<NoAnswer>() || error.is::<TimeoutExpired>() {
        return Some(Cause::DeadlineExceeded);
    }
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return tls_cause(error);
    }
    let not_reached = error.downcast_ref::<NotReached>()?;
    Some(links(&not_reached.source).find_map(cause_of_link).unwrap_or(Cause::Unreachable))
}

fn tls_cause(error: &rustls::Error) -> Option<Cause> {
    if let rustls::Error::AlertReceived(alert) = error {
        return alert_cause(*alert);
    }
    matches!(error, rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)
        .then_some(Cause::WrongBroker)
}

/// The alert by which the other side ended the handshake.
fn alert_in(status: &Status) -> Option<AlertDescription> {
    links(status).find_map(|error| {
        let rustls::Error::AlertReceived(alert) = error.downcast_ref()? else { return None };
        Some(*alert)
    })
}

/// What an alert means that is about our certificate. It is one word, and there are several reasons for each: none is said
/// to be the one.
fn of_alert(cause: Cause, alert: AlertDescription) -> Option<String> {
    match cause {
        Cause::CertificateRefused => Some(format!(
            "the broker does not take this certificate, and TLS says no more of it than {alert:?}: its organisation is \
             not, or no longer, one of the federation's, or the certificate is not by an authority that the organisation \
             has now, or not as it has to be"
        )),
        Cause::CertificateEnded => {
            Some(format!("by the broker's clock this certificate has ended: TLS says {alert:?}"))
        }
        Cause::Answered
        | Cause::Unreachable
        | Cause::WrongBroker
        | Cause::DeadlineExceeded
        | Cause::Cancelled
        | Cause::BrokenOff
        | Cause::Unproven
        | Cause::Other => None,
    }
}

/// What the broker's TLS says about our certificate (RFC 8446, section 6.2).
fn alert_cause(alert: AlertDescription) -> Option<Cause> {
    const REFUSED: &[AlertDescription] = &[
        AlertDescription::UnknownCA,
        AlertDescription::BadCertificate,
        AlertDescription::CertificateUnknown,
        AlertDescription::CertificateRevoked,
        AlertDescription::CertificateRequired,
        AlertDescription::UnsupportedCertificate,
        AlertDescription::AccessDenied,
        AlertDescription::DecryptError,
    ];
    if alert == AlertDescription::CertificateExpired {
        return Some(Cause::CertificateEnded);
    }
    REFUSED.contains(&alert).then_some(Cause::CertificateRefused)
}

const fn hint(cause: Cause) -> Option<&'static str> {
    match cause {
        Cause::Unreachable => Some("check that the broker runs and that its address and port can be reached from here"),
        Cause::WrongBroker => {
            Some("check the broker's address and both clocks; if the federation was founded anew, join it again")
        }
        Cause::CertificateRefused => Some(
            "`comity doctor` looks at the certificate; an operator of the federation knows whether the organisation was evicted or has withdrawn, and invites it again",
        ),
        Cause::CertificateEnded => Some(
            "check the clock; `comity identity renew` gets a certificate for a key that is admitted, without an invite",
        ),
        Cause::DeadlineExceeded => Some("try again with more time, or ask for less"),
        Cause::BrokenOff => {
            Some("ask again: what arrived is not the whole answer; if it happens again, look at the broker's log")
        }
        Cause::Unproven => Some(
            "do not use what arrived; tell the operators of the federation: its broker ends every answer with a receipt of it",
        ),
        Cause::Answered | Cause::Cancelled | Cause::Other => None,
    }
}

/// Messages may end in `(hint: ...)`, which is shown on a line of its own: the message without it, and the hint.
#[must_use]
pub fn split_hint(message: &str) -> (String, Option<String>) {
    let parts = message.trim_end().strip_suffix(')').and_then(|text| text.rsplit_once(" (hint: "));
    parts.map_or_else(|| (message.to_owned(), None), |(text, hint)| (text.to_owned(), Some(hint.to_owned())))
}
