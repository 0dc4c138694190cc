//! Fresh certificates, in time and for the same key: listeners and connections use them from their next handshake on,
//! and calls that run are not touched.

use std::time::Duration;

use comity_client::Identity;
use comity_client::enrol::{self, EnrolError};
use comity_identity::lifetime::renewal_time;
use comity_types::Timestamp;
use tokio::time::{sleep, timeout};
use tonic::Status;

use crate::retry::{Pace, Retry, Trouble};

#[cfg(test)]
mod tests;

/// How many times to look at the certificate between its renewal and its end, at least.
const LOOKS_IN_A_LIFE: u32 = 16;

/// Renews the certificate whenever it is due, for ever.
pub async fn renew(identity: &Identity, pace: Pace) {
    let mut retry = Retry::new(pace);
    loop {
        if enrol::renew_due(identity, identity.clock().now())
            && let Err(error) = try_renew(identity, pace).await
        {
            let trouble = trouble(&error);
            if retry.is_news(&trouble) {
                log(&trouble, identity.leaf().not_after);
            }
            sleep(retry.pause(&trouble)).await;
            continue;
        }
        retry.worked();
        sleep(pace.look.min(spare(identity) / LOOKS_IN_A_LIFE)).await;
    }
}

/// Between the renewal and the end of the certificate in use.
fn spare(identity: &Identity) -> Duration {
    let leaf = identity.leaf();
    leaf.not_after.since(renewal_time(&leaf))
}

async fn try_renew(identity: &Identity, pace: Pace) -> Result<(), EnrolError> {
    let late = |_| EnrolError::from(Status::deadline_exceeded("the broker does not answer"));
    let not_after = timeout(pace.call_deadline, enrol::renew(identity)).await.map_err(late)??;
    tracing::info!(%not_after, "renewed the certificate");
    Ok(())
}

fn trouble(error: &EnrolError) -> Trouble {
    if let EnrolError::Call(status) = error { Trouble::of(status) } else { Trouble::unusable(error) }
}

/// While the certificate holds nothing is lost yet, but it is people who mend a refusal.
fn log(trouble: &Trouble, not_after: Timestamp) {
    let (reason, said) = (trouble.topic(), trouble.said());
    tracing::warn!(reason, said, %not_after, "the certificate could not be renewed, trying again");
}
