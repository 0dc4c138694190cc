//! Why an entry does not fit the state that it was made in.

use comity_policy::claim::ClaimPath;
use comity_transparency::EnvelopeError;
use comity_types::{Digest, OfferName, SpiffeId, Timestamp, TrustDomain};

use super::{
    MAX_ANCHORS, MAX_CERTIFICATES, MAX_KEYS, MAX_MEMBERS, MAX_OFFERS_PER_NODE, MAX_OPEN_INVITES, MAX_REASON_BYTES,
};
use crate::statement::{Claimant, InviteId, Scope, Subject};

/// An entry that does not fit the state it was made in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The log has a gap, or an entry twice.
    #[error("entry {found} cannot follow entry {current}")]
    OutOfOrder {
        /// The state's epoch.
        current: u64,
        /// The entry's.
        found: u64,
    },
    /// An entry is older than the one before it.
    #[error("an entry of {found} cannot follow one of {last}")]
    BackInTime {
        /// When the last entry got its place.
        last: Timestamp,
        /// When this one did.
        found: Timestamp,
    },
    /// A first entry that is not the founding, or a founding that is not the first.
    #[error("the founding is the first entry, and only that")]
    Founding,
    /// What was signed is nothing that is known here.
    #[error("the statement cannot be read: {0}")]
    Unreadable(String),
    /// It is padded: nothing of its kind is that long.
    #[error(
        "a statement of the kind {kind} has at most {most} bytes, this one has {found} (hint: sign it without white space; everybody keeps every byte for ever)"
    )]
    TooLong {
        /// Its kind, as its JSON form has it.
        kind: &'static str,
        /// Its bytes.
        found: usize,
        /// What its kind may have.
        most: usize,
    },
    /// It was signed too long before it was handed in, or in the future.
    #[error(
        "the statement was signed at {signed}, and came at {entered} (hint: sign it again, and see that both clocks are right)"
    )]
    NotOfNow {
        /// When it was signed, by its signer's clock.
        signed: Timestamp,
        /// When it came, by the broker's.
        entered: Timestamp,
    },
    /// It was said in another federation.
    #[error("the statement is about another federation (hint: the root document that it names is not this one's)")]
    OtherFederation,
    /// It is not the next one of its scope.
    #[error(
        "version {found} of {scope} was signed, and {next} is the next one (hint: read the state again and sign again)"
    )]
    Version {
        /// Of what.
        scope: Scope,
        /// The version that would be next.
        next: u64,
        /// The statement's.
        found: u64,
    },
    /// The very same statement stands there already.
    #[error("this statement of {scope} stands already")]
    Said {
        /// Of what.
        scope: Scope,
    },
    /// Another statement stands at this position: two were signed.
    #[error(
        "another statement stands at version {version} of {scope}: {first} in entry {epoch}, and this one is {second} (hint: read the state again and sign as version {next}; if its signers did not sign again after they read the state, a key is used by two)"
    )]
    Equivocation {
        /// Of what.
        scope: Scope,
        /// At which version.
        version: u64,
        /// The version that would be next.
        next: u64,
        /// The entry that has the one that stands.
        epoch: u64,
        /// What the one that stands is known by: the digest of its payload.
        first: Digest,
        /// What the other one is known by.
        second: Digest,
    },
    /// A signature does not hold, or is by somebody who has no say.
    #[error(transparent)]
    Signatures(EnvelopeError),
    /// Not enough have signed.
    #[error("{have} of {needed} {who} have signed")]
    TooFew {
        /// Who has to.
        who: &'static str,
        /// How many have.
        have: usize,
        /// How many have to.
        needed: usize,
    },
    /// Operators who could not govern.
    #[error("these operators cannot govern: {0}")]
    Governance(&'static str),
    /// The subject is no member.
    #[error("{0} is not a member")]
    NotAMember(Subject),
    /// The subject is a member already.
    #[error("{0} is a member already")]
    AlreadyAMember(Subject),
    /// What the organisation applied with has let it in before.
    #[error("{0} was admitted by this application before (hint: it has to apply again)")]
    ApplicationUsed(TrustDomain),
    /// The member's kind cannot stand in its trust domain.
    #[error("{id} cannot be a member: {why}")]
    WrongDomain {
        /// Who.
        id: SpiffeId,
        /// Why not.
        why: &'static str,
    },
    /// Too few, too many, or one twice.
    #[error("an organisation signs with 1 to {MAX_KEYS} keys, each once; these are {found}")]
    Keys {
        /// How many.
        found: usize,
    },
    /// Too few or too many.
    #[error("an organisation has 1 to {MAX_ANCHORS} certificate authorities, these are {found}")]
    Anchors {
        /// How many.
        found: usize,
    },
    /// There is no such open invite for this member.
    #[error("the invite {0} is not open (hint: it was taken up, revoked or is for another member)")]
    NoInvite(InviteId),
    /// An invite of this id is open already.
    #[error("there is an invite {0} already")]
    InviteTaken(InviteId),
    /// The member is invited already.
    #[error("{0} is invited already (hint: revoke that invite first)")]
    AlreadyInvited(SpiffeId),
    /// The organisation has too many members.
    #[error("{0} has {MAX_MEMBERS} members (hint: withdraw some)")]
    TooManyMembers(TrustDomain),
    /// The organisation has too many open invites.
    #[error("{0} has {MAX_OPEN_INVITES} open invites (hint: revoke some)")]
    TooManyInvites(TrustDomain),
    /// The invite has ended.
    #[error("the invite {invite} ended at {at} (hint: ask for another one)")]
    InviteExpired {
        /// Which.
        invite: InviteId,
        /// When.
        at: Timestamp,
    },
    /// The subject is suspended already.
    #[error("{0} is suspended already")]
    AlreadySuspended(Subject),
    /// Whoever is suspended publishes nothing.
    #[error("{0} is suspended, and offers nothing meanwhile (hint: publish once it is lifted)")]
    Suspended(Subject),
    /// Only its own organisation has suspended the subject.
    #[error("{0} is not suspended by operators: its own organisation suspended it, and lifts it by its key")]
    SuspendedByItsOwn(Subject),
    /// Only operators have suspended the subject.
    #[error("{0} is not suspended by its organisation: operators suspended it, and lift it (hint: ask one of them)")]
    SuspendedByOperators(Subject),
    /// The subject is not suspended.
    #[error("{0} is not suspended")]
    NotSuspended(Subject),
    /// Operators have suspended what would be forgotten.
    #[error("{0} is suspended by operators, and stays until they lift it (hint: it takes part in nothing until then)")]
    Held(Subject),
    /// The member has too many suspended certificates.
    #[error("{0} has {MAX_CERTIFICATES} suspended certificates (hint: suspend the member itself)")]
    TooManyCertificates(SpiffeId),
    /// The threshold has ratified the brake.
    #[error("the suspension of {0} was ratified: the threshold of operators has to lift it")]
    Ratified(Subject),
    /// Whoever signed the lift did so before the suspension that stands.
    #[error(
        "{subject} is suspended since {since}, after this was signed, which lifts another suspension (hint: lift it anew; \
         where that was done just now, look at this machine's clock)"
    )]
    NotSeen {
        /// Who is suspended.
        subject: Subject,
        /// Since when.
        since: Timestamp,
    },
    /// There is no brake, or its time is not over.
    #[error("no suspension of {0} has lapsed")]
    NotLapsed(Subject),
    /// The operator has braked the subject already.
    #[error(
        "this operator has braked {0} once (hint: the threshold of operators has to suspend or lift it before they may again)"
    )]
    BrakeSpent(Subject),
    /// The operator has braked another certificate of the same member.
    #[error(
        "this operator has braked {0} once, and brakes no other certificate of that member (hint: brake the member itself; or have the threshold of operators suspend this certificate, or suspend or lift the other one)"
    )]
    BrakeSpentOnAnother(Box<Subject>),
    /// Without this operator, and without those who brake it, the threshold could not be met.
    #[error(
        "{0} cannot be suspended so: without that operator, those who have a suspended certificate and whoever brakes them, there are fewer operators than the threshold, and nobody could lift it (hint: where only a brake is refused, the threshold of operators suspends; or they change the operators: comity operator remove)"
    )]
    LastOperator(Subject),
    /// What an organisation accepts stands in its facts.
    #[error(
        "the facts of {0} state accepted_terms, which are a statement of their own (hint: take the field out, and say `comity terms accept`)"
    )]
    AcceptedInFacts(TrustDomain),
    /// Terms that cannot be accepted.
    #[error("the terms of {of} cannot be accepted: {why}")]
    Terms {
        /// Whose.
        of: TrustDomain,
        /// Why not.
        why: &'static str,
    },
    /// There is nothing to take back.
    #[error("{organisation} has not accepted the terms of {of}")]
    NotAccepted {
        /// Who.
        organisation: TrustDomain,
        /// Whose.
        of: TrustDomain,
    },
    /// An auditor that cannot be one, or not so.
    #[error("{auditor} cannot be recognised as an auditor: {why}")]
    Auditor {
        /// Who.
        auditor: TrustDomain,
        /// Why not.
        why: &'static str,
    },
    /// Operators have not recognised it, or not for this, or not any more.
    #[error(
        "{auditor} is not recognised as an auditor: {why} (hint: `comity auditor list` shows who is; operators recognise)"
    )]
    NotAnAuditor {
        /// Who.
        auditor: TrustDomain,
        /// What is missing.
        why: &'static str,
    },
    /// An audit that cannot be made.
    #[error("{path} of {about} cannot be audited: {why}")]
    Audit {
        /// Whose claim.
        about: Box<Claimant>,
        /// Which.
        path: ClaimPath,
        /// Why not.
        why: &'static str,
    },
    /// There is no such audit.
    #[error("{auditor} has not audited {path} of {about}")]
    NoAudit {
        /// Who.
        auditor: TrustDomain,
        /// Whose claim.
        about: Box<Claimant>,
        /// Which.
        path: ClaimPath,
    },
    /// Tables that nobody can decide by.
    #[error("the tables cannot be adopted: {0}")]
    Tables(String),
    /// The reason is empty or too long.
    #[error("a reason has 1 to {MAX_REASON_BYTES} bytes, this one has {found}")]
    Reason {
        /// Its bytes.
        found: usize,
    },
    /// Too many offers on a node.
    #[error("a node has at most {MAX_OFFERS_PER_NODE} offers, {node} publishes {found}")]
    TooManyOffers {
        /// The node.
        node: SpiffeId,
        /// How many.
        found: usize,
    },
    /// An offer that is another node's, or two of one id.
    #[error("{node} cannot publish {offer}: {why}")]
    Offer {
        /// The node.
        node: SpiffeId,
        /// The offer.
        offer: Box<OfferName>,
        /// Why not.
        why: &'static str,
    },
}
