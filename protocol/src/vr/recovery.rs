//! Recovery (VRR §4.3): a replica that has lost its log gets it back from the others.
//!
//! ```text
//!   recovering   Recovery{x, v}                              complete: Backup
//!   others           \--> status normal --> RecoveryResponse /
//!                         f+1 of them, the primary of the latest view among them
//! ```
//!
//! Until then it takes part in nothing. It has promised things that it no longer knows of, so whatever it said
//! could break one: what it acknowledged is in the log of the primary, and who elects another primary does it
//! without this replica.
//!
//! A replica that has kept its view number completes in no earlier view, and the others move there: it may have
//! voted (Michael et al., DISC 2017). Without that the protocol is the paper's, with the paper's flaw: it is
//! sound only while nothing that a dead incarnation has said arrives after its successor has recovered.

use std::borrow::Cow;

use super::log::OpNumber;
use super::message::{GetState, NewState, RecoveredLog, Recovery, RecoveryResponse, VrMessage};
use super::replica::{Phase, VrEffects, VrReplica, drop_message};
use super::timer::Timer;
use crate::{Message, ProtocolEvent, RecordId, Service, ViewNumber};

/// Without a log, and so without a voice.
#[derive(Debug)]
pub(super) struct Recovering {
    /// The latest answer of each replica, by replica number.
    responses: Vec<Option<RecoveryResponse>>,
    /// Who was heard to be recovering, too, by replica number.
    recovering: Vec<bool>,
    /// Whether the primary was asked for committed entries that are missing here.
    asked_primary: bool,
    /// The record with which it is recovered, and what is committed in it.
    installing: Option<(Option<RecordId>, OpNumber)>,
    /// It has said that it will not recover without help.
    stuck: bool,
}

impl Recovering {
    /// Whether the primary's log is on its way to the disk.
    pub(super) fn is_installing(&self) -> bool {
        self.installing.is_some()
    }
}

impl<S: Service> VrReplica<S> {
    /// VRR §4.3 step 1. What is committed of an own log is executed at once.
    pub(super) fn transition_to_recovering(&mut self, committed: OpNumber, fx: &mut VrEffects) {
        let members = self.configuration.members.len();
        let phase = Recovering {
            responses: vec![None; members],
            recovering: vec![false; members],
            asked_primary: false,
            installing: None,
            stuck: false,
        };
        self.enter(Phase::Recovering(phase), fx);
        self.advance_commit(committed, fx);
        self.say_if_stuck(fx);
        self.send_recovery(fx);
    }

    pub(super) fn is_recovering(&self) -> bool {
        matches!(self.phase, Phase::Recovering(_))
    }

    /// Asks, until enough have answered.
    pub(super) fn send_recovery(&mut self, fx: &mut VrEffects) {
        let message = Recovery {
            nonce: self.config.nonce,
            view: self.view,
            commit_number: self.commit_number,
        };
        self.broadcast(message, fx);
        self.set_resend();
    }

    /// VRR §4.3: "While a replica's status is recovering it does not participate in either the request processing
    /// protocol or the view change protocol"; nor does it answer another's `Recovery`.
    pub(super) fn on_message_while_recovering(
        &mut self,
        from: usize,
        message: VrMessage,
        fx: &mut VrEffects,
    ) {
        match message {
            VrMessage::RecoveryResponse(message) => self.on_recovery_response(from, message, fx),
            VrMessage::NewState(message) => self.on_state_for_recovery(&message, fx),
            VrMessage::Recovery(_) => {
                if let Phase::Recovering(phase) = &mut self.phase {
                    phase.recovering[from] = true;
                }
                self.say_if_stuck(fx);
                drop_message(fx, "Recovery", "recovering, too");
            }
            other => drop_message(fx, other.kind(), "recovering"),
        }
    }

    /// VRR §4.3 step 2, at another replica.
    pub(super) fn on_recovery(&mut self, from: usize, message: Recovery, fx: &mut VrEffects) {
        self.forget_previous_life(from, message.view);
        if message.view > self.known_view() {
            // It works in no earlier view, and a quorum had asked for this one.
            return self.transition_to_view_change(message.view, fx);
        }
        let primary_is_gone = from == self.primary_of(self.view);
        match self.phase {
            // VRR §4.3 step 2: "A replica j replies to a RECOVERY message only when its status is normal".
            Phase::Primary(_) | Phase::Backup(_) => self.send_recovery_response(from, message, fx),
            _ => drop_message(fx, "Recovery", "not in normal status"),
        }
        // The primary itself has lost its log: nobody need wait for its heartbeats. VRR §4.3: "the group ... will
        // do a view change" if it would be the primary of the one under way.
        if primary_is_gone {
            match self.phase {
                Phase::Backup(_) => self.suspect(fx),
                Phase::ViewChange(_) => self.ask_for(self.view_after(), fx),
                _ => {}
            }
        }
    }

    fn send_recovery_response(&self, to: usize, message: Recovery, fx: &mut VrEffects) {
        let log = matches!(self.phase, Phase::Primary(_)).then(|| RecoveredLog {
            commit_number: self.commit_number,
            suffix: self.recent_log(message.commit_number),
        });
        let response = RecoveryResponse {
            view: self.view,
            nonce: message.nonce,
            log,
        };
        self.send(to, response, None, fx);
    }

    /// What a replica asked and voted for before it lost its state it stands by up to the view that it remembers.
    fn forget_previous_life(&mut self, index: usize, remembered: ViewNumber) {
        self.withdraw_ask(index, remembered);
        if let Phase::ViewChange(phase) = &mut self.phase
            && self.view > remembered
        {
            phase.votes[index] = None;
        }
    }

    fn on_recovery_response(&mut self, from: usize, message: RecoveryResponse, fx: &mut VrEffects) {
        if message.nonce != self.config.nonce {
            return drop_message(fx, "RecoveryResponse", "answers another incarnation");
        }
        let Phase::Recovering(phase) = &mut self.phase else {
            return;
        };
        // Answers overtake one another; views only grow.
        let older = phase.responses[from].as_ref();
        if older.is_none_or(|older| older.view <= message.view) {
            phase.recovering[from] = false;
            phase.responses[from] = Some(message);
        }
        self.try_recover(fx);
    }

    /// VRR §4.3 step 3: "at least f + 1 RECOVERYRESPONSE messages from different replicas, all containing the
    /// nonce it sent in its RECOVERY message, including one from the primary of the latest view it learns of in
    /// these messages".
    pub(super) fn try_recover(&mut self, fx: &mut VrEffects) {
        let Phase::Recovering(phase) = &self.phase else {
            return;
        };
        match phase.installing {
            Some((record, committed)) if self.durability.is_durable(record) => {
                return self.complete_recovery(committed, fx);
            }
            Some(_) => return,
            None => {}
        }
        let responses = || phase.responses.iter().flatten();
        if responses().count() < self.quorum.majority() {
            return;
        }
        let latest = responses().map(|response| response.view).max();
        let latest = latest.expect("a majority is not empty");
        if latest < self.view {
            return; // It may have voted in a later one.
        }
        let primary = self.primary_of(latest);
        let found = phase.responses[primary]
            .as_ref()
            .filter(|response| response.view == latest)
            .and_then(|response| response.log.clone());
        let Some(found) = found else {
            return;
        };
        if self.has_prefix(&found.suffix) {
            self.install_recovered(latest, &found, fx);
        } else if !self.timers.is_set(Timer::Repair) {
            self.request_recovered(latest, primary, fx);
        }
    }

    /// The log is longer than an answer: the committed part of it comes in chunks, from anybody.
    fn request_recovered(&mut self, view: ViewNumber, primary: usize, fx: &mut VrEffects) {
        if self.fetches_checkpoint() {
            return self.set_repair(self.config.timeouts.resend);
        }
        let any = self.any_other();
        let Phase::Recovering(phase) = &mut self.phase else {
            return;
        };
        let donor = match std::mem::replace(&mut phase.asked_primary, true) {
            false => primary,
            true => any,
        };
        let request = GetState {
            view,
            after: self.commit_number,
        };
        self.send(donor, request, None, fx);
        self.set_repair(self.config.timeouts.resend);
    }

    /// One more chunk.
    fn on_state_for_recovery(&mut self, message: &NewState, fx: &mut VrEffects) {
        let waits = matches!(&self.phase, Phase::Recovering(phase) if phase.installing.is_none());
        if waits && self.accept_committed(message, OpNumber(u64::MAX), fx) {
            self.recovered_prefix_arrived(fx);
        }
    }

    /// Some of what comes before the primary's answer is here.
    pub(super) fn recovered_prefix_arrived(&mut self, fx: &mut VrEffects) {
        if let Phase::Recovering(phase) = &mut self.phase {
            phase.asked_primary = false;
        }
        self.timers.clear(Timer::Repair);
        self.try_recover(fx);
    }

    /// The latest view that anybody has named in an answer.
    pub(super) fn latest_response(&self) -> Option<ViewNumber> {
        let Phase::Recovering(phase) = &self.phase else {
            return None;
        };
        let responses = phase.responses.iter().flatten();
        responses.map(|response| response.view).max()
    }

    /// VRR §4.3 step 3: it takes over the primary's state. Where there is a disk it has recovered when that is
    /// durable: before, a crash would take it all again.
    fn install_recovered(&mut self, view: ViewNumber, found: &RecoveredLog, fx: &mut VrEffects) {
        let installed = self.install(view, &found.suffix, found.commit_number, fx);
        let record = match installed {
            Ok(record) => record,
            Err(reason) => return drop_message(fx, "RecoveryResponse", reason),
        };
        if let Phase::Recovering(phase) = &mut self.phase {
            phase.installing = Some((record, found.commit_number));
        }
        self.try_recover(fx);
    }

    /// VRR §4.3 step 3: "it then changes its status to normal and the recovery protocol is complete".
    fn complete_recovery(&mut self, committed: OpNumber, fx: &mut VrEffects) {
        self.transition_to_backup(fx);
        self.advance_commit(committed, fx);
        self.send_prepare_ok(fx);
    }

    /// More than f replicas have lost their state: the rest are too few to answer, and nobody else has it.
    fn say_if_stuck(&mut self, fx: &mut VrEffects) {
        let faults = self.quorum.faults();
        let Phase::Recovering(phase) = &mut self.phase else {
            return;
        };
        let lost = 1 + phase.recovering.iter().filter(|lost| **lost).count();
        if lost > faults && !phase.stuck {
            phase.stuck = true;
            fx.note(ProtocolEvent::Stuck {
                reason: Cow::Borrowed("more than f replicas have lost their state"),
            });
        }
    }
}
