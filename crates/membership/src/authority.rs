//! Who has to sign what.
//!
//! | statement | signers |
//! |---|---|
//! | root changed | the thresholds of the old operators and of the new |
//! | organisation admitted, suspended, lifted, evicted | the threshold of operators |
//! | a brake | any one operator; to take it back, one who made it |
//! | an organisation's facts, anchors, invites, members, its own suspensions, its leave | one of its keys |
//! | an organisation's keys | one of the old, and every new one |
//! | a member that comes by invite | the invite's key, and its own |
//! | offers | the node's key, or one of its organisation's |
//! | terms accepted, and no longer | one of the accepting organisation's keys |
//! | auditors recognised and revoked | the threshold of operators |
//! | audits, and what is taken back of them | one of the auditor's keys |
//! | tables | the threshold of operators |

use std::collections::BTreeSet;

use comity_transparency::{KeyId, PublicKey};
use comity_types::TrustDomain;

use crate::federation::{Federation, Refused};
use crate::statement::{By, Statement, Subject};

/// So many of these have to sign.
#[derive(Debug)]
struct Quorum<'a> {
    needed: usize,
    keys: Vec<&'a PublicKey>,
    who: &'static str,
}

/// How many have signed of those who have to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// Who has to.
    pub who: &'static str,
    /// How many have.
    pub have: usize,
    /// How many have to.
    pub needed: usize,
}

/// Everyone who has to sign a statement: each quorum has to be met, and nobody else may sign.
#[derive(Debug)]
pub struct Authority<'a>(Vec<Quorum<'a>>);

impl<'a> Authority<'a> {
    /// Who has to sign `statement` in this state.
    ///
    /// # Errors
    /// It is about somebody who is not there.
    pub fn of(statement: &'a Statement, federation: &'a Federation) -> Result<Self, Refused> {
        let governance = federation.governance().ok_or(Refused::Founding)?;
        let operators = |needed: u32, who| Quorum {
            needed: usize::try_from(needed).unwrap_or(usize::MAX),
            keys: federation.voters().map(|(_, key)| key).collect(),
            who,
        };
        let organisation = |domain: &TrustDomain| -> Result<Quorum<'a>, Refused> {
            let state = federation.organisation(domain);
            let state = state.ok_or_else(|| federation.stranger(&Subject::Organisation(domain.clone())))?;
            Ok(Quorum { needed: 1, keys: state.keys.iter().collect(), who: "a key of the organisation" })
        };
        let membership = || operators(governance.membership_threshold, "operators");
        Ok(Self(match statement {
            Statement::RootChanged { operators: new, root_threshold, .. } => vec![
                operators(governance.root_threshold, "operators that govern now"),
                Quorum {
                    needed: usize::try_from(*root_threshold).unwrap_or(usize::MAX),
                    keys: federation.able(new).map(|(_, key)| key).collect(),
                    who: "operators that are to govern",
                },
            ],
            Statement::OrganisationAdmitted { .. }
            | Statement::Evicted { .. }
            | Statement::AuditorRecognised { .. }
            | Statement::AuditorRevoked { .. }
            | Statement::TablesAdopted { .. } => vec![membership()],
            Statement::Suspended { subject, by, .. } | Statement::Lifted { subject, by } => match by {
                By::Federation => vec![membership()],
                By::Brake => vec![operators(1, "operators")],
                By::Organisation => vec![organisation(subject.trust_domain())?],
            },
            Statement::OrganisationUpdated { organisation: facts, .. } => vec![organisation(&facts.trust_domain)?],
            Statement::AnchorsChanged { organisation: domain, .. }
            | Statement::OrganisationWithdrawn { organisation: domain, .. }
            | Statement::InviteRevoked { organisation: domain, .. }
            | Statement::TermsAccepted { organisation: domain, .. }
            | Statement::TermsWithdrawn { organisation: domain, .. }
            | Statement::ClaimAudited { auditor: domain, .. }
            | Statement::AuditWithdrawn { auditor: domain, .. } => vec![organisation(domain)?],
            Statement::KeysChanged { organisation: domain, keys } => {
                let new = Quorum { needed: keys.len(), keys: keys.iter().collect(), who: "keys that are to sign" };
                vec![organisation(domain)?, new]
            }
            Statement::MemberInvited { member: id, .. } | Statement::MemberWithdrawn { id, .. } => {
                vec![organisation(id.trust_domain())?]
            }
            Statement::MemberAdmitted { id, key, invite, .. } => {
                let own = Quorum { needed: 1, keys: vec![key], who: "the member's own key" };
                let lets_in = match invite {
                    None => organisation(id.trust_domain())?,
                    Some(invite) => {
                        let open = federation.invite(invite).ok_or_else(|| Refused::NoInvite(invite.clone()))?;
                        Quorum { needed: 1, keys: vec![&open.key], who: "the invite's key" }
                    }
                };
                vec![lets_in, own]
            }
            Statement::OffersPublished { node, .. } => {
                let member = federation.member(node);
                let member = member.ok_or_else(|| federation.stranger(&Subject::Member(node.clone())))?;
                let mut quorum = organisation(node.trust_domain())?;
                quorum.keys.push(&member.key);
                quorum.who = "the node, or a key of its organisation";
                vec![quorum]
            }
        }))
    }

    /// Every key that may sign.
    pub fn keys(&self) -> impl Iterator<Item = &'a PublicKey> {
        self.0.iter().flat_map(|quorum| quorum.keys.iter().copied())
    }

    /// Who has to sign: how many, of how many, and who they are.
    pub fn needs(&self) -> impl Iterator<Item = (usize, usize, &'static str)> {
        self.0.iter().map(|quorum| (quorum.needed.max(1), quorum.ids().len(), quorum.who))
    }

    /// How many signatures it takes at least: a key that is in two quorums counts in both.
    #[must_use]
    pub fn fewest(&self) -> usize {
        let ids: Vec<_> = self.0.iter().map(|quorum| (quorum.needed.max(1), quorum.ids())).collect();
        match ids.as_slice() {
            [(one, these), (other, those)] => {
                let both = these.intersection(those).count().min(*one).min(*other);
                one + other - both
            }
            all => all.iter().map(|(needed, _)| needed).sum(),
        }
    }

    /// How many of everyone have signed. A key counts once, however often it stands here.
    #[must_use]
    pub fn count(&self, signers: &BTreeSet<KeyId>) -> Vec<Count> {
        let count = |quorum: &Quorum<'_>| {
            let (have, needed) = (quorum.ids().intersection(signers).count(), quorum.needed.max(1));
            Count { who: quorum.who, have, needed }
        };
        self.0.iter().map(count).collect()
    }

    /// Checks that enough of everyone have signed.
    ///
    /// # Errors
    /// Says of the first quorum that is not met how many have signed of how many that have to.
    pub fn check(&self, signers: &BTreeSet<KeyId>) -> Result<(), Refused> {
        let missing = self.count(signers).into_iter().find(|count| count.have < count.needed);
        missing.map_or(Ok(()), |Count { who, have, needed }| Err(Refused::TooFew { who, have, needed }))
    }
}

impl Quorum<'_> {
    fn ids(&self) -> BTreeSet<KeyId> {
        self.keys.iter().map(|key| key.id()).collect()
    }
}
