//! Which segment of a log is the first that is still there.
//!
//! The file is replaced before the segments in front of that one are removed, and never in place. As long as none
//! was, there is no file and the first is 1.

use std::path::{Path, PathBuf};

use viewstorm_protocol::Zone;

use super::files::{self, PlacedFile};
use super::record::{u32_at, u64_at};
use super::segment::prefix;
use super::{Damage, Disk, StorageError};

const MAGIC: &[u8; 8] = b"vs-first";
const FILE_BYTES: usize = 20;

/// Which segment is the first.
pub(super) fn read(directory: &Path, zone: Zone, disk: &Disk) -> Result<u64, StorageError> {
    let path = path(directory, zone);
    let Some(file) = PlacedFile::open(path.clone(), disk)? else {
        return Ok(1);
    };
    let bytes = file.read_up_to(FILE_BYTES as u64 + 1)?;
    let whole = bytes.len() == FILE_BYTES
        && bytes.starts_with(MAGIC)
        && u32_at(&bytes, 16) == crc32c::crc32c(&bytes[..16]);
    match whole {
        true => Ok(u64_at(&bytes, 8)),
        false => Err(StorageError::Corrupt {
            file: path,
            offset: 0,
            sequence: 0,
            reason: Damage::Content,
        }),
    }
}

/// Makes it durable which segment is the first.
pub(super) fn write(
    directory: &Path,
    zone: Zone,
    first: u64,
    disk: &Disk,
) -> Result<(), StorageError> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&first.to_le_bytes());
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    files::replace(&path(directory, zone), &bytes, disk)
}

fn path(directory: &Path, zone: Zone) -> PathBuf {
    directory.join(format!("{}.first", prefix(zone)))
}
