//! What can be said about a federation.

mod audit;
mod invite;
mod once_each;
mod subject;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use comity_policy::claim::{Assurance, ClaimPath};
use comity_policy::tables::TableName;
use comity_policy::{Layers, Offer, Organisation, Terms};
use comity_transparency::{Envelope, PublicKey};
use comity_types::{Digest, SpiffeId, Timestamp, TrustDomain};
use serde::{Deserialize, Serialize};

pub use self::audit::{Audit, Claimant};
pub use self::invite::InviteId;
pub(crate) use self::once_each::once_each;
pub use self::subject::Subject;

/// A change of the federation's state. A kind that is not known is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Statement {
    /// These operators govern from now on, and no others.
    RootChanged {
        /// Who, with the key of each.
        #[serde(deserialize_with = "once_each")]
        operators: BTreeMap<SpiffeId, PublicKey>,
        /// How many of them change this again.
        root_threshold: u32,
        /// How many of them admit, suspend, lift and evict.
        membership_threshold: u32,
    },
    /// An organisation is a member, as it applied: with its facts, its anchors, its keys and its first member.
    OrganisationAdmitted {
        /// What the organisation itself signed: an [`Application`](crate::Application).
        application: Envelope,
    },
    /// An organisation's facts and layers are these, and nothing else any more.
    OrganisationUpdated {
        /// Its facts; the trust domain says whose.
        organisation: Box<Organisation>,
        /// What it demands of its own requests.
        #[serde(default, skip_serializing_if = "layers_are_empty")]
        layers: Box<Layers>,
    },
    /// An organisation's certificate authorities are these.
    AnchorsChanged {
        /// Whose.
        organisation: TrustDomain,
        /// DER in base64. They are valid for its trust domain alone.
        anchors: Vec<String>,
    },
    /// An organisation signs with these keys from now on.
    KeysChanged {
        /// Whose.
        organisation: TrustDomain,
        /// Each of which signs this as well.
        keys: Vec<PublicKey>,
    },
    /// An organisation has left, with all its members; to come back it has to be admitted again.
    OrganisationWithdrawn {
        /// Which.
        organisation: TrustDomain,
        /// Why, if it says so.
        reason: String,
    },
    /// Whoever holds the invite's key may become this member, once.
    MemberInvited {
        /// Whom the invite is for.
        member: SpiffeId,
        /// What it is known by.
        invite: InviteId,
        /// The key that the invite carries.
        key: PublicKey,
        /// The first instant at which it no longer holds.
        expires_at: Timestamp,
    },
    /// An invite that nobody has taken up holds no longer.
    InviteRevoked {
        /// Whose member it was for.
        organisation: TrustDomain,
        /// Which.
        invite: InviteId,
    },
    /// A node, an app or an operator of an organisation is a member.
    MemberAdmitted {
        /// Its identity.
        id: SpiffeId,
        /// The key that it signs with.
        key: PublicKey,
        /// Which key its certificates are for.
        tls_key: TlsKey,
        /// By which invite, where the organisation did not sign this itself.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        invite: Option<InviteId>,
    },
    /// A member is none any more; its name is free.
    MemberWithdrawn {
        /// Who.
        id: SpiffeId,
        /// Why, if the organisation says so.
        reason: String,
    },
    /// A node offers this, and nothing else any more.
    OffersPublished {
        /// The node.
        node: SpiffeId,
        /// Where the broker reaches it, `host:port`.
        address: String,
        /// All its offers.
        offers: Vec<Offer>,
    },
    /// An organisation accepts the terms of another at a version, and no other version of them any more.
    TermsAccepted {
        /// Who accepts.
        organisation: TrustDomain,
        /// Whose terms.
        of: TrustDomain,
        /// Their version, which an offer of theirs states.
        version: u32,
        /// What was read: the [digest](terms_digest) of each of the terms that their offers state at this version; empty
        /// where whoever signed could not read the log.
        #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
        terms: BTreeSet<Digest>,
    },
    /// An organisation accepts the terms of another no longer.
    TermsWithdrawn {
        /// Who does not.
        organisation: TrustDomain,
        /// Whose terms.
        of: TrustDomain,
    },
    /// The word of an organisation counts on what others claim, as far as this says and no further.
    AuditorRecognised {
        /// Which.
        auditor: TrustDomain,
        /// On which claims.
        paths: BTreeSet<ClaimPath>,
        /// The highest level that its word has.
        up_to: Assurance,
        /// The first instant at which it counts no longer.
        until: Timestamp,
    },
    /// The word of an organisation counts no longer, and what it audited is over.
    AuditorRevoked {
        /// Which.
        auditor: TrustDomain,
        /// Why.
        reason: String,
    },
    /// An auditor stands behind one value of one claim.
    ClaimAudited {
        /// Who.
        auditor: TrustDomain,
        /// Behind what.
        audit: Audit,
    },
    /// An auditor stands behind a claim no longer.
    AuditWithdrawn {
        /// Who.
        auditor: TrustDomain,
        /// Whose claim.
        about: Claimant,
        /// Which.
        path: ClaimPath,
        /// Why, if it says so.
        reason: String,
    },
    /// The federation decides by these tables, and no others any more.
    TablesAdopted {
        /// All of them, as TOML: what ships with a program would be another table with the next one.
        #[serde(deserialize_with = "once_each")]
        tables: BTreeMap<TableName, String>,
    },
    /// A subject is refused until it is lifted.
    Suspended {
        /// Who.
        subject: Subject,
        /// Why.
        reason: String,
        /// Whose word this is.
        by: By,
    },
    /// A suspension has ended.
    Lifted {
        /// Whose.
        subject: Subject,
        /// Whose suspension it was.
        by: By,
    },
    /// An organisation is out, with all its members; to come back it has to be admitted again.
    Evicted {
        /// Which.
        organisation: TrustDomain,
        /// Why.
        reason: String,
    },
}

/// Whose word a suspension is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum By {
    /// The threshold of operators'.
    Federation,
    /// One operator's, which lapses after [`BRAKE`](crate::federation::BRAKE) unless the threshold ratifies it.
    Brake,
    /// The organisation's own, about itself or what is its own.
    Organisation,
}

/// Which key a member's certificates are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TlsKey {
    /// The key that was admitted, and no other.
    Admitted,
    /// Whichever its organisation's authority signs: where that authority makes a new key with every certificate, as SPIRE does.
    ByAuthority,
}

/// What a statement is a version of: in each scope versions go up by exactly one, so that what was said once is never
/// said again by somebody else, and operators who decide about two organisations at once are not in each other's way.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Scope {
    /// Who governs.
    Root,
    /// What the threshold of operators says of an organisation, or of operators.
    Governance(TrustDomain),
    /// What one operator says of them: on its own, or one alone could use up the versions that the others sign.
    Brake(TrustDomain),
    /// What an organisation says of its own.
    Organisation(TrustDomain),
    /// What a member says of itself.
    Member(SpiffeId),
    /// By which tables the federation decides.
    Tables,
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.write_str("root"),
            Self::Governance(domain) => write!(f, "governance/{domain}"),
            Self::Brake(domain) => write!(f, "brake/{domain}"),
            Self::Organisation(domain) => write!(f, "organisation/{domain}"),
            Self::Member(id) => write!(f, "member/{id}"),
            Self::Tables => f.write_str("tables"),
        }
    }
}

impl Statement {
    /// What it is a version of; none where it names nobody that can be read.
    #[must_use]
    pub fn scope(&self) -> Option<Scope> {
        Some(match self {
            Self::RootChanged { .. } => Scope::Root,
            Self::OrganisationAdmitted { application } => {
                let application = crate::Application::peek(application).ok()?;
                Scope::Governance(application.organisation.trust_domain)
            }
            Self::OrganisationUpdated { organisation, .. } => Scope::Organisation(organisation.trust_domain.clone()),
            Self::AnchorsChanged { organisation, .. }
            | Self::KeysChanged { organisation, .. }
            | Self::OrganisationWithdrawn { organisation, .. }
            | Self::InviteRevoked { organisation, .. }
            | Self::TermsAccepted { organisation, .. }
            | Self::TermsWithdrawn { organisation, .. }
            | Self::ClaimAudited { auditor: organisation, .. }
            | Self::AuditWithdrawn { auditor: organisation, .. } => Scope::Organisation(organisation.clone()),
            Self::MemberInvited { member: id, .. } | Self::MemberWithdrawn { id, .. } => {
                Scope::Organisation(id.trust_domain().clone())
            }
            Self::MemberAdmitted { id, .. } => Scope::Member(id.clone()),
            Self::OffersPublished { node, .. } => Scope::Member(node.clone()),
            Self::Suspended { subject, by, .. } | Self::Lifted { subject, by } => match by {
                By::Federation => Scope::Governance(subject.trust_domain().clone()),
                By::Brake => Scope::Brake(subject.trust_domain().clone()),
                By::Organisation => Scope::Organisation(subject.trust_domain().clone()),
            },
            Self::Evicted { organisation, .. }
            | Self::AuditorRecognised { auditor: organisation, .. }
            | Self::AuditorRevoked { auditor: organisation, .. } => Scope::Governance(organisation.clone()),
            Self::TablesAdopted { .. } => Scope::Tables,
        })
    }

    /// Its kind, as its JSON form has it.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::RootChanged { .. } => "root_changed",
            Self::OrganisationAdmitted { .. } => "organisation_admitted",
            Self::OrganisationUpdated { .. } => "organisation_updated",
            Self::AnchorsChanged { .. } => "anchors_changed",
            Self::KeysChanged { .. } => "keys_changed",
            Self::OrganisationWithdrawn { .. } => "organisation_withdrawn",
            Self::MemberInvited { .. } => "member_invited",
            Self::InviteRevoked { .. } => "invite_revoked",
            Self::MemberAdmitted { .. } => "member_admitted",
            Self::MemberWithdrawn { .. } => "member_withdrawn",
            Self::OffersPublished { .. } => "offers_published",
            Self::TermsAccepted { .. } => "terms_accepted",
            Self::TermsWithdrawn { .. } => "terms_withdrawn",
            Self::AuditorRecognised { .. } => "auditor_recognised",
            Self::AuditorRevoked { .. } => "auditor_revoked",
            Self::ClaimAudited { .. } => "claim_audited",
            Self::AuditWithdrawn { .. } => "audit_withdrawn",
            Self::TablesAdopted { .. } => "tables_adopted",
            Self::Suspended { .. } => "suspended",
            Self::Lifted { .. } => "lifted",
            Self::Evicted { .. } => "evicted",
        }
    }
}

/// As serde calls it, by the box.
#[expect(clippy::borrowed_box, reason = "serde passes a reference to the field")]
fn layers_are_empty(layers: &Box<Layers>) -> bool {
    layers.is_empty()
}

/// The digest that a permit names an offer by: SHA-256 of the offer's JSON form, whose field order is fixed.
#[must_use]
pub fn offer_digest(offer: &Offer) -> Digest {
    // An offer holds no map with non-string keys and no float, so that it always has a JSON form; were
    // it ever to lack one, the empty digest matches no offer, and the node refuses.
    Digest::of(&serde_json::to_vec(offer).unwrap_or_default())
}

/// What terms are known by where they are accepted: SHA-256 of their JSON form, as the offer's node signed them.
#[must_use]
pub fn terms_digest(terms: &Terms) -> Digest {
    // As of an offer: terms always have a JSON form, and no terms have the digest of nothing.
    Digest::of(&serde_json::to_vec(terms).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_operators_word_has_versions_of_its_own() {
        let scope = |by| {
            let subject: Subject = "spiffe://org-a.example/node/n1".parse().unwrap();
            Statement::Lifted { subject, by }.scope().unwrap().to_string()
        };
        let scopes = [By::Federation, By::Brake, By::Organisation].map(scope);
        assert_eq!(scopes, ["governance/org-a.example", "brake/org-a.example", "organisation/org-a.example"]);
    }
}
