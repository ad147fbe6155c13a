//! The trace file: the records of a turn in one write, before anything of the turn leaves.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use viewstorm_protocol::TraceRecord;

use super::ReplicaError;

/// An open trace file and the records of the turn under way.
#[derive(Debug)]
pub(super) struct TraceFile {
    path: PathBuf,
    file: File,
    turn: Vec<u8>,
}

impl TraceFile {
    /// Opens the file at `path` to append to it.
    pub(super) fn open(path: &Path) -> Result<Self, ReplicaError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        let file = file.map_err(|source| ReplicaError::File {
            path: path.to_owned(),
            source,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
            turn: Vec::new(),
        })
    }

    /// Adds a record to the turn.
    pub(super) fn record(&mut self, record: &TraceRecord) {
        serde_json::to_writer(&mut self.turn, record).expect("trace records are plain JSON");
        self.turn.push(b'\n');
    }

    /// Writes the records of the turn. What is written survives the process, though not the machine.
    pub(super) fn write_turn(&mut self) -> Result<(), ReplicaError> {
        if self.turn.is_empty() {
            return Ok(());
        }
        let written = self.file.write_all(&self.turn);
        self.turn.clear();
        written.map_err(|source| ReplicaError::File {
            path: self.path.clone(),
            source,
        })
    }
}
