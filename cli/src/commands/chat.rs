//! `comity chat`: a conversation with a model, written as it is made.

mod answer;
mod terminal;

use std::io::{IsTerminal, Read};
use std::time::Duration;

use clap::Args;
use comity_client::receipt::{self, Asked};
use comity_proto::inference::content_part::Part;
use comity_proto::inference::{ChatPayload, ChatStreamRequest, ContentPart, Envelope, Message, Role, Sampling};
use comity_proto::policy::Capability;
use comity_types::ModelName;

use crate::args::{Global, timeout};
use crate::error::CliError;
use crate::output::Format;
use crate::preferences::PreferenceArgs;
use crate::refusal;
use crate::requirements::RequirementArgs;
use crate::session::Session;
use answer::Answer;

/// Largest prompt that is read from stdin, in bytes: what a message to the broker holds by default.
const MAX_PROMPT_BYTES: u64 = 4 * 1024 * 1024;

/// Talk to a model.
#[derive(Debug, Args)]
pub(crate) struct ChatArgs {
    /// The model, see `comity model list`
    #[arg(long)]
    model: ModelName,
    /// What to ask; without it, stdin is read, or a conversation begins if that is a terminal
    prompt: Option<String>,
    /// Instructions to the model that come first
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    /// At most this many tokens an answer
    #[arg(long, value_name = "TOKENS")]
    max_tokens: Option<u32>,
    /// 0 to 2; 0 always takes the likeliest token
    #[arg(long)]
    temperature: Option<f32>,
    /// Same seed, same request, same answer, where the backend can
    #[arg(long)]
    seed: Option<u64>,
    /// How long an answer may take: 1s to 24h
    #[arg(long, default_value = "10m", value_parser = timeout)]
    timeout: Duration,
    #[command(flatten)]
    requirements: RequirementArgs,
    #[command(flatten)]
    preferences: PreferenceArgs,
}

/// What is the same for every question of a conversation.
struct Conversation {
    session: Session,
    envelope: Envelope,
    payload: ChatPayload,
    timeout: Duration,
    output: Format,
}

/// Asks once, or as long as somebody does at a terminal.
pub(crate) async fn run(args: ChatArgs, global: &Global) -> Result<(), CliError> {
    let envelope = args.preferences.put_into(args.requirements.envelope(&args.model, &*global.tables()?)?);
    let prompt = match args.prompt.clone() {
        None if !std::io::stdin().is_terminal() => Some(read_stdin()?),
        prompt => prompt,
    };
    let session = Session::open(global).await?;
    let (payload, timeout, output) = (payload(&args), args.timeout, global.output);
    let mut conversation = Conversation { session, envelope, payload, timeout, output };
    match prompt {
        Some(prompt) => conversation.ask(prompt).await,
        None => terminal::talk(&mut conversation).await,
    }
}

impl Conversation {
    /// Asks, prints the answer as it comes, and remembers both.
    async fn ask(&mut self, prompt: String) -> Result<(), CliError> {
        self.payload.messages.push(message(Role::User, prompt));
        let answer = self.answer().await;
        match answer {
            Ok(answer) => {
                self.payload.messages.push(message(Role::Assistant, answer.text));
                Ok(())
            }
            Err(error) => {
                self.payload.messages.pop();
                Err(refusal::whole(error, &self.session, &self.envelope, Capability::Chat).await)
            }
        }
    }

    async fn answer(&self) -> Result<Answer, CliError> {
        let nonce = receipt::nonce().map_err(|status| CliError::call("chat", status))?;
        // As the payload says it, so that the broker knows what its node may say that it used.
        let max_output_tokens = self.payload.max_output_tokens;
        let envelope = Envelope { nonce, max_output_tokens, ..self.envelope.clone() };
        let asking = ChatStreamRequest { envelope: Some(envelope.clone()), payload: Some(self.payload.clone()) };
        let mut request = tonic::Request::new(asking);
        request.set_timeout(self.timeout);
        let call = self.session.inference().chat_stream(request).await;
        let response = call.map_err(|status| CliError::call("chat", status))?;
        let identity = self.session.identity();
        let asked = Asked { caller: identity.id(), envelope: &envelope };
        answer::print_as_it_comes(response, identity.root(), asked, self.output).await
    }
}

/// The payload before the first question.
fn payload(args: &ChatArgs) -> ChatPayload {
    let sampling = Sampling { temperature: args.temperature, seed: args.seed, ..Sampling::default() };
    ChatPayload {
        messages: args.system.iter().map(|text| message(Role::System, text.clone())).collect(),
        sampling: (sampling != Sampling::default()).then_some(sampling),
        max_output_tokens: args.max_tokens,
        ..ChatPayload::default()
    }
}

fn message(role: Role, text: String) -> Message {
    Message { role: role.into(), content: vec![ContentPart { part: Some(Part::Text(text)) }], ..Message::default() }
}

fn read_stdin() -> Result<String, CliError> {
    let mut prompt = String::new();
    let read = std::io::stdin().lock().take(MAX_PROMPT_BYTES + 1).read_to_string(&mut prompt);
    read.map_err(|source| CliError::System { doing: "read the prompt from stdin", source })?;
    if u64::try_from(prompt.len()).is_ok_and(|bytes| bytes > MAX_PROMPT_BYTES) {
        return Err(CliError::Usage {
            problem: format!("the prompt on stdin has more than {MAX_PROMPT_BYTES} bytes"),
            hint: "send less of it".to_owned(),
        });
    }
    if prompt.trim().is_empty() {
        return Err(CliError::Usage {
            problem: "there is nothing to ask".to_owned(),
            hint: "give the prompt as an argument or on stdin".to_owned(),
        });
    }
    Ok(prompt)
}
