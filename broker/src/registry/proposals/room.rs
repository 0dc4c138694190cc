//! How much may wait for signatures at once, and of whom. Pure.
//!
//! A proposal is charged to those operators in office who have signed it, to each an equal part: who is to govern has
//! keys that anybody can make, and pays nothing. Nobody has more than a share, and the first few of everybody are taken
//! even when others have filled the rest.

use std::collections::BTreeMap;

use comity_membership::federation::MAX_TABLES_BYTES;
use comity_membership::{Federation, Statement};
use comity_transparency::KeyId;
use comity_types::SpiffeId;

use super::{Proposal, ProposalError, said};

/// Most proposals at once, beside everybody's first few: more than operators can look through.
pub(crate) const MAX_PROPOSALS: usize = 1_000;
/// Most bytes of all proposals at once, beside everybody's first few: with those, and in base64, below what a program of an
/// operator reads in one answer.
pub(crate) const MAX_PROPOSALS_BYTES: usize = 16 * 1024 * 1024;
/// Most proposals at once that one operator alone has signed: more than one has reason for.
pub(crate) const MAX_PROPOSALS_OF_ONE: usize = 32;
/// Most bytes at once of proposals that one operator alone has signed: tables, and five of the longest applications.
pub(crate) const MAX_BYTES_OF_ONE: usize = 2 * 1024 * 1024;
/// Most proposals of tables at once of one operator: only one of all of them can come into force.
pub(crate) const MAX_TABLES_OF_ONE: usize = 1;
/// Longest proposal, in bytes of its payload: an application with every anchor and demand is below.
pub(crate) const MAX_PROPOSAL_BYTES: usize = 256 * 1024;
/// Longest proposal of tables: all of them, with the marks that JSON puts before quotes and line ends.
pub(crate) const MAX_TABLES_PROPOSAL_BYTES: usize = MAX_TABLES_BYTES + MAX_TABLES_BYTES / 4;
/// So many proposals of everybody are taken however much of others waits: enough to stop somebody, and to change the root.
const FIRST_PROPOSALS: usize = 4;
/// So many bytes of everybody are, likewise: the longest proposal there is.
const FIRST_BYTES: usize = MAX_TABLES_PROPOSAL_BYTES;
/// Into how many a proposal is divided between those who signed it: for any number of operators, to within 1 %.
const PARTS: usize = 10_000;
/// What a signature takes, in bytes: its key's digest in hexadecimal and the signature in base64, with their names.
const SIGNATURE_BYTES: usize = 256;

/// What waits of one operator.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    parts: usize,
    bytes: usize,
    tables: usize,
}

/// What waits, by who is charged for it.
pub(super) struct Room<'a> {
    voters: BTreeMap<KeyId, &'a SpiffeId>,
    loads: BTreeMap<KeyId, Load>,
    proposals: usize,
    bytes: usize,
}

impl<'a> Room<'a> {
    /// What waits in this state.
    pub(super) fn of<'b>(federation: &'a Federation, waiting: impl Iterator<Item = &'b Proposal>) -> Self {
        let voters = federation.voters().map(|(id, key)| (key.id(), id)).collect();
        let mut room = Self { voters, loads: BTreeMap::new(), proposals: 0, bytes: 0 };
        waiting.for_each(|proposal| room.add(proposal));
        room
    }

    fn add(&mut self, proposal: &Proposal) {
        (self.proposals, self.bytes) = (self.proposals.saturating_add(1), self.bytes.saturating_add(size(proposal)));
        for (key, load) in self.with(proposal) {
            self.loads.insert(key, load);
        }
    }

    /// What would wait of each of its signers in office with one proposal more.
    fn with(&self, proposal: &Proposal) -> Vec<(KeyId, Load)> {
        let signers = proposal.envelope.signatures.iter().map(|signature| signature.keyid);
        let signers: Vec<_> = signers.filter(|key| self.voters.contains_key(key)).collect();
        let (among, tables) = (signers.len().max(1), usize::from(is_of_tables(proposal)));
        let load = |key: &KeyId| {
            let load = self.loads.get(key).copied().unwrap_or_default();
            let parts = load.parts.saturating_add(PARTS / among);
            let bytes = load.bytes.saturating_add(size(proposal) / among);
            Load { parts, bytes, tables: load.tables.saturating_add(tables) }
        };
        signers.iter().map(|key| (*key, load(key))).collect()
    }

    /// Checks that there is room for a new one: it is not too long, each of those who signed it has room in their share,
    /// and there is room for all, or it is one of somebody's first.
    ///
    /// # Errors
    /// There is none; says whose share is full.
    pub(super) fn check(&self, proposal: &Proposal) -> Result<(), ProposalError> {
        let (bytes, is_of_tables) = (proposal.envelope.payload.len(), is_of_tables(proposal));
        let most = if is_of_tables { MAX_TABLES_PROPOSAL_BYTES } else { MAX_PROPOSAL_BYTES };
        if bytes > most {
            return Err(ProposalError::TooLong { bytes, most });
        }
        let with = self.with(proposal);
        for (key, load) in &with {
            let Some(operator) = self.voters.get(key).map(|id| (*id).clone()) else { continue };
            if is_of_tables && load.tables > MAX_TABLES_OF_ONE {
                return Err(ProposalError::TooManyOfTables { operator });
            }
            if load.parts > MAX_PROPOSALS_OF_ONE * PARTS || load.bytes > MAX_BYTES_OF_ONE {
                return Err(ProposalError::TooManyOfOne { operator });
            }
        }
        let is_full =
            self.proposals >= MAX_PROPOSALS || self.bytes.saturating_add(size(proposal)) > MAX_PROPOSALS_BYTES;
        let is_first = |load: &Load| load.parts <= FIRST_PROPOSALS * PARTS && load.bytes <= FIRST_BYTES;
        if is_full && !with.iter().any(|(_, load)| is_first(load)) { Err(ProposalError::TooMany) } else { Ok(()) }
    }
}

fn size(proposal: &Proposal) -> usize {
    let envelope = &proposal.envelope;
    envelope.payload.len().saturating_add(envelope.signatures.len().saturating_mul(SIGNATURE_BYTES))
}

fn is_of_tables(proposal: &Proposal) -> bool {
    matches!(said(proposal), Some(Statement::TablesAdopted { .. }))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use comity_membership::testing::TestFederation;

    use super::*;

    const TEN: [&str; 10] = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];

    struct Table {
        test: TestFederation,
        waiting: Vec<Proposal>,
    }

    impl Table {
        fn of_ten() -> Self {
            Self { test: TestFederation::founded(&TEN, 6), waiting: Vec::new() }
        }

        /// A proposal of this length that these have signed.
        fn proposal(&mut self, signers: &[&str], bytes: usize) -> Proposal {
            let organisation = "org-a.example".parse().unwrap();
            let reason = "x".repeat(bytes);
            let envelope = self.test.signed(Statement::Evicted { organisation, reason }, signers);
            Proposal { envelope, at: self.test.now.unwrap(), refused_by: BTreeSet::new() }
        }

        fn propose(&mut self, signers: &[&str], bytes: usize) -> Result<(), ProposalError> {
            let proposal = self.proposal(signers, bytes);
            Room::of(&self.test.federation, self.waiting.iter()).check(&proposal)?;
            self.waiting.push(proposal);
            Ok(())
        }

        fn fill(&mut self, signers: &[&str], bytes: usize) -> usize {
            let before = self.waiting.len();
            while self.propose(signers, bytes).is_ok() {}
            self.waiting.len() - before
        }
    }

    #[test]
    fn those_who_sign_together_have_their_shares_together_and_no_more() {
        let mut table = Table::of_ten();
        assert_eq!(table.fill(&["a"], 10), MAX_PROPOSALS_OF_ONE);
        // Whose share is full has no part in another one either.
        assert_eq!(table.fill(&["a", "b"], 10), 0);
        let mut table = Table::of_ten();
        assert_eq!(table.fill(&["a", "b"], 10), 2 * MAX_PROPOSALS_OF_ONE);
        assert_eq!((table.fill(&["a"], 10), table.fill(&["b"], 10)), (0, 0));
    }

    #[test]
    fn bytes_are_shared_as_proposals_are() {
        let mut table = Table::of_ten();
        let alone = table.fill(&["a"], 200_000);
        assert_eq!(alone, MAX_BYTES_OF_ONE / 200_000);
        assert_eq!(table.fill(&["b", "c"], 200_000), 2 * alone);
    }

    #[test]
    fn whoever_has_little_waiting_is_heard_however_much_of_others_waits() {
        let mut table = Table::of_ten();
        for operator in &TEN[..9] {
            table.fill(&[operator], 200_000);
        }
        assert!(matches!(table.propose(&["i"], 200_000), Err(ProposalError::TooMany)));
        let bytes: usize = table.waiting.iter().map(size).sum();
        assert!(bytes <= MAX_PROPOSALS_BYTES + 9 * FIRST_BYTES, "{bytes}");
        assert_eq!(table.fill(&["j"], 150_000), FIRST_PROPOSALS);
    }

    #[test]
    fn what_somebody_without_a_vote_has_signed_is_charged_to_those_who_have_one() {
        let mut table = Table::of_ten();
        assert_eq!(table.fill(&["a", "a stranger", "another"], 10), MAX_PROPOSALS_OF_ONE);
    }
}
