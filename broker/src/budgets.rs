//! What organisations, apps, models and offers may use: requests, tokens and money in a time, and calls at once.
//!
//! ```text
//! budgets.toml ─▶ Budget ─┐
//! a request ─▶ Asked ─────┴▶ Spending::reserve ─▶ Reservation ─▶ Spending::end ─▶ Accounts
//!                                                                      │ what became of it, as it is on record
//! decision log ─▶ Fold ─▶ Book, as it was before a restart ◀───────────┘ the same `charge`
//! ```
//! What is reserved counts as used until the request has ended, so that no sum of reservations is ever above a limit. What a
//! request comes to is computed from its record alone, in a request's life and after a restart by the same function: the log
//! is what is durable, and there is no second one (decision 34).
//!
//! | module | holds |
//! |---|---|
//! | [`definition`] | a budget, and what it is of |
//! | [`period`] | minutes, hours, days and months of UTC |
//! | [`amount`] | how much of each kind |
//! | [`book`] | the accounts, without a lock and without a clock |
//! | [`accounts`] | the same for many callers at once |
//! | [`charge`] | what a request comes to |
//! | [`spending`] | the reservations of one request |
//! | [`fold`] | the book as the decision log has it |
//! | [`keeper`] | the book on disk, now and then |

pub mod accounts;
pub mod amount;
pub mod book;
pub mod charge;
pub mod definition;
pub mod exceeded;
pub mod fold;
pub mod keeper;
pub mod period;
pub mod snapshot;
pub mod spending;
#[cfg(test)]
mod tests;
