//! Reconfiguration (VRR §7): the request that ends an epoch, and how replicas move to the next.
//!
//! ```text
//!   old group                                  new group
//!   Reconfiguration committed
//!        |-- Commit to the old, StartEpoch to the added --+
//!        v                                                v
//!   replaced: Transitioning                     member: Transitioning
//!        |   <------------ GetState, NewState -----------'|   log up to the epoch's start, durable
//!        |   <------------ EpochStarted ------------------+-> Normal in view 0 of the epoch
//!   f'+1 EpochStarted: Retired
//! ```
//!
//! Views are compared by epoch first, and a message is handled only in its own epoch: one of an earlier epoch is
//! answered with the later one's `StartEpoch`, one of a later epoch makes the receiver ask for it. So whoever
//! speaks with anybody who has moved on moves on, too. A replica whose log_view is of an earlier epoch has not
//! fetched yet what its epoch begins with, and has no part in its decisions.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::config::EPOCH_LEAD_MAX;
use super::configuration::{Configuration, MEMBERS_MAX, MEMBERS_MIN};
use super::log::Entries;
use super::message::{Commit, EpochStarted, GetState, NewEpoch, NewState, Refused, StartEpoch};
use super::operation::Operation;
use super::replica::{Phase, VrEffects, VrReplica, drop_message};
use super::timer::Timer;
use crate::{Address, ClientId, RecordId, ReplicaId, Service};

/// Why a reconfiguration is not taken up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum Refusal {
    /// Only the primary takes it.
    #[error("not the primary")]
    NotPrimary,
    /// Another one ends this epoch already.
    #[error("a reconfiguration is in progress")]
    InProgress,
    /// The new group would mask no crash.
    #[error("a group has at least {MEMBERS_MIN} members")]
    TooFewMembers,
    /// The new group is too large, not ascending, or names a replica twice.
    #[error("a group is an ascending list of at most {MEMBERS_MAX} replicas")]
    Malformed,
    /// There is no such replica.
    #[error("{0} is no known replica")]
    UnknownReplica(ReplicaId),
}

impl Refusal {
    /// Whether the same request will never be taken.
    pub const fn is_final(self) -> bool {
        !matches!(self, Self::NotPrimary | Self::InProgress)
    }
}

/// A member that fetches what its epoch begins with.
#[derive(Debug, Default)]
pub(super) struct Transition {
    /// The record with which the primary of the epoch's first view may begin.
    pub(super) installing: Option<RecordId>,
}

/// Replaced: it keeps the log for the new group until that has it.
#[derive(Debug, Default)]
pub(super) struct Replaced {
    /// The new members that have it.
    started: BTreeSet<ReplicaId>,
    /// Its part is over ...
    pub(super) has_retired: bool,
    /// ... once this record is durable.
    pub(super) awaited: Option<RecordId>,
}

impl<S: Service> VrReplica<S> {
    /// Whether a reconfiguration ends this epoch as soon as it is committed: it is the last request that is taken
    /// (VRR §7.1). One in the log that is not its topmost entry, or is of an earlier epoch, "has already
    /// happened" (VRR §7.2).
    pub(super) fn is_closing(&self) -> bool {
        let ends = |operation: &Operation| matches!(operation, Operation::Reconfiguration(_));
        if let Phase::Primary(primary) = &self.phase
            && let Some(last) = primary.queue.back()
        {
            return ends(&last.operation);
        }
        let top = self.log.entry(self.log.op_number());
        top.is_some_and(|top| top.view.epoch == self.view.epoch && ends(&top.operation))
    }

    /// Why the primary does not take a reconfiguration to `members`, if it does not.
    pub(super) fn refusal(&self, members: &[ReplicaId]) -> Option<Refusal> {
        let nodes = self.config.nodes();
        let unknown = members.iter().find(|replica| !nodes.contains(replica));
        match unknown {
            Some(unknown) => Some(Refusal::UnknownReplica(*unknown)),
            None if members.len() < MEMBERS_MIN => Some(Refusal::TooFewMembers),
            None if !Configuration::first(members.to_vec()).is_sound(&nodes) => {
                Some(Refusal::Malformed)
            }
            None if self.is_closing() => Some(Refusal::InProgress),
            None => None,
        }
    }

    /// Tells an administrator why its request is not taken up.
    pub(super) fn refuse(
        &self,
        client: ClientId,
        request_number: u64,
        refusal: Refusal,
        fx: &mut VrEffects,
    ) {
        let refused = Refused {
            view: self.view,
            request_number,
            refusal,
        };
        fx.send(Address::Client(client), refused.into(), None);
    }

    /// VRR §7.4: "old replicas that receive a client request with an old epoch number inform the client about the
    /// reconfiguration by sending it a NEWEPOCH message".
    pub(super) fn send_new_epoch(&self, client: ClientId, fx: &mut VrEffects) {
        let message = NewEpoch {
            view: self.view,
            members: self.configuration.members.clone(),
        };
        fx.send(Address::Client(client), message.into(), None);
    }

    /// VRR §7.1: a replica that gets a message of an earlier epoch must "discard the message but inform the sender
    /// about the later epoch".
    pub(super) fn inform(&self, replica: ReplicaId, fx: &mut VrEffects) {
        let message = StartEpoch {
            configuration: self.configuration.clone(),
        };
        fx.send(Address::Replica(replica), message.into(), None);
    }

    /// A message of a later epoch: whoever sent it knows that epoch's group, and answers this one's epoch with it.
    pub(super) fn ask_for_epoch(&self, replica: ReplicaId, fx: &mut VrEffects) {
        let message = GetState {
            view: self.view,
            after: self.commit_number,
        };
        fx.send(Address::Replica(replica), message.into(), None);
    }

    /// A reconfiguration was committed in this step: the epoch is over. It comes last in the step, when nothing
    /// that belongs to the old epoch is left to do.
    pub(super) fn begin_next_epoch(&mut self, fx: &mut VrEffects) {
        let Some(configuration) = self.next_configuration.take() else {
            return;
        };
        if configuration.epoch <= self.view.epoch {
            return;
        }
        // VRR §7.1 step 3: it "sends COMMIT messages to the other old replicas, and sends STARTEPOCH messages to
        // replicas that are being added". A new primary that finds the reconfiguration committed does the same
        // (VRR §7.2).
        let was_primary = matches!(self.phase, Phase::Primary(_));
        if was_primary {
            let commit = Commit {
                view: self.view,
                commit_number: self.commit_number,
            };
            self.broadcast(commit, fx);
        }
        self.transition_to_epoch(configuration, fx);
        if was_primary {
            let added: Vec<_> = self.configuration.added().collect();
            for replica in added {
                self.inform(replica, fx);
            }
        }
    }

    /// VRR §7.1.1 and §7.1.2: "when a replica learns of the new epoch".
    pub(super) fn on_start_epoch(
        &mut self,
        from: ReplicaId,
        message: StartEpoch,
        fx: &mut VrEffects,
    ) {
        let configuration = message.configuration;
        let lead = configuration.epoch.0.saturating_sub(self.view.epoch.0);
        if lead > EPOCH_LEAD_MAX || !configuration.is_sound(&self.config.nodes()) {
            return drop_message(fx, "StartEpoch", "malformed");
        }
        if configuration.epoch > self.view.epoch {
            return self.transition_to_epoch(configuration, fx);
        }
        // VRR §7.1.1: new members that "receive (duplicate) STARTEPOCH messages after they have completed state
        // transfer ... send an EPOCHSTARTED response".
        if !self.is_transitioning() && self.configuration.replaces(from) {
            self.send_epoch_started(from, fx);
        }
    }

    /// Leaves its epoch for a later one, for good.
    fn transition_to_epoch(&mut self, configuration: Configuration, fx: &mut VrEffects) {
        assert!(configuration.epoch > self.view.epoch, "epochs only grow");
        let was_spare = matches!(self.phase, Phase::Spare);
        // VRR §7.1.1 step 1: it records configurations, epoch and op-number, and "sets its view-number to 0". The
        // log stays of the view it was of: a log_view inherited into the new epoch could win its view changes.
        self.view = configuration.first_view();
        self.adopt(configuration);
        self.attempts = 0;
        self.persist_view(fx);
        if self.is_recovering() && self.configuration.has(self.config.me) {
            // VRR §7.2: it "continues with recovery by communicating with replicas in the new group". What it may
            // have said there it has lost.
            self.transition_to_recovering(self.commit_number, fx);
        } else if self.configuration.has(self.config.me) {
            self.transition_to_transition(fx);
        } else if self.configuration.replaces(self.config.me) {
            self.transition_to_replaced(fx);
        } else if was_spare {
            self.enter(Phase::Spare, fx);
        } else {
            // It slept through an epoch: the group after its own has everything.
            self.transition_to_replaced(fx);
            self.retire(fx);
        }
    }

    /// Becomes a member that has yet to fetch what its epoch begins with.
    pub(super) fn transition_to_transition(&mut self, fx: &mut VrEffects) {
        assert!(self.is_transitioning() && self.configuration.has(self.config.me));
        self.enter(Phase::Transition(Transition::default()), fx);
        self.continue_transition(fx);
    }

    /// Becomes one that was replaced.
    pub(super) fn transition_to_replaced(&mut self, fx: &mut VrEffects) {
        assert!(!self.configuration.has(self.config.me));
        self.enter(Phase::Replaced(Replaced::default()), fx);
        self.set_resend();
        self.continue_transition(fx);
    }

    /// Whether it does not have yet what its epoch begins with, or is not of its group.
    pub(super) fn is_transitioning(&self) -> bool {
        self.log_view.epoch < self.view.epoch
    }

    /// Fetches the log up to the epoch's start, or has it.
    pub(super) fn continue_transition(&mut self, fx: &mut VrEffects) {
        let (start, checksum) = (self.configuration.start, self.configuration.checksum);
        if self.log.checksum(start) == Some(checksum) {
            self.advance_commit(start, fx);
        }
        if self.commit_number < self.configuration.start && self.fetches_checkpoint() {
            self.set_repair(self.config.timeouts.resend);
        } else if self.commit_number < self.configuration.start {
            let donors = self.configuration.donors();
            let others: Vec<_> = donors.filter(|donor| *donor != self.config.me).collect();
            let donor = others[self.jitter.below(others.len())];
            self.request_epoch_state(donor, fx);
        } else if matches!(self.phase, Phase::Transition(_)) {
            self.complete_transition(fx);
        }
    }

    /// VRR §7.1.1 step 2: "it brings its state up to date by sending state transfer messages to the old replicas
    /// and also to other new replicas".
    fn request_epoch_state(&mut self, donor: ReplicaId, fx: &mut VrEffects) {
        self.ask_for_epoch(donor, fx);
        self.set_repair(self.config.timeouts.resend);
    }

    /// A piece of what the epoch begins with. What comes after it is left to the view that it belongs to.
    pub(super) fn on_epoch_state(
        &mut self,
        from: ReplicaId,
        message: &NewState,
        fx: &mut VrEffects,
    ) {
        let start = self.configuration.start;
        if self.accept_committed(message, start, fx) {
            match self.commit_number < start {
                true => self.request_epoch_state(from, fx),
                false => {
                    self.timers.clear(Timer::Repair);
                    self.continue_transition(fx);
                }
            }
        }
    }

    /// VRR §7.1.1 step 3: up to date with respect to the start of the epoch, the replica takes part in it.
    fn complete_transition(&mut self, fx: &mut VrEffects) {
        let end = self.commit_number;
        // What the epochs before did not commit they never will.
        if self.log.op_number() > end {
            self.log.replace_after(end, &[]);
            self.persist_change(end, Entries::default(), end, fx);
        }
        self.log_view = self.configuration.first_view();
        let installed = self.persist_installed(fx);
        let replaced: Vec<_> = self.configuration.replaced().collect();
        for replica in replaced {
            self.send_epoch_started(replica, fx);
        }
        if self.view > self.log_view {
            // It had begun to follow a later view: of the first it is no backup.
            self.transition_to_view_change(self.view, fx);
        } else if !self.is_primary_of(self.view) {
            self.transition_to_backup(fx);
        } else if let Phase::Transition(transition) = &mut self.phase {
            transition.installing = installed;
            if installed.is_none() {
                self.transition_to_primary(fx);
            }
        }
    }

    /// Says, once it is durable, that it has what its epoch begins with.
    fn send_epoch_started(&self, to: ReplicaId, fx: &mut VrEffects) {
        let message = EpochStarted { view: self.view };
        fx.send(
            Address::Replica(to),
            message.into(),
            self.durability.awaited(),
        );
    }

    /// VRR §7.1.2 step 2: it responds to state transfer "until it receives f'+1 EPOCHSTARTED messages from the new
    /// replicas".
    pub(super) fn on_epoch_started(&mut self, from: ReplicaId, fx: &mut VrEffects) {
        let Phase::Replaced(replaced) = &mut self.phase else {
            return drop_message(fx, "EpochStarted", "not replaced");
        };
        if !self.configuration.has(from) {
            return drop_message(fx, "EpochStarted", "not from a member");
        }
        replaced.started.insert(from);
        if replaced.started.len() > self.quorum.faults() && !replaced.has_retired {
            self.retire(fx);
        }
    }

    /// VRR §7.1.2 step 3: without them "in a reasonable amount of time, it sends STARTEPOCH messages to the new
    /// replicas (or to the subset of those replicas it hasn't already heard from)".
    pub(super) fn resend_start_epoch(&mut self, fx: &mut VrEffects) {
        self.set_resend();
        let Phase::Replaced(replaced) = &self.phase else {
            return;
        };
        for member in &self.configuration.members {
            if !replaced.started.contains(member) {
                self.inform(*member, fx);
            }
        }
    }

    /// Its part is over, once that is durable: started again, it waits to be made a member.
    fn retire(&mut self, fx: &mut VrEffects) {
        if let Phase::Replaced(replaced) = &mut self.phase {
            replaced.has_retired = true;
        }
        self.persist_view(fx);
        let awaited = fx
            .last_record()
            .filter(|_| self.config.durability.keeps_views());
        match &mut self.phase {
            Phase::Replaced(replaced) if awaited.is_some() => replaced.awaited = awaited,
            _ => self.transition_to_retired(fx),
        }
    }

    /// VRR §7.1.2 step 2: "At this point the replica being replaced shuts down."
    pub(super) fn transition_to_retired(&mut self, fx: &mut VrEffects) {
        self.enter(Phase::Retired, fx);
    }
}
