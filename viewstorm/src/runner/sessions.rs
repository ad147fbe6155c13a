//! The clients' sessions: which are free, what the others wait for, and until when.

use std::collections::{BTreeMap, BTreeSet};

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use viewstorm_history::{ProcessId, Seed, Timestamp};
use viewstorm_protocol::ClientId;
use viewstorm_workloads::Invocation;

/// An operation that a session waits for.
#[derive(Clone, Debug)]
pub(super) struct Outstanding {
    pub(super) invocation: Invocation,
    pub(super) intended: Timestamp,
    /// From then on nobody waits: the operation ends info.
    pub(super) deadline: Timestamp,
    /// A read of the final state.
    pub(super) is_final: bool,
}

/// A fixed number of slots, spread over the endpoints; each holds a session until the session's operation
/// ends info, and then a fresh one.
#[derive(Debug)]
pub(super) struct Sessions {
    random: ChaCha8Rng,
    next_session: u64,
    free: Vec<ClientId>,
    busy: BTreeMap<ClientId, Outstanding>,
    deadlines: BTreeSet<(Timestamp, ClientId)>,
}

/// The process that a session is in the history: processes retire with their sessions.
pub(super) fn process_of(client: ClientId) -> ProcessId {
    ProcessId(client.session)
}

impl Sessions {
    pub(super) fn new(slots: u32, endpoints: u16, seed: Seed) -> Self {
        assert!(
            slots > 0 && endpoints > 0,
            "the plan holds at least one client and endpoint"
        );
        let mut sessions = Self {
            random: ChaCha8Rng::seed_from_u64(seed.stream("sessions").0),
            next_session: 0,
            free: Vec::new(),
            busy: BTreeMap::new(),
            deadlines: BTreeSet::new(),
        };
        for slot in 0..slots {
            let endpoint = u16::try_from(slot % u32::from(endpoints)).unwrap_or(0);
            sessions.open(endpoint);
        }
        sessions
    }

    /// Gives a free session the operation; `None` hands it back if there is no free one.
    pub(super) fn start(&mut self, build: impl FnOnce() -> Outstanding) -> Option<ClientId> {
        if self.free.is_empty() {
            return None;
        }
        let index = self.random.random_range(0..self.free.len());
        let client = self.free.swap_remove(index);
        let outstanding = build();
        self.deadlines.insert((outstanding.deadline, client));
        self.busy.insert(client, outstanding);
        Some(client)
    }

    /// Ends a session's operation; the session is free again. None if nobody waits for it any more.
    pub(super) fn complete(&mut self, client: ClientId) -> Option<Outstanding> {
        let outstanding = self.busy.remove(&client)?;
        self.deadlines.remove(&(outstanding.deadline, client));
        self.free.push(client);
        Some(outstanding)
    }

    /// Takes out one operation whose deadline has passed. Its session is gone; its slot has a fresh one.
    pub(super) fn expire(&mut self, now: Timestamp) -> Option<(ClientId, Outstanding)> {
        let (deadline, client) = *self.deadlines.first()?;
        if deadline > now {
            return None;
        }
        self.deadlines.pop_first();
        let outstanding = self
            .busy
            .remove(&client)
            .expect("a deadline belongs to an operation");
        self.open(client.endpoint);
        Some((client, outstanding))
    }

    /// Nobody who waits now gives up before `deadline`.
    pub(super) fn extend(&mut self, deadline: Timestamp) {
        for (client, outstanding) in &mut self.busy {
            if outstanding.deadline < deadline {
                self.deadlines.remove(&(outstanding.deadline, *client));
                outstanding.deadline = deadline;
                self.deadlines.insert((deadline, *client));
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(super) fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    pub(super) fn outstanding(&self) -> usize {
        self.busy.len()
    }

    fn open(&mut self, endpoint: u16) {
        self.free.push(ClientId {
            endpoint,
            session: self.next_session,
        });
        self.next_session += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outstanding(deadline: u64) -> impl FnOnce() -> Outstanding {
        move || Outstanding {
            invocation: Invocation {
                f: "read",
                key: None,
                value: serde_json::Value::Null,
                operation: bytes::Bytes::new(),
            },
            intended: Timestamp::ZERO,
            deadline: Timestamp(deadline),
            is_final: false,
        }
    }

    #[test]
    fn an_expired_session_never_comes_back_and_its_endpoint_gets_a_fresh_one() {
        let mut sessions = Sessions::new(2, 2, Seed(1));
        let one = sessions.start(outstanding(10)).unwrap();
        let two = sessions.start(outstanding(20)).unwrap();
        assert!(sessions.start(outstanding(30)).is_none());
        assert!(sessions.expire(Timestamp(9)).is_none());
        assert_eq!(sessions.expire(Timestamp(10)).unwrap().0, one);
        assert!(sessions.complete(one).is_none());
        let fresh = sessions.start(outstanding(30)).unwrap();
        assert_eq!((fresh.endpoint, fresh.session), (one.endpoint, 2));
        assert!(sessions.complete(two).is_some());
        let again = sessions.start(outstanding(30)).unwrap();
        assert_eq!(again, two);
        assert_eq!(sessions.outstanding(), 2);
        sessions.extend(Timestamp(25));
        assert_eq!(
            sessions.next_deadline(),
            Some(Timestamp(30)),
            "none gives up sooner"
        );
        sessions.extend(Timestamp(40));
        assert!(sessions.expire(Timestamp(39)).is_none());
        assert!(
            sessions.expire(Timestamp(40)).is_some() && sessions.expire(Timestamp(40)).is_some()
        );
    }
}
