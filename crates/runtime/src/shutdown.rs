//! The signals that ask a program to stop.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

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

async fn first_signal() -> io::Result<&'static str> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let name = tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    };
    Ok(name)
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use tokio::process::Command;
    use tokio::time::timeout;

    use super::*;
    use crate::testing::PATIENCE;

    #[tokio::test]
    async fn either_signal_is_heard_and_neither_kills() {
        for signal in ["-TERM", "-INT"] {
            let mut requested = pin!(requested());
            tokio::select! {
                biased;
                () = &mut requested => panic!("nobody asked"),
                () = std::future::ready(()) => {}
            }
            let kill = Command::new("kill").arg(signal).arg(std::process::id().to_string()).status().await.unwrap();
            assert!(kill.success());
            timeout(PATIENCE, requested).await.expect("the signal is heard");
        }
    }
}
