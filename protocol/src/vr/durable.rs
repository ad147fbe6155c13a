//! What a replica writes, how a log is rebuilt from it, and what of it is durable.
//!
//! Records become durable in the order of issue, across zones. A new view is therefore written to the
//! superblock before its log, and `log_view` after: no crash leaves the log of one view under the name of
//! another that is still alive.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, CheckpointRecord};
use super::configuration::Configuration;
use super::log::{Entries, Log, LogSuffix, OpNumber};
use super::replica::{Phase, VrEffects, VrReplica};
use crate::{Record, RecordId, ViewNumber, Zone};

/// What must never be forgotten about views.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Superblock {
    /// The view that the replica is in, or is moving to. It takes part in no earlier one again.
    pub view: ViewNumber,
    /// The latest view in which its status was normal (v' in VRR §4.2): the view that its log belongs to.
    /// One of an earlier epoch while the replica has yet to fetch what its epoch begins with.
    pub log_view: ViewNumber,
    /// The group of the view's epoch.
    pub configuration: Configuration,
    /// The replica was replaced and its part is over: it waits to be made a member again.
    pub retired: bool,
}

/// A change of the log, whole or not at all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogRecord {
    /// Everything after this place is replaced ...
    pub after: OpNumber,
    /// The log's checksum up to there: of a log whose start was dropped this is what the first record goes on
    /// from, and after a checkpoint was installed, every record.
    pub previous: u64,
    /// ... by these entries.
    pub entries: Entries,
    /// How much of the changed log was known to be committed. That never becomes untrue, so a restarted
    /// replica need not learn it again.
    pub commit_number: OpNumber,
}

/// What a replica persists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum VrRecord {
    /// Replaces the superblock.
    Superblock(Superblock),
    /// Extends the log's history.
    Log(LogRecord),
    /// A checkpoint, or a part of one.
    Checkpoint(CheckpointRecord),
}

impl Record for VrRecord {
    fn zone(&self) -> Zone {
        match self {
            Self::Superblock(_) => Zone::Superblock,
            Self::Log(_) => Zone::Log,
            Self::Checkpoint(_) => Zone::Checkpoint,
        }
    }
}

/// Where a mode decides what is written. Nobody else asks which one it is.
impl<S> VrReplica<S> {
    fn superblock(&self) -> VrRecord {
        VrRecord::Superblock(Superblock {
            view: self.view,
            log_view: self.log_view,
            configuration: self.configuration.clone(),
            retired: matches!(&self.phase, Phase::Replaced(replaced) if replaced.has_retired),
        })
    }

    /// The replica is in a view, or on its way to one, for the first time. A vote in it waits for this.
    pub(super) fn persist_view(&self, fx: &mut VrEffects) {
        // Who has lost its log has lost its votes: until it has both again there is nothing to restart from.
        let lost = matches!(self.phase, Phase::Recovering(_)) && self.config.durability.keeps_log();
        if self.config.durability.keeps_views() && !lost {
            fx.persist(self.superblock());
        }
    }

    /// Everything after `after` was replaced by `entries`.
    pub(super) fn persist_change(
        &mut self,
        after: OpNumber,
        entries: Entries,
        commit_number: OpNumber,
        fx: &mut VrEffects,
    ) -> Option<RecordId> {
        if !self.config.durability.keeps_log() {
            return None;
        }
        let previous = self.log.checksum(after);
        let record = fx.persist(VrRecord::Log(LogRecord {
            after,
            previous: previous.expect("the log has no gaps"),
            entries,
            commit_number,
        }));
        self.durability.attached(record, after);
        Some(record)
    }

    /// As [`persist_change`](Self::persist_change), for entries that this replica is to acknowledge.
    pub(super) fn persist_log(
        &mut self,
        after: OpNumber,
        entries: Entries,
        commit_number: OpNumber,
        fx: &mut VrEffects,
    ) {
        let end = self.log.op_number();
        match self.persist_change(after, entries, commit_number, fx) {
            Some(record) => self.durability.appended(record, end),
            None => self.durability.in_memory(end),
        }
    }

    /// The log is that of `log_view`, whole. Returns what is awaited before the view may start here.
    pub(super) fn persist_installed(&mut self, fx: &mut VrEffects) -> Option<RecordId> {
        let end = self.log.op_number();
        if !self.config.durability.keeps_log() {
            self.durability.in_memory(end);
            return None;
        }
        let record = fx.persist(self.superblock());
        self.durability.installed(record, end);
        Some(record)
    }
}

/// A log as its records tell it.
pub(super) struct Replayed {
    pub(super) log: Log,
    pub(super) commit_number: OpNumber,
    /// Where each record attaches.
    pub(super) attached: Vec<OpNumber>,
    /// Whether the log and the checkpoint met only now: no record says so yet.
    pub(super) rebased: bool,
}

/// Rebuilds the log and what is known to be committed of it. Panics on records that no replica has written:
/// storage tells a torn tail from damage, and damage must stop the replica.
///
/// The first record may be any one whose successors are all there: it goes on from a log that is not here any
/// more. Some after it may reach back further still, to what a later view replaced; and that of an installed
/// checkpoint goes on from that.
pub(super) fn replay(records: Vec<VrRecord>, checkpoint: Option<&Checkpoint>) -> Replayed {
    let (mut log, mut commit_number) = (Log::default(), OpNumber::ZERO);
    let mut attached = Vec::new();
    for record in records {
        let VrRecord::Log(record) = record else {
            panic!("another zone's record in the log zone");
        };
        let (after, previous) = (record.after, record.previous);
        if log.checksum(after) != Some(previous) {
            let installed = record.entries.is_empty() && record.commit_number == after;
            let earlier = attached.is_empty() || after < log.base();
            assert!(installed || earlier, "the log has no gaps");
            log = Log::after(after, previous);
        }
        let suffix = LogSuffix {
            after,
            previous,
            entries: record.entries,
        };
        log.agreement(&suffix).expect("the log is undamaged");
        assert!(after >= commit_number, "nothing committed is undone");
        log.replace_after(after, &suffix.entries);
        commit_number = commit_number.max(record.commit_number);
        assert!(
            commit_number <= log.op_number(),
            "what is committed is there"
        );
        attached.push(after);
    }
    let Some(checkpoint) = checkpoint else {
        assert_eq!(
            log.base(),
            OpNumber::ZERO,
            "a checkpoint stands for what the log has not"
        );
        return Replayed {
            log,
            commit_number,
            attached,
            rebased: false,
        };
    };
    assert!(
        log.base() <= checkpoint.op,
        "the log goes on where the checkpoint ends"
    );
    // The checkpoint was installed, and a crash came before the log began with it: what is there is shorter, or
    // differs from what is committed.
    let rebased = log.checksum(checkpoint.op) != Some(checkpoint.log_checksum);
    if rebased {
        log = Log::after(checkpoint.op, checkpoint.log_checksum);
    }
    let commit_number = commit_number.max(checkpoint.op);
    Replayed {
        log,
        commit_number,
        attached,
        rebased,
    }
}

/// How much of the log of the current view is durable.
#[derive(Debug, Default)]
pub(super) struct Durability {
    persisted: Option<RecordId>,
    /// Records under way, and up to which op the log is durable with each.
    unsynced: VecDeque<(RecordId, OpNumber)>,
    op: OpNumber,
    /// Where each log record in storage attaches, and its name if it is of this incarnation.
    attached: VecDeque<(Option<RecordId>, OpNumber)>,
}

impl Durability {
    /// After a restart: everything that was found is durable.
    pub(super) fn recovered(op: OpNumber, attached: Vec<OpNumber>) -> Self {
        Self {
            op,
            attached: attached.into_iter().map(|after| (None, after)).collect(),
            ..Self::default()
        }
    }

    /// The log reaches to `op`, and memory is all that it is in.
    pub(super) fn in_memory(&mut self, op: OpNumber) {
        self.op = op;
    }

    /// A log record was issued that attaches there.
    pub(super) fn attached(&mut self, record: RecordId, after: OpNumber) {
        self.attached.push_back((Some(record), after));
    }

    /// Forgets the log's oldest records that are not needed for what comes after `base`, and says how many: all
    /// before the last that attaches there or earlier. That one replaces everything that follows.
    pub(super) fn superfluous(&mut self, base: OpNumber) -> u64 {
        let persisted = self.persisted;
        let begins =
            |(record, after): &(Option<RecordId>, OpNumber)| *after <= base && *record <= persisted;
        let first = self.attached.iter().rposition(begins).unwrap_or(0);
        self.attached.drain(..first);
        first as u64
    }

    /// The log now reaches to `op`, once `record` is durable.
    pub(super) fn appended(&mut self, record: RecordId, op: OpNumber) {
        self.unsynced.push_back((record, op));
    }

    /// The log is that of a new view, once `record` is durable.
    pub(super) fn installed(&mut self, record: RecordId, op: OpNumber) {
        self.unsynced.clear();
        self.op = OpNumber::ZERO;
        self.unsynced.push_back((record, op));
    }

    /// Learns that `record` and all before it are durable.
    pub(super) fn on_persisted(&mut self, record: RecordId) {
        self.persisted = self.persisted.max(Some(record));
        while let Some((first, op)) = self.unsynced.front().copied()
            && first <= record
        {
            self.op = op;
            self.unsynced.pop_front();
        }
    }

    /// Whether `record` is durable; no record always is.
    pub(super) fn is_durable(&self, record: Option<RecordId>) -> bool {
        record <= self.persisted
    }

    /// Up to where the log is durable as that of the current view.
    pub(super) fn op(&self) -> OpNumber {
        self.op
    }

    /// The record with which the whole log is durable; none if it is already.
    pub(super) fn awaited(&self) -> Option<RecordId> {
        self.unsynced.back().map(|(record, _)| *record)
    }

    /// How many records are under way.
    pub(super) fn unsynced(&self) -> usize {
        self.unsynced.len()
    }
}
