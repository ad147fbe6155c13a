//! Tails that a crash left unfinished.

use std::fs;
use std::path::Path;

use super::*;

fn five() -> Vec<TestRecord> {
    (1..6)
        .map(|fill| entry(2 * fill, 3 * usize::from(fill)))
        .collect()
}

/// Forgets up to where the log is durable, as a power loss may.
fn forget_the_mark(directory: &Path) {
    fs::remove_file(directory.join("log.synced")).expect("a mark");
}

#[test]
fn a_tail_that_was_written_up_to_any_byte_leaves_a_prefix() {
    let directory = tempfile::tempdir().expect("a directory");
    let records = five();
    stored(directory.path(), &[&records]);
    forget_the_mark(directory.path());
    let snapshot = Snapshot::of(directory.path());
    let (path, whole) = snapshot.file("log-000001");
    let mut lengths = Vec::new();
    for cut in super::super::segment::SEGMENT_HEADER_BYTES..written(whole) + 1 {
        snapshot.restore();
        let mut bytes = whole.to_vec();
        bytes[cut..].fill(0);
        put(path, bytes);
        let (_, log) = reopened(directory.path()).expect("a torn tail is no damage");
        assert_eq!(log, records[..log.len()], "cut at {cut}");
        lengths.push(log.len());
    }
    assert!(lengths.is_sorted());
    lengths.dedup();
    assert_eq!(lengths, [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_cut_below_what_is_known_to_be_synced_is_damage() {
    let directory = tempfile::tempdir().expect("a directory");
    let records = five();
    stored(directory.path(), &[&records]);
    let snapshot = Snapshot::of(directory.path());
    let (path, whole) = snapshot.file("log-000001");
    for cut in 0..written(whole) {
        snapshot.restore();
        let mut bytes = whole.to_vec();
        bytes[cut..].fill(0);
        put(path, bytes);
        match reopened(directory.path()) {
            Err(StorageError::Corrupt { file, .. }) => assert_eq!(file, path),
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

/// A segment is made in full before it has its name: no crash shortens it.
#[test]
fn a_file_that_is_shorter_than_it_was_made_is_damage() {
    let directory = tempfile::tempdir().expect("a directory");
    stored(directory.path(), &[&five()]);
    forget_the_mark(directory.path());
    let snapshot = Snapshot::of(directory.path());
    let (path, whole) = snapshot.file("log-000001");
    for cut in 0..whole.len() {
        snapshot.restore();
        put(path, &whole[..cut]);
        match reopened(directory.path()) {
            Err(StorageError::Corrupt { file, .. }) => assert_eq!(file, path),
            other => panic!("cut at {cut}: {other:?}"),
        }
    }
}

/// The sectors of one group reach the disk in any order. None of the group was reported.
#[test]
fn a_group_with_a_hole_is_torn_and_none_of_it_comes_back() {
    let directory = tempfile::tempdir().expect("a directory");
    let records = five();
    stored(directory.path(), &[&records[..2], &records[2..]]);
    let snapshot = Snapshot::of(directory.path());
    let (path, whole) = snapshot.file("log-000001");
    let hole = whole
        .iter()
        .rposition(|byte| *byte == 7)
        .expect("the third record's content");
    let mut bytes = whole.to_vec();
    bytes[hole] = 0;
    put(path, bytes);
    forget_the_mark(directory.path());

    let (mut storage, recovered, _) = open(directory.path()).expect("a torn group is no damage");
    assert_eq!(recovered.log, records[..2]);
    // The same record again: what stood behind it would follow it.
    let again = Issuer::default().issue(records[2].clone());
    storage.persist([again], |_, _| {}).expect("a working disk");
    drop(storage);
    assert_eq!(reopened(directory.path()).expect("whole").1, records[..3]);
}

#[test]
fn the_same_hole_in_a_synced_group_is_damage() {
    let directory = tempfile::tempdir().expect("a directory");
    let records = five();
    stored(
        directory.path(),
        &[&records[..2], &records[2..4], &records[4..]],
    );
    forget_the_mark(directory.path());
    let snapshot = Snapshot::of(directory.path());
    let (path, whole) = snapshot.file("log-000001");
    let hole = whole
        .iter()
        .rposition(|byte| *byte == 7)
        .expect("the third record's content");
    let mut bytes = whole.to_vec();
    bytes[hole] = 0;
    put(path, &bytes);
    for _ in 0..2 {
        let found = reopened(directory.path());
        assert!(
            matches!(found, Err(StorageError::Corrupt { sequence: 3, .. })),
            "{found:?}"
        );
        assert_eq!(
            fs::read(path).expect("a file"),
            bytes,
            "evidence is left alone"
        );
    }
}
