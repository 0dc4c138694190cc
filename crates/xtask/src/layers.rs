//! `cargo xtask layers`: who may import whom, from `cargo metadata`.
//!
//! Adding a crate: 1. its row in [`LAYERS`], 2. why it is a crate, in docs/decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::process::{cargo, output};

/// What a member may import of the workspace, itself left out. A member without a row is an error.
const LAYERS: &[(&str, &[&str])] = &[
    ("comity-types", &[]),
    ("comity-policy", &["comity-types"]),
    ("comity-transparency", &["comity-types"]),
    ("comity-membership", &["comity-types", "comity-policy", "comity-transparency"]),
    ("comity-identity", &["comity-types", "comity-transparency"]),
    ("comity-proto", BELOW_PROTO),
    ("comity-runtime", BELOW_RUNTIME),
    ("comity-client", BELOW_CLIENT),
    ("comity-witness", &["comity-types", "comity-transparency", "comity-runtime"]),
    ("comity-broker", PROGRAM),
    ("comity-node", PROGRAM),
    ("comity-cli", PROGRAM),
    ("comity-tests", TESTS),
    ("comity-bench", &["comity-types", "comity-policy"]),
    ("comity-fuzz", &["comity-types", "comity-policy"]),
    ("comity-faults", &["comity-types", "comity-transparency", "comity-runtime", "comity-broker"]),
    ("xtask", &["comity-policy", "comity-fuzz"]),
];
/// What the contract may import.
const BELOW_PROTO: &[&str] =
    &["comity-types", "comity-policy", "comity-transparency", "comity-membership", "comity-identity"];
/// What the programs' skeleton may import.
const BELOW_RUNTIME: &[&str] =
    &["comity-types", "comity-policy", "comity-transparency", "comity-membership", "comity-identity", "comity-proto"];
/// What the SDK may import.
const BELOW_CLIENT: &[&str] = &[
    "comity-types",
    "comity-policy",
    "comity-transparency",
    "comity-membership",
    "comity-identity",
    "comity-proto",
    "comity-runtime",
];
/// What a program may import: every crate, and never another program.
const PROGRAM: &[&str] = &[
    "comity-types",
    "comity-policy",
    "comity-transparency",
    "comity-membership",
    "comity-identity",
    "comity-proto",
    "comity-runtime",
    "comity-client",
    "comity-witness",
];
/// What the tests may import: what programs may, and the synthetic federations that measurements decide over.
const TESTS: &[&str] = &[
    "comity-types",
    "comity-policy",
    "comity-membership",
    "comity-transparency",
    "comity-identity",
    "comity-proto",
    "comity-runtime",
    "comity-client",
    "comity-witness",
    "comity-bench",
];
/// The crates that neither wait, nor speak to anyone, nor know what a message looks like on the wire.
const PURE: &[&str] = &["comity-types", "comity-policy", "comity-transparency", "comity-membership"];
/// What pure crates must not have among their dependencies, however far down.
const IMPURE: &[&str] = &["tokio", "tonic", "prost", "rustls", "hyper"];
/// Packages that one member alone may name, and why.
const HOMES: &[(&str, &str, &str)] = &[
    ("rcgen", "comity-identity", "certificates are issued in one place"),
    ("dashmap", "comity-broker", "guards across await are easy to get wrong"),
];
/// Who plays the programs of others, and does with such packages what ours would not: sign for whom it likes.
const STRANGERS: &str = "comity-tests";

/// Checks the workspace.
///
/// # Errors
/// If there is an edge that must not be; all of them are named.
pub(crate) fn run(root: &Path) -> Result<()> {
    let host = host()?;
    let json = output(cargo(root).args(["metadata", "--locked", "--format-version", "1", "--filter-platform", &host]))?;
    let metadata: Metadata = serde_json::from_slice(&json).context("cargo metadata changed its format")?;
    let faults = faults(&graph(&metadata));
    if !faults.is_empty() {
        bail!("{} forbidden imports (DESIGN, \"Workspace\"):\n  {}", faults.len(), faults.join("\n  "));
    }
    Ok(())
}

/// The platform that we run on, so that packages of other platforms are not downloaded.
pub(crate) fn host() -> Result<String> {
    let version = String::from_utf8(output(std::process::Command::new("rustc").arg("-vV"))?)?;
    version
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .map(str::to_owned)
        .context("rustc does not name its host")
}

/// What is read of `cargo metadata`.
#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: BTreeSet<String>,
    resolve: Resolve,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    pkg: String,
    dep_kinds: Vec<DependencyKind>,
}

#[derive(Deserialize)]
struct DependencyKind {
    kind: Option<String>,
}

/// The packages by name, with what they import.
#[derive(Debug, Default)]
struct Graph {
    members: BTreeSet<String>,
    /// Every import, of tests and build scripts too.
    all: BTreeMap<String, BTreeSet<String>>,
    /// What ends up in the program.
    normal: BTreeMap<String, BTreeSet<String>>,
}

fn graph(metadata: &Metadata) -> Graph {
    let names: BTreeMap<&str, &str> =
        metadata.packages.iter().map(|package| (package.id.as_str(), package.name.as_str())).collect();
    let name = |id: &str| names.get(id).map_or_else(|| id.to_owned(), |name| (*name).to_owned());
    let mut graph =
        Graph { members: metadata.workspace_members.iter().map(|id| name(id)).collect(), ..Graph::default() };
    for node in &metadata.resolve.nodes {
        for dependency in &node.deps {
            let (from, to) = (name(&node.id), name(&dependency.pkg));
            if dependency.dep_kinds.iter().any(|kind| kind.kind.is_none()) {
                graph.normal.entry(from.clone()).or_default().insert(to.clone());
            }
            graph.all.entry(from).or_default().insert(to);
        }
    }
    graph
}

/// Every edge that must not be, as a sentence.
fn faults(graph: &Graph) -> Vec<String> {
    let mut faults = Vec::new();
    for member in &graph.members {
        let Some((_, allowed)) = LAYERS.iter().find(|(name, _)| name == member) else {
            faults.push(format!("{member} has no row in LAYERS"));
            continue;
        };
        for import in graph.all.get(member).into_iter().flatten() {
            if graph.members.contains(import) && import != member && !allowed.contains(&import.as_str()) {
                faults.push(format!("{member} must not import {import}"));
            }
            for (package, home, why) in HOMES {
                if import == package && member != home && member != STRANGERS {
                    faults.push(format!("{member} must not import {package}, only {home} may: {why}"));
                }
            }
        }
    }
    for member in PURE {
        let below = reachable(graph, member);
        for impure in IMPURE.iter().filter(|name| below.contains(**name)) {
            faults.push(format!("{member} is pure and must not depend on {impure}, directly or through another"));
        }
    }
    faults
}

/// Everything that ends up in a program through `from`.
fn reachable(graph: &Graph, from: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![from.to_owned()];
    while let Some(name) = open.pop() {
        for import in graph.normal.get(&name).into_iter().flatten() {
            if found.insert(import.clone()) {
                open.push(import.clone());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn graph_of(edges: &[(&str, &str)]) -> Graph {
        let mut graph =
            Graph { members: LAYERS.iter().map(|(name, _)| (*name).to_owned()).collect(), ..Graph::default() };
        for (from, to) in edges {
            graph.all.entry((*from).to_owned()).or_default().insert((*to).to_owned());
            graph.normal.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        graph
    }

    #[test]
    fn the_workspace_keeps_its_layers() {
        run(&crate::workspace_root()).unwrap();
    }

    #[test]
    fn programs_that_import_each_other_are_found() {
        let found = faults(&graph_of(&[("comity-cli", "comity-broker"), ("comity-node", "comity-broker")]));
        assert_eq!(found, ["comity-cli must not import comity-broker", "comity-node must not import comity-broker"]);
    }

    #[test]
    fn a_pure_crate_that_reaches_the_network_through_another_is_found() {
        let found = faults(&graph_of(&[("comity-policy", "helper"), ("helper", "tokio")]));
        assert_eq!(found, ["comity-policy is pure and must not depend on tokio, directly or through another"]);
    }

    #[test]
    fn a_second_issuer_of_certificates_is_found() {
        let found = faults(&graph_of(&[("comity-identity", "rcgen"), ("comity-broker", "rcgen")]));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("comity-broker must not import rcgen"), "{found:?}");
    }

    #[test]
    fn a_member_without_a_row_is_found() {
        let mut graph = graph_of(&[]);
        graph.members.insert("comity-new".to_owned());
        assert_eq!(faults(&graph), ["comity-new has no row in LAYERS"]);
    }
}
