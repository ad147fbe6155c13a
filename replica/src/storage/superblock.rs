//! The superblock: one value, replaced atomically.
//!
//! ```text
//!   slot 0                       slot 1
//!   | version 8 | ... |  sync    | version 7 | ... |     a crash here: 8 or 7; 8 is not reported
//!   | version 8 | ... |          | version 8 | ... |  sync, and only now version 8 is reported
//! ```
//!
//! At most one slot is ever being written, so a crash spoils at most one. A version that was
//! reported is in both slots, and stays in slot 1 until its successor is durable in slot 0. So the
//! newest whole slot is never older than what was reported, whichever one slot is torn or damaged;
//! and when both fail, at least one of them is damaged, and the replica must not guess.

use std::path::Path;

use viewstorm_protocol::{Record, Zone};

use super::files::{self, PlacedFile};
use super::record::{u32_at, u64_at};
use super::{Damage, Disk, StorageError};

const NAME: &str = "superblock";
const MAGIC: &[u8; 8] = b"vs-super";
const HEADER_BYTES: usize = 24;
/// How far the slots are apart: no device writes a part of one together with the other.
const SLOT_BYTES: usize = 4096;
const SLOTS: usize = 2;

/// The file `superblock`.
#[derive(Debug)]
pub(super) struct SuperblockFile {
    file: PlacedFile,
    version: u64,
    syncs: u64,
}

impl SuperblockFile {
    /// Opens the file and makes what it holds durable in both slots. Makes the file if `first_use`.
    pub(super) fn open<R: Record>(
        directory: &Path,
        first_use: bool,
        disk: &Disk,
    ) -> Result<(Self, Option<R>), StorageError> {
        let path = directory.join(NAME);
        let file = match PlacedFile::open(path.clone(), disk)? {
            Some(file) => file,
            None if first_use => {
                files::replace(&path, &encode::<R>(1, None)?.repeat(SLOTS), disk)?;
                PlacedFile::open(path.clone(), disk)?.ok_or(StorageError::Missing { file: path })?
            }
            None => return Err(StorageError::Missing { file: path }),
        };
        let bytes = file.read_up_to((SLOT_BYTES * SLOTS) as u64)?;
        let slots = (0..SLOTS).map(|slot| decode(bytes.get(slot * SLOT_BYTES..).unwrap_or(&[])));
        let (versions, damage): (Vec<_>, Vec<_>) = slots.partition(Result::is_ok);
        let newest = versions.into_iter().flatten().max_by_key(|slot| slot.0);
        let corrupt = |sequence, reason| StorageError::Corrupt {
            file: file.path().to_owned(),
            offset: 0,
            sequence,
            reason,
        };
        let Some((version, content)) = newest else {
            let reason = damage.into_iter().find_map(Result::err);
            return Err(corrupt(0, reason.unwrap_or(Damage::Unwritten)));
        };
        let value: Option<R> = postcard::from_bytes(content)
            .map_err(|error| corrupt(version, Damage::Foreign(error.to_string())))?;
        if value
            .as_ref()
            .is_some_and(|value| value.zone() != Zone::Superblock)
        {
            let reason = "a record of the log".to_owned();
            return Err(corrupt(version, Damage::Foreign(reason)));
        }
        let mut opened = Self {
            file,
            version,
            syncs: 0,
        };
        opened.write(&encode(version, value.as_ref())?)?;
        Ok((opened, value))
    }

    /// Replaces the value, durably.
    pub(super) fn replace<R: Record>(&mut self, value: &R) -> Result<(), StorageError> {
        self.version += 1;
        self.write(&encode(self.version, Some(value))?)
    }

    /// How many syncs were done.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs
    }

    /// Writes all slots, one after the other.
    fn write(&mut self, slot: &[u8]) -> Result<(), StorageError> {
        for place in 0..SLOTS {
            self.file.write_at((place * SLOT_BYTES) as u64, slot)?;
            self.file.sync()?;
            self.syncs += 1;
        }
        Ok(())
    }
}

fn encode<R: Record>(version: u64, value: Option<&R>) -> Result<Vec<u8>, StorageError> {
    let content = postcard::to_stdvec(&value).map_err(StorageError::Encode)?;
    let limit = SLOT_BYTES - HEADER_BYTES;
    if content.len() > limit {
        let length = content.len();
        return Err(StorageError::TooLarge { length, limit });
    }
    let mut slot = MAGIC.to_vec();
    slot.extend_from_slice(&[0; 4]);
    slot.extend_from_slice(&(content.len() as u32).to_le_bytes());
    slot.extend_from_slice(&version.to_le_bytes());
    slot.extend_from_slice(&content);
    let checksum = crc32c::crc32c(&slot[12..]);
    slot[8..12].copy_from_slice(&checksum.to_le_bytes());
    slot.resize(SLOT_BYTES, 0);
    Ok(slot)
}

/// The version in a slot, and its content.
fn decode(slot: &[u8]) -> Result<(u64, &[u8]), Damage> {
    let header = slot.get(..HEADER_BYTES).ok_or(Damage::Beyond)?;
    if !header.starts_with(MAGIC) {
        return Err(Damage::Header);
    }
    let length = u32_at(header, 12) as usize;
    if length > SLOT_BYTES - HEADER_BYTES {
        return Err(Damage::Header);
    }
    let whole = slot.get(..HEADER_BYTES + length).ok_or(Damage::Beyond)?;
    if u32_at(header, 8) != crc32c::crc32c(&whole[12..]) {
        return Err(Damage::Content);
    }
    Ok((u64_at(header, 16), &whole[HEADER_BYTES..]))
}
