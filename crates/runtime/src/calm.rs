//! What a peer may ask of HTTP/2 beside its calls: pings, settings, resets, and whatever else is cheap to send and has to be
//! worked on. (CVE-2019-9511 to 9518, 2023-44487 and 2025-8671 are such.)
//!
//! ```text
//! TLS ─ bytes ─▶ Calm: reads the nine bytes before each frame, takes its cost from the peer's credit ─▶ HTTP/2
//! ```
//! Calls are paid for elsewhere: by places, windows and budgets. A frame that is not a call or data costs credit, which comes
//! back with time and with what the peer is sent, since whoever reads an answer says how far it has read. Whoever has none
//! left is told `ENHANCE_YOUR_CALM`, and hung up on. The h2 crate has limits of its own, for what it keeps in memory; what it
//! works on and forgets has none there.

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

/// Bytes before each frame (RFC 9113, section 4.1).
const HEAD: usize = 9;
/// What a client says before its first frame, in bytes (section 3.4).
const PREFACE: usize = 24;
/// How a preface begins: no frame can, since it would be larger than any may be.
const PREFACE_BEGINS: &[u8] = b"PRI";
/// Sent bytes that are worth one of credit: fewer than a frame has that carries a token, and more than one has that was made
/// for a window of one byte, so that who asks for such frames pays more than it earns.
const BYTES_PER_CREDIT: usize = 16;
/// `ENHANCE_YOUR_CALM` (section 7).
const ENHANCE_YOUR_CALM: u8 = 0xb;
/// What is told with it.
const WHY: &[u8] = b"too_many_control_frames";

/// How much one connection may ask for beside its calls, in credit: a ping or a reset takes 4, new settings take 8, whatever else is no data takes 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// At once: a caller that cancels as many calls as a connection may have stays below.
    pub burst: u32,
    /// And in a second from then on.
    pub per_second: u32,
}

impl Allowance {
    /// At once: eight times what a connection may have in calls, so that all of them may be cancelled and asked again.
    pub const BURST: u32 = 8 * 1024;
    /// A second, unless configured: a hundred cancelled calls, or as many pings, of one connection that is sent nothing.
    pub const PER_SECOND: u32 = 500;
    /// Both.
    pub const DEFAULT: Self = Self { burst: Self::BURST, per_second: Self::PER_SECOND };
}

/// Somebody asked for more than they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the peer sent more pings, settings, resets and the like than a connection may, which is {per_second} a second in credit"
)]
pub struct Flood {
    per_second: u32,
}

/// Watches the frames of one connection.
#[derive(Debug)]
pub(crate) struct Calm {
    allowance: Allowance,
    credit: u32,
    /// Up to when the credit that time gives was given.
    given: Instant,
    /// Sent bytes that are not yet worth a whole credit.
    sent: usize,
    head: [u8; HEAD],
    /// How much of `head` has come.
    have: usize,
    /// How much of the frame, or of the preface, is still to come.
    skip: usize,
    first: First,
    /// Whether the peer makes calls: it began with a preface.
    calls: bool,
    /// The last call that it made.
    last_call: u32,
}

/// The peer's first words: a client's are a preface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    Awaited,
    Preface,
    Frame,
}

impl Calm {
    pub(crate) fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            credit: allowance.burst,
            given: Instant::now(),
            sent: 0,
            head: [0; HEAD],
            have: 0,
            skip: 0,
            first: First::Awaited,
            calls: false,
            last_call: 0,
        }
    }

    /// Whether the peer has said its first words, whole.
    pub(crate) const fn begun(&self) -> bool {
        match self.first {
            First::Awaited => false,
            First::Preface => self.skip == 0,
            First::Frame => true,
        }
    }

    /// Takes note of what was sent to the peer.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        let earned = u32::try_from(self.sent / BYTES_PER_CREDIT).unwrap_or(u32::MAX);
        self.sent %= BYTES_PER_CREDIT;
        self.credit = self.credit.saturating_add(earned).min(self.allowance.burst);
    }

    /// Takes note of what came from it.
    ///
    /// # Errors
    /// It is more than the peer may send.
    pub(crate) fn came(&mut self, mut bytes: &[u8]) -> Result<(), Flood> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some(free) = self.head.get_mut(self.have..) else { return Ok(()) };
            let taken = free.len().min(bytes.len());
            if taken == 0 {
                return Ok(());
            }
            let (now, later) = bytes.split_at(taken);
            free.iter_mut().zip(now).for_each(|(free, byte)| *free = *byte);
            (self.have, bytes) = (self.have + taken, later);
            if self.have == HEAD {
                self.have = 0;
                self.head_came()?;
            }
        }
    }

    fn head_came(&mut self) -> Result<(), Flood> {
        if self.first == First::Awaited && self.head.starts_with(PREFACE_BEGINS) {
            (self.first, self.calls, self.skip) = (First::Preface, true, PREFACE - HEAD);
            return Ok(());
        }
        self.first = First::Frame;
        let [a, b, c, kind, flags, stream @ ..] = self.head;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.skip = usize::try_from(length).unwrap_or(usize::MAX);
        if kind == kinds::HEADERS && self.calls {
            self.last_call = self.last_call.max(u32::from_be_bytes(stream) & !(1 << 31));
        }
        self.take(cost(kind, flags, length))
    }

    fn take(&mut self, cost: u32) -> Result<(), Flood> {
        if self.credit < cost {
            self.give();
        }
        self.credit = self.credit.checked_sub(cost).ok_or(Flood { per_second: self.allowance.per_second })?;
        Ok(())
    }

    /// Gives what time gives. Asked for only when the credit is used up, so that the clock is seldom looked at.
    fn give(&mut self) {
        let now = Instant::now();
        let millis = now.duration_since(self.given).min(Duration::from_secs(3600)).as_millis();
        let given = millis * u128::from(self.allowance.per_second) / 1000;
        if given > 0 {
            self.given = now;
            let given = u32::try_from(given).unwrap_or(u32::MAX);
            self.credit = self.credit.saturating_add(given).min(self.allowance.burst);
        }
    }

    /// What the peer is told when it is hung up on: a whole frame.
    pub(crate) fn goaway(&self) -> Vec<u8> {
        let length = u8::try_from(2 * size_of::<u32>() + WHY.len()).unwrap_or(u8::MAX);
        let head = [0, 0, length, kinds::GOAWAY, 0, 0, 0, 0, 0];
        [&head[..], &self.last_call.to_be_bytes(), &[0, 0, 0, ENHANCE_YOUR_CALM], WHY].concat()
    }
}

/// The kinds of frames that are told apart (section 6).
mod kinds {
    pub(super) const DATA: u8 = 0;
    pub(super) const HEADERS: u8 = 1;
    pub(super) const RST_STREAM: u8 = 3;
    pub(super) const SETTINGS: u8 = 4;
    pub(super) const PING: u8 = 6;
    pub(super) const GOAWAY: u8 = 7;
}

/// Of a frame of data: its payload ends in bytes that say nothing (RFC 9113, section 6.1).
const PADDED: u8 = 0x8;

/// What a frame costs.
const fn cost(kind: u8, flags: u8, length: u32) -> u32 {
    match (kind, length) {
        // Empty ones move nothing; nor need those that are padded, and no client of gRPC pads.
        (kinds::DATA, 1..) if flags & PADDED == 0 => 0,
        // Every stream is walked through for a new window.
        (kinds::SETTINGS, _) => 8,
        // An answer of as many bytes; or a call that was begun for nothing.
        (kinds::PING | kinds::RST_STREAM, _) => 4,
        // Beginning of a call, or of an answer: what is said on it earns more. The rest is counted, and forgotten.
        _ => 1,
    }
}
