//! Restarts of undamaged storage.

use std::fs;

use viewstorm_protocol::Incarnation;

use super::super::files::unfinished;
use super::super::segment::{Segment, segment_path};
use super::*;

#[test]
fn a_new_directory_holds_nothing_and_counts_incarnations_from_1() {
    let parent = tempfile::tempdir().expect("a directory");
    let directory = parent.path().join("made/on/first/use");
    for due in 1..4 {
        let (_storage, recovered, incarnation) = open(&directory).expect("a working disk");
        assert_eq!(incarnation, Incarnation(due));
        assert_eq!(recovered.superblock, None);
        assert!(recovered.log.is_empty());
    }
}

#[test]
fn records_survive_restarts_in_order_and_across_segments() {
    let directory = tempfile::tempdir().expect("a directory");
    let mut log = Vec::new();
    for round in 1..8u8 {
        let (mut storage, recovered, _) = open(directory.path()).expect("a working disk");
        assert_eq!(recovered.log, log);
        assert_eq!(
            recovered.superblock,
            (round > 1).then(|| TestRecord::View(u64::from(round) - 1))
        );
        let view = TestRecord::View(u64::from(round));
        let records = [entry(round, 200), view, entry(round, 0), entry(round, 100)];
        let mut issuer = Issuer::default();
        let mut reported = Vec::new();
        storage
            .persist(issuer.issue_all(&records), |id, _| reported.push(id.get()))
            .expect("a working disk");
        assert_eq!(reported, [1, 2, 4], "log, superblock, log");
        log.extend([&records[0], &records[2], &records[3]].map(Clone::clone));
    }
    assert!(
        Segment::numbers(directory.path(), Zone::Log)
            .expect("segments")
            .len()
            > 3
    );
}

#[test]
fn a_record_longer_than_a_segment_gets_one_of_its_own() {
    let directory = tempfile::tempdir().expect("a directory");
    let records = [entry(1, 10), entry(3, 5000), entry(5, 10), entry(7, 3000)];
    stored(directory.path(), &[&records[..2], &records[2..]]);
    assert_eq!(reopened(directory.path()).expect("whole").1, records);
}

#[test]
fn a_record_that_no_reader_would_accept_is_refused() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut storage, ..) = open(directory.path()).expect("a working disk");
    let long = entry(1, super::super::RECORD_BYTES_MAX);
    let refused = storage.persist([Issuer::default().issue(long)], |_, _| {
        panic!("not durable")
    });
    assert!(
        matches!(refused, Err(StorageError::TooLarge { .. })),
        "{refused:?}"
    );
}

#[test]
fn two_processes_never_share_a_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let (storage, ..) = open(directory.path()).expect("a working disk");
    let second = open(directory.path()).map(|_| ());
    assert!(
        matches!(second, Err(StorageError::InUse { .. })),
        "{second:?}"
    );
    drop(storage);
    open(directory.path()).expect("it is free again");
}

#[test]
fn what_was_not_finished_is_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    stored(directory.path(), &[&[entry(1, 10)]]);
    let blank = unfinished(&segment_path(directory.path(), Zone::Log, 2));
    fs::write(&blank, "half a segment").expect("a working disk");
    assert_eq!(reopened(directory.path()).expect("whole").1, [entry(1, 10)]);
    assert!(!blank.exists());
}

#[test]
fn a_file_that_is_gone_is_missed() {
    let directory = tempfile::tempdir().expect("a directory");
    let records = [
        TestRecord::View(1),
        entry(1, 300),
        entry(3, 300),
        entry(5, 300),
    ];
    stored(directory.path(), &[&records]);
    let snapshot = Snapshot::of(directory.path());
    for name in [
        "superblock",
        "incarnation",
        "log-000001",
        "log-000002",
        "checkpoint-000001",
    ] {
        snapshot.restore();
        let (path, _) = snapshot.file(name);
        fs::remove_file(path).expect("it was there");
        match reopened(directory.path()) {
            Err(StorageError::Missing { file }) => assert_eq!(file, path),
            other => panic!("{name}: {other:?}"),
        }
    }
    // No gap shows that the last segment is gone, but the mark does.
    snapshot.restore();
    fs::remove_file(snapshot.file("log-000003").0).expect("it was there");
    let found = reopened(directory.path());
    assert!(
        matches!(found, Err(StorageError::Corrupt { sequence: 3, .. })),
        "{found:?}"
    );
}
