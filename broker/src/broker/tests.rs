//! The broker as its peers see it: over real TLS on a loopback port.

mod authorisation;
mod invites;
mod joining;
mod lifecycle;
mod publishing;
mod standing;
mod survival;
