//! Which key signs for an organisation: that of the directory, unless a change of keys was cut before its end.
//!
//! The next key is on disk before it is said, and takes the old one's place once it is known to be in force. Whichever
//! instant the program ended at, one of the two signs, and the log says which.

use comity_client::say::{self, Draft, Said};
use comity_identity::KeyPair;
use comity_identity::store::{ORGANISATION_KEY_FILE, StoreError};
use comity_membership::{Federation, Statement};
use comity_proto::error::{Detail, ORGANISATION_KEYS};
use comity_transparency::{PublicKey, Signer};
use comity_types::display::harmless;
use tonic::{Code, Status};

use super::{Role, Signatory, unsaid};
use crate::error::CliError;
use crate::output::say as tell;

/// Reasons by which a broker may say that it was the wrong key that signed.
const WRONG_KEY: &[&str] =
    &["SIGNATURE_REFUSED", "TOO_FEW_SIGNATURES", "MEMBER_SUSPENDED", "CERTIFICATE_SUSPENDED", LIFT_REFUSED];
/// The one thing that is said to whoever brings the wrong thing without a certificate.
const LIFT_REFUSED: &str = "LIFT_REFUSED";
/// What mends it where the organisation's keys were changed.
const COPY: &str = "if the keys were changed, this file is not the newest: copy organisation.key.pem from the directory \
                    where they were, and keep it at mode 600; `comity organisation keys list` there says that it is the one";

/// A key, with those that sign beside it.
pub(super) fn signers_of<'a>(key: &'a KeyPair, also: &[&'a KeyPair]) -> Vec<&'a dyn Signer> {
    let also = also.iter().filter(|other| other.public_key_digest() != key.public_key_digest());
    std::iter::once(key as &dyn Signer).chain(also.map(|key| *key as &dyn Signer)).collect()
}

impl Signatory {
    /// The organisation's key that is in force by the log where that is not the one of `organisation.key.pem`: what was
    /// begun is ended.
    ///
    /// # Errors
    /// As for [`next_in_force`](Self::next_in_force).
    pub(super) fn key_in_force(&self, federation: &Federation) -> Result<Option<KeyPair>, CliError> {
        let next = self.next_in_force(federation)?;
        if next.is_some() {
            self.take_up_next()?;
        }
        Ok(next)
    }

    /// As [`key_in_force`](Self::key_in_force), with every file left as it is: for whoever only asks.
    ///
    /// # Errors
    /// No key of the directory signs for the organisation any more.
    pub(super) fn next_in_force(&self, federation: &Federation) -> Result<Option<KeyPair>, CliError> {
        let Role::Organisation(domain) = &self.role else { return Ok(None) };
        // Who left has none, and is told so by the broker.
        let Some(state) = federation.organisation(domain) else { return Ok(None) };
        let signs = |key: &KeyPair| state.keys.iter().any(|known| known.id() == key.public_key_digest());
        if signs(&self.key) {
            return Ok(None);
        }
        let dir = self.session.identity().dir();
        match dir.next_organisation_key().map_err(unusable)? {
            Some(next) if signs(&next) => Ok(Some(next)),
            _ => {
                let problem = self.not_in_force(&fingerprints(&state.keys));
                Err(CliError::Failed { problem, hint: COPY.to_owned() })
            }
        }
    }

    /// What whoever signs with a key of before is told: which one that is, and which ones sign now.
    fn not_in_force(&self, known: &[String]) -> String {
        format!(
            "{} ({}) is none of the keys that sign for {} now: {}",
            self.key_file(),
            self.key.public_key_digest().fingerprint(),
            self.id().trust_domain(),
            known.join(" ")
        )
    }

    fn key_file(&self) -> String {
        self.session.identity().dir().path().join(ORGANISATION_KEY_FILE).display().to_string()
    }

    /// Why a key was refused where the log is not shown: the broker has said which ones end what it refuses, and this is not
    /// among them.
    fn explained(&self, refusal: &Status, refused: CliError) -> CliError {
        let known = Detail::of(refusal).and_then(|mut detail| detail.metadata.remove(ORGANISATION_KEYS));
        let known: Vec<_> = known.iter().flat_map(|keys| keys.split(' ')).map(harmless).collect();
        let is_known = known.contains(&self.key.public_key_digest().fingerprint());
        if known.is_empty() || is_known { refused } else { self.refused_for_its_key(&refused, &known) }
    }

    fn refused_for_its_key(&self, refused: &CliError, known: &[String]) -> CliError {
        CliError::Failed { problem: format!("{refused}; {}", self.not_in_force(known)), hint: COPY.to_owned() }
    }

    /// The same without a certificate. Strangers are told nothing, and what this directory last read of the log may be of
    /// before the change.
    fn guessed(&self, refused: CliError) -> CliError {
        let CliError::Status { status, .. } = &refused else { return refused };
        if Detail::of(status).is_none_or(|detail| detail.reason != LIFT_REFUSED) {
            return refused;
        }
        let kept = self.session.kept_log();
        let kept = kept.as_ref().map(|kept| kept.log().federation());
        let state = kept.and_then(|federation| federation.organisation(self.id().trust_domain()));
        if let Some(state) = state.filter(|state| state.keys.iter().all(|key| key.id() != self.key.public_key_digest()))
        {
            return self.refused_for_its_key(&refused, &fingerprints(&state.keys));
        }
        let (file, key) = (self.key_file(), self.key.public_key_digest().fingerprint());
        CliError::Failed {
            problem: format!("{refused}; signed was with {file} ({key})"),
            hint: format!("{COPY}; what operators suspended, operators lift"),
        }
    }

    /// The same, once a change of keys that was cut before its end has been ended.
    ///
    /// # Errors
    /// As for [`key_in_force`](Self::key_in_force). A log that is not shown leaves it as it is.
    pub(crate) async fn settled(mut self) -> Result<Self, CliError> {
        if self.session.identity().dir().next_organisation_key().map_err(unusable)?.is_some()
            && let Ok(followed) = self.session.log().await
            && let Some(next) = self.key_in_force(followed.log().federation())?
        {
            self.key = next;
        }
        Ok(self)
    }

    /// The next key is the organisation's from now on; nothing where it is already.
    pub(crate) fn take_up_next(&self) -> Result<(), CliError> {
        let dir = self.session.identity().dir();
        if dir.next_organisation_key().map_err(unusable)?.is_none() {
            return Ok(());
        }
        dir.take_up_next_organisation_key().map_err(unusable)?;
        tell("organisation.key.pem is the new key now; the old one signs nothing any more");
        Ok(())
    }

    /// Says what is the organisation's own where the log is not shown, by this refusal: by the key that is here, or by the
    /// next one where that is refused.
    pub(super) async fn say_unseen(
        &self,
        doing: &'static str,
        draft: Draft,
        also: &[&KeyPair],
        refusal: &Status,
    ) -> Result<Said, CliError> {
        let connection = self.session.connection();
        let say = async |key: &KeyPair| say::say_unseen_by(connection, draft.clone(), &signers_of(key, also)).await;
        self.say_by_either_key(doing, say).await.map_err(|refused| self.explained(refusal, refused))
    }

    /// Ends what the organisation suspended of itself by its key alone: no certificate is shown, where none holds.
    pub(crate) async fn lift_unseen(&self, doing: &'static str, statement: Statement) -> Result<Said, CliError> {
        let (identity, draft) = (self.session.identity(), self.draft(statement));
        let say = async |key: &KeyPair| say::lift_unseen(identity, draft.clone(), &[key]).await;
        self.say_by_either_key(doing, say).await.map_err(|refused| self.guessed(refused))
    }

    async fn say_by_either_key(
        &self,
        doing: &'static str,
        say: impl AsyncFn(&KeyPair) -> Result<Said, say::SayError>,
    ) -> Result<Said, CliError> {
        let first = say(&self.key).await;
        let Err(say::SayError::Call(status)) = &first else { return first.map_err(|error| unsaid(doing, error)) };
        let wrong_key = Detail::of(status).is_some_and(|detail| WRONG_KEY.contains(&detail.reason.as_str()));
        let next = self.session.identity().dir().next_organisation_key().map_err(unusable)?;
        let Some(next) = next.filter(|_| wrong_key && status.code() == Code::PermissionDenied) else {
            return first.map_err(|error| unsaid(doing, error));
        };
        let Ok(said) = say(&next).await else {
            return first.map_err(|error| unsaid(doing, error));
        };
        self.take_up_next()?;
        Ok(said)
    }
}

fn fingerprints(keys: &[PublicKey]) -> Vec<String> {
    keys.iter().map(|key| key.id().fingerprint()).collect()
}

fn unusable(error: StoreError) -> CliError {
    CliError::Client { doing: "use the organisation's key", source: Box::new(error), hint: None }
}
