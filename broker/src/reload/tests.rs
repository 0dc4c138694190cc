//! What a configuration that is read again changes, and what it does not.

use futures::stream;

use super::*;
use crate::testing::Scene;

type Change = (&'static str, fn(&mut Config));

/// Every field that can change.
const CHANGES: &[Change] = &[
    ("log.filter", |config| config.log.filter = "debug".into()),
    ("limits.in_flight", |config| config.limits.in_flight += 1),
    ("limits.in_flight_per_organisation", |config| config.limits.in_flight_per_organisation += 1),
    ("limits.connections", |config| config.limits.connections += 1),
    ("limits.tunnels", |config| config.limits.tunnels += 1),
    ("leaf.node", |config| config.leaf.node /= 2),
    ("leaf.app", |config| config.leaf.app /= 2),
    ("leaf.operator", |config| config.leaf.operator /= 2),
    ("drain", |config| config.drain *= 2),
];
/// Some that cannot, of every kind.
const FIXED: &[Change] = &[
    ("listen", |config| config.listen = "127.0.0.1:1".parse().unwrap()),
    ("places", |config| config.places.clear()),
    ("log.format", |config| config.log.format = comity_runtime::telemetry::LogFormat::Json),
    ("limits.request_bytes", |config| config.limits.request_bytes += 1),
    ("leaf.broker", |config| config.leaf.broker /= 2),
    ("access_log", |config| config.access_log = Some(comity_runtime::access_log::Config::default())),
    ("commit", |config| config.commit = crate::config::Commit::Overlapped),
];

#[test]
fn each_field_is_named_once_as_one_that_can_change_or_as_one_that_cannot() {
    let config = Scene::founded().config();
    for (name, change) in CHANGES {
        let mut new = config.clone();
        change(&mut new);
        assert_eq!((fixed(&config, &new), changed(&config, &new)), (vec![], vec![*name]));
    }
    for (name, change) in FIXED {
        let mut new = config.clone();
        change(&mut new);
        assert_eq!((fixed(&config, &new), changed(&config, &new)), (vec![*name], vec![]));
    }
}

#[test]
fn the_document_lists_what_can_change() {
    let document = include_str!("../../../docs/operations.md");
    let listed: Vec<_> = document
        .lines()
        .skip_while(|line| !line.starts_with("| of broker.toml |"))
        .skip(2)
        .map_while(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert_eq!(listed, CHANGES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_configuration_that_is_wrong_or_needs_a_restart_changes_nothing_and_the_next_good_one_counts() {
    let scene = Scene::founded();
    let config = scene.config();
    let broker =
        crate::Broker::build_with_clocks(config.clone(), scene.clock.clone(), scene.clock.clone()).await.unwrap();
    let live = broker.live();
    let apply = |change: &dyn Fn(&mut Config)| {
        let mut new = config.clone();
        change(&mut new);
        live.apply(new, &Filter::default())
    };
    let refused = apply(&|config| {
        config.drain *= 2;
        config.commit = crate::config::Commit::Overlapped;
        config.replica = "b2".parse().unwrap();
    });
    assert_eq!(
        refused.unwrap_err().to_string(),
        "replica, commit cannot change while the broker runs (hint: restart it, or take the change back)"
    );
    assert_eq!(live.drain(), config.drain);
    assert_eq!(apply(&|config| config.drain *= 2).unwrap(), ["drain"]);
    assert_eq!(live.drain(), config.drain * 2);
    let _unserved = broker;
}

#[tokio::test]
async fn what_becomes_of_a_reload_is_counted() {
    let scene = Scene::founded();
    let config = scene.config();
    let broker =
        crate::Broker::build_with_clocks(config.clone(), scene.clock.clone(), scene.clock.clone()).await.unwrap();
    let (live, stop) = (broker.live(), CancellationToken::new());
    let versions = Mutex::new(vec![
        Err(ConfigError::Values { path: "broker.toml".into(), problems: Vec::new() }),
        Ok(config.clone()),
    ]);
    let load = Box::new(move || versions.lock().unwrap().pop().unwrap());
    live.clone().follow(Reloads { asked: stream::iter([(), ()]).boxed(), load, filter: Filter::default() }, stop).await;
    let count = |outcome| live.0.parts.metrics.count_reloads(outcome);
    assert_eq!((count("applied"), count("refused")), (1, 1));
    let _unserved = broker;
}
