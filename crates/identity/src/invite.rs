//! The one string that an operator or an organisation hands to a member: where to enrol, whom to believe, and the right to do so.
//!
//! `comity-invite-2.` and base64url (RFC 4648, section 5, no padding) of: who invites (1 byte: 1 for operators, 2 for
//! an organisation), id (16 bytes), secret (32), digest of the root document (32), length of the address (1), the address, and the first 4 bytes of the
//! SHA-256 of all that, so that a slip of the hand is told from an invite that is not known.

use std::str::FromStr;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use base64::{DecodeError, Engine as _};
use comity_transparency::{PublicKey, Signer, SigningError};
use comity_types::{Digest, Invalid, Secret};

use crate::host::Address;

/// What every invite of this form begins with.
pub const INVITE_PREFIX: &str = "comity-invite-2.";
/// What invites of every form begin with.
const ANY_PREFIX: &str = "comity-invite-";
/// Bytes of the checksum: one slip in four thousand million goes unseen here, and fails at the broker.
const CHECKSUM_BYTES: usize = 4;
/// Bytes before the address: inviter, id, secret, root, length.
const HEAD_BYTES: usize = 1 + 16 + 32 + 32 + 1;

/// An invite. The secret is wiped when it is dropped, and nothing prints it but [`Invite::encode`].
#[derive(Debug, Clone)]
pub struct Invite {
    /// Who invites: it says what the secret is for.
    pub from: Inviter,
    /// Its name, which is no secret.
    pub id: [u8; 16],
    /// What the broker checks.
    pub secret: Secret<[u8; 32]>,
    /// The digest of the federation's root document.
    pub root: Digest,
    /// Where to enrol, `host:port`.
    pub address: String,
}

/// Who made an invite.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inviter {
    /// Operators of the federation: the broker is shown the secret, and keeps its digest.
    Operators,
    /// An organisation, for a member of its own: the secret is the seed of a [key](Invite::signer), and nobody is shown it.
    Organisation,
}

impl Inviter {
    const fn byte(self) -> u8 {
        match self {
            Self::Operators => 1,
            Self::Organisation => 2,
        }
    }
}

/// Why a string is no invite, or none can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InviteError {
    /// It does not begin as invites do.
    #[error("this is not an invite (hint: an invite begins with {INVITE_PREFIX})")]
    NotAnInvite,
    /// It was made by a newer program.
    #[error("this form of invite is not understood (hint: update this program)")]
    UnknownForm,
    /// The end is missing.
    #[error("the invite is cut off (hint: copy all of it, up to its last character)")]
    Cut,
    /// A character is wrong.
    #[error("the invite is mistyped (hint: copy it instead of typing it)")]
    Mistyped,
    /// The address is none.
    #[error("the address in the invite is refused")]
    Address(#[source] Invalid),
    /// There is no randomness.
    #[error("no random bytes can be had")]
    Random,
}

impl Invite {
    /// Makes an invite of `from` to the federation of `root` by way of `address`.
    ///
    /// # Errors
    /// The address is not `host:port`, or there is no randomness.
    pub fn generate(from: Inviter, root: Digest, address: &str) -> Result<Self, InviteError> {
        let address = check_address(address)?;
        let (id, secret) = (random()?, Secret::new(random()?));
        Ok(Self { from, id, secret, root, address })
    }

    /// The one string.
    ///
    /// # Errors
    /// The address was made none after the invite was made.
    pub fn encode(&self) -> Result<Secret<String>, InviteError> {
        let address = check_address(&self.address)?;
        // An address has `host::MAX_ADDRESS_BYTES` at most, which is the largest length that one byte holds.
        let length = u8::try_from(address.len()).unwrap_or(u8::MAX);
        let mut bytes = Vec::with_capacity(HEAD_BYTES + address.len() + CHECKSUM_BYTES);
        bytes.push(self.from.byte());
        bytes.extend(self.id);
        bytes.extend(self.secret.reveal());
        bytes.extend(self.root.as_bytes());
        bytes.push(length);
        bytes.extend(address.as_bytes());
        bytes.extend(checksum(&bytes));
        let bytes = Secret::new(bytes);
        let mut text = String::with_capacity(INVITE_PREFIX.len() + bytes.reveal().len().div_ceil(3) * 4);
        text.push_str(INVITE_PREFIX);
        URL_SAFE_NO_PAD.encode_string(bytes.reveal(), &mut text);
        Ok(Secret::new(text))
    }

    /// The id as 32 hexadecimal digits.
    #[must_use]
    pub fn id_text(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The key that the secret is the seed of (RFC 8032, section 5.1.5): an organisation that invites has it stand in
    /// the log, and whoever holds the invite signs with it. No broker ever sees the secret of such an invite.
    ///
    /// # Errors
    /// The cryptographic library failed.
    pub fn signer(&self) -> Result<impl Signer + use<>, SigningError> {
        Ed25519KeyPair::from_seed_unchecked(self.secret.reveal()).map(InviteKey).map_err(|_| SigningError::Unusable)
    }

    /// What a broker stores instead of the secret.
    #[must_use]
    pub fn secret_digest(&self) -> Digest {
        Digest::of(self.secret.reveal())
    }
}

struct InviteKey(Ed25519KeyPair);

impl Signer for InviteKey {
    fn public_key(&self) -> Result<PublicKey, SigningError> {
        let key = self.0.public_key().as_ref().try_into().map_err(|_| SigningError::Unusable)?;
        Ok(PublicKey::from_ed25519(key))
    }

    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        self.0.try_sign(message).map(|signature| signature.as_ref().to_vec()).map_err(|_| SigningError::Unusable)
    }
}

impl FromStr for Invite {
    type Err = InviteError;

    fn from_str(text: &str) -> Result<Self, InviteError> {
        let text = text.trim();
        let body = text.strip_prefix(INVITE_PREFIX).ok_or_else(|| foreign(text))?;
        let bytes = Secret::new(URL_SAFE_NO_PAD.decode(body).map_err(|error| slip(&error))?);
        parse(bytes.reveal())
    }
}

fn parse(bytes: &[u8]) -> Result<Invite, InviteError> {
    let mut rest = bytes;
    let [from] = take::<1>(&mut rest)?;
    let id = take::<16>(&mut rest)?;
    let secret = Secret::new(take::<32>(&mut rest)?);
    let root = Digest::from_bytes(take::<32>(&mut rest)?);
    let [length] = take::<1>(&mut rest)?;
    let (address, sum) = rest.split_at_checked(length.into()).ok_or(InviteError::Cut)?;
    let covered = bytes.get(..HEAD_BYTES + address.len()).ok_or(InviteError::Cut)?;
    if sum.len() < CHECKSUM_BYTES {
        return Err(InviteError::Cut);
    }
    if sum != checksum(covered) {
        return Err(InviteError::Mistyped);
    }
    let address = std::str::from_utf8(address).map_err(|_| InviteError::Mistyped)?;
    let from = [Inviter::Operators, Inviter::Organisation].into_iter().find(|inviter| inviter.byte() == from);
    let from = from.ok_or(InviteError::UnknownForm)?;
    Ok(Invite { from, id, secret, root, address: check_address(address)? })
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], InviteError> {
    let (first, others) = rest.split_first_chunk::<N>().ok_or(InviteError::Cut)?;
    *rest = others;
    Ok(*first)
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [a, b, c, d, ..] = *Digest::of(bytes).as_bytes();
    [a, b, c, d]
}

/// What a text is that does not begin with [`INVITE_PREFIX`].
fn foreign(text: &str) -> InviteError {
    match text.strip_prefix(ANY_PREFIX) {
        _ if INVITE_PREFIX.starts_with(text) && !text.is_empty() => InviteError::Cut,
        Some(form) if form.starts_with(|first: char| first.is_ascii_digit()) => InviteError::UnknownForm,
        _ => InviteError::NotAnInvite,
    }
}

/// A length that no encoding has, or a last character with stray bits, comes from a missing end.
fn slip(error: &DecodeError) -> InviteError {
    match error {
        DecodeError::InvalidLength(_) | DecodeError::InvalidLastSymbol { .. } => InviteError::Cut,
        DecodeError::InvalidByte(..) | DecodeError::InvalidPadding => InviteError::Mistyped,
    }
}

fn check_address(text: &str) -> Result<String, InviteError> {
    text.parse::<Address>().map(|address| address.to_string()).map_err(InviteError::Address)
}

fn random<const N: usize>() -> Result<[u8; N], InviteError> {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| InviteError::Random)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn invite() -> Invite {
        Invite::generate(Inviter::Operators, Digest::of(b"root"), "broker.example:7443").unwrap()
    }

    fn text() -> String {
        invite().encode().unwrap().reveal().clone()
    }

    #[test]
    fn an_invite_survives_its_text_and_the_white_space_around_it() {
        let invite = invite();
        let text = invite.encode().unwrap();
        assert!(text.reveal().starts_with("comity-invite-2."));
        let again: Invite = format!(" {}\n", text.reveal()).parse().unwrap();
        assert_eq!((again.id, again.secret.reveal(), again.root), (invite.id, invite.secret.reveal(), invite.root));
        assert_eq!((again.address.as_str(), again.secret_digest()), ("broker.example:7443", invite.secret_digest()));
    }

    #[test]
    fn no_two_invites_are_alike() {
        assert_ne!(invite().id, invite().id);
        assert_ne!(invite().secret_digest(), invite().secret_digest());
    }

    #[test]
    fn whoever_holds_an_invite_signs_with_its_key() {
        let invite = invite();
        let again: Invite = invite.encode().unwrap().reveal().parse().unwrap();
        let public = invite.signer().unwrap().public_key().unwrap();
        assert!(public.verifies(b"statement", &again.signer().unwrap().sign(b"statement").unwrap()));
        assert_ne!(self::invite().signer().unwrap().public_key().unwrap(), public);
    }

    #[test]
    fn an_invite_does_not_print_its_secret() {
        let invite = Invite { secret: Secret::new([0xab; 32]), ..invite() };
        let printed = format!("{invite:?}");
        assert!(printed.contains("secret: [secret]") && !printed.contains("171, 171"), "{printed}");
    }

    #[test]
    fn other_texts_are_told_apart() {
        for (text, expected) in [
            ("", InviteError::NotAnInvite),
            ("hello", InviteError::NotAnInvite),
            ("comity-invite-x", InviteError::NotAnInvite),
            ("comity-invite-1.abc", InviteError::UnknownForm),
            ("comity-invite-2", InviteError::Cut),
            ("comity-invite-2.", InviteError::Cut),
            ("comity-invite-2.a!b", InviteError::Mistyped),
        ] {
            assert_eq!(text.parse::<Invite>().unwrap_err(), expected, "{text}");
        }
    }

    #[test]
    fn an_invite_that_is_cut_anywhere_says_so() {
        let text = text();
        for end in 1..text.len() {
            assert_eq!(text[..end].parse::<Invite>().unwrap_err(), InviteError::Cut, "cut at {end}");
        }
    }

    #[test]
    fn an_address_that_is_none_is_refused_before_the_invite_is_made() {
        let long = format!("{}:12345", ["a"; 127].join("."));
        for address in ["", "broker.example", "https://broker.example:1", long.as_str()] {
            assert!(
                matches!(Invite::generate(Inviter::Operators, Digest::of(b""), address), Err(InviteError::Address(_))),
                "{address}"
            );
        }
    }

    proptest! {
        #[test]
        fn one_wrong_character_never_makes_another_invite(at in 16usize..140, wrong in "[A-Za-z0-9_-]") {
            let mut text = text();
            prop_assume!(at < text.len() && text[at..=at] != wrong);
            text.replace_range(at..=at, &wrong);
            prop_assert!(text.parse::<Invite>().is_err());
        }

        #[test]
        fn no_text_makes_the_parser_fall(text in "(comity-invite-2\\.)?[ -~]{0,200}") {
            prop_assert!(text.parse::<Invite>().is_err());
        }
    }
}
