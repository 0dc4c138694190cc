//! Frames in bytes: how one is written, and how a file of them is read back.

use std::io::{self, BufReader, Read};

/// Longest frame, in bytes: 1 MiB. Many times the largest record; a longer length in a file is damage.
pub const MAX_FRAME_BYTES: usize = 1 << 20;
/// Length and checksum, four bytes each.
pub(super) const HEADER_BYTES: usize = 8;

/// What reading a file found.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::ledger) struct Scan {
    /// How many whole frames there are.
    pub(in crate::ledger) frames: u64,
    /// Where the last whole frame ends; what follows is torn or damaged.
    pub(in crate::ledger) end: u64,
    /// Where a damaged frame begins: one that was whole once, and so may have been acknowledged.
    pub(in crate::ledger) damaged_at: Option<u64>,
}

/// Adds `frame` with its header to `batch`.
pub(in crate::ledger) fn encode(frame: &[u8], batch: &mut Vec<u8>) {
    // `Journal::append` bounds the length far below u32::MAX.
    let length = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    batch.extend_from_slice(&length.to_le_bytes());
    batch.extend_from_slice(&crc32c::crc32c(frame).to_le_bytes());
    batch.extend_from_slice(frame);
}

/// Reads frames until the end, or until one that is not whole. `is_ours` says of what looks like a frame behind that one
/// whether it was written as one, where somebody else writes what frames hold.
pub(in crate::ledger) fn scan(
    file: impl Read,
    visit: &mut impl FnMut(Vec<u8>),
    is_ours: &dyn Fn(&[u8]) -> bool,
) -> io::Result<Scan> {
    let mut reader = BufReader::new(file);
    let mut scan = Scan { frames: 0, end: 0, damaged_at: None };
    loop {
        // One frame at a time: what was read of a frame that is not whole is looked at once more.
        let mut bytes = Vec::new();
        let header = take(&mut reader, &mut bytes, HEADER_BYTES)?;
        let length = header.and_then(|()| length(&bytes));
        let whole = match length {
            Some(length) => take(&mut reader, &mut bytes, length)?.is_some(),
            None => false,
        };
        match whole.then(|| decode(&bytes)).flatten() {
            Some(frame) => {
                scan.end += bytes.len() as u64;
                scan.frames += 1;
                visit(frame.to_vec());
            }
            None if bytes.is_empty() => return Ok(scan),
            None => {
                reader.read_to_end(&mut bytes)?;
                scan.damaged_at = (!is_torn(&bytes, is_ours)).then_some(scan.end);
                return Ok(scan);
            }
        }
    }
}

/// Reads `count` more bytes into `bytes`; `None` if the file ends before.
fn take(reader: &mut impl Read, bytes: &mut Vec<u8>, count: usize) -> io::Result<Option<()>> {
    let read = reader.by_ref().take(count as u64).read_to_end(bytes)?;
    Ok((read == count).then_some(()))
}

/// The length that a header states, if it is one that is ever written.
fn length(header: &[u8]) -> Option<usize> {
    let length = u32::from_le_bytes(*header.first_chunk()?) as usize;
    (1..=MAX_FRAME_BYTES).contains(&length).then_some(length)
}

/// The checksum that a header states.
fn checksum(header: &[u8]) -> Option<u32> {
    Some(u32::from_le_bytes(*header.get(4..)?.first_chunk()?))
}

/// The frame that `bytes` begin with, if it is whole.
fn decode(bytes: &[u8]) -> Option<&[u8]> {
    let frame = bytes.get(HEADER_BYTES..HEADER_BYTES + length(bytes)?)?;
    (checksum(bytes)? == crc32c::crc32c(frame)).then_some(frame)
}

/// True if `tail` is what a write leaves that did not end: zeros where no byte arrived, or the beginning of
/// a frame. Whatever else it is was written to its end once, and may have been acknowledged.
fn is_torn(tail: &[u8], is_ours: &dyn Fn(&[u8]) -> bool) -> bool {
    tail.iter().all(|byte| *byte == 0) || (is_short(tail) && !holds_a_frame(tail, is_ours))
}

/// True if there are fewer bytes than the header says, or than a header has.
fn is_short(tail: &[u8]) -> bool {
    let Some((header, rest)) = tail.split_at_checked(HEADER_BYTES) else { return true };
    // A frame that is whole but for its length looks short as well; its checksum tells.
    length(header).is_some_and(|length| rest.len() < length && checksum(header) != Some(crc32c::crc32c(rest)))
}

/// True if a whole frame begins anywhere after the first byte: then what precedes it was durable once,
/// and is damaged. A tail that was torn while it was written holds none.
fn holds_a_frame(tail: &[u8], is_ours: &dyn Fn(&[u8]) -> bool) -> bool {
    (1..tail.len()).any(|start| tail.get(start..).and_then(decode).is_some_and(is_ours))
}
