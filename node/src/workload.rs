//! Certificates that a SPIFFE Workload API hands out: the first before the node runs, each further one when it comes.
//! Keys change with them, and none is ever written to disk.

use std::path::Path;
use std::sync::Arc;

use comity_client::Identity;
use comity_client::workload_api::{Socket, WorkloadApi, WorkloadError};
use comity_identity::IdentityDir;
use comity_types::Clock;
use tokio::time::{sleep, timeout};
use tonic::Status;

use crate::node::NodeError;
use crate::retry::{Pace, Retry, Trouble};

#[cfg(test)]
mod tests;

/// A Workload API that has handed out an identity.
#[derive(Debug)]
pub struct Source {
    socket: Socket,
    api: WorkloadApi,
}

/// Opens the identity in `dir`, whose key and certificate are the API's.
///
/// # Errors
/// The directory holds no identity, or the API has not the one that it names.
pub async fn open(dir: &Path, socket: &Socket, clock: Arc<dyn Clock>) -> Result<(Identity, Source), NodeError> {
    let id = IdentityDir::open_without_key(dir).and_then(|dir| dir.identity())?.spiffe_id;
    let mut api = WorkloadApi::open(socket).await?;
    let credentials = Arc::new(api.credentials(&id).await?);
    let identity = Identity::open_with_credentials(dir, credentials, clock)?;
    Ok((identity, Source { socket: socket.clone(), api }))
}

impl Source {
    /// Takes each fresh identity into use, for ever. While the API is away, the last one stays in use.
    pub async fn follow(self, identity: &Identity, pace: Pace) {
        let Self { socket, api } = self;
        let (mut open, mut retry) = (Some(api), Retry::new(pace));
        loop {
            let Err(error) = follow_once(open.take(), &socket, identity, pace, &mut retry).await;
            let trouble = trouble(&error);
            if retry.is_news(&trouble) {
                let (said, not_after) = (trouble.said(), identity.leaf().not_after);
                tracing::warn!(said, %not_after, "the Workload API hands out nothing new, asking again");
            }
            sleep(retry.pause(&trouble)).await;
        }
    }
}

/// One stream, to its end.
async fn follow_once(
    open: Option<WorkloadApi>,
    socket: &Socket,
    identity: &Identity,
    pace: Pace,
    retry: &mut Retry,
) -> Result<std::convert::Infallible, WorkloadError> {
    let mut api = match open {
        Some(api) => api,
        None => {
            let mut api = WorkloadApi::open(socket).await?;
            // The first answer comes at once.
            timeout(pace.call_deadline, api.renew(identity.credentials()))
                .await
                .unwrap_or(Err(WorkloadError::Ended))?;
            api
        }
    };
    loop {
        retry.worked();
        api.renew(identity.credentials()).await?;
        tracing::info!(not_after = %identity.leaf().not_after, "took a fresh certificate from the Workload API");
    }
}

/// An agent that restarts is away; one that knows this node no more is for people to mend.
fn trouble(error: &WorkloadError) -> Trouble {
    if let WorkloadError::Refused(status) = error {
        Trouble::of(status)
    } else if error.is_away() {
        Trouble::of(&Status::unavailable(crate::error_chain(error)))
    } else {
        Trouble::unusable(error)
    }
}
