//! The way to each of the broker's addresses: the name, TCP, and TLS for each protocol.

use std::sync::Arc;

use comity_client::enrol;
use comity_client::probe::{self, Protocol};
use comity_identity::Root;
use comity_types::Digest;
use comity_types::ids::Kind;

use super::directory::Patient;
use super::finding::Finding;
use super::verdict;

const RESOLVE: &str =
    "correct the name in the DNS; the addresses stand in identity.json, as the root document has them";
const REACH: &str =
    "see that the broker runs there, and that no firewall between here and there stops TCP to this port";
const SHAKE: &str = "see that the broker's own port is reached, with nothing in between that ends TLS; if the federation \
                     was founded anew, join it again";

const SHOW: &str = "see that the broker's own port is reached, with nothing in between that ends TLS; if the federation \
                    was founded anew, its operators have to invite again";

/// Tries every address, each step by itself. Whoever waits to be let in learns here by which root the broker is known.
pub(super) async fn examine(patient: &mut Patient, findings: &mut Vec<Finding>) {
    if patient.brokers.is_empty() {
        findings.push(match &patient.named {
            None => Finding::skipped("broker", "there is no identity.json that says where it is"),
            Some(_) => Finding::fail("broker", "identity.json names no address of the broker", "join again"),
        });
    }
    let is_node = patient.named.as_ref().is_some_and(|named| named.spiffe_id.kind() == Kind::Node);
    for address in patient.brokers.clone() {
        try_address(&address, is_node, patient, findings).await;
    }
}

async fn try_address(address: &str, is_node: bool, patient: &mut Patient, findings: &mut Vec<Finding>) {
    let check = |step: &str| format!("{step} {address}");
    let found = match probe::resolve(address).await {
        Ok(found) => found,
        Err(error) => return findings.push(verdict::step(check("name"), &error, RESOLVE)),
    };
    let listed = found.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    findings.push(Finding::ok(check("name"), format!("leads to {listed}")));
    match probe::reach(&found).await {
        Ok(_) => findings.push(Finding::ok(check("tcp"), "somebody listens there")),
        Err(error) => return findings.push(verdict::step(check("tcp"), &error, REACH)),
    }
    if let Some(pinned) = patient.pinned.filter(|_| patient.root.is_none()) {
        patient.root = shown(address, pinned, patient, findings).await;
    }
    let Some(root) = &patient.root else {
        return findings.push(Finding::skipped(check("tls"), "whom to expect there, root.json does not say"));
    };
    let tunnel = is_node.then_some(Protocol::Tunnel);
    for protocol in [Protocol::Calls, Protocol::Enrolment].into_iter().chain(tunnel) {
        let check = check(&format!("tls {}", protocol.alpn()));
        findings.push(shake(check, &found, protocol, root, patient).await);
    }
}

/// The root document that an invite pins: who shows it is the broker that the invite is for.
async fn shown(address: &str, pinned: Digest, patient: &Patient, findings: &mut Vec<Finding>) -> Option<Root> {
    let check = format!("root {address}");
    match enrol::pinned_root(address, pinned, &patient.clock).await {
        Ok(root) => {
            let found = format!("it is the one that the invite pins; the federation is {}", root.federation);
            findings.push(Finding::ok(check, found));
            Some(root)
        }
        Err(error) => {
            findings.push(Finding::error(check, &error, SHOW));
            None
        }
    }
}

async fn shake(
    check: String,
    addresses: &[std::net::SocketAddr],
    protocol: Protocol,
    root: &Root,
    patient: &Patient,
) -> Finding {
    let config = match (&patient.credentials, protocol) {
        (_, Protocol::Enrolment) => probe::enrolment_config(root, &patient.clock),
        (Some(credentials), _) => probe::config(root, credentials, protocol, &patient.clock),
        (None, _) => return Finding::skipped(check, "there is no certificate to show"),
    };
    let config = match config {
        Ok(config) => config,
        Err(error) => return Finding::error(check, &error, "join again: the root document cannot be used"),
    };
    let agreed = async { probe::shake(probe::reach(addresses).await?, Arc::clone(&config)).await };
    match agreed.await {
        Ok(agreed) => verdict::handshake(check, protocol, &agreed),
        Err(error) => verdict::step(check, &error, SHAKE),
    }
}
