//! Which invite a directory belongs to: one directory asks with one invite, and holds one identity.

use comity_types::Digest;
use serde::{Deserialize, Serialize};

use super::{IdentityDir, StoreError, files};
use crate::invite::Invite;

/// Which invite the key asks with.
pub const INVITE_FILE: &str = "invite.json";

/// What became of the last invite, if operators turned it down.
pub const REJECTION_FILE: &str = "rejected.json";

/// What `rejected.json` says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rejection {
    /// The operators' reason.
    reason: String,
}

/// What `invite.json` says: enough to ask how it stands, by the key. The secret of the invite is not kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TakenUp {
    /// The invite's id, 32 hexadecimal digits.
    pub id: String,
    /// The digest of the root document that it pins.
    pub federation_root: Digest,
    /// Where the broker is, `host:port`. Files of before it was kept have none: the invite itself is needed again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

impl IdentityDir {
    /// The id of the invite that this directory asks with, or joined by; none where nobody asked yet, or
    /// where the identity did not come by an invite.
    ///
    /// # Errors
    /// The file is broken.
    pub fn invite_id(&self) -> Result<Option<String>, StoreError> {
        Ok(self.taken_up()?.map(|taken| taken.id))
    }

    /// The invite that this directory asks with, or joined by; none where nobody asked yet, or where the identity did
    /// not come by an invite.
    ///
    /// # Errors
    /// The file is broken.
    pub fn taken_up(&self) -> Result<Option<TakenUp>, StoreError> {
        match files::read(&self.file(INVITE_FILE)) {
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(other) => Err(other),
            Ok(bytes) => {
                let broken = |_| self.content_error(INVITE_FILE, "an invite's id (hint: join in another directory)");
                serde_json::from_slice(&bytes).map(Some).map_err(broken)
            }
        }
    }

    /// Has the directory ask with `invite`, unless it asks with another one already, which then stays.
    /// Gives the id of the invite that it asks with.
    ///
    /// It is on disk before anybody is asked, so that after a lost reply no other invite takes the place.
    ///
    /// # Errors
    /// It cannot be written or read.
    pub fn take_up(&self, invite: &Invite) -> Result<String, StoreError> {
        let address = Some(invite.address.clone());
        let taken = TakenUp { id: invite.id_text(), federation_root: invite.root, address };
        let json = serde_json::to_vec_pretty(&taken).map_err(|_| self.content_error(INVITE_FILE, "an invite's id"))?;
        files::write_new(&self.file(INVITE_FILE), &json)?;
        self.forget(REJECTION_FILE)?;
        Ok(self.invite_id()?.unwrap_or_default())
    }

    /// Makes room for another invite, once it is certain that `invite` will never bring a certificate. The key stays.
    ///
    /// # Errors
    /// The file cannot be read or removed.
    pub fn put_down(&self, invite: &Invite) -> Result<(), StoreError> {
        self.put_down_by_id(&invite.id_text())
    }

    /// As [`put_down`](Self::put_down), by the invite's id.
    ///
    /// # Errors
    /// The file cannot be read or removed.
    pub fn put_down_by_id(&self, id: &str) -> Result<(), StoreError> {
        if self.is_joined() || self.invite_id()?.as_deref() != Some(id) {
            return Ok(());
        }
        files::remove(&self.file(INVITE_FILE))
    }

    /// Makes room for another invite where operators turned this one down, and keeps why: whoever uses the directory later
    /// is told.
    ///
    /// # Errors
    /// A file cannot be read, written or removed.
    pub fn note_rejection(&self, id: &str, reason: &str) -> Result<(), StoreError> {
        if self.is_joined() || self.invite_id()?.as_deref() != Some(id) {
            return Ok(());
        }
        let json = serde_json::to_vec_pretty(&Rejection { reason: reason.to_owned() });
        let json = json.map_err(|_| self.content_error(REJECTION_FILE, "a rejection"))?;
        files::write(&self.file(REJECTION_FILE), &json)?;
        self.put_down_by_id(id)
    }

    /// Why operators turned down what this directory asked for last; none where they did not, or where it has an identity
    /// or asks for another one.
    ///
    /// # Errors
    /// The file is broken.
    pub fn rejection(&self) -> Result<Option<String>, StoreError> {
        if self.is_joined() || self.invite_id()?.is_some() {
            return Ok(None);
        }
        match files::read(&self.file(REJECTION_FILE)) {
            Err(StoreError::Missing { .. }) => Ok(None),
            Err(other) => Err(other),
            Ok(bytes) => {
                let broken = |_| self.content_error(REJECTION_FILE, "a rejection (hint: remove it)");
                serde_json::from_slice(&bytes).map(|Rejection { reason }| Some(reason)).map_err(broken)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invite() -> Invite {
        Invite::generate(crate::invite::Inviter::Operators, Digest::of(b"root"), "broker.example:7443").unwrap()
    }

    #[test]
    fn the_first_invite_stays_until_it_is_put_down() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = IdentityDir::create(temporary.path()).unwrap();
        let (first, second) = (invite(), invite());
        assert_eq!(dir.invite_id().unwrap(), None);
        for invite in [&first, &second, &first] {
            assert_eq!(dir.take_up(invite).unwrap(), first.id_text());
        }
        dir.put_down(&second).unwrap();
        assert_eq!(dir.invite_id().unwrap(), Some(first.id_text()), "only its own holder puts an invite down");
        dir.put_down(&first).unwrap();
        assert_eq!(dir.take_up(&second).unwrap(), second.id_text());
    }

    #[test]
    fn a_rejection_is_told_until_another_invite_is_taken_up() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = IdentityDir::create(temporary.path()).unwrap();
        let (first, second) = (invite(), invite());
        assert_eq!(dir.rejection().unwrap(), None);
        dir.take_up(&first).unwrap();
        dir.note_rejection(&second.id_text(), "of another").unwrap();
        assert_eq!((dir.rejection().unwrap(), dir.invite_id().unwrap()), (None, Some(first.id_text())));
        dir.note_rejection(&first.id_text(), "nobody knows you").unwrap();
        assert_eq!(dir.rejection().unwrap().as_deref(), Some("nobody knows you"));
        let refused = dir.identity().unwrap_err();
        assert!(matches!(&refused, StoreError::TurnedDown { reason, .. } if reason == "nobody knows you"), "{refused}");
        assert_eq!(dir.take_up(&second).unwrap(), second.id_text());
        assert_eq!(dir.rejection().unwrap(), None);
        assert!(matches!(dir.identity(), Err(StoreError::Missing { .. })));
    }

    #[test]
    fn the_secret_of_the_invite_is_not_kept() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = IdentityDir::create(temporary.path()).unwrap();
        dir.take_up(&invite()).unwrap();
        let text = std::fs::read_to_string(temporary.path().join(INVITE_FILE)).unwrap();
        let taken: serde_json::Value = serde_json::from_str(&text).unwrap();
        let mut kept: Vec<_> = taken.as_object().unwrap().keys().collect();
        kept.sort();
        assert_eq!(kept, ["address", "federation_root", "id"]);
    }

    #[test]
    fn a_broken_file_is_refused_and_named() {
        let temporary = tempfile::tempdir().unwrap();
        let dir = IdentityDir::create(temporary.path()).unwrap();
        std::fs::write(temporary.path().join(INVITE_FILE), "{}").unwrap();
        let refused = dir.take_up(&invite()).unwrap_err().to_string();
        assert!(refused.contains(INVITE_FILE) && refused.contains("hint"), "{refused}");
    }
}
