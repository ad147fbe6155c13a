//! A replica's storage: a write-ahead log, checkpoints, a superblock and the count of incarnations, in
//! one directory.
//!
//! ```text
//!   directory/  lock           held while a process uses the directory
//!               incarnation    how many processes have used it: replaced whole, never in place
//!               superblock     two copies, written and synced one after the other
//!               log-000001 ..  segments: zero-filled, then overwritten from front to end
//!               log.first      which segment is the first, once those before it were removed
//!               log.synced     up to where the log is known to be durable
//!               checkpoint-000001 .., checkpoint.first, checkpoint.synced: likewise
//!               unsynced       what a loss of power would take, where that is kept track of
//!               *.new          unfinished, removed at the next start
//! ```
//!
//! # What it promises
//!
//! Records become durable in the order of issue, across all zones, as [`Effect::Persist`] asks:
//! nothing is written before everything issued earlier is synced, except that log records that
//! follow one another go together, in one write and one sync (group commit). A crash therefore
//! loses a suffix of what was not reported, and `viewstorm-simulator`'s disk promises the same.
//! Both report only the last record of a group.
//!
//! What [`Effect::Reclaim`] gives up is removed by whole segments, so a log is as long as what is needed of it
//! and a segment more.
//!
//! # What a restart can tell apart
//!
//! A record that fails its checks is torn, and counts as never written, or it is damaged, and then
//! the replica must not go on: a damaged entry may be committed, and who forgets it can lose it for
//! the whole group (Protocol-Aware Recovery, FAST'18). It is damaged if anything shows that it
//! was once durable:
//!
//! - a later record in the log that was written when this one was already synced (each header says
//!   how far the log was synced when it was written),
//! - a later segment, which is begun only when everything before it is synced,
//! - the file `log.synced`. It is written after each sync but itself synced only at a clean stop and at
//!   the next start. So it covers all that was reported when a process dies, and may lag behind
//!   when the machine loses power.
//!
//! What is left: after a power loss, the *last group* on the disk, when `log.synced` did not get to the
//! disk. Their damage cannot be told from a sync that did not finish, and counts as that. Nothing
//! cheaper than a second sync of every group would tell more.
//!
//! A torn tail is zeroed durably before anything is appended, so that no record of it can come to
//! life again behind new ones; and each record names the checksum of the one before it. Records
//! that are read back and not known to be durable are written once more and synced before anybody
//! relies on them: a sync that failed may have left them in the page cache only (Can Applications
//! Recover from fsync Failures?, ATC'20).
//!
//! [`Effect::Persist`]: viewstorm_protocol::Effect::Persist
//! [`Effect::Reclaim`]: viewstorm_protocol::Effect::Reclaim

mod directory;
mod disk;
mod error;
mod files;
mod first_segment;
mod incarnation;
mod log;
mod mark;
mod record;
mod segment;
mod superblock;
mod undo;
mod writer;

#[cfg(test)]
mod tests;

pub use directory::Storage;
pub use disk::{Disk, DiskFaults, SyncReport, WriteFailure};
pub use error::{Damage, StorageError};
pub use log::SEGMENT_BYTES;
pub use record::RECORD_BYTES_MAX;
pub use undo::{PowerLoss, lose_power};
pub use writer::{SUBMITTED_MAX, StorageWriter};
