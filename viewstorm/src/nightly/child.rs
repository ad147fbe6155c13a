//! One unit of a night: a child of this same binary, with a limit.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::stall;
use crate::runner::Interrupt;

/// How often a child is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// How long a child that was told to end may take over it.
const FAREWELL: Duration = Duration::from_secs(15);
/// How much of what a child said is kept as evidence, from its end.
const TAIL_BYTES: usize = 64 << 10;

/// How a child ended.
#[derive(Debug)]
pub(super) enum Ended {
    /// By itself.
    Exited {
        /// Its exit code; none if a signal ended it.
        code: Option<i32>,
        /// What it printed.
        stdout: Vec<u8>,
        /// What it complained about.
        stderr: String,
    },
    /// It took longer than its limit, and was killed; this is what it was doing.
    Stalled(String),
    /// The night is to end.
    Interrupted,
}

/// Runs a command to its end, at most for `limit`. What it prints goes through files in `folder`, which are gone
/// afterwards: a child that prints without end blocks nobody.
pub(super) fn run(
    command: &mut Command,
    limit: Duration,
    folder: &Path,
    interrupt: &dyn Interrupt,
) -> io::Result<Ended> {
    let files = Files::create(folder)?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(File::create(&files.stdout)?)
        .stderr(File::create(&files.stderr)?)
        .spawn()?;
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return files.ended(status);
        }
        if interrupt.interrupted().is_some() {
            farewell(&mut child)?;
            return Ok(Ended::Interrupted);
        }
        if Instant::now() >= deadline {
            let mut evidence = stall::look_at(child.id());
            farewell(&mut child)?;
            evidence.push_str("== the last that it said\n");
            evidence.push_str(&tail(&files.stderr));
            return Ok(Ended::Stalled(evidence));
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

/// Asks a child to end in order, and kills it if it does not. Its own children die with it.
fn farewell(child: &mut Child) -> io::Result<()> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended in the meantime; it is not reaped, so its number is still its own.
        let _ = kill_process(pid, Signal::INT);
    }
    let deadline = Instant::now() + FAREWELL;
    while child.try_wait()?.is_none() {
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// Where a child's words go.
struct Files {
    stdout: PathBuf,
    stderr: PathBuf,
}

impl Files {
    fn create(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            stdout: folder.join("unit.stdout"),
            stderr: folder.join("unit.stderr"),
        })
    }

    fn ended(&self, status: ExitStatus) -> io::Result<Ended> {
        Ok(Ended::Exited {
            code: status.code(),
            stdout: fs::read(&self.stdout)?,
            stderr: tail(&self.stderr),
        })
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        // Left behind they are only in the way.
        drop(fs::remove_file(&self.stdout));
        drop(fs::remove_file(&self.stderr));
    }
}

fn tail(path: &Path) -> String {
    let bytes = fs::read(path).unwrap_or_default();
    let start = bytes.len().saturating_sub(TAIL_BYTES);
    String::from_utf8_lossy(bytes.get(start..).unwrap_or_default()).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Never;
    impl Interrupt for Never {
        fn interrupted(&self) -> Option<String> {
            None
        }
    }

    struct Now;
    impl Interrupt for Now {
        fn interrupted(&self) -> Option<String> {
            Some("now".to_owned())
        }
    }

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn what_a_child_says_comes_back() {
        let home = tempfile::tempdir().unwrap();
        let mut command = shell("echo out; echo err >&2; exit 3");
        let ended = run(&mut command, Duration::from_secs(60), home.path(), &Never).unwrap();
        let Ended::Exited {
            code,
            stdout,
            stderr,
        } = ended
        else {
            panic!("{ended:?}");
        };
        assert_eq!(
            (code, stdout.as_slice(), stderr.as_str()),
            (Some(3), &b"out\n"[..], "err\n")
        );
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_child_that_stalls_is_killed_and_looked_at_first() {
        let home = tempfile::tempdir().unwrap();
        let mut command = shell("echo I am here >&2; exec sleep 600");
        let ended = run(
            &mut command,
            Duration::from_millis(300),
            home.path(),
            &Never,
        )
        .unwrap();
        let Ended::Stalled(evidence) = ended else {
            panic!("{ended:?}");
        };
        assert!(evidence.contains("sleep 600"), "{evidence}");
        assert!(evidence.contains("I am here"), "{evidence}");
    }

    #[test]
    fn an_interrupted_night_leaves_no_child() {
        let home = tempfile::tempdir().unwrap();
        let ended = run(
            &mut shell("exec sleep 600"),
            Duration::from_secs(60),
            home.path(),
            &Now,
        );
        assert!(matches!(ended.unwrap(), Ended::Interrupted));
    }
}
