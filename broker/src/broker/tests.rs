//! The broker as its peers see it: over real TLS on a loopback port.

mod audits;
mod authorisation;
mod budgets;
pub(crate) mod certify;
mod departures;
mod equivocation;
mod governance;
mod hostile_proposals;
mod invites;
mod joining;
mod lane;
mod lifecycle;
mod load;
mod matrix;
pub(crate) mod metrics;
mod overload;
mod own_invites;
mod publishing;
mod quotas;
mod rejected_enrolments;
mod rejected_proposals;
mod standing;
mod submit;
mod survival;
mod suspensions;
mod tokens;
mod watch;
