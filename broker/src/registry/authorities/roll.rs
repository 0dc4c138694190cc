//! A hosted authority gets a new key while its members go on: two anchors stand side by side for as long as leaves of
//! both live.
//!
//! ```text
//!  prepare ──▶ publish [old, new] ──▶ activate  ┄┄┄┄┄┄┄┄┄┄┄┄┄▶  retire ──▶ publish [new]
//!  a new key, in ca/next/             it signs from now on       once the last leaf of the old one has ended
//! ```
//! Each step can be done again after a crash. Which authority signs is one file, `ca/rolled/<organisation>`: while it
//! is there, the next one does, and it says until when the anchor before has to stand. Publishing is the registry's
//! business, because everybody learns of anchors from the statements.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use comity_identity::{Authority, CertificateDer};
use comity_types::{Timestamp, TrustDomain};

use super::{Authorities, AuthorityError, Files, read, unusable, write};

/// Makes known which anchors an organisation has: what a roll needs of the registry.
pub trait PublishAnchors {
    /// Why they could not be published.
    type Error: From<AuthorityError>;

    /// Makes `anchors`, and no others, those of `organisation`; ends once that is durable and in force. If they are
    /// already, there is nothing to do.
    ///
    /// # Errors
    /// They are not published; the roll stops where it is and can be taken up again.
    fn publish(
        &self,
        organisation: &TrustDomain,
        anchors: &[CertificateDer<'static>],
    ) -> impl Future<Output = Result<(), Self::Error>> + Send;
}

impl Authorities {
    /// Rolls the authority of `organisation`: from now on a new key signs, and both are anchors. `longest_leaf` is how
    /// long leaves of the old one live at most.
    ///
    /// # Errors
    /// It was rolled, and leaves of the one before still live; files cannot be used; or the anchors cannot be
    /// published. Called again, it goes on where it stopped.
    pub async fn roll<P: PublishAnchors>(
        &self,
        organisation: &TrustDomain,
        longest_leaf: Duration,
        now: Timestamp,
        registry: &P,
    ) -> Result<(), P::Error> {
        if let Some(until) = self.rolled_until(organisation)? {
            return Err(AuthorityError::Rolling { organisation: organisation.clone(), until }.into());
        }
        let anchors = self.prepare(organisation, now)?;
        registry.publish(organisation, &anchors).await?;
        Ok(self.activate(organisation, now.plus(longest_leaf))?)
    }

    /// Ends a roll, if there is one and the last leaf of the old authority has ended by `now`: takes its anchor back.
    /// To be called now and then, and when the broker starts.
    ///
    /// # Errors
    /// Files cannot be used, or the anchors cannot be published; called again, it goes on where it stopped.
    pub async fn retire<P: PublishAnchors>(
        &self,
        organisation: &TrustDomain,
        now: Timestamp,
        registry: &P,
    ) -> Result<(), P::Error> {
        if self.rolled_until(organisation)?.is_none_or(|until| now < until) {
            return Ok(());
        }
        let signing = self.find(organisation)?;
        registry.publish(organisation, &[signing.anchor()]).await?;
        Ok(self.settle(organisation, &signing)?)
    }

    /// Every anchor that `organisation` has to have: of the authority that signs, of the one before while its leaves
    /// live, and of the next one, if it is made.
    ///
    /// # Errors
    /// It has no authority, or files cannot be used.
    pub fn anchors(&self, organisation: &TrustDomain) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        let mut anchors = vec![self.find(organisation)?.anchor()];
        for other in [self.files(organisation), self.next(organisation)] {
            anchors.extend(other.load_anchor()?.filter(|anchor| !anchors.contains(anchor)));
        }
        Ok(anchors)
    }

    /// Where the authority lies that signs.
    pub(super) fn signing(&self, organisation: &TrustDomain) -> Result<Files, AuthorityError> {
        let is_rolled = self.rolled_until(organisation)?.is_some();
        Ok(if is_rolled { self.next(organisation) } else { self.files(organisation) })
    }

    /// Makes the next authority, unless a roll that stopped has, and gives the anchors to publish before it signs.
    fn prepare(
        &self,
        organisation: &TrustDomain,
        now: Timestamp,
    ) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        let (signing, next) = (self.find(organisation)?, self.next(organisation));
        // One that signs already is left over from a roll that was over.
        if next.load(organisation)?.is_none_or(|next| next.anchor() == signing.anchor()) {
            let made = Authority::generate(organisation.clone(), now);
            next.store(&made.map_err(|source| unusable(organisation, source))?)?;
        }
        self.anchors(organisation)
    }

    /// The next authority signs from now on; the anchor of the one before stands until `until`.
    fn activate(&self, organisation: &TrustDomain, until: Timestamp) -> Result<(), AuthorityError> {
        let mut loaded = self.loaded();
        write(&self.rolled(organisation), until.as_millis().to_string().as_bytes())?;
        // It is read again when it is needed.
        loaded.remove(organisation);
        Ok(())
    }

    /// The authority that signs moves to where it lies when nothing is rolled. While it does, it is still read from
    /// where it was.
    fn settle(&self, organisation: &TrustDomain, signing: &Authority) -> Result<(), AuthorityError> {
        let _nobody_reads = self.loaded();
        self.files(organisation).store(signing)?;
        remove(self.rolled(organisation))?;
        let next = self.next(organisation);
        remove(next.anchor)?;
        remove(next.key)
    }

    fn rolled_until(&self, organisation: &TrustDomain) -> Result<Option<Timestamp>, AuthorityError> {
        let path = self.rolled(organisation);
        let Some(text) = read(&path)? else { return Ok(None) };
        let millis = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
        let until = millis.and_then(|millis| Timestamp::from_millis(millis).ok());
        until.map(Some).ok_or(AuthorityError::Malformed { path })
    }

    fn next(&self, organisation: &TrustDomain) -> Files {
        Files::within(&self.dir.join("next"), organisation)
    }

    fn rolled(&self, organisation: &TrustDomain) -> PathBuf {
        self.dir.join("rolled").join(organisation.as_str())
    }
}

fn remove(path: PathBuf) -> Result<(), AuthorityError> {
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(AuthorityError::Io { path, source: error }),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests;
