//! The federation at each of its newest epochs, for a program that holds answers against the state that each was decided by. It
//! reads on by itself: an answer that was decided by a later state than is known here waits until that is known.

use std::collections::BTreeMap;

use comity_membership::Log;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::{FollowError, Followed, PART_DEADLINE, read_on};
use crate::connection::Connection;

/// How many epochs are kept, a few kilobytes each: a federation that changes every minute has that many in most of a day, which is
/// longer than an answer takes.
const KEPT: usize = 1_024;

/// The log, which is read on, and what it came to at its newest epochs.
#[derive(Debug)]
pub(crate) struct States {
    connection: Connection,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    followed: Followed,
    states: BTreeMap<u64, Log>,
}

impl States {
    pub(crate) fn new(connection: Connection, followed: Followed) -> Self {
        let mut known = Known { states: BTreeMap::new(), followed };
        keep(&mut known.states, known.followed.log(), KEPT);
        Self { connection, known: Mutex::new(known) }
    }

    /// The federation's log up to an epoch; none where it has not come as far, or that was too long ago.
    ///
    /// # Errors
    /// What is new of it cannot be read, or is not to be believed.
    pub(crate) async fn at(&self, epoch: u64) -> Result<Option<Log>, FollowError> {
        let mut known = self.known.lock().await;
        let Known { followed, states } = &mut *known;
        if followed.log().federation().epoch() < epoch {
            let read = read_on(&self.connection, followed, |followed, _, _| keep(states, followed.log(), KEPT));
            // All of it: whoever waits for the answer does not wait longer for the log.
            timeout(PART_DEADLINE, read).await.map_err(|_| FollowError::Silent)?.map_err(|stopped| stopped.error)?;
        }
        Ok(states.get(&epoch).cloned())
    }
}

/// Keeps the newest state, and `most` of them.
fn keep(states: &mut BTreeMap<u64, Log>, log: &Log, most: usize) {
    states.insert(log.federation().epoch(), log.clone());
    while states.len() > most {
        states.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use comity_membership::testing::TestFederation;
    use comity_membership::{Body, Entry};

    use super::*;

    #[test]
    fn the_newest_states_are_kept_and_each_is_that_of_its_epoch() {
        const MOST: usize = 4;
        let mut federation = TestFederation::founded(&["alice"], 1);
        let genesis = federation.genesis.clone().unwrap();
        let mut log = Log::new(genesis.clone());
        let (mut states, mut roots) = (BTreeMap::new(), Vec::new());
        let founded = Entry { epoch: 1, at: federation.now.unwrap(), body: Body::Founded(genesis) };
        log.take(&founded.to_json().unwrap()).unwrap();
        keep(&mut states, &log, MOST);
        roots.push(log.tree().root());
        for number in 0..MOST {
            let (domain, member) = (format!("org-{number}.example"), format!("spiffe://org-{number}.example/app/a"));
            let application = federation.application(&domain, &member);
            let statement = comity_membership::Statement::OrganisationAdmitted { application };
            let envelope = federation.signed(statement, &["alice"]);
            let entry = federation.entry(Body::Signed(envelope));
            federation.apply(&entry).unwrap();
            log.take(&entry.to_json().unwrap()).unwrap();
            keep(&mut states, &log, MOST);
            roots.push(log.tree().root());
        }
        assert_eq!(states.keys().copied().collect::<Vec<_>>(), [2, 3, 4, 5]);
        for (epoch, state) in states {
            let of_epoch = roots[usize::try_from(epoch).unwrap() - 1];
            assert_eq!((state.federation().epoch(), state.tree().root()), (epoch, of_epoch));
        }
    }
}
