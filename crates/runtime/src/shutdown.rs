//! The signals that ask a program to stop, to stop at once, or to read its configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// Ends when SIGINT (Ctrl-C) or SIGTERM (a service manager) arrives.
///
/// A program that cannot hear the signals could only be killed, so that is an end, too: it is logged and
/// this returns at once.
pub async fn requested() {
    match first_signal().await {
        Ok(name) => tracing::info!(signal = name, "stopping"),
        Err(error) => tracing::error!(%error, "signals cannot be heard, stopping"),
    }
}

/// Ends when a program that was asked to stop is asked again: whoever insists waits for no call. Counted from the first time
/// that this is polled. Never ends where signals cannot be heard: [`requested`] has said so.
pub async fn insisted() {
    let Ok(mut signals) = Ends::listen() else { return std::future::pending().await };
    let _asked = signals.next().await;
    let name = signals.next().await;
    tracing::warn!(signal = name, "asked again, stopping at once");
}

async fn first_signal() -> io::Result<&'static str> {
    Ok(Ends::listen()?.next().await)
}

/// The signals that end a program.
struct Ends {
    interrupt: Signal,
    terminate: Signal,
}

impl Ends {
    fn listen() -> io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.interrupt.recv() => "SIGINT",
            _ = self.terminate.recv() => "SIGTERM",
        }
    }
}

/// SIGHUP, by which a program is asked to read its configuration again, and to open its files anew.
#[derive(Debug)]
pub struct Hangups(Signal);

impl Hangups {
    /// Hears them from here on: before, one ends the program.
    ///
    /// # Errors
    /// Signals cannot be heard.
    pub fn listen() -> io::Result<Self> {
        signal(SignalKind::hangup()).map(Self)
    }

    /// Waits for the next one. Those that come while nobody waits are one.
    pub async fn next(&mut self) {
        if self.0.recv().await.is_none() {
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::process::Command;
    use tokio::time::timeout;

    use super::*;
    use crate::testing::PATIENCE;

    async fn send(signal: &str) {
        let kill = Command::new("kill").arg(signal).arg(std::process::id().to_string()).status().await.unwrap();
        assert!(kill.success());
    }

    #[tokio::test]
    async fn a_hangup_is_heard_again_and_again_and_does_not_kill() {
        let mut hangups = Hangups::listen().unwrap();
        for _ in 0..2 {
            send("-HUP").await;
            timeout(PATIENCE, hangups.next()).await.expect("the signal is heard");
        }
    }

    #[tokio::test]
    async fn either_signal_is_heard_and_neither_kills() {
        for signal in ["-TERM", "-INT"] {
            let mut requested = pin!(requested());
            tokio::select! {
                biased;
                () = &mut requested => panic!("nobody asked"),
                () = std::future::ready(()) => {}
            }
            send(signal).await;
            timeout(PATIENCE, requested).await.expect("the signal is heard");
        }
    }
}
