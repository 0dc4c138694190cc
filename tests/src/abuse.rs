//! What a caller does that means harm, frame by frame: what no client of ours would send.

use std::io;
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::io::AsyncWriteExt as _;

use crate::raw::{
    self, ACK, END_HEADERS, ENHANCE_YOUR_CALM, Ended, FIRST, FLOW_CONTROL_ERROR, Kind, LARGEST_FRAME, frame,
};

/// Pieces of an attack that are sent, unless it is ended before: far more than any limit takes.
pub const PIECES: u32 = 4_000;
/// Frames of a piece.
pub const FRAMES: u32 = 64;

/// What a peer does that means harm.
#[derive(Debug)]
pub struct Attack {
    /// What it is called.
    pub name: &'static str,
    /// What it says once.
    begins: fn() -> Vec<u8>,
    /// What it says again and again.
    goes_on: fn(u32) -> Vec<u8>,
    /// How it has to end.
    pub ends: Ended,
}

/// All of them.
pub const ATTACKS: [Attack; 12] = [
    Attack {
        name: "pings",
        begins: Vec::new,
        goes_on: |_| many(|_| frame(Kind::Ping, 0, 0, &[7; 8])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "answers to pings that nobody sent",
        begins: Vec::new,
        goes_on: |_| many(|_| frame(Kind::Ping, ACK, 0, &[7; 8])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "settings",
        begins: Vec::new,
        // Another window for every call that there is, each time.
        goes_on: |_| many(|i| frame(Kind::Settings, 0, 0, &[0, 4, 0, 0, 0, u8::try_from(i % 2).unwrap()])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "priorities",
        begins: Vec::new,
        goes_on: |_| many(|i| frame(Kind::Priority, 0, 2 * i + 1, &[0, 0, 0, 0, 9])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "frames that nobody knows",
        begins: Vec::new,
        goes_on: |_| many(|_| frame(Kind::Unknown, 0, 0, &[])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "windows, byte by byte",
        begins: Vec::new,
        goes_on: |_| many(|_| frame(Kind::WindowUpdate, 0, 0, &[0, 0, 0, 1])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "a window larger than any",
        begins: Vec::new,
        goes_on: |_| frame(Kind::WindowUpdate, 0, 0, &i32::MAX.to_be_bytes()),
        ends: FLOW_CONTROL_ERROR,
    },
    Attack {
        name: "calls that are taken back at once (CVE-2023-44487)",
        begins: Vec::new,
        goes_on: |at| calls(at, |call| frame(Kind::RstStream, 0, call, &[0, 0, 0, 8])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "calls that we have to reset (CVE-2025-8671)",
        begins: Vec::new,
        goes_on: |at| calls(at, |call| frame(Kind::WindowUpdate, 0, call, &i32::MAX.to_be_bytes())),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "a head without an end, in small pieces (CVE-2024-27316)",
        begins: || frame(Kind::Headers, 0, 1, &raw::headers(&[(":method", "POST")])),
        goes_on: |_| frame(Kind::Continuation, 0, 1, &[]),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "a head as long as its pieces may be",
        begins: || frame(Kind::Headers, 0, 1, &raw::call(PATH, &[])),
        goes_on: |_| frame(Kind::Continuation, 0, 1, &raw::headers(&[("x-much", &"x".repeat(LARGEST_FRAME - 64))])),
        ends: ENHANCE_YOUR_CALM,
    },
    Attack {
        name: "a message of nothing",
        begins: || frame(Kind::Headers, END_HEADERS, 1, &raw::call(PATH, &[])),
        goes_on: |_| many(|_| frame(Kind::Data, 0, 1, &[])),
        ends: ENHANCE_YOUR_CALM,
    },
];

impl Attack {
    /// Carries it out on a connection of its own; says how that ended.
    ///
    /// # Errors
    /// There is no connection.
    ///
    /// # Panics
    /// Where it neither ends nor goes on.
    pub async fn carry_out(&self, address: &str, tls: &Arc<ClientConfig>) -> io::Result<Ended> {
        let mut connection = raw::connect(address, tls).await?;
        let first = [FIRST, &frame(Kind::Settings, 0, 0, &[]), &(self.begins)()].concat();
        connection.write_all(&first).await?;
        Ok(raw::flood(connection, PIECES, self.goes_on).await)
    }
}

/// What anybody may call.
const PATH: &str = "/comity.enrolment.v1.Enrolment/GetRoot";

/// One frame after another.
fn many(one: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..FRAMES).flat_map(one).collect()
}

/// Calls, each followed by another frame.
fn calls(piece: u32, then: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    many(|i| {
        let call = 2 * (piece * FRAMES + i) + 1;
        [frame(Kind::Headers, END_HEADERS, call, &raw::call(PATH, &[])), then(call)].concat()
    })
}
