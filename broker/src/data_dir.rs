//! The data directory: where its files are, and whether a broker can be started from them.

use std::io;
use std::path::{Path, PathBuf};

use comity_types::ids::Kind;
use comity_types::{SpiffeId, TrustDomain};

use crate::broker::{BrokerError, witnesses};
use crate::config::Config;
use crate::founding::Founding;
use crate::ledger::decisions::{Ledger, LedgerError};
use crate::registry::Registry;
use crate::registry::authorities::Authorities;
use crate::registry::enrolments::store::Store;
use crate::registry::proposals::Proposals;

/// The federation's statements.
pub(crate) fn registry(data_dir: &Path) -> PathBuf {
    data_dir.join("registry.journal")
}

/// What accuses the log of statements, if anything does.
pub(crate) fn registry_evidence(data_dir: &Path) -> PathBuf {
    data_dir.join("registry.evidence")
}

/// Invites and what became of them.
pub(crate) fn enrolments(data_dir: &Path) -> PathBuf {
    data_dir.join("enrolments.journal")
}

/// Statements that wait for more operators.
pub(crate) fn proposals(data_dir: &Path) -> PathBuf {
    data_dir.join("proposals.journal")
}

/// The decision log.
pub(crate) fn decisions(data_dir: &Path) -> PathBuf {
    data_dir.join("decisions")
}

/// What was spent of budgets.
pub(crate) fn budgets(data_dir: &Path) -> PathBuf {
    data_dir.join("budgets.spent")
}

/// The hosted authorities.
pub(crate) fn authorities(data_dir: &Path) -> PathBuf {
    data_dir.join("ca")
}

/// Reads everything that a start reads, and changes nothing; a broker that runs on it is not in the way.
/// A directory that is not there yet is in order: whoever founds the federation makes it.
///
/// # Errors
/// Those of [`crate::Broker::build`] that come from files.
pub fn check(config: &Config) -> Result<(), BrokerError> {
    let dir = &config.data_dir;
    if matches!(std::fs::metadata(dir), Err(error) if error.kind() == io::ErrorKind::NotFound) {
        return Ok(());
    }
    let founding = Founding::read(dir)?;
    let federation = &founding.root.federation;
    founding.check_broker(&SpiffeId::new(federation.clone(), Kind::Broker, config.replica.clone()))?;
    let authorities = Authorities::new(&authorities(dir));
    authorities.check_private()?;
    authorities.find(federation)?;
    Registry::check(&registry(dir), &founding.genesis(), trace(dir, federation))?;
    Store::check(&enrolments(dir))?;
    Proposals::check(&proposals(dir))?;
    witnesses(config, &founding.root)?;
    Ledger::check(&decisions(dir), &founding.decision_log_key).map_err(LedgerError::Log)?;
    Ok(())
}

/// A file that only a start leaves, and only after the founding is durable in the registry. What cannot be
/// looked at counts: better no start than one that forgets who is suspended.
pub(crate) fn trace(data_dir: &Path, federation: &TrustDomain) -> Option<PathBuf> {
    let mut journals = [enrolments(data_dir), proposals(data_dir), decisions(data_dir)].into_iter();
    journals.find(|path| path.try_exists().unwrap_or(true)).or_else(|| member_authority(data_dir, federation))
}

/// A file of an authority that is not the federation's own: a member was admitted.
fn member_authority(data_dir: &Path, federation: &TrustDomain) -> Option<PathBuf> {
    let dir = authorities(data_dir);
    let own = [format!("{federation}.pem"), format!("{federation}.key.pem")].map(|name| dir.join(name));
    let Ok(mut files) = std::fs::read_dir(&dir) else { return Some(dir) };
    files.find_map(|file| match file {
        Ok(file) => Some(file.path()).filter(|path| !own.contains(path)),
        Err(_) => Some(dir.clone()),
    })
}
