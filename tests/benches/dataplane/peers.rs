//! The peers: plain gRPC proxies with mutual TLS on both hops, one worker each, set up as their makers advise for it. What
//! stands in their configurations beyond that is there so that nothing limits them that does not limit the others.

mod envoy;
mod haproxy;
mod nginx;

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use comity_tests::federation::free_address;
use comity_tests::program::{Program, run, said};
use comity_tests::wait;

use crate::machine::Cores;
use crate::tls::{Files, Peerage};

/// What a configuration is written from.
pub(crate) struct Place<'a> {
    folder: PathBuf,
    address: String,
    backend: &'a str,
    authority: PathBuf,
    server: Files,
    client: Files,
}

/// A peer that runs.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) program: Program,
    pub(crate) address: String,
    /// What it says that it is.
    pub(crate) version: String,
}

/// Writes a configuration; gives the arguments that start it, and those that ask for the version.
type Setup = fn(&Place<'_>) -> (Vec<String>, &'static str);

impl Peer {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(
        name: &str,
        program: &Path,
        libraries: &str,
        (cores, peerage, backend): (Cores, &Peerage, &str),
        folder: &Path,
    ) -> Self {
        let setup: Setup = match name {
            "nginx" => nginx::set_up,
            "haproxy" => haproxy::set_up,
            "envoy" => envoy::set_up,
            other => panic!("no peer is called {other}"),
        };
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let (server, client) = (peerage.files(&format!("{name}-server")), peerage.files(&format!("{name}-client")));
        let address = free_address();
        let place = Place { folder, address, backend, authority: peerage.authority(), server, client };
        let (arguments, version) = setup(&place);
        let mut ask = Command::new(program);
        let version = said(&run(ask.arg(version).env("LD_LIBRARY_PATH", libraries)));
        let mut command = cores.pinned(program);
        command.args(arguments).env("LD_LIBRARY_PATH", libraries);
        let program = Program::start(name, &mut command, &place.folder);
        wait::until(&format!("{name} listens: see {}", program.log()), || TcpStream::connect(&place.address).ok());
        let line = version.lines().find(|line| line.contains("version")).unwrap_or("an unknown version");
        let version = line.rsplit_once("version").map_or(line, |(_, version)| version).trim_start_matches(':').trim();
        let version = format!("version {version}");
        Self { program, address: place.address, version }
    }
}
