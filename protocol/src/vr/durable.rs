//! What a replica writes, how a log is rebuilt from it, and what of it is durable.
//!
//! Records become durable in the order of issue, across zones. A new view is therefore written to the
//! superblock before its log, and `log_view` after: no crash leaves the log of one view under the name of
//! another that is still alive.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

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
}

impl Record for VrRecord {
    fn zone(&self) -> Zone {
        match self {
            Self::Superblock(_) => Zone::Superblock,
            Self::Log(_) => Zone::Log,
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
        &self,
        after: OpNumber,
        entries: Entries,
        commit_number: OpNumber,
        fx: &mut VrEffects,
    ) -> Option<RecordId> {
        let record = LogRecord {
            after,
            entries,
            commit_number,
        };
        let keeps = self.config.durability.keeps_log();
        keeps.then(|| fx.persist(VrRecord::Log(record)))
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

/// Rebuilds the log and what is known to be committed of it. Panics on records that no replica has written:
/// storage tells a torn tail from damage, and damage must stop the replica.
pub(super) fn replay(records: Vec<VrRecord>) -> (Log, OpNumber) {
    let (mut log, mut commit_number) = (Log::default(), OpNumber::ZERO);
    for record in records {
        let VrRecord::Log(record) = record else {
            panic!("a superblock in the log zone");
        };
        let previous = log.checksum(record.after).expect("the log has no gaps");
        let suffix = LogSuffix {
            after: record.after,
            previous,
            entries: record.entries,
        };
        log.agreement(&suffix).expect("the log is undamaged");
        assert!(record.after >= commit_number, "nothing committed is undone");
        log.replace_after(record.after, &suffix.entries);
        commit_number = commit_number.max(record.commit_number);
        assert!(
            commit_number <= log.op_number(),
            "what is committed is there"
        );
    }
    (log, commit_number)
}

/// How much of the log of the current view is durable.
#[derive(Debug, Default)]
pub(super) struct Durability {
    persisted: Option<RecordId>,
    /// Records under way, and up to which op the log is durable with each.
    unsynced: VecDeque<(RecordId, OpNumber)>,
    op: OpNumber,
}

impl Durability {
    /// After a restart: everything that was found is durable.
    pub(super) fn recovered(op: OpNumber) -> Self {
        Self {
            op,
            ..Self::default()
        }
    }

    /// The log reaches to `op`, and memory is all that it is in.
    pub(super) fn in_memory(&mut self, op: OpNumber) {
        self.op = op;
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
