//! Who is who: SPIFFE certificates, the authorities that issue them, trust per
//! organisation, and the TLS configurations made of these.
//!
//! ```text
//!  member: KeyPair ──signing request──▶ Authority ──chain──▶ IdentityDir ──▶ Credentials ─┐
//!                                                                                         ├─▶ tls::*_config ──▶ VerifiedPeer
//!  registry: anchors per organisation ──▶ AnchorSource ──▶ PeerVerifier / ExpectedServer ─┘
//! ```
//!
//! | module | holds |
//! |---|---|
//! | [`spiffe`] | what a leaf certificate must look like, and whom it names |
//! | [`request`] | key pairs and signing requests |
//! | [`authority`] | the hosted certificate authority of one trust domain |
//! | [`anchors`] | the roots of one organisation, and where to look them up |
//! | [`bundle`] | those roots as SPIFFE has them exchanged |
//! | [`verify`] | the two rustls verifiers |
//! | [`tls`] | the cryptography in use, rotating credentials, every TLS configuration |
//! | [`lifetime`] | when certificates are renewed, and when connections end |
//! | [`peer`] | the proof that a peer was verified |
//! | [`root`] | the federation's root document |
//! | [`invite`] | the one string that an operator hands to a member |
//! | [`store`] | an identity on disk |
//! | [`workload`] | an identity as SPIFFE's Workload API hands it out |
//! | [`host`] | host names, and the addresses that are advertised |
//! | [`pem`] | certificates as text |
//!
//! Two rules hold everywhere: an organisation's roots vouch for that organisation alone, and no TLS
//! session is ever resumed, because a resumed session skips the verifier.

pub mod anchors;
pub mod authority;
pub mod bundle;
pub mod host;
pub mod invite;
pub mod lifetime;
pub mod peer;
pub mod pem;
pub mod request;
pub mod root;
pub mod spiffe;
pub mod store;
pub mod tls;
pub mod verify;
pub mod workload;

#[cfg(test)]
mod testing;

pub use anchors::{AnchorSource, OrganisationAnchors, SharedAnchors, StaticAnchors};
pub use authority::{Authority, IssuedCertificate};
pub use bundle::Bundle;
pub use host::{Address, HostName, NodeAddress};
pub use invite::{Invite, Inviter};
pub use lifetime::Lifetime;
pub use peer::VerifiedPeer;
pub use request::{KeyPair, SigningRequest};
pub use root::{Root, RootOperator};
pub use spiffe::{LeafIdentity, SvidError, leaf_identity};
pub use store::{IdentityDir, IdentitySource, TakenUp};
pub use tls::Credentials;
pub use verify::{ExpectedServer, PeerVerifier, check_chain};
pub use workload::Svid;

/// DER of an X.509 certificate, as rustls has it.
pub use rustls_pki_types::CertificateDer;
