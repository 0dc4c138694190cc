//! What facts mean, and what mends them: pure, the time is the caller's.

use std::path::PathBuf;
use std::time::Duration;

use comity_client::probe::{Handshake, Offset, ProbeError, Protocol};
use comity_client::{Cause, Explanation, explain};
use comity_identity::anchors::AnchorError;
use comity_identity::lifetime::renewal_time;
use comity_identity::{CertificateDer, LeafIdentity, OrganisationAnchors, check_chain};
use comity_types::ids::Kind;
use comity_types::{Timestamp, TrustDomain};
use tonic::Status;

use super::finding::Finding;

/// From here on clocks are worth a look: NTP keeps machines within a fraction of it.
const CLOCK_WARN: Duration = Duration::from_secs(2);
/// How far a node lets the broker's clock be from its own when it reads a permit (`comity_node::guard`).
const CLOCK_FAIL: Duration = Duration::from_secs(5);
/// How old a checkpoint that the broker sends every 5 s may be, as a part of the budget, before it is worth a word.
const AGE_WARN_SHARE: u32 = 2;
/// The version of TLS that there has to be, as rustls writes it.
const TLS: &str = "TLSv1_3";
/// The key exchange that there should be.
const GROUP: &str = "X25519MLKEM768";
/// What to do where TLS refuses a certificate without a reason that anybody could read.
const REFUSED_BY_TLS: &str = "see the check of the certificate; if that is in order, ask an operator of the federation \
                              whether the organisation was evicted or has withdrawn: then it is invited again";
/// What mends a clock.
pub(super) const SET_CLOCK: &str =
    "compare `date -u` on both machines and have both follow NTP (`timedatectl set-ntp true`)";

/// A member's chain, against the authorities that the log states of its organisation: the broker that takes it all the same
/// goes by others.
pub(super) fn chain(
    chain: &[CertificateDer<'static>],
    domain: &TrustDomain,
    anchors: Result<OrganisationAnchors, AnchorError>,
    now: Timestamp,
) -> Finding {
    const MEND: &str = "have the authority that your organisation states sign a new one, or state the authority that signed \
                        this one";
    match anchors.map(|anchors| check_chain(chain, anchors, now)) {
        Ok(Ok(())) => Finding::ok("chain", format!("{} certificates lead to an authority of {domain}", chain.len())),
        Ok(Err(error)) => Finding::error("chain", &error, MEND),
        Err(error) => Finding::error("chain", &error, MEND),
    }
}

/// The mode of a file that has to be its owner's alone; `None` if it is not there.
pub(super) fn secret_file(check: &str, path: &str, mode: Option<u32>) -> Finding {
    let Some(mode) = mode else {
        let mend = "restore it from a backup; a key that is lost is made anew only by joining under another name";
        return Finding::fail(check, format!("{path} is not there"), mend);
    };
    if mode & 0o077 != 0 {
        let mend =
            format!("chmod 600 {path}; if others may have read it, suspend this member and join under another name");
        return Finding::fail(check, format!("others may read {path}: its mode is {mode:04o}"), mend);
    }
    Finding::ok(check, format!("{path} is its owner's alone, its mode is {mode:04o}"))
}

/// A directory that has taken up an invite and is no identity yet: `fingerprint` is that of its key, and `sign` a request
/// that its organisation's own authority has to sign, with where the chain is expected.
pub(super) fn waits(dir: &str, enrolment: &str, fingerprint: &str, sign: Option<(PathBuf, PathBuf)>) -> Finding {
    let sign = sign.map_or_else(String::new, |(request, certificate)| {
        let (request, certificate) = (request.display(), certificate.display());
        format!("have your organisation's own authority sign {request}, and put the chain into {certificate}; ")
    });
    Finding::warn(
        "enrolment",
        format!(
            "{dir} has asked to join by the invite {enrolment}, with the key {fingerprint}, and is no identity yet"
        ),
        format!(
            "{sign}where operators invited, one says `comity approve {enrolment}` after comparing that fingerprint with \
             you; then what uses the identity completes it, such as starting the node, or `comity identity renew`"
        ),
    )
}

/// Who renews a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Renewer {
    /// The node's process, or the next `comity`.
    Broker,
    /// SPIRE's agent.
    Workload,
}

/// How long a certificate holds.
pub(super) fn certificate(leaf: &LeafIdentity, now: Timestamp, renewer: Renewer) -> Finding {
    let check = "certificate";
    let LeafIdentity { id, not_before, not_after, .. } = leaf;
    if now < *not_before {
        return Finding::fail(check, format!("it holds from {not_before} on, and it is {now} here"), SET_CLOCK);
    }
    if now > *not_after {
        let mend = match (renewer, id.kind()) {
            (Renewer::Broker, Kind::Node) => {
                "see that the clock is right, and start the node: it gets another one for the key that was admitted, \
                 unless it or one of its certificates is suspended: its log then says which, and who lifts that"
            }
            (Renewer::Broker, _) => {
                "see that the clock is right, and say `comity identity renew`: it gets another one for the key that was \
                 admitted, or says what is suspended and who lifts that"
            }
            (Renewer::Workload, _) => {
                "see why SPIRE's agent hands out no newer one (`spire-agent healthcheck`, its log)"
            }
        };
        let ago = span(now.since(*not_after));
        return Finding::fail(check, format!("that of {id} ended at {not_after}, {ago} ago"), mend);
    }
    let (due, left) = (to_second(renewal_time(leaf)), span(not_after.since(now)));
    if now < due {
        return Finding::ok(check, format!("that of {id} holds until {not_after}, {left} more; renewed from {due} on"));
    }
    let found = format!("that of {id} holds for {left} more, and should have been renewed from {due} on");
    let mend = match (renewer, id.kind()) {
        (Renewer::Workload, _) => "see why SPIRE's agent hands out no newer one (`spire-agent healthcheck`, its log)",
        (Renewer::Broker, Kind::Node) => "start the node; if it runs, its log says why it cannot renew",
        (Renewer::Broker, _) => "any command that asks the broker renews it, such as `comity model list`",
    };
    Finding::warn(check, found, mend)
}

/// Whether an address can be reached; `what` is the step that failed.
pub(super) fn step(check: String, error: &ProbeError, mend: &str) -> Finding {
    if let ProbeError::NotYet { now, not_before } = error {
        let found = format!("{error}: this clock is at least {} behind", span(not_before.since(*now)));
        return Finding::fail(check, found, SET_CLOCK);
    }
    if let ProbeError::Ended { now, not_after } = error {
        let ahead = span(now.since(*not_after));
        let found = format!("{error}: this clock is ahead by {ahead} or more, or the broker cannot renew its own");
        return Finding::fail(check, found, format!("{SET_CLOCK}; if both are right, look at the broker's log"));
    }
    Finding::error(check, error, mend)
}

/// What a handshake agreed on.
pub(super) fn handshake(check: String, protocol: Protocol, agreed: &Handshake) -> Finding {
    let Handshake { alpn, version, group } = agreed;
    let wanted = protocol.alpn();
    if alpn.as_deref() != Some(wanted) {
        let found = format!("{wanted} was offered, and {} was agreed on", alpn.as_deref().unwrap_or("no protocol"));
        let mend = "something between here and the broker ends TLS, or the broker is of an older version: let TLS \
                    through to the broker's own port";
        return Finding::fail(check, found, mend);
    }
    let found = format!("the broker answers: {version}, {group}, {wanted}");
    if version != TLS {
        return Finding::fail(
            check,
            found,
            format!("there has to be {TLS}: something between here and the broker ends TLS"),
        );
    }
    if group != GROUP {
        let mend = format!("{GROUP} was offered first: bring the broker up to date");
        return Finding::warn(check, found, mend);
    }
    Finding::ok(check, found)
}

/// How far the broker's clock is from ours.
pub(super) fn clock(offset: Offset) -> Finding {
    let check = "clock";
    let off = Duration::from_millis(offset.millis.unsigned_abs());
    let side = if offset.millis < 0 { "behind" } else { "ahead of" };
    let found = format!(
        "the broker's clock is {} {side} this one, give or take {}",
        humantime::format_duration(off),
        humantime::format_duration(Duration::from_millis(
            offset.uncertainty.as_millis().try_into().unwrap_or(u64::MAX)
        ))
    );
    match off.saturating_sub(offset.uncertainty) {
        certain if certain > CLOCK_FAIL => Finding::fail(check, found, SET_CLOCK),
        certain if certain > CLOCK_WARN => Finding::warn(check, found, SET_CLOCK),
        _ => Finding::ok(check, found),
    }
}

/// Why the broker does not take this member's calls.
pub(super) fn refused(status: &Status) -> Finding {
    let check = "standing";
    let Explanation { cause, message, hint, detail } = explain(status);
    let reason = detail.map(|detail| format!(" [{}]", detail.reason)).unwrap_or_default();
    let mend = match hint {
        _ if cause == Cause::CertificateRefused => REFUSED_BY_TLS.to_owned(),
        hint => hint.unwrap_or_else(|| "ask an operator of the federation".to_owned()),
    };
    match cause {
        Cause::Unreachable | Cause::DeadlineExceeded | Cause::BrokenOff => {
            Finding::skipped(check, format!("the broker cannot be asked: {message}"))
        }
        Cause::Answered
        | Cause::WrongBroker
        | Cause::CertificateRefused
        | Cause::CertificateEnded
        | Cause::Cancelled
        | Cause::Unproven
        | Cause::Other => Finding::fail(check, format!("{message}{reason}"), mend),
    }
}

/// How old a node's own copy is.
pub(super) fn staleness(heard_at: Option<Timestamp>, now: Timestamp, budget: Duration) -> Finding {
    let check = "node: age";
    let Some(heard_at) = heard_at else {
        let mend = "start the node; if it runs, the checks of the broker's addresses say what keeps it from hearing";
        return Finding::fail(check, "the node has never heard of the federation's state", mend);
    };
    let age = now.since(heard_at);
    let found = format!("it last heard of the federation's state {} ago; {} may be", span(age), span(budget));
    if heard_at > now.plus(CLOCK_FAIL) {
        return Finding::fail(check, format!("it heard last at {heard_at}, which has not come"), SET_CLOCK);
    }
    let mend = "start the node; if it runs, see its log and the checks of the broker's addresses: until it hears again \
                it serves nobody";
    match age {
        age if age > budget => Finding::fail(check, found, mend),
        age if age > budget / AGE_WARN_SHARE => Finding::warn(check, found, mend),
        _ => Finding::ok(check, found),
    }
}

/// Whether a node's own copy is young enough for a class of requests that has a budget of its own.
pub(super) fn class(class: &str, heard_at: Option<Timestamp>, now: Timestamp, budget: Duration) -> Finding {
    let check = "node: age by class";
    let age = heard_at.map(|at| now.since(at));
    if age.is_some_and(|age| age <= budget) {
        return Finding::ok(check, format!("{class}: {} may be", span(budget)));
    }
    let mend = "start the node; if it runs, see its log and the checks of the broker's addresses: until it hears again \
                it refuses these requests";
    Finding::warn(check, format!("{class} is refused: {} may be", span(budget)), mend)
}

/// How the broker gets to a node, by what it lists: where, and the state of the link.
pub(super) fn link(listed: Option<(&str, &str)>) -> Finding {
    let check = "node: link";
    let Some((address, state)) = listed else {
        return Finding::fail(check, "the broker lists no such node", "see the check of the standing");
    };
    let found = |what: &str| format!("{what} ({address}, {state})");
    match (address, state) {
        ("", _) => Finding::fail(
            check,
            "the node has published no offers yet",
            "start the node (`comity-node run`) and see in its log why it does not publish",
        ),
        (_, "connected") => Finding::ok(check, found("the broker is connected to the node")),
        ("tunnel", _) => Finding::fail(
            check,
            found("the node has dialled no tunnel"),
            "start the node; if it runs, its log says why the broker takes no tunnel: a firewall has to let it dial the \
             broker's port, and TLS through",
        ),
        (_, "idle") => Finding::ok(check, found("the broker has had no reason to connect yet")),
        _ => Finding::fail(
            check,
            found("the broker does not reach the node"),
            "let the broker's machine reach that address, or correct `advertise` in node.toml, or use `dial_out = true`",
        ),
    }
}

/// An instant, without fractions of a second.
fn to_second(at: Timestamp) -> Timestamp {
    let millis = at.as_millis();
    Timestamp::from_millis(millis - millis.rem_euclid(1000)).unwrap_or(at)
}

/// A time span, without fractions of a second.
pub(super) fn span(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}
