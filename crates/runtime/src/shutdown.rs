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
