//! The broker as its peers see it: over real TLS on a loopback port.

mod authorisation;
mod invites;
mod joining;
mod lifecycle;
mod publishing;
mod quotas;
mod standing;
mod survival;
