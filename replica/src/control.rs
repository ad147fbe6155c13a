//! The control channel: commands on standard input, reports on standard output, one JSON object a line. No
//! fault touches it.

use std::io::{self, BufRead, Read, Write};
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use viewstorm_protocol::{BentClock, FuseStep, Incarnation, NodeId, Status, ViewNumber};

use crate::storage::{DiskFaults, SyncReport};

/// What a replica is told. The end of standard input tells it to stop at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Command {
    /// From now on these are all the rules of the replica's tap. Answered by [`Report::TapSet`].
    SetTap {
        /// As the tap that was plugged in reads them.
        rules: serde_json::Value,
    },
    /// From now on these are all the messages that its tap watches for: each is answered by
    /// [`Report::MessageSeen`].
    SetWatches {
        /// As the tap that was plugged in reads them.
        watches: serde_json::Value,
    },
    /// From now on the core is told the time by such a clock; none: the truth.
    SetClock {
        /// How the clock runs.
        clock: Option<BentClock>,
    },
    /// Tell what time it is. Answered by [`Report::Clock`].
    ReadClock,
    /// From now on this is all that is wrong with its disk.
    SetDisk {
        /// What.
        faults: DiskFaults,
    },
    /// Tell what its disk is like. Answered by [`Report::Disk`].
    ReadDisk,
    /// From now on this is where the process ends by itself (SIGKILL), counted from now; none: nowhere. Its
    /// last word is [`Report::Crashed`].
    SetFuse {
        /// Where.
        fuse: Option<FuseSpec>,
    },
    /// Send a probe to a node that the configuration names an address of.
    Probe {
        /// Its name.
        id: u64,
        /// Where to.
        to: NodeId,
    },
    /// Finish what is being written and stop. Answered by [`Report::Stopped`].
    Stop,
}

/// Where a replica ends by itself: before this effect of its core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FuseSpec {
    /// Which of those that are counted, from 1.
    pub nth: u64,
    /// Which are counted.
    pub step: FuseStep,
}

/// What a replica tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "report", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Report {
    /// It listens, and has recovered what its storage holds.
    Hello {
        /// Which start of it this is.
        incarnation: Incarnation,
        /// Where it listens.
        address: SocketAddr,
    },
    /// Its role is now this.
    Role {
        /// What it does.
        status: Status,
        /// In which view.
        view: ViewNumber,
        /// Whether it is that view's primary.
        primary: bool,
    },
    /// A probe arrived.
    ProbeArrived {
        /// Its name.
        id: u64,
        /// Whose.
        from: NodeId,
        /// When it was sent, in nanoseconds on the run's clock.
        sent: u64,
        /// When it arrived, on the same clock.
        received: u64,
    },
    /// Its tap has the rules of the latest [`Command::SetTap`].
    TapSet,
    /// A message passed its tap that a watch of the latest [`Command::SetWatches`] is about.
    MessageSeen {
        /// Which watch.
        watch: u64,
    },
    /// What time it is.
    Clock {
        /// On the clock that the core is told, in nanoseconds.
        told: u64,
        /// On the run's clock.
        at: u64,
    },
    /// What its disk is like: the answer to [`Command::ReadDisk`], and before it stops for a fault of the disk.
    Disk {
        /// The sync that ended last.
        last_sync: Option<SyncReport>,
        /// A write or a read was refused by order.
        has_refused: bool,
    },
    /// It ends now, where [`Command::SetFuse`] wanted it to: its last word.
    Crashed {
        /// Where.
        fuse: FuseSpec,
    },
    /// Everything is durable and all connections are closed: its last word.
    Stopped,
    /// It cannot go on: its last word.
    Fatal {
        /// Why, naming the thing.
        reason: String,
    },
}

impl Report {
    /// Whether the group needs the replica no more: its process ends in order.
    pub(crate) const fn is_retirement(&self) -> bool {
        matches!(
            self,
            Self::Role {
                status: Status::Retired,
                ..
            }
        )
    }
}

/// The longest command, in bytes.
pub const COMMAND_BYTES_MAX: u64 = 1 << 20;
/// How many commands wait for the replica; whoever sends more waits.
pub const COMMANDS_MAX: usize = 256;

/// Takes a replica's reports.
pub type ReportSink = Box<dyn FnMut(&Report) -> io::Result<()> + Send>;

/// The replica's end of a control channel.
pub struct ControlChannel {
    /// Commands. Its end tells the replica to stop at once.
    pub commands: mpsc::Receiver<Result<Command, CommandError>>,
    /// Takes reports. It may block for as long as the replica may stand still.
    pub reports: ReportSink,
}

/// Why a line is no command.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The channel could not be read.
    #[error("the control channel cannot be read: {0}")]
    Read(#[from] io::Error),
    /// The line is no command.
    #[error("not a command: {line}: {source}")]
    Malformed {
        /// The line, or its beginning.
        line: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// The line does not end.
    #[error("a command of more than {COMMAND_BYTES_MAX} bytes")]
    TooLong,
}

impl ControlChannel {
    /// The channel over standard input and output.
    pub fn standard() -> Self {
        let (sender, commands) = mpsc::channel(COMMANDS_MAX);
        std::thread::spawn(move || read_commands(io::stdin().lock(), &sender));
        Self {
            commands,
            reports: Box::new(|report| write_report(&mut io::stdout().lock(), report)),
        }
    }
}

impl std::fmt::Debug for ControlChannel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ControlChannel").finish_non_exhaustive()
    }
}

/// Reads commands until the input ends, one is wrong, or nobody wants more.
fn read_commands(mut input: impl BufRead, sender: &mpsc::Sender<Result<Command, CommandError>>) {
    while let Some(command) = read_command(&mut input).transpose() {
        let last = command.is_err();
        if sender.blocking_send(command).is_err() || last {
            return;
        }
    }
}

/// The next command; none at the input's end. A line that the end cuts off is no command.
fn read_command(input: &mut impl BufRead) -> Result<Option<Command>, CommandError> {
    let mut line = Vec::new();
    input.take(COMMAND_BYTES_MAX).read_until(b'\n', &mut line)?;
    if line.last() != Some(&b'\n') {
        let whole = (line.len() as u64) < COMMAND_BYTES_MAX;
        return if whole {
            Ok(None)
        } else {
            Err(CommandError::TooLong)
        };
    }
    serde_json::from_slice(&line)
        .map(Some)
        .map_err(|source| CommandError::Malformed {
            line: String::from_utf8_lossy(&line)
                .trim_end()
                .chars()
                .take(200)
                .collect(),
            source,
        })
}

/// Writes a report in one piece.
pub(crate) fn write_report(output: &mut impl Write, report: &Report) -> io::Result<()> {
    let mut line = serde_json::to_vec(report)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read_all(input: &[u8]) -> Vec<Result<Command, CommandError>> {
        let (sender, mut commands) = mpsc::channel(COMMANDS_MAX);
        read_commands(input, &sender);
        std::iter::from_fn(|| commands.try_recv().ok()).collect()
    }

    #[test]
    fn commands_read_back_as_they_are_written() {
        let commands = [
            Command::SetTap {
                rules: serde_json::json!([{"drop": ["Prepare"]}]),
            },
            Command::Probe {
                id: 3,
                to: NodeId::Client(1),
            },
            Command::SetClock {
                clock: Some(BentClock {
                    true_origin: 7,
                    bent_origin: -5,
                    drift_ppm: 3,
                }),
            },
            Command::SetFuse {
                fuse: Some(FuseSpec {
                    nth: 2,
                    step: FuseStep::Send("Prepare".to_owned()),
                }),
            },
            Command::Stop,
        ];
        let text: String = commands
            .iter()
            .map(|command| serde_json::to_string(command).unwrap() + "\n")
            .collect();
        assert!(
            text.contains(r#"{"command":"probe","id":3,"to":"c1"}"#),
            "{text}"
        );
        let read: Vec<_> = read_all(text.as_bytes())
            .into_iter()
            .map(Result::unwrap)
            .collect();
        assert_eq!(read, commands);
    }

    #[test]
    fn the_first_line_that_is_no_command_is_named_and_the_last() {
        let read =
            read_all(b"{\"command\":\"stop\"}\n{\"command\":\"fly\"}\n{\"command\":\"stop\"}\n");
        assert_eq!(read.len(), 2);
        let error = read[1].as_ref().unwrap_err().to_string();
        assert!(error.contains(r#"{"command":"fly"}"#), "{error}");
    }

    #[test]
    fn a_line_without_end_is_refused_and_one_cut_off_is_none() {
        let endless = vec![b' '; usize::try_from(COMMAND_BYTES_MAX).unwrap() + 1];
        assert!(matches!(
            read_all(&endless)[..],
            [Err(CommandError::TooLong)]
        ));
        assert!(read_all(b"{\"command\":\"stop\"}").is_empty());
    }

    #[test]
    fn a_report_is_one_line_that_reads_back() {
        let report = Report::Hello {
            incarnation: Incarnation(2),
            address: "127.0.0.1:4000".parse().unwrap(),
        };
        let mut line = Vec::new();
        write_report(&mut line, &report).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        assert_eq!(serde_json::from_slice::<Report>(&line).unwrap(), report);
    }

    proptest! {
        #[test]
        fn any_line_is_a_command_or_refused(line in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read_all(&line);
        }
    }
}
