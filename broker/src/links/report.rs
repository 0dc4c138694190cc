//! What nodes say of how busy they are: bounded, and read strictly. It is nobody's signed word.

use base64::Engine as _;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use comity_proto::permit::Load;
use comity_proto::{metadata, strict};
use http::HeaderMap;

use super::FULL_SHARE;

/// Longest report, encoded: more than two numbers need.
const MAX_REPORT_CHARS: usize = 44;
/// gRPC allows binary metadata with and without padding.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// How busy a node says that it is with an offer, of [`FULL_SHARE`]; none where it says nothing that can be read.
pub(super) fn of(trailers: &HeaderMap) -> Option<u32> {
    let value = trailers.get(metadata::LOAD).filter(|value| value.len() <= MAX_REPORT_CHARS)?;
    let bytes = BASE64.decode(value.as_bytes()).ok()?;
    let Load { in_flight, limit } = strict::decode(bytes.into()).ok()?;
    let share = u64::from(in_flight).checked_mul(FULL_SHARE.into())?.checked_div(limit.into())?;
    u32::try_from(share.min(FULL_SHARE.into())).ok()
}

#[cfg(test)]
mod tests {
    use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
    use prost::Message as _;

    use super::*;

    fn trailers(value: &str) -> HeaderMap {
        HeaderMap::from_iter([(http::HeaderName::from_static(metadata::LOAD), value.parse().unwrap())])
    }

    fn report(in_flight: u32, limit: u32) -> Vec<u8> {
        Load { in_flight, limit }.encode_to_vec()
    }

    #[test]
    fn a_report_is_a_share_of_what_the_node_can_do() {
        let read = |in_flight, limit| of(&trailers(&STANDARD_NO_PAD.encode(report(in_flight, limit))));
        assert_eq!([read(1, 2), read(0, 8), read(9, 8)], [Some(FULL_SHARE / 2), Some(0), Some(FULL_SHARE)]);
        assert_eq!(of(&trailers(&STANDARD.encode(report(3, 4)))), Some(FULL_SHARE / 4 * 3));
    }

    #[test]
    fn what_is_no_report_says_nothing() {
        let unknown_field = [report(1, 2), vec![0x18, 1]].concat();
        let long = [report(1, 2), vec![0; 64]].concat();
        for bytes in [report(1, 0), unknown_field, long, vec![0xff]] {
            assert_eq!(of(&trailers(&STANDARD_NO_PAD.encode(&bytes))), None, "{bytes:?}");
        }
        assert_eq!((of(&trailers("???")), of(&HeaderMap::new())), (None, None));
    }
}
