//! A new incarnation: it begins for the first time, rejoins with what it promised, or must recover first.

use super::checkpoint::Checkpoints;
use super::durable::{Durability, Superblock, VrRecord, replay};
use super::log::{Entries, OpNumber};
use super::replica::{Phase, VrEffects, VrReplica};
use crate::{Recovered, Service};

impl<S: Service> VrReplica<S> {
    pub(super) fn on_started(&mut self, mut recovered: Recovered<VrRecord>, fx: &mut VrEffects) {
        assert!(
            matches!(self.phase, Phase::Starting(None)),
            "an incarnation starts once"
        );
        self.wait_out_forgotten_lease();
        let superblock = recovered.superblock.take().map(|record| match record {
            VrRecord::Superblock(superblock) => superblock,
            _ => panic!("another zone's record in the superblock zone"),
        });
        match superblock {
            None if recovered.format => self.format(&recovered, fx),
            Some(superblock) if self.config.durability.keeps_log() => {
                self.restart(superblock, recovered, fx);
            }
            // Its log is gone: by design, or with its disk.
            found => self.recover(found, recovered, fx),
        }
    }

    /// The replica's very first start. It takes part only when that is durable: a primary that could forget
    /// view 0 might put two different operations in one place of it.
    fn format(&mut self, recovered: &Recovered<VrRecord>, fx: &mut VrEffects) {
        let empty = recovered.log.is_empty() && recovered.checkpoint.is_empty();
        assert!(empty, "records without a superblock");
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
    fn recover(
        &mut self,
        superblock: Option<Superblock>,
        recovered: Recovered<VrRecord>,
        fx: &mut VrEffects,
    ) {
        if let Some(superblock) = superblock {
            self.view = superblock.view;
            self.adopt(superblock.configuration);
        }
        let committed = self.load(recovered, fx);
        self.transition_to_recovering(committed, fx);
    }

    /// Whether it is neither of its epoch's group nor of the one before.
    fn is_stranger(&self) -> bool {
        let me = self.config.me;
        !self.configuration.has(me) && !self.configuration.replaces(me)
    }

    fn restart(
        &mut self,
        superblock: Superblock,
        recovered: Recovered<VrRecord>,
        fx: &mut VrEffects,
    ) {
        assert!(superblock.log_view <= superblock.view);
        assert_eq!(superblock.view.epoch, superblock.configuration.epoch);
        (self.view, self.log_view) = (superblock.view, superblock.log_view);
        self.adopt(superblock.configuration);
        self.note_status(fx);
        let committed = self.load(recovered, fx);
        self.advance_commit(committed, fx);
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

    /// The checkpoint, and the log after it. Returns what is known to be committed of that.
    fn load(&mut self, recovered: Recovered<VrRecord>, fx: &mut VrEffects) -> OpNumber {
        self.checkpoints = Checkpoints::recovered(recovered.checkpoint);
        let checkpoint = self.checkpoints.latest();
        let replayed = replay(recovered.log, checkpoint.map(|latest| &latest.checkpoint));
        if let Some(snapshot) = checkpoint {
            let restored = self.executor.restore(snapshot);
            assert!(restored, "storage returns what was written");
            self.commit_number = snapshot.checkpoint.op;
        }
        self.durability = Durability::recovered(replayed.log.op_number(), replayed.attached);
        self.log = replayed.log;
        if replayed.rebased {
            self.persist_change(self.log.base(), Entries::default(), self.log.base(), fx);
        }
        replayed.commit_number
    }
}
