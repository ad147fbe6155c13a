//! A new incarnation over its own write-ahead log: it rejoins with what it promised (TOCS §4.6 assumes as much of the
//! disk; a replica that votes in memory alone begins anew, and counts as faulty).

use super::durable::{Part, PbftRecord, Superblock};
use super::executor::{Snapshot, StateRoot};
use super::log::{Assigned, Vote};
use super::message::{Checkpoint, Commit, PrePrepare, Prepare, SequenceNumber, ViewEntry};
use super::replica::{Changing, PbftEffects, PbftReplica, Phase};
use super::signed::Signed;
use crate::{Digest, Recovered, Service, ViewNumber};

impl<S: Service> PbftReplica<S> {
    pub(super) fn on_started(&mut self, recovered: Recovered<PbftRecord>, fx: &mut PbftEffects) {
        assert!(
            matches!(self.phase, Phase::Starting(None)),
            "an incarnation starts once"
        );
        match recovered.superblock {
            None => self.format(&recovered.log, fx),
            Some(PbftRecord::Superblock(superblock)) => {
                self.restart(superblock, recovered.log, fx);
            }
            Some(_) => panic!("a log record in the superblock zone"),
        }
    }

    /// The replica's very first start. It takes part only when that is durable.
    fn format(&mut self, log: &[PbftRecord], fx: &mut PbftEffects) {
        assert!(log.is_empty(), "a log without a superblock");
        let record = self.persist(PbftRecord::Superblock(self.superblock(true)), fx);
        self.phase = Phase::Starting(record);
        self.note_status(fx);
        if record.is_none() {
            self.transition_to_active(SequenceNumber::ZERO, SequenceNumber::ZERO, fx);
        }
    }

    fn restart(&mut self, superblock: Superblock, log: Vec<PbftRecord>, fx: &mut PbftEffects) {
        (self.view, self.log_view) = (superblock.view, superblock.log_view);
        self.note_status(fx);
        let mut fetched = Snapshot::default();
        for record in log {
            self.replay(record, &mut fetched);
        }
        self.log.forget_batches();
        self.restore_votes();
        if !superblock.active {
            // It has left, and may have said so: it says so again.
            self.phase = Phase::Changing(Changing::default());
            for (_, place) in self.log.iter_mut() {
                place.leave_view();
            }
            self.note_status(fx);
            self.announce_held_checkpoints(fx);
            self.send_view_change(fx);
            self.set_status_timer();
            return self.on_view_changes_changed(fx);
        }
        self.resume(fx);
    }

    /// Goes on in the view that it was in. A primary has written down every place that it filled before it said so.
    fn resume(&mut self, fx: &mut PbftEffects) {
        let new_view = self
            .new_view
            .as_ref()
            .map(|proposal| proposal.new_view.content());
        let new_view = new_view.filter(|new_view| new_view.view == self.view);
        let bound = new_view.map_or(SequenceNumber::ZERO, |new_view| {
            new_view.checkpoint.sequence_number
        });
        let chosen = new_view.map_or(0, |new_view| new_view.chosen.len() as u64);
        let checkpoint = new_view.map(|new_view| new_view.checkpoint);
        let assigned = self
            .log
            .iter()
            .filter(|(_, place)| place.assigned.is_some());
        let last = assigned
            .map(|(number, _)| number)
            .next_back()
            .unwrap_or_default();
        let last = last
            .max(SequenceNumber(bound.0 + chosen))
            .max(self.executor.executed());
        self.transition_to_active(bound, last, fx);
        if let Some(checkpoint) = checkpoint {
            self.adopt_checkpoint(checkpoint, fx);
        }
        self.announce_held_checkpoints(fx);
        self.assign_chosen(fx);
        let numbers: Vec<_> = self.log.iter().map(|(number, _)| number).collect();
        for number in numbers {
            self.advance(number, fx);
        }
        self.execute_ready(fx);
    }

    /// One record of the earlier incarnations. Panics on what no replica has written: storage tells a torn tail from
    /// damage, and damage must stop the replica.
    fn replay(&mut self, record: PbftRecord, fetched: &mut Snapshot) {
        match record {
            PbftRecord::Superblock(_) => panic!("a superblock in the log zone"),
            PbftRecord::Batch(batch) => self.log.add_batch(batch.digest(), batch),
            PbftRecord::PrePrepared {
                view,
                sequence_number,
                digest,
                pre_prepare,
            } => self.replay_pre_prepared(view, sequence_number, digest, pre_prepare),
            PbftRecord::Prepared {
                view,
                sequence_number,
                digest,
            } => self.replay_prepared(ViewEntry {
                sequence_number,
                digest,
                view,
            }),
            PbftRecord::Executed {
                sequence_number,
                digest,
            } => {
                let batch = self.log.batch(&digest).expect("what is executed is there");
                self.executor.execute(sequence_number, digest, &batch);
                if self.log.in_window(sequence_number) {
                    self.log.place(sequence_number).committed = Some(digest);
                }
                if self.config.is_checkpoint(sequence_number) {
                    self.executor.take_checkpoint();
                }
            }
            PbftRecord::NewView(proposal) => self.new_view = Some(*proposal),
            PbftRecord::Stable { checkpoint, proof } => {
                self.replay_stable(checkpoint.sequence_number);
                self.stable = proof;
            }
            PbftRecord::Fetched(entries) => {
                for (part, key, value) in entries {
                    match part {
                        Part::Service => fetched.service.put(key, value),
                        Part::Replies => fetched.replies.put(key, value),
                    }
                }
            }
            PbftRecord::Installed { checkpoint, root } => {
                self.replay_installed(checkpoint, root, std::mem::take(fetched));
            }
        }
    }

    fn replay_pre_prepared(
        &mut self,
        view: ViewNumber,
        number: SequenceNumber,
        digest: Digest,
        pre_prepare: Option<Signed<PrePrepare>>,
    ) {
        if !self.log.in_window(number) {
            return;
        }
        let most = self.quorum.faults() + 2;
        let current = self.view;
        let place = self.log.place(number);
        place.add_q(
            ViewEntry {
                sequence_number: number,
                digest,
                view,
            },
            most,
        );
        if view != current {
            return;
        }
        place.assigned = Some(Assigned {
            view,
            digest,
            pre_prepare,
            accepted: true,
        });
    }

    fn replay_prepared(&mut self, entry: ViewEntry) {
        let number = entry.sequence_number;
        if !self.log.in_window(number) {
            return;
        }
        let current = self.view;
        let place = self.log.place(number);
        place.p = Some(entry);
        place.prepared = entry.view == current;
    }

    /// Its own prepares and commits, as it has sent them or was about to.
    fn restore_votes(&mut self) {
        let (me, backup) = (self.me, !self.is_primary_of(self.view));
        let keys = self.keys.clone();
        for (number, place) in self.log.iter_mut() {
            if let Some(assigned) = place.assigned.as_ref().filter(|_| backup) {
                place.own_prepare = Some(keys.sign(Prepare {
                    view: assigned.view,
                    sequence_number: number,
                    digest: assigned.digest,
                }));
            }
            if let Some(entry) = place.p {
                let commit = keys.sign(Commit {
                    view: entry.view,
                    sequence_number: number,
                    digest: entry.digest,
                });
                place.own_commit = Some(commit.clone());
                place.commits[me] = Some(Vote {
                    signed: commit.into_signed(),
                    verified: true,
                });
            }
        }
    }

    fn replay_stable(&mut self, number: SequenceNumber) {
        if number > self.log.low_water_mark() {
            self.log.advance_low_water_mark(number);
            self.executor.forget_before(number);
        }
    }

    fn replay_installed(&mut self, checkpoint: Checkpoint, root: StateRoot, fetched: Snapshot) {
        let snapshot = Snapshot {
            order: root.order,
            chain: root.chain,
            ..fetched
        };
        assert_eq!(snapshot.root(), root, "the state is undamaged");
        self.executor.install(checkpoint, snapshot);
        self.stable = None;
        self.replay_stable(checkpoint.sequence_number);
    }
}
