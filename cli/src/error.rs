//! What can go wrong in a command, and what would mend it.

use std::io;
use std::path::PathBuf;

use comity_client::{Explanation, explain};
use comity_proto::error::Detail;
use comity_proto::policy::Refusal;
use comity_types::SpiffeId;
use comity_types::display::harmless;
use tonic::{Code, Status};

use crate::refusal::fill_hints;

/// A failure of a command.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CliError {
    /// No offer may serve the request.
    #[error("no offer may serve this request ({considered} considered)")]
    Refused {
        /// The verdicts, as far as they travelled.
        refusal: Refusal,
        /// How many offers were considered.
        considered: u32,
    },
    /// The broker or a node said no, or could not.
    #[error("{doing}: {}", one_line(.status))]
    Status {
        /// What was tried.
        doing: &'static str,
        /// What came back.
        status: Box<Status>,
    },
    /// There is no such thing.
    #[error("there is no {kind} {name:?}")]
    NotFound {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
        /// The command that lists what there is.
        list: &'static str,
    },
    /// A table has no such row.
    #[error("the table of {table} has no row {row:?}")]
    NoRow {
        /// Which table.
        table: &'static str,
        /// The row's name.
        row: String,
    },
    /// What was checked is not as it should be.
    #[error("{problem}")]
    Failed {
        /// What was found.
        problem: String,
        /// How to mend it.
        hint: String,
    },
    /// A file could not be used.
    #[error("cannot {doing} {}", .path.display())]
    File {
        /// What was tried.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file does not say what it should.
    #[error("{} is not {expected}", .path.display())]
    BadFile {
        /// The file.
        path: PathBuf,
        /// What it should be.
        expected: &'static str,
        /// Where and why it is not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The command needs something that was not given.
    #[error("{problem}")]
    Usage {
        /// What is wrong.
        problem: String,
        /// How to mend it.
        hint: String,
    },
    /// The invite was turned down.
    #[error("the federation's operators turned the enrolment down: {reason}")]
    Rejected {
        /// What they said.
        reason: String,
    },
    /// Operators have to approve first.
    #[error("the enrolment waits for an operator's approval")]
    Pending {
        /// What operators approve.
        enrolment_id: String,
        /// What to compare with them.
        fingerprint: String,
        /// What the organisation's own authority may sign meanwhile, and where the chain is expected.
        sign: Option<(PathBuf, PathBuf)>,
    },
    /// The organisation's own authority has to sign.
    #[error("{id} is admitted, and waits for a certificate of its organisation's own authority")]
    AwaitsCertificate {
        /// Whom the certificate has to name.
        id: SpiffeId,
        /// The signing request.
        request: PathBuf,
        /// Where the chain is expected.
        certificate: PathBuf,
    },
    /// The identity or the connection failed.
    #[error("cannot {doing}")]
    Client {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
        /// How to mend it.
        hint: Option<String>,
    },
    /// The operating system said no.
    #[error("cannot {doing}")]
    System {
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// A person stopped it.
    #[error("interrupted")]
    Interrupted {
        /// How to go on.
        hint: String,
    },
    /// An answer ended before it was complete.
    #[error("the answer of {offer} was cut off before its end")]
    CutOff {
        /// Whose answer.
        offer: String,
    },
    /// Steps of the demo went another way than they should.
    #[error("the demo went wrong at: {}", .steps.join("; "))]
    Demo {
        /// Which steps.
        steps: Vec<String>,
    },
}

impl CliError {
    /// What would mend it, where that is known.
    pub(crate) fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { .. } => {
                Some("`comity explain` with the same requirements says what any change would do".to_owned())
            }
            Self::NotFound { list, .. } => Some(format!("`{list}` shows what there is")),
            Self::NoRow { table, .. } => Some(format!("`comity table show {table}` shows what there is")),
            Self::Usage { hint, .. } | Self::Interrupted { hint } | Self::Failed { hint, .. } => Some(hint.clone()),
            Self::Client { hint, .. } => hint.clone(),
            Self::Status { status, .. } => status_hint(status),
            Self::CutOff { .. } => Some("ask again: what arrived is not the whole answer".to_owned()),
            Self::Pending { enrolment_id, fingerprint, sign } => {
                let sign = sign.as_ref().map(|(request, certificate)| {
                    let (request, certificate) = (request.display(), certificate.display());
                    format!("; meanwhile have your own authority sign {request}, and put the chain into {certificate}")
                });
                Some(format!(
                    "an operator says `comity approve {enrolment_id}` after comparing the fingerprint {fingerprint} with you; then go on: what uses the identity completes it, and so does the same command again{}",
                    sign.unwrap_or_default()
                ))
            }
            Self::AwaitsCertificate { request, certificate, .. } => Some(format!(
                "have it sign {} for 24 hours at most, with the extensions that the request asks for (`openssl x509 -req ... -days 1 -copy_extensions copy`), and put the chain into {}; then go on: what uses the identity completes it",
                request.display(),
                certificate.display()
            )),
            Self::Demo { .. } => Some("`comity demo --dir DIR` keeps the logs of every program".to_owned()),
            Self::Rejected { .. } => Some("settle it with them; what comes of it is another invite".to_owned()),
            Self::File { source, .. } => file_hint(source).map(str::to_owned),
            Self::BadFile { .. } | Self::System { .. } => None,
        }
    }

    /// A failed call: a refusal where its detail says so.
    pub(crate) fn call(doing: &'static str, status: Status) -> Self {
        match Detail::of(&status).and_then(|detail| detail.refusal) {
            Some(mut refusal) => {
                fill_hints(&mut refusal.verdicts);
                Self::Refused { considered: refusal.considered, refusal }
            }
            None => Self::Status { doing, status: Box::new(status) },
        }
    }
}

/// What mends most failures of a file.
fn file_hint(error: &io::Error) -> Option<&'static str> {
    const HINTS: &[(io::ErrorKind, &str)] = &[
        (io::ErrorKind::NotFound, "check the path; a file to write needs a folder that exists"),
        (io::ErrorKind::PermissionDenied, "check whose it is and its mode, or name another one"),
        (io::ErrorKind::IsADirectory, "that is a folder: name a file"),
        (io::ErrorKind::WouldBlock, "another program is writing it: wait for its end, or name another output"),
        (io::ErrorKind::StorageFull, "make room, then run the same command again"),
        (io::ErrorKind::InvalidData, "it has to be text in UTF-8"),
    ];
    HINTS.iter().find(|(kind, _)| *kind == error.kind()).map(|(_, hint)| *hint)
}

/// The status's message and, where there is one, its reason.
pub(crate) fn one_line(status: &Status) -> String {
    let Explanation { cause, message, detail, .. } = explain(status);
    let message = if message.is_empty() { status.code().description().to_owned() } else { message };
    // The words may be a node's.
    let message = harmless(&message);
    let reason = detail.map(|detail| harmless(&detail.reason)).or_else(|| cause.reason().map(str::to_owned));
    match reason {
        Some(reason) => format!("{message} [{reason}]"),
        None => message,
    }
}

/// What would mend a failed call, where that is known.
pub(crate) fn status_hint(status: &Status) -> Option<String> {
    let Explanation { hint, detail, .. } = explain(status);
    // Who gives a reason was reached and knows the caller: nothing is to be mended on the way there.
    let on_the_way = matches!(status.code(), Code::Unavailable | Code::Unauthenticated);
    let guess = || code_hint(status.code()).filter(|_| detail.is_none() || !on_the_way);
    hint.map(|hint| harmless(&hint)).or_else(|| guess().map(str::to_owned))
}

/// What mends most failures of a code, where nobody knows better.
#[expect(clippy::wildcard_enum_match_arm, reason = "most codes have no such thing, and gRPC's list of them is closed")]
fn code_hint(code: Code) -> Option<&'static str> {
    match code {
        Code::PermissionDenied => Some("this identity may not do that; choose another with --identity DIR"),
        Code::Unauthenticated => Some("the broker does not let this identity in; it may be suspended or past its end"),
        Code::Unavailable => Some("see that the broker runs and can be reached, then try again"),
        Code::ResourceExhausted => Some("try again a little later"),
        Code::DeadlineExceeded => Some("try again with more time, or ask for a shorter answer"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_breaks_off_in_mid_stream_has_a_reason_and_a_hint_and_no_words_of_tls() {
        let tls =
            io::Error::new(io::ErrorKind::UnexpectedEof, "peer closed connection without sending TLS close_notify");
        let error = CliError::call("chat", Status::from_error(Box::new(tls)));
        let said = error.to_string();
        assert!(said.contains("the broker broke off") && said.contains("[BROKER_BROKE_OFF]"), "{said}");
        assert!(
            !said.contains("close_notify") && error.hint().is_some_and(|hint| hint.contains("ask again")),
            "{said}"
        );
    }
}
