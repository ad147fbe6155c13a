//! A replica's disk: what was written, what of it is durable, and what a crash leaves.
//!
//! ```text
//!   written, oldest first     | durable ......... | under sync .. | since ... |
//!   a process crash leaves    | all of it                                     |
//!   a power loss leaves       | all of it         | a prefix, of random length|
//! ```
//!
//! One sync runs at a time and covers what was written before it began; what is written meanwhile goes
//! together with the next (group commit). A half-written record counts as lost: its checksum says so at the
//! next start, and only the last can be torn. All zones share one order, the superblock is replaced
//! atomically. Of the records that the core says it needs no more, the latest few stay for a while, as on a
//! real disk, which frees whole files.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use viewstorm_history::Timestamp;
use viewstorm_nemesis::{
    DamagePlace, DiskReading, DiskRule, PowerLossReading, SyncReading, WriteError,
};
use viewstorm_protocol::{Record, RecordId, Recovered, Zone};

use crate::Between;
use crate::random::{Stream, nanos};

/// How a replica's process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashKind {
    /// The process alone: the operating system keeps what it was handed.
    Process,
    /// The machine: a random part of what was not synced is lost, the latest first.
    PowerLoss,
}

/// Names a durable record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordPlace {
    /// The superblock.
    Superblock,
    /// The log's record at this index, from 0.
    Log(usize),
    /// The checkpoints' record at this index, from 0.
    Checkpoint(usize),
}

impl fmt::Display for RecordPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superblock => f.write_str("the superblock"),
            Self::Log(index) => write!(f, "log record {index}"),
            Self::Checkpoint(index) => write!(f, "checkpoint record {index}"),
        }
    }
}

/// A sync failed: the process must not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SyncFailed;

#[derive(Clone, Debug)]
struct Stored<R> {
    record: R,
    /// Its checksum does not match.
    corrupt: bool,
}

/// How many records that nobody needs a disk keeps at most, in each zone.
const RECLAIMED_KEPT: u64 = 8;

/// A zone that grows at its end and is forgotten from its start.
#[derive(Debug)]
struct Sequence<R> {
    records: Vec<Stored<R>>,
    /// How many of them, from the first, nobody needs.
    reclaimed: u64,
}

impl<R> Default for Sequence<R> {
    fn default() -> Self {
        Self {
            records: Vec::new(),
            reclaimed: 0,
        }
    }
}

impl<R: Clone> Sequence<R> {
    /// Its oldest needed `records` are not needed any more. Keeps up to `kept` of those that are not.
    fn reclaim(&mut self, records: u64, kept: u64) {
        self.reclaimed += records;
        let length = self.records.len() as u64;
        assert!(
            self.reclaimed <= length,
            "only what is durable is reclaimed"
        );
        let freed = self.reclaimed.saturating_sub(kept);
        self.reclaimed -= freed;
        self.records
            .drain(..usize::try_from(freed).expect("at most a length"));
    }

    /// What a new process finds: it needs all of it until it says otherwise.
    fn found(&mut self) -> Result<Vec<R>, usize> {
        self.reclaimed = 0;
        match self.records.iter().position(|stored| stored.corrupt) {
            Some(index) => Err(index),
            None => Ok(self
                .records
                .iter()
                .map(|stored| stored.record.clone())
                .collect()),
        }
    }
}

/// A replica's disk. It outlives the replica's processes.
#[derive(Debug)]
pub(crate) struct Disk<R> {
    superblock: Option<Stored<R>>,
    log: Sequence<R>,
    checkpoint: Sequence<R>,
    /// Handed to the operating system and not known to be durable.
    cached: VecDeque<(RecordId, R)>,
    /// How many of `cached` the running sync covers; zero if none runs.
    syncing: usize,
    /// How many of `cached` a sync lied about: they are said to be durable.
    promised: usize,
    /// How many records ever became durable.
    durable: u64,
    random: Stream,
    rule: DiskRule,
    fail_next: bool,
    sync_began: Timestamp,
    last_sync: Option<SyncReading>,
    last_power_loss: Option<PowerLossReading>,
    has_refused: bool,
}

impl<R: Record> Disk<R> {
    /// An empty disk.
    pub(crate) fn new(random: Stream) -> Self {
        Self {
            superblock: None,
            log: Sequence::default(),
            checkpoint: Sequence::default(),
            cached: VecDeque::new(),
            syncing: 0,
            promised: 0,
            durable: 0,
            random,
            rule: DiskRule::default(),
            fail_next: false,
            sync_began: Timestamp::ZERO,
            last_sync: None,
            last_power_loss: None,
            has_refused: false,
        }
    }

    /// Takes a record in, unless its rule says that writes fail.
    pub(crate) fn write(&mut self, id: RecordId, record: R) -> Result<(), WriteError> {
        if let Some(error) = self.rule.writes_fail {
            self.has_refused = true;
            return Err(error);
        }
        self.cached.push_back((id, record));
        Ok(())
    }

    /// How many records were ever written and not lost.
    pub(crate) fn written(&self) -> u64 {
        self.durable + self.cached.len() as u64
    }

    /// How many records are durable once all of the log are that were ever written and not lost. A step may
    /// write to the log first and to the checkpoints after that.
    pub(crate) fn log_written(&self) -> u64 {
        let mut cached = self.cached.iter();
        let last = cached.rposition(|(_, record)| record.zone() == Zone::Log);
        self.durable + last.map_or(0, |place| place as u64 + 1)
    }

    /// How many records ever became durable.
    pub(crate) fn durable(&self) -> u64 {
        self.durable
    }

    /// Starts a sync if there is something to sync and none runs. Returns how long it will take.
    pub(crate) fn start_sync(&mut self, now: Timestamp, latency: Between) -> Option<u64> {
        if self.syncing > 0 || self.cached.len() <= self.promised {
            return None;
        }
        self.syncing = self.cached.len();
        self.sync_began = now;
        Some(
            self.random
                .nanos(latency)
                .saturating_add(nanos(self.rule.sync_delay)),
        )
    }

    /// Ends the running sync. Returns the last record that it made durable.
    pub(crate) fn finish_sync(&mut self, now: Timestamp) -> Result<RecordId, SyncFailed> {
        assert!(self.syncing > 0, "a sync ends once");
        let covered = std::mem::take(&mut self.syncing);
        let failed = std::mem::take(&mut self.fail_next) || self.rule.syncs_fail;
        let (began, took) = (self.sync_began, now.saturating_since(self.sync_began));
        let lied = self.rule.syncs_lie && !failed;
        self.last_sync = Some(SyncReading {
            began,
            took,
            failed,
            lied,
        });
        if failed {
            return Err(SyncFailed);
        }
        let last = self.cached[covered - 1].0;
        if lied {
            self.promised = covered;
        } else {
            self.settle(covered);
        }
        Ok(last)
    }

    /// The process, or the machine, is gone.
    pub(crate) fn crash(&mut self, now: Timestamp, kind: CrashKind) {
        self.syncing = 0;
        // A process crash leaves all of it to the next, which syncs it before it relies on it.
        self.promised = 0;
        if kind == CrashKind::PowerLoss {
            let unsynced = self.cached.len() as u64;
            let survivors = self.random.up_to(unsynced);
            let lost = unsynced - survivors;
            self.last_power_loss = Some(PowerLossReading {
                at: now,
                unsynced,
                lost,
            });
            self.settle(usize::try_from(survivors).expect("at most a length"));
            self.cached.clear();
        }
    }

    /// Everything is gone: a new disk.
    pub(crate) fn wipe(&mut self) {
        self.superblock = None;
        self.log = Sequence::default();
        self.checkpoint = Sequence::default();
        self.cached.clear();
        self.syncing = 0;
        self.promised = 0;
    }

    /// What a new process finds. It syncs what it reads before it relies on it.
    pub(crate) fn recover(&mut self) -> Result<Recovered<R>, RecordPlace> {
        self.settle(self.cached.len());
        if self
            .superblock
            .as_ref()
            .is_some_and(|stored| stored.corrupt)
        {
            return Err(RecordPlace::Superblock);
        }
        // The place for repair: a core that knows how would be handed the gap instead.
        Ok(Recovered {
            superblock: self.superblock.as_ref().map(|stored| stored.record.clone()),
            log: self.log.found().map_err(RecordPlace::Log)?,
            checkpoint: self.checkpoint.found().map_err(RecordPlace::Checkpoint)?,
            format: false,
        })
    }

    /// The zone's oldest `records` needed records are not needed any more.
    pub(crate) fn reclaim(&mut self, zone: Zone, records: u64) {
        let kept = self.random.up_to(RECLAIMED_KEPT);
        match zone {
            Zone::Superblock => panic!("a superblock is replaced, not reclaimed"),
            Zone::Log => self.log.reclaim(records, kept),
            Zone::Checkpoint => self.checkpoint.reclaim(records, kept),
        }
    }

    /// Spoils a durable record. Returns whether there is such a record.
    pub(crate) fn corrupt(&mut self, place: RecordPlace) -> bool {
        let stored = match place {
            RecordPlace::Superblock => self.superblock.as_mut(),
            RecordPlace::Log(index) => self.log.records.get_mut(index),
            RecordPlace::Checkpoint(index) => self.checkpoint.records.get_mut(index),
        };
        stored.map(|stored| stored.corrupt = true).is_some()
    }

    /// How many records the log holds durably.
    pub(crate) fn log_len(&self) -> usize {
        self.log.records.len()
    }

    /// The next sync to end fails.
    pub(crate) fn fail_next_sync(&mut self) {
        self.fail_next = true;
    }

    /// From now on every sync takes this much longer.
    pub(crate) fn slow_down(&mut self, by: Duration) {
        self.rule.sync_delay = by;
    }

    /// From now on this is all that is wrong with it.
    pub(crate) fn set_rule(&mut self, rule: DiskRule) {
        self.rule = rule;
    }

    /// Spoils the durable record there, if there is one.
    pub(crate) fn damage(&mut self, place: DamagePlace) {
        let place = match place {
            DamagePlace::Superblock => RecordPlace::Superblock,
            DamagePlace::Middle => RecordPlace::Log(self.log_len() / 2),
            DamagePlace::Tail => RecordPlace::Log(self.log_len().saturating_sub(1)),
        };
        self.corrupt(place);
    }

    /// What it is like.
    pub(crate) fn reading(&self) -> DiskReading {
        let superblock = self
            .superblock
            .iter()
            .map(|stored| (RecordPlace::Superblock, stored));
        let (log, checkpoint) = (&self.log.records, &self.checkpoint.records);
        let places = (0..).map(RecordPlace::Log).zip(log);
        let places = places.chain((0..).map(RecordPlace::Checkpoint).zip(checkpoint));
        let corrupt = superblock
            .chain(places)
            .filter(|(_, stored)| stored.corrupt);
        DiskReading {
            records: u64::from(self.superblock.is_some()) + (log.len() + checkpoint.len()) as u64,
            corrupt: corrupt.map(|(place, _)| place.to_string()).collect(),
            last_sync: self.last_sync,
            last_power_loss: self.last_power_loss,
            has_refused: self.has_refused,
        }
    }

    /// The oldest `count` cached records are durable.
    fn settle(&mut self, count: usize) {
        self.promised = self.promised.saturating_sub(count);
        for (_, record) in self.cached.drain(..count) {
            self.durable += 1;
            let zone = record.zone();
            let stored = Stored {
                record,
                corrupt: false,
            };
            match zone {
                Zone::Superblock => self.superblock = Some(stored),
                Zone::Log => self.log.records.push(stored),
                Zone::Checkpoint => self.checkpoint.records.push(stored),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use viewstorm_history::Seed;
    use viewstorm_protocol::Effects;

    use super::*;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Written {
        View(u64),
        Entry(u64),
    }

    impl Record for Written {
        fn zone(&self) -> Zone {
            match self {
                Self::View(_) => Zone::Superblock,
                Self::Entry(_) => Zone::Log,
            }
        }
    }

    fn write(disk: &mut Disk<Written>, record: Written) {
        // The order on the disk is all that its names are for.
        let id = Effects::<(), Written>::default().persist(record.clone());
        disk.write(id, record).expect("a sound disk");
    }

    /// A disk with a durable superblock and so many durable entries.
    fn disk(entries: u64) -> Disk<Written> {
        let mut disk = Disk::new(Stream::new(Seed(1), "disk"));
        write(&mut disk, Written::View(3));
        for entry in 1..=entries {
            write(&mut disk, Written::Entry(entry));
        }
        disk.start_sync(Timestamp(10), Between::micros(1, 1))
            .unwrap();
        disk.finish_sync(Timestamp(1_010)).unwrap();
        disk
    }

    #[test]
    fn a_reading_tells_the_last_sync_and_how_long_it_took() {
        let mut disk = disk(2);
        let sync = disk.reading().last_sync.unwrap();
        assert_eq!(
            (sync.began, sync.took),
            (Timestamp(10), Duration::from_nanos(1_000))
        );
        assert!(!sync.failed);
        let sync_delay = Duration::from_micros(5);
        disk.set_rule(DiskRule {
            sync_delay,
            syncs_fail: true,
            ..DiskRule::default()
        });
        write(&mut disk, Written::Entry(3));
        assert_eq!(
            disk.start_sync(Timestamp(20), Between::micros(1, 1)),
            Some(6_000)
        );
        assert_eq!(disk.finish_sync(Timestamp(6_020)), Err(SyncFailed));
        assert!(disk.reading().last_sync.unwrap().failed);
    }

    #[test]
    fn a_reading_tells_what_a_loss_of_power_took() {
        let mut disk = disk(2);
        for entry in 3..=12 {
            write(&mut disk, Written::Entry(entry));
        }
        disk.crash(Timestamp(7), CrashKind::Process);
        assert_eq!(
            disk.reading().last_power_loss,
            None,
            "a process takes nothing with it"
        );
        disk.crash(Timestamp(8), CrashKind::PowerLoss);
        let loss = disk.reading().last_power_loss.unwrap();
        assert_eq!((loss.at, loss.unsynced), (Timestamp(8), 10));
        assert_eq!(disk.reading().records, 3 + (10 - loss.lost));
    }

    #[test]
    fn a_reading_names_the_records_that_are_damaged() {
        for (place, name) in [
            (DamagePlace::Superblock, "the superblock"),
            (DamagePlace::Middle, "log record 3"),
            (DamagePlace::Tail, "log record 6"),
        ] {
            let mut disk = disk(7);
            disk.damage(place);
            assert_eq!(disk.reading().corrupt, [name]);
            let found = disk.recover().unwrap_err();
            assert_eq!(found.to_string(), name);
            disk.wipe();
            assert_eq!(disk.reading().records, 0);
            assert!(disk.reading().corrupt.is_empty());
        }
        let mut empty: Disk<Written> = Disk::new(Stream::new(Seed(1), "disk"));
        empty.damage(DamagePlace::Tail);
        assert!(
            empty.reading().corrupt.is_empty(),
            "there is no such record"
        );
    }

    #[test]
    fn what_a_sync_lied_about_is_lost_with_the_power_unless_a_later_one_told_the_truth() {
        let (now, latency) = (Timestamp(10), Between::micros(1, 1));
        let lying = |seed| {
            let mut disk = Disk::new(Stream::new(Seed(seed), "disk"));
            disk.set_rule(DiskRule {
                syncs_lie: true,
                ..DiskRule::default()
            });
            (1..=3).for_each(|entry| write(&mut disk, Written::Entry(entry)));
            assert!(disk.start_sync(now, latency).is_some());
            assert!(disk.finish_sync(now).is_ok());
            assert!(disk.reading().last_sync.is_some_and(|sync| sync.lied));
            assert!(disk.start_sync(now, latency).is_none(), "it is all done");
            assert_eq!((disk.durable(), disk.written()), (0, 3));
            disk
        };
        let lost = (0..20).filter(|seed| {
            let mut disk = lying(*seed);
            disk.crash(now, CrashKind::PowerLoss);
            disk.durable() < 3
        });
        assert!(lost.count() > 5);
        let mut disk = lying(1);
        disk.set_rule(DiskRule::default());
        write(&mut disk, Written::Entry(4));
        assert!(disk.start_sync(now, latency).is_some());
        assert!(disk.finish_sync(now).is_ok());
        disk.crash(now, CrashKind::PowerLoss);
        assert_eq!(disk.durable(), 4);
    }
}
