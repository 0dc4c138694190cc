//! Checks a payload against the bounds that the contract states, before any backend sees it.

use comity_proto::inference::{ChatPayload, EmbedPayload, ForwardPayload, Message, Role, content_part::Part};

use super::Fault;

pub mod needs;

/// Messages in a conversation, as `ChatPayload.messages` states.
const MAX_MESSAGES: usize = 4096;
/// Parts in a message, as `Message.content` states.
const MAX_PARTS: usize = 256;
/// Stop strings, as `ChatPayload.stop` states.
const MAX_STOPS: usize = 16;
/// Tools, as `ChatPayload.tools` states.
const MAX_TOOLS: usize = 128;
/// Bytes in a tool's name, as `Tool.name` states.
const MAX_TOOL_NAME_BYTES: usize = 64;
/// Log-probabilities at each place, as `ChatPayload.top_log_probabilities` states.
const MAX_TOP_LOG_PROBABILITIES: u32 = 20;
/// Texts to embed, as `EmbedPayload.texts` states.
const MAX_TEXTS: usize = 2048;

/// Checks a conversation.
///
/// # Errors
/// Names the first field that is out of bounds.
pub fn check_chat(payload: &ChatPayload) -> Result<(), Fault> {
    count("payload.messages", payload.messages.len(), 1, MAX_MESSAGES)?;
    count("payload.stop", payload.stop.len(), 0, MAX_STOPS)?;
    count("payload.tools", payload.tools.len(), 0, MAX_TOOLS)?;
    for (index, message) in payload.messages.iter().enumerate() {
        check_message(&format!("payload.messages[{index}]"), message)?;
    }
    for (index, tool) in payload.tools.iter().enumerate() {
        check_tool_name(&format!("payload.tools[{index}].name"), &tool.name)?;
    }
    if payload.max_output_tokens == Some(0) {
        return Err(Fault::invalid("payload.max_output_tokens", "must be at least 1, or absent"));
    }
    if payload.top_log_probabilities.is_some_and(|top| top > MAX_TOP_LOG_PROBABILITIES) {
        return Err(Fault::invalid("payload.top_log_probabilities", "must be 0 to 20"));
    }
    check_sampling(payload)
}

/// Holds how many tokens a conversation asks for against what its envelope says, by which the broker bounds what it is billed.
///
/// # Errors
/// It does not say, or asks for more.
pub fn check_most(payload: &ChatPayload, envelope: Option<u32>) -> Result<(), Fault> {
    match (envelope, payload.max_output_tokens) {
        (None, _) => Ok(()),
        (Some(most), Some(asked)) if asked <= most => Ok(()),
        (Some(most), _) => {
            let problem = format!("must be {most} or fewer, as envelope.max_output_tokens says");
            Err(Fault::invalid("payload.max_output_tokens", problem))
        }
    }
}

/// Checks texts to embed.
///
/// # Errors
/// Names the first field that is out of bounds.
pub fn check_embed(payload: &EmbedPayload) -> Result<(), Fault> {
    count("payload.texts", payload.texts.len(), 1, MAX_TEXTS)?;
    let empty = payload.texts.iter().position(|text| text.trim().is_empty());
    empty.map_or(Ok(()), |index| Err(Fault::invalid(format!("payload.texts[{index}]"), "is empty")))
}

/// Checks a body to forward.
///
/// # Errors
/// Names the first field that is out of bounds.
pub fn check_forward(payload: &ForwardPayload) -> Result<(), Fault> {
    if payload.body.is_empty() {
        return Err(Fault::invalid("payload.body", "is empty"));
    }
    Ok(())
}

fn check_message(path: &str, message: &Message) -> Result<(), Fault> {
    if matches!(Role::try_from(message.role), Err(_) | Ok(Role::Unspecified)) {
        return Err(Fault::invalid(
            format!("{path}.role"),
            "must be one of the roles of this version, not unspecified",
        ));
    }
    count(&format!("{path}.content"), message.content.len(), 0, MAX_PARTS)?;
    for (index, part) in message.content.iter().enumerate() {
        let path = format!("{path}.content[{index}]");
        match &part.part {
            None => return Err(Fault::invalid(path, "must be text or an image")),
            Some(Part::Image(image)) if image.data.is_empty() || !image.media_type.starts_with("image/") => {
                return Err(Fault::invalid(path, "an image needs data and a media type such as image/png"));
            }
            Some(Part::Text(_) | Part::Image(_)) => {}
        }
    }
    if message.role() == Role::Tool && message.tool_call_id.is_empty() {
        return Err(Fault::invalid(format!("{path}.tool_call_id"), "a tool's message names the call that it answers"));
    }
    Ok(())
}

fn check_tool_name(path: &str, name: &str) -> Result<(), Fault> {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if name.is_empty() || name.len() > MAX_TOOL_NAME_BYTES || !name.bytes().all(fits) {
        return Err(Fault::invalid(path, "must be 1 to 64 bytes of a-z A-Z 0-9 _ -"));
    }
    Ok(())
}

fn check_sampling(payload: &ChatPayload) -> Result<(), Fault> {
    let Some(sampling) = &payload.sampling else { return Ok(()) };
    range("payload.sampling.temperature", sampling.temperature, 0.0, 2.0)?;
    range("payload.sampling.top_p", sampling.top_p, 0.0, 1.0)?;
    range("payload.sampling.frequency_penalty", sampling.frequency_penalty, -2.0, 2.0)?;
    range("payload.sampling.presence_penalty", sampling.presence_penalty, -2.0, 2.0)
}

fn range(field: &str, value: Option<f32>, low: f32, high: f32) -> Result<(), Fault> {
    match value {
        Some(value) if !(low..=high).contains(&value) => Err(Fault::invalid(field, format!("must be {low} to {high}"))),
        Some(_) | None => Ok(()),
    }
}

fn count(field: &str, count: usize, low: usize, high: usize) -> Result<(), Fault> {
    if (low..=high).contains(&count) {
        Ok(())
    } else {
        Err(Fault::invalid(field, format!("has {count} entries, must have {low} to {high}")))
    }
}

#[cfg(test)]
mod tests {
    use comity_proto::inference::{ContentPart, Sampling};

    use super::*;

    fn hello() -> ChatPayload {
        let content = vec![ContentPart { part: Some(Part::Text("hello".to_owned())) }];
        ChatPayload {
            messages: vec![Message { role: Role::User.into(), content, ..Message::default() }],
            ..ChatPayload::default()
        }
    }

    fn field(payload: &ChatPayload) -> String {
        match check_chat(payload) {
            Err(Fault::Invalid { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_plain_conversation_is_accepted() {
        assert_eq!(check_chat(&hello()), Ok(()));
    }

    #[test]
    fn a_payload_asks_for_no_more_than_its_envelope_says() {
        let asking = |most| ChatPayload { max_output_tokens: most, ..hello() };
        for (envelope, payload) in [(None, None), (None, Some(9_000)), (Some(16), Some(16)), (Some(16), Some(1))] {
            assert_eq!(check_most(&asking(payload), envelope), Ok(()));
        }
        for payload in [None, Some(17)] {
            let Err(Fault::Invalid { field, problem }) = check_most(&asking(payload), Some(16)) else { panic!() };
            assert_eq!(field, "payload.max_output_tokens");
            assert!(problem.contains("16 or fewer"), "{problem}");
        }
    }

    #[test]
    fn an_unspecified_or_unknown_role_is_refused_by_name() {
        for role in [0, 77] {
            let mut payload = hello();
            payload.messages[0].role = role;
            assert_eq!(field(&payload), "payload.messages[0].role");
        }
    }

    #[test]
    fn what_is_out_of_bounds_is_refused_by_name() {
        assert_eq!(field(&ChatPayload::default()), "payload.messages");
        let mut payload = hello();
        payload.messages[0].content[0].part = None;
        assert_eq!(field(&payload), "payload.messages[0].content[0]");
        let payload =
            ChatPayload { sampling: Some(Sampling { temperature: Some(f32::NAN), ..Sampling::default() }), ..hello() };
        assert_eq!(field(&payload), "payload.sampling.temperature");
        let payload = ChatPayload { max_output_tokens: Some(0), ..hello() };
        assert_eq!(field(&payload), "payload.max_output_tokens");
        assert!(check_embed(&EmbedPayload { texts: vec![] }).is_err());
        assert!(check_embed(&EmbedPayload { texts: vec!["a".into(), " ".into()] }).is_err());
    }
}
