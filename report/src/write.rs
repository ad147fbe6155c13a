//! Writes the files of a report, each whole or not at all.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use viewstorm_history::{History, Timestamp};

use crate::html::page;
use crate::junit::junit;
use crate::markdown::markdown;
use crate::operations::{Operation, operations};
use crate::{RESULTS_FILE, Results, summary};

/// The page.
pub const HTML_FILE: &str = "report.html";

/// The summary in Markdown.
pub const SUMMARY_FILE: &str = "summary.md";

/// The test suite.
pub const JUNIT_FILE: &str = "junit.xml";

/// Why a file of the report could not be written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot be written: {source}")]
pub struct WriteError {
    /// The file.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Writes results.json, summary.md, junit.xml and report.html into the run's folder and returns
/// their paths, the page last.
///
/// All four are written and synced under other names before the first gets its own, so that a full
/// disk leaves an older report as it was; results.json gets its name last, so that where it is new
/// all are.
pub fn write_all(
    dir: &Path,
    results: &Results,
    history: &History,
) -> Result<Vec<PathBuf>, WriteError> {
    let operations = operations(history);
    let origin = origin(results, &operations);
    let mut json = serde_json::to_string_pretty(results).expect("plain types serialise");
    json.push('\n');
    let contents = [
        (RESULTS_FILE, json),
        (SUMMARY_FILE, markdown(results, origin)),
        (JUNIT_FILE, junit(results)),
        (HTML_FILE, page(results, history, &operations, origin)),
    ];
    let mut staged = Vec::with_capacity(contents.len());
    for (name, content) in contents {
        let path = dir.join(name);
        match stage(dir, content.as_bytes()) {
            Ok(file) => staged.push((path, file)),
            Err(source) => return Err(WriteError { path, source }),
        }
    }
    let paths = staged.iter().map(|(path, _)| path.clone()).collect();
    for (path, file) in staged.into_iter().rev() {
        if let Err(error) = file.persist(&path) {
            return Err(WriteError {
                path,
                source: error.error,
            });
        }
    }
    Ok(paths)
}

/// Writes one file, whole or not at all.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let file = stage(beside, bytes)?;
    file.persist(path).map(drop).map_err(|error| error.error)
}

/// When the load began: what the phases say, or else when the first operation was due.
fn origin(results: &Results, operations: &[Operation<'_>]) -> Timestamp {
    let first_due = || operations.iter().map(Operation::due).min();
    summary::load_start(results)
        .or_else(first_due)
        .unwrap_or_default()
}

/// Writes beside the file and syncs. Dropped without its name, it is gone.
fn stage(dir: &Path, bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut builder = tempfile::Builder::new();
    // As any other file of the run: a page is there to be shown to others. The umask still applies.
    #[cfg(unix)]
    let builder = {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666))
    };
    let mut file = builder.tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    Ok(file)
}

#[cfg(test)]
mod tests;
