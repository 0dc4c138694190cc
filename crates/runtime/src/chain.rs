//! An error and all that caused it: the one place that prints them together.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// What a hint begins with, at the end of a message.
const HINT: &str = " (hint: ";

/// An error and its causes, outermost first.
///
/// [`io::Error`] and rustls's certificate errors pass over the error that they wrap, so those are asked for it.
pub fn links<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| cause(error))
}

/// The messages of [`links`] in one line, without those that are empty or only repeat the one before. What mends it
/// stands last: a `(hint: ...)` at the end of a message goes behind the causes.
#[must_use]
pub fn text(error: &(dyn Error + 'static)) -> String {
    let (mut texts, mut hints): (Vec<String>, String) = (Vec::new(), String::new());
    for message in links(error).filter_map(message) {
        let (text, hint) = message
            .rfind(HINT)
            .filter(|_| message.ends_with(')'))
            .map_or_else(|| (message.as_str(), ""), |start| message.split_at(start));
        if !text.is_empty() && texts.last().is_none_or(|last| !last.contains(text)) {
            texts.push(text.to_owned());
        }
        if !hints.contains(hint) {
            hints.push_str(hint);
        }
    }
    texts.join(": ") + &hints
}

fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(wrapped) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(wrapped);
    }
    if let Some(wrapped) = error.downcast_ref().and_then(refusal) {
        return Some(wrapped);
    }
    error.source()
}

/// Why one of our own verifiers refused a certificate.
fn refusal(error: &rustls::Error) -> Option<&(dyn Error + 'static)> {
    let rustls::Error::InvalidCertificate(CertificateError::Other(other)) = error else { return None };
    Some(&*other.0)
}

/// An [`io::Error`] would only repeat what it wraps, and rustls would print its structure.
fn message(error: &(dyn Error + 'static)) -> Option<String> {
    if error.downcast_ref::<io::Error>().is_some_and(|error| error.get_ref().is_some()) {
        return None;
    }
    let refuses = error.downcast_ref().and_then(refusal).is_some();
    Some(if refuses { String::from("invalid peer certificate") } else { error.to_string() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("it rained")]
    struct Rain;

    #[derive(Debug, thiserror::Error)]
    #[error("the match was cancelled")]
    struct Cancelled(#[source] io::Error);

    #[test]
    fn wrapped_errors_are_found_and_repeated_messages_left_out() {
        let refused = CertificateError::Other(rustls::OtherError(std::sync::Arc::new(Rain)));
        let error = Cancelled(io::Error::other(rustls::Error::from(refused)));
        assert!(links(&error).any(|link| link.is::<Rain>()));
        assert_eq!(text(&error), "the match was cancelled: invalid peer certificate: it rained");
    }

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Said(&'static str, #[source] Option<Box<Self>>);

    #[test]
    fn what_mends_an_error_stands_behind_its_causes() {
        let cause = Said("no such file", None);
        let error = Said("cannot read x (hint: check the path)", Some(Box::new(cause)));
        assert_eq!(text(&error), "cannot read x: no such file (hint: check the path)");
    }

    #[test]
    fn a_message_that_says_nothing_leaves_no_mark() {
        assert_eq!(text(&Said("", Some(Box::new(Said("no such file", None))))), "no such file");
    }
}
