//! Counts the messages of an answer as its bytes come, however they are cut, and checks the length of each.

use crate::cases::PREFIX;

/// What of a message is kept: the time in it.
const HEAD: usize = 8;

/// An answer that is being read.
#[derive(Debug)]
pub(crate) struct Messages {
    /// How long each has to be.
    length: usize,
    /// Where in the message that comes, its prefix counted.
    at: usize,
    head: [u8; PREFIX + HEAD],
    /// How many are whole.
    pub(crate) whole: u32,
}

impl Messages {
    /// None yet; each is to have `length` bytes, which are more than a time needs.
    pub(crate) fn of(length: usize) -> Self {
        Self { length, at: 0, head: [0; PREFIX + HEAD], whole: 0 }
    }

    /// Takes what came; each message that is whole by it is told by its first eight bytes.
    pub(crate) fn take(&mut self, mut data: &[u8], mut whole: impl FnMut(u64)) -> Result<(), String> {
        while !data.is_empty() {
            let take = data.len().min(PREFIX + self.length - self.at);
            let kept = take.min(self.head.len().saturating_sub(self.at));
            let until = self.at + kept;
            if kept > 0 {
                self.head[self.at..until].copy_from_slice(&data[..kept]);
            }
            self.at += take;
            data = &data[take..];
            if self.at >= PREFIX {
                self.check()?;
            }
            if self.at == PREFIX + self.length {
                let time: [u8; HEAD] = self.head[PREFIX..].try_into().unwrap();
                whole(u64::from_be_bytes(time));
                self.whole += 1;
                self.at = 0;
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), String> {
        let [compressed, a, b, c, d, ..] = self.head;
        let length = u32::from_be_bytes([a, b, c, d]);
        if compressed != 0 || length as usize != self.length {
            return Err(format!("a message of {length} bytes where {} were asked for", self.length));
        }
        Ok(())
    }
}
