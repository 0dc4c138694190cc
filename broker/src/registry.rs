//! The live view of the federation: statements in a journal, folded into a snapshot that every
//! reader gets without a lock. Changed only through [`Registry::update`]; survives restarts;
//! does not open when what it reads is not what was founded.
//!
//! | module | holds |
//! |---|---|
//! | [`enrolments`] | invites and what became of them |
//! | [`authorities`] | the hosted certificate authorities, one an organisation |
//! | [`admission`] | the way from an invite to a member with a certificate |
//! | [`publishing`] | what nodes offer, within a budget of changes |

pub mod admission;
pub mod authorities;
pub mod enrolments;
pub mod publishing;

use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_identity::{CertificateDer, OrganisationAnchors, SharedAnchors, StaticAnchors};
use comity_membership::{Entry, Federation, OrganisationState, Refused, Statement};
use comity_policy::{Index, Tables};
use comity_runtime::tasks::Tasks;
use comity_types::{Clock, Digest, SpiffeId};
use tokio::sync::{Mutex, oneshot, watch};

use crate::ledger::journal::{Journal, JournalError};

/// The federation at one epoch.
#[derive(Debug)]
pub struct Snapshot {
    /// The state.
    pub federation: Federation,
    /// Its offers, sorted so that a request is held against all of them at once. One for all epochs between which
    /// no offer and no organisation changed: a suspension makes none, and waits at most for one that is being made.
    pub index: Arc<Index>,
}

impl Snapshot {
    fn new(federation: Federation, tables: &Arc<Tables>) -> Self {
        let organisations = federation.organisations().map(|state| state.organisation.clone());
        let offers = federation.nodes().flat_map(|(_, state)| state.offers.iter().cloned());
        let index = Arc::new(Index::new(organisations, offers, Arc::clone(tables)));
        Self { federation, index }
    }

    /// The state after a statement.
    fn after(&self, federation: Federation, statement: &Statement, tables: &Arc<Tables>) -> Self {
        match statement {
            Statement::Founded { .. }
            | Statement::MemberAdmitted { .. }
            | Statement::Suspended { .. }
            | Statement::Lifted { .. } => Self { federation, index: Arc::clone(&self.index) },
            Statement::OrganisationAdmitted { .. }
            | Statement::OrganisationUpdated { .. }
            | Statement::OffersPublished { .. } => Self::new(federation, tables),
        }
    }
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
    snapshot: ArcSwap<Snapshot>,
    entries: RwLock<Vec<Arc<[u8]>>>,
    writer: Mutex<()>,
    changed: watch::Sender<u64>,
    anchors: Arc<SharedAnchors>,
    federation_anchors: OrganisationAnchors,
    tables: Arc<Tables>,
    clock: Arc<dyn Clock>,
    tasks: Tasks,
}

/// What a registry is opened with.
#[derive(Debug)]
pub struct Opening {
    /// The founding statement, made from root.json: appended on the first start, compared on every other.
    pub founding: Statement,
    /// The digest of root.json.
    pub root_sha256: Digest,
    /// What shows that this is not the first start, if anything does: then a journal without entries is a lost one.
    pub trace: Option<PathBuf>,
    /// The federation's own anchors.
    pub federation_anchors: OrganisationAnchors,
    /// What TLS trusts; kept in step.
    pub anchors: Arc<SharedAnchors>,
    /// What offers are held against.
    pub tables: Arc<Tables>,
    /// The time of entries.
    pub clock: Arc<dyn Clock>,
    /// Where appends run, so that a caller who leaves does not cut one.
    pub tasks: Tasks,
}

impl Registry {
    /// Opens the journal at `path`, or founds it.
    ///
    /// # Errors
    /// The journal is damaged, lost, in use, or of another federation.
    pub async fn open(path: &Path, opening: Opening) -> Result<Self, RegistryError> {
        let (journal, frames) = Journal::open(path)?;
        let federation = replay(path, &frames, opening.root_sha256, opening.trace)?;
        let (changed, _) = watch::channel(federation.epoch());
        let registry = Self(Arc::new(Inner {
            journal,
            snapshot: ArcSwap::from_pointee(Snapshot::new(federation, &opening.tables)),
            entries: RwLock::new(frames.into_iter().map(Arc::from).collect()),
            writer: Mutex::new(()),
            changed,
            anchors: opening.anchors,
            federation_anchors: opening.federation_anchors,
            tables: opening.tables,
            clock: opening.clock,
            tasks: opening.tasks,
        }));
        registry.0.trust(&registry.snapshot().federation)?;
        if registry.snapshot().federation.epoch() == 0 {
            registry.append(None, opening.founding).await?;
        }
        Ok(registry)
    }

    /// Reads the journal at `path` as a start would, and changes nothing.
    ///
    /// # Errors
    /// The journal is damaged, lost, or of another federation.
    pub fn check(path: &Path, root_sha256: Digest, trace: Option<PathBuf>) -> Result<(), RegistryError> {
        let mut frames = Vec::new();
        Journal::read(path, |frame| frames.push(frame))?;
        replay(path, &frames, root_sha256, trace).map(drop)
    }

    /// The federation as it stands.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.snapshot.load_full()
    }

    /// What offers are held against.
    #[must_use]
    pub fn tables(&self) -> &Arc<Tables> {
        &self.0.tables
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

    /// Appends one statement; when this returns, it is durable and in force.
    ///
    /// # Errors
    /// It does not follow from the state, or the journal has failed.
    pub async fn append(&self, by: Option<SpiffeId>, statement: Statement) -> Result<u64, RegistryError> {
        self.update(by, |_| Ok(vec![statement])).await
    }

    /// Appends the statements that `plan` makes of the state, with no other change in between; none is no change.
    /// Returns the epoch that they are in force at. Runs to its end even when the caller leaves.
    ///
    /// # Errors
    /// What `plan` says, or a statement does not follow from the state (those before it stand), or the journal has failed.
    pub async fn update<E, P>(&self, by: Option<SpiffeId>, plan: P) -> Result<u64, E>
    where
        E: From<RegistryError> + Send + 'static,
        P: FnOnce(&Federation) -> Result<Vec<Statement>, E> + Send + 'static,
    {
        let inner = Arc::clone(&self.0);
        run_to_end(&self.0.tasks, "registry update", async move { inner.update(by, plan).await })
            .await
            .unwrap_or_else(|| Err(RegistryError::Stopping.into()))
    }

    /// Resolves, to the cause, when the journal has failed and the broker has to end.
    pub async fn failed(&self) -> Arc<str> {
        self.0.journal.failed().await
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
    async fn update<E: From<RegistryError>>(
        &self,
        by: Option<SpiffeId>,
        plan: impl FnOnce(&Federation) -> Result<Vec<Statement>, E>,
    ) -> Result<u64, E> {
        let _turn = self.writer.lock().await;
        let statements = plan(&self.snapshot.load().federation)?;
        for statement in statements {
            self.append(by.clone(), statement).await?;
        }
        Ok(self.snapshot.load().federation.epoch())
    }

    /// Validated on a copy, durable, trusted by TLS, then seen by everyone, in this order.
    async fn append(&self, by: Option<SpiffeId>, statement: Statement) -> Result<(), RegistryError> {
        let before = self.snapshot.load_full();
        let mut federation = before.federation.clone();
        let entry = Entry { epoch: federation.epoch().saturating_add(1), at: self.clock.now(), by, statement };
        federation.apply(&entry).map_err(Box::new)?;
        // Before it is durable: an anchor that cannot be used would keep the broker from starting.
        federation.organisations().try_for_each(|state| organisation_anchors(state).map(drop))?;
        let frame = entry.to_json().map_err(RegistryError::Encode)?;
        self.journal.append(frame.clone()).await?;
        self.trust(&federation)?;
        self.entries.write().unwrap_or_else(PoisonError::into_inner).push(frame.into());
        self.snapshot.store(Arc::new(before.after(federation, &entry.statement, &self.tables)));
        self.changed.send_replace(entry.epoch);
        Ok(())
    }

    /// Every organisation's anchors, and the federation's own. Suspended ones stay: the edge turns
    /// them away on every request and says why, which a failed handshake could not.
    fn trust(&self, federation: &Federation) -> Result<(), RegistryError> {
        let organisations = federation.organisations().map(organisation_anchors);
        let all = std::iter::once(Ok(self.federation_anchors.clone())).chain(organisations);
        self.anchors.replace(all.collect::<Result<StaticAnchors, RegistryError>>()?);
        Ok(())
    }
}

fn organisation_anchors(state: &OrganisationState) -> Result<OrganisationAnchors, RegistryError> {
    let domain = &state.organisation.trust_domain;
    let invalid = |problem: String| RegistryError::Anchor { organisation: domain.clone(), problem };
    let decode =
        |text: &String| STANDARD.decode(text).map(CertificateDer::from).map_err(|error| invalid(error.to_string()));
    let roots = state.anchors.iter().map(decode).collect::<Result<Vec<_>, _>>()?;
    OrganisationAnchors::new(domain.clone(), &roots).map_err(|error| invalid(error.to_string()))
}

fn replay(
    path: &Path,
    frames: &[Vec<u8>],
    root_sha256: Digest,
    trace: Option<PathBuf>,
) -> Result<Federation, RegistryError> {
    if let Some(trace) = trace.filter(|_| frames.is_empty()) {
        return Err(RegistryError::Lost { path: path.to_owned(), trace });
    }
    let federation = fold(path, frames)?;
    check_root(path, frames, root_sha256)?;
    Ok(federation)
}

fn fold(path: &Path, frames: &[Vec<u8>]) -> Result<Federation, RegistryError> {
    let mut federation = Federation::default();
    for (index, frame) in frames.iter().enumerate() {
        let damaged = |problem: String| RegistryError::Damaged { path: path.to_owned(), position: index + 1, problem };
        let entry = Entry::from_json(frame).map_err(|error| damaged(error.to_string()))?;
        federation.apply(&entry).map_err(|refused| damaged(refused.to_string()))?;
    }
    Ok(federation)
}

fn check_root(path: &Path, frames: &[Vec<u8>], expected: Digest) -> Result<(), RegistryError> {
    let Some(first) = frames.first() else { return Ok(()) };
    match Entry::from_json(first).map(|entry| entry.statement) {
        Ok(Statement::Founded { root_sha256, .. }) if root_sha256 == expected => Ok(()),
        Ok(Statement::Founded { root_sha256: found, .. }) => {
            Err(RegistryError::OtherRoot { path: path.to_owned(), expected, found })
        }
        Ok(_) | Err(_) => Err(RegistryError::NotFounded { path: path.to_owned() }),
    }
}
