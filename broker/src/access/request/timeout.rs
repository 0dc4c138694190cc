//! gRPC's deadline header, `grpc-timeout`: one to eight digits and a unit (gRPC over HTTP/2, Requests).

use std::time::Duration;

use comity_proto::error::Failure;
use http::{HeaderMap, HeaderValue};
use tonic::Code;

/// The header.
const HEADER: &str = "grpc-timeout";
/// Most digits.
const MAX_DIGITS: usize = 8;

/// The timeout that a request states.
pub(super) fn of(headers: &HeaderMap) -> Result<Option<Duration>, Failure> {
    let Some(value) = headers.get(HEADER) else { return Ok(None) };
    let timeout = value.to_str().ok().and_then(parse);
    timeout.map(Some).ok_or_else(|| {
        let message = "grpc-timeout: 1 to 8 digits and one of H M S m u n are accepted, such as 30S";
        Failure::new(Code::InvalidArgument, "INVALID_TIMEOUT", message).with("field", HEADER)
    })
}

fn parse(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
    let number: u64 = digits.parse().ok().filter(|_| is_number)?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The header's value for what is left.
pub(crate) fn value(left: Duration) -> HeaderValue {
    // A request lasts an hour at most, which is 7 digits of milliseconds.
    let millis = u64::try_from(left.as_millis()).unwrap_or(u64::MAX).min(99_999_999);
    HeaderValue::try_from(format!("{millis}m")).unwrap_or_else(|_| HeaderValue::from_static("0m"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_are_read_in_every_unit_and_nothing_else_is() {
        assert_eq!(parse("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(parse("1M"), Some(Duration::from_secs(60)));
        assert_eq!(parse("30S"), Some(Duration::from_secs(30)));
        assert_eq!(parse("250m"), Some(Duration::from_millis(250)));
        assert_eq!(parse("99999999u"), Some(Duration::from_micros(99_999_999)));
        assert_eq!(parse("1n"), Some(Duration::from_nanos(1)));
        for text in ["", "S", "1", "123456789S", "1s", "-1S", "+1S", "1.5S", "1 S", "é"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn what_is_left_is_read_back() {
        let left = Duration::from_millis(1_234);
        assert_eq!(parse(value(left).to_str().unwrap()), Some(left));
    }
}
