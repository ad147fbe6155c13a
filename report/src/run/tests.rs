use std::fs;

use super::*;
use crate::{sample, write_all};

#[test]
fn what_is_missing_from_a_folder_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let open = || Run::open(dir.path()).unwrap_err().to_string();
    let error = Run::open(&dir.path().join("none")).unwrap_err();
    assert!(matches!(error, OpenError::NoFolder { .. }), "{error}");
    assert!(
        open().ends_with("history.jsonl: missing: the folder holds no run"),
        "{}",
        open()
    );
    fs::write(dir.path().join(HISTORY_FILE), "").unwrap();
    assert!(
        open().contains("results.json: missing: the run was not judged"),
        "{}",
        open()
    );
}

#[test]
fn a_wrong_line_of_the_history_is_named() {
    let dir = tempfile::tempdir().unwrap();
    write_all(dir.path(), &sample::valid(), &History::default()).unwrap();
    fs::write(dir.path().join(HISTORY_FILE), "{\"process\":1}\nno\n").unwrap();
    let error = Run::open(dir.path()).unwrap_err().to_string();
    assert!(error.contains("history.jsonl: line 1"), "{error}");
}
