//! The real storage, in a directory of its own.

use std::fs;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use tempfile::TempDir;
use viewstorm_protocol::{Effects, RecordId};
use viewstorm_replica::storage::{Storage, StorageError};

use crate::script::{DiskUser, End, Found, Written};

/// A sync takes milliseconds, on a busy machine many.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct RealDisk {
    directory: TempDir,
    storage: Option<Storage<Written>>,
}

impl RealDisk {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().expect("a directory"),
            storage: None,
        }
    }

    fn files(&self, prefix: &str) -> Vec<PathBuf> {
        let mut files: Vec<PathBuf> = fs::read_dir(self.directory.path())
            .expect("the directory")
            .map(|file| file.expect("a file").path())
            .collect();
        files.retain(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(prefix))
        });
        files.sort();
        files
    }

    /// The last record is half on the disk, and how far the log is durable was not yet noted.
    fn tear(&self, noted: &[u8]) {
        for file in self.files("log.synced") {
            fs::write(file, noted).expect("a file");
        }
        let log = self.files("log-").pop().expect("a segment");
        let mut bytes = fs::read(&log).expect("a segment");
        let end = bytes.iter().rposition(|byte| *byte != 0).expect("records") + 1;
        bytes[end - 3..end].fill(0);
        fs::write(log, bytes).expect("a segment");
    }
}

/// Waits for what is durable, until `records` of them are or nothing is left that could say so.
fn reported(
    reports: &Receiver<Result<RecordId, StorageError>>,
    records: &[RecordId],
    enough: usize,
) -> usize {
    let mut durable = 0;
    while durable < enough {
        match reports.recv_timeout(PATIENCE) {
            Ok(report) => {
                let last = report.expect("a working disk");
                durable = records.iter().filter(|id| **id <= last).count();
            }
            Err(_) => break,
        }
    }
    durable
}

impl DiskUser for RealDisk {
    fn start(&mut self) -> Result<Found, String> {
        self.storage = None;
        let opened = Storage::open(self.directory.path(), 0).map_err(|error| error.to_string());
        let (storage, recovered, _) = opened?;
        self.storage = Some(storage);
        Ok(Found {
            superblock: recovered.superblock,
            log: recovered.log,
        })
    }

    fn write(&mut self, records: &[Written], end: End) -> usize {
        let storage = self.storage.take().expect("it was started");
        let noted = self
            .files("log.synced")
            .first()
            .map(|file| fs::read(file).expect("a file"));
        let (reporter, reports) = channel();
        let writer = storage.start(move |report| {
            // Whoever was killed does not listen.
            drop(reporter.send(report));
        });
        let writer = writer.expect("a thread");
        let mut issued: Effects<(), Written> = Effects::default();
        let ids: Vec<RecordId> = (records.iter())
            .map(|record| {
                let id = issued.persist(record.clone());
                writer.submit(id, record.clone());
                id
            })
            .collect();
        match end {
            End::Settled | End::PowerLoss => {
                let durable = reported(&reports, &ids, ids.len());
                assert_eq!(durable, ids.len());
                writer.stop().expect("a working disk");
            }
            End::Killed => {
                let durable = reported(&reports, &ids, 1);
                drop(writer);
                // The round under way may end, but nobody hears of it; then the directory is free.
                while reports.recv_timeout(PATIENCE).is_ok() {}
                return durable;
            }
        }
        if end == End::Settled {
            return ids.len();
        }
        self.tear(&noted.expect("a log in use notes how far it is durable"));
        0
    }

    fn damage(&mut self, record: &Written) {
        self.storage = None;
        let (Written::View(text) | Written::Entry(text)) = record;
        let mut is_damaged = false;
        for file in [self.files("log-"), self.files("superblock")].concat() {
            let mut bytes = fs::read(&file).expect("a file");
            let places: Vec<usize> = (0..bytes.len().saturating_sub(text.len()))
                .filter(|place| bytes[*place..].starts_with(text.as_bytes()))
                .collect();
            for place in &places {
                bytes[*place] ^= 1;
            }
            if !places.is_empty() {
                is_damaged = true;
                fs::write(file, bytes).expect("a file");
            }
        }
        assert!(is_damaged, "{record:?} is somewhere");
    }
}
