//! How storage fails.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Why a replica has no storage, or has it no longer.
#[derive(Debug, Error)]
pub enum StorageError {
    /// Another process uses the directory.
    #[error("{} is in use by another process", directory.display())]
    InUse {
        /// Which directory.
        directory: PathBuf,
    },
    /// The operating system refused something. After a write or a sync nothing can be relied on any
    /// more.
    #[error("cannot {operation} {}: {source}", file.display())]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        file: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// Something that was durable has changed. The replica must not go on as if it had never been
    /// written.
    #[error("{} is damaged at byte {offset}, record {sequence}: {reason}", file.display())]
    Corrupt {
        /// Which file.
        file: PathBuf,
        /// Where in it.
        offset: u64,
        /// Which record is, or should be, there: its place in the log or the superblock's version.
        sequence: u64,
        /// What is wrong.
        reason: Damage,
    },
    /// A file is gone that a directory in use has.
    #[error("{} is missing", file.display())]
    Missing {
        /// Which file.
        file: PathBuf,
    },
    /// The core issued a record that no reader would accept.
    #[error("a record of {length} bytes; at most {limit} are stored")]
    TooLarge {
        /// How long it is.
        length: usize,
        /// How long it may be.
        limit: usize,
    },
    /// The core issued a record that does not serialise.
    #[error("a record does not serialise: {0}")]
    Encode(#[source] postcard::Error),
    /// The thread ended earlier, with an error that was reported then.
    #[error("storage has failed before")]
    FailedBefore,
}

impl StorageError {
    /// To be used with `map_err`: `operation` on `file` failed.
    pub(super) fn io(operation: &'static str, file: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io {
            operation,
            file: file.to_owned(),
            source,
        }
    }
}

/// What is wrong with bytes that should be a record.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Damage {
    /// Zeros.
    #[error("nothing is written there")]
    Unwritten,
    /// The header is not one, or has changed.
    #[error("the header fails its checksum")]
    Header,
    /// The header is whole, the content is not.
    #[error("the content fails its checksum")]
    Content,
    /// It ends behind the file's end.
    #[error("it reaches beyond the end of its file")]
    Beyond,
    /// Both are whole, but it belongs elsewhere.
    #[error("it does not follow the record before it")]
    Chain,
    /// The file is not as long as it was made.
    #[error("the file has {found} bytes; it was made with {made}")]
    Length {
        /// How long it is.
        found: u64,
        /// How long it was.
        made: u64,
    },
    /// Whole, but not what this program writes.
    #[error("it is whole, but cannot be read: {0}")]
    Foreign(String),
}
