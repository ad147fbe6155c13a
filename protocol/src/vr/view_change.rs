//! View changes (VRR §4.2 steps 2 to 5): the votes, the choice of the new log, the start of the view.
//!
//! ```text
//!   Superblock{v, v'} durable --> DoViewChange --> f+1 votes --> choose the log
//!     --> Log, Superblock{v, v} durable --> StartView --> Log, Superblock{v, v} durable --> PrepareOk
//! ```

use std::cmp::Ordering;

use super::config::PIPELINE_MAX;
use super::log::{Detached, LogSuffix, OpNumber};
use super::message::{DoViewChange, GetState, StartView};
use super::observe::DIVERGED;
use super::replica::{Phase, VrEffects, VrReplica, drop_message};
use super::timer::Timer;
use crate::{RecordId, Service, ViewNumber};

/// What a `DoViewChange` says.
#[derive(Clone, Debug)]
pub(super) struct Vote {
    log_view: ViewNumber,
    commit_number: OpNumber,
    suffix: LogSuffix,
}

/// What the votes of a quorum lead to.
struct Choice {
    /// The replica number of the vote whose log wins.
    winner: usize,
    /// The winner's log after its commit-number.
    suffix: LogSuffix,
    /// The largest commit-number of all votes.
    commit_number: OpNumber,
}

impl<S: Service> VrReplica<S> {
    /// VRR §4.2 step 2: votes, once nothing of the vote can be forgotten.
    pub(super) fn send_do_view_change(&mut self, fx: &mut VrEffects) {
        let primary = self.primary_of(self.view);
        if primary == self.me || self.is_bound_by_lease() {
            return;
        }
        let message = DoViewChange {
            view: self.view,
            log_view: self.log_view,
            commit_number: self.commit_number,
            suffix: self.log.suffix(self.commit_number, self.log.op_number()),
        };
        let after = fx.last_record();
        self.send(primary, message, after, fx);
    }

    /// Says again what an unfinished view change waits for.
    pub(super) fn resend_votes(&mut self, fx: &mut VrEffects) {
        self.resend_ask(fx);
        if matches!(self.phase, Phase::ViewChange(_)) && self.may_vote() {
            self.send_do_view_change(fx);
        }
    }

    pub(super) fn on_do_view_change(
        &mut self,
        from: usize,
        message: DoViewChange,
        fx: &mut VrEffects,
    ) {
        let drop = |fx, reason| drop_message(fx, "DoViewChange", reason);
        let suffix = &message.suffix;
        if suffix.after > message.commit_number
            || message.commit_number > suffix.op_number()
            || message.log_view >= message.view
        {
            return drop(fx, "malformed");
        }
        if !self.is_primary_of(message.view) {
            return drop(fx, "for another primary");
        }
        if message.view > self.known_view() {
            self.transition_to_view_change(message.view, fx);
        }
        match &mut self.phase {
            // The sender missed the StartView, or has fallen behind.
            Phase::Primary(_) => self.send_start_view(from, message.commit_number, fx),
            Phase::ViewChange(phase) if message.view == self.view => {
                phase.votes[from] = Some(Vote {
                    log_view: message.log_view,
                    commit_number: message.commit_number,
                    suffix: message.suffix,
                });
                self.try_start_view(fx);
            }
            _ => drop(fx, "of an earlier view"),
        }
    }

    /// VRR §4.2 step 3, as far as it gets: each event that may have removed an obstacle leads here.
    pub(super) fn try_start_view(&mut self, fx: &mut VrEffects) {
        // Its own vote is one of those that a lease forbids.
        if matches!(self.phase, Phase::ViewChange(_)) && self.is_bound_by_lease() {
            return;
        }
        let Phase::ViewChange(phase) = &self.phase else {
            return;
        };
        match phase.installing {
            Some((record, commit_number)) if self.durability.is_durable(record) => {
                return self.start_view(commit_number, fx);
            }
            Some(_) => return,
            None => {}
        }
        if !self.is_primary_of(self.view) || !self.durability.is_durable(phase.vote) {
            return;
        }
        // VRR §4.2 step 3: "f + 1 DOVIEWCHANGE messages from different replicas (including itself)".
        if phase.votes.iter().flatten().count() + 1 < self.quorum.majority() {
            return;
        }
        let choice = self.choose_log();
        if self.has_prefix(&choice.suffix) {
            self.install_choice(choice, fx);
        } else if !self.timers.is_set(Timer::Repair) {
            self.request_committed(choice.winner, fx);
        }
    }

    /// VRR §4.2 step 3: the log with the largest v', among those the longest; the largest commit-number of all.
    fn choose_log(&self) -> Choice {
        let Phase::ViewChange(phase) = &self.phase else {
            unreachable!("only votes are chosen from");
        };
        let end = self.log.op_number();
        let mut best = (self.log_view, end);
        let mut choice = Choice {
            winner: self.me,
            suffix: self.log.suffix(end, end),
            commit_number: self.commit_number,
        };
        for (index, vote) in phase.votes.iter().enumerate() {
            let Some(vote) = vote else {
                continue;
            };
            choice.commit_number = choice.commit_number.max(vote.commit_number);
            let rank = (vote.log_view, vote.suffix.op_number());
            if rank > best {
                best = rank;
                choice.winner = index;
                choice.suffix = vote.suffix.clone();
            }
        }
        choice
    }

    /// Whether this log holds everything before the suffix. What is committed is the same in all logs.
    pub(super) fn has_prefix(&self, suffix: &LogSuffix) -> bool {
        suffix.after <= self.commit_number
            || self.log.checksum(suffix.after) == Some(suffix.previous)
    }

    /// Asks for the committed entries that are missing before the chosen suffix: the winner first, then
    /// whoever voted.
    fn request_committed(&mut self, winner: usize, fx: &mut VrEffects) {
        if self.fetches_checkpoint() {
            return self.set_repair(self.config.timeouts.resend);
        }
        let any = self.any_other();
        let Phase::ViewChange(phase) = &mut self.phase else {
            return;
        };
        let donor = match std::mem::replace(&mut phase.asked_winner, true) {
            false => winner,
            true => any,
        };
        let request = GetState {
            view: self.view,
            after: self.commit_number,
        };
        self.send(donor, request, None, fx);
        self.set_repair(self.config.timeouts.resend);
    }

    /// Makes the chosen log this replica's own. The view starts when that is durable.
    fn install_choice(&mut self, choice: Choice, fx: &mut VrEffects) {
        let view = self.view;
        let installed = self.install(view, &choice.suffix, choice.commit_number, fx);
        let record = match installed {
            Ok(record) => record,
            Err(reason) => return drop_message(fx, "DoViewChange", reason),
        };
        if let Phase::ViewChange(phase) = &mut self.phase {
            phase.installing = Some((record, choice.commit_number));
        }
        self.try_start_view(fx);
    }

    /// Replaces the log after what it shares with `suffix`, and declares it the log of `view`. The caller
    /// changes the status. Returns the record with which that is durable, if it needs one.
    pub(super) fn install(
        &mut self,
        view: ViewNumber,
        suffix: &LogSuffix,
        commit_number: OpNumber,
        fx: &mut VrEffects,
    ) -> Result<Option<RecordId>, &'static str> {
        let agree = match self.log.agreement(suffix) {
            Ok(agree) => agree,
            Err(Detached::Malformed) => return Err("malformed"),
            Err(_) => return Err(DIVERGED),
        };
        let end = suffix.op_number();
        // What is committed is in the log of every later view.
        if agree < self.commit_number.min(end) || end < commit_number {
            return Err(DIVERGED);
        }
        // A late message: more of this view's log is known to be committed than it holds.
        if end < self.commit_number {
            return Err("older than what is committed here");
        }
        if self.view < view {
            self.view = view;
            self.persist_view(fx);
        }
        if agree < self.log.op_number().max(end) {
            let entries = suffix.between(agree, end);
            self.log.replace_after(agree, &entries);
            let committed = self.commit_number.max(commit_number);
            self.persist_change(agree, entries, committed, fx);
        }
        self.log_view = view;
        Ok(self.persist_installed(fx))
    }

    /// VRR §4.2 steps 3 and 4: the new primary starts the view, executes what is committed and answers.
    fn start_view(&mut self, commit_number: OpNumber, fx: &mut VrEffects) {
        let Phase::ViewChange(phase) = &self.phase else {
            return;
        };
        let known = phase.votes.iter().flatten().map(|vote| vote.commit_number);
        let lowest = known.min().unwrap_or(commit_number);
        self.transition_to_primary(fx);
        self.advance_commit(commit_number, fx);
        for to in self.others() {
            self.send_start_view(to, lowest, fx);
        }
        self.commit_acknowledged(fx);
    }

    /// Sends the view's log after `after` to a replica, as far back as a message may reach.
    pub(super) fn send_start_view(&self, to: usize, after: OpNumber, fx: &mut VrEffects) {
        let message = StartView {
            view: self.view,
            commit_number: self.commit_number,
            suffix: self.recent_log(after),
        };
        self.send(to, message, None, fx);
    }

    /// The log after `after`, as far back as a message may reach, and all that is not committed.
    pub(super) fn recent_log(&self, after: OpNumber) -> LogSuffix {
        let earliest = OpNumber(self.commit_number.0.saturating_sub(PIPELINE_MAX));
        let earliest = earliest.max(self.log.base());
        let after = after.clamp(earliest, self.commit_number);
        self.log.suffix(after, self.log.op_number())
    }

    /// VRR §4.2 step 5, at a backup.
    pub(super) fn on_start_view(&mut self, from: usize, message: StartView, fx: &mut VrEffects) {
        let drop = |fx, reason| drop_message(fx, "StartView", reason);
        match message.view.cmp(&self.known_view()) {
            Ordering::Less => return drop(fx, "of an earlier view"),
            _ if from != self.primary_of(message.view) => {
                return drop(fx, "not from its view's primary");
            }
            // Installed already: a second time would undo what was prepared since.
            Ordering::Equal if matches!(self.phase, Phase::Backup(_)) => {
                self.heard_primary();
                return self.send_prepare_ok(fx);
            }
            _ => {}
        }
        if !self.has_prefix(&message.suffix) {
            return self.start_state_transfer(message.view, from, fx);
        }
        let installed = self.install(message.view, &message.suffix, message.commit_number, fx);
        if let Err(reason) = installed {
            return drop(fx, reason);
        }
        self.transition_to_backup(fx);
        self.advance_commit(message.commit_number, fx);
        // VRR §4.2 step 5: "If there are non-committed operations in the log, they send a PREPAREOK". Here
        // always: it also tells the primary that the StartView has arrived.
        self.send_prepare_ok(fx);
    }
}
