//! State transfer (VRR §5.2), corrected: the paper truncates the log before the answer arrives and so can lose
//! committed operations (Vanlightly's analysis). Here a replica keeps its log, and the view it belongs to,
//! until the last chunk replaces both at once. Committed entries are facts in any view and go in as they come.

use super::config::{CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX};
use super::log::{Detached, OpNumber};
use super::message::{GetState, NewState};
use super::observe::DIVERGED;
use super::replica::{Phase, VrEffects, VrReplica, drop_message};
use super::timer::Timer;
use crate::{Address, ReplicaId, Service, ViewNumber};

impl<S: Service> VrReplica<S> {
    /// A view has started without this replica: `donor` is in it.
    pub(super) fn start_state_transfer(
        &mut self,
        target: ViewNumber,
        donor: usize,
        fx: &mut VrEffects,
    ) {
        if !matches!(&self.phase, Phase::StateTransfer(transfer) if transfer.target >= target) {
            self.transition_to_state_transfer(target, fx);
            self.request_state(donor, fx);
        }
    }

    /// Asks for what follows the commit-number: everything after it may be different in the target view.
    pub(super) fn request_state(&mut self, donor: usize, fx: &mut VrEffects) {
        let Phase::StateTransfer(transfer) = &self.phase else {
            return;
        };
        let request = GetState {
            view: transfer.target,
            after: self.commit_number,
        };
        self.send(donor, request, None, fx);
        self.set_repair(self.config.timeouts.resend);
    }

    /// No answer: asks another replica.
    pub(super) fn retry_state_transfer(&mut self, fx: &mut VrEffects) {
        if self.fetches_checkpoint() {
            return self.set_repair(self.config.timeouts.resend);
        }
        let donor = self.any_other();
        self.request_state(donor, fx);
    }

    /// The target view seems dead. This replica still knows of it, so it helps to elect a primary there; its
    /// log and log_view are as they were.
    pub(super) fn abandon_state_transfer(&mut self, fx: &mut VrEffects) {
        if self.is_transitioning() {
            return self.transition_to_transition(fx);
        }
        self.transition_to_view_change(self.known_view(), fx);
    }

    /// A backup lacks entries of its own view.
    pub(super) fn request_missing(&mut self, fx: &mut VrEffects) {
        if !self.lacks_entries() {
            return; // They were only late.
        }
        if self.fetches_checkpoint() {
            return self.set_repair(self.config.timeouts.resend);
        }
        // The primary has them for sure, and may be overloaded or out of reach: every other round asks another.
        let donor = match self.jitter.below(2) == 0 {
            true => self.primary_of(self.view),
            false => self.any_other(),
        };
        let request = GetState {
            view: self.view,
            after: self.log.op_number(),
        };
        self.send(donor, request, None, fx);
        self.set_repair(self.config.timeouts.resend);
    }

    /// Serves committed entries in any status, and the rest of the log only if it is the wanted view's. What
    /// an earlier view did not commit must not reach a replica that still lives there.
    pub(super) fn on_get_state(&self, from: ReplicaId, message: GetState, fx: &mut VrEffects) {
        let normal = matches!(self.phase, Phase::Primary(_) | Phase::Backup(_));
        let in_view = normal && message.view == self.view;
        let available = if in_view {
            self.log.op_number()
        } else {
            self.commit_number
        };
        if message.after > available {
            return drop_message(fx, "GetState", "asks for more than there is");
        }
        if message.after < self.log.base() {
            return self.offer_checkpoint(from, fx);
        }
        let (last, whole) = self.chunk_end(message.after);
        // The uncommitted suffix goes as a whole: it is taken as a whole, or not at all.
        let last = if whole { available } else { last };
        let reply = NewState {
            view: message.view,
            op_number: in_view.then_some(self.log.op_number()),
            commit_number: self.commit_number,
            suffix: self.log.suffix(message.after, last),
        };
        fx.send(Address::Replica(from), reply.into(), None);
    }

    /// Where a chunk of committed entries after `after` ends, and whether nothing committed comes after it.
    fn chunk_end(&self, after: OpNumber) -> (OpNumber, bool) {
        if after >= self.commit_number {
            return (after, true);
        }
        let (mut last, mut bytes) = (after, 0);
        let committed = self.log.slice(after, self.commit_number);
        for entry in committed.iter().take(CHUNK_ENTRIES_MAX) {
            bytes += entry.operation.size();
            if bytes > CHUNK_BYTES_MAX && last > after {
                break;
            }
            last = entry.op;
        }
        (last, last == self.commit_number)
    }

    pub(super) fn on_new_state(&mut self, from: ReplicaId, message: NewState, fx: &mut VrEffects) {
        match &self.phase {
            // Only entries of this view's log may be acknowledged in it.
            Phase::Backup(_) if message.view == self.view && message.op_number.is_some() => {
                self.accept_missing(message, fx);
            }
            Phase::ViewChange(phase) if message.view == self.view && phase.installing.is_none() => {
                if self.accept_committed(&message, OpNumber(u64::MAX), fx) {
                    self.committed_arrived(fx);
                }
            }
            Phase::StateTransfer(transfer) if message.view == transfer.target => {
                self.continue_state_transfer(from, message, fx);
            }
            Phase::Transition(_) | Phase::Replaced(_) => self.on_epoch_state(from, &message, fx),
            _ => drop_message(fx, "NewState", "not asked for"),
        }
    }

    /// A chunk of the committed entries that the chosen log builds on: the winner, who has all of them, is
    /// asked for the next at once.
    pub(super) fn committed_arrived(&mut self, fx: &mut VrEffects) {
        if let Phase::ViewChange(phase) = &mut self.phase {
            phase.asked_winner = false;
        }
        self.timers.clear(Timer::Repair);
        self.try_start_view(fx);
    }

    /// Entries of the current view.
    fn accept_missing(&mut self, message: NewState, fx: &mut VrEffects) {
        let before = self.log.op_number();
        if self.accept(&message.suffix, message.commit_number, "NewState", fx)
            && self.log.op_number() > before
        {
            self.accept_held(fx);
            self.send_prepare_ok(fx);
            self.request_missing(fx);
        }
    }

    /// One more chunk, or the last one.
    fn continue_state_transfer(&mut self, from: ReplicaId, message: NewState, fx: &mut VrEffects) {
        let progress = self.accept_committed(&message, OpNumber(u64::MAX), fx);
        let complete = message.op_number == Some(message.suffix.op_number());
        if !complete || !self.has_prefix(&message.suffix) {
            if progress {
                self.set_suspicion();
                if let Some(from) = self.configuration.number_of(from) {
                    self.request_state(from, fx);
                }
            }
            return;
        }
        let installed = self.install(message.view, &message.suffix, message.commit_number, fx);
        if let Err(reason) = installed {
            return drop_message(fx, "NewState", reason);
        }
        self.transition_to_backup(fx);
        self.advance_commit(message.commit_number, fx);
        self.send_prepare_ok(fx);
    }

    /// Takes the committed entries of a message into the log, whatever view that belongs to. Own entries after
    /// them stay unless one of them differs: then none of those after it was ever committed. Says whether
    /// anything was news. Nothing after `limit` is taken.
    pub(super) fn accept_committed(
        &mut self,
        message: &NewState,
        limit: OpNumber,
        fx: &mut VrEffects,
    ) -> bool {
        let committed = message
            .commit_number
            .min(message.suffix.op_number())
            .min(limit);
        if committed <= self.commit_number {
            return false;
        }
        let agree = match self.log.agreement(&message.suffix) {
            Ok(agree) if agree < self.commit_number => Err(DIVERGED),
            Ok(agree) => Ok(agree),
            Err(Detached::Malformed) => Err("malformed"),
            Err(Detached::Differs) if message.suffix.after <= self.commit_number => Err(DIVERGED),
            Err(_) => Err("after a gap"),
        };
        let agree = match agree {
            Ok(agree) => agree,
            Err(reason) => {
                drop_message(fx, "NewState", reason);
                return false;
            }
        };
        if agree < committed {
            self.leave_view_for_transfer(fx);
            let entries = message.suffix.between(agree, committed);
            self.log.replace_after(agree, &entries);
            self.persist_change(agree, entries, committed, fx);
        }
        self.advance_commit(committed, fx);
        true
    }

    /// The log is about to hold entries of a later view. After a crash it must not pass for the log of this
    /// one, and be acknowledged to its primary, so the view goes first.
    pub(super) fn leave_view_for_transfer(&mut self, fx: &mut VrEffects) {
        if self.view < self.known_view() {
            self.view = self.known_view();
            self.persist_view(fx);
        }
    }
}
