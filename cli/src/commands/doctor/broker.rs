//! What the broker says: its time, how this member stands, the log, and where it reaches a node.

use std::sync::Arc;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use comity_client::connection::ConnectionError;
use comity_client::follow::{self, FollowError, Followed};
use comity_client::probe::{self, Offset};
use comity_client::{Cause, Connection, Identity, enrol, explain};
use comity_identity::{CertificateDer, OrganisationAnchors, Root};
use comity_membership::Entry;
use comity_proto::membership::membership_client::MembershipClient;
use comity_proto::membership::{ListNodesRequest, NodeEntry};
use comity_types::SpiffeId;
use comity_types::ids::Kind;

use super::directory::Patient;
use super::finding::Finding;
use super::verdict;

const LOG: &str = "the broker shows what its federation did not sign: keep a copy (`comity log export`), compare with \
                   other members, and do not act on it";

/// What the broker said that other checks need.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// It took this member's call.
    pub(super) standing: bool,
    /// What it lists of this node; nothing of who is none.
    pub(super) node: Option<NodeEntry>,
}

/// Asks everything that this identity may ask.
pub(super) async fn examine(patient: &Patient, findings: &mut Vec<Finding>) -> Told {
    let member = member(patient);
    let standing = match &member {
        Some(Ok((_, connection))) => Some(probe::ask(connection).await),
        _ => None,
    };
    findings.push(clock(patient, member.as_ref(), standing.as_ref().is_some_and(Result::is_ok)).await);
    let (identity, connection) = match (member, standing) {
        (Some(Ok(member)), Some(Ok(()))) => member,
        (member, Some(Err(status))) => {
            // TLS says one word of it; to who has the key, the broker says more.
            let told = match &member {
                Some(Ok((identity, _))) if explain(&status).cause == Cause::CertificateRefused => {
                    enrol::why_refused(identity).await
                }
                _ => None,
            };
            findings.push(verdict::refused(&told.unwrap_or(*status)));
            return Told::default();
        }
        (Some(Err(error)), _) => {
            findings.push(Finding::error("standing", &*error, "mend the identity first"));
            return Told::default();
        }
        (None | Some(Ok(_)), None) => {
            findings.push(Finding::skipped("standing", "without an identity that is whole, nobody can be asked"));
            return Told::default();
        }
        (None, Some(Ok(()))) => return Told::default(),
    };
    findings.push(Finding::ok("standing", format!("the broker lets {} take part", identity.id())));
    log(patient, &identity, &connection, findings).await;
    Told { standing: true, node: listed(&connection, identity.id()).await }
}

type Member = Result<(Identity, Connection), Box<dyn std::error::Error + Send + Sync>>;

/// The identity and its connection, if there is one to try; nothing where other checks have said what is missing.
fn member(patient: &Patient) -> Option<Member> {
    let credentials = patient.credentials.as_ref()?;
    patient.root.as_ref()?;
    let opened = Identity::open_with_credentials(&patient.dir, Arc::clone(credentials), Arc::clone(&patient.clock));
    Some(opened.map_err(Into::into).and_then(|identity| {
        let connection = Connection::open(&identity).map_err(Box::new)?;
        Ok((identity, connection))
    }))
}

/// By the member's own connection, or as anybody where that one is refused.
async fn clock(patient: &Patient, member: Option<&Member>, stands: bool) -> Finding {
    let skipped = |why: &str| Finding::skipped("clock", format!("the broker's clock cannot be read: {why}"));
    let told = match (member, &patient.root) {
        (Some(Ok((_, connection))), _) if stands => probe::offset(connection, &*patient.clock).await.ok(),
        (_, Some(root)) => anonymously(patient, root, &patient.brokers).await.ok().flatten(),
        (_, None) => return skipped("mend the identity first"),
    };
    match told {
        Some(Some(offset)) => verdict::clock(offset),
        Some(None) => skipped("it is of an older version and does not tell"),
        None => skipped("it cannot be reached, or TLS fails by this clock"),
    }
}

async fn anonymously(
    patient: &Patient,
    root: &Root,
    addresses: &[String],
) -> Result<Option<Option<Offset>>, ConnectionError> {
    for address in addresses {
        let connection = probe::without_certificate(root, address, &patient.clock)?;
        if let Ok(offset) = probe::offset(&connection, &*patient.clock).await {
            return Ok(Some(offset));
        }
    }
    Ok(None)
}

/// The log, every signature in it, and this member's chain by what it says.
async fn log(patient: &Patient, identity: &Identity, connection: &Connection, findings: &mut Vec<Finding>) {
    let Some(root_sha256) = patient.named.as_ref().map(|named| named.federation_root) else { return };
    let empty = Followed::new(identity.root(), root_sha256, Arc::clone(identity.clock()));
    let mut last = None;
    match follow::read(connection, empty, |_, entry| last = Some(entry.to_vec())).await {
        Ok(followed) => {
            findings.push(chain(identity, &followed));
            findings.push(agreed(&followed, last.as_deref()));
        }
        Err(error @ FollowError::FromTheFuture { .. }) => {
            findings.push(Finding::error("log", &error, verdict::SET_CLOCK));
        }
        Err(error @ (FollowError::Call(_) | FollowError::Silent)) => {
            findings.push(Finding::error("log", &error, "try again; if it stays so, look at the broker's log"));
        }
        Err(error) => findings.push(Finding::error("log", &error, LOG)),
    }
}

fn agreed(followed: &Followed, last: Option<&[u8]>) -> Finding {
    let (epoch, root) = (followed.log().federation().epoch(), followed.log().tree().root());
    let at = last.and_then(|entry| Entry::from_json(entry).ok()).map(|entry| format!(" of {}", entry.at));
    let at = at.unwrap_or_default();
    Finding::ok(
        "log",
        format!("every signature holds up to epoch {epoch}{at}, and the broker's checkpoint agrees (root {root})"),
    )
}

/// The chain that is shown in handshakes, wherever it comes from.
fn chain(identity: &Identity, followed: &Followed) -> Finding {
    let domain = identity.id().trust_domain();
    let anchors = if *domain == identity.root().federation {
        identity.root().organisation_anchors()
    } else {
        let stated = followed.log().federation().organisation(domain);
        let ders: Vec<CertificateDer<'_>> =
            stated.iter().flat_map(|state| &state.anchors).filter_map(|anchor| der(anchor)).collect();
        OrganisationAnchors::new(domain.clone(), &ders)
    };
    verdict::chain(&identity.credentials().chain(), domain, anchors, identity.clock().now())
}

/// What cannot be read is missed by the check of the chain.
fn der(anchor: &str) -> Option<CertificateDer<'static>> {
    BASE64.decode(anchor).ok().map(CertificateDer::from)
}

/// What the broker lists of a node.
async fn listed(connection: &Connection, id: &SpiffeId) -> Option<NodeEntry> {
    if id.kind() != Kind::Node {
        return None;
    }
    let answer = MembershipClient::new(connection.unary()).list_nodes(ListNodesRequest {}).await.ok()?;
    answer.into_inner().nodes.into_iter().find(|node| node.spiffe_id == id.as_str())
}
