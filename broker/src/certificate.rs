//! The broker's own certificate: made from the federation's authority, whose key the broker holds, and
//! replaced at half its life, or up to an eighth later. Its key is made anew each time and never leaves memory.

use std::sync::Arc;
use std::time::Duration;

use comity_identity::authority::AuthorityError;
use comity_identity::lifetime::renewal_time;
use comity_identity::request::{KeyError, RequestError};
use comity_identity::tls::CredentialsError;
use comity_identity::{Authority, CertificateDer, Credentials, HostName, KeyPair, SigningRequest};
use comity_runtime::chain;
use comity_types::{Clock, SpiffeId};
use tokio_util::sync::CancellationToken;

/// How often to look whether it is time, at least: also how soon a renewal that failed is tried again.
const CHECK_EVERY: Duration = Duration::from_secs(30);
/// How many times to look within one life of a certificate, at least.
const CHECKS_IN_A_LIFE: u32 = 32;

/// Why the broker has no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// The key cannot be made.
    #[error("cannot make the broker's key")]
    Key(#[from] KeyError),
    /// The request is refused.
    #[error("cannot ask for the broker's certificate")]
    Request(#[from] RequestError),
    /// The federation's authority does not sign.
    #[error("the federation's authority does not sign the broker's certificate")]
    Authority(#[from] AuthorityError),
    /// What was signed cannot be used.
    #[error("the broker's certificate cannot be used")]
    Credentials(#[from] Box<CredentialsError>),
}

/// Makes the broker's certificates.
#[derive(Debug)]
pub struct Issuer {
    /// The federation's authority.
    pub authority: Arc<Authority>,
    /// Whom they name.
    pub id: SpiffeId,
    /// The hosts in them, for clients that check those.
    pub hosts: Vec<HostName>,
    /// How long each lives.
    pub life: Duration,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The certificate in use, and what makes the next one.
#[derive(Debug)]
pub struct OwnCertificate {
    issuer: Issuer,
    credentials: Arc<Credentials>,
}

impl OwnCertificate {
    /// Makes the first one.
    ///
    /// # Errors
    /// The authority does not sign, or no key can be made.
    pub fn new(issuer: Issuer) -> Result<Self, CertificateError> {
        let (chain, key) = issuer.issue()?;
        let credentials = Arc::new(Credentials::new(chain, &key).map_err(boxed)?);
        Ok(Self { issuer, credentials })
    }

    /// Whom it names.
    #[must_use]
    pub const fn id(&self) -> &SpiffeId {
        &self.issuer.id
    }

    /// What TLS uses: always the newest.
    #[must_use]
    pub fn credentials(&self) -> Arc<Credentials> {
        Arc::clone(&self.credentials)
    }

    /// Renews in time, until `stop`.
    pub async fn keep_fresh(self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(CHECK_EVERY.min(self.issuer.life / CHECKS_IN_A_LIFE));
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            if self.issuer.clock.now() >= renewal_time(&self.credentials.leaf()) {
                self.renew();
            }
        }
    }

    /// A failure leaves the old certificate in use, and half its life to try again.
    fn renew(&self) {
        let renewed =
            self.issuer.issue().and_then(|(chain, key)| Ok(self.credentials.replace(chain, &key).map_err(boxed)?));
        match renewed {
            Ok(()) => {
                tracing::info!(not_after = %self.credentials.leaf().not_after, "renewed the broker's certificate");
            }
            Err(error) => tracing::error!(error = chain::text(&error), "cannot renew the broker's certificate"),
        }
    }
}

impl Issuer {
    fn issue(&self) -> Result<(Vec<CertificateDer<'static>>, KeyPair), CertificateError> {
        let key = KeyPair::generate()?;
        let request = SigningRequest::parse(&key.signing_request(&self.id)?)?;
        let issued = self.authority.issue(&request, &self.id, &self.hosts, self.life, self.clock.now())?;
        Ok((issued.chain, key))
    }
}

fn boxed(error: CredentialsError) -> Box<CredentialsError> {
    Box::new(error)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use comity_runtime::tasks::{Closed, Tasks};
    use comity_types::Timestamp;

    use super::*;

    /// A clock that stands still until it is set.
    #[derive(Debug)]
    struct SetClock(Mutex<Timestamp>);

    impl Clock for SetClock {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_certificate_is_replaced_at_half_its_life_and_not_before() {
        let start: Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let clock = Arc::new(SetClock(Mutex::new(start)));
        let authority = Arc::new(Authority::generate("fed.example".parse().unwrap(), start).unwrap());
        let (id, life) = ("spiffe://fed.example/broker/b1".parse().unwrap(), Duration::from_secs(24 * 3600));
        let own = OwnCertificate::new(Issuer { authority, id, hosts: vec![], life, clock: clock.clone() }).unwrap();
        let credentials = own.credentials();
        let first = credentials.leaf();
        let tasks = Tasks::new();
        tasks.spawn("certificate", own.keep_fresh(tasks.token()));

        *clock.0.lock().unwrap() = start.plus(life / 3);
        tokio::time::sleep(CHECK_EVERY * 2).await;
        assert_eq!(credentials.leaf(), first);

        let due = renewal_time(&first);
        assert!(due >= start.plus(life / 2) && due <= start.plus(life * 5 / 8));
        *clock.0.lock().unwrap() = due;
        tokio::time::sleep(CHECK_EVERY * 2).await;
        let second = credentials.leaf();
        assert_eq!(second.id, first.id);
        assert!(due.plus(life).since(second.not_after) < Duration::from_secs(1), "{second:?}");
        assert_ne!(second.public_key, first.public_key);

        assert_eq!(tasks.close(CHECK_EVERY).await, Closed::Drained);
    }
}
