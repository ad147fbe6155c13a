//! The log: operations in the order of their op-numbers, each chained to its predecessor by a checksum.
//!
//! Equal checksums at one op-number mean equal logs up to there, so two replicas compare whole prefixes by one
//! number. What a checkpoint stands for is dropped from its start. The log knows no views and no quorums.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::message::Request;
use super::operation::Operation;
use crate::{ClientId, ViewNumber};

/// A place in the log, from 1; 0 is before the first entry.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct OpNumber(pub u64);

impl OpNumber {
    /// Before the first entry.
    pub const ZERO: Self = Self(0);

    /// The place after this one.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// How many places this one is after `earlier`; zero if it is not after it.
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for OpNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Entries that messages and records share without copying.
pub type Entries = Arc<[LogEntry]>;

/// One operation in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Its place.
    pub op: OpNumber,
    /// The view whose primary put it there. Later views keep it.
    pub view: ViewNumber,
    /// Whose operation it is.
    pub client: ClientId,
    /// The client's number for it.
    pub request_number: u64,
    /// The operation.
    pub operation: Operation,
    /// Covers all of the above and the previous entry's checksum.
    pub checksum: u64,
}

impl LogEntry {
    /// The entry that puts `request` at `op`, after an entry with the checksum `previous`.
    pub(super) fn new(previous: u64, op: OpNumber, view: ViewNumber, request: Request) -> Self {
        let mut entry = Self {
            op,
            view,
            client: request.client,
            request_number: request.request_number,
            operation: request.operation,
            checksum: 0,
        };
        entry.checksum = entry.chained_to(previous);
        entry
    }

    /// The checksum this entry has after an entry with the checksum `previous`.
    fn chained_to(&self, previous: u64) -> u64 {
        let operation = self.operation.hash(previous);
        let words = [
            self.op.0,
            self.view.epoch.0,
            self.view.number,
            u64::from(self.client.endpoint),
            self.client.session,
            self.request_number,
            operation,
        ];
        hash_words(&words, previous)
    }

    /// Tells apart entries whose place, client, request or operation differ.
    pub(super) fn digest(&self) -> u64 {
        let words = [
            self.op.0,
            u64::from(self.client.endpoint),
            self.client.session,
            self.request_number,
        ];
        hash_words(&words, self.operation.hash(0))
    }
}

/// Hashes numbers.
pub(super) fn hash_words<const N: usize>(words: &[u64; N], seed: u64) -> u64 {
    xxh3_64_with_seed(words.map(u64::to_le_bytes).as_flattened(), seed)
}

/// The end of a log, from some place on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSuffix {
    /// The place before the first entry.
    pub after: OpNumber,
    /// The checksum of the entry at `after`.
    pub previous: u64,
    /// The entries after it, without gaps.
    pub entries: Entries,
}

impl LogSuffix {
    /// The op-number of the last entry, or `after` if there is none.
    pub fn op_number(&self) -> OpNumber {
        OpNumber(self.after.0.saturating_add(self.entries.len() as u64))
    }

    /// The entries after `first` up to `last`.
    pub(super) fn between(&self, first: OpNumber, last: OpNumber) -> Entries {
        let from = first.since(self.after) as usize;
        let to = last.since(self.after) as usize;
        match from {
            0 if to == self.entries.len() => Arc::clone(&self.entries),
            _ => Arc::from(&self.entries[from..to]),
        }
    }
}

/// Why a suffix cannot be laid on a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Detached {
    /// The log ends before the suffix begins.
    Beyond,
    /// The log holds another entry at the place before the suffix, or where the log itself begins.
    Differs,
    /// The suffix itself has a gap or a wrong checksum.
    Malformed,
}

/// A replica's log, from some committed place on.
#[derive(Clone, Debug, Default)]
pub(super) struct Log {
    /// The place before the first entry that is still here.
    base: OpNumber,
    /// The checksum at `base`; 0 before the first entry of all.
    base_checksum: u64,
    /// The entry at op-number n is at index n - base - 1.
    entries: Vec<LogEntry>,
}

impl Log {
    /// An empty log that goes on after `base`.
    pub(super) fn after(base: OpNumber, base_checksum: u64) -> Self {
        Self {
            base,
            base_checksum,
            entries: Vec::new(),
        }
    }

    /// The place before the first entry that is still here.
    pub(super) fn base(&self) -> OpNumber {
        self.base
    }

    pub(super) fn op_number(&self) -> OpNumber {
        OpNumber(self.base.0 + self.entries.len() as u64)
    }

    pub(super) fn entry(&self, op: OpNumber) -> Option<&LogEntry> {
        let index = usize::try_from(op.0.checked_sub(self.base.0 + 1)?).ok()?;
        self.entries.get(index)
    }

    /// The checksum at `op`, which covers the log up to there. Before the first entry it is 0.
    pub(super) fn checksum(&self, op: OpNumber) -> Option<u64> {
        match op == self.base {
            true => Some(self.base_checksum),
            false => self.entry(op).map(|entry| entry.checksum),
        }
    }

    /// Forgets the entries up to `base`. Keeps them all if that is not a place in the log.
    pub(super) fn drop_until(&mut self, base: OpNumber) {
        if let Some(checksum) = self.checksum(base) {
            self.entries.drain(..base.since(self.base) as usize);
            (self.base, self.base_checksum) = (base, checksum);
        }
    }

    /// Adds an entry for `request` at the end.
    pub(super) fn push(&mut self, view: ViewNumber, request: Request) -> &LogEntry {
        let previous = match self.entries.last() {
            Some(entry) => entry.checksum,
            None => self.base_checksum,
        };
        let entry = LogEntry::new(previous, self.op_number().next(), view, request);
        self.entries.push(entry);
        &self.entries[self.entries.len() - 1]
    }

    /// Replaces everything after `after` by `entries`, which are known to attach there.
    pub(super) fn replace_after(&mut self, after: OpNumber, entries: &[LogEntry]) {
        assert!(after <= self.op_number(), "a log has no gaps");
        assert!(after >= self.base, "what a checkpoint stands for stays");
        self.entries.truncate(after.since(self.base) as usize);
        self.entries.extend_from_slice(entries);
    }

    /// The entries after `after` up to `last`.
    pub(super) fn slice(&self, after: OpNumber, last: OpNumber) -> &[LogEntry] {
        &self.entries[after.since(self.base) as usize..last.since(self.base) as usize]
    }

    /// The entries after `after` up to `last`, to be sent.
    pub(super) fn suffix(&self, after: OpNumber, last: OpNumber) -> LogSuffix {
        let previous = self.checksum(after).expect("the suffix begins in the log");
        LogSuffix {
            after,
            previous,
            entries: Arc::from(self.slice(after, last)),
        }
    }

    /// The last place up to which this log and the suffix are the same, if the suffix attaches at all. What this
    /// log holds no more is committed, and a checkpoint stands for it: no suffix differs there.
    pub(super) fn agreement(&self, suffix: &LogSuffix) -> Result<OpNumber, Detached> {
        if suffix.after >= self.base {
            let own = self.checksum(suffix.after).ok_or(Detached::Beyond)?;
            if own != suffix.previous {
                return Err(Detached::Differs);
            }
        }
        let (mut agree, mut previous) = (suffix.after, suffix.previous);
        for (place, entry) in (suffix.after.0.saturating_add(1)..).zip(suffix.entries.iter()) {
            if entry.op.0 != place || entry.checksum != entry.chained_to(previous) {
                return Err(Detached::Malformed);
            }
            if entry.op == self.base && entry.checksum != self.base_checksum {
                return Err(Detached::Differs);
            }
            // The checksums are chained: once two logs differ they differ for ever.
            if entry.op < self.base || self.checksum(entry.op) == Some(entry.checksum) {
                agree = entry.op;
            }
            previous = entry.checksum;
        }
        Ok(agree)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::EpochNumber;

    fn request(number: u64) -> Request {
        Request {
            epoch: EpochNumber(0),
            client: ClientId {
                endpoint: 0,
                session: 1,
            },
            request_number: number,
            operation: Operation::CheckEpoch,
        }
    }

    fn log(requests: &[u64]) -> Log {
        let mut log = Log::default();
        for number in requests {
            log.push(ViewNumber::new(0), request(*number));
        }
        log
    }

    #[test]
    fn logs_agree_up_to_their_first_difference() {
        let (one, two) = (log(&[1, 2, 3, 4]), log(&[1, 2, 5, 4]));
        let suffix = two.suffix(OpNumber(1), OpNumber(4));
        assert_eq!(one.agreement(&suffix), Ok(OpNumber(2)));
        assert_eq!(log(&[1]).agreement(&suffix), Ok(OpNumber(1)));
        assert_eq!(log(&[]).agreement(&suffix), Err(Detached::Beyond));
        assert_eq!(log(&[7, 2]).agreement(&suffix), Err(Detached::Differs));
        assert_eq!(two.agreement(&suffix), Ok(OpNumber(4)));
    }

    #[test]
    fn a_suffix_with_a_gap_or_a_changed_entry_is_malformed() {
        let one = log(&[1, 2, 3]);
        let suffix = one.suffix(OpNumber(0), OpNumber(3));
        for change in [
            (|entries: &mut Vec<LogEntry>| drop(entries.remove(1))) as fn(&mut Vec<LogEntry>),
            |entries| entries[1].request_number += 1,
            |entries| entries[2].op = OpNumber(u64::MAX),
            |entries| entries.swap(0, 1),
        ] {
            let mut entries = suffix.entries.to_vec();
            change(&mut entries);
            let changed = LogSuffix {
                entries: entries.into(),
                ..suffix.clone()
            };
            assert_eq!(log(&[]).agreement(&changed), Err(Detached::Malformed));
        }
    }
}
