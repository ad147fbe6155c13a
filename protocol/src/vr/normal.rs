//! Normal operation (VRR §4.1), and the liveness that the paper leaves to "minor details": retransmission,
//! back-pressure, batches, and a primary that hears nobody.
//!
//! ```text
//!   client     Request                                      Reply
//!   primary      \--> log, Prepare --+--> own record durable --+--> f+1: commit, execute
//!   backups                           \-> record durable, PrepareOk /
//! ```

use std::cmp::Ordering;
use std::sync::Arc;

use super::config::{
    BATCH_MAX, CHUNK_ENTRIES_MAX, HELD_MAX, OPERATION_BYTES_MAX, PIPELINE_MAX, PREPARES_MAX,
    QUEUE_MAX, UNSYNCED_MAX,
};
use super::log::{Detached, Entries, LogSuffix, OpNumber};
use super::message::{Commit, Prepare, PrepareOk, Request};
use super::observe::DIVERGED;
use super::operation::Operation;
use super::options::FailureDetector;
use super::reconfiguration::Refusal;
use super::replica::{
    Phase, Primary, VrEffects, VrReplica, drop_message, send_evicted, send_reply,
};
use super::timer::Timer;
use crate::{ClientId, Service};

impl Primary {
    /// The request is executed, or never will be.
    pub(super) fn forget_in_flight(&mut self, client: ClientId, request_number: u64) {
        if self.in_flight.get(&client) == Some(&request_number) {
            self.in_flight.remove(&client);
        }
    }
}

impl<S: Service> VrReplica<S> {
    /// VRR §4.1 steps 1 to 3, at the primary.
    pub(super) fn on_request(&mut self, from: ClientId, request: Request, fx: &mut VrEffects) {
        let drop = |fx, reason| drop_message(fx, "Request", reason);
        if request.client != from {
            return drop(fx, "speaks for another client");
        }
        if request.operation.size() > OPERATION_BYTES_MAX {
            return drop(fx, "the operation is too long");
        }
        match request.epoch.cmp(&self.view.epoch) {
            Ordering::Less if !matches!(self.phase, Phase::Starting(_) | Phase::Retired) => {
                return self.send_new_epoch(from, fx);
            }
            Ordering::Equal => {}
            _ => return drop(fx, "of another epoch"),
        }
        let is_closing = self.is_closing();
        let refusal = match &request.operation {
            Operation::Reconfiguration(members) => self.refusal(members),
            Operation::Service(_) | Operation::CheckEpoch => None,
        };
        if !matches!(self.phase, Phase::Primary(_)) {
            if matches!(request.operation, Operation::Reconfiguration(_)) {
                self.refuse(from, request.request_number, Refusal::NotPrimary, fx);
            }
            return drop(fx, "not the primary");
        }
        // VRR §4.1 step 2: "If the request-number s isn't larger than the information in the table it drops
        // the request, but it will re-send the response if the request is the most recent one".
        match self.executor.table().get(from) {
            Some(last) if request.request_number < last.request_number => {
                return drop(fx, "older than the client's latest");
            }
            Some(last) if request.request_number == last.request_number => {
                return send_reply(self.view, from, last, fx);
            }
            None if self.executor.table().has_ended(from) => {
                return send_evicted(self.view, from, request.request_number, fx);
            }
            _ => {}
        }
        if let Operation::Service(operation) = &request.operation
            && self.executor.is_read(operation)
            && !is_closing
            && self.may_read_alone()
        {
            return self.answer_read(from, request.request_number, operation, fx);
        }
        let Phase::Primary(primary) = &mut self.phase else {
            unreachable!("looked at above");
        };
        let in_flight = primary.in_flight.get(&from);
        if in_flight.is_some_and(|latest| request.request_number <= *latest) {
            return drop(fx, "already in progress");
        }
        if let Some(refusal) = refusal {
            return self.refuse(from, request.request_number, refusal, fx);
        }
        // VRR §7.1: it "immediately stops accepting other client requests; the reconfiguration request is the last
        // request processed in the current epoch". A new primary that finds one on top of its log likewise (§7.2).
        if is_closing {
            return drop(fx, "a reconfiguration ends the epoch");
        }
        if primary.queue.len() >= QUEUE_MAX {
            return drop(fx, "the queue is full");
        }
        primary.in_flight.insert(from, request.request_number);
        primary.queue.push_back(request);
        self.prepare_queued(fx);
        // A group of one that keeps its log in memory waits for nothing.
        self.commit_acknowledged(fx);
    }

    /// VRR §4.1 step 3: prepares queued requests, one by one while few are in flight, else in batches.
    pub(super) fn prepare_queued(&mut self, fx: &mut VrEffects) {
        while let Phase::Primary(primary) = &mut self.phase {
            let after = self.log.op_number();
            let room = PIPELINE_MAX.saturating_sub(after.since(self.commit_number));
            let batch = primary.queue.len().min(BATCH_MAX);
            let count = batch.min(room as usize);
            if count == 0 || primary.prepares.len() >= PREPARES_MAX || primary.abdicated {
                return;
            }
            // The backups may commit without this disk; what waits for it is bounded all the same.
            if self.durability.unsynced() >= UNSYNCED_MAX {
                return;
            }
            // A full pipeline would turn batches into dribbles: wait until a whole one fits.
            if count < batch && !primary.prepares.is_empty() {
                return;
            }
            let previous = self.log.checksum(after).expect("the end of the log");
            let entries: Entries = primary
                .queue
                .drain(..count)
                .map(|request| self.log.push(self.view, request).clone())
                .collect();
            primary.prepares.push_back(self.log.op_number());
            self.set_heartbeat();
            self.persist_log(after, Arc::clone(&entries), self.commit_number, fx);
            let prepare = Prepare {
                view: self.view,
                commit_number: self.commit_number,
                suffix: LogSuffix {
                    after,
                    previous,
                    entries,
                },
            };
            // The record is not awaited: the backups' disks work while this one does. This replica's own vote
            // counts only when its record is durable, and after a restart it leaves the view.
            self.broadcast(prepare, fx);
            self.acknowledge_own();
        }
    }

    /// This replica's own vote: up to where its log is durable.
    pub(super) fn acknowledge_own(&mut self) {
        if let Phase::Primary(primary) = &mut self.phase {
            primary.progress[self.me].acknowledged = self.durability.op();
        }
    }

    /// VRR §4.1 step 4, at a backup.
    pub(super) fn on_prepare(&mut self, from: usize, message: Prepare, fx: &mut VrEffects) {
        match message.view.cmp(&self.known_view()) {
            Ordering::Less => return drop_message(fx, "Prepare", "of an earlier view"),
            _ if from != self.primary_of(message.view) => {
                return drop_message(fx, "Prepare", "not from its view's primary");
            }
            Ordering::Greater => return self.start_state_transfer(message.view, from, fx),
            Ordering::Equal => {}
        }
        match self.phase {
            Phase::Backup(_) => {}
            // The view has started; its StartView was lost or is late.
            Phase::ViewChange(_) => return self.start_state_transfer(message.view, from, fx),
            // VRR §8.1: a replica that is changing views "must stop accepting PREPARE messages".
            _ => return drop_message(fx, "Prepare", "not in normal status"),
        }
        self.heard_primary();
        if message.suffix.after > self.log.op_number() {
            return self.hold_back(message, fx);
        }
        if self.accept(&message.suffix, message.commit_number, "Prepare", fx) {
            self.accept_held(fx);
            self.send_prepare_ok(fx);
        }
    }

    /// VRR §4.1 step 4: a backup "waits until it has entries in its log for all earlier requests". A Prepare that
    /// overtook another waits here for it; were it thrown away, it would have to be asked for again.
    fn hold_back(&mut self, message: Prepare, fx: &mut VrEffects) {
        self.advance_commit(message.commit_number.min(self.log.op_number()), fx);
        self.want(message.suffix.op_number().max(message.commit_number));
        let Phase::Backup(backup) = &mut self.phase else {
            return;
        };
        if backup.held.len() >= HELD_MAX {
            return drop_message(fx, "Prepare", "after a gap");
        }
        backup.held.insert(message.suffix.after, message);
    }

    /// Takes the Prepares that waited for what has now arrived.
    pub(super) fn accept_held(&mut self, fx: &mut VrEffects) {
        while let Phase::Backup(backup) = &mut self.phase
            && let Some(first) = backup.held.first_entry()
            && *first.key() <= self.log.op_number()
        {
            let message = first.remove();
            self.accept(&message.suffix, message.commit_number, "Prepare", fx);
        }
    }

    /// Takes entries of the current view into the log, where they attach without a gap. Says whether the log
    /// now holds all of them.
    pub(super) fn accept(
        &mut self,
        suffix: &LogSuffix,
        commit_number: OpNumber,
        kind: &'static str,
        fx: &mut VrEffects,
    ) -> bool {
        let end = self.log.op_number();
        let accepted = match self.log.agreement(suffix) {
            Ok(agree) if agree == end.min(suffix.op_number()) => Ok(()),
            // Logs of one view are prefixes of its primary's.
            Ok(_) | Err(Detached::Differs) => Err(DIVERGED),
            Err(Detached::Malformed) => Err("malformed"),
            // VRR §4.1 step 4: it "waits until it has entries in its log for all earlier requests".
            Err(Detached::Beyond) => Err("after a gap"),
        };
        let accepted = accepted.and(match self.durability.unsynced() {
            UNSYNCED_MAX.. => Err("storage is behind"),
            _ => Ok(()),
        });
        match accepted {
            Ok(()) if suffix.op_number() > end => {
                let entries = suffix.between(end, suffix.op_number());
                self.log.replace_after(end, &entries);
                let committed = self
                    .commit_number
                    .max(commit_number.min(suffix.op_number()));
                self.persist_log(end, entries, committed, fx);
            }
            Ok(()) => {}
            Err(reason) => drop_message(fx, kind, reason),
        }
        self.advance_commit(commit_number.min(self.log.op_number()), fx);
        self.want(suffix.op_number().max(commit_number));
        accepted.is_ok()
    }

    /// The view's log reaches to `op`. If this replica's does not, it asks for the rest after a while.
    fn want(&mut self, op: OpNumber) {
        if let Phase::Backup(backup) = &mut self.phase {
            backup.wanted = backup.wanted.max(op);
        }
        if self.lacks_entries() && !self.timers.is_set(Timer::Repair) {
            self.set_repair(self.config.timeouts.repair);
        }
    }

    /// Whether a backup knows of entries of its view that it does not have.
    pub(super) fn lacks_entries(&self) -> bool {
        matches!(&self.phase, Phase::Backup(backup) if backup.wanted > self.log.op_number())
    }

    /// Acknowledges the whole log once it is durable.
    pub(super) fn send_prepare_ok(&self, fx: &mut VrEffects) {
        let ok = PrepareOk {
            view: self.view,
            op_number: self.log.op_number(),
        };
        let after = self.durability.awaited();
        self.send(self.primary_of(self.view), ok, after, fx);
    }

    /// The primary lives.
    pub(super) fn heard_primary(&mut self) {
        let Phase::Backup(backup) = &mut self.phase else {
            return;
        };
        backup.heard = self.now;
        self.detector.heard(self.now, backup.suspects);
        if backup.suspects {
            backup.suspects = false;
            self.asks[self.me] = None;
            self.timers.clear(Timer::Resend);
        }
        self.set_suspicion();
    }

    /// VRR §4.1 step 6, at a backup.
    pub(super) fn on_commit(&mut self, from: usize, message: Commit, fx: &mut VrEffects) {
        match message.view.cmp(&self.known_view()) {
            Ordering::Less => return drop_message(fx, "Commit", "of an earlier view"),
            _ if from != self.primary_of(message.view) => {
                return drop_message(fx, "Commit", "not from its view's primary");
            }
            Ordering::Greater => return self.start_state_transfer(message.view, from, fx),
            Ordering::Equal => {}
        }
        match self.phase {
            Phase::Backup(_) => {}
            Phase::ViewChange(_) => return self.start_state_transfer(message.view, from, fx),
            _ => return drop_message(fx, "Commit", "not in normal status"),
        }
        self.heard_primary();
        // VRR §4.1 step 7: what the primary has committed, this replica has once it has the entries.
        self.advance_commit(message.commit_number.min(self.log.op_number()), fx);
        self.want(message.commit_number);
        // A sign of life, so it must not queue behind a slow disk: only what is durable already.
        let ok = PrepareOk {
            view: self.view,
            op_number: self.durability.op(),
        };
        self.send(from, ok, None, fx);
    }

    /// VRR §4.1 step 5, at the primary.
    pub(super) fn on_prepare_ok(&mut self, from: usize, message: PrepareOk, fx: &mut VrEffects) {
        if message.view != self.view {
            return drop_message(fx, "PrepareOk", "of another view");
        }
        let Phase::Primary(primary) = &mut self.phase else {
            return drop_message(fx, "PrepareOk", "not the primary");
        };
        if message.op_number > self.log.op_number() {
            return drop_message(fx, "PrepareOk", "of what was never prepared");
        }
        let progress = &mut primary.progress[from];
        let silent = self.now.saturating_since(progress.heard);
        progress.heard = self.now;
        progress.started = true;
        progress.acknowledged = progress.acknowledged.max(message.op_number);
        let resumes = primary.abdicated && self.hears_quorum();
        self.detector.learn(silent, resumes);
        if resumes {
            self.resume(fx);
        }
        self.commit_acknowledged(fx);
    }

    /// VRR §4.1 step 5: commits what f+1 replicas have, this one included or not.
    pub(super) fn commit_acknowledged(&mut self, fx: &mut VrEffects) {
        let Phase::Primary(primary) = &self.phase else {
            return;
        };
        let holders = |op| {
            let has = primary.progress.iter().filter(|p| p.acknowledged >= op);
            has.count()
        };
        let acknowledged = primary.progress.iter().map(|p| p.acknowledged);
        let committed = acknowledged
            .filter(|op| holders(*op) >= self.quorum.majority())
            .max()
            .unwrap_or_default();
        if committed <= self.commit_number {
            return;
        }
        self.advance_commit(committed, fx);
        if let Phase::Primary(primary) = &mut self.phase {
            while primary
                .prepares
                .front()
                .is_some_and(|end| *end <= committed)
            {
                primary.prepares.pop_front();
            }
        }
        self.prepare_queued(fx);
    }

    /// VRR §4.1 step 6: an idle primary says what is committed. One that is deaf falls silent: its heartbeats
    /// would keep the backups from electing another.
    pub(super) fn on_heartbeat_due(&mut self, fx: &mut VrEffects) {
        self.set_heartbeat();
        let hears_quorum = self.hears_quorum();
        let Phase::Primary(primary) = &mut self.phase else {
            return;
        };
        if hears_quorum {
            let commit = Commit {
                view: self.view,
                commit_number: self.commit_number,
            };
            self.broadcast(commit, fx);
        } else if !primary.abdicated {
            primary.abdicated = true;
            self.ask_for(self.view_after(), fx);
        }
    }

    /// A primary that fell silent hears a quorum again, in the view it never left.
    fn resume(&mut self, fx: &mut VrEffects) {
        if let Phase::Primary(primary) = &mut self.phase {
            primary.abdicated = false;
        }
        self.asks[self.me] = None;
        self.prepare_queued(fx);
    }

    /// Whether enough backups were heard lately to make a quorum with this primary.
    fn hears_quorum(&self) -> bool {
        let Phase::Primary(primary) = &self.phase else {
            return false;
        };
        let patience = match self.config.options.failure_detector {
            FailureDetector::Fixed => self.config.timeouts.abdication,
            FailureDetector::Adaptive { .. } => self.detector.patience(),
        };
        let heard = self
            .others()
            .filter(|index| self.now.saturating_since(primary.progress[*index].heard) <= patience);
        heard.count() + 1 >= self.quorum.majority()
    }

    /// Says again what backups have not acknowledged since the previous round.
    pub(super) fn resend_prepares(&mut self, fx: &mut VrEffects) {
        self.set_resend();
        let Phase::Primary(primary) = &self.phase else {
            return;
        };
        if primary.abdicated {
            return self.resend_ask(fx);
        }
        for to in self.others() {
            let progress = primary.progress[to];
            if !progress.started {
                self.send_start_view(to, self.commit_number, fx);
            } else if progress.acknowledged < primary.resend_below
                && progress.acknowledged == progress.before
            {
                self.resend_prepare(to, progress.acknowledged, fx);
            }
        }
        let end = self.log.op_number();
        if let Phase::Primary(primary) = &mut self.phase {
            primary.resend_below = end;
            for progress in &mut primary.progress {
                progress.before = progress.acknowledged;
            }
        }
    }

    /// Sends a backup the first entries that it has not acknowledged. If they are dropped already, it learns from
    /// those that are not what it lacks, and asks.
    fn resend_prepare(&self, to: usize, after: OpNumber, fx: &mut VrEffects) {
        let after = after.max(self.log.base());
        let last = OpNumber(after.0 + CHUNK_ENTRIES_MAX as u64).min(self.log.op_number());
        let prepare = Prepare {
            view: self.view,
            commit_number: self.commit_number,
            suffix: self.log.suffix(after, last),
        };
        self.send(to, prepare, None, fx);
    }
}
