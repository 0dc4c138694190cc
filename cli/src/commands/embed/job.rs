//! The work: what is done already, what remains, many calls at once, one file in order.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::PathBuf;

use futures::{StreamExt, TryStreamExt, stream};

use super::input::{Batches, Texts};
use super::record::{Done, Embedded, Text};
use crate::error::CliError;

/// What to embed, and how.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) input: PathBuf,
    pub(super) output: PathBuf,
    pub(super) model: String,
    /// Texts a call.
    pub(super) batch: usize,
    /// Calls at once.
    pub(super) in_flight: usize,
}

/// What remains to be done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Texts in the input.
    pub(super) texts: u64,
    /// Those that the output has already.
    pub(super) done: u64,
    /// The bytes of the output that hold them; after these, a line was cut off.
    whole_bytes: u64,
}

/// What was done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) embedded: u64,
    pub(super) were_done: u64,
}

/// The output belongs to another input or model.
#[derive(Debug, thiserror::Error)]
#[error(
    "line {line} is not the embedding of line {line} of the input by this model; name another output, or remove this one"
)]
struct OfAnotherJob {
    line: u64,
}

/// An answer has another number of vectors than the call had texts.
#[derive(Debug, thiserror::Error)]
#[error("{texts} texts were sent, {vectors} vectors came back")]
struct Mismatch {
    texts: usize,
    vectors: usize,
}

impl Job {
    /// Reads both files: every line of the input has to be a text before anything is sent.
    pub(super) fn plan(&self) -> Result<Plan, CliError> {
        let mut texts = Texts::open(&self.input)?;
        let (mut done, mut whole_bytes) = (0, 0);
        if let Some(mut output) = self.open_output()? {
            let mut line = Vec::new();
            while self.read_whole_line(&mut output, &mut line)? {
                let input = texts.next().transpose()?;
                self.check_done(&line, input.as_ref())?;
                done += 1;
                whole_bytes += u64::try_from(line.len()).unwrap_or(u64::MAX);
            }
        }
        let rest = texts.try_fold(0_u64, |count, text| text.map(|_| count + 1))?;
        if done + rest == 0 {
            return Err(self.nothing_to_embed());
        }
        Ok(Plan { texts: done + rest, done, whole_bytes })
    }

    /// Embeds what remains, and writes it in the input's order as it comes.
    pub(super) async fn run<E, F>(&self, plan: &Plan, embed: E, progress: impl Fn(u64)) -> Result<Outcome, CliError>
    where
        E: Fn(Vec<String>) -> F,
        F: Future<Output = Result<Vec<Vec<f32>>, CliError>>,
    {
        let mut writer = BufWriter::new(self.cut_output(plan)?);
        let rest = Texts::open(&self.input)?.skip(usize::try_from(plan.done).unwrap_or(usize::MAX));
        let embed = &embed;
        let calls = stream::iter(Batches::new(rest, self.batch)).map(|batch| async move {
            let batch = batch?;
            let vectors = embed(batch.iter().map(|(_, text)| text.text.clone()).collect()).await?;
            Ok::<_, CliError>((batch, vectors))
        });
        let mut answers = std::pin::pin!(calls.buffered(self.in_flight));
        let mut embedded = 0;
        while let Some((batch, vectors)) = answers.try_next().await? {
            self.write(&mut writer, &batch, &vectors)?;
            let texts = u64::try_from(batch.len()).unwrap_or(u64::MAX);
            embedded += texts;
            progress(texts);
        }
        Ok(Outcome { embedded, were_done: plan.done })
    }

    fn open_output(&self) -> Result<Option<BufReader<File>>, CliError> {
        match File::open(&self.output) {
            Ok(file) => Ok(Some(BufReader::new(file))),
            Err(source) if source.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(self.unusable("read", source)),
        }
    }

    /// Reads a line with its end; false where there is none, or it was cut off.
    fn read_whole_line(&self, output: &mut impl BufRead, line: &mut Vec<u8>) -> Result<bool, CliError> {
        line.clear();
        output.read_until(b'\n', line).map_err(|source| self.unusable("read", source))?;
        Ok(line.ends_with(b"\n"))
    }

    fn check_done(&self, line: &[u8], input: Option<&(u64, Text)>) -> Result<(), CliError> {
        let bad = |source| CliError::BadFile {
            path: self.output.clone(),
            expected: "what an earlier run has written",
            source,
        };
        let done: Done = serde_json::from_slice(line).map_err(|error| bad(Box::new(error)))?;
        let of_input = |(number, text): &(u64, Text)| done.line == *number && done.text_sha256 == text.digest();
        if done.model == self.model && input.is_some_and(of_input) {
            return Ok(());
        }
        Err(bad(Box::new(OfAnotherJob { line: done.line })))
    }

    /// The output, cut to its whole lines, at its end. Another run that writes to it is not disturbed.
    fn cut_output(&self, plan: &Plan) -> Result<File, CliError> {
        let file = OpenOptions::new().create(true).append(true).open(&self.output);
        let file = file.map_err(|source| self.unusable("write", source))?;
        file.try_lock().map_err(|error| self.unusable("lock", error.into()))?;
        file.set_len(plan.whole_bytes).map_err(|source| self.unusable("write", source))?;
        Ok(file)
    }

    fn write(&self, writer: &mut impl Write, batch: &[(u64, Text)], vectors: &[Vec<f32>]) -> Result<(), CliError> {
        if batch.len() != vectors.len() {
            let source = Box::new(Mismatch { texts: batch.len(), vectors: vectors.len() });
            return Err(CliError::Client { doing: "use the answer", source, hint: None });
        }
        for ((line, text), embedding) in batch.iter().zip(vectors) {
            let (id, text_sha256) = (text.id.as_ref(), text.digest());
            let record = Embedded { line: *line, id, model: &self.model, text_sha256, embedding };
            serde_json::to_writer(&mut *writer, &record).map_err(|error| self.unusable("write", error.into()))?;
            writer.write_all(b"\n").map_err(|source| self.unusable("write", source))?;
        }
        writer.flush().map_err(|source| self.unusable("write", source))
    }

    fn nothing_to_embed(&self) -> CliError {
        CliError::Usage {
            problem: format!("there is nothing to embed: {} is empty", self.input.display()),
            hint: "on each line, the input has a string, or an object with `text` and perhaps an `id`".to_owned(),
        }
    }

    fn unusable(&self, doing: &'static str, source: std::io::Error) -> CliError {
        CliError::File { doing, path: self.output.clone(), source }
    }
}

#[cfg(test)]
mod tests;
