//! Opens the backends, and puts each offer before its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use comity_policy::Claim;
use comity_types::{Digest, Name};

use super::NodeError;
use crate::backend::Backend;
use crate::config::{BackendConfig, BackendError, Config, Kind, Planned};
use crate::serve::{Places, Route, Routes};

/// A backend that is open.
#[derive(Debug)]
pub(super) struct Opened {
    backend: Arc<dyn Backend>,
    /// The models that run in this process, with their digests.
    models: Vec<crate::backend::Model>,
}

/// Opens every backend. Loading a model takes seconds, so that it does not happen on the runtime's own threads.
pub(super) async fn open(config: &Config) -> Result<BTreeMap<Name, Opened>, NodeError> {
    let mut opened = BTreeMap::new();
    for (name, backend) in &config.backends {
        opened.insert(name.clone(), open_one(name, backend.clone()).await?);
    }
    Ok(opened)
}

async fn open_one(name: &Name, config: BackendConfig) -> Result<Opened, NodeError> {
    let failed = |source| NodeError::Backend { name: name.to_string(), source };
    let kind = config.kind;
    let backend = load(config).await.map_err(failed)?;
    let models = match kind {
        // A server's models are not files of ours; whether it answers is for `check` to say.
        Kind::Openai => Vec::new(),
        Kind::EmbeddedText | Kind::EmbeddedEmbeddings => {
            backend.models().await.map_err(|fault| failed(BackendError::Fault(fault)))?
        }
    };
    Ok(Opened { backend, models })
}

/// Sets a backend up, on a thread of its own.
pub(crate) async fn load(config: BackendConfig) -> Result<Arc<dyn Backend>, BackendError> {
    let opened = tokio::task::spawn_blocking(move || config.open()).await;
    opened.unwrap_or(Err(BackendError::Fault(crate::backend::Fault::Model { step: "loading" })))
}

/// The offers before their backends, with the digests of their models.
pub(super) fn routes(planned: Vec<Planned>, backends: &BTreeMap<Name, Opened>) -> Routes {
    let route = |Planned { mut offer, backend, backend_model, max_in_flight }: Planned| {
        let opened = backends.get(&backend)?;
        if let Some(digest) = digest(&opened.models, &backend_model) {
            offer.model_digest = Some(Claim::always(digest));
        }
        Some(Route { offer, backend: Arc::clone(&opened.backend), backend_model, places: Places::new(max_in_flight) })
    };
    planned.into_iter().filter_map(route).collect()
}

/// An embedded backend has one model, whatever the file calls it.
fn digest(models: &[crate::backend::Model], name: &str) -> Option<Digest> {
    let named = models.iter().find(|model| model.name == name);
    let only = || models.first().filter(|_| models.len() == 1);
    named.or_else(only)?.sha256
}
