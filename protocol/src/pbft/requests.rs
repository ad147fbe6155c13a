//! The clients' requests that wait for their execution, and how long each may (PBFT §4.5.2, with a timer for each: a
//! primary that serves the first in a row and no other is suspected, too).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use super::config::{ENDPOINT_PENDING_MAX, PENDING_MAX};
use super::message::Request;
use super::signed::Signed;
use crate::{ClientId, Digest, Instant};

/// A request that waits.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) request: Signed<Request>,
    pub(super) digest: Digest,
    /// Its proof was checked here, or by some correct replica.
    pub(super) authentic: bool,
    /// It is in a batch of the current view.
    pub(super) proposed: bool,
    /// It came in a batch, and not from its client.
    batched: bool,
    deadline: Option<Instant>,
}

impl Pending {
    /// Whether it came from its client, and not in a batch.
    pub(super) fn is_of_client(&self) -> bool {
        !self.batched
    }
}

/// The latest request of each client that waits.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: BTreeMap<ClientId, Pending>,
    deadlines: BTreeSet<(Instant, ClientId)>,
    /// The primary's: what is to be proposed, in the order of arrival.
    queue: VecDeque<ClientId>,
    of_endpoint: BTreeMap<u16, usize>,
    from_clients: usize,
}

impl Requests {
    pub(super) fn get(&self, client: ClientId) -> Option<&Pending> {
        self.waiting.get(&client)
    }

    /// Whether a request that comes from its client finds room.
    pub(super) fn has_room(&self, client: ClientId) -> bool {
        let of_endpoint = self.of_endpoint.get(&client.endpoint).copied().unwrap_or(0);
        self.waiting.contains_key(&client)
            || (self.from_clients < PENDING_MAX && of_endpoint < ENDPOINT_PENDING_MAX)
    }

    /// Takes a client's request in, in the place of an earlier one.
    pub(super) fn add(&mut self, request: Signed<Request>, authentic: bool) {
        let client = request.content().client;
        self.remove(client);
        self.from_clients += 1;
        *self.of_endpoint.entry(client.endpoint).or_insert(0) += 1;
        self.insert(client, request, authentic, false);
        self.queue.push_back(client);
    }

    /// A request is part of an accepted batch.
    pub(super) fn add_batched(&mut self, request: &Signed<Request>) {
        let client = request.content().client;
        if let Some(pending) = self.waiting.get_mut(&client) {
            if pending.digest == request.digest() {
                pending.authentic = true;
                pending.proposed = true;
                return;
            }
            if pending.request.content().timestamp >= request.content().timestamp {
                return;
            }
        }
        self.remove(client);
        self.insert(client, request.clone(), true, true);
        self.queue.push_back(client);
        self.mark_proposed(client);
    }

    fn insert(
        &mut self,
        client: ClientId,
        request: Signed<Request>,
        authentic: bool,
        batched: bool,
    ) {
        let pending = Pending {
            digest: request.digest(),
            request,
            authentic,
            proposed: false,
            batched,
            deadline: None,
        };
        self.waiting.insert(client, pending);
    }

    pub(super) fn mark_proposed(&mut self, client: ClientId) {
        if let Some(pending) = self.waiting.get_mut(&client) {
            pending.proposed = true;
        }
    }

    /// Starts the request's timer, unless it runs.
    pub(super) fn start_timer(&mut self, client: ClientId, deadline: Instant) {
        if let Some(pending) = self.waiting.get_mut(&client)
            && pending.deadline.is_none()
        {
            pending.deadline = Some(deadline);
            self.deadlines.insert((deadline, client));
        }
    }

    /// A request with this timestamp was executed.
    pub(super) fn executed(&mut self, client: ClientId, timestamp: u64) {
        let pending = self.waiting.get(&client);
        if pending.is_some_and(|pending| pending.request.content().timestamp <= timestamp) {
            self.remove(client);
        }
    }

    pub(super) fn remove(&mut self, client: ClientId) {
        let Some(pending) = self.waiting.remove(&client) else {
            return;
        };
        if let Some(deadline) = pending.deadline {
            self.deadlines.remove(&(deadline, client));
        }
        if !pending.batched {
            self.from_clients -= 1;
            if let Some(count) = self.of_endpoint.get_mut(&client.endpoint) {
                *count -= 1;
                if *count == 0 {
                    self.of_endpoint.remove(&client.endpoint);
                }
            }
        }
    }

    /// The next request to be proposed. It stays here until it is executed.
    pub(super) fn next_to_propose(&mut self) -> Option<Pending> {
        while let Some(client) = self.queue.pop_front() {
            match self.waiting.get(&client) {
                Some(pending) if !pending.proposed => return Some(pending.clone()),
                _ => {} // Executed, replaced or in a batch since.
            }
        }
        None
    }

    /// It did not fit: it is the next to be proposed after all.
    pub(super) fn put_back(&mut self, client: ClientId) {
        self.queue.push_front(client);
    }

    pub(super) fn has_queued(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The earliest end of patience.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// All timers stop: the view is over.
    pub(super) fn stop_timers(&mut self) {
        self.deadlines.clear();
        for pending in self.waiting.values_mut() {
            pending.deadline = None;
        }
    }

    /// A view begins: nothing is proposed in it yet, and at a backup every request has the whole of `patience`.
    pub(super) fn begin_view(&mut self, now: Instant, patience: Option<Duration>) {
        self.stop_timers();
        self.queue.clear();
        for (client, pending) in &mut self.waiting {
            pending.proposed = false;
            if let Some(patience) = patience {
                pending.deadline = Some(now + patience);
                self.deadlines.insert((now + patience, *client));
            }
            self.queue.push_back(*client);
        }
    }

    /// The requests that wait, by client.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Pending> {
        self.waiting.values()
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }
}
