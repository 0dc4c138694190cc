//! The load generator: an app's few connections, and calls of which every one is checked. Closed loops: whoever has an
//! answer asks again; paced streams follow each other, begun over the length of one, so that their messages spread.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use comity_proto::error::retry_after;
use comity_proto::metadata::{OFFER, RECEIPT};
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tonic::{Code, Status};

use crate::backend::{WINDOWS, now};
use crate::cases::{Case, PACE, PACED};
use crate::messages::Messages;
use crate::tls::HOST;

/// Connections of the app, where it has as many calls in flight.
const CONNECTIONS: usize = 4;
/// What a call came to that was shed as it should be: told so, and when to come back.
pub(crate) const SHED: &str = "shed";
/// Longest that a call may take before it counts as failed.
const LONGEST: Duration = Duration::from_secs(20);

/// Whom to call, and what every answer has to have.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) address: String,
    pub(crate) tls: Arc<ClientConfig>,
    /// The offer that has to have answered, where the proxy chooses one; with it comes a receipt.
    pub(crate) offer: Option<String>,
}

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Done {
    /// Calls.
    pub(crate) calls: usize,
    /// How long each took, or each message of a paced stream, in nanoseconds.
    pub(crate) times: Vec<u64>,
}

type Sender = SendRequest<Full<Bytes>>;

/// Connections to a target.
#[derive(Debug)]
pub(crate) struct Load {
    target: Target,
    connections: Vec<Sender>,
    _driven: JoinSet<()>,
}

impl Load {
    /// Connects, as often as the case needs.
    pub(crate) async fn connect(target: &Target, case: Case) -> Result<Self, String> {
        let (mut connections, mut driven) = (Vec::new(), JoinSet::new());
        for _ in 0..CONNECTIONS.min(case.in_flight()) {
            connections.push(connect(target, &mut driven).await.map_err(|error| format!("cannot connect: {error}"))?);
        }
        Ok(Self { target: target.clone(), connections, _driven: driven })
    }

    /// Calls once; gives the answer's trailers.
    pub(crate) async fn one(&self, case: Case) -> Result<HeaderMap, String> {
        self.call(case, 0, &case.request()).make(|_| {}).await
    }

    /// Calls for about so long. The first failure ends it.
    pub(crate) async fn run(&self, case: Case, length: Duration) -> Result<Done, String> {
        let request = case.request();
        let mut callers = JoinSet::new();
        let begun = Instant::now();
        for caller in 0..case.in_flight() {
            let call = self.call(case, caller, &request);
            if case == Case::Paced {
                callers.spawn(paced(call, begun, caller, length));
            } else {
                callers.spawn(closed(call, begun + length));
            }
        }
        let mut done = Done::default();
        while let Some(caller) = callers.join_next().await {
            let caller = caller.unwrap()?;
            done.calls += caller.calls;
            done.times.extend(caller.times);
        }
        Ok(done)
    }

    /// A call of this case, over one connection or another.
    pub(crate) fn call(&self, case: Case, caller: usize, request: &Bytes) -> Call {
        let sender = self.connections[caller % self.connections.len()].clone();
        Call { sender, case, request: request.clone(), offer: self.target.offer.clone() }
    }
}

async fn connect(target: &Target, driven: &mut JoinSet<()>) -> Result<Sender, Box<dyn std::error::Error>> {
    let tcp = TcpStream::connect(&target.address).await?;
    tcp.set_nodelay(true)?;
    let tls = TlsConnector::from(Arc::clone(&target.tls)).connect(ServerName::try_from(HOST)?, tcp).await?;
    let mut client = http2::Builder::new(TokioExecutor::new());
    client.initial_stream_window_size(WINDOWS[0]).initial_connection_window_size(WINDOWS[1]);
    let (sender, connection) = client.handshake(TokioIo::new(tls)).await?;
    driven.spawn(async move { drop(connection.await) });
    Ok(sender)
}

/// One call after another until the time is over.
async fn closed(mut call: Call, end: Instant) -> Result<Done, String> {
    let mut done = Done::default();
    while Instant::now() < end {
        let asked = now();
        let _trailers = call.make(|_| {}).await?;
        done.times.push(now() - asked);
        done.calls += 1;
    }
    Ok(done)
}

/// One stream after another: as many as the time holds, and one at least.
async fn paced(mut call: Call, begun: Instant, caller: usize, length: Duration) -> Result<Done, String> {
    let stream = PACE * PACED;
    let first = stream.mul_f64(caller as f64 / call.case.in_flight() as f64);
    tokio::time::sleep_until(begun + first).await;
    let mut done = Done::default();
    for _ in 0..length.as_nanos().div_ceil(stream.as_nanos()) {
        let times = &mut done.times;
        let _trailers = call.make(|sent| times.push(now() - sent)).await?;
        done.calls += 1;
    }
    Ok(done)
}

/// A call that is made again and again.
pub(crate) struct Call {
    sender: Sender,
    case: Case,
    request: Bytes,
    offer: Option<String>,
}

impl Call {
    /// Makes it, and checks all of the answer; gives the trailers.
    pub(crate) async fn make(&mut self, message: impl FnMut(u64)) -> Result<HeaderMap, String> {
        let made = tokio::time::timeout(LONGEST, self.make_at_length(message)).await;
        made.unwrap_or_else(|_| Err(format!("no whole answer within {LONGEST:?}")))
    }

    async fn make_at_length(&mut self, mut message: impl FnMut(u64)) -> Result<HeaderMap, String> {
        let mut request = Request::new(Full::new(self.request.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = format!("https://{HOST}{}", self.case.path()).parse().unwrap();
        request.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        request.headers_mut().insert(TE, HeaderValue::from_static("trailers"));
        let answer = self.sender.send_request(request).await.map_err(|error| format!("no answer: {error:?}"))?;
        let (head, mut body) = answer.into_parts();
        if head.status != 200 {
            return Err(format!("HTTP status {}", head.status));
        }
        self.check_head(&head.headers)?;
        let (count, length) = self.case.answer();
        let (mut messages, mut ended) = (Messages::of(length), None);
        while let Some(frame) = body.frame().await {
            match frame.map_err(|error| format!("the answer broke off: {error:?}"))?.into_data() {
                Ok(data) => messages.take(&data, &mut message)?,
                Err(frame) => ended = frame.into_trailers().ok(),
            }
        }
        if messages.whole != count {
            return Err(format!("{} messages of {count}: {}", messages.whole, said(&head.headers, ended.as_ref())));
        }
        let trailers = ended.unwrap_or_default();
        self.check_trailers(&trailers)?;
        Ok(trailers)
    }

    fn check_head(&self, headers: &HeaderMap) -> Result<(), String> {
        let status = Status::from_header_map(headers).filter(|status| status.code() == Code::ResourceExhausted);
        if let Some(status) = status {
            return Err(retry_after(&status).map_or("shed, without a word when to come back", |_| SHED).to_owned());
        }
        match &self.offer {
            Some(offer) if headers.get(OFFER).is_none_or(|answered| answered != offer.as_str()) => {
                Err(format!("{offer} did not answer: {}", said(headers, None)))
            }
            _ => Ok(()),
        }
    }

    fn check_trailers(&self, trailers: &HeaderMap) -> Result<(), String> {
        if trailers.get("grpc-status").is_none_or(|status| status != "0") {
            return Err(said(trailers, None));
        }
        if self.offer.is_some() && !trailers.contains_key(RECEIPT) {
            return Err("an answer without a receipt".into());
        }
        Ok(())
    }
}

/// What a status says.
fn said(headers: &HeaderMap, trailers: Option<&HeaderMap>) -> String {
    let all = || trailers.into_iter().chain([headers]);
    let of = |name| all().find_map(|map| map.get(name)).map_or("none", |value| value.to_str().unwrap_or("unreadable"));
    format!("grpc-status {}, {}", of("grpc-status"), of("grpc-message"))
}
