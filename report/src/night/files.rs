//! The files of a night's folder.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::markdown::markdown;
use super::metrics::metrics;
use super::night::{NIGHT_SCHEMA_VERSION, Night};
use super::suite::junit;
use super::trend::{TrendPoint, append_trend};
use crate::html::night_page;
use crate::write::write_whole;
use crate::{JUNIT_FILE, SUMMARY_FILE};

/// Everything that is known of the night.
pub const NIGHT_FILE: &str = "results.json";
/// The page.
pub const NIGHT_PAGE_FILE: &str = "night.html";
/// OpenMetrics text.
pub const METRICS_FILE: &str = "metrics.prom";
/// The nights before, beside the folders of the nights.
pub const TREND_FILE: &str = "trend.jsonl";

/// Why a night's file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum NightError {
    /// The system does not hand it out, or does not take it.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is not a night's.
    #[error("{path}: is not a night's file: {source}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong there.
        source: serde_json::Error,
    },
    /// Another version wrote it.
    #[error(
        "{path}: has schema version {found}; this viewstorm reads version {NIGHT_SCHEMA_VERSION}"
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version it names.
        found: u32,
    },
}

/// Reads the night in `folder`; none if there is none.
pub fn read_night(folder: &Path) -> Result<Option<Night>, NightError> {
    #[derive(Deserialize)]
    struct Probe {
        schema_version: u32,
    }
    let path = folder.join(NIGHT_FILE);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(NightError::Io { path, source }),
    };
    let malformed = |source| NightError::Malformed {
        path: path.clone(),
        source,
    };
    let probe: Probe = serde_json::from_slice(&text).map_err(malformed)?;
    if probe.schema_version != NIGHT_SCHEMA_VERSION {
        let found = probe.schema_version;
        return Err(NightError::Version { path, found });
    }
    serde_json::from_slice(&text).map(Some).map_err(malformed)
}

/// Writes the night, whole or not at all.
pub fn write_night(folder: &Path, night: &Night) -> Result<(), NightError> {
    let mut json = serde_json::to_string_pretty(night).expect("plain types serialise");
    json.push('\n');
    write(&folder.join(NIGHT_FILE), json.as_bytes())
}

/// Writes everything that people and machines read of a night; `trend` is the file of the nights before.
pub fn write_night_reports(folder: &Path, night: &Night, trend: &Path) -> Result<(), NightError> {
    write_night(folder, night)?;
    let points = append_trend(trend, TrendPoint::of(night)).map_err(|source| NightError::Io {
        path: trend.to_owned(),
        source,
    })?;
    write(&folder.join(SUMMARY_FILE), markdown(night).as_bytes())?;
    write(&folder.join(JUNIT_FILE), junit(night).as_bytes())?;
    write(&folder.join(METRICS_FILE), metrics(night).as_bytes())?;
    write(
        &folder.join(NIGHT_PAGE_FILE),
        night_page(night, &points).as_bytes(),
    )
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), NightError> {
    write_whole(path, bytes).map_err(|source| NightError::Io {
        path: path.to_owned(),
        source,
    })
}
