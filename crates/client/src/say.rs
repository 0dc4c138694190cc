//! Statements: signed here, with keys that stay here, and handed to the broker, which gives them their place.

use comity_identity::KeyPair;
use comity_membership::{Federation, Payload, Scope, Statement, sign};
use comity_proto::enrolment::LiftRequest;
use comity_proto::enrolment::enrolment_client::EnrolmentClient;
use comity_proto::error::Detail;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::submit_response::Outcome;
use comity_proto::membership::{Proposal, SubmitRequest};
use comity_transparency::{Envelope, Signer, SigningError};
use comity_types::{Digest, Timestamp};
use tonic::Status;

use crate::connection::{Connection, ConnectionError};
use crate::error::{Cause, explain};
use crate::identity::Identity;
use crate::probe;

/// What became of a statement.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// It is in force from this epoch on.
    InForce(u64),
    /// More operators have to sign it.
    Waits(Proposal),
}

/// Why a statement was not said.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SayError {
    /// A key cannot sign.
    #[error("nothing can be signed")]
    Signing(#[from] SigningError),
    /// The broker refuses it, or cannot be reached.
    #[error("the broker did not take the statement")]
    Call(#[source] Box<Status>),
    /// There can be no connection, whatever the network does.
    #[error("nobody can be asked")]
    Connection(#[from] ConnectionError),
    /// The statement names nobody that can be read, or the broker's answer lacks something.
    #[error("{0}")]
    Incomplete(&'static str),
}

impl From<Status> for SayError {
    fn from(status: Status) -> Self {
        Self::Call(Box::new(status))
    }
}

/// A statement that is to be signed for a federation.
#[derive(Debug, Clone)]
pub struct Draft {
    /// SHA-256 of the federation's root document.
    pub federation: Digest,
    /// What is to be said.
    pub statement: Statement,
    /// When it is signed.
    pub at: Timestamp,
}

impl Draft {
    /// Signs it as the next version of its scope in a state that was proven.
    ///
    /// # Errors
    /// A key cannot sign.
    pub fn sign(self, state: &Federation, signers: &[&dyn Signer]) -> Result<Envelope, SayError> {
        let scope = self.scope()?;
        self.sign_as(state.next_version(&scope), signers)
    }

    /// Signs it as this version.
    ///
    /// # Errors
    /// A key cannot sign.
    pub fn sign_as(self, version: u64, signers: &[&dyn Signer]) -> Result<Envelope, SayError> {
        let Self { federation, statement, at } = self;
        Ok(sign(&Payload { federation, version, at, statement }, signers)?)
    }

    fn scope(&self) -> Result<Scope, SayError> {
        self.statement.scope().ok_or(SayError::Incomplete("the statement is about nobody"))
    }
}

/// Hands a signed statement to the broker.
///
/// # Errors
/// The broker refuses it, or cannot be reached.
pub async fn submit(connection: &Connection, envelope: &Envelope) -> Result<Said, SayError> {
    let request = SubmitRequest { envelope: json(envelope)?.into() };
    let answer = MembershipClient::new(connection.unary()).submit(request).await?.into_inner();
    match answer
        .outcome
        .ok_or(SayError::Incomplete("the broker's answer has no outcome (hint: update this program)"))?
    {
        Outcome::Epoch(epoch) => Ok(Said::InForce(epoch)),
        Outcome::Proposal(proposal) => Ok(Said::Waits(proposal)),
    }
}

/// Says a statement of one's own without following the log, as whoever is not shown it: at the version that the broker names. It may be
/// told a wrong one, and gains nothing by it: the statement counts once, at that version, and its signer learns where.
///
/// # Errors
/// The broker refuses it, or cannot be reached.
pub async fn say_unseen(connection: &Connection, draft: Draft, key: &KeyPair) -> Result<Said, SayError> {
    say_unseen_by(connection, draft, &[key]).await
}

/// As [`say_unseen`], signed by these.
///
/// # Errors
/// Those of [`say_unseen`].
pub async fn say_unseen_by(connection: &Connection, draft: Draft, signers: &[&dyn Signer]) -> Result<Said, SayError> {
    at_the_version_named(draft, signers, async |envelope| submit(connection, &envelope).await).await
}

/// Says what ends an organisation's own suspension where no certificate of its holds: to the first broker that answers, and
/// at the version that it names, as [`say_unseen`] does.
///
/// # Errors
/// Those of [`say_unseen`].
pub async fn lift_unseen(identity: &Identity, draft: Draft, signers: &[&dyn Signer]) -> Result<Said, SayError> {
    let mut last = SayError::Incomplete("the identity names no broker");
    for address in identity.brokers() {
        let connection = probe::without_certificate(identity.root(), address, identity.clock())?;
        let said = at_the_version_named(draft.clone(), signers, async |envelope| lift(&connection, &envelope).await);
        match said.await {
            Err(SayError::Call(status)) if explain(&status).cause != Cause::Answered => last = SayError::Call(status),
            said => return said,
        }
    }
    Err(last)
}

async fn lift(connection: &Connection, envelope: &Envelope) -> Result<Said, SayError> {
    let request = LiftRequest { envelope: json(envelope)?.into() };
    let answer = EnrolmentClient::new(connection.unary()).lift(request).await?;
    Ok(Said::InForce(answer.into_inner().epoch))
}

/// A version that no statement has: signed so, it is a question that is never in force, and no second statement at a
/// position that is taken.
pub const NO_VERSION: u64 = 0;

async fn at_the_version_named(
    draft: Draft,
    signers: &[&dyn Signer],
    submit: impl AsyncFn(Envelope) -> Result<Said, SayError>,
) -> Result<Said, SayError> {
    let first = submit(draft.clone().sign_as(NO_VERSION, signers)?).await;
    let Err(SayError::Call(status)) = &first else { return first };
    let Some(version) = next_version(status) else { return first };
    submit(draft.sign_as(version, signers)?).await
}

fn json(envelope: &Envelope) -> Result<Vec<u8>, SayError> {
    serde_json::to_vec(envelope).map_err(|_| SayError::Incomplete("the envelope has no JSON form"))
}

/// The version that a refusal names as the next one.
#[must_use]
pub fn next_version(status: &Status) -> Option<u64> {
    let detail = Detail::of(status).filter(|detail| detail.reason == "VERSION" || detail.reason == "EQUIVOCATION")?;
    detail.metadata.get("next")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use comity_identity::KeyPair;
    use comity_membership::By;
    use comity_membership::testing::read;
    use comity_proto::error::Failure;
    use tonic::Code;

    use super::*;

    #[tokio::test]
    async fn whoever_asks_for_the_version_signs_nothing_at_a_position_that_anything_can_stand_at() {
        let statement = Statement::Lifted { subject: read("org-a.example"), by: By::Organisation };
        let draft = Draft { federation: Digest::of(b"root"), statement, at: read("2026-11-25") };
        let signed = Mutex::new(Vec::new());
        let submit = async |envelope: Envelope| {
            let version = Payload::peek(&envelope).unwrap().version;
            signed.lock().unwrap().push(version);
            let refusal = Failure::new(Code::Aborted, "VERSION", "another one is next").with("next", 3);
            if version == 3 { Ok(Said::InForce(9)) } else { Err(SayError::Call(Box::new(refusal.into()))) }
        };
        let key = KeyPair::generate().unwrap();
        let said = at_the_version_named(draft, &[&key], submit).await.unwrap();
        assert_eq!((said, signed.into_inner().unwrap()), (Said::InForce(9), vec![0, 3]));
    }
}
