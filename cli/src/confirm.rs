//! A question before what cannot be taken back.

use std::io::{self, BufRead as _, IsTerminal as _};

use crate::error::CliError;
use crate::output::ask;

/// Asks at the terminal; anything but yes is no.
pub(crate) fn agreed(question: &str) -> Result<bool, CliError> {
    ask(&format!("{question} [y/N] "));
    let mut answer = String::new();
    io::stdin()
        .lock()
        .read_line(&mut answer)
        .map_err(|source| CliError::System { doing: "read the answer", source })?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Goes on where somebody says so at the terminal, or nobody sits there: a script has said what it wants.
pub(crate) fn before_the_end(question: &str, yes: bool) -> Result<(), CliError> {
    if yes || !io::stdin().is_terminal() || agreed(question)? {
        return Ok(());
    }
    Err(CliError::Interrupted { hint: "nothing was signed; run it again to sign".to_owned() })
}

/// A reason that says something: everybody reads it.
pub(crate) fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        Err("say why, in some words that everybody may read".to_owned())
    } else {
        Ok(text.to_owned())
    }
}
