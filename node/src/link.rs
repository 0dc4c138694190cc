//! What the node tells the broker: what it offers, and where it is.

use std::time::Duration;

use comity_client::Connection;
use comity_policy::Offer;
use comity_proto::error::Detail;
use comity_proto::membership::PublishOffersRequest;
use comity_proto::membership::membership_client::MembershipClient;
use comity_types::Name;
use tokio::time::sleep;
use tonic::{Code, Status};

use crate::retry::{Pace, Retry, Trouble};

mod contest;
#[cfg(test)]
mod tests;

pub use contest::Publication;

/// Publishes `offers` of the node at `address`, however many tries it takes; gives the epoch at which they are.
pub async fn publish(connection: &Connection, address: &str, offers: &[Offer], pace: Pace) -> u64 {
    let mut retry = Retry::new(pace);
    loop {
        let status = match try_publish(connection, address, offers, pace.call_deadline).await {
            Ok(epoch) => return epoch,
            Err(status) => status,
        };
        let trouble = Trouble::of(&status);
        if retry.is_news(&trouble) {
            log(&status, &trouble, offers);
        }
        sleep(retry.pause(&trouble)).await;
    }
}

async fn try_publish(
    connection: &Connection,
    address: &str,
    offers: &[Offer],
    deadline: Duration,
) -> Result<u64, Status> {
    let offers = offers.iter().map(Into::into).collect();
    let mut request = tonic::Request::new(PublishOffersRequest { address: address.to_owned(), offers });
    request.set_timeout(deadline);
    let answer = MembershipClient::new(connection.channel()).publish_offers(request).await?;
    Ok(answer.into_inner().epoch)
}

/// A broker that is not there yet is daily business; one that refuses is not, and an offer that it does not accept
/// is for the node's own people to mend.
fn log(status: &Status, trouble: &Trouble, offers: &[Offer]) {
    let (code, reason, said) = (status.code(), trouble.topic(), trouble.said());
    if code == Code::InvalidArgument {
        let (field, offer) = blamed(status, offers);
        let offer = offer.map(Name::as_str);
        tracing::error!(
            offer,
            field,
            reason,
            said,
            "the broker does not accept the offers: correct node.toml and start the node again"
        );
    } else if code == Code::ResourceExhausted {
        tracing::info!(reason, said, "the broker takes no more offers now, publishing them later");
    } else if trouble.is_away() {
        tracing::info!(?code, said, "the broker cannot be reached, offers are not published yet");
    } else {
        tracing::warn!(?code, reason, said, "the broker refuses the offers, trying again");
    }
}

/// The field that the broker names, such as `offers[3].node`, and the offer that it belongs to.
fn blamed<'a>(status: &Status, offers: &'a [Offer]) -> (Option<String>, Option<&'a Name>) {
    let field = Detail::of(status).and_then(|mut detail| detail.metadata.remove("field"));
    let index = field.as_deref().and_then(|field| field.strip_prefix("offers[")?.split_once(']')?.0.parse().ok());
    let offer = index.and_then(|index: usize| offers.get(index)).map(|offer| &offer.id);
    (field, offer)
}
