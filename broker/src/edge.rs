//! Who may call what: everything that is decided before a message is read.
//!
//! ```text
//! identify ─▶ standing ─▶ key ─▶ method ─▶ capacity ─▶ service
//! ```
//! Each step is a plain function whose result the next one needs; [`Edge::admit`] puts them in order.
//! What needs the message is left to the services.

pub mod arrival;
pub mod capacity;
pub(crate) mod cut;
pub mod deciding;
pub mod layer;
mod standing;
pub mod stop;
pub mod weight;

use std::net::SocketAddr;

use comity_identity::VerifiedPeer;
use comity_membership::Federation;
use comity_proto::error::Failure;
use comity_proto::methods::{self, Caller, Method};
use comity_runtime::accept::PeerInfo;
use comity_types::ids::Kind;
use comity_types::{SpiffeId, TrustDomain};
use tokio_util::task::TaskTracker;
use tonic::{Code, Status};

use crate::access::request;
use crate::registry::Registry;
use crate::rpc::failure;
use capacity::{Capacity, Place};
use cut::Ends;
use standing::Hearing;
pub use standing::check_peer;
pub(crate) use standing::departed;
use stop::Stop;
use weight::{Memory, Weight};

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
    /// What it is told unless it brings its organisation's own word on its suspension: nothing to whoever takes part.
    pub denied: Option<Box<Failure>>,
    /// Whether it takes part, and is not merely heard.
    takes_part: bool,
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
    memory: Memory,
    stop: Stop,
}

/// A request that may go on; holds its place until it is dropped.
#[derive(Debug)]
pub struct Admitted {
    /// The caller; `None` on the enrolment protocol.
    pub caller: Option<CallerIdentity>,
    /// Its place among the calls in flight.
    pub place: Place,
    /// What it holds of the memory for requests.
    weight: Weight,
    /// What may end the call before it ends by itself.
    ends: Ends,
    /// Where the answer counts that has to end with its caller's part; of what the others are heard in, none has to.
    answers: Option<TaskTracker>,
}

impl Edge {
    /// Puts it together; calls that still run end when `stop` says so.
    #[must_use]
    pub fn new(registry: Registry, (capacity, memory): (Capacity, Memory), stop: Stop) -> Self {
        Self { registry, capacity, memory, stop }
    }

    /// The whole edge, in order.
    ///
    /// # Errors
    /// The status that the caller gets.
    pub fn admit(&self, info: &PeerInfo, path: &str) -> Result<Admitted, Status> {
        // Who first: strangers learn nothing, not even which methods there are.
        let caller = self.identify(info, path)?;
        // Before capacity: a call that is refused must not take a place from one that is not.
        let method = authorise(path, caller.as_ref())?;
        if let Some(caller) = caller.as_ref().filter(|_| request::Method::of_path(path).is_some()) {
            self.capacity.deciding().room(caller.organisation())?;
        }
        let place = self.capacity.take(caller.as_ref().map(CallerIdentity::organisation), info.remote)?;
        let weight = self.memory.weigh(caller.as_ref().map(|caller| caller.organisation().clone()));
        let ends = Ends::new(self.registry.clone(), self.stop.clone(), info.peer.as_ref(), method);
        let answers = caller.as_ref().is_some_and(|caller| caller.takes_part).then(|| info.answers.clone());
        Ok(Admitted { caller, place, weight, ends, answers })
    }

    /// What a call is told that was refused for its size, and when to come back.
    fn too_large(&self, weight: &Weight) -> Option<Failure> {
        weight.refused().map(|failure| failure.retrying_after(self.capacity.pause()))
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
        let (takes_part, denied) = match standing::hearing(federation, peer, path)? {
            Hearing::Full => (true, None),
            Hearing::Paused => (false, None),
            Hearing::Release(failure) => (false, Some(failure)),
        };
        let (role, epoch) = (role(federation, peer.id()), federation.epoch());
        Ok(Some(CallerIdentity { peer: peer.clone(), remote: info.remote, role, epoch, denied, takes_part }))
    }
}

/// What a member is to the methods table: the federation's own operators govern, those of an organisation do not.
fn role(federation: &Federation, id: &SpiffeId) -> Caller {
    let governs = id.kind() == Kind::Operator && federation.name() == Some(id.trust_domain());
    if governs { Caller::Governor } else { Caller::Member(id.kind()) }
}

/// The methods table's word: the method's row.
fn authorise(path: &str, caller: Option<&CallerIdentity>) -> Result<&'static Method, Status> {
    let kind = caller.map_or(Caller::Anonymous, |caller| caller.role);
    let method = methods::find(path).ok_or_else(|| Status::unimplemented("no such method"))?;
    if method.admits(kind) {
        return Ok(method);
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
