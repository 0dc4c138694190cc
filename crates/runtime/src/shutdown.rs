//! The signals that ask a program to stop, to stop at once, or to read its configuration again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::tasks::Tasks;

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

/// How often a program was asked to stop.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Cancelled when it was.
    pub once: CancellationToken,
    /// Cancelled when it was asked again: whoever insists waits for no call.
    pub again: CancellationToken,
}

/// Hears, from here on, how often the program is asked to stop.
///
/// By one who listens to all of them: of two who listen, the second could miss a signal that comes before it has seen the
/// first. A program that cannot hear them stops at once, as with [`requested`].
#[must_use]
pub fn listen(tasks: &Tasks) -> Asked {
    let asked = Asked::default();
    let mut signals = match Ends::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals cannot be heard, stopping");
            asked.once.cancel();
            return asked;
        }
    };
    let told = asked.clone();
    tasks.spawn("signals", async move {
        let signal = signals.next().await;
        tracing::info!(signal, "stopping");
        told.once.cancel();
        let signal = signals.next().await;
        tracing::warn!(signal, "asked again, stopping at once");
        told.again.cancel();
    });
    asked
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
            std::future::pending::<()>().await;
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
    async fn whoever_asks_twice_is_heard_twice() {
        let asked = listen(&Tasks::new());
        for heard in [&asked.once, &asked.again] {
            assert!(!heard.is_cancelled());
            send("-TERM").await;
            timeout(PATIENCE, heard.cancelled()).await.expect("the signal is heard");
        }
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
