//! Who may call what: everything that is decided before a message is read.
//!
//! ```text
//! identify ─▶ standing ─▶ key ─▶ method ─▶ capacity ─▶ service
//! ```
//! Each step is a plain function whose result the next one needs; [`Edge::admit`] puts them in order.
//! What needs the message is left to the services.

pub mod arrival;
pub mod capacity;
pub mod layer;
pub mod stop;

use std::net::SocketAddr;

use comity_identity::VerifiedPeer;
use comity_membership::{Federation, MemberState, Standing, Subject};
use comity_proto::error::Failure;
use comity_proto::methods::{self, Caller, Method};
use comity_runtime::accept::PeerInfo;
use comity_types::ids::Kind;
use comity_types::{SpiffeId, TrustDomain};
use tonic::{Code, Status};

use crate::registry::Registry;
use crate::rpc::failure;
use capacity::{Capacity, Place};
use stop::Stop;

/// What members of an organisation that paused itself as a whole may still call: nobody else could lift that. What counts
/// is who signed. A member that it suspended calls nothing: another one hands in what lifts it.
const SUBMIT: &str = "/comity.membership.v1.Membership/Submit";

/// A verified member that took part when the request came in. Found in a request's extensions.
#[derive(Debug, Clone)]
pub struct CallerIdentity {
    /// The proof that TLS verified it.
    pub peer: VerifiedPeer,
    /// Where it calls from.
    pub remote: SocketAddr,
    /// What it is to the methods table.
    pub role: Caller,
    /// The epoch at which it was found to take part.
    pub epoch: u64,
}

impl CallerIdentity {
    /// The caller of a request that passed the edge.
    ///
    /// # Errors
    /// There is none: the request came over the enrolment protocol.
    pub fn of<T>(request: &tonic::Request<T>) -> Result<&Self, Status> {
        request.extensions().get().ok_or_else(no_certificate)
    }

    /// Its SPIFFE ID.
    #[must_use]
    pub fn id(&self) -> &SpiffeId {
        self.peer.id()
    }

    /// Its organisation.
    #[must_use]
    pub fn organisation(&self) -> &TrustDomain {
        self.peer.id().trust_domain()
    }
}

/// Decides on requests before they are read.
#[derive(Debug, Clone)]
pub struct Edge {
    registry: Registry,
    capacity: Capacity,
    stop: Stop,
}

/// A request that may go on; holds its place until it is dropped.
#[derive(Debug)]
pub struct Admitted {
    /// The caller; `None` on the enrolment protocol.
    pub caller: Option<CallerIdentity>,
    /// Its place among the calls in flight.
    pub place: Place,
}

impl Edge {
    /// Puts it together; calls that still run end when `stop` says so.
    #[must_use]
    pub const fn new(registry: Registry, capacity: Capacity, stop: Stop) -> Self {
        Self { registry, capacity, stop }
    }

    /// The whole edge, in order.
    ///
    /// # Errors
    /// The status that the caller gets.
    pub fn admit(&self, info: &PeerInfo, path: &str) -> Result<Admitted, Status> {
        // Who first: strangers learn nothing, not even which methods there are.
        let caller = self.identify(info, path)?;
        // Before capacity: a call that is refused must not take a place from one that is not.
        authorise(path, caller.as_ref())?;
        let place = self.capacity.take(caller.as_ref().map(CallerIdentity::organisation), info.remote)?;
        Ok(Admitted { caller, place })
    }

    /// What ends calls that still run.
    pub(crate) fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Looked up on every request, not once a connection: a suspension must not wait for a reconnect.
    fn identify(&self, info: &PeerInfo, path: &str) -> Result<Option<CallerIdentity>, Status> {
        let Some(peer) = &info.peer else { return Ok(None) };
        let snapshot = self.registry.snapshot();
        let federation = snapshot.federation();
        if path == SUBMIT && federation.is_paused_by_its_own_alone(peer.id(), peer.certificate()) {
            check_key(federation, peer)?;
        } else {
            check_peer(federation, peer)?;
        }
        let role = role(federation, peer.id());
        Ok(Some(CallerIdentity { peer: peer.clone(), remote: info.remote, role, epoch: federation.epoch() }))
    }
}

/// The log's word on a peer: its standing, that of the certificate that it shows, and its key.
///
/// # Errors
/// It is unknown, suspended or gone, it or its organisation, or shows a certificate for another key.
pub fn check_peer(federation: &Federation, peer: &VerifiedPeer) -> Result<(), Status> {
    check(federation, peer.id(), federation.standing_with(peer.id(), peer.certificate()))?;
    check_key(federation, peer)
}

/// The log's word on a member.
///
/// # Errors
/// It is unknown, suspended or gone, it or its organisation.
pub fn check_standing(federation: &Federation, id: &SpiffeId) -> Result<(), Status> {
    check(federation, id, federation.standing(id))
}

fn check(federation: &Federation, id: &SpiffeId, standing: Standing) -> Result<(), Status> {
    match denial_in(federation, id, standing) {
        None => Ok(()),
        Some(failure) => Err(failure.into()),
    }
}

/// What somebody is told who does not take part; nothing to whoever does.
#[must_use]
pub fn denial(id: &SpiffeId, standing: Standing, now: u64) -> Option<Failure> {
    denial_with(id, standing, now, ASK)
}

/// The same, as the log says who can end it.
fn denial_in(federation: &Federation, id: &SpiffeId, standing: Standing) -> Option<Failure> {
    let own =
        matches!(&standing, Standing::Suspended { subject, .. } if federation.is_suspended_by_its_own_alone(subject));
    denial_with(id, standing, federation.epoch(), if own { LIFT } else { ASK })
}

/// Who ends what the federation's operators have said.
const ASK: &str = "(hint: ask an operator of the federation)";
/// Who ends what the organisation itself has said.
const LIFT: &str =
    "(hint: its own organisation suspended it, and whoever has the organisation's key ends that: comity lift)";

fn denial_with(id: &SpiffeId, standing: Standing, now: u64, ask: &str) -> Option<Failure> {
    let (reason, subject, epoch, message) = match standing {
        Standing::Active => return None,
        Standing::Unknown => {
            ("UNKNOWN_MEMBER", id.to_string(), now, format!("{id} is not a member (hint: join with an invite)"))
        }
        Standing::Suspended { subject, reason, epoch } => {
            let code = match subject {
                Subject::Organisation(_) => "ORGANISATION_SUSPENDED",
                Subject::Member(_) => "MEMBER_SUSPENDED",
                Subject::Certificate { .. } => "CERTIFICATE_SUSPENDED",
            };
            (code, subject.to_string(), epoch, format!("{subject} is suspended since epoch {epoch}: {reason} {ask}"))
        }
        Standing::Departed { subject, departure } => {
            let (code, how) = if departure.evicted { ("EVICTED", "was evicted") } else { ("WITHDRAWN", "has left") };
            let message = format!("{subject} {how} at epoch {}: {} {ask}", departure.epoch, departure.reason);
            (code, subject.to_string(), departure.epoch, message)
        }
    };
    let failure = Failure::new(Code::PermissionDenied, reason, message);
    Some(failure.with("member", id).with("subject", subject).with("epoch", epoch))
}

/// The certificate has to be for the key that was admitted: an authority may sign what it likes, and it is this key that
/// was admitted. Where an organisation has its own authority make the keys, it said so when it admitted the member.
fn check_key(federation: &Federation, peer: &VerifiedPeer) -> Result<(), Status> {
    let recorded = federation.member(peer.id()).and_then(MemberState::pinned_key);
    if recorded.is_none_or(|recorded| recorded == peer.public_key()) {
        return Ok(());
    }
    tracing::warn!(peer.id = %peer.id(), peer.key = peer.public_key().fingerprint(), "a member's certificate is for a key that was not admitted");
    let message = format!(
        "{} was admitted with another key (hint: use the key that joined; if it is lost, join under another name)",
        peer.id()
    );
    Err(failure(Code::PermissionDenied, "KEY_NOT_ADMITTED", message, vec![]))
}

/// What a member is to the methods table: the federation's own operators govern, those of an organisation do not.
fn role(federation: &Federation, id: &SpiffeId) -> Caller {
    let governs = id.kind() == Kind::Operator && federation.name() == Some(id.trust_domain());
    if governs { Caller::Governor } else { Caller::Member(id.kind()) }
}

/// The methods table's word.
fn authorise(path: &str, caller: Option<&CallerIdentity>) -> Result<(), Status> {
    let kind = caller.map_or(Caller::Anonymous, |caller| caller.role);
    let method = methods::find(path).ok_or_else(|| Status::unimplemented("no such method"))?;
    if method.admits(kind) {
        return Ok(());
    }
    // Without a certificate the mistake is the connection's, not the member's.
    Err(if kind == Caller::Anonymous { no_certificate() } else { not_permitted(method) })
}

fn no_certificate() -> Status {
    let message =
        "this method needs a member's certificate (hint: connect with one; ALPN comity-enrol/1 is for joining alone)"
            .into();
    failure(Code::Unauthenticated, "NO_CERTIFICATE", message, vec![])
}

fn not_permitted(method: &Method) -> Status {
    let name = |caller: &Caller| match caller {
        Caller::Anonymous => "nobody yet",
        Caller::Member(kind) => kind.segment(),
        Caller::Governor => "operator of the federation",
    };
    let kinds = method.callers.iter().map(name).collect::<Vec<_>>().join(", ");
    let for_whom = if kinds.is_empty() { "brokers, which call it on nodes" } else { &kinds };
    let message = format!("{} is not for this kind of member, but for: {for_whom}", method.path);
    failure(
        Code::PermissionDenied,
        "METHOD_NOT_PERMITTED",
        message,
        vec![("method".into(), method.path.into()), ("permitted".into(), kinds)],
    )
}
