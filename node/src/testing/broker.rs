//! A broker over mutual TLS that answers a node as a test's script says.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use comity_identity::{Credentials, KeyPair, OrganisationAnchors, SigningRequest, StaticAnchors, VerifiedPeer, tls};
use comity_membership::{Payload, Statement};
use comity_proto::enrolment as enrol;
use comity_proto::enrolment::enrolment_server::{Enrolment, EnrolmentServer};
use comity_proto::error::Failure;
use comity_proto::membership as wire;
use comity_proto::membership::membership_server::{Membership, MembershipServer};
use comity_runtime::accept::{Acceptor, Incoming, Listener};
use comity_runtime::tasks::Tasks;
use comity_transparency::Envelope;
use comity_types::Clock;
use futures::{Stream, StreamExt as _, stream};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected as _;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Code, Request, Response, Status};

use crate::link::Publication;

use super::{BROKER, LIFETIME, MovedClock, NODE, PATIENCE, World, chain};

/// What it says is the authority that it hosts: who signs it into an application does not look into it.
const HOSTED_ANCHOR: &[u8] = b"an anchor";

type Statements = Pin<Box<dyn Stream<Item = Result<wire::WatchResponse, Status>> + Send>>;

/// One answer to `Watch`.
#[derive(Debug, Clone)]
pub(crate) enum Said {
    /// The call is refused.
    Refused(Status),
    /// These statements, and then the stream ends.
    Ending(Vec<wire::WatchResponse>),
    /// These statements, and then nothing more.
    Lasting(Vec<wire::WatchResponse>),
}

/// What the broker answers: the next of each list, and where it is empty, yes.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) renewals: Mutex<VecDeque<Option<Status>>>,
    pub(crate) publishing: Mutex<VecDeque<Status>>,
    pub(crate) watching: Mutex<VecDeque<Said>>,
    pub(crate) joining: Mutex<VecDeque<Result<enrol::JoinResponse, Status>>>,
    /// Whom certificates name, if not the node.
    pub(crate) named: Mutex<Option<String>>,
    /// The epochs after which statements were asked for.
    pub(crate) watched: Mutex<Vec<u64>>,
    pub(crate) renewed: Mutex<usize>,
    /// What was submitted, of which all are publications.
    pub(crate) published: Mutex<Vec<Publication>>,
    /// The same, as it was signed.
    pub(crate) signed: Mutex<Vec<Envelope>>,
    pub(crate) joined: Mutex<Vec<enrol::JoinRequest>>,
}

/// A broker that serves until it is stopped or dropped.
pub(crate) struct Broker {
    pub(crate) address: SocketAddr,
    pub(crate) script: Arc<Script>,
    running: CancellationToken,
    tunnels: tokio::sync::Mutex<Incoming>,
    _tasks: Tasks,
}

/// A tunnel as the broker has it.
pub(crate) struct Tunnel {
    /// What generated stubs are made of.
    pub(crate) channel: Channel,
    pub(crate) peer: VerifiedPeer,
    /// Breaks it.
    pub(crate) cut: CancellationToken,
    /// Cancelled when it has ended.
    pub(crate) gone: CancellationToken,
}

impl Broker {
    /// The next tunnel that the node dials.
    pub(crate) async fn tunnel(&self) -> Tunnel {
        let connection = timeout(PATIENCE, async { self.tunnels.lock().await.next().await }).await;
        let connection = connection.expect("no tunnel was dialled").unwrap().unwrap();
        let (info, gone) = (connection.connect_info(), connection.gone());
        let connection = Mutex::new(Some(TokioIo::new(connection)));
        let once = tower::service_fn(move |_: http::Uri| {
            std::future::ready(
                connection.lock().unwrap().take().ok_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected)),
            )
        });
        let channel = Endpoint::from_static("http://node").connect_with_connector(once).await.unwrap();
        Tunnel { channel, peer: info.peer.unwrap(), cut: info.cut, gone }
    }

    /// A broker at a free port, and its federation.
    pub(crate) async fn start(clock: &Arc<MovedClock>) -> (World, Self) {
        let listener = Listener::bind("127.0.0.1:0").await.unwrap();
        let world = World::at(&listener.local_addr().to_string());
        let broker = Self::serve(listener, &world, clock, Arc::default());
        (world, broker)
    }

    /// The broker of `world` again, after it was stopped, at the same address.
    pub(crate) async fn restart(self, world: &World, clock: &Arc<MovedClock>) -> Self {
        let listener = Listener::bind(&self.address.to_string()).await.unwrap();
        Self::serve(listener, world, clock, Arc::clone(&self.script))
    }

    /// Nobody answers any more, and no connection stands.
    pub(crate) async fn stop(&self) {
        self.running.cancel();
        while TcpStream::connect(self.address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    }

    fn serve(listener: Listener, world: &World, clock: &Arc<MovedClock>, script: Arc<Script>) -> Self {
        let (address, tasks, running) = (listener.local_addr(), Tasks::new(), CancellationToken::new());
        let desk = Desk { script: Arc::clone(&script), world: Shared::of(world), clock: Arc::clone(clock) };
        let acceptor = acceptor(world, BROKER, Arc::clone(clock) as _);
        let (stop, accepting) = (running.clone(), tasks.clone());
        let (incoming, tunnels) = listener.incoming_and_tunnels(acceptor, &accepting);
        let incoming = incoming.map(move |connection| {
            let (connection, stop) = (connection?, stop.clone());
            let cut = connection.connect_info().cut;
            accepting.spawn("cut", async move {
                stop.cancelled().await;
                cut.cancel();
            });
            Ok::<_, std::io::Error>(connection)
        });
        let server = Server::builder()
            .add_service(EnrolmentServer::new(desk.clone()))
            .add_service(MembershipServer::new(desk))
            .serve_with_incoming(incoming);
        let (stop, all) = (running.clone(), tasks.token());
        tasks.spawn("server", async move {
            let ended = stop.run_until_cancelled(server).await;
            all.cancel();
            ended.transpose().unwrap().unwrap_or(());
        });
        Self { address, script, running, tunnels: tunnels.into(), _tasks: tasks }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.running.cancel();
    }
}

/// Takes calls and tunnels as `broker`, a member of the federation's own domain.
pub(crate) fn acceptor(world: &World, broker: &str, clock: Arc<dyn Clock>) -> Acceptor {
    let key = KeyPair::generate().unwrap();
    let credentials = Arc::new(Credentials::new(chain(&world.federation, broker, &key), &key).unwrap());
    let anchors = [&world.federation, &world.organisation]
        .map(|authority| OrganisationAnchors::new(authority.domain().clone(), &[authority.anchor()]).unwrap());
    let anchors = Arc::new(anchors.into_iter().collect::<StaticAnchors>());
    let mutual = tls::server_config(Arc::clone(&credentials), anchors.clone(), Arc::clone(&clock)).unwrap();
    let tunnels = tls::tunnel_server_config(Arc::clone(&credentials), anchors, Arc::clone(&clock)).unwrap();
    let enrolment = tls::enrolment_server_config(credentials, Arc::clone(&clock)).unwrap();
    Acceptor::new(mutual, Some(enrolment)).with_tunnels(tunnels).with_clock(clock)
}

/// What the broker knows of the world.
#[derive(Clone)]
struct Shared {
    organisation: Arc<comity_identity::Authority>,
    root_json: Vec<u8>,
}

impl Shared {
    fn of(world: &World) -> Self {
        let organisation =
            comity_identity::Authority::from_pem(&world.organisation.key_pem(), &world.organisation.anchor()).unwrap();
        Self { organisation: Arc::new(organisation), root_json: world.root_json.clone() }
    }
}

#[derive(Clone)]
struct Desk {
    script: Arc<Script>,
    world: Shared,
    clock: Arc<MovedClock>,
}

impl Desk {
    fn issue(&self, csr: &[u8]) -> enrol::Issued {
        let named = self.script.named.lock().unwrap().clone().unwrap_or_else(|| NODE.to_owned());
        let (id, request) = (named.parse().unwrap(), SigningRequest::parse(csr).unwrap());
        let issued = self.world.organisation.issue(&request, &id, &[], LIFETIME, self.clock.now()).unwrap();
        let chain = issued.chain.iter().map(|der| der.to_vec().into()).collect();
        enrol::Issued { certificate_chain_der: chain, spiffe_id: id.to_string(), ..Default::default() }
    }
}

fn next<T>(list: &Mutex<VecDeque<T>>) -> Option<T> {
    list.lock().unwrap().pop_front()
}

#[tonic::async_trait]
impl Enrolment for Desk {
    async fn get_root(&self, _: Request<enrol::GetRootRequest>) -> Result<Response<enrol::GetRootResponse>, Status> {
        Ok(Response::new(enrol::GetRootResponse { root: self.world.root_json.clone().into(), now: None }))
    }

    async fn join(&self, request: Request<enrol::JoinRequest>) -> Result<Response<enrol::JoinResponse>, Status> {
        let request = request.into_inner();
        let issued = enrol::join_response::State::Issued(self.issue(&request.csr_der));
        self.script.joined.lock().unwrap().push(request);
        let yes = || Ok(enrol::JoinResponse { state: Some(issued) });
        next(&self.script.joining).unwrap_or_else(yes).map(Response::new)
    }

    async fn get_invite(
        &self,
        _: Request<enrol::GetInviteRequest>,
    ) -> Result<Response<enrol::GetInviteResponse>, Status> {
        let named = self.script.named.lock().unwrap().clone().unwrap_or_else(|| NODE.to_owned());
        let hosted_anchor_der = HOSTED_ANCHOR.into();
        Ok(Response::new(enrol::GetInviteResponse { spiffe_id: named, hosted_anchor_der, ..Default::default() }))
    }

    async fn lift(&self, _: Request<enrol::LiftRequest>) -> Result<Response<enrol::LiftResponse>, Status> {
        Err(Status::unimplemented("nobody is suspended here"))
    }

    async fn certify(&self, _: Request<enrol::CertifyRequest>) -> Result<Response<enrol::CertifyResponse>, Status> {
        Err(Failure::new(Code::NotFound, "KEY_NOT_ADMITTED", "the key is not admitted").into())
    }

    /// A script's `None` is an answer that never comes.
    async fn renew(&self, request: Request<enrol::RenewRequest>) -> Result<Response<enrol::RenewResponse>, Status> {
        *self.script.renewed.lock().unwrap() += 1;
        match next(&self.script.renewals) {
            Some(Some(status)) => Err(status),
            Some(None) => std::future::pending().await,
            None => Ok(Response::new(enrol::RenewResponse { issued: Some(self.issue(&request.get_ref().csr_der)) })),
        }
    }
}

#[tonic::async_trait]
impl Membership for Desk {
    type WatchStream = Statements;

    async fn watch(&self, request: Request<wire::WatchRequest>) -> Result<Response<Statements>, Status> {
        self.script.watched.lock().unwrap().push(request.get_ref().after_epoch);
        let said = |statements: Vec<_>| stream::iter(statements).map(Ok);
        match next(&self.script.watching).unwrap_or(Said::Lasting(vec![])) {
            Said::Refused(status) => Err(status),
            Said::Ending(statements) => Ok(Response::new(said(statements).boxed())),
            Said::Lasting(statements) => Ok(Response::new(said(statements).chain(stream::pending()).boxed())),
        }
    }

    async fn submit(&self, request: Request<wire::SubmitRequest>) -> Result<Response<wire::SubmitResponse>, Status> {
        let envelope: Envelope = serde_json::from_slice(&request.get_ref().envelope).unwrap();
        let Statement::OffersPublished { node, address, offers } = Payload::peek(&envelope).unwrap().statement else {
            panic!("a node says nothing else")
        };
        self.script.published.lock().unwrap().push(Publication { node, address, offers });
        self.script.signed.lock().unwrap().push(envelope);
        let outcome = Some(wire::submit_response::Outcome::Epoch(7));
        next(&self.script.publishing).map_or(Ok(Response::new(wire::SubmitResponse { outcome })), Err)
    }

    async fn prepare_anchors(
        &self,
        _: Request<wire::PrepareAnchorsRequest>,
    ) -> Result<Response<wire::PrepareAnchorsResponse>, Status> {
        Err(not_for_nodes())
    }

    async fn list_proposals(
        &self,
        _: Request<wire::ListProposalsRequest>,
    ) -> Result<Response<wire::ListProposalsResponse>, Status> {
        Err(not_for_nodes())
    }

    async fn reject_proposal(
        &self,
        _: Request<wire::RejectProposalRequest>,
    ) -> Result<Response<wire::RejectProposalResponse>, Status> {
        Err(not_for_nodes())
    }

    async fn invite(&self, _: Request<wire::InviteRequest>) -> Result<Response<wire::InviteResponse>, Status> {
        Err(not_for_nodes())
    }

    async fn list_enrolments(
        &self,
        _: Request<wire::ListEnrolmentsRequest>,
    ) -> Result<Response<wire::ListEnrolmentsResponse>, Status> {
        Err(not_for_nodes())
    }

    async fn reject(&self, _: Request<wire::RejectRequest>) -> Result<Response<wire::RejectResponse>, Status> {
        Err(not_for_nodes())
    }

    async fn list_organisations(
        &self,
        _: Request<wire::ListOrganisationsRequest>,
    ) -> Result<Response<wire::ListOrganisationsResponse>, Status> {
        Err(not_for_nodes())
    }

    async fn list_nodes(
        &self,
        _: Request<wire::ListNodesRequest>,
    ) -> Result<Response<wire::ListNodesResponse>, Status> {
        Err(not_for_nodes())
    }

    async fn list_apps(&self, _: Request<wire::ListAppsRequest>) -> Result<Response<wire::ListAppsResponse>, Status> {
        Err(not_for_nodes())
    }
}

fn not_for_nodes() -> Status {
    Status::unimplemented("a node does not call this")
}
