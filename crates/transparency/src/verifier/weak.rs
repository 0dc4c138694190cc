//! Ed25519 keys that are nobody's own: points of small order, for which a signature is made without any private key,
//! and second spellings of a point. The library verifies with them, as RFC 8032 allows; a witness with such a key would
//! be everybody, and one key in two spellings would count twice.

/// Bytes of a key.
const BYTES: usize = 32;
/// The prime 2^255 - 19, little-endian: a coordinate is below it (RFC 8032, section 5.1.3).
const PRIME: [u8; BYTES] = {
    let mut prime = [0xff; BYTES];
    prime[0] = 0xed;
    prime[BYTES - 1] = 0x7f;
    prime
};
/// The prime less one, the coordinate of the point of order 2.
const MINUS_ONE: [u8; BYTES] = {
    let mut minus_one = PRIME;
    minus_one[0] = 0xec;
    minus_one
};
/// The coordinate of the neutral point.
const ONE: [u8; BYTES] = {
    let mut one = [0; BYTES];
    one[0] = 1;
    one
};
/// The coordinate of the points of order 4.
const ZERO: [u8; BYTES] = [0; BYTES];
/// The coordinates of the points of order 8 (edwards25519).
const OF_ORDER_8: [[u8; BYTES]; 2] = [
    [
        0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf,
        0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
    ],
    [
        0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20,
        0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
    ],
];

/// True for a key of small order, or one that has another spelling.
pub(super) fn is_weak(public: &[u8]) -> bool {
    let Ok(mut coordinate) = <[u8; BYTES]>::try_from(public) else { return true };
    // The highest bit is the sign of the other coordinate.
    if let Some(last) = coordinate.last_mut() {
        *last &= 0x7f;
    }
    let small = [ZERO, ONE, MINUS_ONE].contains(&coordinate) || OF_ORDER_8.contains(&coordinate);
    small || coordinate.iter().rev().ge(PRIME.iter().rev())
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

    use super::*;

    /// A signature without a private key: a point of small order as R, and nothing as S.
    fn forge(public: &[u8; BYTES]) -> bool {
        let key = UnparsedPublicKey::new(&ED25519, public);
        let nothing = [0; BYTES];
        // One message in eight or so does.
        (0_u32..200).any(|n| key.verify(&n.to_be_bytes(), &[ONE, nothing].concat()).is_ok())
    }

    #[test]
    fn for_every_point_of_small_order_anybody_can_sign_so_none_is_a_key() {
        for coordinate in [ONE, MINUS_ONE, ZERO, OF_ORDER_8[0], OF_ORDER_8[1]] {
            assert!(forge(&coordinate), "{coordinate:02x?}");
            let mut other_sign = coordinate;
            other_sign[BYTES - 1] |= 0x80;
            assert!(is_weak(&coordinate) && is_weak(&other_sign));
        }
    }

    #[test]
    fn a_second_spelling_of_a_point_is_no_key() {
        for above in [0xed, 0xee, 0xef, 0xff] {
            let mut spelling = PRIME;
            spelling[0] = above;
            assert!(is_weak(&spelling), "{above:02x}");
        }
    }

    #[test]
    fn keys_that_are_made_are_keys() {
        for _ in 0..64 {
            let key = Ed25519KeyPair::generate().unwrap();
            assert!(!is_weak(key.public_key().as_ref()));
        }
    }
}
