//! Whether an offer may serve a request, and every reason why not.
//!
//! One pure function, [`evaluate()`], used by the broker to decide, by the node to
//! veto and by the CLI to explain: no clock, no I/O, no async. Same inputs, same
//! verdict. An unknown fact is never a yes.
//!
//! ```text
//! offer + operator's facts ──┐
//! caller's facts ────────────┤
//! request (requirements,     ├─▶ evaluate ─▶ Eligible { expires_at } | Rejected { reasons }
//!   what is declared, as_of) ┤
//! tables (law, as data) ─────┘
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`claim`] | what somebody states, for a time, on some evidence |
//! | [`organisation`], [`ownership`] | an organisation's facts |
//! | [`offer`], [`terms`], [`caller_rules`] | what a node offers, promises and demands |
//! | [`request`], [`requirements`] | what a caller declares and demands, and how layers of it merge |
//! | [`usage`] | what a caller has used of offers, which quotas are held against |
//! | [`layers`] | what an organisation demands of its own requests, whatever its apps send |
//! | [`reason`] | the closed list of reasons |
//! | [`tables`] | blocs, regimes, statutes, licences and so on, as data |
//! | [`evaluate`](mod@evaluate) | the function |
//! | [`cases`] | case files: fixtures, changes, and what is expected |
//! | [`index`] | the same function, for all offers of a federation at once |
//! | [`disclosure`] | what of it a side keeps to itself |
//! | [`check`], [`limits`] | whether all of these can be as they stand: lengths, ranges, codes |
//! | [`node_file`] | `node.toml`, as far as it is about offers |
//! | [`relax`], [`rank`] | what would help, and what is better among what is eligible |

pub mod caller_rules;
pub mod cases;
pub mod check;
pub mod claim;
pub mod disclosure;
pub mod evaluate;
pub mod index;
pub mod layers;
pub mod limits;
pub mod node_file;
pub mod offer;
pub mod organisation;
pub mod ownership;
pub mod rank;
pub mod reason;
pub mod relax;
pub mod request;
pub mod requirements;
pub mod tables;
pub mod terms;
pub mod usage;

/// The version of the rules: one more whenever any verdict may be another than before. Every decision that is logged
/// names the version that decided, so that it can be judged again by the same.
pub const ENGINE_VERSION: u32 = 1;

pub use claim::Claim;
pub use evaluate::{Verdict, evaluate, evaluate_node_side, evaluate_quota};
pub use index::Index;
pub use layers::{Demanded, Layer, Layers};
pub use offer::{Capability, Offer};
pub use organisation::{Controller, Organisation, OrganisationFile};
pub use reason::{Reason, ReasonCode, ReasonCodes, Side};
pub use request::{Declared, Request};
pub use requirements::Requirements;
pub use tables::Tables;
pub use terms::Terms;
pub use usage::Usage;
