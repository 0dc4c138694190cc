//! An answer, printed as it comes.

use std::io::IsTerminal;

use comity_client::receipt::{self, Asked};
use comity_identity::Root;
use comity_proto::inference::{ChatStreamResponse, FinishReason, Usage};
use comity_proto::json::Canonical;
use comity_proto::metadata;
use comity_transparency::receipt::VerifiedLeaf;
use serde::Serialize;
use tonic::metadata::MetadataMap;
use tonic::{Response, Streaming};

use crate::commands::receipt::unproven;
use crate::error::CliError;
use crate::output::{Format, print, print_json, say};

/// A whole answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) text: String,
    offer: String,
    decision_id: String,
    finish: FinishReason,
    usage: Option<Usage>,
    /// Where its outcome is in the broker's log: proven.
    leaf: Option<u64>,
}

/// A whole answer, for programs.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Whole<'a> {
    text: &'a str,
    offer: &'a str,
    decision_id: &'a str,
    finish_reason: &'static str,
    usage: Option<Canonical<'a, Usage>>,
    leaf: Option<u64>,
}

/// Prints an answer's text as it comes, or the whole as JSON; fails unless it came to its end.
pub(super) async fn print_as_it_comes(
    response: Response<Streaming<ChatStreamResponse>>,
    root: &Root,
    asked: Asked<'_>,
    output: Format,
) -> Result<Answer, CliError> {
    let mut answer = Answer::of(response.metadata());
    let received = answer.receive(response.into_inner(), root, asked, output).await;
    if output == Format::Table && !answer.text.is_empty() && !answer.text.ends_with('\n') {
        print("\n")?;
    }
    received?;
    if answer.finish == FinishReason::Unspecified {
        return Err(CliError::CutOff { offer: answer.offer });
    }
    answer.report(output)?;
    Ok(answer)
}

impl Answer {
    fn of(head: &MetadataMap) -> Self {
        let text = |key| head.get(key).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        Self { offer: text(metadata::OFFER), decision_id: text(metadata::DECISION_ID), ..Self::default() }
    }

    async fn receive(
        &mut self,
        mut stream: Streaming<ChatStreamResponse>,
        root: &Root,
        asked: Asked<'_>,
        output: Format,
    ) -> Result<(), CliError> {
        let terminal = std::io::stdout().is_terminal();
        while let Some(piece) = stream.message().await.map_err(|status| CliError::call("chat", status))? {
            if output == Format::Table && !piece.text.is_empty() {
                print(&if terminal { comity_types::display::harmless(&piece.text) } else { piece.text.clone() })?;
            }
            self.add(&piece);
        }
        let trailers = stream.trailers().await.map_err(|status| CliError::call("chat", status))?.unwrap_or_default();
        let (_, proven) = receipt::of_trailers(&trailers, root, asked).map_err(|error| unproven(&error))?;
        self.leaf = proven.outcome().map(VerifiedLeaf::index);
        Ok(())
    }

    fn add(&mut self, piece: &ChatStreamResponse) {
        self.text.push_str(&piece.text);
        if piece.finish_reason() != FinishReason::Unspecified {
            self.finish = piece.finish_reason();
        }
        self.usage = piece.usage.or(self.usage);
    }

    /// Who answered, and what it took.
    fn report(&self, output: Format) -> Result<(), CliError> {
        let (finish, usage) = (self.finish.as_str_name(), self.usage.unwrap_or_default());
        if output == Format::Json {
            return print_json(&Whole {
                text: &self.text,
                offer: &self.offer,
                decision_id: &self.decision_id,
                finish_reason: finish,
                usage: self.usage.as_ref().map(Canonical),
                leaf: self.leaf,
            });
        }
        let tokens = self.usage.map(|_| format!(", {} tokens in, {} out", usage.input_tokens, usage.output_tokens));
        let cut = if self.finish == FinishReason::Stop { String::new() } else { format!(", ended by {finish}") };
        let leaf = self.leaf.map(|leaf| format!(", on record as leaf {leaf}")).unwrap_or_default();
        say(&format!("-- {}, decision {}{}{leaf}{cut}", self.offer, self.decision_id, tokens.unwrap_or_default()));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_cannot_steer_the_terminal() {
        assert_eq!(comity_types::display::harmless("a\u{1b}[2Jb\r\u{9b}c\n\td"), "a[2Jbc\n\td");
    }

    #[test]
    fn an_answer_without_an_end_has_none() {
        let mut answer = Answer::default();
        answer.add(&ChatStreamResponse { text: "Par".into(), ..ChatStreamResponse::default() });
        assert_eq!((answer.text.as_str(), answer.finish), ("Par", FinishReason::Unspecified));
        answer.add(&ChatStreamResponse {
            text: "is".into(),
            finish_reason: FinishReason::Stop.into(),
            ..ChatStreamResponse::default()
        });
        answer.add(&ChatStreamResponse {
            usage: Some(Usage { input_tokens: 1, output_tokens: 2 }),
            ..ChatStreamResponse::default()
        });
        assert_eq!((answer.text.as_str(), answer.finish, answer.usage.is_some()), ("Paris", FinishReason::Stop, true));
    }
}
