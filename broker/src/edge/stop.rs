//! The broker's last word to calls that still run when its drain has ended.

#[cfg(test)]
mod tests;

use comity_proto::error::Failure;
use tokio_util::sync::CancellationToken;
use tonic::Code;

/// Ends the calls that still run. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub struct Stop(CancellationToken);

impl Stop {
    /// Ends them, now.
    pub fn end_calls(&self) {
        self.0.cancel();
    }

    /// Resolves, to what the caller is told, when calls have to end.
    pub async fn reached(self) -> Failure {
        self.0.cancelled().await;
        let message = "the broker stops, and this call had not ended by then (hint: ask again)";
        Failure::new(Code::Unavailable, "BROKER_STOPPING", message)
    }
}
