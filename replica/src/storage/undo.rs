//! What a loss of power would take: every write with what was there before it, until its file is synced.
//!
//! A kill takes nothing that was written: the operating system keeps it. So before each write its place, the old
//! bytes and the new ones go into the file `unsynced`, and after a sync a note that settles them. When the process
//! is gone, [`lose_power`] undoes all that is not settled and writes again a random part of it, each sector by
//! itself: later writes may survive earlier ones, and any may be torn, as on a device with a cache.
//!
//! Names are not undone: files are renamed after they were synced, and the directory is synced at once.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// The file.
const NAME: &str = "unsynced";
/// What a device writes whole or not at all.
const SECTOR_BYTES: u64 = 512;
/// How many writes of one file can be unsynced: older ones the system has written back by itself.
const LIVE_MAX: usize = 64;
/// How long the file grows before it is begun anew.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// The longest entry: a group of records, before and after.
const ENTRY_BYTES_MAX: usize = 160 << 20;

/// What a loss of power took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PowerLoss {
    /// How many writes were not synced.
    pub unsynced: u64,
    /// How many of them are gone, in whole or in part.
    pub lost: u64,
    /// How many of those are torn: some sectors are new and some are old.
    pub torn: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Change {
    file: String,
    offset: u64,
    /// How long the file was before.
    length: u64,
    old: Vec<u8>,
    new: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Entry {
    Wrote(Change),
    Synced(String),
}

/// The file `unsynced` of a directory in use.
#[derive(Debug)]
pub(super) struct UndoLog {
    file: File,
    bytes: u64,
    live: VecDeque<Change>,
}

impl UndoLog {
    /// Opens the file, or makes it, and goes on where an earlier process ended.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let mut file = options.open(directory.join(NAME))?;
        let live = read(&mut file)?;
        let mut log = Self {
            file,
            bytes: 0,
            live,
        };
        log.begin_anew()?;
        Ok(log)
    }

    /// Bytes are about to be written into a file of `length` bytes.
    pub(super) fn wrote(
        &mut self,
        path: &Path,
        offset: u64,
        length: u64,
        (old, new): (Vec<u8>, &[u8]),
    ) -> io::Result<()> {
        let Some(file) = name_of(path) else {
            return Ok(());
        };
        let write = Change {
            file,
            offset,
            length,
            old,
            new: new.to_vec(),
        };
        self.append(&Entry::Wrote(write.clone()))?;
        let same = |one: &&Change| one.file == write.file;
        if self.live.iter().filter(same).count() >= LIVE_MAX
            && let Some(oldest) = self.live.iter().position(|one| one.file == write.file)
        {
            self.live.remove(oldest);
        }
        self.live.push_back(write);
        if self.bytes > FILE_BYTES_MAX {
            self.begin_anew()?;
        }
        Ok(())
    }

    /// All that was written into the file is durable.
    pub(super) fn synced(&mut self, path: &Path) -> io::Result<()> {
        let Some(file) = name_of(path) else {
            return Ok(());
        };
        let before = self.live.len();
        self.live.retain(|write| write.file != file);
        if self.live.len() == before {
            return Ok(());
        }
        self.append(&Entry::Synced(file))
    }

    /// Writes only what is not settled. A process that ends in between forgets some of it: that is then as good as
    /// written back.
    fn begin_anew(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.file.seek(SeekFrom::Start(0))?;
        self.bytes = 0;
        for write in self.live.clone() {
            self.append(&Entry::Wrote(write))?;
        }
        Ok(())
    }

    fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let content = postcard::to_stdvec(entry).map_err(io::Error::other)?;
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        let mut bytes = length.to_le_bytes().to_vec();
        bytes.extend_from_slice(&crc32c::crc32c(&content).to_le_bytes());
        bytes.extend_from_slice(&content);
        self.file.write_all(&bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Files that are not finished are removed at the next start anyway, and nothing is known of a nameless one.
fn name_of(path: &Path) -> Option<String> {
    let is_unfinished = path.extension().is_some_and(|ending| ending == "new");
    let name = path.file_name()?.to_str()?;
    (!is_unfinished).then(|| name.to_owned())
}

/// What is not settled. An entry that a kill cut ends the file.
fn read(file: &mut File) -> io::Result<VecDeque<Change>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let mut live: VecDeque<Change> = VecDeque::new();
    let mut rest = bytes.as_slice();
    while let Some((entry, after)) = next_entry(rest) {
        rest = after;
        match entry {
            Entry::Wrote(write) => live.push_back(write),
            Entry::Synced(file) => live.retain(|write| write.file != file),
        }
    }
    Ok(live)
}

fn next_entry(bytes: &[u8]) -> Option<(Entry, &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    if length > ENTRY_BYTES_MAX {
        return None;
    }
    let (content, rest) = rest.split_at_checked(length)?;
    let is_whole = crc32c::crc32c(content) == u32::from_le_bytes(*checksum);
    let entry = postcard::from_bytes(content).ok().filter(|_| is_whole)?;
    Some((entry, rest))
}

/// The machine that used the directory loses power. The process is gone already. The seed decides what of the
/// unsynced writes is lost.
pub fn lose_power(directory: &Path, seed: u64) -> io::Result<PowerLoss> {
    let path = directory.join(NAME);
    let mut file = match OpenOptions::new().read(true).write(true).open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(PowerLoss::default()),
        Err(error) => return Err(error),
    };
    let live = read(&mut file)?;
    for write in live.iter().rev() {
        if let Some(file) = open(&directory.join(&write.file))? {
            file.write_all_at(&write.old, write.offset)?;
            if file.metadata()?.len() > write.length {
                file.set_len(write.length)?;
            }
        }
    }
    let mut random = seed;
    let mut loss = PowerLoss::default();
    for write in &live {
        loss.unsynced += 1;
        match survives(write, directory, &mut random)? {
            (kept, gone) if gone > 0 => {
                loss.lost += 1;
                loss.torn += u64::from(kept > 0);
            }
            _ => {}
        }
    }
    // What the device has now it keeps.
    file.set_len(0)?;
    Ok(loss)
}

/// Writes a random part of a write again: all, nothing, or some sectors. Returns how many sectors it kept and lost.
fn survives(write: &Change, directory: &Path, random: &mut u64) -> io::Result<(u64, u64)> {
    let Some(file) = open(&directory.join(&write.file))? else {
        return Ok((0, 0));
    };
    let mode = next(random) % 3;
    let end = write.offset + write.new.len() as u64;
    let (mut at, mut kept, mut gone) = (write.offset, 0, 0);
    while at < end {
        let sector_end = end.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
        let is_kept = match mode {
            0 => false,
            1 => true,
            _ => next(random).is_multiple_of(2),
        };
        if is_kept {
            let part = |at: u64| usize::try_from(at - write.offset).map_err(io::Error::other);
            file.write_all_at(&write.new[part(at)?..part(sector_end)?], at)?;
            kept += 1;
        } else {
            gone += 1;
        }
        at = sector_end;
    }
    Ok((kept, gone))
}

/// A file that has been removed since is none to be undone.
fn open(path: &PathBuf) -> io::Result<Option<File>> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// `SplitMix64` (Steele, Lea and Flood, OOPSLA 2014).
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (*state ^ (*state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    /// A file of a directory in use, whose writes are tracked.
    struct Tracked {
        directory: tempfile::TempDir,
        log: UndoLog,
        file: File,
    }

    impl Tracked {
        fn new(length: usize) -> Self {
            let directory = tempfile::tempdir().unwrap();
            let log = UndoLog::open(directory.path()).unwrap();
            let path = directory.path().join("data");
            fs::write(&path, vec![0; length]).unwrap();
            let file = open(&path).unwrap().unwrap();
            Self {
                directory,
                log,
                file,
            }
        }

        fn path(&self) -> PathBuf {
            self.directory.path().join("data")
        }

        fn write(&mut self, offset: u64, new: &[u8]) {
            let length = self.file.metadata().unwrap().len();
            let mut old = vec![0; new.len().min((length.saturating_sub(offset)) as usize)];
            self.file.read_exact_at(&mut old, offset).unwrap();
            let path = self.path();
            self.log.wrote(&path, offset, length, (old, new)).unwrap();
            self.file.write_all_at(new, offset).unwrap();
        }

        fn lose_power(&self, seed: u64) -> (PowerLoss, Vec<u8>) {
            let loss = lose_power(self.directory.path(), seed).unwrap();
            (loss, fs::read(self.path()).unwrap())
        }
    }

    #[test]
    fn what_was_synced_stays_and_what_was_not_is_lost_in_part() {
        let mut kinds = [0; 3];
        for seed in 0..60 {
            let mut tracked = Tracked::new(4_096);
            tracked.write(0, &[1; 2_048]);
            tracked.log.synced(&tracked.path()).unwrap();
            tracked.write(2_048, &[2; 2_048]);
            let (loss, bytes) = tracked.lose_power(seed);
            assert!(bytes[..2_048].iter().all(|byte| *byte == 1));
            let left = bytes[2_048..].iter().filter(|byte| **byte == 2).count();
            assert!(left % 512 == 0 && loss.unsynced == 1);
            let (kind, lost, torn) = match left {
                2_048 => (0, 0, 0),
                0 => (1, 1, 0),
                _ => (2, 1, 1),
            };
            assert_eq!((loss.lost, loss.torn), (lost, torn));
            kinds[kind] += 1;
            assert_eq!(tracked.lose_power(seed).0, PowerLoss::default(), "once");
        }
        assert!(kinds.iter().all(|count| *count > 5), "{kinds:?}");
    }

    #[test]
    fn a_later_process_goes_on_with_what_is_not_settled() {
        let mut tracked = Tracked::new(512);
        tracked.write(0, &[1; 512]);
        tracked.log = UndoLog::open(tracked.directory.path()).unwrap();
        tracked.write(0, &[2; 512]);
        let seen: std::collections::BTreeSet<u8> = (0..40)
            .map(|seed| {
                let mut copy = Tracked::new(512);
                copy.write(0, &[1; 512]);
                copy.log = UndoLog::open(copy.directory.path()).unwrap();
                copy.write(0, &[2; 512]);
                copy.lose_power(seed).1[0]
            })
            .collect();
        assert_eq!(seen, [0, 1, 2].into());
    }

    #[test]
    fn a_file_that_grew_is_as_long_as_before_when_all_is_lost() {
        let lengths: std::collections::BTreeSet<usize> = (0..40)
            .map(|seed| {
                let mut tracked = Tracked::new(100);
                tracked.write(100, &[1; 100]);
                tracked.lose_power(seed).1.len()
            })
            .collect();
        assert_eq!(lengths, [100, 200].into());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_as_entries_or_as_their_end(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let directory = tempfile::tempdir().unwrap();
            fs::write(directory.path().join(NAME), &bytes).unwrap();
            UndoLog::open(directory.path()).unwrap();
            lose_power(directory.path(), 1).unwrap();
        }
    }
}
