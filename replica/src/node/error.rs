//! Why a replica process ended.

use std::path::PathBuf;

use crate::storage::StorageError;
use crate::{ConfigError, IdentityError};

/// Why a replica process could not start or go on.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// Its configuration makes no sense.
    #[error("configuration: {0}")]
    Config(#[from] ConfigError),
    /// Its credentials cannot be used.
    #[error("credentials: {0}")]
    Identity(#[from] IdentityError),
    /// The process that started it is gone.
    #[error("the parent is not process {expected} any more")]
    Orphaned {
        /// Who started it.
        expected: u32,
    },
    /// The operating system refused something that the process needs.
    #[error("{what}: {source}")]
    System {
        /// What was wanted.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file of its own.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Its storage could not be opened or written.
    #[error("storage: {0}")]
    Storage(#[from] StorageError),
    /// Its storage stopped working: nothing may be assumed durable any more.
    #[error("storage: {0}")]
    StorageFailed(String),
    /// Somebody wrote nonsense on the control channel.
    #[error("control: {0}")]
    Control(String),
    /// The control channel ended: whoever started it wants no more of it.
    #[error("the control channel is closed")]
    ControlClosed,
}
