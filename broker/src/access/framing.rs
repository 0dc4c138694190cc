//! Counts the messages of an answer as they pass: each is `{ compressed u8, length u32 be, message }`, wherever HTTP/2 cuts it.
//!
//! What ends inside a message, or says OK without the one message that its method answers with, is no success, whatever its
//! status says. Bytes are looked at and not kept: five of each message, and none between.

use super::request::Method;

/// The flag and the length before a message.
const PREFIX_BYTES: u8 = 5;

/// Where in its messages an answer is.
#[derive(Debug, Clone)]
pub(super) struct Framing {
    at: At,
    /// Messages that have begun.
    begun: u64,
    /// Whether one message makes an answer.
    is_unary: bool,
    /// Whether the answer's head names an encoding that messages may be in.
    may_be_compressed: bool,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// A prefix, of which so many bytes have come, and with them this much of the length.
    Prefix { read: u8, length: u32 },
    /// So many bytes of a message, one or more.
    Message { left: u32 },
}

/// What is wrong with an answer's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Malformed {
    /// It ended in the middle of a message.
    #[error("it ends inside a message")]
    Cut,
    /// A message is compressed, and nobody said how.
    #[error("a message is compressed, and the answer's head does not say how")]
    Compressed,
    /// The byte before the length is neither 0 nor 1: what follows is no message.
    #[error("a message begins with a flag that gRPC does not know")]
    Flag,
    /// One message was to come.
    #[error("it has no message, where one makes an answer")]
    NoMessage,
    /// One message was to come.
    #[error("it has more than one message, where one makes an answer")]
    Surplus,
}

impl Framing {
    /// Of an answer of `method`, of which nothing has come.
    pub(super) const fn new(method: Method, may_be_compressed: bool) -> Self {
        let is_unary = match method {
            Method::Chat | Method::Embed => true,
            Method::ChatStream | Method::Forward => false,
        };
        Self { at: At::Prefix { read: 0, length: 0 }, begun: 0, is_unary, may_be_compressed }
    }

    /// Takes what comes next.
    ///
    /// # Errors
    /// It is no part of an answer; nothing that follows it can be read either.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Result<(), Malformed> {
        loop {
            if let At::Message { left } = &mut self.at {
                let taken = (*left as usize).min(bytes.len());
                // No more than `left`, which is a `u32`.
                *left = left.saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX));
                if *left == 0 {
                    self.at = At::Prefix { read: 0, length: 0 };
                }
                bytes = bytes.get(taken..).unwrap_or_default();
            }
            let Some((byte, rest)) = bytes.split_first() else { return Ok(()) };
            self.prefix(*byte)?;
            bytes = rest;
        }
    }

    /// The answer has ended, and well, as its status says.
    ///
    /// # Errors
    /// It has not.
    pub(super) const fn end(&self) -> Result<(), Malformed> {
        match self.at {
            At::Prefix { read: 0, .. } if self.is_unary && self.begun == 0 => Err(Malformed::NoMessage),
            At::Prefix { read: 0, .. } => Ok(()),
            At::Prefix { .. } | At::Message { .. } => Err(Malformed::Cut),
        }
    }

    /// Takes the next byte, where that is of a prefix.
    fn prefix(&mut self, byte: u8) -> Result<(), Malformed> {
        let At::Prefix { read, length } = self.at else { return Ok(()) };
        let (read, length) = match read {
            0 => {
                self.begin(byte)?;
                (1, 0)
            }
            _ => (read.saturating_add(1), (length << 8) | u32::from(byte)),
        };
        self.at = match (read, length) {
            (PREFIX_BYTES, 0) => At::Prefix { read: 0, length: 0 },
            (PREFIX_BYTES, left) => At::Message { left },
            (read, length) => At::Prefix { read, length },
        };
        Ok(())
    }

    /// A message begins, with this flag.
    const fn begin(&mut self, flag: u8) -> Result<(), Malformed> {
        self.begun = self.begun.saturating_add(1);
        match flag {
            _ if self.is_unary && self.begun > 1 => Err(Malformed::Surplus),
            0 => Ok(()),
            1 if self.may_be_compressed => Ok(()),
            1 => Err(Malformed::Compressed),
            _ => Err(Malformed::Flag),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// All of an answer at once, as one reads it who has it whole.
    fn plainly(mut answer: &[u8], is_unary: bool, may_be_compressed: bool) -> Result<(), Malformed> {
        let mut messages = 0;
        while let Some((flag, rest)) = answer.split_first() {
            messages += 1;
            match flag {
                _ if is_unary && messages > 1 => return Err(Malformed::Surplus),
                0 => {}
                1 if may_be_compressed => {}
                1 => return Err(Malformed::Compressed),
                _ => return Err(Malformed::Flag),
            }
            let Some((length, rest)) = rest.split_first_chunk() else { return Err(Malformed::Cut) };
            let length = usize::try_from(u32::from_be_bytes(*length)).unwrap();
            answer = rest.get(length..).ok_or(Malformed::Cut)?;
        }
        if is_unary && messages == 0 { Err(Malformed::NoMessage) } else { Ok(()) }
    }

    /// The same of pieces.
    fn in_pieces<'a>(
        mut pieces: impl Iterator<Item = &'a [u8]>,
        is_unary: bool,
        may_be_compressed: bool,
    ) -> Result<(), Malformed> {
        let method = if is_unary { Method::Chat } else { Method::ChatStream };
        let mut framing = Framing::new(method, may_be_compressed);
        pieces.try_for_each(|piece| framing.take(piece))?;
        framing.end()
    }

    fn message(flag: u8, text: &[u8]) -> Vec<u8> {
        [&[flag], &u32::try_from(text.len()).unwrap().to_be_bytes()[..], text].concat()
    }

    #[test]
    fn a_message_of_four_gigabytes_is_counted_to_its_last_byte() {
        let mut framing = Framing::new(Method::Chat, false);
        framing.take(&[0, 0xff, 0xff, 0xff, 0xff]).unwrap();
        let mebibyte = vec![0xff; 1 << 20];
        (0..(1 << 12) - 1).for_each(|_| framing.take(&mebibyte).unwrap());
        framing.take(&mebibyte[2..]).unwrap();
        assert_eq!(framing.end(), Err(Malformed::Cut));
        framing.take(&[0]).unwrap();
        assert_eq!(framing.end(), Ok(()));
        assert_eq!(framing.take(&[0]), Err(Malformed::Surplus));
    }

    proptest! {
        /// Wherever it is cut into pieces, and wherever it ends, an answer is what it is as a whole.
        #[test]
        fn pieces_are_read_as_the_whole_is(
            messages in prop::collection::vec((prop_oneof![8 => Just(0_u8), 2 => Just(1), 1 => any::<u8>()], prop::collection::vec(any::<u8>(), 0..300)), 0..5),
            percent in 0..140_usize,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
            is_unary: bool,
            may_be_compressed: bool,
        ) {
            let mut answer: Vec<u8> = messages.iter().flat_map(|(flag, text)| message(*flag, text)).collect();
            answer.truncate(answer.len() * percent / 100);
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(answer.len() + 1)).chain([0, answer.len()]).collect();
            cuts.sort_unstable();
            let pieces = cuts.windows(2).map(|cut| &answer[cut[0]..cut[1]]);
            prop_assert_eq!(
                in_pieces(pieces, is_unary, may_be_compressed),
                plainly(&answer, is_unary, may_be_compressed)
            );
        }
    }
}
