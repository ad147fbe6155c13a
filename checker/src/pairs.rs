//! From events to operations. What the judgement rests on is looked at first: that times are in order, that
//! a process does one thing at a time, that one which ended info is heard of no more.

use viewstorm_history::{History, Kind, OperationEvent, Timestamp};

use crate::hash::Table;

/// An invocation and what came of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pair<'h> {
    /// How it began.
    pub(crate) invoke: &'h OperationEvent,
    /// How it ended; none where the history was cut off first.
    pub(crate) completion: Option<&'h OperationEvent>,
    /// The invoke's place among the operations' events.
    pub(crate) position: usize,
}

impl Pair<'_> {
    /// The invoke's number among the history's events, or its place where events have no numbers.
    pub(crate) fn index(&self) -> u64 {
        self.invoke.index.unwrap_or(self.position as u64)
    }
}

/// Why a history cannot be judged: it is not what a history has to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BrokenHistory {
    #[error("time runs backwards: event {event} at {time} follows one at {previous}")]
    TimeGoesBack {
        event: u64,
        time: Timestamp,
        previous: Timestamp,
    },
    #[error("process {process} invokes again (event {event}) before its operation has ended")]
    TwoAtATime { process: u64, event: u64 },
    #[error("process {process} invokes again (event {event}) after an operation that ended info")]
    InvokesAfterInfo { process: u64, event: u64 },
    #[error("process {process} ends an operation (event {event}) that it did not invoke")]
    NotInvoked { process: u64, event: u64 },
    #[error("process {process} invoked {invoked} but event {event} ends {ended}")]
    EndsAnother {
        process: u64,
        event: u64,
        invoked: String,
        ended: String,
    },
    #[error("event {event} is no operation of the model: {reason}")]
    Unreadable { event: u64, reason: String },
}

#[derive(Clone, Copy)]
enum Process {
    Idle,
    Busy(usize),
    Retired,
}

/// Pairs the operations' events, in the order of their invocations.
pub(crate) fn pair(history: &History) -> Result<Vec<Pair<'_>>, BrokenHistory> {
    let mut pairs: Vec<Pair<'_>> = Vec::with_capacity(history.operations.len() / 2 + 1);
    let mut processes: Table<u64, Process> = Table::default();
    let mut previous = Timestamp::ZERO;
    for (position, event) in history.operations.iter().enumerate() {
        let number = event.index.unwrap_or(position as u64);
        if event.time < previous {
            return Err(BrokenHistory::TimeGoesBack {
                event: number,
                time: event.time,
                previous,
            });
        }
        previous = event.time;
        let id = event.process.0;
        let process = processes.entry(id).or_insert(Process::Idle);
        match (event.kind, *process) {
            (Kind::Invoke, Process::Idle) => {
                *process = Process::Busy(pairs.len());
                pairs.push(Pair {
                    invoke: event,
                    completion: None,
                    position,
                });
            }
            (Kind::Invoke, Process::Busy(_)) => {
                return Err(BrokenHistory::TwoAtATime {
                    process: id,
                    event: number,
                });
            }
            (Kind::Invoke, Process::Retired) => {
                return Err(BrokenHistory::InvokesAfterInfo {
                    process: id,
                    event: number,
                });
            }
            (kind, Process::Busy(pair)) => {
                let pair = &mut pairs[pair];
                check_same(pair.invoke, event, number)?;
                pair.completion = Some(event);
                let retires = kind == Kind::Info;
                *process = if retires {
                    Process::Retired
                } else {
                    Process::Idle
                };
            }
            (_, Process::Idle | Process::Retired) => {
                return Err(BrokenHistory::NotInvoked {
                    process: id,
                    event: number,
                });
            }
        }
    }
    Ok(pairs)
}

fn check_same(
    invoke: &OperationEvent,
    completion: &OperationEvent,
    number: u64,
) -> Result<(), BrokenHistory> {
    if invoke.f == completion.f && invoke.key == completion.key {
        return Ok(());
    }
    let name = |event: &OperationEvent| match &event.key {
        Some(key) => format!("{} on {key:?}", event.f),
        None => event.f.clone(),
    };
    Err(BrokenHistory::EndsAnother {
        process: invoke.process.0,
        event: number,
        invoked: name(invoke),
        ended: name(completion),
    })
}
