//! What calls go over: the connection of the moment, and the next one before that one ends. What comes over it is taken as
//! it comes.
//!
//! ```text
//!  call ──▶ Line ──▶ the connection that stands             calls that run keep theirs, to their end
//!                └ half of what was left is over, or our certificate was renewed:
//!                  connect beside it, then send calls over the new one
//! ```

use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwap;
use comity_runtime::tasks::Tasks;
use http::{Request, Response};
use tonic::body::Body;
use tonic::transport::{self, Error};
use tower::{Service, ServiceExt as _};

use super::dialler::{Dialler, Made};
use super::endpoint;

/// How long a connection that could not be made is not tried again, while the one before still stands.
const PAUSE: Duration = Duration::from_millis(500);

/// The way to the broker, whatever comes over it: no receipt is looked at. Clones are the same.
#[derive(Debug, Clone)]
pub struct Line(Arc<Shared>);

struct Shared {
    dialler: Dialler,
    standing: ArcSwap<Standing>,
    renewing: AtomicBool,
    keeps_fresh: AtomicBool,
    tasks: Tasks,
}

/// A connection, made or to be made with the first call, and anew if it breaks.
#[derive(Debug)]
struct Standing {
    channel: transport::Channel,
    made: Made,
}

impl Line {
    /// Connects with the first call.
    pub(super) fn new(dialler: Dialler) -> Self {
        let made = Made::default();
        let channel = endpoint().connect_with_connector_lazy(dialler.clone().connector(&made));
        let standing = ArcSwap::from_pointee(Standing { channel, made });
        let [renewing, keeps_fresh] = [false; 2].map(AtomicBool::new);
        Self(Arc::new(Shared { dialler, standing, renewing, keeps_fresh, tasks: Tasks::new() }))
    }

    /// What the next call goes over.
    fn standing(&self) -> transport::Channel {
        if !self.0.keeps_fresh.swap(true, Ordering::AcqRel) {
            self.0.tasks.spawn("certificate", keep_fresh(Arc::downgrade(&self.0)));
        }
        let standing = self.0.standing.load();
        if standing.is_to_be_left(&self.0.dialler) && !self.0.renewing.swap(true, Ordering::AcqRel) {
            self.0.tasks.spawn("connect anew", Arc::clone(&self.0).renew());
        }
        standing.channel.clone()
    }
}

impl Standing {
    fn is_to_be_left(&self, dialler: &Dialler) -> bool {
        dialler.member().is_some_and(|identity| self.made.is_over(identity.credentials(), &**identity.clock()))
    }
}

impl Shared {
    /// Calls go over the connection that stands until the next one does; it goes when its calls have ended.
    async fn renew(self: Arc<Self>) {
        let made = Made::default();
        match endpoint().connect_with_connector(self.dialler.clone().connector(&made)).await {
            Ok(channel) => self.standing.store(Arc::new(Standing { channel, made })),
            // It is tried again; if it never succeeds, the call that finds no connection any more says why.
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
        self.renewing.store(false, Ordering::Release);
    }
}

/// Has the certificate renewed in time, for as long as there is a line.
async fn keep_fresh(line: Weak<Shared>) {
    loop {
        let Some(shared) = line.upgrade() else { return };
        let Some(identity) = shared.dialler.member().cloned() else { return };
        drop(shared);
        let Some(pause) = identity.next_look() else { return };
        // It is tried again; once the certificate has ended, the call that finds no connection says why.
        let _fresh = identity.keep_fresh().await.is_ok();
        tokio::time::sleep(pause).await;
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("dialler", &self.dialler).finish_non_exhaustive()
    }
}

impl Service<Request<Body>> for Line {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    /// Always: which connection it is, is known when the call is made.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let standing = self.standing();
        Box::pin(standing.oneshot(request))
    }
}
