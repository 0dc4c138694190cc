//! What an answer used, read out of a body that passes through.

use comity_proto::inference::Usage;

use super::response::WireUsage;

/// The field of an answer, or of an event of one, that says what it used.
const FIELD: &[u8] = b"usage";
/// Longest value of the field that is read, in bytes: servers add details to two numbers, not essays.
const MAX_VALUE_BYTES: usize = 4096;

/// Finds `usage` at the top of a JSON body, or of the last event that has one, in pieces of any size.
///
/// It keeps nothing of the body but that one value, so that an answer of any length costs the same.
#[derive(Debug, Default)]
pub struct UsageReader {
    depth: usize,
    quoted: Quoted,
    /// The last string at the top of the object, up to one byte more than [`FIELD`].
    word: Vec<u8>,
    /// The field's value, as far as it has come.
    value: Option<Vec<u8>>,
    found: Option<Usage>,
}

#[derive(Debug, Default, Clone, Copy)]
enum Quoted {
    #[default]
    Outside,
    Inside,
    AfterBackslash,
}

impl UsageReader {
    /// Reads the next piece of the body.
    pub fn read(&mut self, piece: &[u8]) {
        piece.iter().for_each(|byte| self.step(*byte));
    }

    /// What the body has said so far.
    #[must_use]
    pub const fn found(&self) -> Option<Usage> {
        self.found
    }

    fn step(&mut self, byte: u8) {
        let at_top = self.depth == 1;
        match (self.quoted, byte) {
            (Quoted::AfterBackslash, _) => self.quoted = Quoted::Inside,
            (Quoted::Inside, b'\\') => self.quoted = Quoted::AfterBackslash,
            (Quoted::Inside, b'"') => self.quoted = Quoted::Outside,
            (Quoted::Inside, _) if at_top && self.word.len() <= FIELD.len() => self.word.push(byte),
            (Quoted::Inside, _) => {}
            (Quoted::Outside, b'"') => {
                self.quoted = Quoted::Inside;
                self.word.clear();
            }
            (Quoted::Outside, b':') if at_top && self.word == FIELD => {
                self.value = Some(Vec::new());
                return;
            }
            (Quoted::Outside, b',') if at_top => self.end_value(),
            (Quoted::Outside, b'{' | b'[') => self.depth += 1,
            (Quoted::Outside, b'}' | b']') => {
                if at_top {
                    self.end_value();
                }
                self.depth = self.depth.saturating_sub(1);
            }
            (Quoted::Outside, _) => {}
        }
        self.keep(byte);
    }

    fn keep(&mut self, byte: u8) {
        self.value = self.value.take().filter(|value| value.len() < MAX_VALUE_BYTES);
        if let Some(value) = &mut self.value {
            value.push(byte);
        }
    }

    /// A null, as streams have it in all events but the last, says nothing.
    fn end_value(&mut self) {
        self.word.clear();
        let Some(value) = self.value.take() else { return };
        if let Ok(Some(usage)) = serde_json::from_slice::<Option<WireUsage>>(&value) {
            self.found = Some(usage.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(body: &str) -> Option<(u64, u64)> {
        let whole = read([body.as_bytes()]);
        let bytewise = read(body.as_bytes().chunks(1));
        assert_eq!(whole, bytewise, "{body}");
        whole
    }

    fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Option<(u64, u64)> {
        let mut reader = UsageReader::default();
        pieces.into_iter().for_each(|piece| reader.read(piece));
        reader.found().map(|usage| (usage.input_tokens, usage.output_tokens))
    }

    #[test]
    fn the_usage_of_an_answer_is_found_wherever_it_stands() {
        let usage = r#""usage": {"prompt_tokens":3,"completion_tokens":2,"details":{"a":[1,"}"]}}"#;
        for body in [
            format!(r#"{{{usage},"choices":[{{"message":{{"content":"hi"}}}}]}}"#),
            format!("{{\n  \"object\": \"usage\",\n  \"choices\": [],\n  {usage}\n}}"),
            format!(r#"{{"text":"say \"usage\": {{","n":1,{usage}}}"#),
        ] {
            assert_eq!(found(&body), Some((3, 2)), "{body}");
        }
        assert_eq!(found(r#"{"data":[],"usage":{"prompt_tokens":9,"total_tokens":9}}"#), Some((9, 0)));
    }

    #[test]
    fn the_last_event_with_usage_counts() {
        let events = "data: {\"choices\":[{}],\"usage\":null}\n\n\
             data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
        assert_eq!(found(events), Some((3, 2)));
    }

    #[test]
    fn what_is_said_elsewhere_or_cannot_be_read_is_no_usage() {
        let nested = r#"{"choices":[{"usage":{"prompt_tokens":3,"completion_tokens":2}}]}"#;
        let quoted = r#"{"content":"\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}"}"#;
        for body in [nested, quoted, r#"{"usage":"many"}"#, r#"{"usage":{"prompt_tokens":-1}}"#, r#"{"usage":{"p"#, ""]
        {
            assert_eq!(found(body), None, "{body}");
        }
        let long = format!(r#"{{"usage":{{"x":"{}","prompt_tokens":3}}}}"#, "x".repeat(MAX_VALUE_BYTES));
        assert_eq!(found(&long), None);
    }
}
