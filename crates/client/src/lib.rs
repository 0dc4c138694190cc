//! The Rust SDK of Comity: an identity, a connection to the federation's broker, and errors that people can read.
//!
//! ```text
//! invite ──enrol::join──▶ directory ──Identity::open──▶ Connection::open ──▶ channel() ──▶ any generated stub
//! ```
//!
//! Every answer of a model ends with a receipt: the proof that the decision and what became of it are in the broker's log. A
//! connection checks it, against the root document that the identity pins and against what was asked. An answer without one, with
//! one that is forged, altered, or of another request, is an error ([`Cause::Unproven`]), not an answer:
//!
//! ```no_run
//! use comity_client::{Cause, Connection, Identity, explain};
//! use comity_proto::inference::inference_client::InferenceClient;
//! use comity_proto::inference::{ChatStreamRequest, Envelope};
//!
//! # async fn ask() -> Result<String, Box<dyn std::error::Error>> {
//! let connection = Connection::open(&Identity::open("assistant")?)?;
//! let envelope = Some(Envelope { model: "tiny".into(), ..Envelope::default() });
//! let request = ChatStreamRequest { envelope, payload: None };
//! let mut answer = InferenceClient::new(connection.channel()).chat_stream(request).await?.into_inner();
//! let mut text = String::new();
//! loop {
//!     match answer.message().await {
//!         Ok(Some(piece)) => text.push_str(&piece.text), // as it is made: not proven yet
//!         Ok(None) => return Ok(text),                   // the end: proven
//!         Err(status) if explain(&status).cause == Cause::Unproven => return Err("nobody can prove it".into()),
//!         Err(status) => return Err(status.into()),
//!     }
//! }
//! # }
//! ```
//! What a connection adds to a request: a nonce, so that no receipt of an earlier one proves its answer, and, where the payload of a
//! conversation says how many tokens its answer may have, the same in the envelope (`max_output_tokens`), by which the broker reserves
//! what it takes of budgets. Who has said that in the envelope, or brings a nonce, has nothing added.
//!
//! What is proven of an answer so, by the log's signature alone: that the broker has on record, before the answer ends, that this
//! app asked this (the envelope, nonce and all), at which epoch it was decided, which offer answered, and with which status. What is
//! not: the node's own word. The receipt has it (`node_outcome`: status, tokens, the state that the node judged by), and the broker
//! has held it against the node's key before it kept it; but that key is named by the federation's log, which an identity does not
//! pin and an app need not follow. [`Connection::with_federation`] follows it, and holds each answer's node, caller, offer and terms
//! against the state that it was decided by before it counts; [`receipt::check`] does the same, and more, for a receipt that was
//! kept. Nor is anything proven of the text: no log has it, and what a node sent is what TLS brought from the broker.
//!
//! Of the federation's log a program verifies by itself what it asks for: [`follow::verified`] reads it and checks every signature in
//! it from the pinned root document on, in one call; [`follow::own::read`] goes on from a copy beside the identity, and notices
//! when the broker shows another past than before. `comity log verify` and `comity federation show` are the same code, as commands.
//! [`Connection::held_against`] takes the roots of the federation's log from an app that follows it by itself, and
//! [`Connection::danger_without_receipts`] takes whatever the broker sends. Witnesses cosign later than an answer can wait for: who
//! has a policy of them fetches the receipt again (`GetReceipt`) and gives it to [`receipt::check`].
//!
//! | module | holds |
//! |---|---|
//! | [`identity`] | who this program is, read from a directory |
//! | [`workload_api`] | an identity that SPIRE, or another implementation of SPIFFE, hands out |
//! | [`connection`] | the way to the broker, as generated stubs take it |
//! | [`decisions`] | the broker's decision log, every leaf of it hashed here |
//! | [`enrol`] | taking up an invite, and fresh certificates |
//! | [`follow`] | the federation's log, every signature in it checked here |
//! | [`probe`] | the way to the broker, a step at a time, for whoever looks for what is wrong |
//! | [`receipt`] | receipts, checked here: what is proven and what is not |
//! | [`say`] | statements, signed here |
//! | [`session()`] | what keeps a conversation with one offer, where it may |
//! | [`error`] | what a status means, and how to mend it |
//! | [`witnessed`] | who else has seen a log, by a policy |
//! | [`founding`] | the files of a new federation |

pub mod connection;
pub mod decisions;
pub mod enrol;
pub mod error;
pub mod follow;
pub mod founding;
pub mod identity;
pub mod probe;
pub mod receipt;
pub mod say;
mod session;
pub mod witnessed;
pub mod workload_api;

#[cfg(test)]
mod testing;

pub use connection::Connection;
pub use error::{Cause, Explanation, explain, split_hint};
pub use identity::Identity;
pub use session::session;
pub use workload_api::WorkloadApi;
