//! Files that something else than a crash has changed.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::super::Damage;
use super::super::log::Log;
use super::*;

/// Several groups in two segments.
fn records() -> Vec<TestRecord> {
    (1..9).map(|fill| entry(2 * fill, 20)).collect()
}

fn store_records(directory: &Path) -> Snapshot {
    let records = records();
    let groups: Vec<_> = records.chunks(1).collect();
    stored(directory, &groups);
    Snapshot::of(directory)
}

fn open_log(directory: &Path) -> Result<Vec<TestRecord>, StorageError> {
    Log::open(directory, Zone::Log, SEGMENT_BYTES, false, &Disk::default())
        .map(|(_, records)| records)
}

/// Calls `check` with the place of every byte of a file, with the byte changed; in two ways.
fn flip_every_byte(snapshot: &Snapshot, name: &str, mut check: impl FnMut(usize)) {
    let (path, whole) = snapshot.file(name);
    for place in 0..whole.len() {
        for flip in [1 << (place % 8), 0xff] {
            snapshot.restore();
            let mut bytes = whole.to_vec();
            bytes[place] ^= flip;
            put(path, bytes);
            check(place);
        }
    }
}

#[test]
fn no_changed_byte_of_the_log_goes_unnoticed() {
    let directory = tempfile::tempdir().expect("a directory");
    let snapshot = store_records(directory.path());
    let mut detected = 0;
    for name in ["log-000001", "log-000002"] {
        flip_every_byte(&snapshot, name, |place| match open_log(directory.path()) {
            // Behind the records, or between them.
            Ok(log) => assert_eq!(log, records(), "{name} {place}"),
            Err(StorageError::Corrupt { file, .. }) => {
                assert!(file.ends_with(name), "{}", file.display());
                detected += 1;
            }
            Err(error) => panic!("{name} {place}: {error}"),
        });
    }
    assert!(detected > 2 * 8 * 60, "{detected}");
}

#[test]
fn without_the_mark_only_the_last_record_can_be_lost() {
    let directory = tempfile::tempdir().expect("a directory");
    store_records(directory.path());
    fs::remove_file(directory.path().join("log.synced")).expect("a mark");
    let snapshot = Snapshot::of(directory.path());
    let (all, mut lost) = (records(), 0);
    for name in ["log-000001", "log-000002"] {
        flip_every_byte(&snapshot, name, |place| match open_log(directory.path()) {
            Ok(log) if log.len() < all.len() => {
                assert_eq!(log, all[..all.len() - 1], "{name} {place}");
                assert_eq!(name, "log-000002");
                lost += 1;
            }
            Ok(log) => assert_eq!(log, all, "{name} {place}"),
            Err(StorageError::Corrupt { file, .. }) => assert!(file.ends_with(name)),
            Err(error) => panic!("{name} {place}: {error}"),
        });
    }
    assert_eq!(lost, 2 * (40 + 22), "a header and a content");
}

/// Every record is whole and in its place, but they never stood behind one another.
#[test]
fn a_tail_of_another_log_does_not_fit() {
    let one = tempfile::tempdir().expect("a directory");
    let other = tempfile::tempdir().expect("a directory");
    let records = records();
    stored(one.path(), &[&records[..4]]);
    stored(
        other.path(),
        &[&[&[entry(99, 20)], &records[1..4]].concat()],
    );
    let (mine, theirs) = (Snapshot::of(one.path()), Snapshot::of(other.path()));
    let (path, bytes) = mine.file("log-000001");
    let (_, other_bytes) = theirs.file("log-000001");
    let third = 40 + 2 * 64;
    let spliced = [&bytes[..third], &other_bytes[third..]].concat();
    put(path, spliced);
    match open_log(one.path()) {
        Err(StorageError::Corrupt {
            sequence, reason, ..
        }) => assert_eq!((sequence, reason), (3, Damage::Chain)),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_changed_mark_loses_nothing() {
    let directory = tempfile::tempdir().expect("a directory");
    let snapshot = store_records(directory.path());
    flip_every_byte(&snapshot, "log.synced", |place| {
        assert_eq!(
            open_log(directory.path()).expect("whole"),
            records(),
            "{place}"
        );
    });
}

#[test]
fn one_damaged_copy_of_the_superblock_is_repaired_and_two_are_reported() {
    let directory = tempfile::tempdir().expect("a directory");
    stored(
        directory.path(),
        &[&[TestRecord::View(6)], &[TestRecord::View(7)]],
    );
    let snapshot = Snapshot::of(directory.path());
    let (path, whole) = snapshot.file("superblock");
    for place in 0..40 {
        for (damaged, due) in [
            (vec![place], Some(7)),
            (vec![4096 + place], Some(7)),
            (vec![place, 4096 + place], None),
        ] {
            snapshot.restore();
            let mut bytes = whole.to_vec();
            damaged.iter().for_each(|place| bytes[*place] ^= 0x55);
            put(path, &bytes);
            match (reopened(directory.path()), due) {
                (Ok((found, _)), Some(due)) => {
                    assert_eq!(found, Some(TestRecord::View(due)), "{place}");
                    let used = 24 + 2;
                    assert_eq!(fs::read(path).expect("a file")[..used], whole[..used]);
                }
                // The bytes that follow the content mean nothing.
                (Ok((found, _)), None) if place >= 24 + 3 => {
                    assert_eq!(found, Some(TestRecord::View(7)));
                }
                (Err(StorageError::Corrupt { file, .. }), None) => assert_eq!(file, path),
                other => panic!("{damaged:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn a_changed_count_of_incarnations_is_reported() {
    let directory = tempfile::tempdir().expect("a directory");
    stored(directory.path(), &[]);
    let snapshot = Snapshot::of(directory.path());
    flip_every_byte(&snapshot, "incarnation", |place| {
        match open(directory.path()) {
            Err(StorageError::Corrupt { file, .. }) => assert!(file.ends_with("incarnation")),
            other => panic!("{place}: {:?}", other.map(|_| ())),
        }
    });
}

const FILES: &[&str] = &[
    "log-000001",
    "log-000002",
    "superblock",
    "incarnation",
    "log.synced",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the files hold: an error, or the records that were there.
    #[test]
    fn no_bytes_make_it_panic(
        name in prop::sample::select(FILES),
        from in 0usize..600,
        noise in prop::collection::vec(any::<u8>(), 0..700),
        whole in any::<bool>(),
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        let snapshot = store_records(directory.path());
        let (path, original) = snapshot.file(name);
        let mut bytes = if whole { Vec::new() } else { original.to_vec() };
        bytes.resize(bytes.len().max(from + noise.len()), 0);
        bytes[from..from + noise.len()].copy_from_slice(&noise);
        put(path, bytes);
        if let Ok((superblock, log)) = reopened(directory.path()) {
            prop_assert_eq!(superblock, None);
            prop_assert_eq!(log, records());
        }
    }
}
