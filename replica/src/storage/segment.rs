//! One file of a log: made in full, synced and named before anything is written into it.
//!
//! ```text
//!   0        8          12         16       24      32       40
//!   | magic  | checksum | previous | number | after | length | records ... | zeros |
//!              |          |                   |
//!              |          |                   the last record before: durable, as this exists
//!              |          and its checksum
//!              of everything to the right of it
//! ```
//!
//! Overwriting zeros changes no metadata, so a sync of it is about twice as cheap as one of a
//! growing file.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use viewstorm_protocol::Zone;

use super::files::{PlacedFile, list, unfinished};
use super::record::{ChainEnd, HEADER_BYTES, RECORD_BYTES_MAX, span, u32_at, u64_at};
use super::{Damage, Disk, StorageError};

/// How long a segment's header is.
pub(super) const SEGMENT_HEADER_BYTES: usize = 40;

/// The longest segment: one that holds a single record of the longest kind.
const SEGMENT_BYTES_MAX: u64 =
    (SEGMENT_HEADER_BYTES + span(RECORD_BYTES_MAX) + HEADER_BYTES) as u64;

const MAGIC: &[u8; 8] = b"vs-log-1";
/// How much is zeroed at a time.
const FILL_BYTES: usize = 1 << 20;

/// A file of zeros that is to become a segment.
#[derive(Debug)]
pub(super) struct BlankSegment {
    file: PlacedFile,
    path: PathBuf,
    number: u64,
    length: u64,
}

impl BlankSegment {
    /// Makes the file, under a name that says that it is not finished.
    pub(super) fn create(
        directory: &Path,
        zone: Zone,
        number: u64,
        length: u64,
        disk: &Disk,
    ) -> Result<Self, StorageError> {
        let path = segment_path(directory, zone, number);
        let blank = unfinished(&path);
        match fs::remove_file(&blank) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(StorageError::io("remove", &blank)(error));
            }
            _ => {}
        }
        let file = PlacedFile::create(blank, disk)?;
        let zeros = [0; FILL_BYTES];
        let mut filled = 0;
        while filled < length {
            let part = (length - filled).min(FILL_BYTES as u64);
            file.write_at(filled, &zeros[..part as usize])?;
            filled += part;
        }
        file.sync()?;
        Ok(Self {
            file,
            path,
            number,
            length,
        })
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Makes it the log's last segment. Everything up to `after` is durable.
    pub(super) fn begin(mut self, after: ChainEnd) -> Result<Segment, StorageError> {
        let mut header = MAGIC.to_vec();
        header.extend_from_slice(&[0; 4]);
        header.extend_from_slice(&after.checksum.to_le_bytes());
        header.extend_from_slice(&self.number.to_le_bytes());
        header.extend_from_slice(&after.sequence.to_le_bytes());
        header.extend_from_slice(&self.length.to_le_bytes());
        let checksum = crc32c::crc32c(&header[12..]);
        header[8..12].copy_from_slice(&checksum.to_le_bytes());
        self.file.write_at(0, &header)?;
        self.file.sync()?;
        self.file.rename(self.path)?;
        Ok(Segment {
            file: self.file,
            number: self.number,
            after,
            length: self.length,
        })
    }
}

/// One file of the log.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: PlacedFile,
    pub(super) number: u64,
    /// What its first record follows.
    pub(super) after: ChainEnd,
    pub(super) length: u64,
}

impl Segment {
    /// Opens a segment, if there is one of that number, and reads it.
    pub(super) fn open(
        directory: &Path,
        zone: Zone,
        number: u64,
        disk: &Disk,
    ) -> Result<Option<(Self, Vec<u8>)>, StorageError> {
        let Some(file) = PlacedFile::open(segment_path(directory, zone, number), disk)? else {
            return Ok(None);
        };
        let bytes = file.read_up_to(SEGMENT_BYTES_MAX)?;
        let corrupt = |sequence, reason| StorageError::Corrupt {
            file: file.path().to_owned(),
            offset: 0,
            sequence,
            reason,
        };
        let header = bytes
            .get(..SEGMENT_HEADER_BYTES)
            .ok_or_else(|| corrupt(0, Damage::Beyond))?;
        if !header.starts_with(MAGIC) || u32_at(header, 8) != crc32c::crc32c(&header[12..]) {
            return Err(corrupt(0, Damage::Header));
        }
        let after = ChainEnd {
            sequence: u64_at(header, 24),
            checksum: u32_at(header, 12),
        };
        let (found, made) = (file.len()?, u64_at(header, 32));
        if u64_at(header, 16) != number {
            return Err(corrupt(after.sequence + 1, Damage::Chain));
        }
        if found != made || found != bytes.len() as u64 {
            return Err(corrupt(after.sequence + 1, Damage::Length { found, made }));
        }
        let segment = Self {
            file,
            number,
            after,
            length: made,
        };
        Ok(Some((segment, bytes)))
    }

    /// The numbers of the segments that a directory has of a zone, in order.
    pub(super) fn numbers(directory: &Path, zone: Zone) -> Result<Vec<u64>, StorageError> {
        let number = |path: &PathBuf| {
            let name = path.file_name()?.to_str()?;
            name.strip_prefix(prefix(zone))?
                .strip_prefix('-')?
                .parse()
                .ok()
        };
        let mut numbers: Vec<u64> = list(directory)?.iter().filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }
}

/// Where a segment lives.
pub(super) fn segment_path(directory: &Path, zone: Zone, number: u64) -> PathBuf {
    directory.join(format!("{}-{number:06}", prefix(zone)))
}

/// What the names of a zone's files begin with.
pub(super) fn prefix(zone: Zone) -> &'static str {
    match zone {
        Zone::Log => "log",
        Zone::Checkpoint => "checkpoint",
        Zone::Superblock => panic!("the superblock is one file"),
    }
}
