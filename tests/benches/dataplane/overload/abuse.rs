//! Who means harm while an honest caller asks: on a thread of their own, as often as the broker lets them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;

use comity_tests::abuse::{ATTACKS, Attack};
use comity_tests::raw;
use rustls::ClientConfig;
use tokio::sync::watch;

use crate::cases::Case;
use crate::load::{Load, Target};

/// Connections that say nothing: some, and no more than one address may have without a certificate.
const IDLE: usize = 100;

/// What they do.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Abuse {
    /// Flood a connection with frames, as a member; then the next one.
    Flood(&'static Attack),
    /// Connect as a stranger and leave, again and again.
    Churn,
    /// Connect as a stranger and say nothing.
    Idle,
    /// Ask as another organisation does that has much to ask.
    Calls,
}

/// Somebody who does it.
pub(super) struct Running {
    stop: watch::Sender<()>,
    thread: JoinHandle<()>,
    ended: Arc<AtomicUsize>,
}

impl Abuse {
    /// All of them.
    pub(crate) fn all() -> Vec<Self> {
        ATTACKS.iter().map(Self::Flood).chain([Self::Churn, Self::Idle, Self::Calls]).collect()
    }

    /// As the report calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Flood(attack) => attack.name,
            Self::Churn => "connections that come and go",
            Self::Idle => "a hundred connections that say nothing",
            Self::Calls => "64 calls at once of another organisation",
        }
    }

    /// Begins.
    pub(super) fn start(self, target: &Target, [member, stranger]: [Arc<ClientConfig>; 2]) -> Running {
        let (target, ended) = (target.clone(), Arc::<AtomicUsize>::default());
        let (stop, mut stopped) = watch::channel(());
        let counted = Arc::clone(&ended);
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                tokio::select! {
                    // Whoever stops this has dropped the other end.
                    _ = stopped.changed() => {}
                    () = self.go_on(&target, [&member, &stranger], &counted) => {}
                }
            });
        });
        Running { stop, thread, ended }
    }

    async fn go_on(self, target: &Target, [member, stranger]: [&Arc<ClientConfig>; 2], ended: &AtomicUsize) {
        let address = target.address.as_str();
        match self {
            Self::Flood(attack) => loop {
                // A connection that is refused has ended as well.
                let _how = attack.carry_out(address, member).await;
                ended.fetch_add(1, Ordering::Relaxed);
            },
            Self::Churn => loop {
                drop(raw::connect(address, stranger).await);
                ended.fetch_add(1, Ordering::Relaxed);
            },
            Self::Idle => {
                let mut held = Vec::new();
                for _ in 0..IDLE {
                    held.extend(raw::connect(address, stranger).await);
                }
                std::future::pending::<()>().await;
            }
            Self::Calls => {
                let target = Target { tls: Arc::clone(member), ..target.clone() };
                let load = Load::connect(&target, Case::Unary64).await.unwrap();
                loop {
                    let _done = load.run(Case::Unary64, std::time::Duration::from_secs(1)).await.unwrap();
                }
            }
        }
    }
}

impl Running {
    /// Ends it; gives how many connections had ended.
    pub(super) fn stop(self) -> usize {
        drop(self.stop);
        self.thread.join().unwrap();
        self.ended.load(Ordering::Relaxed)
    }
}
