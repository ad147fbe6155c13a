//! A replica's process, with the threads that listen to it.

use std::fs::OpenOptions;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::thread::JoinHandle;

use viewstorm_nemesis::ProcessState;
use viewstorm_nemesis::inject::Process;
use viewstorm_replica::control;

/// The longest line that a replica may write to its control channel.
const LINE_MAX: u64 = 1 << 20;

/// What a replica's process is started with.
#[derive(Clone, Debug)]
pub(crate) struct ChildSpec {
    pub(crate) executable: PathBuf,
    pub(crate) config: PathBuf,
    /// Where its standard error goes, appended.
    pub(crate) log: PathBuf,
    /// Whether it runs the message pattern alone, to be measured.
    pub(crate) pattern: bool,
}

/// What a replica's process says of itself.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ChildEvent {
    /// A report.
    Report(control::Report),
    /// A line that is none.
    Garbage(String),
    /// It ended: its wait status, in words. The last event of a child.
    Exited(String),
}

/// A replica's process. Dropping it ends the process and waits for its threads.
#[derive(Debug)]
pub(crate) struct Child {
    process: Arc<Process>,
    commands: ChildStdin,
    listener: Option<JoinHandle<()>>,
}

impl Child {
    /// Starts the process. `tell` is called on a thread of the child's own.
    pub(crate) fn start(
        spec: &ChildSpec,
        tell: impl Fn(ChildEvent) + Send + 'static,
    ) -> Result<Self, String> {
        let error = |what: String| move |error: io::Error| format!("{what}: {error}");
        let log = OpenOptions::new().create(true).append(true).open(&spec.log);
        let log = log.map_err(error(spec.log.display().to_string()))?;
        let mut command = Command::new(&spec.executable);
        command.arg("replica").arg("--config").arg(&spec.config);
        if spec.pattern {
            command.arg("--pattern");
        }
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        let process = Process::spawn(&mut command)
            .map_err(error(format!("{} replica", spec.executable.display())))?;
        let piped = (process.take_stdin(), process.take_stdout());
        let (Some(commands), Some(reports)) = piped else {
            return Err("the control channel is not there".to_owned());
        };
        let process = Arc::new(process);
        let waited = Arc::clone(&process);
        let listener = std::thread::Builder::new()
            .name("replica-listener".to_owned())
            .spawn(move || {
                listen(BufReader::new(reports), &tell);
                let how = waited
                    .wait()
                    .unwrap_or_else(|error| format!("not to be waited for: {error}"));
                tell(ChildEvent::Exited(how));
            })
            .map_err(error("a thread to listen to it".to_owned()))?;
        Ok(Self {
            process,
            commands,
            listener: Some(listener),
        })
    }

    /// Writes a command. A process that is gone does not read it; its end is reported by itself.
    pub(super) fn command(&mut self, command: &control::Command) -> io::Result<()> {
        let mut line = serde_json::to_vec(command).map_err(io::Error::other)?;
        line.push(b'\n');
        self.commands.write_all(&line)
    }

    pub(crate) fn kill(&self) -> io::Result<()> {
        self.process.kill()
    }

    pub(super) fn pause(&self) -> io::Result<()> {
        self.process.pause()
    }

    pub(super) fn resume(&self) -> io::Result<()> {
        self.process.resume()
    }

    pub(super) fn state(&self) -> io::Result<ProcessState> {
        self.process.state()
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // One that is gone already cannot be ended, which is what is wanted.
        drop(self.process.kill());
        if let Some(listener) = self.listener.take() {
            drop(listener.join());
        }
    }
}

/// Tells every line until there are no more.
fn listen(mut reports: impl BufRead, tell: &impl Fn(ChildEvent)) {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = reports.by_ref().take(LINE_MAX).read_until(b'\n', &mut line);
        // An error on a pipe is its end.
        if !matches!(read, Ok(count) if count > 0) {
            return;
        }
        // A kill may cut the last line.
        if line.last() != Some(&b'\n') && (line.len() as u64) < LINE_MAX {
            return;
        }
        tell(match serde_json::from_slice(&line) {
            Ok(report) => ChildEvent::Report(report),
            Err(_) => ChildEvent::Garbage(String::from_utf8_lossy(&line).trim().to_owned()),
        });
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn a_line_that_a_kill_cut_is_no_report_and_no_garbage() {
        let told = RefCell::new(Vec::new());
        let lines = b"what is this\n{\"cut\":".as_slice();
        listen(lines, &|event| told.borrow_mut().push(event));
        assert_eq!(
            told.into_inner(),
            [ChildEvent::Garbage("what is this".to_owned())]
        );
    }
}
