//! Tries backends and offers, and says all that is wrong before anybody else sees it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::IdentityDir;
use comity_policy::Capability;
use comity_runtime::chain;
use comity_types::{Name, SpiffeId};
use tokio::time::timeout;

use crate::backend::openai::shown;
use crate::backend::{Backend, Fault, Model};
use crate::config::{BackendConfig, Config, Misfit, Planned};
use crate::node::{NodeError, load_backend};

mod probe;
#[cfg(test)]
mod tests;

/// How long a backend may take to list its models.
const PATIENCE: Duration = Duration::from_secs(10);
/// Stands for the node's name until it has joined.
const NOT_JOINED: &str = "spiffe://not-joined.example/node/this";
/// The status of a server that lists no models; not all do.
const NOT_FOUND: u16 = 404;

/// A backend that answers.
struct Tried {
    backend: Arc<dyn Backend>,
    /// Its models; unknown if it does not list them.
    models: Option<Vec<Model>>,
}

/// Everything that is wrong; nothing if the node could run.
pub async fn check(config: &Config) -> Vec<Misfit> {
    let (planned, mut misfits) = plan_in(config);
    let mut tried = BTreeMap::new();
    for (name, backend) in &config.backends {
        if !backend.misfits().is_empty() {
            continue; // The plan has said so.
        }
        match try_backend(backend).await {
            Ok(answer) => {
                tried.insert(name.clone(), answer);
            }
            Err(problem) => misfits.push(Misfit::new(format!("backends.{name}"), problem)),
        }
    }
    for offer in &planned {
        misfits.extend(try_offer(offer, config, &tried).await);
    }
    config.placed(misfits)
}

/// What is wrong with the file by itself: nobody is asked, and no identity is needed, so that whoever waits to be let in need
/// not wait to learn it.
///
/// # Errors
/// All misfits, in the file's order.
pub fn alone(config: &Config) -> Result<(), NodeError> {
    let (_, misfits) = plan_in(config);
    if misfits.is_empty() { Ok(()) } else { Err(NodeError::Misfits { misfits: config.placed(misfits) }) }
}

/// What would be offered, and what stands against it.
fn plan_in(config: &Config) -> (Vec<Planned>, Vec<Misfit>) {
    let mut misfits: Vec<_> = writable(&config.node.data_dir).err().into_iter().collect();
    let planned = plan(config).unwrap_or_else(|found| {
        misfits.extend(found);
        Vec::new()
    });
    (planned, misfits)
}

/// What would be offered; which codes there are, the tables say.
fn plan(config: &Config) -> Result<Vec<Planned>, Vec<Misfit>> {
    let unusable = |error| vec![Misfit::new("node.tables", chain::text(&error))];
    config.plan(&identity(config), &*config.tables().map_err(unusable)?)
}

/// The misfits as a table for people.
#[must_use]
pub fn table(misfits: &[Misfit]) -> String {
    let line = |misfit: &Misfit| misfit.line.map(|line| line.to_string()).unwrap_or_default();
    let width =
        |head: &str, cell: &dyn Fn(&Misfit) -> usize| misfits.iter().map(cell).max().max(Some(head.len())).unwrap_or(0);
    let (lines, paths) = (width("LINE", &|misfit| line(misfit).len()), width("WHERE", &|misfit| misfit.path.len()));
    let mut text = format!("{:lines$}  {:paths$}  WHAT IS WRONG\n", "LINE", "WHERE");
    for misfit in misfits {
        let problem = misfit.problem.replace('\n', &format!("\n{:lines$}  {:paths$}  ", "", ""));
        // Writing to a string does not fail.
        let _written = writeln!(text, "{:>lines$}  {:paths$}  {problem}", line(misfit), misfit.path).is_ok();
    }
    text
}

/// Writes a file where the data directory is, or would be made, and removes it.
fn writable(data_dir: &Path) -> Result<(), Misfit> {
    let there = data_dir.ancestors().find(|folder| folder.as_os_str().is_empty() || folder.exists());
    let folder = there.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let file = folder.join(format!(".comity-check-{}", std::process::id()));
    std::fs::write(&file, "").and_then(|()| std::fs::remove_file(&file)).map_err(|error| {
        let hint = "name a folder that the node's user may write";
        let problem = format!("nothing can be written in {}: {error}\nhint: {hint}", folder.display());
        Misfit::new("node.data_dir", problem)
    })
}

fn identity(config: &Config) -> SpiffeId {
    let is_elsewhere = config.identity.workload_api.is_some();
    let open = if is_elsewhere { IdentityDir::open_without_key } else { IdentityDir::open };
    let joined = open(config.identity_dir()).and_then(|dir| dir.identity()).map(|identity| identity.spiffe_id);
    #[expect(clippy::expect_used, reason = "a test reads the constant")]
    joined.unwrap_or_else(|_| NOT_JOINED.parse().expect("NOT_JOINED is a SPIFFE ID"))
}

async fn try_backend(config: &BackendConfig) -> Result<Tried, String> {
    let backend = load_backend(config.clone()).await.map_err(|error| crate::error_chain(&error))?;
    let listed = timeout(PATIENCE, backend.models()).await.unwrap_or(Err(Fault::Stalled { after: PATIENCE }));
    match listed {
        Ok(models) => Ok(Tried { backend, models: Some(models) }),
        Err(Fault::Refused { status: NOT_FOUND }) => Ok(Tried { backend, models: None }),
        Err(fault) => Err(describe(config, &fault)),
    }
}

fn describe(config: &BackendConfig, fault: &Fault) -> String {
    format!("{fault}{}\nhint: {}", place(config), hint(fault))
}

/// Where the backend is, without what is secret in its URL.
fn place(config: &BackendConfig) -> String {
    config.url.as_ref().map(|url| format!(" at {}", shown(url))).unwrap_or_default()
}

const fn hint(fault: &Fault) -> &'static str {
    match fault {
        Fault::Unreachable => "start the server, or correct `url`",
        Fault::Unauthorised { .. } => "correct `api_key_file` or `api_key_env`",
        Fault::Malformed { .. } => "correct `url`: what is there does not speak OpenAI's API",
        Fault::RateLimited { .. }
        | Fault::Failed { .. }
        | Fault::Refused { .. }
        | Fault::Truncated
        | Fault::TooLarge { .. }
        | Fault::Stalled { .. }
        | Fault::Invalid { .. }
        | Fault::Unsupported { .. }
        | Fault::Busy { .. }
        | Fault::PromptTooLong { .. }
        | Fault::Model { .. } => "look at the server's log",
    }
}

/// What does not fit, and where everything does, whether the backend answers.
async fn try_offer(planned: &Planned, config: &Config, tried: &BTreeMap<Name, Tried>) -> Vec<Misfit> {
    let misfits = check_offer(planned, tried);
    let known = tried.get(&planned.backend).zip(config.backends.get(&planned.backend));
    let Some((tried, backend)) = known.filter(|_| misfits.is_empty()) else { return misfits };
    let path = format!("offers.{}", planned.offer.id);
    let problems = probe::probe(planned, &*tried.backend, backend).await;
    problems.into_iter().map(|problem| Misfit::new(path.clone(), problem)).collect()
}

fn check_offer(planned: &Planned, tried: &BTreeMap<Name, Tried>) -> Vec<Misfit> {
    let Some(Tried { backend, models }) = tried.get(&planned.backend) else { return Vec::new() };
    let misfit = |field: &str, problem: String| Misfit::new(format!("offers.{}.{field}", planned.offer.id), problem);
    let mut misfits = Vec::new();
    let possible = backend.capabilities();
    for capability in planned.offer.capabilities.difference(&possible) {
        let problem = format!("a backend of this kind does not have {capability:?}: remove it");
        misfits.push(misfit("capabilities", problem));
    }
    if let Some(way) = way_without_chat(planned) {
        misfits.push(misfit("capabilities", format!("{way:?} is a way to chat: add \"chat\", or remove it")));
    }
    if let Some(names) =
        models.as_ref().map(|models| models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>())
        && !names.contains(&planned.backend_model.as_str())
        && !is_embedded(models.as_deref())
    {
        let problem = format!(
            "the backend has no model {:?}, it has {}: correct `backend_model`",
            planned.backend_model,
            names.join(", ")
        );
        misfits.push(misfit("backend_model", problem));
    }
    misfits
}

/// A capability that means nothing where a model neither chats nor is forwarded to.
fn way_without_chat(planned: &Planned) -> Option<Capability> {
    use Capability::{Chat, Embed, Forward};
    let capabilities = &planned.offer.capabilities;
    let talks = capabilities.contains(&Chat) || capabilities.contains(&Forward);
    capabilities.iter().copied().find(|way| !talks && !matches!(way, Chat | Embed | Forward))
}

/// A model inside this process is the only one of its backend, whatever the offer calls it.
fn is_embedded(models: Option<&[Model]>) -> bool {
    matches!(models, Some([Model { sha256: Some(_), .. }]))
}
