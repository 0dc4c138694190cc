//! A statement that was read, and whose signatures were verified, before it has a place.
//!
//! Reading and verifying cost the more the longer a statement is, and need no order. What is left to whoever gives
//! statements their places is to look whether what it says fits the state of that moment.

use comity_transparency::{Envelope, Examined};
use comity_types::Digest;

use crate::authority::Authority;
use crate::federation::Federation;
use crate::signed::{Payload, Unreadable};
use crate::statement::Statement;

/// A statement, its signatures, and what was found of them.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(crate) examined: Examined,
    pub(crate) payload: Payload,
    pub(crate) digest: Digest,
    /// The envelope as it stands in an entry.
    pub(crate) json: String,
}

impl Federation {
    /// Reads a statement, and verifies the signatures of those who would have to sign it now. Says nothing about whether
    /// they suffice: that is for its place.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn prepare(&self, envelope: Envelope) -> Result<Prepared, Unreadable> {
        let payload = Payload::peek(&envelope)?;
        let json = serde_json::to_string(&envelope)?;
        let digest = envelope.payload_digest();
        // About somebody who is not there yet: whoever signs then is looked at then.
        let examined = match Authority::of(&payload.statement, self) {
            Ok(authority) => Examined::new(envelope, authority.keys()),
            Err(_) => Examined::new(envelope, []),
        };
        Ok(Prepared { examined, payload, digest, json })
    }
}

impl Prepared {
    /// What it says.
    #[must_use]
    pub const fn statement(&self) -> &Statement {
        &self.payload.statement
    }

    /// What is known of it by everybody: the digest of its payload.
    #[must_use]
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The envelope.
    #[must_use]
    pub const fn envelope(&self) -> &Envelope {
        self.examined.envelope()
    }

    /// The envelope, as it came.
    #[must_use]
    pub fn into_envelope(self) -> Envelope {
        self.examined.into_envelope()
    }
}
