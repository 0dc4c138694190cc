//! A hosted authority gets a new key while its members go on: two anchors stand side by side for as long as leaves of
//! both live.
//!
//! ```text
//!  due: a new key in ca/next/ ──▶ the organisation signs [old, new] ──▶ follow: the new one signs from now on ┄▶
//!  ┄▶ once the last leaf of the old one has ended, due: ──▶ the organisation signs [new] ──▶ follow: the roll is over
//! ```
//! Which anchors an organisation has is its own to sign; here it is made what there is to sign, and followed what it has
//! signed. Where the authority that signs is lost, the same gives the organisation another one, by its own signature and
//! without anybody joining again. Each step can be done again after a crash. Which authority signs is one file, `ca/rolled/<organisation>`:
//! while it is there, the next one does, and it says until when the anchor before has to stand.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::{Authority, CertificateDer, pem};
use comity_types::{Timestamp, TrustDomain};

use super::{Authorities, AuthorityError, Files, read, unusable, write};

impl Authorities {
    /// The anchors that `organisation` has to sign for its authority to roll: those `in_force` and the next one, whose
    /// key is made here; or, once the last leaf of the one before has ended, those in force without that one. Anchors of
    /// authorities of its own stay as they are.
    ///
    /// # Errors
    /// It was rolled, and leaves of the one before still live; the hosted authority is not among those in force; or
    /// files cannot be used.
    pub fn due(
        &self,
        organisation: &TrustDomain,
        in_force: &[CertificateDer<'static>],
        now: Timestamp,
    ) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        let signing = self.unless_lost(organisation)?.map(|signing| signing.anchor());
        if signing.is_none() {
            self.end_roll_of_the_lost(organisation)?;
        }
        // Another authority than its own is nobody's to give an organisation. Of one that is lost, its certificate may
        // still say whose it was.
        let known =
            signing.clone().map_or_else(|| self.signing(organisation)?.load_anchor(), |anchor| Ok(Some(anchor)))?;
        if known.is_some_and(|known| !in_force.contains(&known)) {
            return Err(AuthorityError::NotHosted { organisation: organisation.clone() });
        }
        let Some(signing) = signing else { return self.with_the_next(organisation, in_force, None, now) };
        match self.rolled_until(organisation)? {
            Some(until) if now < until => Err(AuthorityError::Rolling { organisation: organisation.clone(), until }),
            Some(_) => self.without_the_one_before(organisation, in_force),
            None => self.with_the_next(organisation, in_force, Some(&signing), now),
        }
    }

    /// Does what the organisation has signed: with the next authority among its anchors, that one signs from now on, and
    /// with the one before not among them any more, the roll is over. `longest_leaf` is how long leaves live at most.
    /// To be called for what is in force: after each change, and when the broker starts.
    ///
    /// # Errors
    /// Files cannot be used; called again, it goes on where it stopped.
    pub fn follow(
        &self,
        organisation: &TrustDomain,
        anchors: &[CertificateDer<'static>],
        longest_leaf: Duration,
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        // Where it is lost, the next one takes its place as soon as that is signed.
        let signing = self.unless_lost(organisation)?;
        if let Some(signing) = &signing
            && self.rolled_until(organisation)?.is_some()
        {
            let before = self.files(organisation).load_anchor()?;
            let is_over = before.is_none_or(|before| before == signing.anchor() || !anchors.contains(&before));
            return if is_over && anchors.contains(&signing.anchor()) {
                self.settle(organisation, signing)
            } else {
                Ok(())
            };
        }
        let next = self.next(organisation).load_anchor()?;
        let signs = |next: &CertificateDer<'_>| signing.as_ref().is_some_and(|signing| *next == signing.anchor());
        match next.filter(|next| !signs(next) && anchors.contains(next)) {
            Some(_) => self.activate(organisation, now.plus(longest_leaf)),
            None => Ok(()),
        }
    }

    /// The authority that signs; none where it is lost.
    fn unless_lost(&self, organisation: &TrustDomain) -> Result<Option<Arc<Authority>>, AuthorityError> {
        match self.find(organisation) {
            Ok(signing) => Ok(Some(signing)),
            Err(AuthorityError::Missing { .. }) => Ok(None),
            Err(other) => Err(other),
        }
    }

    /// What was rolled when its authority was lost is rolled no more: otherwise the place where the next one is made would be
    /// that of the one that signs, which nobody has signed for. The key goes first, since it is that of the one before; of
    /// the one that is lost its certificate stays, which says whose it was.
    fn end_roll_of_the_lost(&self, organisation: &TrustDomain) -> Result<(), AuthorityError> {
        let _nobody_reads = self.loaded();
        if self.rolled_until(organisation)?.is_none() {
            return Ok(());
        }
        let (files, lost) = (self.files(organisation), self.next(organisation));
        remove(files.key)?;
        if let Some(anchor) = lost.load_anchor()? {
            write(&files.anchor, pem::encode(&[anchor]).as_bytes())?;
        }
        remove(lost.anchor)?;
        remove(self.rolled(organisation))
    }

    /// Where the authority lies that signs.
    pub(super) fn signing(&self, organisation: &TrustDomain) -> Result<Files, AuthorityError> {
        let is_rolled = self.rolled_until(organisation)?.is_some();
        Ok(if is_rolled { self.next(organisation) } else { self.files(organisation) })
    }

    /// Makes the next authority after the one that is `signing`, unless a roll that stopped has, and adds its anchor.
    fn with_the_next(
        &self,
        organisation: &TrustDomain,
        in_force: &[CertificateDer<'static>],
        signing: Option<&CertificateDer<'static>>,
        now: Timestamp,
    ) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        // Two that ask at once are to be given the same one.
        let _nobody_makes_another = self.loaded();
        let next = self.next(organisation);
        let next = match next.load(organisation)? {
            Some(made) if Some(&made.anchor()) != signing => made.anchor(),
            // One that signs already is left over from a roll that was over.
            Some(_) | None => {
                let made = Authority::generate(organisation.clone(), now);
                let made = made.map_err(|source| unusable(organisation, source))?;
                next.store(&made)?;
                made.anchor()
            }
        };
        Ok(in_force.iter().filter(|anchor| **anchor != next).cloned().chain([next.clone()]).collect())
    }

    fn without_the_one_before(
        &self,
        organisation: &TrustDomain,
        in_force: &[CertificateDer<'static>],
    ) -> Result<Vec<CertificateDer<'static>>, AuthorityError> {
        let (signing, before) = (self.find(organisation)?.anchor(), self.files(organisation).load_anchor()?);
        Ok(in_force.iter().filter(|anchor| **anchor == signing || Some(*anchor) != before.as_ref()).cloned().collect())
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
