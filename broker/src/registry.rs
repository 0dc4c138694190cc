//! The live view of the federation: the log in a journal, folded into a snapshot that every reader gets without a
//! lock. Changed only by statements that those signed who have to; survives restarts; does not open when what it reads
//! is not what was founded.
//!
//! | module | holds |
//! |---|---|
//! | [`enrolments`] | invites and what became of them |
//! | [`authorities`] | the hosted certificate authorities, one an organisation |
//! | [`admission`] | the way from an invite to a member with a certificate |
//! | [`proposals`] | statements that wait for more operators |
//! | [`publishing`] | what nodes offer, within a budget of changes |
//! | [`deciding`] | the state and the time that a request is decided by, or that there is none now |
//! | [`memory`] | which offers were found eligible before, at one epoch |
//! | [`lane`] | whose turn it is to change something: what stops harm before all else |
//! | `replay` | the journal, as a start reads it |
//! | [`equivocations`] | two statements at one position: in the journal, or from a member |
//! | `budget` | how much each may add to the log |
//! | `anchors` | what TLS trusts |

pub mod admission;
mod anchors;
pub mod authorities;
mod budget;
pub mod deciding;
pub mod enrolments;
pub mod equivocations;
pub mod lane;
pub mod memory;
pub mod proposals;
pub mod publishing;
mod replay;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use comity_identity::{OrganisationAnchors, SharedAnchors};
use comity_membership::federation::MAX_STATEMENT_BYTES;
use comity_membership::{Body, Entry, Equivocation, Federation, Genesis, Log, NotTaken, Prepared, Refused, Statement};
use comity_policy::{Index, Organisation, Tables};
use comity_runtime::chain;
use comity_runtime::tasks::Tasks;
use comity_transparency::leaf::Epoch;
use comity_transparency::{Checkpoint, Envelope, NoteKey, SigningError};
use comity_types::{Clock, Digest, Timestamp};
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use self::deciding::Stamped;
use self::equivocations::{Alarms, Kept};
use self::lane::{Lane, Urgency};
use self::memory::Memory;
use self::replay::replay;
use crate::ledger::journal::{Journal, JournalError};
use crate::metrics::Metrics;

/// How often to look whether a brake has lapsed: it holds for days.
const LOOK_FOR_LAPSED: Duration = Duration::from_secs(30);

/// The federation at one epoch.
#[derive(Debug)]
pub struct Snapshot {
    log: Log,
    /// Its offers, sorted so that a request is held against all of them at once. One for all epochs between which
    /// no offer, no fact and no table changed: a suspension makes none, and waits at most for one that is being made.
    pub index: Arc<Index>,
    /// What was found eligible before, at this epoch and no other.
    pub memory: Arc<Memory>,
    /// (size, root) of the log, signed.
    pub checkpoint: Arc<str>,
    /// The same with the cosignatures of enough witnesses, once they have come.
    cosigned: Option<Arc<str>>,
}

impl Snapshot {
    fn new(log: Log, index: Arc<Index>, key: &NoteKey) -> Result<Self, RegistryError> {
        let checkpoint = Checkpoint::of(&log.origin(), log.tree()).sign(key).map_err(RegistryError::Sign)?;
        Ok(Self { log, index, memory: Arc::default(), checkpoint: checkpoint.into(), cosigned: None })
    }

    /// The state.
    #[must_use]
    pub const fn federation(&self) -> &Federation {
        self.log.federation()
    }

    /// The checkpoint with all the signatures that there are.
    #[must_use]
    pub fn shown(&self) -> &str {
        self.cosigned.as_ref().unwrap_or(&self.checkpoint)
    }

    /// What a decision names the state by.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        Epoch { size: self.log.tree().size(), root: self.log.tree().root() }
    }

    /// What the state is decided by.
    #[must_use]
    pub fn tables(&self) -> Arc<Tables> {
        self.index.tables()
    }

    /// The index of a later state: a new one only where what is in it has changed.
    fn index_of(&self, federation: &Federation, own: &Arc<Tables>) -> Arc<Index> {
        if federation.judges_as(self.federation()) { Arc::clone(&self.index) } else { index(federation, own) }
    }
}

/// Whether a statement changes what TLS trusts.
const fn touches_anchors(statement: &Statement) -> bool {
    match statement {
        Statement::OrganisationAdmitted { .. }
        | Statement::OrganisationWithdrawn { .. }
        | Statement::Evicted { .. }
        | Statement::AnchorsChanged { .. } => true,
        Statement::OrganisationUpdated { .. }
        | Statement::MemberWithdrawn { .. }
        | Statement::OffersPublished { .. }
        | Statement::RootChanged { .. }
        | Statement::KeysChanged { .. }
        | Statement::MemberInvited { .. }
        | Statement::InviteRevoked { .. }
        | Statement::MemberAdmitted { .. }
        | Statement::TermsAccepted { .. }
        | Statement::TermsWithdrawn { .. }
        | Statement::AuditorRecognised { .. }
        | Statement::AuditorRevoked { .. }
        | Statement::ClaimAudited { .. }
        | Statement::AuditWithdrawn { .. }
        | Statement::TablesAdopted { .. }
        | Statement::Suspended { .. }
        | Statement::Lifted { .. } => false,
    }
}

/// By the tables that the federation adopted, or by the broker's own.
fn index(federation: &Federation, own: &Arc<Tables>) -> Arc<Index> {
    let organisations = federation.organisations().map(|state| Organisation::clone(&state.facts));
    let tables = Arc::clone(federation.tables_or(own));
    Arc::new(Index::new(organisations, federation.offers().cloned(), tables))
}

/// Why the registry cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The journal cannot be used.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// A frame is not an entry, or does not follow those before it.
    #[error("entry {position} of {} cannot be read: {problem} (hint: restore the file from a copy; the broker does not guess who is a member)", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Which entry, from 1.
        position: usize,
        /// What is wrong with it.
        problem: String,
    },
    /// The journal has two different statements at one position, and those signed both who have to.
    #[error("entry {position} of {} is not believed, and the broker serves nobody; {kept} (hint: the broker never writes such an entry: somebody who has a key of the signers' changed the file, or two files were put together; show the evidence to the operators, who check it by `comity log verify FILE --root root.json`, and restore the journal from a copy)", path.display())]
    Equivocated {
        /// The journal.
        path: PathBuf,
        /// Which entry, from 1.
        position: usize,
        /// Where what proves it is.
        kept: Kept,
        /// What was signed, and by whom.
        #[source]
        source: Box<Equivocation>,
    },
    /// The journal belongs to another federation than the root document.
    #[error("{} was founded on root {found}, and root.json is {expected} (hint: the two files belong to different federations; restore the right one)", path.display())]
    OtherRoot {
        /// The journal.
        path: PathBuf,
        /// The digest of root.json.
        expected: Digest,
        /// The digest in the journal.
        found: Digest,
    },
    /// The journal holds nothing, in a data directory that was started from before.
    #[error("{} is missing or empty, but {} shows that the federation was started before (hint: restore the data directory whole from a copy; a registry made anew would know no member and no suspension)", path.display(), trace.display())]
    Lost {
        /// The journal.
        path: PathBuf,
        /// What only an earlier start leaves.
        trace: PathBuf,
    },
    /// The journal does not begin with the founding.
    #[error("{} does not begin with the founding (hint: restore the file from a copy)", path.display())]
    NotFounded {
        /// The journal.
        path: PathBuf,
    },
    /// The statement does not follow from the state.
    #[error(transparent)]
    Refused(#[from] Box<Refused>),
    /// The entry cannot be encoded.
    #[error("cannot encode an entry")]
    Encode(#[source] serde_json::Error),
    /// An anchor cannot be trusted.
    #[error("an anchor of {organisation} cannot be used: {problem}")]
    Anchor {
        /// Whose.
        organisation: comity_types::TrustDomain,
        /// Why.
        problem: String,
    },
    /// The statement cannot be read.
    #[error("the statement cannot be read: {0}")]
    Unreadable(String),
    /// The checkpoint cannot be signed.
    #[error("the checkpoint cannot be signed")]
    Sign(#[source] SigningError),
    /// The broker is stopping.
    #[error("the broker is stopping")]
    Stopping,
}

/// A handle on the federation's registry.
#[derive(Debug, Clone)]
pub struct Registry(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    journal: Journal,
    genesis: Genesis,
    log_key: NoteKey,
    snapshot: ArcSwap<Snapshot>,
    entries: RwLock<Vec<Arc<[u8]>>>,
    lane: Lane,
    stamped: Stamped,
    changed: watch::Sender<u64>,
    /// Why nothing more may be appended, once somebody has proven that the log is not what it says.
    ended: watch::Sender<Option<Arc<str>>>,
    anchors: Arc<SharedAnchors>,
    federation_anchors: OrganisationAnchors,
    tables: Arc<Tables>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
    metrics: Metrics,
    alarms: Alarms,
}

/// What a registry is opened with.
#[derive(Debug)]
pub struct Opening {
    /// The founding, made from root.json: appended on the first start, compared on every other.
    pub genesis: Genesis,
    /// Signs checkpoints.
    pub log_key: NoteKey,
    /// What shows that this is not the first start, if anything does: then a journal without entries is a lost one.
    pub trace: Option<PathBuf>,
    /// The federation's own anchors.
    pub federation_anchors: OrganisationAnchors,
    /// What TLS trusts; kept in step.
    pub anchors: Arc<SharedAnchors>,
    /// What offers are held against until the federation adopts tables.
    pub tables: Arc<Tables>,
    /// The time of entries.
    pub clock: Arc<dyn Clock>,
    /// Where appends run, so that a caller who leaves does not cut one.
    pub tasks: Tasks,
    /// What is counted.
    pub metrics: Metrics,
}

impl Registry {
    /// Opens the journal at `path`, or founds it.
    ///
    /// # Errors
    /// The journal is damaged, lost, in use, or of another federation.
    pub async fn open(path: &Path, opening: Opening) -> Result<Self, RegistryError> {
        let (journal, frames) = Journal::open(path)?;
        Self::over(journal, frames, path, opening).await
    }

    /// Opens the log that was read from a journal.
    pub(crate) async fn over(
        journal: Journal,
        frames: Vec<Vec<u8>>,
        path: &Path,
        opening: Opening,
    ) -> Result<Self, RegistryError> {
        let log = replay(path, &frames, &opening.genesis, opening.trace, path.parent())?;
        let (changed, _) = watch::channel(log.federation().epoch());
        let index = index(log.federation(), &opening.tables);
        let registry = Self(Arc::new(Inner {
            journal,
            snapshot: ArcSwap::from_pointee(Snapshot::new(log, index, &opening.log_key)?),
            genesis: opening.genesis,
            log_key: opening.log_key,
            entries: RwLock::new(frames.into_iter().map(Arc::from).collect()),
            lane: Lane::default(),
            stamped: Stamped::default(),
            changed,
            ended: watch::Sender::default(),
            anchors: opening.anchors,
            federation_anchors: opening.federation_anchors,
            tables: opening.tables,
            clock: opening.clock,
            tasks: opening.tasks,
            metrics: opening.metrics,
            alarms: Alarms::beside(path),
        }));
        registry.0.trust(registry.snapshot().federation())?;
        if registry.snapshot().federation().epoch() == 0 {
            registry.0.append_unsigned(Body::Founded(registry.0.genesis.clone())).await?;
        }
        Ok(registry)
    }

    /// Reads the journal at `path` as a start would, and changes nothing.
    ///
    /// # Errors
    /// The journal is damaged, lost, or of another federation.
    pub fn check(path: &Path, genesis: &Genesis, trace: Option<PathBuf>) -> Result<(), RegistryError> {
        let mut frames = Vec::new();
        Journal::read(path, |frame| frames.push(frame))?;
        replay(path, &frames, genesis, trace, None).map(drop)
    }

    /// The federation as it stands.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot.load_full()
    }

    /// What offers are held against now.
    #[must_use]
    pub fn tables(&self) -> Arc<Tables> {
        self.snapshot().tables()
    }

    /// Tells the epoch whenever it has changed.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.0.changed.subscribe()
    }

    /// What TLS trusts, always in step with the snapshot.
    #[must_use]
    pub fn anchors(&self) -> Arc<SharedAnchors> {
        Arc::clone(&self.0.anchors)
    }

    /// Up to `limit` entries after `epoch`, each with its own epoch, as they were stored.
    #[must_use]
    pub fn entries_after(&self, epoch: u64, limit: usize) -> Vec<(u64, Arc<[u8]>)> {
        let entries = self.0.entries.read().unwrap_or_else(PoisonError::into_inner);
        let skipped = usize::try_from(epoch).unwrap_or(usize::MAX);
        (epoch.saturating_add(1)..).zip(entries.iter().skip(skipped).take(limit).cloned()).collect()
    }

    /// Reads a statement and verifies its signatures, which need not wait for a turn.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn prepare(&self, envelope: Envelope) -> Result<Prepared, RegistryError> {
        let prepared = self.snapshot().federation().prepare(envelope);
        prepared.map_err(|error| RegistryError::Unreadable(chain::text(&error)))
    }

    /// Gives a statement its place; when this returns, it is durable and in force.
    ///
    /// # Errors
    /// It does not follow from the state, not enough have signed it, or the journal has failed.
    pub async fn append(&self, envelope: Envelope) -> Result<u64, RegistryError> {
        self.append_prepared(self.prepare(envelope)?).await
    }

    /// The same, for a statement that was read and verified.
    ///
    /// # Errors
    /// Those of [`append`](Self::append).
    pub async fn append_prepared(&self, prepared: Prepared) -> Result<u64, RegistryError> {
        self.append_if(prepared, |_, _| Ok(true)).await
    }

    /// Gives a statement its place if `plan` finds it right for the state, with no other change in between. Returns the
    /// epoch that it is in force at. Runs to its end even when the caller leaves.
    ///
    /// # Errors
    /// What `plan` says, or the statement does not follow from the state, or the journal has failed.
    pub async fn append_if<E, P>(&self, prepared: Prepared, plan: P) -> Result<u64, E>
    where
        E: From<RegistryError> + Send + 'static,
        P: FnOnce(&Federation, &Prepared) -> Result<bool, E> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        run_to_end(&self.0.tasks, "registry update", async move { inner.append_if(&prepared, plan).await })
            .await
            .unwrap_or_else(|| Err(RegistryError::Stopping.into()))
    }

    /// How urgent a statement is. Nothing overtakes but what would come into force, and is no longer than it has to be:
    /// or whoever signs what is refused would hold up what is not.
    pub(super) fn urgency(&self, prepared: &Prepared) -> Urgency {
        let urgency = Urgency::of(prepared.statement());
        let is_short = prepared.envelope().payload.len() <= MAX_STATEMENT_BYTES;
        let holds = || self.snapshot().federation().check_next(prepared, self.0.clock.now()).is_ok();
        if urgency == Urgency::Ordinary || (is_short && holds()) { urgency } else { Urgency::Ordinary }
    }

    /// Holds up every change until it is dropped.
    #[cfg(test)]
    pub(crate) async fn held_up(&self) -> impl Sized + use<> {
        self.0.lane.turn(Urgency::Stop).await
    }

    /// How often somebody has signed two statements at one position.
    #[cfg(test)]
    pub(crate) fn equivocations(&self) -> u64 {
        self.0.metrics.count_equivocations()
    }

    /// How many changes wait.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> usize {
        self.0.lane.waiting().iter().sum()
    }

    /// Ends brakes that nobody ratified in time, until `stop`.
    pub async fn end_brakes(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(LOOK_FOR_LAPSED);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if let Err(error) = self.end_lapsed().await {
                tracing::error!(error = chain::text(&error), "cannot end a brake that has lapsed");
            }
        }
    }

    /// Ends the brakes that have lapsed by now.
    ///
    /// # Errors
    /// The journal has failed.
    pub async fn end_lapsed(&self) -> Result<(), RegistryError> {
        self.0.lapse().await
    }

    /// Keeps the checkpoint of this many entries that enough witnesses have cosigned, for whoever follows the log. One of
    /// before is of no use to anybody any more.
    pub fn keep_cosigned(&self, size: u64, note: &Arc<str>) {
        self.0.snapshot.rcu(|now| {
            if now.log.tree().size() != size {
                return Arc::clone(now);
            }
            let (log, index, memory) = (now.log.clone(), Arc::clone(&now.index), Arc::clone(&now.memory));
            let (checkpoint, cosigned) = (Arc::clone(&now.checkpoint), Some(Arc::clone(note)));
            Arc::new(Snapshot { log, index, memory, checkpoint, cosigned })
        });
    }

    /// Ends the log: somebody has proven that it is not what it says. Nothing is appended or signed from then on.
    pub fn end(&self, cause: &str) {
        self.0.ended.send_replace(Some(cause.into()));
    }

    /// Resolves, to the cause, when the journal has failed, or the log was ended, and the broker has to end.
    pub async fn failed(&self) -> Arc<str> {
        let mut ended = self.0.ended.subscribe();
        let ended = async move {
            match ended.wait_for(Option::is_some).await.ok().and_then(|cause| cause.clone()) {
                Some(cause) => cause,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            cause = self.0.journal.failed() => cause,
            cause = ended => cause,
        }
    }
}

/// Runs `work` in a task of its own, so that it is not cut where its caller is: half of a change is worse than none.
/// `None` if the program is stopping and takes no more tasks.
pub async fn run_to_end<T: Send + 'static>(
    tasks: &Tasks,
    name: &'static str,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let (done, result) = oneshot::channel();
    tasks.spawn(name, async move {
        // The caller may have left; the work is done all the same.
        let _gone = done.send(work.await).is_err();
    });
    result.await.ok()
}

impl Inner {
    async fn append_if<E: From<RegistryError>>(
        self: &Arc<Self>,
        prepared: &Prepared,
        plan: impl FnOnce(&Federation, &Prepared) -> Result<bool, E>,
    ) -> Result<u64, E> {
        let urgency = Registry(Arc::clone(self)).urgency(prepared);
        let _turn = self.lane.turn(urgency).await;
        if plan(self.snapshot.load().federation(), prepared)? {
            self.append(prepared).await?;
        }
        Ok(self.snapshot.load().federation().epoch())
    }

    async fn lapse(&self) -> Result<(), RegistryError> {
        let _turn = self.lane.turn(Urgency::Governance).await;
        let now = self.clock.now();
        let brakes = self.snapshot.load().federation().brakes();
        for (_, subject) in brakes.into_iter().take_while(|(lapses_at, _)| *lapses_at <= now) {
            tracing::info!(%subject, "a brake has lapsed: nobody ratified it");
            self.append_unsigned(Body::Lapsed { subject }).await?;
            self.metrics.lapsed();
        }
        Ok(())
    }

    /// An entry of the broker's own.
    async fn append_unsigned(&self, body: Body) -> Result<(), RegistryError> {
        let before = self.snapshot.load_full();
        let _stamping = self.stamped.begin();
        let entry =
            Entry { epoch: before.federation().epoch().saturating_add(1), at: self.next_instant(&before), body };
        let frame = entry.to_json().map_err(RegistryError::Encode)?;
        let mut log = before.log.clone();
        log.take(&frame).map_err(not_taken)?;
        self.store(&before, log, frame, false).await
    }

    /// A statement. Validated on a copy, which is had in an instant; what was verified is not verified again.
    async fn append(&self, prepared: &Prepared) -> Result<(), RegistryError> {
        let before = self.snapshot.load_full();
        let mut log = before.log.clone();
        let _stamping = self.stamped.begin();
        let frame = log.take_prepared(prepared, self.next_instant(&before)).map_err(not_taken)?;
        self.store(&before, log, frame, touches_anchors(prepared.statement())).await?;
        self.metrics.said(prepared.statement());
        Ok(())
    }

    /// Time does not go back in the log, whatever a clock does.
    fn next_instant(&self, before: &Snapshot) -> Timestamp {
        let now = self.clock.now();
        before.federation().at().map_or(now, |at| at.max(now))
    }

    /// Durable, trusted by TLS, then seen by everyone, in this order. The turn is needed.
    async fn store(&self, before: &Snapshot, log: Log, frame: Vec<u8>, new_anchors: bool) -> Result<(), RegistryError> {
        if let Some(cause) = self.ended.borrow().clone() {
            return Err(JournalError::Poisoned { cause }.into());
        }
        // Before it is durable: an anchor that cannot be used would keep the broker from starting.
        let trusted = if new_anchors { Some(self.trusted(log.federation())?) } else { None };
        let index = before.index_of(log.federation(), &self.tables);
        let after = Snapshot::new(log, index, &self.log_key)?;
        let epoch = after.federation().epoch();
        self.journal.append(frame.clone()).await?;
        if let Some(trusted) = trusted {
            self.anchors.replace(trusted);
        }
        self.entries.write().unwrap_or_else(PoisonError::into_inner).push(frame.into());
        if after.tables().digest() != before.tables().digest() {
            comity_runtime::tables::announce(&after.tables());
        }
        self.snapshot.store(Arc::new(after));
        self.changed.send_replace(epoch);
        Ok(())
    }
}

fn not_taken(error: NotTaken) -> RegistryError {
    if let NotTaken::Refused { source, .. } = error {
        return RegistryError::Refused(source);
    }
    RegistryError::Unreadable(chain::text(&error))
}
