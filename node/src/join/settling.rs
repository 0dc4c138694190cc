//! Waiting until what a node has asked for is decided: `join` for as long as somebody looks on, `run` for as long as it
//! takes. While `run` waits, its health says what for.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use comity_client::enrol::{self, OwnAuthority, Resuming, Told};
use comity_identity::IdentityDir;
use comity_runtime::clock::SystemClock;
use comity_runtime::health::{BEAT, FILE, Health};
use comity_types::Clock as _;
use comity_types::ids::Kind;
use tokio::sync::watch;
use tokio::time::interval;

use super::{JoinError, Joined, joined};
use crate::config::Config;

/// Asks how it stands until it is decided, or `patience` is over. What changes is told once.
///
/// # Errors
/// Operators said no, or what the broker says cannot be used.
pub async fn wait(
    config: &Config,
    patience: Option<Duration>,
    mut tell: impl FnMut(&str),
) -> Result<Joined, JoinError> {
    let (dir, own) = (config.identity_dir(), OwnAuthority::of_workload_api());
    let authority = config.identity.workload_api.as_ref().map(|_| &own);
    let resuming = Resuming { authority, ..Resuming::new(&[Kind::Node], &dir) };
    let mut last = String::new();
    let told = |told: Told| {
        let text = match told {
            Told::Away(why) => format!("the broker is away, asking again: {why}"),
            Told::Stands(state) => joined(state).map(|joined| joined.to_string()).unwrap_or_default(),
        };
        if text != last {
            tell(&text);
            last = text;
        }
    };
    joined(Box::pin(enrol::wait(&resuming, patience, told)).await?)
}

/// Completes what `join` has asked for, however long that takes; at once where nothing waits. The data directory's health
/// file says what it waits for.
///
/// # Errors
/// Operators said no, or what the broker says cannot be used.
pub async fn settle(config: &Config) -> Result<(), JoinError> {
    let dir = config.identity_dir();
    // Whoever asked may have been told by `join`, and somebody else starts the node.
    if let Some(reason) = IdentityDir::unchecked(&dir).rejection()? {
        return Err(JoinError::Rejected { reason });
    }
    if !enrol::has_asked(&dir) {
        return Ok(());
    }
    let (why, said) = watch::channel("this node asks how its enrolment stands".to_owned());
    let waiting = wait(config, None, |text| {
        tracing::info!(said = text, "this node has no identity yet, and waits for it");
        why.send_replace(format!("this node has no identity yet: {text}"));
    });
    let file = config.node.data_dir.join(FILE);
    let settled = tokio::select! {
        settled = waiting => settled,
        never = keep_saying(&file, said) => match never {},
    };
    // Whoever runs the node from here on says how it is.
    let _gone = std::fs::remove_file(&file).is_ok();
    let joined = settled?;
    tracing::info!(said = %joined, "this node has its identity");
    Ok(())
}

/// Says in the health file why the node does not serve, whenever that changes and at every beat.
async fn keep_saying(file: &Path, mut said: watch::Receiver<String>) -> Infallible {
    let mut beat = interval(BEAT);
    loop {
        let why = Some(said.borrow_and_update().clone());
        let (epoch, at) = (0, SystemClock.now());
        let health = Health {
            serving: false,
            why,
            notice: None,
            stale: Vec::new(),
            budgets: BTreeMap::new(),
            epoch,
            heard_at: None,
            at,
        };
        // Where the directory cannot be written, the node says so when it starts.
        let made = file.parent().is_some_and(|folder| std::fs::create_dir_all(folder).is_ok());
        let _written = made && health.write(file).is_ok();
        tokio::select! {
            _ = beat.tick() => {}
            Ok(()) = said.changed() => {}
        }
    }
}
