//! Requests in, batches and replies out (PBFT §4.1, §4.2; TOCS §5.1).

use super::config::{
    BATCH_BYTES_MAX, BATCH_MAX, DIGEST_REPLY_MIN, DOUBTFUL_MAX, PRE_PREPARES_MAX,
    TIMESTAMP_LEAD_MAX,
};
use super::executor::CachedReply;
use super::log::{Assigned, check_votes, count_votes};
use super::message::{
    Batch, PbftMessage, PrePrepare, Prepare, Proposal, Reply, ReplyResult, Request, SequenceNumber,
};
use super::normal::is_own;
use super::replica::{PbftEffects, PbftReplica, Phase, drop_message};
use super::requests::Pending;
use super::signed::Signed;
use crate::{Address, ClientId, Digest, RecordId, Service};

impl<S: Service> PbftReplica<S> {
    /// A client's own request.
    pub(super) fn on_client_request(
        &mut self,
        from: ClientId,
        request: Signed<Request>,
        fx: &mut PbftEffects,
    ) {
        if request.content().client != from {
            return drop_message(fx, "Request", "of another client");
        }
        self.on_request(request, true, fx);
    }

    /// A client's request, from a backup that it has reached.
    pub(super) fn on_relayed_request(&mut self, request: Signed<Request>, fx: &mut PbftEffects) {
        if !self.is_primary_of(self.view) {
            return drop_message(fx, "Request", "relayed, and not to the primary");
        }
        self.on_request(request, false, fx);
    }

    fn on_request(&mut self, request: Signed<Request>, direct: bool, fx: &mut PbftEffects) {
        let drop = |fx, reason| drop_message(fx, "Request", reason);
        let Request {
            client, timestamp, ..
        } = *request.content();
        if !is_own(&request) {
            return drop(fx, "too long, or not its client's");
        }
        let last = self.executor.reply(client);
        let latest = last.as_ref().map_or(0, |(reply, _)| reply.timestamp);
        if timestamp < latest {
            return drop(fx, "older than the client's latest");
        }
        match last {
            // A client that asks again may lack the whole result.
            Some((reply, committed)) if reply.timestamp == timestamp => {
                if direct {
                    let after = self.all_records(fx).filter(|_| !committed);
                    self.send_full_reply(client, &reply, !committed, after, fx);
                }
                return;
            }
            _ if timestamp > latest.saturating_add(TIMESTAMP_LEAD_MAX) => {
                return drop(fx, "its timestamp leaps too far ahead");
            }
            _ => {}
        }
        if !self.requests.has_room(client) {
            return drop(fx, "too many requests wait");
        }
        let known = self.requests.get(client);
        match known.map(|known| known.request.content().timestamp) {
            Some(waiting) if waiting > timestamp => return drop(fx, "a later one waits"),
            Some(waiting) if waiting == timestamp => {}
            // A primary checks requests when it proposes them, all in one go.
            _ if self.is_active_primary() => self.requests.add(request.clone(), false),
            _ => match self.keys.verify(request.clone()) {
                Some(request) => self.requests.add(request.into_signed(), true),
                None => return drop(fx, "its proof does not hold"),
            },
        }
        if self.is_active_primary() {
            self.propose(fx);
        } else {
            self.relay(client, fx);
        }
    }

    /// A backup relays what it was asked, and its patience begins (PBFT §4.4).
    fn relay(&mut self, client: ClientId, fx: &mut PbftEffects) {
        if !matches!(self.phase, Phase::Active(_)) {
            return; // The timer starts with the view.
        }
        let deadline = self.now + self.patience();
        self.requests.start_timer(client, deadline);
        if let Some(pending) = self
            .requests
            .get(client)
            .filter(|pending| !pending.proposed)
        {
            let message = PbftMessage::Request(pending.request.clone());
            self.send(self.primary_of(self.view), message, None, fx);
        }
    }

    /// A view has begun: its primary hears of the requests that clients have asked of this replica.
    pub(super) fn relay_waiting(&mut self, fx: &mut PbftEffects) {
        if self.is_primary_of(self.view) {
            return;
        }
        let clients: Vec<ClientId> = (self.requests.iter())
            .filter(|pending| pending.is_of_client() && !pending.proposed)
            .map(|pending| pending.request.content().client)
            .collect();
        for client in clients {
            self.relay(client, fx);
        }
    }

    fn is_active_primary(&self) -> bool {
        matches!(self.phase, Phase::Active(_)) && self.is_primary_of(self.view)
    }

    /// Proposes what waits, while few proposals are in flight and the water marks allow it (PBFT §4.2; TOCS §5.1.4).
    pub(super) fn propose(&mut self, fx: &mut PbftEffects) {
        while self.is_active_primary() && self.requests.has_queued() {
            let Phase::Active(active) = &self.phase else {
                return;
            };
            let number = active.last_assigned.next();
            let in_flight =
                active.last_assigned.0 - self.executor.executed().0.min(active.last_assigned.0);
            if in_flight >= PRE_PREPARES_MAX || !self.log.in_window(number) {
                return;
            }
            // What it lacks itself it cannot put anything after.
            if self.executor.executed() < active.low_bound {
                return;
            }
            let batch = self.next_batch(fx);
            if batch.requests().is_empty() {
                return;
            }
            self.pre_prepare(number, batch, fx);
        }
    }

    /// The next batch: as many requests as fit and are authentic.
    fn next_batch(&mut self, fx: &mut PbftEffects) -> Batch {
        let mut chosen: Vec<Pending> = Vec::new();
        let mut bytes = 0;
        while chosen.len() < BATCH_MAX
            && let Some(pending) = self.requests.next_to_propose()
        {
            let length = pending.request.content().operation.len();
            if !chosen.is_empty() && bytes + length > BATCH_BYTES_MAX {
                self.requests.put_back(pending.request.content().client);
                break;
            }
            bytes += length;
            chosen.push(pending);
        }
        let unchecked = chosen.iter().filter(|pending| !pending.authentic);
        let claims: Vec<_> = unchecked
            .map(|pending| self.keys.claim(&pending.request))
            .collect();
        let mut holds = self.keys.sift(&claims).into_iter();
        let mut requests = Vec::with_capacity(chosen.len());
        for pending in chosen {
            let client = pending.request.content().client;
            if pending.authentic || holds.next() == Some(true) {
                self.requests.mark_proposed(client);
                requests.push(pending.request);
            } else {
                self.requests.remove(client);
                drop_message(fx, "Request", "its proof does not hold");
            }
        }
        Batch::new(requests)
    }

    /// The primary assigns a batch to a place and says so, once it cannot forget it.
    fn pre_prepare(&mut self, number: SequenceNumber, batch: Batch, fx: &mut PbftEffects) {
        let (view, digest) = (self.view, batch.digest());
        let pre_prepare = self.keys.sign(PrePrepare {
            view,
            sequence_number: number,
            digest,
        });
        let pre_prepare = pre_prepare.into_signed();
        self.add_batch(digest, batch.clone(), fx);
        self.log.place(number).assigned = Some(Assigned {
            view,
            digest,
            pre_prepare: Some(pre_prepare.clone()),
            accepted: false,
        });
        if let Phase::Active(active) = &mut self.phase {
            active.last_assigned = number;
        }
        self.try_accept(number, fx);
        let message = PbftMessage::PrePrepare(Proposal { pre_prepare, batch });
        let after = self.all_records(fx);
        self.broadcast(&message, after, fx);
    }

    /// A proposal whose requests this replica cannot check: f+1 prepares say that a correct one can (TOCS §5.2).
    pub(super) fn hold_doubtful(
        &mut self,
        number: SequenceNumber,
        proposal: Proposal,
        fx: &mut PbftEffects,
    ) {
        drop_message(
            fx,
            "PrePrepare",
            "held: a request's authenticator does not hold here",
        );
        if self.doubtful.len() < DOUBTFUL_MAX {
            self.doubtful.insert(number, proposal);
            self.advance(number, fx);
        }
    }

    pub(super) fn believe_doubtful(&mut self, number: SequenceNumber, fx: &mut PbftEffects) {
        let Some(proposal) = self.doubtful.get(&number) else {
            return;
        };
        let (view, needed) = (self.view, self.quorum.weak());
        let digest = proposal.pre_prepare.content().digest;
        let matches = |prepare: &Prepare| prepare.view == view && prepare.digest == digest;
        let Some(place) = self.log.get_mut(number) else {
            return;
        };
        if count_votes(&place.prepares, matches) >= needed
            && check_votes(&mut place.prepares, &self.keys, matches).len() >= needed
            && let Some(proposal) = self.doubtful.remove(&number)
        {
            self.accept_pre_prepare(proposal, fx);
        }
    }

    /// Answers a client: in full if the result is short or this replica is the one to send it (TOCS §5.1.1).
    pub(super) fn send_reply(
        &self,
        client: ClientId,
        reply: &CachedReply,
        tentative: bool,
        after: Option<RecordId>,
        fx: &mut PbftEffects,
    ) {
        let replier = reply.timestamp.wrapping_add(client.session) % self.quorum.members() as u64;
        if reply.result.len() < DIGEST_REPLY_MIN || replier == self.me as u64 {
            return self.send_full_reply(client, reply, tentative, after, fx);
        }
        let digest = result_digest(&reply.result);
        let result = ReplyResult::Digest(digest);
        self.send_reply_of(client, reply, tentative, result, after, fx);
    }

    fn send_full_reply(
        &self,
        client: ClientId,
        reply: &CachedReply,
        tentative: bool,
        after: Option<RecordId>,
        fx: &mut PbftEffects,
    ) {
        let result = ReplyResult::Full(reply.result.clone());
        self.send_reply_of(client, reply, tentative, result, after, fx);
    }

    fn send_reply_of(
        &self,
        client: ClientId,
        reply: &CachedReply,
        tentative: bool,
        result: ReplyResult,
        after: Option<RecordId>,
        fx: &mut PbftEffects,
    ) {
        let message = Reply {
            view: self.view,
            timestamp: reply.timestamp,
            tentative,
            order: reply.order,
            result,
        };
        fx.send(Address::Client(client), PbftMessage::Reply(message), after);
    }
}

/// D(r).
pub(super) fn result_digest(result: &[u8]) -> Digest {
    Digest::of_parts("Result", &[result])
}
