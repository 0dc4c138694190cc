//! The wish of an operator that the program end.

use std::io;

use tokio::signal::unix::{SignalKind, signal};

/// Ends when the process is sent SIGINT or SIGTERM.
///
/// # Errors
/// If signals cannot be listened to.
pub async fn requested() -> io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    Ok(())
}
