//! What the thread of a test did to files, in order.

use std::cell::RefCell;
use std::path::{Path, PathBuf};

/// Something done to a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::storage) enum Operation {
    /// Bytes were handed over.
    Write {
        path: PathBuf,
        offset: usize,
        bytes: Vec<u8>,
    },
    /// What was handed over for a file, or the names in a directory, became durable.
    Sync { path: PathBuf },
    /// A file was removed.
    Remove { path: PathBuf },
    /// A file got another name.
    Rename { from: PathBuf, to: PathBuf },
}

thread_local! {
    static JOURNAL: RefCell<Vec<Operation>> = const { RefCell::new(Vec::new()) };
}

fn note(operation: Operation) {
    JOURNAL.with_borrow_mut(|journal| journal.push(operation));
}

pub(in crate::storage) fn wrote(path: &Path, offset: u64, bytes: &[u8]) {
    note(Operation::Write {
        path: path.to_owned(),
        offset: usize::try_from(offset).expect("a small file"),
        bytes: bytes.to_vec(),
    });
}

pub(in crate::storage) fn synced(path: &Path) {
    note(Operation::Sync {
        path: path.to_owned(),
    });
}

pub(in crate::storage) fn renamed(from: &Path, to: &Path) {
    note(Operation::Rename {
        from: from.to_owned(),
        to: to.to_owned(),
    });
}

pub(in crate::storage) fn removed(path: &Path) {
    note(Operation::Remove {
        path: path.to_owned(),
    });
}

/// Takes what was done since the last call.
pub(in crate::storage) fn take() -> Vec<Operation> {
    JOURNAL.take()
}

/// How much was done since the last [`take`].
pub(in crate::storage) fn len() -> usize {
    JOURNAL.with_borrow(Vec::len)
}
