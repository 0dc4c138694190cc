//! What the node tells the broker: what it offers and where it is, and in time, that it needs a fresh certificate.

use std::time::Duration;

use comity_client::{Connection, Identity, enrol};
use comity_policy::Offer;
use comity_proto::error::Detail;
use comity_proto::membership::PublishOffersRequest;
use comity_proto::membership::membership_client::MembershipClient;
use tokio::time::sleep;
use tonic::{Code, Status};

use crate::backoff::Backoff;

/// How often the certificate's age is looked at: often enough for certificates of minutes, as tests have them.
const RENEWAL_CHECK: Duration = Duration::from_secs(5);
/// How long one attempt to publish may take.
const PUBLISH_DEADLINE: Duration = Duration::from_secs(30);

/// Publishes `offers` of the node at `address`, however many tries it takes; gives the epoch at which they are.
pub async fn publish(connection: &Connection, address: &str, offers: &[Offer]) -> u64 {
    let mut backoff = Backoff::default();
    loop {
        match try_publish(connection, address, offers).await {
            Ok(epoch) => return epoch,
            Err(status) => log(&status),
        }
        sleep(backoff.next_pause()).await;
    }
}

async fn try_publish(connection: &Connection, address: &str, offers: &[Offer]) -> Result<u64, Status> {
    let offers = offers.iter().map(Into::into).collect();
    let mut request = tonic::Request::new(PublishOffersRequest { address: address.to_owned(), offers });
    request.set_timeout(PUBLISH_DEADLINE);
    let answer = MembershipClient::new(connection.channel()).publish_offers(request).await?;
    Ok(answer.into_inner().epoch)
}

/// A broker that is not there yet is daily business; one that refuses is not.
fn log(status: &Status) {
    let reason = Detail::of(status).map(|detail| detail.reason).unwrap_or_default();
    let (code, said) = (status.code(), status.message());
    if matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled) {
        tracing::info!(?code, said, "the broker cannot be reached, offers are not published yet");
    } else {
        tracing::warn!(?code, reason, said, "the broker refuses the offers, trying again");
    }
}

/// Renews the certificate whenever it is due, for ever.
pub async fn renew(identity: &Identity) {
    let mut backoff = Backoff::default();
    loop {
        if !enrol::renew_due(identity, identity.clock().now()) {
            sleep(RENEWAL_CHECK).await;
            continue;
        }
        match enrol::renew(identity).await {
            Ok(not_after) => {
                backoff = Backoff::default();
                tracing::info!(%not_after, "renewed the certificate");
            }
            Err(error) => {
                tracing::warn!(
                    error = crate::error_chain(&error),
                    "the certificate could not be renewed, trying again"
                );
                sleep(backoff.next_pause()).await;
            }
        }
    }
}
