//! Normal case (PBFT §4.2): pre-prepare, prepare, commit, execution.
//!
//! ```text
//!   primary   batch --> PrePrepare ------------> prepared --> Commit ---> committed-local: executed, Reply
//!                          |  (durable)             |  (durable)    ^
//!   backups                +--> Prepare, to all ----+               |
//!                                                   +--> Commit, to all
//! ```
//!
//! Votes of others are checked when there are enough of them to matter, all in one go. What a quorum does not need is
//! never checked.

use super::config::{BATCH_BYTES_MAX, BATCH_MAX, OPERATION_BYTES_MAX};
use super::durable::PbftRecord;
use super::log::{Assigned, Vote, check_votes, count_votes};
use super::message::{
    Batch, Commit, PbftMessage, PrePrepare, Prepare, Proposal, Request, SequenceNumber, ViewEntry,
};
use super::replica::{PbftEffects, PbftReplica, Phase, drop_message};
use super::signed::{AuthenticationMode, Signed, Verified};
use crate::{Digest, NodeId, ProtocolEvent, Service, ViewNumber};

impl<S: Service> PbftReplica<S> {
    /// PBFT §4.2: when a backup accepts a pre-prepare. Any replica may hand it on.
    pub(super) fn on_pre_prepare(&mut self, proposal: Proposal, fx: &mut PbftEffects) {
        let PrePrepare {
            view,
            sequence_number: number,
            digest,
        } = *proposal.pre_prepare.content();
        let drop = |fx, reason| drop_message(fx, "PrePrepare", reason);
        let Phase::Active(active) = &self.phase else {
            return drop(fx, "no view has started");
        };
        if view != self.view {
            return drop(fx, "of another view");
        }
        if number <= active.low_bound || !self.log.in_window(number) {
            return drop(fx, "not between the water marks");
        }
        let primary = self.primary_of(view);
        if self.signer_number(proposal.pre_prepare.signer()) != Some(primary) || primary == self.me
        {
            return drop(fx, "not from the view's primary");
        }
        let assigned = self
            .log
            .get(number)
            .and_then(|place| place.assigned.as_ref());
        match assigned {
            Some(assigned) if assigned.digest != digest => {
                return drop(fx, "another batch has this place");
            }
            Some(_) if self.log.has_batch(&digest) => return, // Once more.
            _ => {}
        }
        if !is_well_formed(&proposal.batch) || proposal.batch.digest() != digest {
            return drop(fx, "not the batch that it names");
        }
        match self.check_proposal(&proposal) {
            Authenticity::Holds => self.accept_pre_prepare(proposal, fx),
            Authenticity::Doubtful => self.hold_doubtful(number, proposal, fx),
            Authenticity::Forged => drop(fx, "a signature does not hold"),
        }
    }

    /// Checks the pre-prepare and its requests in one go, but for requests that were checked before.
    fn check_proposal(&self, proposal: &Proposal) -> Authenticity {
        let mut claims = vec![self.keys.claim(&proposal.pre_prepare)];
        for request in proposal.batch.requests() {
            let known = self.requests.get(request.content().client);
            let known = known.filter(|known| known.authentic);
            if known.is_none_or(|known| known.digest != request.digest()) {
                claims.push(self.keys.claim(request));
            }
        }
        if self.keys.holds(&claims) {
            return Authenticity::Holds;
        }
        // An authenticator may hold at the primary and not here: that is the client's fault.
        match self.mode() {
            AuthenticationMode::Authenticators if self.keys.holds(&claims[..1]) => {
                Authenticity::Doubtful
            }
            _ => Authenticity::Forged,
        }
    }

    pub(super) fn accept_pre_prepare(&mut self, proposal: Proposal, fx: &mut PbftEffects) {
        let PrePrepare {
            view,
            sequence_number: number,
            digest,
        } = *proposal.pre_prepare.content();
        let assigned = Assigned {
            view,
            digest,
            pre_prepare: Some(proposal.pre_prepare),
            accepted: false,
        };
        self.add_batch(digest, proposal.batch, fx);
        self.doubtful.remove(&number);
        let place = self.log.place(number);
        if place.assigned.is_none() {
            place.assigned = Some(assigned);
        }
        self.try_accept(number, fx);
    }

    /// Keeps a batch that is authentic.
    pub(super) fn add_batch(&mut self, digest: Digest, batch: Batch, fx: &mut PbftEffects) {
        if self.log.has_batch(&digest) {
            return;
        }
        self.persist(PbftRecord::Batch(batch.clone()), fx);
        self.log.add_batch(digest, batch);
    }

    /// The place has its batch of this view, as a whole: it is pre-prepared here, and a backup says so, once that cannot
    /// be forgotten.
    pub(super) fn try_accept(&mut self, number: SequenceNumber, fx: &mut PbftEffects) {
        let most = self.quorum.faults() + 2;
        let (view, primary) = (self.view, self.is_primary_of(self.view));
        let Some(batch) = self.batch_assigned(number) else {
            return;
        };
        let place = self.log.place(number);
        let assigned = place.assigned.as_mut().expect("just seen");
        if !std::mem::replace(&mut assigned.accepted, true) {
            let digest = assigned.digest;
            let record = PbftRecord::PrePrepared {
                view,
                sequence_number: number,
                digest,
                pre_prepare: assigned.pre_prepare.clone(),
            };
            place.add_q(
                ViewEntry {
                    sequence_number: number,
                    digest,
                    view,
                },
                most,
            );
            let record = self.persist(record, fx);
            if !primary {
                self.wait_for(&batch);
                let prepare = self.keys.sign(Prepare {
                    view,
                    sequence_number: number,
                    digest,
                });
                let message = PbftMessage::Prepare(prepare.as_signed().clone());
                self.log.place(number).own_prepare = Some(prepare);
                self.broadcast(&message, record, fx);
            }
        }
        self.advance(number, fx);
    }

    /// The batch that this view has put in the place, if it is here.
    fn batch_assigned(&self, number: SequenceNumber) -> Option<Batch> {
        let assigned = self.log.get(number)?.assigned.as_ref()?;
        self.log.batch(&assigned.digest)
    }

    /// The requests of an accepted batch wait for their execution, and their timers run.
    fn wait_for(&mut self, batch: &Batch) {
        let deadline = self.now + self.patience();
        for request in batch.requests() {
            let Request {
                client, timestamp, ..
            } = *request.content();
            let last = self.executor.reply(client);
            if last.is_some_and(|(last, committed)| committed && timestamp <= last.timestamp) {
                continue;
            }
            self.requests.add_batched(request);
            self.requests.start_timer(client, deadline);
        }
    }

    pub(super) fn on_prepare(
        &mut self,
        from: usize,
        message: Signed<Prepare>,
        fx: &mut PbftEffects,
    ) {
        let drop = |fx, reason| drop_message(fx, "Prepare", reason);
        let Prepare {
            view,
            sequence_number: number,
            ..
        } = *message.content();
        if self.signer_number(message.signer()) != Some(from) {
            return drop(fx, "not signed by its sender");
        }
        if view != self.view || !self.log.in_window(number) {
            return drop(fx, "of another view, or not between the water marks");
        }
        if from == self.primary_of(view) {
            return drop(fx, "the primary's pre-prepare is its prepare");
        }
        let slot = &mut self.log.place(number).prepares[from];
        match slot {
            // One vote of each; what is not checked yet may be replaced: only its sender can do so.
            Some(vote) if vote.verified => return,
            _ => {
                *slot = Some(Vote {
                    signed: message,
                    verified: false,
                });
            }
        }
        self.advance(number, fx);
    }

    pub(super) fn on_commit(&mut self, from: usize, message: Signed<Commit>, fx: &mut PbftEffects) {
        let drop = |fx, reason| drop_message(fx, "Commit", reason);
        let Commit {
            view,
            sequence_number: number,
            ..
        } = *message.content();
        if self.signer_number(message.signer()) != Some(from) {
            return drop(fx, "not signed by its sender");
        }
        if !self.log.in_window(number) {
            return drop(fx, "not between the water marks");
        }
        let place = self.log.place(number);
        if place.committed.is_some() {
            return;
        }
        let slot = &mut place.commits[from];
        match slot {
            Some(vote) if vote.signed.content().view > view => return,
            Some(vote) if vote.verified && vote.signed.content().view == view => return,
            _ => {
                *slot = Some(Vote {
                    signed: message,
                    verified: false,
                });
            }
        }
        self.advance(number, fx);
    }

    /// Everything that may follow from what is new about a place.
    pub(super) fn advance(&mut self, number: SequenceNumber, fx: &mut PbftEffects) {
        self.believe_doubtful(number, fx);
        self.try_prepared(number, fx);
        self.try_committed(number);
        self.execute_ready(fx);
    }

    /// prepared(m, v, n, i) (PBFT §4.2): the batch, its pre-prepare, and matching prepares of 2f backups.
    fn try_prepared(&mut self, number: SequenceNumber, fx: &mut PbftEffects) {
        if !matches!(self.phase, Phase::Active(_)) {
            return;
        }
        let (view, needed) = (self.view, self.quorum.prepares());
        let Some(place) = self.log.get_mut(number) else {
            return;
        };
        let accepted = place.assigned.as_ref().filter(|assigned| assigned.accepted);
        let Some(digest) = accepted.map(|assigned| assigned.digest) else {
            return;
        };
        let matches = |prepare: &Prepare| prepare.view == view && prepare.digest == digest;
        let own = usize::from(place.own_prepare.is_some());
        if place.prepared || count_votes(&place.prepares, matches) + own < needed {
            return;
        }
        if check_votes(&mut place.prepares, &self.keys, matches).len() + own < needed {
            return;
        }
        place.prepared = true;
        place.p = Some(ViewEntry {
            sequence_number: number,
            digest,
            view,
        });
        let record = PbftRecord::Prepared {
            view,
            sequence_number: number,
            digest,
        };
        let record = self.persist(record, fx);
        let commit = self.keys.sign(Commit {
            view,
            sequence_number: number,
            digest,
        });
        let message = PbftMessage::Commit(commit.as_signed().clone());
        self.log.place(number).own_commit = Some(commit.clone());
        self.broadcast(&message, record, fx);
        match record {
            Some(record) => self.unsynced.push_back((record, commit)),
            None => self.count_own_commit(commit, fx),
        }
    }

    /// Its own commit is durable and counts.
    pub(super) fn count_own_commit(&mut self, commit: Verified<Commit>, fx: &mut PbftEffects) {
        let number = commit.content().sequence_number;
        if !self.log.in_window(number) {
            return;
        }
        let (me, place) = (self.me, self.log.place(number));
        place.commits[me] = Some(Vote {
            signed: commit.into_signed(),
            verified: true,
        });
        self.try_committed(number);
        self.execute_ready(fx);
    }

    /// Matching commits of a quorum: f+1 correct replicas have prepared it, so it is committed, whatever this replica
    /// itself has of it (PBFT §4.2, committed).
    fn try_committed(&mut self, number: SequenceNumber) {
        let (view, needed) = (self.view, self.quorum.quorum());
        let Some(place) = self.log.get_mut(number) else {
            return;
        };
        if place.committed.is_some() {
            return;
        }
        let candidates: Vec<(ViewNumber, Digest)> = (place.commits.iter().flatten())
            .map(|vote| (vote.signed.content().view, vote.signed.content().digest))
            .filter(|(of, _)| *of <= view)
            .collect();
        for (of, digest) in candidates {
            let matches = |commit: &Commit| commit.view == of && commit.digest == digest;
            if count_votes(&place.commits, matches) < needed {
                continue;
            }
            if check_votes(&mut place.commits, &self.keys, matches).len() >= needed {
                place.committed = Some(digest);
                return;
            }
        }
    }

    /// Executes what is next, as far as it goes: for good what is committed, tentatively the one after that if it is
    /// prepared.
    pub(super) fn execute_ready(&mut self, fx: &mut PbftEffects) {
        loop {
            let number = self.executor.executed().next();
            let Some(place) = self.log.get(number) else {
                break;
            };
            let Some(digest) = place.committed else {
                self.execute_prepared(number, fx);
                break;
            };
            let Some(batch) = self.log.batch(&digest) else {
                break;
            };
            self.execute_committed(number, digest, &batch, fx);
        }
        self.propose(fx);
    }

    fn execute_committed(
        &mut self,
        number: SequenceNumber,
        digest: Digest,
        batch: &Batch,
        fx: &mut PbftEffects,
    ) {
        let (executions, before) = self.executor.execute(number, digest, batch);
        let record = PbftRecord::Executed {
            sequence_number: number,
            digest,
        };
        self.persist(record, fx);
        fx.note(ProtocolEvent::Committed {
            op: number.0,
            view: self.view,
        });
        for request in batch.requests() {
            let Request {
                client, timestamp, ..
            } = *request.content();
            self.requests.executed(client, timestamp);
        }
        if !executions.is_empty() {
            self.attempts = 0;
        }
        for execution in &executions {
            fx.note(ProtocolEvent::Executed {
                op: number.0,
                order: execution.reply.order,
                client: execution.client,
                request: execution.reply.timestamp,
                digest: execution.chain,
            });
            if !before {
                self.send_reply(execution.client, &execution.reply, false, None, fx);
            }
        }
        if self.config.is_checkpoint(number) {
            self.take_checkpoint(fx);
        }
    }

    /// TOCS §5.1.2: a batch that is prepared, when everything before it is committed.
    fn execute_prepared(&mut self, number: SequenceNumber, fx: &mut PbftEffects) {
        if !self.config.tentative_execution || self.executor.tentative().is_some() {
            return;
        }
        let Some(place) = self.log.get(number).filter(|place| place.prepared) else {
            return;
        };
        let digest = place.assigned.as_ref().expect("it is prepared").digest;
        let batch = self.log.batch(&digest).expect("it is prepared");
        let executions = self.executor.execute_tentatively(number, digest, &batch);
        // That it is prepared must not be forgotten: a quorum's word for it is what the client relies on.
        let after = self.all_records(fx);
        for execution in executions {
            self.send_reply(execution.client, &execution.reply, true, after, fx);
        }
    }

    /// A batch that was asked for. Its digest was named by a quorum, or by f+1 view changes: some correct replica has
    /// checked its requests.
    pub(super) fn on_batch(&mut self, batch: Batch, fx: &mut PbftEffects) {
        let digest = batch.digest();
        let wanted = match &self.phase {
            Phase::Changing(changing) => changing.missing.contains(&digest),
            _ => false,
        };
        if !wanted && !self.log.missing().any(|missing| missing == digest) {
            return drop_message(fx, "Batch", "not missing here");
        }
        self.add_batch(digest, batch, fx);
        let assigned: Vec<_> = (self.log.iter())
            .filter(|(_, place)| place.assigned.as_ref().is_some_and(|a| a.digest == digest))
            .map(|(number, _)| number)
            .collect();
        for number in assigned {
            self.try_accept(number, fx);
        }
        self.execute_ready(fx);
        if wanted {
            self.try_new_view(fx);
        }
    }
}

/// What is known of a proposal's proofs.
enum Authenticity {
    Holds,
    /// The pre-prepare's holds; that of some request does not, here.
    Doubtful,
    Forged,
}

/// Whether a batch keeps its limits, and each request is its client's.
fn is_well_formed(batch: &Batch) -> bool {
    let requests = batch.requests();
    !requests.is_empty()
        && requests.len() <= BATCH_MAX
        && (requests.len() == 1 || batch.operation_bytes() <= BATCH_BYTES_MAX)
        && requests.iter().all(is_own)
}

/// Whether a request is of reasonable size, and signed by its client's endpoint.
pub(super) fn is_own(request: &Signed<Request>) -> bool {
    let content = request.content();
    request.signer() == NodeId::Client(content.client.endpoint)
        && content.operation.len() <= OPERATION_BYTES_MAX
}
