//! A way to an address that can fall silent: it closes nothing and passes nothing on, as a router that lost its table. Or it
//! lets no tunnels through, as a firewall that reads which protocol a handshake names. Or it leads elsewhere, as a name that
//! somebody else has taken over.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};

/// What is passed on at once.
const CHUNK_BYTES: usize = 64 * 1024;
/// The name of tunnels in a handshake, with its length, as ALPN has it: it is not encrypted.
const TUNNEL: &[u8] = b"\x03rh2";

/// Passes on what comes, until it is told not to.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Where it leads.
    target: Mutex<String>,
    /// What was passed on so far; cut when it leads elsewhere.
    passed: Mutex<Vec<TcpStream>>,
    /// Connections that were made before this many silences pass nothing on.
    silences: AtomicUsize,
    connections: AtomicUsize,
    /// Whether connections that name tunnels are closed, and how many were.
    closes_tunnels: AtomicBool,
    closed_tunnels: AtomicUsize,
    over: Mutex<bool>,
    ended: Condvar,
}

impl Proxy {
    /// Passes on to `target`, from a free port of this machine.
    ///
    /// # Panics
    /// If there is none.
    #[must_use]
    pub fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State { target: Mutex::new(target.to_owned()), ..State::default() });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for near in listener.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(shared.target.lock().unwrap().as_str()) else { continue };
                shared.passed.lock().unwrap().push(near.try_clone().unwrap());
                shared.connections.fetch_add(1, Ordering::SeqCst);
                let born = shared.silences.load(Ordering::SeqCst);
                for (from, to) in [(&near, &far), (&far, &near)] {
                    let (from, to, state) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&shared));
                    std::thread::spawn(move || pass_on(from, to, born, &state));
                }
            }
        });
        Self { address, state }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Leads to another address from now on, and cuts every connection that was made before.
    ///
    /// # Panics
    /// If a thread of it has panicked.
    pub fn lead_to(&self, target: &str) {
        target.clone_into(&mut self.state.target.lock().unwrap());
        self.state.passed.lock().unwrap().drain(..).for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
    }

    /// How many connections were made through it.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// From now on closes every connection whose handshake names tunnels; or lets them through again.
    pub fn close_tunnels(&self, closes: bool) {
        self.state.closes_tunnels.store(closes, Ordering::SeqCst);
    }

    /// How many it has closed.
    #[must_use]
    pub fn closed_tunnels(&self) -> usize {
        self.state.closed_tunnels.load(Ordering::SeqCst)
    }

    /// All connections through it fall silent; those that are made from now on do not.
    pub fn fall_silent(&self) {
        self.state.silences.fetch_add(1, Ordering::SeqCst);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        *self.state.over.lock().unwrap() = true;
        self.state.ended.notify_all();
    }
}

fn pass_on(mut from: TcpStream, mut to: TcpStream, born: usize, state: &State) {
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let read = from.read(&mut chunk);
        if state.silences.load(Ordering::SeqCst) != born {
            // Both ends stay open, and hear nothing, until the scenario is over.
            drop(state.ended.wait_while(state.over.lock().unwrap(), |over| !*over).unwrap());
            return;
        }
        let names_tunnel = |read: &usize| chunk[..*read].windows(TUNNEL.len()).any(|bytes| bytes == TUNNEL);
        if state.closes_tunnels.load(Ordering::SeqCst) && read.as_ref().is_ok_and(names_tunnel) {
            state.closed_tunnels.fetch_add(1, Ordering::SeqCst);
            [&from, &to].into_iter().for_each(|stream| drop(stream.shutdown(Shutdown::Both)));
            return;
        }
        let passed = read.is_ok_and(|read| read > 0 && to.write_all(&chunk[..read]).is_ok());
        if !passed {
            let _closed = to.shutdown(Shutdown::Write);
            return;
        }
    }
}
