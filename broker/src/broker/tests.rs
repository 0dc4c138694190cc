//! The broker as its peers see it: over real TLS on a loopback port.

mod authorisation;
mod joining;
mod lifecycle;
mod standing;
