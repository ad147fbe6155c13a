//! What nobody needs any more is removed, and only that.

use super::super::segment::{Segment, segment_path};
use super::*;

fn segments(directory: &Path, zone: Zone) -> Vec<u64> {
    Segment::numbers(directory, zone).expect("segments")
}

#[test]
fn a_log_of_which_only_the_end_is_needed_does_not_grow_for_ever() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut storage, ..) = open(directory.path()).expect("a working disk");
    let mut issuer = Issuer::default();
    // As much as ten minutes of a busy group write into real segments: three hundred times a segment.
    let rounds = 300 * SEGMENT_BYTES as usize / 400;
    for round in 0..rounds {
        let records = [entry(round as u8, 120), TestRecord::Part(vec![1; 120])];
        let group = records.iter().cycle().take(4).cloned().collect::<Vec<_>>();
        storage
            .persist(issuer.issue_all(&group), |_, _| {})
            .expect("a working disk");
        if round > 0 {
            storage.reclaim(Zone::Log, 2).expect("a working disk");
            storage
                .reclaim(Zone::Checkpoint, 2)
                .expect("a working disk");
        }
        let files = fs::read_dir(directory.path()).expect("a directory").count();
        assert!(files <= 16, "{files} files in round {round}");
    }
    drop(storage);
    let (_, recovered, _) = open(directory.path()).expect("a working disk");
    let needed = vec![entry((rounds - 1) as u8, 120); 2];
    assert!(recovered.log.ends_with(&needed) && recovered.log.len() <= 8);
    assert!((2..=8).contains(&recovered.checkpoint.len()));
    assert!(segments(directory.path(), Zone::Log)[0] > 200);
}

#[test]
fn records_are_counted_from_what_a_start_finds() {
    let directory = tempfile::tempdir().expect("a directory");
    let records: Vec<_> = (0..20).map(|fill| entry(fill, 150)).collect();
    stored(directory.path(), &[&records]);
    let mut found = records.len();
    for _ in 0..5 {
        let (mut storage, recovered, _) = open(directory.path()).expect("a working disk");
        assert!(records.ends_with(&recovered.log));
        assert!(
            recovered.log.len() <= found && recovered.log.len() + 3 >= found,
            "{found}"
        );
        found = recovered.log.len();
        storage.reclaim(Zone::Log, 3).expect("a working disk");
    }
    assert!(found <= 20 - 4 * 2);
}

#[test]
fn a_segment_that_is_missing_is_told_from_one_that_was_removed() {
    let directory = tempfile::tempdir().expect("a directory");
    let records: Vec<_> = (0..20).map(|fill| entry(fill, 150)).collect();
    stored(directory.path(), &[&records]);
    let (mut storage, ..) = open(directory.path()).expect("a working disk");
    storage.reclaim(Zone::Log, 7).expect("a working disk");
    drop(storage);
    let snapshot = Snapshot::of(directory.path());
    let first = segments(directory.path(), Zone::Log)[0];
    assert!(first > 1);
    for gone in [first, first + 1] {
        let path = segment_path(directory.path(), Zone::Log, gone);
        fs::remove_file(&path).expect("it was there");
        match open(directory.path()) {
            Err(StorageError::Missing { file }) => assert_eq!(file, path),
            other => panic!("{:?}", other.map(|_| ())),
        }
        snapshot.restore();
    }
    // Those that a crash left half removed go at the next start.
    let (path, bytes) = snapshot.file(&format!("log-{first:06}"));
    let again = path.with_file_name("log-000001");
    put(&again, bytes);
    let (_, recovered, _) = open(directory.path()).expect("a working disk");
    assert!(records.ends_with(&recovered.log) && !again.exists());
}

#[test]
fn damage_to_the_file_that_names_the_first_segment_is_found() {
    let directory = tempfile::tempdir().expect("a directory");
    let records: Vec<_> = (0..20).map(|fill| entry(fill, 150)).collect();
    stored(directory.path(), &[&records]);
    let (mut storage, ..) = open(directory.path()).expect("a working disk");
    storage.reclaim(Zone::Log, 7).expect("a working disk");
    drop(storage);
    let snapshot = Snapshot::of(directory.path());
    let (path, bytes) = snapshot.file("log.first");
    for place in 0..bytes.len() {
        let mut damaged = bytes.to_vec();
        damaged[place] ^= 4;
        put(path, &damaged);
        assert!(open(directory.path()).is_err(), "byte {place}");
    }
    snapshot.restore();
    assert!(open(directory.path()).is_ok());
}
