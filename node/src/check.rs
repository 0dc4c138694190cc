//! Tries backends and offers, and says all that is wrong before anybody else sees it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use comity_identity::IdentityDir;
use comity_types::{Name, SpiffeId};
use tokio::time::timeout;

use crate::backend::{Backend, Fault, Model};
use crate::config::{BackendConfig, Config, Misfit, Planned};
use crate::node::load_backend;

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
    let mut misfits = Vec::new();
    let planned = config.plan(&identity(config)).unwrap_or_else(|found| {
        misfits.extend(found);
        Vec::new()
    });
    let mut tried = BTreeMap::new();
    for (name, backend) in &config.backends {
        if !backend.misfits().is_empty() {
            continue; // The plan has said so.
        }
        match try_backend(backend).await {
            Ok(answer) => {
                tried.insert(name.clone(), answer);
            }
            Err(problem) => misfits.push(Misfit { path: format!("backends.{name}"), problem }),
        }
    }
    misfits.extend(planned.iter().flat_map(|offer| check_offer(offer, &tried)));
    misfits
}

/// The misfits as a table for people.
#[must_use]
pub fn table(misfits: &[Misfit]) -> String {
    let head = "WHERE";
    let width = misfits.iter().map(|misfit| misfit.path.len()).chain([head.len()]).max().unwrap_or_default();
    let mut text = format!("{head:width$}  WHAT IS WRONG\n");
    for Misfit { path, problem } in misfits {
        let problem = problem.replace('\n', &format!("\n{:width$}  ", ""));
        // Writing to a string does not fail.
        let _written = writeln!(text, "{path:width$}  {problem}").is_ok();
    }
    text
}

fn identity(config: &Config) -> SpiffeId {
    let joined =
        IdentityDir::open(config.identity_dir()).and_then(|dir| dir.identity()).map(|identity| identity.spiffe_id);
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
    let place = config.url.as_ref().map(|url| format!(" at {url}")).unwrap_or_default();
    let hint = if *fault == Fault::Unreachable {
        "start the server, or correct `url`"
    } else if matches!(fault, Fault::Unauthorised { .. }) {
        "correct `api_key_file` or `api_key_env`"
    } else {
        "look at the server's log"
    };
    format!("{fault}{place}\nhint: {hint}")
}

fn check_offer(planned: &Planned, tried: &BTreeMap<Name, Tried>) -> Vec<Misfit> {
    let Some(Tried { backend, models }) = tried.get(&planned.backend) else { return Vec::new() };
    let misfit =
        |field: &str, problem: String| Misfit { path: format!("offers.{}.{field}", planned.offer.id), problem };
    let mut misfits = Vec::new();
    let possible = backend.capabilities();
    for capability in planned.offer.capabilities.difference(&possible) {
        let problem = format!("a backend of this kind does not have {capability:?}: remove it");
        misfits.push(misfit("capabilities", problem));
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

/// A model inside this process is the only one of its backend, whatever the offer calls it.
fn is_embedded(models: Option<&[Model]>) -> bool {
    matches!(models, Some([Model { sha256: Some(_), .. }]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stand_in_is_a_node() {
        assert_eq!(NOT_JOINED.parse::<SpiffeId>().unwrap().kind(), comity_types::ids::Kind::Node);
    }

    #[test]
    fn the_table_aligns_places_and_the_lines_of_problems() {
        let misfits = [
            Misfit { path: "offers.a.terms".into(), problem: "missing".into() },
            Misfit { path: "b".into(), problem: "down\nhint: start it".into() },
        ];
        let expected = "WHERE           WHAT IS WRONG\noffers.a.terms  missing\nb               down\n                hint: start it\n";
        assert_eq!(table(&misfits), expected);
    }

    #[tokio::test]
    async fn a_model_file_that_is_missing_is_named_once_with_what_to_do() {
        let toml = r#"
            [node]
            listen = "127.0.0.1:0"
            data_dir = "no-such-folder"
            [backends.text]
            kind = "embedded-text"
            path = "no-such.gguf"
        "#;
        let misfits = check(&Config::parse(toml).unwrap()).await;
        let problem = &misfits.iter().find(|misfit| misfit.path == "backends.text").unwrap().problem;
        assert_eq!(problem.matches("cannot read the model no-such.gguf").count(), 1, "{problem}");
        assert!(problem.contains("No such file") && problem.contains("\nhint: `comity-node model fetch"), "{problem}");
    }

    #[tokio::test]
    async fn an_embedded_model_that_should_chat_and_a_server_that_is_down_are_found() {
        let toml = r#"
            [node]
            listen = "127.0.0.1:0"
            data_dir = "no-such-folder"
            [backends.small]
            kind = "embedded-embeddings"
            [backends.server]
            kind = "openai"
            url = "http://127.0.0.1:9/v1"
            [terms.standard]
            retention = []
            training_use = "never"
            allowed_purposes = ["dpv:Purpose"]
            caller_rules = { served = "everyone" }
            [[offers]]
            id = "embed"
            model = "small"
            backend = "small"
            capabilities = ["embed", "chat"]
            processing_locations = ["DE"]
            sub_processors = []
            licence = "Apache-2.0"
            terms = "standard"
        "#;
        let misfits = check(&Config::parse(toml).unwrap()).await;
        let paths: Vec<_> = misfits.iter().map(|misfit| misfit.path.as_str()).collect();
        assert_eq!(paths, ["backends.server", "offers.embed.capabilities"], "{misfits:?}");
        assert!(misfits[0].problem.contains("127.0.0.1:9"), "{}", misfits[0].problem);
    }
}
