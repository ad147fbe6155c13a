//! Up to where the log is known to be durable.
//!
//! Written after every sync of the log and, to cost nothing, synced only at a clean stop and at a
//! start. It says less than is true when it is old or lost, and never more. With it a restart tells
//! a damaged last record from a torn one.

use std::path::Path;

use viewstorm_protocol::Zone;

use super::files::PlacedFile;
use super::record::{u32_at, u64_at};
use super::segment::prefix;
use super::{Disk, StorageError};

const MAGIC: &[u8; 8] = b"vs-mark1";
const MARK_BYTES: usize = 20;

/// The file `log.synced`, or that of another zone.
#[derive(Debug)]
pub(super) struct Mark {
    file: PlacedFile,
}

impl Mark {
    /// Opens the file, or makes it. Returns the last record that it knows to be durable, 0 if none.
    pub(super) fn open(
        directory: &Path,
        zone: Zone,
        disk: &Disk,
    ) -> Result<(Self, u64), StorageError> {
        let path = directory.join(format!("{}.synced", prefix(zone)));
        let file = match PlacedFile::open(path.clone(), disk)? {
            Some(file) => file,
            None => PlacedFile::create(path, disk)?,
        };
        let bytes = file.read_up_to(MARK_BYTES as u64)?;
        // A mark that is damaged knows nothing, as one that was never written.
        let whole = bytes.len() == MARK_BYTES
            && bytes.starts_with(MAGIC)
            && u32_at(&bytes, 16) == crc32c::crc32c(&bytes[..16]);
        let sequence = if whole { u64_at(&bytes, 8) } else { 0 };
        Ok((Self { file }, sequence))
    }

    /// All records up to `sequence` are durable.
    pub(super) fn write(&self, sequence: u64) -> Result<(), StorageError> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend_from_slice(&sequence.to_le_bytes());
        bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
        self.file.write_at(0, &bytes)
    }

    /// Makes what the mark says durable too.
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.file.sync()
    }
}
