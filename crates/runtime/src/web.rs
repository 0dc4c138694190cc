//! The web beside gRPC: small things that are served over plain HTTP/1.1, one answer a connection, in a bounded time, to few
//! at once; a [`client`] of servers that are no members; and trust bundles, which such servers give ([`bundle`]).
//!
//! What is served so is for everybody who can reach the address: numbers without names, or texts that prove themselves.

pub mod bundle;
mod client;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::tasks::Tasks;

pub use self::client::{ClientError, client};

/// What a text is, where it is nothing more special.
pub const TEXT: &str = "text/plain; charset=utf-8";
/// Longest that one answer may take, with the question before it: whoever asks does so every few seconds.
const DEADLINE: Duration = Duration::from_secs(10);
/// Most connections at once: scrapers, people, and the logs of some federations.
const MAX_CONNECTIONS: usize = 64;
/// Most of one address, so that nobody who only holds connections keeps all others out.
const MAX_CONNECTIONS_OF_ONE: usize = 8;
/// Pause after the system refused to accept, which it does when files run out.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(50);

/// A bound socket that does not answer yet.
#[derive(Debug)]
pub struct Endpoint {
    tcp: TcpListener,
    address: SocketAddr,
}

/// An answer: status, content type, body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// What the body is.
    pub content_type: &'static str,
    /// The body.
    pub body: String,
}

impl Answer {
    /// A plain text.
    #[must_use]
    pub fn text(status: StatusCode, body: impl Into<String>) -> Self {
        Self { status, content_type: TEXT, body: body.into() }
    }
}

impl Endpoint {
    /// Binds `address`.
    ///
    /// # Errors
    /// The address is none of this machine's, or is taken.
    pub async fn bind(address: SocketAddr) -> io::Result<Self> {
        let tcp = TcpListener::bind(address).await?;
        let address = tcp.local_addr()?;
        Ok(Self { tcp, address })
    }

    /// Where it listens, with the port that it got.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers by `answer`, until `tasks` are to end. `name` is what the tasks are called.
    pub fn serve<F>(
        self,
        name: &'static str,
        tasks: &Tasks,
        answer: impl Fn(Request<Incoming>) -> F + Send + Sync + 'static,
    ) where
        F: Future<Output = Answer> + Send + 'static,
    {
        let (stop, answer, connections) = (tasks.token(), Arc::new(answer), Arc::new(Semaphore::new(MAX_CONNECTIONS)));
        let (readers, holders) = (tasks.clone(), Holders::default());
        tasks.spawn(name, async move {
            let accepting = async {
                // Never closed.
                while let Ok(place) = Arc::clone(&connections).acquire_owned().await {
                    match self.tcp.accept().await {
                        Ok((tcp, from)) => {
                            // One too many is closed at once.
                            let Some(own) = Held::take(&holders, from.ip()) else { continue };
                            let answer = Arc::clone(&answer);
                            readers.spawn(name, async move {
                                let _late = timeout(DEADLINE, converse(tcp, &*answer)).await.is_err();
                                drop((place, own));
                            });
                        }
                        Err(error) => {
                            tracing::warn!(%error, what = name, "cannot accept a connection");
                            tokio::time::sleep(PAUSE_AFTER_FAILURE).await;
                        }
                    }
                }
            };
            stop.run_until_cancelled(accepting).await.unwrap_or(());
        });
    }
}

/// How many connections each address holds.
type Holders = Arc<Mutex<HashMap<IpAddr, usize>>>;

/// A connection that an address holds, until it is dropped.
struct Held {
    holders: Holders,
    address: IpAddr,
}

impl Held {
    fn take(holders: &Holders, address: IpAddr) -> Option<Self> {
        let mut held = holders.lock().unwrap_or_else(PoisonError::into_inner);
        let own = held.entry(address).or_default();
        if *own >= MAX_CONNECTIONS_OF_ONE {
            return None;
        }
        *own += 1;
        Some(Self { holders: Arc::clone(holders), address })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut held = self.holders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut own) = held.entry(self.address) {
            *own.get_mut() = own.get().saturating_sub(1);
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

async fn converse<F: Future<Output = Answer>>(tcp: TcpStream, answer: &impl Fn(Request<Incoming>) -> F) {
    let service = service_fn(|request: Request<Incoming>| {
        let answer = answer(request);
        async move { Ok::<_, Infallible>(response(answer.await)) }
    });
    // Whoever breaks off has broken off.
    let _broken = http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(tcp), service).await.is_err();
}

fn response(Answer { status, content_type, body }: Answer) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The body of a request; none if it is longer than `limit` bytes, or breaks off.
pub async fn body(request: Request<Incoming>, limit: usize) -> Option<Bytes> {
    Some(Limited::new(request.into_body(), limit).collect().await.ok()?.to_bytes())
}
