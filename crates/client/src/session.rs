//! Sessions: what an app calls a conversation, so that the broker sends all of it to the same offer where it may.

use bytes::Bytes;
use comity_types::Digest;

/// What stands before a name when it is hashed, so that the digest is met nowhere else.
const CONTEXT: &[u8] = b"comity session v1\n";

/// The `session` of [`Preferences`](comity_proto::policy::Preferences) that stands for `name`. The name itself goes nowhere: the
/// broker, the node that serves it and the broker's record get its digest. Whoever can guess the name can tell that the digest
/// is of it, so that a name should not be a person's; random bytes that the app keeps are best.
#[must_use]
pub fn session(name: &[u8]) -> Bytes {
    let digest = Digest::of(&[CONTEXT, name].concat());
    Bytes::copy_from_slice(digest.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_told_by_equal_digests_that_say_nothing_of_its_name() {
        let one = session(b"conversation 7");
        assert_eq!((one.len(), &one), (32, &session(b"conversation 7")));
        assert_ne!(one, session(b"conversation 8"));
        assert_ne!(one, Digest::of(b"conversation 7").as_bytes()[..]);
    }
}
