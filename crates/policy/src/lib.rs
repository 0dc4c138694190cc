//! Whether an offer may serve a request, and every reason why not.
//!
//! One pure function, [`evaluate()`], used by the broker to decide, by the node to
//! veto and by the CLI to explain: no clock, no I/O, no async. Same inputs, same
//! verdict. An unknown fact is never a yes.
//!
//! ```text
//! offer + operator's facts ─┐
//! caller's facts ───────────┤
//! request (requirements,    ├─▶ evaluate ─▶ Eligible { expires_at } | Rejected { reasons }
//!   purposes, as_of) ───────┤
//! tables (blocs, purposes) ─┘
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`claim`] | a value that somebody states, for a time |
//! | [`offer`] | offers and their terms |
//! | [`organisation`] | an organisation's facts |
//! | [`requirements`] | what a caller demands, and how layers of it merge |
//! | [`reason`] | the closed list of reasons |
//! | [`tables`] | blocs, purposes and presets, as data |
//! | [`evaluate`](mod@evaluate) | the function |

pub mod claim;
pub mod evaluate;
pub mod offer;
pub mod organisation;
pub mod reason;
pub mod requirements;
pub mod tables;

pub use claim::Claim;
pub use evaluate::{Request, Verdict, evaluate, evaluate_node_side};
pub use offer::{Capability, Offer, Terms};
pub use organisation::{Controller, Organisation};
pub use reason::{Reason, ReasonCode, Side};
pub use requirements::Requirements;
pub use tables::Tables;
