//! The input, a line at a time: a file may be larger than the memory.

use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind, Lines};
use std::path::{Path, PathBuf};

use super::record::Text;
use crate::error::CliError;

/// Most bytes of the texts of one call: a part of what the broker takes by default.
const MAX_BATCH_BYTES: usize = 1024 * 1024;

/// The texts of a file, in its order.
#[derive(Debug)]
pub(super) struct Texts {
    path: PathBuf,
    lines: Lines<BufReader<File>>,
    line: u64,
}

/// A line that is no text.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {source}; expected a string, or an object with `text`")]
struct NoText {
    line: u64,
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl Texts {
    /// Opens a file. It is read twice, to see that all of it is in order before anything is sent, so a pipe will not do.
    pub(super) fn open(path: &Path) -> Result<Self, CliError> {
        let unreadable = |source| CliError::File { doing: "read", path: path.to_owned(), source };
        let file = File::open(path).map_err(unreadable)?;
        if !file.metadata().map_err(unreadable)?.is_file() {
            return Err(CliError::Usage {
                problem: format!("{} is not a file", path.display()),
                hint: "the input is read twice: write it to a file, and name that".to_owned(),
            });
        }
        Ok(Self { path: path.to_owned(), lines: BufReader::new(file).lines(), line: 0 })
    }
}

impl Iterator for Texts {
    /// The line's number, from 1, and its text.
    type Item = Result<(u64, Text), CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = self.lines.next()?;
        self.line += 1;
        let no_text = |source: Box<dyn std::error::Error + Send + Sync>| CliError::BadFile {
            path: self.path.clone(),
            expected: "JSONL of texts",
            source: Box::new(NoText { line: self.line, source }),
        };
        Some(match line {
            Ok(line) => Text::parse(&line).map(|text| (self.line, text)).map_err(|error| no_text(error.into())),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(no_text(error.into())),
            Err(source) => Err(CliError::File { doing: "read", path: self.path.clone(), source }),
        })
    }
}

/// Texts, put together for calls.
pub(super) struct Batches<I: Iterator> {
    texts: std::iter::Peekable<I>,
    most: usize,
}

impl<I: Iterator<Item = Result<(u64, Text), CliError>>> Batches<I> {
    pub(super) fn new(texts: I, most: usize) -> Self {
        Self { texts: texts.peekable(), most }
    }
}

impl<I: Iterator<Item = Result<(u64, Text), CliError>>> Iterator for Batches<I> {
    type Item = Result<Vec<(u64, Text)>, CliError>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut batch = match self.texts.next()? {
            Ok(first) => vec![first],
            Err(error) => return Some(Err(error)),
        };
        let mut bytes: usize = batch.iter().map(|(_, text)| text.text.len()).sum();
        while batch.len() < self.most {
            let fits = |next: &Result<(u64, Text), CliError>| {
                next.as_ref().is_ok_and(|(_, text)| bytes + text.text.len() <= MAX_BATCH_BYTES)
            };
            let Some(Ok(next)) = self.texts.next_if(fits) else { break };
            bytes += next.1.text.len();
            batch.push(next);
        }
        Some(Ok(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(lengths: &[usize], most: usize) -> Vec<usize> {
        let texts = lengths.iter().map(|length| Ok((1, Text { id: None, text: "a".repeat(*length) })));
        Batches::new(texts, most).map(|batch| batch.unwrap().len()).collect()
    }

    #[test]
    fn a_call_has_no_more_texts_and_bytes_than_it_may() {
        assert_eq!(sizes(&[1; 5], 2), [2, 2, 1]);
        assert_eq!(sizes(&[MAX_BATCH_BYTES - 1, 1, 1], 9), [2, 1]);
        assert_eq!(sizes(&[MAX_BATCH_BYTES * 2, 1], 9), [1, 1], "a text that is too large goes alone");
    }
}
