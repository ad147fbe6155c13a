//! How many processes have used a directory: a number and its checksum, on one line.

use std::path::{Path, PathBuf};

use viewstorm_protocol::Incarnation;

use super::files::{self, PlacedFile};
use super::{Damage, Disk, StorageError};

const NAME: &str = "incarnation";
const LINE_BYTES_MAX: u64 = 64;

/// Where it is counted.
pub(super) fn incarnation_path(directory: &Path) -> PathBuf {
    directory.join(NAME)
}

/// The last process that used the directory; none if none did.
pub(super) fn read(directory: &Path, disk: &Disk) -> Result<Option<Incarnation>, StorageError> {
    let Some(file) = PlacedFile::open(incarnation_path(directory), disk)? else {
        return Ok(None);
    };
    let line = file.read_up_to(LINE_BYTES_MAX)?;
    let number = std::str::from_utf8(&line)
        .ok()
        .and_then(|line| line.split(' ').next()?.parse().ok())
        .filter(|number| *number > 0 && *number < u64::MAX && format_line(*number) == line);
    match number {
        Some(number) => Ok(Some(Incarnation(number))),
        None => Err(StorageError::Corrupt {
            file: file.path().to_owned(),
            offset: 0,
            sequence: 0,
            reason: Damage::Content,
        }),
    }
}

/// Counts one process more, durably.
pub(super) fn count(
    directory: &Path,
    last: Option<Incarnation>,
    disk: &Disk,
) -> Result<Incarnation, StorageError> {
    let number = last.map_or(0, |last| last.0) + 1;
    files::replace(&incarnation_path(directory), &format_line(number), disk)?;
    Ok(Incarnation(number))
}

fn format_line(number: u64) -> Vec<u8> {
    let number = number.to_string();
    format!("{number} {:08x}\n", crc32c::crc32c(number.as_bytes())).into_bytes()
}
