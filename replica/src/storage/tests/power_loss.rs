//! Power losses at any moment: every sector that was written and not synced may be on the disk or
//! not. And crashes of the process before them, which leave what was not synced to the next
//! process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::ops::RangeInclusive;
use std::path::Path;

use proptest::prelude::*;
use tempfile::TempDir;

use super::super::segment::SEGMENT_HEADER_BYTES;
use super::journal::Operation;
use super::*;

/// What the device writes whole or not at all: less than any real one, so that short records tear
/// too.
const SECTOR_BYTES: usize = 16;

/// Chooses, always the same for a seed (SplitMix64).
struct Choices(u64);

impl Choices {
    fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        range.start() + ((mixed ^ (mixed >> 31)) as usize) % (range.end() - range.start() + 1)
    }

    fn coin(&mut self) -> bool {
        self.within(0..=1) == 1
    }
}

#[derive(Clone, Default)]
struct ModelFile {
    durable: Vec<u8>,
    pending: Vec<(usize, Vec<u8>)>,
}

impl ModelFile {
    fn settle(&mut self, mut survives: impl FnMut() -> bool) {
        for (offset, bytes) in self.pending.drain(..) {
            let end = offset + bytes.len();
            if self.durable.len() < end {
                self.durable.resize(end, 0);
            }
            let mut at = offset;
            while at < end {
                let next = end.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
                if survives() {
                    self.durable[at..next].copy_from_slice(&bytes[at - offset..next - offset]);
                }
                at = next;
            }
        }
    }
}

/// A directory on a device that keeps what was synced. Files are known by number, whatever their
/// names.
#[derive(Clone, Default)]
struct Model {
    files: Vec<ModelFile>,
    /// As processes see them.
    names: BTreeMap<OsString, usize>,
    /// As a power loss leaves them.
    durable_names: BTreeMap<OsString, usize>,
    /// New names that are not durable.
    renames: Vec<(OsString, usize)>,
    /// Names that are gone, which is not durable.
    removed: Vec<OsString>,
}

fn name(path: &Path) -> OsString {
    path.file_name().expect("a file").to_owned()
}

impl Model {
    fn apply(&mut self, operation: &Operation, directory: &Path) {
        match operation {
            Operation::Write {
                path,
                offset,
                bytes,
            } => {
                let file = self.file(path, *offset == 0 && bytes.len() == SEGMENT_HEADER_BYTES);
                file.pending.push((*offset, bytes.clone()));
            }
            Operation::Sync { path } if path == directory => self.settle_names(|| true),
            Operation::Sync { path } => {
                if let Some(number) = self.names.get(&name(path)) {
                    self.files[*number].settle(|| true);
                }
            }
            Operation::Remove { path } => {
                self.names.remove(&name(path));
                self.removed.push(name(path));
            }
            Operation::Rename { from, to } => {
                let number = self.names.remove(&name(from)).expect("it was written");
                self.names.insert(name(to), number);
                self.renames.push((name(to), number));
            }
        }
    }

    /// The file of a name, made if need be: `filled` if another thread has filled and synced it.
    fn file(&mut self, path: &Path, filled: bool) -> &mut ModelFile {
        let next = self.files.len();
        let number = *self.names.entry(name(path)).or_insert(next);
        if number == next {
            let length = if filled { SEGMENT_BYTES as usize } else { 0 };
            self.files.push(ModelFile {
                durable: vec![0; length],
                pending: Vec::new(),
            });
            self.durable_names.insert(name(path), number);
        }
        &mut self.files[number]
    }

    fn settle_names(&mut self, mut survives: impl FnMut() -> bool) {
        for (to, number) in std::mem::take(&mut self.renames) {
            if survives() {
                self.durable_names.insert(to, number);
            }
        }
        for gone in std::mem::take(&mut self.removed) {
            if survives() {
                self.durable_names.remove(&gone);
            }
        }
    }

    /// The process is gone, and sometimes the power. Leaves what the next process reads in
    /// `directory`.
    fn crash(mut self, choices: &mut Choices, directory: &Path) -> Self {
        if choices.coin() {
            self.settle_names(|| choices.coin());
            // Sometimes all, sometimes nothing, sometimes some of it.
            let often = choices.within(0..=4);
            for file in &mut self.files {
                file.settle(|| choices.within(1..=4) <= often);
            }
            self.names.clone_from(&self.durable_names);
        }
        // The next process begins with removing these.
        let finished = |name: &OsString| Path::new(name).extension().is_none_or(|end| end != "new");
        self.names.retain(|name, _| finished(name));
        self.durable_names.retain(|name, _| finished(name));
        for (name, number) in &self.names {
            let mut file = self.files[*number].clone();
            file.settle(|| true);
            fs::write(directory.join(name), file.durable).expect("a working disk");
        }
        self
    }
}

/// What was issued in all incarnations and is not known to be lost.
#[derive(Clone, Debug, Default, PartialEq)]
struct Issued {
    superblock: Option<TestRecord>,
    log: Vec<TestRecord>,
    checkpoint: Vec<TestRecord>,
    /// How many of the two logs' records nobody needs, from the first.
    unneeded: [usize; 2],
}

impl Issued {
    fn add(&mut self, record: &TestRecord) {
        match record.zone() {
            Zone::Superblock => self.superblock = Some(record.clone()),
            Zone::Log => self.log.push(record.clone()),
            Zone::Checkpoint => self.checkpoint.push(record.clone()),
        }
    }

    /// Whether this is what a process may find that needs all but what was given up.
    fn explains(&self, found: &Self) -> bool {
        let tail = |all: &[TestRecord], found: &[TestRecord], unneeded: usize| {
            all.ends_with(found) && found.len() + unneeded >= all.len()
        };
        self.superblock == found.superblock
            && tail(&self.log, &found.log, self.unneeded[0])
            && tail(&self.checkpoint, &found.checkpoint, self.unneeded[1])
    }

    /// Gives up some of what is needed.
    fn reclaim(&mut self, choices: &mut Choices, storage: &mut Storage<TestRecord>) {
        let lengths = [self.log.len(), self.checkpoint.len()];
        for (place, zone) in [Zone::Log, Zone::Checkpoint].into_iter().enumerate() {
            let records = choices.within(0..=lengths[place] - self.unneeded[place]);
            self.unneeded[place] += records;
            storage
                .reclaim(zone, records as u64)
                .expect("a working disk");
        }
    }
}

fn some_records(choices: &mut Choices) -> Vec<TestRecord> {
    (0..choices.within(1..=6))
        .map(|_| match choices.within(0..=5) {
            1 | 2 => TestRecord::Part(vec![7; choices.within(0..=200)]),
            0 => TestRecord::View(choices.within(0..=usize::MAX - 1) as u64),
            _ => entry(choices.within(0..=255) as u8, choices.within(0..=200)),
        })
        .collect()
}

/// A replica's disk between two incarnations.
struct Between {
    device: Model,
    /// What a process sees of it.
    directory: TempDir,
    /// What may be found there.
    possible: Vec<Issued>,
}

impl Between {
    /// One incarnation: recovers, persists some records, crashes at some moment.
    fn live(self, choices: &mut Choices) -> Self {
        journal::take();
        let opened = open(self.directory.path()).expect("a crash damages nothing");
        let (mut storage, recovered, incarnation) = opened;
        let found = Issued {
            superblock: recovered.superblock,
            log: recovered.log,
            checkpoint: recovered.checkpoint,
            unneeded: [0, 0],
        };
        assert!(
            self.possible
                .iter()
                .any(|possible| possible.explains(&found)),
            "{incarnation:?} recovers what no order of issue explains: {found:?}"
        );
        let ready = journal::len();
        let mut states = vec![found];
        // How many records were reported after how many operations.
        let mut reported = vec![(ready, 0)];
        let mut issuer = Issuer::default();
        for _ in 0..choices.within(0..=5) {
            let records = issuer.issue_all(&some_records(choices));
            for (_, record) in &records {
                let mut next = states.last().expect("one").clone();
                next.add(record);
                states.push(next);
            }
            let report = |id: RecordId, _: &_| reported.push((journal::len(), id.get() as usize));
            storage.persist(records, report).expect("a working disk");
            if choices.within(0..=2) == 0 {
                let last = states.last_mut().expect("one");
                last.reclaim(choices, &mut storage);
            }
        }
        drop(storage);
        let operations = journal::take();
        let earliest = if choices.within(0..=2) == 0 { 0 } else { ready };
        let mut crash = choices.within(earliest..=operations.len());
        if choices.coin() {
            // Most is at stake just before a sync ends.
            let to_sync = operations[crash..]
                .iter()
                .position(|operation| matches!(operation, Operation::Sync { .. }));
            crash += to_sync.unwrap_or(0);
        }
        let safe = reported.iter().rfind(|(at, _)| *at <= crash);
        let possible = match safe {
            Some((_, safe)) => states.split_off(*safe),
            None => self.possible,
        };
        let mut device = self.device;
        for operation in &operations[..crash] {
            device.apply(operation, self.directory.path());
        }
        let directory = tempfile::tempdir().expect("a directory");
        Self {
            device: device.crash(choices, directory.path()),
            directory,
            possible,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// `Effect::Persist`: "a crash loses some suffix of those not yet reported, never one from the
    /// middle".
    #[test]
    fn a_crash_leaves_a_prefix_of_the_order_of_issue_with_all_that_was_reported(seed: u64) {
        let mut choices = Choices(seed);
        let mut disk = Between {
            device: Model::default(),
            directory: tempfile::tempdir().expect("a directory"),
            possible: vec![Issued::default()],
        };
        for _ in 0..8 {
            disk = disk.live(&mut choices);
        }
    }
}
