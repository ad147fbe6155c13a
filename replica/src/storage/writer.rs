//! The thread that writes: takes what was submitted while it synced, and makes it durable together.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::{io, panic};

use viewstorm_protocol::{Record, RecordId, Zone};

use super::{Storage, StorageError};

/// How many records wait for the thread before whoever submits waits for it too. Twice what a core
/// lets be under way, so that none ever does.
pub const SUBMITTED_MAX: usize = 8192;

/// How many records go through one round of the thread.
const ROUND_RECORDS_MAX: usize = 4096;

/// Storage at work on a thread of its own.
///
/// Dropped without [`stop`](Self::stop), the thread ends after the round that is under way, and
/// what was not begun is lost, as in a crash. The last thing that it drops is `done`; by then the
/// directory is free.
#[derive(Debug)]
pub struct StorageWriter<R> {
    submitted: Option<SyncSender<Order<R>>>,
    thread: Option<JoinHandle<Result<(), StorageError>>>,
    shared: Arc<Shared>,
}

/// What the thread is to do.
#[derive(Debug)]
enum Order<R> {
    Persist(RecordId, R),
    Reclaim(Zone, u64),
}

#[derive(Debug, Default)]
struct Shared {
    abandoned: AtomicBool,
    syncs: AtomicU64,
}

impl<R: Record + Send + 'static> Storage<R> {
    /// Starts the thread. It calls `done` with the last record of each group that has become
    /// durable, in ascending order; everything submitted before that record is durable with it.
    /// Should anything fail it calls `done` with the error, once, and ends: nothing is durable any
    /// more that was not reported before.
    pub fn start(
        self,
        done: impl Fn(Result<RecordId, StorageError>) + Send + 'static,
    ) -> io::Result<StorageWriter<R>> {
        let (submitted, receiver) = sync_channel(SUBMITTED_MAX);
        let shared = Arc::new(Shared::default());
        let thread = {
            let shared = Arc::clone(&shared);
            thread::Builder::new()
                .name("storage".to_owned())
                .spawn(move || match run(self, &receiver, &shared, &done) {
                    Ok(()) => Ok(()),
                    Err(error) => {
                        done(Err(error));
                        Err(StorageError::FailedBefore)
                    }
                })?
        };
        Ok(StorageWriter {
            submitted: Some(submitted),
            thread: Some(thread),
            shared,
        })
    }
}

impl<R> StorageWriter<R> {
    /// Hands over a record. The order of these calls is the order in which records become durable.
    /// Ignored after a failure. Waits while [`SUBMITTED_MAX`] records wait.
    pub fn submit(&self, id: RecordId, record: R) {
        if let Some(submitted) = &self.submitted {
            // The thread is gone after a failure only, and has reported it.
            let _ = submitted.send(Order::Persist(id, record));
        }
    }

    /// The zone's oldest `records` will not be needed again, as [`Effect::Reclaim`] says.
    ///
    /// [`Effect::Reclaim`]: viewstorm_protocol::Effect::Reclaim
    pub fn reclaim(&self, zone: Zone, records: u64) {
        if let Some(submitted) = &self.submitted {
            let _ = submitted.send(Order::Reclaim(zone, records));
        }
    }

    /// How many syncs of records were done: fewer than records, when they come faster than the disk
    /// syncs.
    pub fn syncs(&self) -> u64 {
        self.shared.syncs.load(Ordering::Relaxed)
    }

    /// Makes everything durable that was submitted, and ends the thread.
    pub fn stop(mut self) -> Result<(), StorageError> {
        self.submitted = None;
        match self.thread.take().map(JoinHandle::join) {
            Some(Ok(result)) => result,
            Some(Err(bug)) => panic::resume_unwind(bug),
            None => Ok(()),
        }
    }
}

impl<R> Drop for StorageWriter<R> {
    fn drop(&mut self) {
        if self.submitted.is_some() {
            self.shared.abandoned.store(true, Ordering::Relaxed);
        }
    }
}

/// Makes durable what comes in, until nobody can submit any more.
fn run<R: Record>(
    mut storage: Storage<R>,
    receiver: &Receiver<Order<R>>,
    shared: &Shared,
    done: &impl Fn(Result<RecordId, StorageError>),
) -> Result<(), StorageError> {
    while let Ok(first) = receiver.recv() {
        if shared.abandoned.load(Ordering::Relaxed) {
            return Ok(());
        }
        let mut reclaimed = Vec::new();
        let others = receiver.try_iter().take(ROUND_RECORDS_MAX - 1);
        let records = std::iter::once(first)
            .chain(others)
            .filter_map(|order| match order {
                Order::Persist(id, record) => Some((id, record)),
                Order::Reclaim(zone, records) => {
                    reclaimed.push((zone, records));
                    None
                }
            });
        storage.persist(records, |last, storage| {
            shared.syncs.store(storage.syncs(), Ordering::Relaxed);
            done(Ok(last));
        })?;
        for (zone, records) in reclaimed {
            storage.reclaim(zone, records)?;
        }
    }
    storage.close()
}
