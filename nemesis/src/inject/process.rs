//! A child process, in hand by its pidfd: no signal can ever reach another process that got its number.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::{ChildStdin, ChildStdout, Command};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitId, WaitIdOptions, WaitIdStatus, pidfd_open, pidfd_send_signal,
    waitid,
};

use crate::action::ProcessState;

/// A child of this process. Dropping it kills and reaps it, whatever state it is in.
#[derive(Debug)]
pub struct Process {
    pid: Pid,
    pidfd: OwnedFd,
    stdin: Mutex<Option<ChildStdin>>,
    stdout: Mutex<Option<ChildStdout>>,
    /// How it ended, once it is reaped. While this is locked and `None`, the number is surely its own.
    ended: Mutex<Option<String>>,
}

impl Process {
    /// Starts the command. Its pipes can be taken from here, as far as it asks for some.
    pub fn spawn(command: &mut Command) -> io::Result<Self> {
        let mut child = command.spawn()?;
        // Nobody but us reaps it, so that until then the number is its own.
        let opened = pid_of(&child).and_then(|pid| {
            let pidfd = pidfd_open(pid, PidfdFlags::empty())?;
            Ok((pid, pidfd))
        });
        let (pid, pidfd) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                child.kill()?;
                child.wait()?;
                return Err(error);
            }
        };
        let stdin = Mutex::new(child.stdin.take());
        let stdout = Mutex::new(child.stdout.take());
        Ok(Self {
            pid,
            pidfd,
            stdin,
            stdout,
            ended: Mutex::new(None),
        })
    }

    /// Its number.
    pub fn id(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// The pipe to its standard input, once, if the command asked for one.
    pub fn take_stdin(&self) -> Option<ChildStdin> {
        lock(&self.stdin).take()
    }

    /// The pipe from its standard output, once, if the command asked for one.
    pub fn take_stdout(&self) -> Option<ChildStdout> {
        lock(&self.stdout).take()
    }

    /// Ends it at once, even if it is paused. Nothing to do if it has ended already.
    pub fn kill(&self) -> io::Result<()> {
        match pidfd_send_signal(&self.pidfd, Signal::KILL) {
            Err(Errno::SRCH) => Ok(()),
            result => Ok(result?),
        }
    }

    /// Stops it from running. [`Process::state`] tells when all of it has stopped.
    pub fn pause(&self) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, Signal::STOP)?)
    }

    /// Lets it run again.
    pub fn resume(&self) -> io::Result<()> {
        Ok(pidfd_send_signal(&self.pidfd, Signal::CONT)?)
    }

    /// What the system says it is doing.
    pub fn state(&self) -> io::Result<ProcessState> {
        let ended = lock(&self.ended);
        if ended.is_some() {
            return Ok(ProcessState::Gone);
        }
        let home = format!("/proc/{}", self.id());
        match read_state(&format!("{home}/stat"))? {
            None | Some('Z' | 'X' | 'x') => Ok(ProcessState::Gone),
            Some('T' | 't') => all_threads_stopped(&home),
            Some(_) => Ok(ProcessState::Running),
        }
    }

    /// Waits until it has ended and says how: `exit code 1`, `signal 9 (SIGKILL)`. May be called from several
    /// threads, and again.
    pub fn wait(&self) -> io::Result<String> {
        let id = || WaitId::PidFd(self.pidfd.as_fd());
        // Without reaping: others may wait too, and the lock must not be held so long.
        let seen =
            until_not_interrupted(|| waitid(id(), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT));
        let mut ended = lock(&self.ended);
        if let Some(how) = &*ended {
            // Another thread was quicker, so that this one may have found no child.
            return Ok(how.clone());
        }
        seen?;
        let status = until_not_interrupted(|| waitid(id(), WaitIdOptions::EXITED))?
            .ok_or_else(|| io::Error::other("the system knows no end of the process"))?;
        Ok(ended.insert(in_words(&status)).clone())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Neither can fail but by the system's fault, and then there is nobody to tell.
        drop(self.kill());
        drop(self.wait());
    }
}

fn pid_of(child: &std::process::Child) -> io::Result<Pid> {
    i32::try_from(child.id())
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other("the system gave a process a number that is none"))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn until_not_interrupted<T>(mut call: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

/// The main thread may have stopped before another, which is still in a system call.
fn all_threads_stopped(home: &str) -> io::Result<ProcessState> {
    for thread in std::fs::read_dir(format!("{home}/task"))? {
        let stat = match thread {
            Ok(thread) => thread.path().join("stat"),
            // It ended while the folder was read, and with it the process that stood still.
            Err(error) if is_no_process(&error) => return Ok(ProcessState::Gone),
            Err(error) => return Err(error),
        };
        if !matches!(
            read_state(&stat.to_string_lossy())?,
            None | Some('T' | 't' | 'Z' | 'X')
        ) {
            return Ok(ProcessState::Running);
        }
    }
    Ok(ProcessState::Paused)
}

/// The letter in a stat file; none if there is no such process or thread.
fn read_state(path: &str) -> io::Result<Option<char>> {
    match std::fs::read_to_string(path) {
        Ok(stat) => state_letter(&stat)
            .map(Some)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{path}: {stat:?}"))),
        Err(error) if is_no_process(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

fn is_no_process(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::NOENT | Errno::SRCH)
    )
}

/// `7 (a name, which may hold ") Z (") S 1 ...`
fn state_letter(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}

fn in_words(status: &WaitIdStatus) -> String {
    if let Some(code) = status.exit_status() {
        return format!("exit code {code}");
    }
    match status.terminating_signal() {
        Some(signal) => signal_in_words(signal),
        None => format!("{status:?}"),
    }
}

fn signal_in_words(number: i32) -> String {
    const NAMES: [(Signal, &str); 16] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::USR1, "SIGUSR1"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::USR2, "SIGUSR2"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
    ];
    match NAMES.iter().find(|(signal, _)| signal.as_raw() == number) {
        Some((_, name)) => format!("signal {number} ({name})"),
        None => format!("signal {number}"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::process::Stdio;
    use std::sync::Arc;
    use std::time::{Duration, Instant};

    use super::*;

    fn sleeper() -> Process {
        Process::spawn(Command::new("sleep").arg("600")).expect("there is a sleep")
    }

    fn shell(script: &str) -> Process {
        let mut command = Command::new("sh");
        command
            .args(["-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        Process::spawn(&mut command).expect("there is a shell")
    }

    fn await_state(process: &Process, wanted: ProcessState) {
        let deadline = Instant::now() + Duration::from_secs(10);
        while process.state().expect("/proc can be read") != wanted {
            assert!(
                Instant::now() < deadline,
                "the process never became {wanted:?}"
            );
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_process_is_paused_resumed_and_killed() {
        let process = sleeper();
        await_state(&process, ProcessState::Running);
        process.pause().unwrap();
        await_state(&process, ProcessState::Paused);
        process.resume().unwrap();
        await_state(&process, ProcessState::Running);
        process.kill().unwrap();
        await_state(&process, ProcessState::Gone);
        assert_eq!(process.wait().unwrap(), "signal 9 (SIGKILL)");
        assert_eq!(
            process.wait().unwrap(),
            "signal 9 (SIGKILL)",
            "it can be asked again"
        );
        assert_eq!(process.state().unwrap(), ProcessState::Gone);
    }

    #[test]
    fn a_paused_process_can_be_killed() {
        let process = sleeper();
        process.pause().unwrap();
        await_state(&process, ProcessState::Paused);
        process.kill().unwrap();
        assert_eq!(process.wait().unwrap(), "signal 9 (SIGKILL)");
    }

    #[test]
    fn the_end_is_told_in_words() {
        assert_eq!(shell("exit 0").wait().unwrap(), "exit code 0");
        assert_eq!(shell("exit 1").wait().unwrap(), "exit code 1");
        assert_eq!(shell("exit 255").wait().unwrap(), "exit code 255");
        assert_eq!(
            shell("kill -TERM $$").wait().unwrap(),
            "signal 15 (SIGTERM)"
        );
        assert_eq!(signal_in_words(11), "signal 11 (SIGSEGV)");
        assert_eq!(signal_in_words(40), "signal 40");
    }

    #[test]
    fn after_the_end_a_signal_hits_nobody() {
        let process = shell("exit 3");
        assert_eq!(process.wait().unwrap(), "exit code 3");
        process.kill().unwrap();
        assert!(process.pause().is_err() && process.resume().is_err());
        assert_eq!(process.wait().unwrap(), "exit code 3");
    }

    #[test]
    fn many_wait_while_one_kills() {
        let process = Arc::new(sleeper());
        let waiters: Vec<_> = (0..4)
            .map(|_| {
                let process = Arc::clone(&process);
                std::thread::spawn(move || process.wait())
            })
            .collect();
        process.kill().unwrap();
        for waiter in waiters {
            assert_eq!(waiter.join().unwrap().unwrap(), "signal 9 (SIGKILL)");
        }
    }

    #[test]
    fn dropping_kills_and_reaps() {
        for paused in [false, true] {
            let process = sleeper();
            if paused {
                process.pause().unwrap();
            }
            let home = std::path::PathBuf::from(format!("/proc/{}", process.id()));
            assert!(home.exists());
            drop(process);
            // A zombie would still be there. The number cannot be in use again so soon.
            assert!(!home.exists());
        }
    }

    #[test]
    fn its_pipes_can_be_taken_once() {
        let process = shell("cat");
        let mut stdin = process.take_stdin().expect("it is piped");
        let mut stdout = process.take_stdout().expect("it is piped");
        assert!(process.take_stdin().is_none() && process.take_stdout().is_none());
        stdin.write_all(b"a line").unwrap();
        drop(stdin);
        let mut said = String::new();
        stdout.read_to_string(&mut said).unwrap();
        assert_eq!(said, "a line");
        assert_eq!(process.wait().unwrap(), "exit code 0");
    }

    #[test]
    fn a_command_that_does_not_exist_is_an_error() {
        let error = Process::spawn(&mut Command::new("/no/such/program")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn a_name_cannot_pose_as_a_state() {
        assert_eq!(state_letter("7 (a) Z (b) T 1 7"), Some('T'));
        assert_eq!(state_letter("7 (a"), None);
    }

    proptest::proptest! {
        #[test]
        fn any_stat_is_read_or_refused(stat: String) {
            state_letter(&stat);
        }
    }
}
