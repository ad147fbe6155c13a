//! The thread that writes.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::super::StorageWriter;
use super::super::files::PlacedFile;
use super::*;

/// How long a test waits for what must come.
const DEADLINE: Duration = Duration::from_secs(30);

type Reports = Receiver<Result<RecordId, StorageError>>;

fn start(storage: Storage<TestRecord>) -> (StorageWriter<TestRecord>, Reports) {
    let (reporter, reports) = channel();
    let done = move |result| {
        let _ = reporter.send(result);
    };
    (storage.start(done).expect("a thread"), reports)
}

#[test]
fn all_that_was_submitted_is_durable_after_stop_and_reported_in_order() {
    let directory = tempfile::tempdir().expect("a directory");
    let (storage, ..) = open(directory.path()).expect("a working disk");
    let (writer, reports) = start(storage);
    let mut issuer = Issuer::default();
    for number in 0..200u8 {
        let (id, record) = issuer.issue(match number % 50 {
            49 => TestRecord::View(u64::from(number)),
            _ => entry(number, 30),
        });
        writer.submit(id, record);
    }
    writer.stop().expect("a working disk");
    let reported: Vec<_> = reports
        .iter()
        .map(|id| id.expect("a working disk").get())
        .collect();
    assert!(reported.is_sorted_by(|a, b| a < b), "{reported:?}");
    assert_eq!(reported.last(), Some(&200));
    for view in [50, 100, 150, 200] {
        assert!(
            reported.contains(&view),
            "a superblock is a group of its own"
        );
        assert!(
            reported.contains(&(view - 1)),
            "and what comes before it is another"
        );
    }
    let (superblock, log) = reopened(directory.path()).expect("whole");
    assert_eq!(superblock, Some(TestRecord::View(199)));
    assert_eq!(log.len(), 196);
}

#[test]
fn what_is_submitted_during_a_sync_shares_the_next() {
    let directory = tempfile::tempdir().expect("a directory");
    // All in one segment.
    let (storage, ..) = Storage::open(directory.path(), 0).expect("a working disk");
    let before = storage.syncs();
    let (reporter, reports) = channel();
    let (go_on, gate) = channel();
    let writer = storage
        .start(move |result| {
            reporter
                .send(result.expect("a working disk").get())
                .expect("a test that waits");
            gate.recv_timeout(DEADLINE).expect("a test that goes on");
        })
        .expect("a thread");
    let mut issuer = Issuer::default();
    let submit = |(id, record)| writer.submit(id, record);
    submit(issuer.issue(entry(1, 30)));
    assert_eq!(reports.recv_timeout(DEADLINE), Ok(1));
    // The thread stands still, as if it synced.
    issuer
        .issue_all(&vec![entry(3, 30); 100])
        .into_iter()
        .for_each(submit);
    go_on.send(()).expect("a thread that waits");
    assert_eq!(reports.recv_timeout(DEADLINE), Ok(101));
    assert_eq!(writer.syncs() - before, 2);
    go_on.send(()).expect("a thread that waits");
    writer.stop().expect("a working disk");
}

#[test]
fn a_dropped_writer_frees_the_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let (storage, ..) = open(directory.path()).expect("a working disk");
    let (writer, reports) = start(storage);
    let (id, record) = Issuer::default().issue(entry(1, 30));
    writer.submit(id, record.clone());
    let reported = reports
        .recv_timeout(DEADLINE)
        .expect("a report")
        .expect("a working disk");
    assert_eq!(reported, id);
    drop(writer);
    assert!(
        reports.recv_timeout(DEADLINE).is_err(),
        "nothing more comes"
    );
    assert_eq!(
        reopened(directory.path()).expect("free and whole").1,
        [record]
    );
}

/// Lets the log write into a device that fails.
fn break_log(storage: &mut Storage<TestRecord>, device: &str) {
    let device = PlacedFile::open(PathBuf::from(device), &Disk::default())
        .expect("a device")
        .expect("a device");
    storage.log.segment.file = device;
}

#[test]
fn a_failure_is_reported_once_and_nothing_is_durable_after_it() {
    for (device, operation) in [("/dev/full", "write"), ("/dev/null", "sync")] {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut storage, ..) = open(directory.path()).expect("a working disk");
        break_log(&mut storage, device);
        let (writer, reports) = start(storage);
        let mut issuer = Issuer::default();
        let records = [
            TestRecord::View(1),
            entry(1, 30),
            TestRecord::View(2),
            entry(3, 30),
        ];
        for (id, record) in issuer.issue_all(&records) {
            writer.submit(id, record);
        }
        let next = || reports.recv_timeout(DEADLINE);
        assert_eq!(
            next()
                .expect("a report")
                .expect("it is not in the log")
                .get(),
            1
        );
        match next().expect("a report") {
            Err(
                error @ StorageError::Io {
                    operation: failed, ..
                },
            ) => {
                assert_eq!(failed, operation);
                assert!(
                    error
                        .to_string()
                        .starts_with(&format!("cannot {operation} {device}: "))
                );
            }
            other => panic!("{other:?}"),
        }
        assert!(next().is_err(), "nothing more comes");
        let (id, record) = issuer.issue(entry(5, 30));
        writer.submit(id, record);
        let stopped = writer.stop();
        assert!(
            matches!(stopped, Err(StorageError::FailedBefore)),
            "{stopped:?}"
        );
        let found = reopened(directory.path()).expect("whole");
        assert_eq!(found, (Some(TestRecord::View(1)), vec![]));
    }
}
