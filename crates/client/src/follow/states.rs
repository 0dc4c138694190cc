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
        keep(&mut known.states, known.followed.log());
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
            let read = read_on(&self.connection, followed, |followed, _, _| keep(states, followed.log()));
            // All of it: whoever waits for the answer does not wait longer for the log.
            timeout(PART_DEADLINE, read).await.map_err(|_| FollowError::Silent)?.map_err(|stopped| stopped.error)?;
        }
        Ok(states.get(&epoch).cloned())
    }
}

fn keep(states: &mut BTreeMap<u64, Log>, log: &Log) {
    states.insert(log.federation().epoch(), log.clone());
    while states.len() > KEPT {
        states.pop_first();
    }
}
