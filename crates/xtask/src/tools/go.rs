//! The verifier in Go, `tests/verifiers/go`: built with the Go that is there, or by one that is unpacked from Debian's
//! packages, which needs no rights and changes nothing of the system, and is removed when the verifier is built.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use super::debian::{self, Apt};
use super::{Tools, read};
use crate::process::run;

/// Its source.
const SOURCE: &[&str] = &[
    "tests/verifiers/go/main.go",
    "tests/verifiers/go/checkpoint.go",
    "tests/verifiers/go/tiles.go",
    "tests/verifiers/go/receipt.go",
    "tests/verifiers/go/entries.go",
];
/// Where distributions put the sources of Go libraries.
const SYSTEM_SOURCES: &str = "/usr/share/gocode";
/// Debian's package of golang.org/x/mod.
const MOD_PACKAGE: &str = "golang-golang-x-mod-dev";
/// Debian's package of Go, which depends on that of its version.
const GO_PACKAGE: &str = "golang-go";
/// What to do where none of this works.
const HINT: &str = "Go with golang.org/x/mod is needed: on Debian `apt install golang-go golang-golang-x-mod-dev`, \
                    elsewhere install Go and put golang.org/x/mod into its GOPATH, then run this again";

impl Tools {
    /// Builds the verifier.
    ///
    /// # Errors
    /// If there is neither Go nor Debian's packages of it, or it does not build.
    pub(crate) fn go(&self, root: &Path) -> Result<()> {
        let sources: Vec<PathBuf> = SOURCE.iter().map(|source| root.join(source)).collect();
        self.ensure("go", &read(&sources.iter().collect::<Vec<_>>())?, |folder| {
            let scratch = folder.join("scratch");
            std::fs::create_dir_all(&scratch)?;
            let go = Go::found(&scratch).map_or_else(|| Go::unpacked(&scratch), Ok)?;
            let built = folder.join("verify");
            run(go.command(&scratch).args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(built).args(&sources))?;
            std::fs::remove_dir_all(&scratch).context("cannot remove what was unpacked")
        })
    }
}

/// A Go with golang.org/x/mod.
#[derive(Debug)]
struct Go {
    program: PathBuf,
    /// Its own folder, where that is not known to itself.
    root: Option<PathBuf>,
    /// Where it looks for libraries.
    path: OsString,
}

impl Go {
    /// The system's, if it is there and has the library.
    fn found(scratch: &Path) -> Option<Self> {
        let own = Command::new("go").args(["env", "GOPATH"]).stderr(Stdio::null()).output().ok()?;
        let mut path = OsString::from(String::from_utf8(own.stdout).ok()?.trim());
        path.push(":");
        path.push(SYSTEM_SOURCES);
        let go = Self { program: "go".into(), root: None, path };
        let mut list = go.command(scratch);
        list.args(["list", "golang.org/x/mod/sumdb/tlog"]).stdout(Stdio::null()).stderr(Stdio::null());
        list.status().is_ok_and(|status| status.success()).then_some(go)
    }

    /// Debian's, unpacked.
    fn unpacked(scratch: &Path) -> Result<Self> {
        let version = debian::unpacked(scratch, fetch).context(HINT)?;
        let root = scratch.join("usr/lib").join(format!("go-{version}"));
        let path = scratch.join("usr/share/gocode").into_os_string();
        Ok(Self { program: root.join("bin/go"), root: Some(root), path })
    }

    /// Calls it: it leaves nothing outside `scratch`, and loads nothing.
    fn command(&self, scratch: &Path) -> Command {
        let mut go = Command::new(&self.program);
        go.env("GOPATH", &self.path).env("GOCACHE", scratch.join("cache")).env("GOFLAGS", "").env("GOENV", "off");
        go.env("GO111MODULE", "off").env("CGO_ENABLED", "0").env("GOTOOLCHAIN", "local");
        match &self.root {
            Some(root) => go.env("GOROOT", root),
            None => &mut go,
        };
        go
    }
}

/// Loads Go and the library and unpacks them; gives Go's version.
fn fetch(apt: &Apt<'_>) -> Result<String> {
    let version = version(&apt.cache(&["depends", GO_PACKAGE])?)?;
    apt.unpack(&[format!("golang-{version}-go"), format!("golang-{version}-src"), MOD_PACKAGE.to_owned()])?;
    Ok(version)
}

/// The version that Debian's package of Go depends on, as `apt-cache depends` prints it: `1.19`.
fn version(depends: &str) -> Result<String> {
    let named = depends.lines().filter_map(|line| line.trim().strip_prefix("Depends: golang-")?.strip_suffix("-go"));
    match named.into_iter().find(|version| version.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')) {
        Some(version) => Ok(version.to_owned()),
        None => bail!("{GO_PACKAGE} depends on no version of Go: {depends:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_of_go_is_read_from_what_debians_package_depends_on() {
        let bookworm = "golang-go\n  Depends: golang-1.19-go\n  Depends: golang-src\n    golang-1.19-src\n";
        assert_eq!(version(bookworm).unwrap(), "1.19");
        assert!(version("golang-go\n  Depends: golang-src\n  Depends: golang-any-go\n").is_err());
    }
}
