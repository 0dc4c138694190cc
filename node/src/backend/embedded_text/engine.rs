//! The model itself: a GGUF file in memory, and the loop that writes tokens.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};
use std::path::Path;

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::quantized::tokenizer::TokenizerFromGguf;
use candle_core::{Device, Tensor};
use candle_transformers::generation::LogitsProcessor;
use candle_transformers::models::quantized_llama::{MAX_SEQ_LEN, ModelWeights};
use comity_proto::inference::{ChatStreamResponse, FinishReason, Usage};
use comity_types::Digest;
use comity_types::digest::Hasher;
use tokenizers::Tokenizer;

use super::stops::{Step, Stops};
use super::template::END_OF_TURN;
use crate::backend::{Fault, Model};

/// Prompt tokens that are read at once: between two batches a cancelled request stops.
const PREFILL_TOKENS: usize = 128;
/// Bytes that are hashed at once.
const HASH_BYTES: usize = 1024 * 1024;
/// Used where a request gives no seed, so that it is still an answer that can be repeated.
const DEFAULT_SEED: u64 = 0;

/// Why a file cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read the model {path}")]
    Read {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// It is not a model that this program runs.
    #[error("{path} is not a model that this program can run: {problem}")]
    Model {
        /// The file.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// How to write one answer.
#[derive(Debug, Clone)]
pub(super) struct Settings {
    pub(super) temperature: Option<f64>,
    pub(super) top_p: Option<f64>,
    pub(super) seed: Option<u64>,
    pub(super) max_tokens: Option<usize>,
    pub(super) stop: Vec<String>,
}

/// A model in memory. Generations share the weights; each has its own cache.
pub(super) struct Engine {
    weights: ModelWeights,
    tokenizer: Tokenizer,
    end: Vec<u32>,
    context: usize,
    model: Model,
}

impl Engine {
    pub(super) fn load(path: &Path) -> Result<Self, LoadError> {
        let shown = || path.display().to_string();
        let read = |source| LoadError::Read { path: shown(), source };
        let bad = |problem: String| LoadError::Model { path: shown(), problem };
        let mut file = BufReader::new(File::open(path).map_err(read)?);
        let sha256 = digest(&mut file).map_err(read)?;
        file.rewind().map_err(read)?;
        let content = Content::read(&mut file).map_err(|error| bad(error.to_string()))?;
        let architecture = content.metadata.get("general.architecture").and_then(|value| value.to_string().ok());
        if architecture.map(String::as_str) != Some("llama") {
            return Err(bad(format!("its architecture is {architecture:?}, not llama")));
        }
        let tokenizer = Tokenizer::from_gguf(&content).map_err(|error| bad(error.to_string()))?;
        let number = |key: &str| content.metadata.get(key).and_then(number);
        let context = number("llama.context_length").and_then(|tokens| usize::try_from(tokens).ok());
        let context = context.unwrap_or(MAX_SEQ_LEN).min(MAX_SEQ_LEN);
        let end = [number("tokenizer.ggml.eos_token_id"), tokenizer.token_to_id(END_OF_TURN)];
        let end: Vec<u32> = end.into_iter().flatten().collect();
        let weights =
            ModelWeights::from_gguf(content, &mut file, &Device::Cpu).map_err(|error| bad(error.to_string()))?;
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { weights, tokenizer, end, context, model: Model { name, sha256: Some(sha256) } })
    }

    pub(super) const fn model(&self) -> &Model {
        &self.model
    }

    pub(super) const fn context_tokens(&self) -> usize {
        self.context
    }

    /// The prompt's tokens, if they leave room for an answer.
    pub(super) fn prompt(&self, text: &str) -> Result<Vec<u32>, Fault> {
        let encoding = self.tokenizer.encode(text, true).map_err(|_| Fault::Model { step: "tokenize" })?;
        let tokens = encoding.get_ids().to_vec();
        if tokens.is_empty() || tokens.len() >= self.context {
            return Err(Fault::PromptTooLong { tokens: tokens.len(), limit: self.context });
        }
        Ok(tokens)
    }

    /// Writes an answer, piece by piece, until it ends or `send` says that nobody reads.
    pub(super) fn generate(
        &self,
        prompt: &[u32],
        settings: &Settings,
        mut send: impl FnMut(ChatStreamResponse) -> bool,
    ) -> Result<(), Fault> {
        let mut weights = self.weights.clone();
        let mut sampler =
            LogitsProcessor::new(settings.seed.unwrap_or(DEFAULT_SEED), settings.temperature, settings.top_p);
        let mut stops = Stops::new(&settings.stop);
        let mut text = self.tokenizer.decode_stream(true);
        let limit = settings.max_tokens.unwrap_or(usize::MAX).min(self.context - prompt.len());
        let Some(mut logits) = self.prefill(&mut weights, prompt, &mut send)? else { return Ok(()) };
        let mut written = 0;
        let finish = loop {
            let token = sampler.sample(&logits).map_err(|_| Fault::Model { step: "sample" })?;
            written += 1;
            if self.end.contains(&token) {
                break FinishReason::Stop;
            }
            let piece = text.step(token).map_err(|_| Fault::Model { step: "detokenize" })?.unwrap_or_default();
            match stops.push(&piece) {
                Step::Go(text) => {
                    if !send_text(&mut send, text) {
                        return Ok(());
                    }
                }
                Step::Stop(text) => {
                    send_text(&mut send, text);
                    stops = Stops::new(&[]);
                    break FinishReason::Stop;
                }
            }
            if written >= limit {
                break FinishReason::Length;
            }
            logits = forward(&mut weights, &[token], prompt.len() + written - 1)?;
        };
        send_text(&mut send, stops.rest());
        send(last(finish, prompt.len(), written));
        Ok(())
    }

    /// Reads the prompt in batches; `None` if nobody reads the answer any more.
    fn prefill(
        &self,
        weights: &mut ModelWeights,
        prompt: &[u32],
        send: &mut impl FnMut(ChatStreamResponse) -> bool,
    ) -> Result<Option<Tensor>, Fault> {
        let mut logits = None;
        for (batch, tokens) in prompt.chunks(PREFILL_TOKENS).enumerate() {
            // An empty piece asks whether somebody still reads; readers skip it.
            if batch > 0 && !send(ChatStreamResponse::default()) {
                return Ok(None);
            }
            logits = Some(forward(weights, tokens, batch * PREFILL_TOKENS)?);
        }
        Ok(logits)
    }
}

fn send_text(send: &mut impl FnMut(ChatStreamResponse) -> bool, text: String) -> bool {
    // An empty text is sent too: it is how a generation learns that nobody reads.
    send(ChatStreamResponse { text, ..ChatStreamResponse::default() })
}

fn last(finish: FinishReason, read: usize, written: usize) -> ChatStreamResponse {
    let count = |tokens| u64::try_from(tokens).unwrap_or(u64::MAX);
    let usage = Usage { input_tokens: count(read), output_tokens: count(written) };
    ChatStreamResponse { finish_reason: finish.into(), usage: Some(usage), ..ChatStreamResponse::default() }
}

fn forward(weights: &mut ModelWeights, tokens: &[u32], position: usize) -> Result<Tensor, Fault> {
    let run = || Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0);
    let input = run().map_err(|_| Fault::Model { step: "read tokens" })?;
    let logits = weights.forward(&input, position).and_then(|logits| logits.squeeze(0));
    logits.map_err(|_| Fault::Model { step: "forward" })
}

fn number(value: &Value) -> Option<u32> {
    value.to_u32().ok()
}

/// SHA-256 of everything that a reader still has.
pub(crate) fn digest(reader: &mut impl Read) -> io::Result<Digest> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; HASH_BYTES];
    loop {
        let read = reader.read(&mut buffer)?;
        let Some(bytes) = buffer.get(..read).filter(|bytes| !bytes.is_empty()) else { return Ok(hasher.finish()) };
        hasher.update(bytes);
    }
}
