//! A planted bug: a patch file whose header tells its story.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The folder of the patches in the tree, one folder a protocol.
const MUTANTS_FOLDER: &str = "mutants";

/// A planted bug.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Patch {
    /// The file.
    pub path: PathBuf,
    /// `vr/commit-with-f`.
    pub name: String,
    /// What stands before the patch proper: the first line says what the bug is.
    pub story: String,
}

/// Why the planted bugs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PatchError {
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A patch without a story.
    #[error("{path}: has no story before its first \"diff --git\" line")]
    NoStory {
        /// Which.
        path: PathBuf,
    },
    /// No patch has this name.
    #[error("there is no mutant {name:?}; there are {}", known.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
}

/// The planted bugs of the tree at `root`, by name. With `names` only those: `vr/longest-log`, or without the
/// folder.
pub fn patches(root: &Path, names: &[String]) -> Result<Vec<Patch>, PatchError> {
    let mut all = Vec::new();
    let home = root.join(MUTANTS_FOLDER);
    for folder in sorted(&home)?.iter().filter(|path| path.is_dir()) {
        for path in sorted(folder)? {
            if path
                .extension()
                .is_some_and(|extension| extension == "patch")
            {
                all.push(Patch::read(&home, path)?);
            }
        }
    }
    if names.is_empty() {
        return Ok(all);
    }
    let find = |name: &String| {
        let is_it = |patch: &&Patch| patch.name == *name || patch.short_name() == name;
        all.iter()
            .find(is_it)
            .cloned()
            .ok_or_else(|| PatchError::Unknown {
                name: name.clone(),
                known: all.iter().map(|patch| patch.name.clone()).collect(),
            })
    };
    names.iter().map(find).collect()
}

impl Patch {
    fn read(home: &Path, path: PathBuf) -> Result<Self, PatchError> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(source) => return Err(PatchError::Io { path, source }),
        };
        let story = text
            .split("diff --git")
            .next()
            .unwrap_or_default()
            .trim()
            .to_owned();
        if story.is_empty() || story.len() == text.trim().len() {
            return Err(PatchError::NoStory { path });
        }
        let name = path.strip_prefix(home).unwrap_or(&path).with_extension("");
        Ok(Self {
            name: name.display().to_string(),
            path,
            story,
        })
    }

    /// The story's first line.
    pub fn title(&self) -> &str {
        self.story.lines().next().unwrap_or_default()
    }

    /// Where the bug was seen, as its story says.
    pub fn source(&self) -> &str {
        self.said("Seen in:").unwrap_or_default()
    }

    /// The experiment that shows it in the simulator, if its story names one.
    pub fn plan(&self) -> Option<&Path> {
        self.said("Plan:").map(Path::new)
    }

    /// The experiment that shows it on processes, if its story names one.
    pub fn processes_plan(&self) -> Option<&Path> {
        self.said("Processes:").map(Path::new)
    }

    fn said(&self, label: &str) -> Option<&str> {
        let mut lines = self.story.lines();
        lines
            .find_map(|line| line.strip_prefix(label))
            .map(str::trim)
    }

    /// The name without the protocol.
    pub fn short_name(&self) -> &str {
        self.name.rsplit('/').next().unwrap_or_default()
    }
}

fn sorted(folder: &Path) -> Result<Vec<PathBuf>, PatchError> {
    let error = |source| PatchError::Io {
        path: folder.to_owned(),
        source,
    };
    let entries: io::Result<Vec<_>> = fs::read_dir(folder).map_err(error)?.collect();
    let mut paths: Vec<_> = entries
        .map_err(error)?
        .iter()
        .map(fs::DirEntry::path)
        .collect();
    paths.sort();
    Ok(paths)
}
