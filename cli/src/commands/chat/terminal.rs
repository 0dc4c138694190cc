//! A conversation at a terminal: a line a question, Ctrl-C stops an answer, Ctrl-D ends.

use super::Conversation;
use crate::error::CliError;
use crate::output::{ask, say};
use crate::render_error;

/// Asks until the person at the terminal ends it. A failed question ends nothing.
pub(super) async fn talk(conversation: &mut Conversation) -> Result<(), CliError> {
    say(&format!("{}: a line a question; Ctrl-C stops an answer, Ctrl-D ends", conversation.envelope.model));
    while let Some(question) = read_line().await? {
        if question.trim().is_empty() {
            continue;
        }
        let known = conversation.payload.messages.len();
        tokio::select! {
            answered = conversation.ask(question) => if let Err(error) = answered { render_error::print(&error, conversation.output) },
            interrupted = tokio::signal::ctrl_c() => {
                interrupted.map_err(|source| CliError::System { doing: "wait for Ctrl-C", source })?;
                say("\n-- stopped");
                conversation.payload.messages.truncate(known);
            }
        }
    }
    Ok(())
}

/// A line, or nothing at the end. Ctrl-C at the prompt ends too.
async fn read_line() -> Result<Option<String>, CliError> {
    ask("> ");
    let unreadable = |source| CliError::System { doing: "read the terminal", source };
    let line = tokio::task::spawn_blocking(|| std::io::stdin().lines().next().transpose());
    tokio::select! {
        line = line => line.map_err(|error| unreadable(error.into()))?.map_err(unreadable),
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| None).map_err(unreadable),
    }
}
