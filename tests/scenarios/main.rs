//! The promises, a file each, on real processes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is test code: it fails by panicking"
)]

mod abuse;
mod applied_offers;
mod audits;
mod backends_that_fail;
mod bad_input;
mod budgets;
mod bundles;
mod by_hand;
mod connection_faults;
mod decision_log;
mod deploy;
mod doctor;
mod dry_runs;
mod equivocation;
mod governance;
mod hostile_nodes;
mod identity_on_the_wire;
mod impostors;
mod json_form;
mod lying_broker;
mod metrics;
mod no_leak;
mod offers_that_lie;
mod operations;
mod organisation_demands;
mod other_makers;
mod own_authority;
mod own_tables;
mod own_word;
mod planted;
mod progress;
mod proof;
mod quotas;
mod readme;
mod receipts;
mod rotation;
mod second_tries;
mod secrets;
mod slow_readers;
mod sovereignty;
mod spire_members;
mod starting;
mod statements;
mod survival;
mod tunnels;
mod units;
mod verifiers;
mod watching;
mod witnesses;
mod worked_cases;
