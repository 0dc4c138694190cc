//! What the scenarios are written with: real programs in their own folders, real
//! clients of other makers, and a model server that does as it is told.
//!
//! ```text
//! scenarios/ ──▶ Federation ──▶ comity-broker, comity-node (processes, port 0) ──▶ Backend (a fake) or llama.cpp
//!            └─▶ clients (Python, Node.js, buf) ──────────── mutual TLS ───▶ broker
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`federation`] | a federation on this machine, governed through the `comity` program |
//! | [`members`] | many members at once, which join and publish through the SDK |
//! | [`node`] | what a node of a scenario is, as a `node.toml` |
//! | [`operators`] | those who govern together with the founder |
//! | [`backend`] | a model server that is slow, stalls, lies or breaks, and remembers what it saw |
//! | [`clients`] | the clients of other makers |
//! | [`verifiers`] | the verifiers of other makers |
//! | [`endpoint`] | a node's place, taken by somebody whose connections fail as they are told |
//! | [`exhibit`] | what they are shown, and what is done to it |
//! | [`folder`] | folders, copied |
//! | [`proxy`] | a way to the broker that falls silent |
//! | [`abuse`] | what a caller does that means harm, frame by frame |
//! | [`plot`] | a plot as an SVG picture |
//! | [`raw`] | a peer that speaks HTTP/2 by hand, and what becomes of it |
//! | [`program`] | a child process, its log, and its end |
//! | [`worked_cases`] | the worked cases of the vocabulary, cast with members that a live federation can have |
//! | [`terminal`] | a program whose talk goes to a terminal |
//! | [`wait`] | waiting for a state with a deadline |
//! | [`readme`] | the blocks of the README, and which were run |
//! | [`reader`] | somebody who runs them |
//!
//! The programs must have been built and the clients installed: `cargo xtask test`
//! does both, `cargo xtask test --prepare` only that.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "this is test code: it fails by panicking"
)]

pub mod abuse;
pub mod backend;
pub mod clients;
pub mod collector;
pub mod endpoint;
pub mod exhibit;
pub mod federation;
pub mod folder;
pub mod members;
pub mod node;
pub mod operators;
pub mod plot;
pub mod program;
pub mod proxy;
pub mod raw;
pub mod reader;
pub mod readme;
pub mod terminal;
pub mod verifiers;
pub mod wait;
pub mod worked_cases;
