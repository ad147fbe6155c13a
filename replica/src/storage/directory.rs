//! A directory that one process uses: opened, recovered, written in the order of issue.

use std::fs::{self, File, TryLockError};
use std::marker::PhantomData;
use std::path::Path;

use viewstorm_protocol::{Incarnation, Record, RecordId, Recovered, Zone};

use super::files::{parent, remove_unfinished, sync_directory};
use super::incarnation::{self, incarnation_path};
use super::log::Log;
use super::superblock::SuperblockFile;
use super::{Disk, SEGMENT_BYTES, StorageError};

const LOCK: &str = "lock";

/// How much of the log is written at once, unless a single record is longer.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// A replica's storage.
#[derive(Debug)]
pub struct Storage<R> {
    pub(super) log: Log,
    pub(super) checkpoint: Log,
    superblock: SuperblockFile,
    /// Locked. Last, so that it is the last to be dropped.
    _lock: File,
    records: PhantomData<fn(R)>,
}

impl<R: Record> Storage<R> {
    /// Opens the storage in `directory`, or makes it, and recovers what is durable in it. Whoever
    /// gets it is the directory's next incarnation, counted from 1, and its only user while the
    /// storage lives. `starts` is how many incarnations there were at least: storage that was lost has forgotten
    /// them, and their successor must not take their number.
    pub fn open(
        directory: &Path,
        starts: u64,
    ) -> Result<(Self, Recovered<R>, Incarnation), StorageError> {
        Self::open_on(&Disk::default(), directory, starts)
    }

    /// As [`open`](Self::open), on a disk that may misbehave.
    pub fn open_on(
        disk: &Disk,
        directory: &Path,
        starts: u64,
    ) -> Result<(Self, Recovered<R>, Incarnation), StorageError> {
        Self::open_with(directory, SEGMENT_BYTES, starts, disk)
    }

    /// As [`open`](Self::open), with segments of another length.
    pub(super) fn open_with(
        directory: &Path,
        segment_bytes: u64,
        starts: u64,
        disk: &Disk,
    ) -> Result<(Self, Recovered<R>, Incarnation), StorageError> {
        let lock = lock(directory)?;
        remove_unfinished(directory)?;
        // An earlier process may have given a name and not lived to make it durable.
        sync_directory(directory)?;
        let last = incarnation::read(directory, disk)?;
        let first_use = last.is_none();
        let (superblock_file, superblock) = SuperblockFile::open(directory, first_use, disk)?;
        let (log, records) = Log::open(directory, Zone::Log, segment_bytes, first_use, disk)?;
        let (checkpoint, checkpoints) =
            Log::open::<R>(directory, Zone::Checkpoint, segment_bytes, first_use, disk)?;
        let empty = superblock.is_none() && records.is_empty() && checkpoints.is_empty();
        // The count is made last: a directory without it may be half made, but not used.
        if first_use && !empty {
            return Err(StorageError::Missing {
                file: incarnation_path(directory),
            });
        }
        let incarnation = incarnation::count(directory, last.max(Some(Incarnation(starts))), disk)?;
        let storage = Self {
            log,
            checkpoint,
            superblock: superblock_file,
            _lock: lock,
            records: PhantomData,
        };
        let recovered = Recovered {
            superblock,
            log: records,
            format: false,
            checkpoint: checkpoints,
        };
        Ok((storage, recovered, incarnation))
    }

    /// Makes records durable in their order. Names the last of each group to `report`, when all of
    /// it is.
    pub(super) fn persist(
        &mut self,
        records: impl IntoIterator<Item = (RecordId, R)>,
        mut report: impl FnMut(RecordId, &Self),
    ) -> Result<(), StorageError> {
        let mut staged = None;
        for (id, record) in records {
            match record.zone() {
                zone @ (Zone::Log | Zone::Checkpoint) => {
                    if self.sequence(other(zone)).staged_bytes() > 0 {
                        self.commit(staged.take(), &mut report)?;
                    }
                    self.sequence(zone).stage(&record)?;
                    staged = Some(id);
                }
                Zone::Superblock => {
                    self.commit(staged.take(), &mut report)?;
                    self.superblock.replace(&record)?;
                    report(id, self);
                }
            }
            if self.log.staged_bytes() + self.checkpoint.staged_bytes() >= GROUP_BYTES_MAX {
                self.commit(staged.take(), &mut report)?;
            }
        }
        self.commit(staged, &mut report)
    }

    /// The oldest `records` of a zone are not needed any more.
    pub(super) fn reclaim(&mut self, zone: Zone, records: u64) -> Result<(), StorageError> {
        self.sequence(zone).reclaim(records)
    }

    /// Leaves nothing to guess for the next start.
    pub(super) fn close(mut self) -> Result<(), StorageError> {
        self.log.close()?;
        self.checkpoint.close()
    }

    /// How many syncs of records were done.
    pub(super) fn syncs(&self) -> u64 {
        self.log.syncs() + self.checkpoint.syncs() + self.superblock.syncs()
    }

    fn commit(
        &mut self,
        last: Option<RecordId>,
        report: &mut impl FnMut(RecordId, &Self),
    ) -> Result<(), StorageError> {
        if let Some(last) = last {
            // At most one of them has anything to write.
            self.log.commit()?;
            self.checkpoint.commit()?;
            report(last, self);
        }
        Ok(())
    }

    /// One of the two zones that are logs.
    fn sequence(&mut self, zone: Zone) -> &mut Log {
        match zone {
            Zone::Checkpoint => &mut self.checkpoint,
            Zone::Log => &mut self.log,
            Zone::Superblock => panic!("a superblock is replaced as a whole"),
        }
    }
}

/// The zone that is the other log.
fn other(zone: Zone) -> Zone {
    match zone {
        Zone::Log => Zone::Checkpoint,
        _ => Zone::Log,
    }
}

/// Makes the directory if need be, and keeps others out of it. The operating system lets go of the
/// lock when the process ends, however it ends.
fn lock(directory: &Path) -> Result<File, StorageError> {
    if !directory.exists() {
        fs::create_dir_all(directory).map_err(StorageError::io("create", directory))?;
        sync_directory(parent(directory))?;
    }
    let path = directory.join(LOCK);
    let file = File::create(&path).map_err(StorageError::io("create", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StorageError::InUse {
            directory: directory.to_owned(),
        }),
        Err(TryLockError::Error(error)) => Err(StorageError::io("lock", &path)(error)),
    }
}
