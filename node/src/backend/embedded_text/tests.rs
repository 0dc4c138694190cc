//! The embedded model: a real one, where `cargo xtask test` names its file by `COMITY_TEST_GGUF`.

use std::path::PathBuf;

use comity_proto::inference::{FinishReason, Sampling};

use super::*;

#[expect(clippy::disallowed_methods, reason = "the test harness names the model's file")]
fn model() -> EmbeddedText {
    let path = std::env::var("COMITY_TEST_GGUF").expect("COMITY_TEST_GGUF names a GGUF file");
    EmbeddedText::load(&PathBuf::from(path)).unwrap()
}

fn ask(text: &str, max: u32) -> ChatPayload {
    let content = vec![ContentPart { part: Some(Part::Text(text.to_owned())) }];
    ChatPayload {
        messages: vec![Message { role: Role::User.into(), content, ..Message::default() }],
        sampling: Some(Sampling { temperature: Some(0.0), ..Sampling::default() }),
        max_output_tokens: Some(max),
        ..ChatPayload::default()
    }
}

#[tokio::test]
#[ignore = "needs COMITY_TEST_GGUF; cargo xtask test runs it"]
async fn a_real_model_answers_and_counts() {
    let model = model();
    let answer = model.chat("", ask("What is the capital of France?", 24)).await.unwrap();
    let Some(Part::Text(text)) = &answer.message.unwrap().content[0].part else { panic!("no text") };
    assert!(text.contains("Paris"), "{text}");
    assert!(answer.usage.is_some_and(|usage| usage.input_tokens > 5 && usage.output_tokens > 3));
}

#[tokio::test]
#[ignore = "needs COMITY_TEST_GGUF; cargo xtask test runs it"]
async fn a_limit_of_tokens_ends_the_answer_and_a_long_prompt_is_refused() {
    let model = model();
    let answer = model.chat("", ask("Tell me a story.", 3)).await.unwrap();
    assert_eq!(answer.finish_reason(), FinishReason::Length);
    let long = "word ".repeat(model.context_tokens() + 10);
    assert!(matches!(model.chat("", ask(&long, 3)).await, Err(Fault::PromptTooLong { .. })));
}

#[test]
fn what_the_engine_cannot_hold_to_is_refused() {
    let payload = ChatPayload { top_log_probabilities: Some(2), ..ask("hi", 1) };
    assert_eq!(settings(&payload).unwrap_err(), Fault::Unsupported { feature: "log_probabilities" });
}

#[test]
fn a_file_that_is_no_model_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.gguf");
    std::fs::write(&path, b"not a model").unwrap();
    let error = EmbeddedText::load(&path).unwrap_err().to_string();
    assert!(error.contains("x.gguf"), "{error}");
    assert!(matches!(EmbeddedText::load(&dir.path().join("none")), Err(LoadError::Read { .. })));
}
