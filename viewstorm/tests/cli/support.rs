//! Runs the binary, and looks for what it left.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use viewstorm_history::History;
use viewstorm_report::Results;

/// Longer than anything here takes, also on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A folder for runs, which is gone with the test.
#[derive(Debug)]
pub(crate) struct Home {
    directory: tempfile::TempDir,
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Home {
    pub(crate) fn new() -> Self {
        Self {
            directory: tempfile::tempdir().unwrap(),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes a plan and returns its path.
    pub(crate) fn plan(&self, text: &str) -> PathBuf {
        let path = self.path().join("plan.toml");
        std::fs::write(&path, text).unwrap();
        path
    }

    /// `viewstorm ARGUMENTS`, in this folder.
    pub(crate) fn viewstorm(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output().unwrap();
        Ended::of(&output)
    }

    /// Starts it and does not wait.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = self.command(arguments);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_viewstorm"));
        command
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null());
        command
    }

    /// The one run folder below `runs/`.
    pub(crate) fn run_folder(&self) -> PathBuf {
        self.run_folder_if_there().expect("one run below runs/")
    }

    /// The one run folder below `runs/`, if there is one already.
    pub(crate) fn run_folder_if_there(&self) -> Option<PathBuf> {
        let only = |path: PathBuf| {
            let mut entries = std::fs::read_dir(path).ok()?.map(Result::unwrap);
            let first = entries.next()?;
            assert!(entries.next().is_none(), "more than one run");
            Some(first.path())
        };
        only(only(self.path().join("runs"))?)
    }

    /// Waits until no process of this folder's runs is left.
    pub(crate) fn wait_until_no_process_is_left(&self) {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = self.processes();
            if left.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "still there: {left:?}");
            std::thread::yield_now();
        }
    }

    /// The processes whose command line names this folder.
    pub(crate) fn processes(&self) -> Vec<u32> {
        let home = self.path().to_str().unwrap().as_bytes().to_vec();
        let is_ours = |id: &u32| {
            // One that is gone has no command line.
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            line.windows(home.len()).any(|window| window == home)
        };
        let entries = std::fs::read_dir("/proc").unwrap().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        ids.filter(is_ours).collect()
    }
}

impl Ended {
    pub(crate) fn of(output: &Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// That it ended with `code`; otherwise what it said.
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.stdout, self.stderr);
        self
    }
}

pub(crate) fn results(folder: &Path) -> Results {
    Results::read(&folder.join("results.json")).unwrap()
}

pub(crate) fn history(folder: &Path) -> History {
    let file = std::fs::File::open(folder.join("history.jsonl")).unwrap();
    History::read(std::io::BufReader::new(file)).unwrap()
}

/// A partition of the primary and a kill of the next one, in a few seconds.
pub(crate) fn storm(world: &str) -> String {
    format!(
        r#"
name = "storm"
[world]
kind = "{world}"
[workload]
clients = 8
endpoints = 2
rate = 200
[run]
duration = "5s"
[[nemesis]]
fault = "partition"
shape = "isolate-primary"
at = "500ms"
for = "1500ms"
[[nemesis]]
fault = "kill"
target = "primary"
at = "3s"
for = "800ms"
"#
    )
}
