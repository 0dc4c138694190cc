//! The node's own copy of the federation's state: the broker's log, every signature in it checked here, as far as a
//! checkpoint of the broker's agrees. It is kept on disk, and old only up to a bound.
//!
//! | module | holds |
//! |---|---|
//! | `budgets` | how old it may be |
//! | `learned` | since when which epochs are known |
//! | `store` | the log on disk |

mod budgets;
mod heard;
mod learned;
mod store;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use comity_client::connection::Channel;
use comity_client::follow::kept::EVIDENCE_FILE;
use comity_client::follow::{Behind, FollowError, Followed, Part};
use comity_client::{Cause, Identity, explain};
use comity_identity::Root;
use comity_membership::{Federation, log::Roots};
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{WatchRequest, WatchResponse};
use comity_types::{Clock, Digest, Name, SpiffeId};
use tokio::sync::{Notify, watch};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

pub use self::budgets::{Budgets, Class};
use self::heard::Heard;
pub use self::learned::EPOCH_TOLERANCE;
use self::learned::Learned;
use self::store::{Proof, Store};
use crate::retry::{Pace, Retry, Trouble};

/// How long nothing may come of the broker's log, which brings a checkpoint every 5 s: some of them may be late.
pub const SILENCE: Duration = Duration::from_secs(20);

/// Between two tries to keep what proves equivocation.
const KEEP_AGAIN: Duration = Duration::from_secs(5);

/// Most callers that are remembered as served, some 100 bytes each: beyond, they count as new ones.
const MAX_SERVED: usize = 100_000;

/// A copy of the state. Clones are the same copy.
#[derive(Debug, Clone)]
pub struct Replica {
    known: watch::Sender<Known>,
    followed: Arc<Mutex<Followed>>,
    store: Option<Arc<Store>>,
    clock: Arc<dyn Clock>,
    budgets: Arc<RwLock<Arc<Budgets>>>,
    /// Whom the node has served since it started.
    served: Arc<Mutex<HashSet<SpiffeId>>>,
    /// Somebody waits for more: the broker is asked again at once.
    wanted: Arc<Notify>,
    /// The last entry that was refused, by its place and digest.
    refused: Arc<Mutex<Option<(u64, Digest)>>>,
    /// What proves equivocation, while it is not on disk.
    unkept: Arc<Mutex<Option<Proof>>>,
}

/// What is known, as of the last checkpoint.
#[derive(Debug, Clone, Default)]
struct Known {
    federation: Arc<Federation>,
    /// The roots of its log so far.
    roots: Roots,
    /// Since when it is known.
    learned: Learned,
    /// When a checkpoint last agreed.
    heard: Option<Heard>,
    /// How often one has, in this run.
    rounds: u64,
    /// Why nothing is believed any more.
    halted: Option<Arc<str>>,
    /// Why the broker does not let this node follow, if it said so since it last agreed.
    barred: Option<Arc<str>>,
    /// That the broker's log is shorter than it was, if it showed that since it last agreed.
    behind: Option<Arc<str>>,
}

/// The copy is not what a request needs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCurrent {
    /// It has not come as far.
    #[error("this node knows the federation up to epoch {known}, the request was decided at epoch {needed}")]
    Behind {
        /// How far it is.
        known: u64,
        /// How far it should be.
        needed: u64,
    },
    /// It has heard nothing for too long: somebody may have been suspended since.
    #[error("this node last heard of the federation's state {} s ago, and goes on with {} for {} s at most (hint: its connection to the broker is down)", age.as_secs(), said(class), budget.as_secs())]
    Stale {
        /// What it goes on with no more.
        class: Class,
        /// How long ago.
        age: Duration,
        /// How long may be.
        budget: Duration,
    },
    /// It was shown two pasts, or two statements at one position, and believes nothing more.
    #[error("this node serves nobody: {why}")]
    Halted {
        /// What it was shown.
        why: Arc<str>,
    },
}

fn said(class: &Class) -> String {
    match class {
        Class::All => "what it serves".to_owned(),
        Class::NewCallers => "callers that it has not served yet [new_callers]".to_owned(),
        Class::Offer(offer) => format!("the offer {offer} [offers.{offer}]"),
    }
}

/// Why the state does not go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The broker's log is not to be believed, or cannot be read.
    #[error(transparent)]
    Follow(#[from] FollowError),
    /// The stream ended.
    #[error("the broker's log ended")]
    Ended,
    /// Nothing came.
    #[error("the broker sent nothing for {} s", SILENCE.as_secs())]
    Silent,
}

impl From<Status> for ReplicaError {
    fn from(status: Status) -> Self {
        Self::Follow(status.into())
    }
}

impl Replica {
    /// An empty copy of the federation that has this root document, which is kept nowhere.
    #[must_use]
    pub fn new(root: &Root, root_sha256: Digest, clock: Arc<dyn Clock>, budgets: impl Into<Budgets>) -> Self {
        Self::of(Followed::new(root, root_sha256, Arc::clone(&clock)), None, clock, budgets.into())
    }

    /// The copy in `data_dir`, as far as it is whole and every signature in it holds; what is not is asked for again.
    #[must_use]
    pub fn open(data_dir: &Path, identity: &Identity, root_sha256: Digest, budgets: impl Into<Budgets>) -> Self {
        let mut followed = Followed::new(identity.root(), root_sha256, Arc::clone(identity.clock()));
        let (store, heard_at) = Store::open(data_dir, &mut followed);
        let replica = Self::of(followed, Some(Arc::new(store)), Arc::clone(identity.clock()), budgets.into());
        if let Some(heard_at) = heard_at {
            replica.known.send_modify(|known| {
                known.heard = Some(Heard::before(heard_at));
                known.learned.note(known.federation.epoch(), heard_at);
            });
        }
        // A restart explains nothing.
        let evidence = data_dir.join(EVIDENCE_FILE);
        // A file that cannot even be looked for may be there.
        if evidence.try_exists().unwrap_or(true) {
            let why = format!(
                "the broker has shown two pasts, or two statements at one position; the evidence is in {} (hint: when the federation's operators have explained it, move the file away and start again)",
                evidence.display()
            );
            tracing::error!(why, "the broker has equivocated before, this node serves nobody");
            replica.known.send_modify(|known| known.halted = Some(why.into()));
        }
        replica
    }

    fn of(followed: Followed, store: Option<Arc<Store>>, clock: Arc<dyn Clock>, budgets: Budgets) -> Self {
        let log = followed.log();
        let (federation, roots) = (Arc::new(log.federation().clone()), log.roots().clone());
        let known = Known { federation, roots, ..Known::default() };
        let followed = Arc::new(Mutex::new(followed));
        Self {
            known: watch::Sender::new(known),
            followed,
            store,
            clock,
            budgets: Arc::new(RwLock::new(Arc::new(budgets))),
            served: Arc::default(),
            wanted: Arc::default(),
            refused: Arc::default(),
            unkept: Arc::default(),
        }
    }

    /// The state as far as it is known.
    #[must_use]
    pub fn federation(&self) -> Arc<Federation> {
        Arc::clone(&self.known.borrow().federation)
    }

    /// Whether the log had this root when it had `size` entries, as far as it is known.
    #[must_use]
    pub fn is_of_log(&self, size: u64, root: Digest) -> bool {
        self.known.borrow().roots.at(size) == Some(root)
    }

    /// The oldest epoch that may be decided by: what this node has known to be over for [`EPOCH_TOLERANCE`] may not.
    #[must_use]
    pub fn oldest_epoch(&self) -> u64 {
        self.known.borrow().learned.oldest(self.clock.now())
    }

    /// How long ago the broker last agreed with the state; `None` if it never has.
    #[must_use]
    pub fn age(&self) -> Option<Duration> {
        self.known.borrow().heard.and_then(|heard| heard.age(self.clock.now()))
    }

    /// Why the broker lets this node take no part, if it said so since it last agreed with the state: whoever is
    /// suspended is not even told that in the log.
    #[must_use]
    pub fn barred(&self) -> Option<Arc<str>> {
        self.known.borrow().barred.clone()
    }

    /// Ends when the broker, which lets this node take no part, or will say so soon, lets it again.
    pub async fn let_back_in(&self) {
        let mut state = self.known.subscribe();
        // This copy keeps the sender: the state does not end.
        let _barred = state.wait_for(|known| known.barred.is_some()).await.is_ok();
        let _back = state.wait_for(|known| known.barred.is_none()).await.is_ok();
    }

    /// That the broker's log is shorter than it was, if it has shown that since it last agreed with the state.
    #[must_use]
    pub fn behind(&self) -> Option<Arc<str>> {
        self.known.borrow().behind.clone()
    }

    /// The state at `epoch` or later, if it is not older than may be.
    ///
    /// # Errors
    /// It does not come before `deadline` has passed, is stale, or nothing is believed any more.
    pub async fn wait_for(&self, epoch: u64, deadline: Duration) -> Result<Arc<Federation>, NotCurrent> {
        let mut state = self.known.subscribe();
        if state.borrow().federation.epoch() < epoch {
            self.wanted.notify_one();
        }
        let come = |known: &Known| known.federation.epoch() >= epoch || known.halted.is_some();
        match timeout(deadline, state.wait_for(come)).await {
            Ok(Ok(known)) => self.current(&known),
            Ok(Err(_)) | Err(_) => Err(NotCurrent::Behind { known: self.federation().epoch(), needed: epoch }),
        }
    }

    /// Whether what is known may be acted on.
    ///
    /// # Errors
    /// It is stale, or nothing is believed any more.
    pub fn check(&self) -> Result<(), NotCurrent> {
        self.current(&self.known.borrow()).map(drop)
    }

    fn current(&self, known: &Known) -> Result<Arc<Federation>, NotCurrent> {
        if let Some(why) = &known.halted {
            return Err(NotCurrent::Halted { why: Arc::clone(why) });
        }
        let age = known.heard.and_then(|heard| heard.age(self.clock.now())).unwrap_or(Duration::MAX);
        let budget = self.budgets().all;
        if age > budget {
            return Err(NotCurrent::Stale { class: Class::All, age, budget });
        }
        Ok(Arc::clone(&known.federation))
    }

    /// How old the state may be.
    #[must_use]
    pub fn budgets(&self) -> Arc<Budgets> {
        Arc::clone(&self.budgets.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// It may be so old from here on.
    pub fn allow(&self, budgets: Budgets) {
        *self.budgets.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(budgets);
    }

    /// Whether what is known may be acted on for this offer and this caller, besides what [`check`](Self::check) says.
    ///
    /// # Errors
    /// It is too old for one of the classes that the request is of.
    pub fn check_class(&self, offer: &Name, caller: &SpiffeId) -> Result<(), NotCurrent> {
        let (age, budgets) = (self.age().unwrap_or(Duration::MAX), self.budgets());
        if let Some(budget) = budgets.offers.get(offer).copied().filter(|budget| age > *budget) {
            return Err(NotCurrent::Stale { class: Class::Offer(offer.clone()), age, budget });
        }
        let budget = budgets.new_callers;
        let is_new = || !self.served.lock().unwrap_or_else(PoisonError::into_inner).contains(caller);
        if age > budget && is_new() {
            return Err(NotCurrent::Stale { class: Class::NewCallers, age, budget });
        }
        Ok(())
    }

    /// A request of `caller` was let in.
    pub fn served(&self, caller: &SpiffeId) {
        let mut served = self.served.lock().unwrap_or_else(PoisonError::into_inner);
        if served.len() < MAX_SERVED && !served.contains(caller) {
            served.insert(caller.clone());
        }
    }

    /// The classes of requests that are refused now, because the state is too old for them.
    #[must_use]
    pub fn stale_classes(&self) -> Vec<Class> {
        let age = self.age().unwrap_or(Duration::MAX);
        self.budgets().classes().filter(|(_, budget)| age > *budget).map(|(class, _)| class).collect()
    }

    /// Waits until something is found in the state, however long that takes.
    pub async fn find<T>(&self, found: impl Fn(&Federation) -> Option<T>) -> T {
        let mut state = self.known.subscribe();
        loop {
            if let Some(found) = found(&state.borrow_and_update().federation) {
                return found;
            }
            // This copy keeps the sender: the state does not end.
            let _changed = state.changed().await.is_ok();
        }
    }

    /// Waits until a checkpoint has agreed in this run, however long that takes.
    pub async fn heard(&self) {
        let mut state = self.known.subscribe();
        // This copy keeps the sender: the state does not end.
        let _known = state.wait_for(|known| known.heard.is_some_and(|heard| heard.is_of_this_run())).await.is_ok();
    }

    /// The state, once a checkpoint has agreed in this run, and as long as it is believed: what a node signs by.
    #[must_use]
    pub fn of_this_run(&self) -> Option<Arc<Federation>> {
        let known = self.known.borrow();
        let is_heard = known.halted.is_none() && known.heard.is_some_and(|heard| heard.is_of_this_run());
        is_heard.then(|| Arc::clone(&known.federation))
    }

    /// Waits until another checkpoint agrees, however long that takes.
    pub async fn heard_again(&self) {
        let mut state = self.known.subscribe();
        let rounds = state.borrow_and_update().rounds;
        // This copy keeps the sender: the state does not end.
        let _known = state.wait_for(|known| known.rounds != rounds).await.is_ok();
    }

    /// Takes in what the broker sent. The state goes on with the next checkpoint.
    ///
    /// # Errors
    /// It is not to be believed; nothing has changed then.
    pub fn take(&self, part: &WatchResponse) -> Result<(), FollowError> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = followed.take(part);
        // What was shown before a restart counts, also where the copy of it is not whole.
        let held = |part: Part| match (&part, &self.store) {
            (Part::Checkpoint, Some(store)) => store.holds(&followed).map(|()| part),
            (Part::Checkpoint | Part::Entry(_), _) => Ok(part),
        };
        match taken.and_then(held) {
            Ok(Part::Entry(_)) => {
                if let Some(store) = &self.store {
                    store.entry(&part.entry);
                }
            }
            Ok(Part::Checkpoint) => self.agreed(&followed, &part.checkpoint),
            Err(FollowError::Diverged(diverged)) => {
                self.halt(&diverged.to_string(), Proof::Checkpoint(part.checkpoint.clone()));
                return Err(diverged.into());
            }
            Err(behind @ FollowError::Behind { .. }) => {
                self.broker_is_behind(&behind.to_string(), &part.checkpoint);
                return Err(behind);
            }
            Err(other) => {
                self.keep_refused(part, &other);
                let convicted = self.store.as_ref().and_then(|store| store.convict(&followed, part, &other));
                let Some((equivocation, statements)) = convicted else { return Err(other) };
                self.halt(&equivocation.to_string(), Proof::Statements(Box::new(statements)));
                return Err(Box::new(equivocation).into());
            }
        }
        Ok(())
    }

    /// The broker has signed the log with the entry that stopped this node: that convicts it as well as whoever signed twice.
    fn shown(&self, behind: &Behind) {
        let followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(store) = &self.store else { return };
        if let Err(error) = store.shown(&followed, behind) {
            tracing::warn!(%error, "what the broker signed besides cannot be kept, the evidence convicts those alone who signed twice");
        }
    }

    /// An entry that does not fit is kept for people to look at, once for each place in the log.
    fn keep_refused(&self, part: &WatchResponse, why: &FollowError) {
        let unfit = matches!(why, FollowError::NotTaken(_) | FollowError::Misplaced { .. });
        let place = (part.epoch, Digest::of(&part.entry));
        let mut last = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = self.store.as_ref().filter(|_| unfit && *last != Some(place)) {
            store.refused(part, why);
            *last = Some(place);
        }
    }

    /// What was shown before holds, and grows old: a broker that was restored from an old copy has forked nothing yet.
    fn broker_is_behind(&self, why: &str, checkpoint: &str) {
        let news = self.known.borrow().behind.as_deref() != Some(why);
        if news {
            let kept = self.store.as_ref().and_then(|store| store.rollback(checkpoint));
            let kept = kept.map(|path| path.display().to_string()).unwrap_or_default();
            tracing::warn!(why, kept, "the broker's log is shorter than it was, what was known stays");
            self.known.send_modify(|known| known.behind = Some(why.into()));
        }
    }

    fn agreed(&self, followed: &Followed, checkpoint: &str) {
        let (now, log) = (self.clock.now(), followed.log());
        if let Some(store) = &self.store {
            store.heard(checkpoint, now);
        }
        self.known.send_modify(|known| {
            if known.federation.epoch() != log.federation().epoch() {
                announce(&known.federation, log.federation());
                known.federation = Arc::new(log.federation().clone());
                known.roots = log.roots().clone();
                known.learned.note(log.federation().epoch(), now);
            }
            known.heard = Some(Heard::now(now));
            known.rounds = known.rounds.wrapping_add(1);
            known.barred = None;
            known.behind = None;
        });
    }

    /// Two pasts were shown, or two statements at one position: from here on, nothing of this broker's is believed, and what
    /// proves it stays.
    fn halt(&self, why: &str, proof: Proof) {
        *self.unkept.lock().unwrap_or_else(PoisonError::into_inner) = Some(proof);
        let kept = self.keep_evidence();
        let kept = kept.map(|path| format!("; the evidence is in {}", path.display())).unwrap_or_default();
        let why: Arc<str> = format!("{why}{kept}").into();
        tracing::error!(why = &*why, "the broker has equivocated, this node stops");
        self.known.send_modify(|known| known.halted = Some(why));
    }

    /// Puts what proves equivocation on disk, if it is not there yet: says where. A copy that is kept nowhere has no disk.
    fn keep_evidence(&self) -> Option<PathBuf> {
        let mut unkept = self.unkept.lock().unwrap_or_else(PoisonError::into_inner);
        let (store, proof) = (self.store.as_ref()?, unkept.as_ref()?);
        let kept = store.evidence(proof);
        if kept.is_some() {
            *unkept = None;
        }
        kept
    }

    /// Ends never: nothing more of this broker's is believed. What proves it is kept, however often that has to be tried.
    async fn stand_still(&self) {
        let is_unkept = || self.unkept.lock().unwrap_or_else(PoisonError::into_inner).is_some();
        while self.store.is_some() && is_unkept() {
            sleep(KEEP_AGAIN).await;
            let _kept = self.keep_evidence();
        }
        std::future::pending::<()>().await;
    }

    /// Follows the broker until `stop`; comes back after every loss.
    pub async fn follow(self, broker: Channel, pace: Pace, stop: CancellationToken) {
        stop.run_until_cancelled(self.follow_for_ever(broker, pace)).await.unwrap_or(());
    }

    async fn follow_for_ever(self, broker: Channel, pace: Pace) {
        let mut retry = Retry::new(pace);
        if self.known.borrow().halted.is_some() {
            return self.stand_still().await;
        }
        loop {
            let lost = match self.follow_once(broker.clone(), pace, &mut retry).await {
                Ok(()) => ReplicaError::Ended,
                Err(lost) => lost,
            };
            if self.known.borrow().halted.is_some() {
                return self.stand_still().await;
            }
            let trouble = trouble(&lost);
            if is_barred(&lost) {
                self.known.send_modify(|known| known.barred = Some(trouble.said().into()));
            }
            if retry.is_news(&trouble) {
                log(&lost, &trouble);
            }
            // Ended early by a request that waits: whoever sent it is there.
            let _early = timeout(retry.pause(&trouble), self.wanted.notified()).await.is_ok();
        }
    }

    /// One stream, to its end. It works once it has brought a part that fits, or has lasted: a broker that
    /// takes the call and ends it at once is as good as away.
    async fn follow_once(&self, broker: Channel, pace: Pace, retry: &mut Retry) -> Result<(), ReplicaError> {
        let after_epoch = self.followed.lock().unwrap_or_else(PoisonError::into_inner).log().federation().epoch();
        let mut parts = MembershipClient::new(broker).watch(WatchRequest { after_epoch }).await?.into_inner();
        if let Ok(first) = timeout(pace.settle, parts.message()).await {
            let Some(part) = first? else { return Ok(()) };
            self.take_from(&part, &mut parts).await?;
        }
        if retry.worked() {
            tracing::info!(epoch = self.federation().epoch(), "following the broker again");
        }
        loop {
            let part = timeout(pace.silence, parts.message()).await.map_err(|_| ReplicaError::Silent)?;
            let Some(part) = part? else { return Ok(()) };
            self.take_from(&part, &mut parts).await?;
        }
    }

    /// Takes a part in. Where that stops this node for good, it reads on for what the broker signs of it.
    async fn take_from(&self, part: &WatchResponse, parts: &mut Streaming<WatchResponse>) -> Result<(), ReplicaError> {
        let taken = self.take(part);
        if let Err(FollowError::Equivocated(_)) = &taken
            && let Some(behind) = Behind::read(parts, &part.entry).await
        {
            self.shown(&behind);
        }
        Ok(taken?)
    }
}

/// Says which tables the node decides by from now on, if they are others.
fn announce(before: &Federation, after: &Federation) {
    let Some(adopted) = after.adopted() else { return };
    if before.adopted().is_none_or(|before| before.epoch != adopted.epoch) {
        comity_runtime::tables::announce(&adopted.tables);
    }
}

fn trouble(lost: &ReplicaError) -> Trouble {
    match lost {
        ReplicaError::Follow(FollowError::Call(status)) => Trouble::of(status),
        ReplicaError::Ended => Trouble::of(&Status::unavailable("the stream ended")),
        ReplicaError::Silent => Trouble::of(&Status::unavailable(lost.to_string())),
        ReplicaError::Follow(_) => Trouble::unusable(lost),
    }
}

/// True if the broker says that this node takes no part, or does not even shake hands with it.
fn is_barred(lost: &ReplicaError) -> bool {
    let ReplicaError::Follow(FollowError::Call(status)) = lost else { return false };
    matches!(status.code(), Code::PermissionDenied | Code::Unauthenticated)
        || explain(status).cause == Cause::CertificateRefused
}

/// A broker that restarts is daily business; one that refuses this node or says what does not fit is not.
fn log(lost: &ReplicaError, trouble: &Trouble) {
    let (reason, said) = (trouble.topic(), trouble.said());
    if matches!(lost, ReplicaError::Follow(FollowError::Behind { .. })) {
        // Said already, with where both checkpoints are.
        return;
    }
    let disbelieved = matches!(lost, ReplicaError::Follow(error) if !matches!(error, FollowError::Call(_)));
    if disbelieved {
        tracing::error!(error = said, "the broker's statements are not believed");
    } else if trouble.is_away() {
        tracing::info!(reason, said, "lost the broker, following it again");
    } else {
        tracing::warn!(reason, said, "the broker does not let this node follow, trying again");
    }
}
