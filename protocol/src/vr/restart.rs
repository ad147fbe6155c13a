//! A new incarnation: it begins for the first time, rejoins with what it promised, or must recover first.

use super::durable::{Durability, Superblock, VrRecord, replay};
use super::replica::{Phase, VrEffects, VrReplica};
use crate::{Recovered, Service};

impl<S: Service> VrReplica<S> {
    pub(super) fn on_started(&mut self, recovered: Recovered<VrRecord>, fx: &mut VrEffects) {
        assert!(
            matches!(self.phase, Phase::Starting(None)),
            "an incarnation starts once"
        );
        let superblock = recovered.superblock.map(|record| match record {
            VrRecord::Superblock(superblock) => superblock,
            VrRecord::Log(_) => panic!("a log record in the superblock zone"),
        });
        match superblock {
            None if recovered.format => self.format(recovered.log, fx),
            Some(superblock) if self.config.durability.keeps_log() => {
                self.restart(superblock, recovered.log, fx);
            }
            // Its log is gone: by design, or with its disk.
            found => self.recover(found, recovered.log, fx),
        }
    }

    /// The replica's very first start. It takes part only when that is durable: a primary that could forget
    /// view 0 might put two different operations in one place of it.
    fn format(&mut self, log: Vec<VrRecord>, fx: &mut VrEffects) {
        assert!(log.is_empty(), "a log without a superblock");
        self.persist_view(fx);
        self.phase = Phase::Starting(fx.last_record());
        self.note_status(fx);
        if fx.last_record().is_none() {
            self.on_formatted(fx);
        }
    }

    /// The first superblock is durable.
    pub(super) fn on_formatted(&mut self, fx: &mut VrEffects) {
        if !self.configuration.has(self.config.me) {
            self.enter(Phase::Spare, fx);
        } else if self.is_primary_of(self.view) {
            self.transition_to_primary(fx);
        } else {
            self.transition_to_backup(fx);
        }
    }

    /// It has been a member before, and what it acknowledged is lost (tigerbeetle#2996: formatted anew it would
    /// deny it). What is in the log was committed, or is replaced by what was.
    fn recover(&mut self, superblock: Option<Superblock>, log: Vec<VrRecord>, fx: &mut VrEffects) {
        if let Some(superblock) = superblock {
            self.view = superblock.view;
            self.adopt(superblock.configuration);
        }
        let (log, commit_number) = replay(log);
        self.log = log;
        self.transition_to_recovering(commit_number, fx);
    }

    /// Whether it is neither of its epoch's group nor of the one before.
    fn is_stranger(&self) -> bool {
        let me = self.config.me;
        !self.configuration.has(me) && !self.configuration.replaces(me)
    }

    fn restart(&mut self, superblock: Superblock, log: Vec<VrRecord>, fx: &mut VrEffects) {
        assert!(superblock.log_view <= superblock.view);
        assert_eq!(superblock.view.epoch, superblock.configuration.epoch);
        (self.view, self.log_view) = (superblock.view, superblock.log_view);
        self.adopt(superblock.configuration);
        self.note_status(fx);
        let (log, commit_number) = replay(log);
        self.durability = Durability::recovered(log.op_number());
        self.log = log;
        self.advance_commit(commit_number, fx);
        if superblock.retired || self.is_stranger() {
            self.enter(Phase::Spare, fx);
        } else if !self.configuration.has(self.config.me) {
            self.transition_to_replaced(fx);
        } else if self.is_transitioning() {
            self.transition_to_transition(fx);
        } else if self.log_view < self.view {
            // It had left log_view, and may have voted in view.
            self.transition_to_view_change(self.view, fx);
        } else if self.is_primary_of(self.view) {
            // It may have sent Prepares that it has forgotten, and must not put other operations in their
            // places: its view is over.
            self.transition_to_view_change(self.view_after(), fx);
        } else {
            self.transition_to_backup(fx);
        }
    }
}
