//! A run is a folder: where it is, and what stands in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use viewstorm_history::Seed;
use viewstorm_report::write_whole;

/// The commit that this binary was built from; a `+` marks changes on top of it.
pub const COMMIT: &str = env!("VIEWSTORM_COMMIT");

/// The file with the resolved plan in a run's folder.
pub const PLAN_FILE: &str = "plan.toml";

/// A run's folder.
#[derive(Clone, Debug)]
pub struct RunFolder {
    path: PathBuf,
}

/// Why there is no folder for the run.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// There is one already.
    #[error(
        "{path} exists: a run never overwrites another (--replace removes the old one first, \
         --out DIR names another place)"
    )]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// It exists and is not a run: `--replace` removes runs only.
    #[error("{path} exists and is not a run folder: it is left alone")]
    NotARun {
        /// The folder.
        path: PathBuf,
    },
    /// It could not be made, or a file in it not written.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl RunFolder {
    /// The folder of one run: `<out>/<experiment>/<world>-<commit>-<seed>`.
    pub fn default_path(out: &Path, experiment: &str, world: &str, seed: Seed) -> PathBuf {
        out.join(experiment)
            .join(format!("{world}-{COMMIT}-{seed}"))
    }

    /// Makes the folder at `path`. One that exists is an error, or is removed first if `replace` says so and
    /// it is a run's.
    pub fn create(path: PathBuf, replace: bool) -> Result<Self, FolderError> {
        let error = |path: &Path| {
            let path = path.to_owned();
            move |source| FolderError::File { path, source }
        };
        if path.exists() {
            let is_empty = fs::read_dir(&path).is_ok_and(|mut entries| entries.next().is_none());
            match (replace, path.join(PLAN_FILE).exists()) {
                _ if is_empty => {}
                (false, _) => return Err(FolderError::Exists { path }),
                (true, false) => return Err(FolderError::NotARun { path }),
                (true, true) => fs::remove_dir_all(&path).map_err(error(&path))?,
            }
        }
        for part in ["trace", "replicas"] {
            let part = path.join(part);
            fs::create_dir_all(&part).map_err(error(&part))?;
        }
        let path = path.canonicalize().map_err(error(&path))?;
        Ok(Self { path })
    }

    /// The folder of a past run.
    pub fn existing(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a file so that it is there whole or not at all.
    pub fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, FolderError> {
        let path = self.file(name);
        write_whole(&path, content).map_err(|source| FolderError::File {
            path: path.clone(),
            source,
        })?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_existing_run_is_kept_unless_it_is_to_be_replaced() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b");
        let folder = RunFolder::create(path.clone(), false).unwrap();
        folder.write("plan.toml", b"name = \"a\"").unwrap();
        let error = RunFolder::create(path.clone(), false).unwrap_err();
        assert!(matches!(error, FolderError::Exists { .. }), "{error}");
        RunFolder::create(path.clone(), true).unwrap();
        assert!(!path.join(PLAN_FILE).exists());
    }

    #[test]
    fn what_is_not_a_run_is_never_removed() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("thesis.txt"), "years of work").unwrap();
        let error = RunFolder::create(home.path().to_owned(), true).unwrap_err();
        assert!(matches!(error, FolderError::NotARun { .. }), "{error}");
        assert!(home.path().join("thesis.txt").exists());
    }
}
