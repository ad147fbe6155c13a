//! Checkpoints (PBFT §4.3): when what was agreed on may be forgotten.
//!
//! f+1 matching messages are a weak certificate: some correct replica has that state, so it can be fetched. A quorum
//! makes the checkpoint stable: everything before it can go.

use std::collections::BTreeMap;

use super::certificate::CheckpointCertificate;
use super::config::CHECKPOINTS_HELD_MAX;
use super::durable::PbftRecord;
use super::log::{Vote, check_votes, count_votes};
use super::message::{Checkpoint, PbftMessage, SequenceNumber};
use super::replica::{PbftEffects, PbftReplica, drop_message};
use super::signed::{Signed, Verified};
use crate::Service;

/// Why a checkpoint that has a quorum is refused: this replica's state is another. It is never seen while at most f
/// replicas are faulty.
pub const DIVERGED: &str = "a quorum has another state than this replica";

/// The checkpoints of all replicas that are not stable yet.
#[derive(Debug)]
pub(super) struct CheckpointVotes {
    members: usize,
    votes: BTreeMap<SequenceNumber, Vec<Option<Vote<Checkpoint>>>>,
    own: BTreeMap<SequenceNumber, Verified<Checkpoint>>,
}

impl CheckpointVotes {
    pub(super) fn new(members: usize) -> Self {
        Self {
            members,
            votes: BTreeMap::new(),
            own: BTreeMap::new(),
        }
    }

    /// Takes a vote, in the place of the sender's earliest if it has too many.
    fn add(&mut self, from: usize, signed: Signed<Checkpoint>, verified: bool) {
        let number = signed.content().sequence_number;
        let members = self.members;
        let votes = self
            .votes
            .entry(number)
            .or_insert_with(|| vec![None; members]);
        votes[from] = Some(Vote { signed, verified });
        let held = |votes: &Vec<Option<Vote<Checkpoint>>>| votes[from].is_some();
        if self.votes.values().filter(|votes| held(votes)).count() > CHECKPOINTS_HELD_MAX {
            let first = self.votes.values_mut().find(|votes| held(votes));
            first.expect("there are several")[from] = None;
        }
        self.votes
            .retain(|_, votes| votes.iter().any(Option::is_some));
    }

    fn forget_up_to(&mut self, number: SequenceNumber) {
        self.votes = self.votes.split_off(&number.next());
        self.own = self.own.split_off(&number.next());
    }

    /// This replica's own, which are not known to be stable.
    pub(super) fn own(&self) -> impl Iterator<Item = &Verified<Checkpoint>> {
        self.own.values()
    }
}

impl<S: Service> PbftReplica<S> {
    /// Takes a checkpoint after the place that was executed last, and says so once that execution is durable.
    pub(super) fn take_checkpoint(&mut self, fx: &mut PbftEffects) {
        let checkpoint = self.executor.take_checkpoint();
        self.announce_checkpoint(checkpoint, fx);
        self.try_stable(checkpoint.sequence_number, fx);
    }

    /// After a restart: says again what it holds that is not stable yet.
    pub(super) fn announce_held_checkpoints(&mut self, fx: &mut PbftEffects) {
        let low = self.log.low_water_mark();
        let held = self.executor.checkpoints();
        let held: Vec<_> = held.filter(|held| held.sequence_number > low).collect();
        for checkpoint in held {
            self.announce_checkpoint(checkpoint, fx);
            self.try_stable(checkpoint.sequence_number, fx);
        }
    }

    pub(super) fn announce_checkpoint(&mut self, checkpoint: Checkpoint, fx: &mut PbftEffects) {
        let number = checkpoint.sequence_number;
        let own = self.keys.sign(checkpoint);
        let message = PbftMessage::Checkpoint(own.as_signed().clone());
        self.broadcast(&message, self.all_records(fx), fx);
        self.checkpoints.add(self.me, own.as_signed().clone(), true);
        self.checkpoints.own.insert(number, own);
    }

    pub(super) fn on_checkpoint(
        &mut self,
        from: usize,
        message: Signed<Checkpoint>,
        fx: &mut PbftEffects,
    ) {
        let drop = |fx, reason| drop_message(fx, "Checkpoint", reason);
        let number = message.content().sequence_number;
        if self.signer_number(message.signer()) != Some(from) {
            return drop(fx, "not signed by its sender");
        }
        if number <= self.log.low_water_mark() || !self.config.is_checkpoint(number) {
            return drop(fx, "of no place, or of one that is stable");
        }
        let known = self.checkpoints.votes.get(&number);
        if known.is_some_and(|votes| votes[from].as_ref().is_some_and(|vote| vote.verified)) {
            return;
        }
        self.checkpoints.add(from, message, false);
        self.try_stable(number, fx);
    }

    /// Looks for enough matching checkpoints at `number`.
    fn try_stable(&mut self, number: SequenceNumber, fx: &mut PbftEffects) {
        let (weak, quorum) = (self.quorum.weak(), self.quorum.quorum());
        let Some(votes) = self.checkpoints.votes.get_mut(&number) else {
            return;
        };
        let said: Vec<Checkpoint> = votes
            .iter()
            .flatten()
            .map(|vote| *vote.signed.content())
            .collect();
        for checkpoint in said {
            let matches = |other: &Checkpoint| *other == checkpoint;
            let count = count_votes(votes, matches);
            // Below the high water mark a weak certificate is of no use yet: the votes of the rest are on their way.
            let needed = match number > self.log.high_water_mark() {
                true => weak,
                false => quorum,
            };
            if count < needed {
                continue;
            }
            let signers = check_votes(votes, &self.keys, matches);
            if signers.len() < needed {
                continue;
            }
            let messages = signers.iter().filter_map(|signer| votes[*signer].as_ref());
            let messages = messages.map(|vote| vote.signed.clone()).collect();
            let certificate = CheckpointCertificate::new(messages);
            return match signers.len() >= quorum {
                true => self.on_certificate(checkpoint, certificate, fx),
                false => self.start_fetching(checkpoint, fx),
            };
        }
    }

    /// Proof of a stable checkpoint, from another replica.
    pub(super) fn on_stable_checkpoint(
        &mut self,
        certificate: CheckpointCertificate,
        fx: &mut PbftEffects,
    ) {
        let number = certificate.checkpoint().sequence_number;
        if number <= self.log.low_water_mark() || !self.config.is_checkpoint(number) {
            return drop_message(fx, "StableCheckpoint", "of no place, or stable here");
        }
        match certificate.check_stable(&self.keys) {
            Ok(checkpoint) => self.on_certificate(checkpoint, certificate, fx),
            Err(_) => drop_message(fx, "StableCheckpoint", "no certificate"),
        }
    }

    /// A quorum has reached the checkpoint. Whoever has not keeps the proof, and fetches the state unless it gets there
    /// by itself soon.
    fn on_certificate(
        &mut self,
        checkpoint: Checkpoint,
        certificate: CheckpointCertificate,
        fx: &mut PbftEffects,
    ) {
        let number = checkpoint.sequence_number;
        match self.executor.checkpoint(number) {
            Some((digest, _)) if digest == checkpoint.digest => {
                self.stabilise(checkpoint, Some(certificate), fx);
            }
            Some(_) => drop_message(fx, "Checkpoint", DIVERGED),
            None => {
                let beyond = number > self.log.high_water_mark();
                let better = self
                    .ahead
                    .as_ref()
                    .is_none_or(|ahead| ahead.certificate.checkpoint().sequence_number < number);
                if better {
                    let missed = self.ahead.as_ref().is_some_and(|ahead| ahead.missed);
                    self.ahead = Some(Ahead {
                        certificate,
                        missed,
                    });
                }
                if beyond {
                    self.start_fetching(checkpoint, fx);
                }
            }
        }
    }

    /// The checkpoint is stable, and this replica has its state (PBFT §4.3): it "discards all pre-prepare, prepare, and
    /// commit messages with sequence number less than or equal to n from its log; it also discards all earlier
    /// checkpoints and checkpoint messages".
    pub(super) fn stabilise(
        &mut self,
        checkpoint: Checkpoint,
        certificate: Option<CheckpointCertificate>,
        fx: &mut PbftEffects,
    ) {
        let number = checkpoint.sequence_number;
        if number <= self.log.low_water_mark() {
            return;
        }
        assert!(number <= self.executor.executed(), "it has that state");
        self.log.advance_low_water_mark(number);
        self.log.forget_batches();
        self.executor.forget_before(number);
        self.checkpoints.forget_up_to(number);
        self.doubtful = self.doubtful.split_off(&number.next());
        let record = PbftRecord::Stable {
            checkpoint,
            proof: certificate.clone(),
        };
        self.persist(record, fx);
        self.stable = certificate;
        let ahead = self.ahead.take();
        self.ahead = ahead.filter(|ahead| ahead.certificate.checkpoint().sequence_number > number);
        self.assign_chosen(fx);
        self.propose(fx);
    }
}

/// A stable checkpoint that this replica has not reached.
#[derive(Debug)]
pub(super) struct Ahead {
    pub(super) certificate: CheckpointCertificate,
    /// It was ahead when the last status was sent already.
    pub(super) missed: bool,
}
