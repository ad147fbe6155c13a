//! Storage, used, crashed and damaged. That it promises what the simulated disk promises is tested
//! where both can be seen, in `viewstorm/`.

mod cut;
mod damage;
pub(super) mod journal;
mod power_loss;
mod reclaim;
mod restart;
mod threads;

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use viewstorm_protocol::{Effects, Incarnation, Record, RecordId, Recovered, Zone};

use super::{Disk, Storage, StorageError};

/// So short that a few records fill it.
const SEGMENT_BYTES: u64 = 512;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum TestRecord {
    View(u64),
    Entry(Vec<u8>),
    Part(Vec<u8>),
}

impl Record for TestRecord {
    fn zone(&self) -> Zone {
        match self {
            Self::View(_) => Zone::Superblock,
            Self::Entry(_) => Zone::Log,
            Self::Part(_) => Zone::Checkpoint,
        }
    }
}

/// An entry of some bytes, none of which is zero.
fn entry(fill: u8, length: usize) -> TestRecord {
    TestRecord::Entry(vec![fill | 1; length])
}

/// What a core has issued in one incarnation.
#[derive(Default)]
struct Issuer(Effects<(), TestRecord>);

impl Issuer {
    fn issue(&mut self, record: TestRecord) -> (RecordId, TestRecord) {
        (self.0.persist(record.clone()), record)
    }

    fn issue_all(&mut self, records: &[TestRecord]) -> Vec<(RecordId, TestRecord)> {
        records
            .iter()
            .map(|record| self.issue(record.clone()))
            .collect()
    }
}

type Opened = (Storage<TestRecord>, Recovered<TestRecord>, Incarnation);

fn open(directory: &Path) -> Result<Opened, StorageError> {
    Storage::open_with(directory, SEGMENT_BYTES, 0, &Disk::default())
}

/// What a restart finds, and that it leaves behind what it found.
fn reopened(directory: &Path) -> Result<(Option<TestRecord>, Vec<TestRecord>), StorageError> {
    let (storage, recovered, _) = open(directory)?;
    drop(storage);
    let (_, again, _) = open(directory)?;
    assert_eq!(recovered.log, again.log);
    assert_eq!(recovered.superblock, again.superblock);
    Ok((recovered.superblock, recovered.log))
}

/// Makes storage that holds `records`; each of the groups went to the disk with one sync.
fn stored(directory: &Path, groups: &[&[TestRecord]]) {
    let (mut storage, ..) = open(directory).expect("an empty directory");
    let mut issuer = Issuer::default();
    for group in groups {
        storage
            .persist(issuer.issue_all(group), |_, _| {})
            .expect("a working disk");
    }
}

/// All files of a directory, to be damaged and put back.
struct Snapshot(Vec<(PathBuf, Vec<u8>)>);

impl Snapshot {
    fn of(directory: &Path) -> Self {
        let mut files: Vec<_> = fs::read_dir(directory)
            .expect("a directory")
            .map(|file| file.expect("a name").path())
            .map(|path| (path.clone(), fs::read(path).expect("a file")))
            .collect();
        files.sort();
        Self(files)
    }

    fn file(&self, name: &str) -> (&Path, &[u8]) {
        let file = self.0.iter().find(|(path, _)| path.ends_with(name));
        let (path, bytes) = file.expect("a file of this name");
        (path, bytes)
    }

    /// The directory is as it was.
    fn restore(&self) {
        let directory = self.0[0].0.parent().expect("files in a directory");
        for file in fs::read_dir(directory).expect("a directory") {
            let path = file.expect("a name").path();
            if !self.0.iter().any(|(known, _)| *known == path) {
                fs::remove_file(path).expect("a file");
            }
        }
        for (path, bytes) in &self.0 {
            put(path, bytes);
        }
    }
}

/// Makes a file hold `bytes`. It is not emptied first: file systems sync files that are.
fn put(path: &Path, bytes: impl AsRef<[u8]>) {
    let bytes = bytes.as_ref();
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(false);
    options
        .open(path)
        .and_then(|file| {
            file.set_len(bytes.len() as u64)?;
            file.write_all_at(bytes, 0)
        })
        .expect("a working disk");
}

/// Where the last byte that is not zero ends.
fn written(bytes: &[u8]) -> usize {
    bytes
        .iter()
        .rposition(|byte| *byte != 0)
        .map_or(0, |last| last + 1)
}
