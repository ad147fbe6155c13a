//! Files whose every failure names the file and what was tried.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::{Disk, StorageError};

/// The ending of files that are not finished.
const UNFINISHED: &str = "new";

/// A file that is written at places.
#[derive(Debug)]
pub(super) struct PlacedFile {
    path: PathBuf,
    file: File,
    disk: Disk,
}

impl PlacedFile {
    /// Makes a new, empty file.
    pub(super) fn create(path: PathBuf, disk: &Disk) -> Result<Self, StorageError> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true);
        let file = options
            .open(&path)
            .map_err(StorageError::io("create", &path))?;
        let disk = disk.clone();
        Ok(Self { path, file, disk })
    }

    /// Opens a file, if there is one.
    pub(super) fn open(path: PathBuf, disk: &Disk) -> Result<Option<Self>, StorageError> {
        match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => {
                let disk = disk.clone();
                Ok(Some(Self { path, file, disk }))
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StorageError::io("open", &path)(error)),
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn len(&self) -> Result<u64, StorageError> {
        let metadata = self.file.metadata();
        Ok(metadata
            .map_err(StorageError::io("look at", &self.path))?
            .len())
    }

    /// Reads from the start to the end, but no more than `limit` bytes.
    pub(super) fn read_up_to(&self, limit: u64) -> Result<Vec<u8>, StorageError> {
        let mut bytes = Vec::new();
        self.disk
            .before_read()
            .map_err(StorageError::io("read", &self.path))?;
        (&self.file)
            .take(limit)
            .read_to_end(&mut bytes)
            .map_err(StorageError::io("read", &self.path))?;
        Ok(bytes)
    }

    /// Hands bytes to the operating system.
    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), StorageError> {
        #[cfg(test)]
        super::tests::journal::wrote(&self.path, offset, bytes);
        self.disk
            .before_write(&self.path, offset, bytes, |count| self.old(offset, count))
            .map_err(StorageError::io("write", &self.path))?;
        self.file
            .write_all_at(bytes, offset)
            .map_err(StorageError::io("write", &self.path))
    }

    /// How long the file is, and what it holds from `offset` on, at most `count` bytes.
    fn old(&self, offset: u64, count: usize) -> io::Result<(u64, Vec<u8>)> {
        let length = self.file.metadata()?.len();
        let there = length.saturating_sub(offset).min(count as u64);
        let mut old = vec![0; usize::try_from(there).map_err(io::Error::other)?];
        self.file.read_exact_at(&mut old, offset)?;
        Ok((length, old))
    }

    /// Makes what was written durable (fdatasync).
    pub(super) fn sync(&self) -> Result<(), StorageError> {
        self.disk
            .sync(&self.path, || self.file.sync_data())
            .map_err(StorageError::io("sync", &self.path))?;
        #[cfg(test)]
        super::tests::journal::synced(&self.path);
        Ok(())
    }

    /// Gives a finished file its name, durably.
    pub(super) fn rename(&mut self, path: PathBuf) -> Result<(), StorageError> {
        #[cfg(test)]
        super::tests::journal::renamed(&self.path, &path);
        fs::rename(&self.path, &path).map_err(StorageError::io("rename", &self.path))?;
        self.path = path;
        sync_directory(parent(&self.path))
    }
}

/// The name under which `path` is made before it is finished.
pub(super) fn unfinished(path: &Path) -> PathBuf {
    path.with_extension(UNFINISHED)
}

/// Makes `path` hold `bytes`, or leaves it as it was.
pub(super) fn replace(path: &Path, bytes: &[u8], disk: &Disk) -> Result<(), StorageError> {
    let mut file = PlacedFile::create(unfinished(path), disk)?;
    file.write_at(0, bytes)?;
    file.sync()?;
    file.rename(path.to_owned())
}

/// Removes what an earlier process did not finish.
pub(super) fn remove_unfinished(directory: &Path) -> Result<(), StorageError> {
    for path in list(directory)? {
        if path.extension().is_some_and(|ending| ending == UNFINISHED) {
            fs::remove_file(&path).map_err(StorageError::io("remove", &path))?;
        }
    }
    Ok(())
}

/// Removes a file that is not needed. Whether that is durable does not matter.
pub(super) fn remove(path: &Path) -> Result<(), StorageError> {
    #[cfg(test)]
    super::tests::journal::removed(path);
    fs::remove_file(path).map_err(StorageError::io("remove", path))
}

/// What is in a directory.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, StorageError> {
    fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(StorageError::io("list", directory))
}

/// Makes the names in a directory durable.
pub(super) fn sync_directory(directory: &Path) -> Result<(), StorageError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(StorageError::io("sync", directory))?;
    #[cfg(test)]
    super::tests::journal::synced(directory);
    Ok(())
}

/// The directory that `path` is in.
pub(super) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
