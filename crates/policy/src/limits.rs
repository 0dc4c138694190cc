//! How long the lists and texts of policy may be: in files, in signed facts and terms, and in requests.
//!
//! Each is far above real use and far below harm: a verdict looks at every entry, on the way of every request.

/// Longest file of policy, in bytes: a listing of all offers of a large federation fits.
pub const MAX_FILE_BYTES: u64 = 8 * 1024 * 1024;
/// Longest list, in entries, where nothing below says less.
pub const MAX_LIST: usize = 256;
/// Longest name for people, purpose, code or short text, in bytes.
pub const MAX_TEXT_BYTES: usize = 256;
/// Longest name of a sub-processor or of an ownership rule, in bytes.
pub const MAX_ID_BYTES: usize = 64;
/// Longest address of evidence, in bytes.
pub const MAX_URI_BYTES: usize = 2048;
/// Most sub-processors of an offer.
pub const MAX_SUB_PROCESSORS: usize = 64;
/// Most retention rules and classification ceilings, each, of one set of terms.
pub const MAX_RULES: usize = 32;
/// Most ownership rules of one set of terms: each looks at every owner of a caller in turn, which takes some 20 ms where a
/// caller has as many as it may.
pub const MAX_OWNERSHIP_RULES: usize = 8;
/// Most times at which an ownership rule is in force.
pub const MAX_INTERVALS: usize = 16;
/// Most certificates of an offer, caveats of a classification, and lists or sectors of a rule or a party.
pub const MAX_ENTRIES: usize = 64;
/// Most people and organisations that control one.
pub const MAX_CONTROLLERS: usize = 64;
/// Most registration numbers of an organisation.
pub const MAX_NUMBERS: usize = 16;
/// Longest registration number, in bytes.
pub const MAX_NUMBER_BYTES: usize = 64;
/// Most purposes, tags, origins and classifications, each, of a request: what one request can be about.
pub const MAX_REQUEST_LIST: usize = 16;
/// Most certificates, and most assurances, that a request demands.
pub const MAX_DEMANDS: usize = 64;
/// Most presets that one requirements file names: more than there are.
pub const MAX_PRESETS: usize = 32;
/// The whole of something, in hundredths of a percent.
pub const WHOLE_BP: u32 = 10_000;
/// Most requests that a quota grants a caller in a day: over 11,000 a second, which no node serves. Who grants more
/// states no quota.
pub const MAX_REQUESTS_PER_DAY: u32 = 1_000_000_000;
/// The highest sovereignty rating (Cloud Sovereignty Framework, SEAL).
pub const MAX_SEAL: u8 = 4;
/// The highest level of the proposed Cloud and AI Development Act.
pub const MAX_CADA_LEVEL: u8 = 4;
/// The highest Gaia-X label.
pub const MAX_GAIAX_LABEL: u8 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listing_of_thousands_of_offers_fits_into_a_file() {
        let all = crate::cases::parse(include_str!("../../../tests/cases/corners.toml")).unwrap();
        let offer = serde_json::to_vec(&all[0].world.as_ref().unwrap().offer).unwrap();
        let listing = u64::try_from(offer.len()).unwrap() * 5_000;
        assert!((2 << 20..=MAX_FILE_BYTES).contains(&listing), "{listing}");
    }
}
