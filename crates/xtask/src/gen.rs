//! `cargo xtask gen`: Rust from the `.proto` files, by a compiler in pure Rust, so
//! that nobody has to install `protoc`. What it writes is checked in; a test, and
//! `gen --check`, fail when that is stale.
//!
//! Servers get another codec than clients, so that a service that is added is strict
//! without anybody's doing (docs/decisions/0001).

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use prost::Message;
use prost_build::{Config, Service, ServiceGenerator};
use tonic_prost_build::configure;

/// Where the contract stands, from the workspace's root.
const SCHEMA: &str = "proto/schema";
/// Where the generated code stands, from the workspace's root.
const GENERATED: &str = "proto/src/generated";
/// What servers read requests with: refuses fields that it does not know. Clients skip such fields of responses,
/// with the codec that tonic-prost-build takes by itself.
const SERVER_CODEC: &str = "crate::strict::Codec";
/// The command that mends a stale file.
const MEND: &str = "run `cargo xtask gen` and commit what it writes";

/// Writes the generated code, or with `check` says whether it is current.
///
/// # Errors
/// If the schema does not compile, a file cannot be written, or with `check` one is stale.
pub(crate) fn run(root: &Path, check: bool) -> Result<()> {
    let directory = root.join(GENERATED);
    let files = generate(&root.join(SCHEMA))?;
    let present = read(&directory)?;
    if files == present {
        return Ok(());
    }
    if check {
        let stale: Vec<_> =
            files.iter().filter(|(name, text)| present.get(*name) != Some(text)).map(|(name, _)| name).collect();
        let extra: Vec<_> = present.keys().filter(|name| !files.contains_key(*name)).collect();
        bail!("{GENERATED} is stale (differs: {stale:?}, left over: {extra:?}): {MEND}");
    }
    if directory.exists() {
        std::fs::remove_dir_all(&directory)?;
    }
    std::fs::create_dir_all(&directory)?;
    for (name, bytes) in files {
        std::fs::write(directory.join(&name), bytes).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}

/// Every generated file by name.
fn generate(schema: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut sources = Vec::new();
    proto_files(schema, &mut sources)?;
    let descriptors = protox::compile(&sources, [schema]).context("the schema does not compile")?;
    let out = tempdir()?;
    std::fs::write(out.join("descriptors.bin"), descriptors.encode_to_vec())?;
    Config::new()
        .out_dir(&out)
        .bytes(["."])
        .include_file("mod.rs")
        .enable_type_names()
        .service_generator(Box::new(ClientAndServer::new()))
        .compile_fds(descriptors)?;
    let files = read(&out)?;
    std::fs::remove_dir_all(&out)?;
    Ok(files)
}

/// Writes a service's client and its server, each with its codec.
struct ClientAndServer {
    client: Box<dyn ServiceGenerator>,
    server: Box<dyn ServiceGenerator>,
}

impl ClientAndServer {
    fn new() -> Self {
        Self {
            client: configure().build_server(false).service_generator(),
            server: configure().build_client(false).codec_path(SERVER_CODEC).service_generator(),
        }
    }
}

impl ServiceGenerator for ClientAndServer {
    fn generate(&mut self, service: Service, code: &mut String) {
        self.client.generate(service.clone(), code);
        self.server.generate(service, code);
    }
}

/// All `.proto` files below `directory`, sorted, so that the output is stable.
fn proto_files(directory: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries = std::fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    paths.sort();
    for path in paths {
        if path.is_dir() {
            proto_files(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "proto") {
            found.push(path);
        }
    }
    Ok(())
}

/// The files of a folder by name; none if it is absent.
fn read(directory: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    if !directory.exists() {
        return Ok(BTreeMap::new());
    }
    std::fs::read_dir(directory)?
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?))
        })
        .collect()
}

/// A fresh folder below the system's folder for temporary files.
fn tempdir() -> Result<PathBuf> {
    let directory = std::env::temp_dir().join(format!("comity-gen-{}", std::process::id()));
    std::fs::create_dir_all(&directory)?;
    Ok(directory)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_generated_code_is_current() {
        super::run(&crate::workspace_root(), true).unwrap();
    }
}
