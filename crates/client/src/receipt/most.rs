//! How many tokens an answer may have, as the payload of a request says it. Brokers read no payload: what they reserve of budgets,
//! and what they take for a node's word on what it used, goes by the same number in the envelope.

use bytes::Bytes;
use prost::Message as _;

/// The methods whose payload says so: a `ChatPayload`.
const METHODS: [&str; 2] = ["/comity.inference.v1.Inference/Chat", "/comity.inference.v1.Inference/ChatStream"];

/// What is read of a `ChatPayload`, so that no conversation is decoded, and copied, for one number.
#[derive(Clone, PartialEq, prost::Message)]
struct Most {
    #[prost(uint32, optional, tag = "3")]
    max_output_tokens: Option<u32>,
}

/// At most how many tokens the answer to a request of this method is to have. What is no payload is the node's to refuse.
pub(super) fn of_payload(path: &str, payload: Option<&Bytes>) -> Option<u32> {
    let payload = payload.filter(|_| METHODS.contains(&path))?;
    // None at all is refused in either place; a node says which field it was.
    Most::decode(payload.clone()).ok()?.max_output_tokens.filter(|most| *most > 0)
}

#[cfg(test)]
mod tests {
    use comity_proto::inference::{ChatPayload, EmbedPayload, Message};
    use comity_proto::methods;

    use super::*;

    fn chat(max_output_tokens: Option<u32>) -> Bytes {
        let messages = vec![Message::default(); 3];
        ChatPayload { messages, max_output_tokens, stop: vec!["end".into()], ..ChatPayload::default() }
            .encode_to_vec()
            .into()
    }

    #[test]
    fn a_conversation_says_how_long_its_answer_may_be_and_nothing_else_does() {
        for method in METHODS {
            assert!(methods::find(method).is_some(), "{method}");
            assert_eq!(of_payload(method, Some(&chat(Some(16)))), Some(16));
            assert_eq!(of_payload(method, Some(&chat(None))), None);
            assert_eq!(of_payload(method, Some(&chat(Some(0)))), None);
            assert_eq!(of_payload(method, Some(&Bytes::from_static(b"\xff\xff"))), None);
            assert_eq!(of_payload(method, None), None);
        }
        let texts = EmbedPayload { texts: vec!["a".into()] }.encode_to_vec();
        assert_eq!(of_payload("/comity.inference.v1.Inference/Embed", Some(&texts.into())), None);
        assert_eq!(of_payload("/comity.inference.v1.Inference/Forward", Some(&chat(Some(16)))), None);
    }
}
