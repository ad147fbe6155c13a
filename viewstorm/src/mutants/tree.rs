//! A copy of the tree in which a bug is planted and built. One copy serves all bugs in turn, so that only what
//! a patch touches is built anew.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::Patch;

/// Where copies and builds go, below the tree.
pub const HOME: &str = "target/mutants";

/// A copy of the tree.
#[derive(Debug)]
pub struct Tree {
    source: PathBuf,
    copy: PathBuf,
    target: PathBuf,
}

/// What went wrong with the copy.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program could not be run.
    #[error("{program} could not be run: {source}")]
    Program {
        /// Which.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program failed.
    #[error("{what}:\n{output}")]
    Failed {
        /// What was to be done.
        what: String,
        /// What the program said.
        output: String,
    },
}

impl Tree {
    /// A copy of the tree at `source`, below `home`, which is made if it is not there.
    pub fn new(source: &Path, home: &Path) -> Result<Self, TreeError> {
        fs::create_dir_all(home).map_err(io_error(home))?;
        let home = home.canonicalize().map_err(io_error(home))?;
        let tree = Self {
            source: source.to_owned(),
            copy: home.join("tree"),
            target: home.join("target"),
        };
        tree.restore()?;
        Ok(tree)
    }

    /// Makes the copy like the source again, touching only what differs.
    pub fn restore(&self) -> Result<(), TreeError> {
        let files = self.files()?;
        let mut wanted = BTreeSet::new();
        for file in files {
            let from = self.source.join(&file);
            // A file that was deleted and not committed yet.
            if !from.is_file() {
                continue;
            }
            let content = fs::read(&from).map_err(io_error(&from))?;
            let to = self.copy.join(&file);
            if fs::read(&to).ok().as_ref() != Some(&content) {
                if let Some(folder) = to.parent() {
                    fs::create_dir_all(folder).map_err(io_error(folder))?;
                }
                fs::write(&to, content).map_err(io_error(&to))?;
            }
            wanted.insert(to);
        }
        remove_others(&self.copy, &wanted)
    }

    /// The files of the source: what is committed and what could be.
    fn files(&self) -> Result<Vec<PathBuf>, TreeError> {
        let mut git = Command::new("git");
        git.args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ]);
        let output = run(git.current_dir(&self.source), "listing the tree's files")?;
        let names = output
            .split(|byte| *byte == 0)
            .filter(|name| !name.is_empty());
        Ok(names
            .map(|name| PathBuf::from(OsStr::from_bytes(name)))
            .collect())
    }

    /// Plants a bug. A patch that does not apply is an error.
    pub fn plant(&self, patch: &Patch) -> Result<(), TreeError> {
        self.restore()?;
        let mut git = Command::new("git");
        git.args(["apply", "--whitespace=nowarn"])
            .arg(&patch.path)
            .current_dir(&self.copy);
        // The copy may lie inside the repository, whose paths are not its own.
        git.env(
            "GIT_CEILING_DIRECTORIES",
            self.copy.parent().unwrap_or(&self.copy),
        );
        run(&mut git, &format!("{} does not apply", patch.name)).map(drop)
    }

    /// Whether the copy compiles, of the crate that patches are about and all that it is made of.
    pub fn check(&self, what: &str) -> Result<(), TreeError> {
        let mut cargo = self.cargo("check");
        cargo.args(["--package", "viewstorm-protocol"]);
        run(&mut cargo, &format!("{what} does not compile")).map(drop)
    }

    /// Builds the copy and returns its binary. One that was built from the same files under this name is taken
    /// again.
    pub fn build(&self, what: &str) -> Result<PathBuf, TreeError> {
        let home = self
            .target
            .join("built")
            .join(what.replace(['/', ' '], "-"));
        let kept = home.join(format!("{:016x}", self.fingerprint()?));
        if kept.exists() {
            return Ok(kept);
        }
        let mut cargo = self.cargo("build");
        cargo.args(["--profile", "mutants", "--bin", "viewstorm"]);
        run(&mut cargo, &format!("{what} does not build"))?;
        if home.exists() {
            fs::remove_dir_all(&home).map_err(io_error(&home))?;
        }
        fs::create_dir_all(&home).map_err(io_error(&home))?;
        let built = self.target.join("mutants/viewstorm");
        fs::copy(&built, &kept).map_err(io_error(&built))?;
        Ok(kept)
    }

    /// All that a binary is made of, in one number.
    fn fingerprint(&self) -> Result<u64, TreeError> {
        let mut hasher = DefaultHasher::new();
        for file in self.files()? {
            let is_prose = file.extension().is_some_and(|extension| extension == "md");
            let path = self.copy.join(&file);
            if is_prose || file.starts_with("mutants") || !path.is_file() {
                continue;
            }
            file.hash(&mut hasher);
            fs::read(&path).map_err(io_error(&path))?.hash(&mut hasher);
        }
        Ok(hasher.finish())
    }

    /// The copy's folder.
    pub fn path(&self) -> &Path {
        &self.copy
    }

    fn cargo(&self, verb: &str) -> Command {
        let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        cargo
            .arg(verb)
            .args(["--locked", "--quiet", "--color=never"]);
        cargo
            .current_dir(&self.copy)
            .env("CARGO_TARGET_DIR", &self.target);
        cargo
    }
}

/// Runs a program to its end and returns what it printed.
fn run(command: &mut Command, what: &str) -> Result<Vec<u8>, TreeError> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|source| TreeError::Program {
            program: command.get_program().display().to_string(),
            source,
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let output = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(TreeError::Failed {
        what: what.to_owned(),
        output,
    })
}

fn remove_others(folder: &Path, wanted: &BTreeSet<PathBuf>) -> Result<(), TreeError> {
    for entry in fs::read_dir(folder).map_err(io_error(folder))? {
        let path = entry.map_err(io_error(folder))?.path();
        if path.is_dir() {
            remove_others(&path, wanted)?;
        } else if !wanted.contains(&path) {
            fs::remove_file(&path).map_err(io_error(&path))?;
        }
    }
    Ok(())
}

fn io_error(path: &Path) -> impl Fn(io::Error) -> TreeError + use<> {
    let path = path.to_owned();
    move |source| TreeError::Io {
        path: path.clone(),
        source,
    }
}
