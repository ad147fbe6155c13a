//! A past run, read back from its folder.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use viewstorm_history::{History, ReadError};

use crate::{ReadResultsError, Results};

/// The file with the results.
pub const RESULTS_FILE: &str = "results.json";

/// The file with the history.
pub const HISTORY_FILE: &str = "history.jsonl";

/// A past run: what it came to and what happened.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Its folder.
    pub dir: PathBuf,
    /// What it came to.
    pub results: Results,
    /// What happened.
    pub history: History,
}

/// Why a folder cannot be read as a run.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such folder.
    #[error("{path}: no such folder")]
    NoFolder {
        /// The folder.
        path: PathBuf,
    },
    /// A file that every finished run has is missing.
    #[error("{path}: missing: {meaning}")]
    Missing {
        /// The file.
        path: PathBuf,
        /// What its absence says.
        meaning: &'static str,
    },
    /// The results are there and cannot be used.
    #[error(transparent)]
    Results(#[from] ReadResultsError),
    /// The history cannot be opened.
    #[error("{path}: cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The history is wrong.
    #[error("{path}: {source}")]
    History {
        /// The file.
        path: PathBuf,
        /// Which line, and what is wrong with it.
        source: ReadError,
    },
}

impl Run {
    /// Reads a run's folder.
    pub fn open(dir: &Path) -> Result<Self, OpenError> {
        if !dir.is_dir() {
            return Err(OpenError::NoFolder {
                path: dir.to_owned(),
            });
        }
        let results_path = dir.join(RESULTS_FILE);
        let history_path = dir.join(HISTORY_FILE);
        present(&history_path, "the folder holds no run")?;
        present(
            &results_path,
            "the run was not judged (viewstorm check judges its history)",
        )?;
        Ok(Self {
            dir: dir.to_owned(),
            results: Results::read(&results_path)?,
            history: read_history(history_path)?,
        })
    }
}

fn present(path: &Path, meaning: &'static str) -> Result<(), OpenError> {
    if path.exists() {
        return Ok(());
    }
    Err(OpenError::Missing {
        path: path.to_owned(),
        meaning,
    })
}

fn read_history(path: PathBuf) -> Result<History, OpenError> {
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(source) => return Err(OpenError::Io { path, source }),
    };
    History::read(BufReader::new(file)).map_err(|source| OpenError::History { path, source })
}

#[cfg(test)]
mod tests;
