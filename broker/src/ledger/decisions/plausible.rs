//! How much a request can have used, by what the broker itself saw of it.
//!
//! Tokens are the node's word, and counters of 64 bits are room for a text, or for a bill. The broker reads no payload, so that
//! it knows what a caller wants at most only where the envelope says that, too, and not what a tokenizer makes of a prompt; what
//! is held here is what no honest node exceeds.

use std::time::Duration;

use super::{Unsigned, UsageRecord};

/// Tokens that a request may have whatever its length: templates, a prompt of the backend's own, tools.
const MIN_INPUT_TOKENS: u64 = 1 << 16;
/// Tokens for a byte of the request. Of text no tokenizer makes more than one of a byte; of an image of a hundred bytes a model
/// may make 16,384.
const INPUT_TOKENS_PER_BYTE: u64 = 256;
/// Tokens that an answer may have however fast it came: one from a cache, with all that was thought before it.
const MIN_OUTPUT_TOKENS: u64 = 1 << 18;
/// Tokens for a millisecond. What is thought and not shown has no byte, so that time alone bounds it: the fastest machines write
/// some thousands in a second, and a request may ask for 128 answers at once.
const OUTPUT_TOKENS_PER_MS: u64 = 1_000;
/// Tokens that an answer may have beyond what was asked for at most: backends count the one that ends it, or not, and a tool's
/// call may be finished.
const OUTPUT_TOKENS_BESIDE: u64 = 16;
/// Most tokens of either, whatever else: above a hundred times what models read.
const MAX_TOKENS: u64 = 1 << 27;

/// What the broker saw of a request.
#[derive(Debug, Clone, Copy)]
pub struct Plausible {
    /// The length of its message, in bytes.
    pub request_bytes: usize,
    /// From its arrival to its end.
    pub took: Duration,
    /// Most tokens that it wanted in the answer, where its envelope says so.
    pub max_output_tokens: Option<u32>,
}

impl Plausible {
    /// Holds what a node says that it used against this.
    ///
    /// # Errors
    /// No honest node says so.
    pub fn check(self, usage: UsageRecord) -> Result<UsageRecord, Unsigned> {
        let (bytes, took) = (self.request_bytes as u64, u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX));
        let most = |least: u64, more: u64| least.saturating_add(more).min(MAX_TOKENS);
        let input = most(MIN_INPUT_TOKENS, bytes.saturating_mul(INPUT_TOKENS_PER_BYTE));
        let output = most(MIN_OUTPUT_TOKENS, took.saturating_mul(OUTPUT_TOKENS_PER_MS));
        let asked = self.max_output_tokens.map(most_output_tokens);
        let output = output.min(asked.unwrap_or(u64::MAX));
        match (usage.input_tokens <= input, usage.output_tokens <= output) {
            (true, true) => Ok(usage),
            (false, _) => Err(Unsigned::Excessive { field: "input_tokens" }),
            (true, false) => Err(Unsigned::Excessive { field: "output_tokens" }),
        }
    }
}

/// Tokens of an answer that a node may sign where its caller wants so many at most.
#[must_use]
pub fn most_output_tokens(asked: u32) -> u64 {
    u64::from(asked).saturating_add(OUTPUT_TOKENS_BESIDE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(request_bytes: usize, took_s: u64, input_tokens: u64, output_tokens: u64) -> Result<(), Unsigned> {
        let seen = Plausible { request_bytes, took: Duration::from_secs(took_s), max_output_tokens: None };
        seen.check(UsageRecord { input_tokens, output_tokens }).map(drop)
    }

    #[test]
    fn what_honest_nodes_use_passes() {
        for (request_bytes, took_s, input, output) in [
            // A word, behind a long prompt of the backend's own.
            (40, 1, 50_000, 10),
            // A byte a token, all of the largest context.
            (10_000_000, 60, 10_000_000, 4_000),
            // An image of a hundred bytes.
            (300, 1, 16_500, 200),
            // Thoughts that are not shown, by a fast machine; and 128 answers at once.
            (2_000, 60, 700, 300_000),
            (2_000, 60, 700, 128 * 60 * 5_000),
            // From a cache.
            (2_000, 0, 700, 128_000),
        ] {
            assert_eq!(found(request_bytes, took_s, input, output), Ok(()), "{input} in, {output} out");
        }
    }

    #[test]
    fn who_asks_for_so_many_tokens_at_most_is_billed_for_no_more() {
        let of = |output_tokens| {
            let seen = Plausible { request_bytes: 100, took: Duration::from_secs(60), max_output_tokens: Some(16) };
            seen.check(UsageRecord { input_tokens: 3, output_tokens }).map(drop)
        };
        for honest in [0, 16, 17, 32] {
            assert_eq!(of(honest), Ok(()));
        }
        for dishonest in [33, 262_144] {
            assert_eq!(of(dishonest), Err(Unsigned::Excessive { field: "output_tokens" }));
        }
    }

    #[test]
    fn a_text_has_no_room_in_what_a_request_may_have_used() {
        let excessive = |field| Err(Unsigned::Excessive { field });
        let text = u64::from_be_bytes(*b"patient!");
        assert_eq!(found(2_000, 10, text, 4), excessive("input_tokens"));
        assert_eq!(found(2_000, 10, 3, text), excessive("output_tokens"));
        assert_eq!(found(usize::MAX, u64::MAX, MAX_TOKENS + 1, 4), excessive("input_tokens"));
        assert_eq!(found(usize::MAX, u64::MAX, 3, MAX_TOKENS + 1), excessive("output_tokens"));
    }
}
