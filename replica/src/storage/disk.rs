//! The storage seam: what the files of a replica lie on, which may be told to misbehave.
//!
//! Every write, read and sync of [`PlacedFile`](super::files::PlacedFile) passes here. An honest replica's disk is
//! sound and costs nothing. Whoever drives the replica may slow its syncs, fail them, let them lie, and fail its
//! writes and reads; and it may ask that what a loss of power would take be kept track of ([`undo`](super::undo)).

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::undo::UndoLog;
use crate::RunClock;

/// All that is wrong with a disk. The default is a sound one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct DiskFaults {
    /// Every sync takes so many nanoseconds longer.
    pub sync_delay: u64,
    /// Every sync fails (EIO).
    pub syncs_fail: bool,
    /// Every sync says that all is durable, and does nothing.
    pub syncs_lie: bool,
    /// Every write fails.
    pub writes_fail: Option<WriteFailure>,
    /// Every read fails (EIO).
    pub reads_fail: bool,
}

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteFailure {
    /// The device does not take it (EIO).
    Device,
    /// There is no room (ENOSPC).
    NoSpace,
}

/// The sync that ended last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncReport {
    /// When it was asked for, in nanoseconds on the run's clock.
    pub began: u64,
    /// How many nanoseconds it took.
    pub took: u64,
    /// Whether it failed.
    pub failed: bool,
    /// Whether it lied.
    pub lied: bool,
}

/// What a replica's files lie on. Clones are the same disk.
#[derive(Clone, Debug, Default)]
pub struct Disk(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    clock: RunClock,
    state: Mutex<State>,
    undo: Option<Mutex<UndoLog>>,
}

#[derive(Debug, Default)]
struct State {
    faults: DiskFaults,
    last_sync: Option<SyncReport>,
    /// A write or a read has failed by order.
    has_refused: bool,
}

impl Disk {
    /// A disk that can be told to misbehave. With `tracks` it keeps track in `directory` of what a loss of power
    /// would take.
    pub fn faulty(
        clock: RunClock,
        faults: DiskFaults,
        directory: &Path,
        tracks: bool,
    ) -> io::Result<Self> {
        let undo = match tracks {
            true => Some(Mutex::new(UndoLog::open(directory)?)),
            false => None,
        };
        let state = State {
            faults,
            ..State::default()
        };
        Ok(Self(Some(Arc::new(Shared {
            clock,
            state: Mutex::new(state),
            undo,
        }))))
    }

    /// From now on this is all that is wrong with it.
    pub fn set(&self, faults: DiskFaults) {
        if let Some(shared) = &self.0 {
            shared.state().faults = faults;
        }
    }

    /// The sync that ended last.
    pub fn last_sync(&self) -> Option<SyncReport> {
        self.0.as_ref()?.state().last_sync
    }

    /// Whether it has refused a write or a read by order.
    pub fn has_refused(&self) -> bool {
        self.0.as_ref().is_some_and(|it| it.state().has_refused)
    }

    /// Bytes are about to be written into a file of `length` bytes: `old` tells what is there.
    pub(super) fn before_write(
        &self,
        path: &Path,
        offset: u64,
        new: &[u8],
        old: impl FnOnce(usize) -> io::Result<(u64, Vec<u8>)>,
    ) -> io::Result<()> {
        let Some(shared) = &self.0 else {
            return Ok(());
        };
        let failure = shared.state().faults.writes_fail;
        if let Some(failure) = failure {
            shared.state().has_refused = true;
            return Err(match failure {
                WriteFailure::Device => Errno::IO.into(),
                WriteFailure::NoSpace => Errno::NOSPC.into(),
            });
        }
        match &shared.undo {
            Some(undo) => {
                let (length, old) = old(new.len())?;
                lock(undo).wrote(path, offset, length, (old, new))
            }
            None => Ok(()),
        }
    }

    /// Something is about to be read.
    pub(super) fn before_read(&self) -> io::Result<()> {
        let Some(shared) = &self.0 else {
            return Ok(());
        };
        let mut state = shared.state();
        if state.faults.reads_fail {
            state.has_refused = true;
            return Err(Errno::IO.into());
        }
        Ok(())
    }

    /// A file is synced by `sync`, or not, as things are.
    pub(super) fn sync(
        &self,
        path: &Path,
        sync: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let Some(shared) = &self.0 else {
            return sync();
        };
        let began = shared.clock.now();
        let faults = shared.state().faults;
        if faults.sync_delay > 0 {
            std::thread::sleep(Duration::from_nanos(faults.sync_delay));
        }
        // It was told meanwhile, perhaps, that it is sound again, or that it is not.
        let faults = shared.state().faults;
        let result = match faults {
            DiskFaults {
                syncs_fail: true, ..
            } => Err(Errno::IO.into()),
            DiskFaults {
                syncs_lie: true, ..
            } => Ok(()),
            _ => sync(),
        };
        let lied = faults.syncs_lie && !faults.syncs_fail;
        if let (Ok(()), false, Some(undo)) = (&result, lied, &shared.undo) {
            lock(undo).synced(path)?;
        }
        let took = shared.clock.now().saturating_since(began);
        shared.state().last_sync = Some(SyncReport {
            began: began.as_nanos(),
            took: u64::try_from(took.as_nanos()).unwrap_or(u64::MAX),
            failed: result.is_err(),
            lied,
        });
        result
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// What a thread that panicked left behind is as good as before.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
