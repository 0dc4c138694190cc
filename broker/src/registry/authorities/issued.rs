//! Which certificates the broker has issued to whom, for as long as they hold: `ca/issued/<digest of the SPIFFE ID>`, a
//! line each. One operator's brake on a certificate keeps its holder from getting another one by the key alone, and an
//! operator can name any digest.

use std::path::PathBuf;
use std::str::FromStr as _;
use std::sync::PoisonError;

use comity_types::{Digest, SpiffeId, Timestamp};

use super::{Authorities, AuthorityError, read, write};

/// Most certificates that are remembered of one member, the newest: at half of a day's life each, a month of them.
const MAX_ISSUED: usize = 64;
/// Stands for those that were forgotten because there were more, until the last of them has ended: meanwhile any may be one
/// of them. Whoever has a stolen key must not be able to have a braked certificate forgotten.
const FORGOTTEN: Digest = Digest::from_bytes([0; 32]);

impl Authorities {
    /// Remembers a certificate of `member` that holds until `until`. Before it is handed out: what is shown is known.
    ///
    /// # Errors
    /// The file cannot be read or written.
    pub(crate) fn note_issued(
        &self,
        member: &SpiffeId,
        leaf: Digest,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<(), AuthorityError> {
        let _turn = self.issuing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = self.issued(member)?.unwrap_or_default();
        known.retain(|(digest, until)| *until > now && *digest != leaf);
        known.push((leaf, until));
        let (forgotten, mut known): (Vec<_>, Vec<_>) = known.into_iter().partition(|(digest, _)| *digest == FORGOTTEN);
        let over = known.drain(..known.len().saturating_sub(MAX_ISSUED));
        let until = over.chain(forgotten).map(|(_, until)| until).max();
        known.extend(until.map(|until| (FORGOTTEN, until)));
        let lines = known.iter().map(|(digest, until)| format!("{digest} {until}\n"));
        write(&self.issued_path(member), lines.collect::<String>().as_bytes())
    }

    /// Whether the broker has issued this certificate to `member`, and it may hold still. Where nothing is known of the
    /// member, it may have: the first certificates of operators come from the founding.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn may_have_issued(&self, member: &SpiffeId, leaf: &Digest) -> Result<bool, AuthorityError> {
        let known = self.issued(member)?;
        Ok(known.is_none_or(|known| known.iter().any(|(digest, _)| [*leaf, FORGOTTEN].contains(digest))))
    }

    /// What is remembered of `member`; `None` where there is nothing, or what is there cannot be understood.
    fn issued(&self, member: &SpiffeId) -> Result<Option<Vec<(Digest, Timestamp)>>, AuthorityError> {
        let Some(bytes) = read(&self.issued_path(member))? else { return Ok(None) };
        let line = |line: &str| {
            let (digest, until) = line.split_once(' ')?;
            Some((Digest::from_str(digest).ok()?, Timestamp::from_str(until).ok()?))
        };
        Ok(String::from_utf8_lossy(&bytes).lines().map(line).collect())
    }

    fn issued_path(&self, member: &SpiffeId) -> PathBuf {
        self.dir.join("issued").join(Digest::of(member.as_str().as_bytes()).to_string())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_was_issued_is_known_after_a_restart_for_as_long_as_it_holds_and_what_nobody_issued_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let member: SpiffeId = "spiffe://org-a.example/node/n1".parse().unwrap();
        let now: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let (later, leaf) = (|hours: u64| now.plus(Duration::from_secs(hours * 3600)), |n: u8| Digest::of(&[n]));
        let may = |n| Authorities::new(dir.path()).may_have_issued(&member, &leaf(n)).unwrap();
        assert!(may(1), "nothing is known of the member");
        Authorities::new(dir.path()).note_issued(&member, leaf(1), later(24), now).unwrap();
        Authorities::new(dir.path()).note_issued(&member, leaf(2), later(36), later(12)).unwrap();
        assert_eq!([may(1), may(2), may(3)], [true, true, false]);
        Authorities::new(dir.path()).note_issued(&member, leaf(3), later(48), later(24)).unwrap();
        assert_eq!([may(1), may(2), may(3)], [false, true, true]);
        for n in 0..200 {
            Authorities::new(dir.path()).note_issued(&member, leaf(n), later(48), later(24)).unwrap();
        }
        assert_eq!([may(199), may(136), may(135)], [true; 3], "one that was forgotten may be any");
        Authorities::new(dir.path()).note_issued(&member, leaf(201), later(72), later(49)).unwrap();
        assert_eq!([may(201), may(199)], [true, false], "all of them have ended");
        std::fs::write(Authorities::new(dir.path()).issued_path(&member), "nonsense").unwrap();
        assert!(may(77), "what cannot be understood refuses, and not lets pass");
    }
}
