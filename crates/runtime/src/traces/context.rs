//! W3C trace context (<https://www.w3.org/TR/trace-context/>): the ids of a trace, as the header `traceparent` carries them.
//!
//! Nothing else of the standard is read or sent: `tracestate` and `baggage` are free text, which could carry a prompt, or what
//! one organisation notes to itself to another (docs/decisions/0031).

use aws_lc_rs::rand;
use http::{HeaderMap, HeaderName, HeaderValue};

/// The header.
pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Bytes of a header of version 00: later versions have at least as many, and then a dash.
const LENGTH: usize = 55;
/// The bit of the flags that says that whoever calls records its part.
const SAMPLED: u8 = 1;
/// The version that no header may have.
const FORBIDDEN: u8 = 0xff;

/// The ids of one span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Context {
    /// Of the trace: never zero.
    pub(crate) trace: [u8; 16],
    /// Of the span in it: never zero.
    pub(crate) span: SpanId,
    /// Whether it is recorded.
    pub(crate) sampled: bool,
}

/// The id of a span: never zero.
pub(crate) type SpanId = [u8; 8];

impl Context {
    /// What the one `traceparent` of a request says; nothing where it has none, several, or one that is malformed.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let mut all = headers.get_all(TRACEPARENT).iter();
        let (first, None) = (all.next()?, all.next()) else { return None };
        Self::parse(first.as_bytes())
    }

    fn parse(text: &[u8]) -> Option<Self> {
        let (head, rest) = text.split_at_checked(LENGTH)?;
        let [version] = hex(head.get(..2)?)?;
        // What a later version appends is not looked at, as the standard says.
        if version == FORBIDDEN || !(rest.is_empty() || (version > 0 && rest.first() == Some(&b'-'))) {
            return None;
        }
        let dashes = [2, 35, 52].iter().all(|at| head.get(*at) == Some(&b'-'));
        let (trace, span, [flags]) = (hex(head.get(3..35)?)?, hex(head.get(36..52)?)?, hex(head.get(53..55)?)?);
        let is_whole = dashes && trace != [0; 16] && span != [0; 8];
        is_whole.then_some(Self { trace, span, sampled: flags & SAMPLED != 0 })
    }

    /// A trace that begins here, with a span of its own. None without randomness.
    pub(crate) fn begin(sampled: impl FnOnce([u8; 16]) -> bool) -> Option<Self> {
        let trace = random()?;
        Some(Self { trace, span: new_span()?, sampled: sampled(trace) })
    }

    /// As the header says it.
    pub(crate) fn header(&self) -> Option<HeaderValue> {
        let flags = if self.sampled { "01" } else { "00" };
        HeaderValue::try_from(format!("00-{}-{}-{flags}", text(&self.trace), text(&self.span))).ok()
    }
}

/// An id for a span. None without randomness.
pub(crate) fn new_span() -> Option<SpanId> {
    random()
}

/// Bytes that are not all zero: only a machine whose randomness is broken has such, and traces nothing.
fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).ok()?;
    (bytes != [0; N]).then_some(bytes)
}

/// In lower-case hexadecimal.
pub(crate) fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Only lower-case digits, as the standard says.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: &u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *byte = digit(high)? << 4 | digit(low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard's own example.
    const GOOD: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn of(values: &[&str]) -> Option<Context> {
        Context::of(&values.iter().map(|value| (TRACEPARENT, HeaderValue::try_from(*value).unwrap())).collect())
    }

    #[test]
    fn a_traceparent_is_read_and_written_as_the_standard_has_it() {
        let context = of(&[GOOD]).unwrap();
        assert!(context.sampled);
        assert_eq!(context.header().unwrap(), GOOD);
        assert!(!of(&[&GOOD.replace("-01", "-00")]).unwrap().sampled);
        // Other flags are not ours, and do not go on.
        assert_eq!(of(&[&GOOD.replace("-01", "-ff")]).unwrap().header().unwrap(), GOOD);
        assert_eq!(of(&[&format!("{}-later", GOOD.replacen("00", "cc", 1))]), Some(context));
    }

    #[test]
    fn what_is_no_traceparent_is_as_none() {
        let zero_trace = "00-00000000000000000000000000000000-b7ad6b7169203331-01";
        let zero_span = "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01";
        let capitals = GOOD.to_uppercase();
        let (forbidden, longer) = (GOOD.replacen("00", "ff", 1), format!("{GOOD}-more"));
        let glued = format!("{}more", GOOD.replacen("00", "cc", 1));
        let dashes = GOOD.replacen('-', "_", 2);
        let short = &GOOD[..54];
        for wrong in ["", "the prompt", short, zero_trace, zero_span, &capitals, &forbidden, &longer, &glued, &dashes] {
            assert_eq!(of(&[wrong]), None, "{wrong}");
        }
        assert_eq!(of(&[GOOD, GOOD]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn traces_that_begin_here_have_ids_of_their_own() {
        let begin = || Context::begin(|_| true).unwrap();
        let (one, other) = (begin(), begin());
        assert!(one.trace != other.trace && one.span != other.span);
        assert_eq!(Context::parse(one.header().unwrap().as_bytes()), Some(one));
    }
}
