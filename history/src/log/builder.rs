//! From events to calls. What a judgement rests on is looked at first: that times are in order, that a process
//! does one thing at a time, that one which ended info is heard of no more.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::call::{FINAL, NO_ORDER, OBSERVED};
use super::{Call, CallLog, Datum, NEVER};
use crate::{Kind, Timestamp};

/// An event, with values that the log's table knows.
#[derive(Clone, Copy, Debug)]
pub struct LogEvent<'a> {
    /// When.
    pub time: u64,
    /// Whose.
    pub process: u64,
    /// Where the call stands.
    pub kind: Kind,
    /// The operation.
    pub f: &'a str,
    /// The key it touches.
    pub key: Option<&'a str>,
    /// Argument or result.
    pub value: Datum,
    /// How many operations the service had executed.
    pub order: Option<u64>,
    /// What a failed operation saw.
    pub observed: Option<Datum>,
    /// Its number; its place among the events otherwise.
    pub index: Option<u64>,
    /// Whether it is of a read at the end of the run.
    pub is_final: bool,
}

/// Why events are no history.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PairError {
    /// An event is earlier than the one before it.
    #[error("time runs backwards: event {event} at {time} follows one at {previous}")]
    TimeGoesBack {
        /// Which event.
        event: u64,
        /// Its time.
        time: Timestamp,
        /// The time before it.
        previous: Timestamp,
    },
    /// A process began a second thing.
    #[error("process {process} invokes again (event {event}) before its operation has ended")]
    TwoAtATime {
        /// Whose.
        process: u64,
        /// Which event.
        event: u64,
    },
    /// A process went on after it was lost.
    #[error("process {process} invokes again (event {event}) after an operation that ended info")]
    InvokesAfterInfo {
        /// Whose.
        process: u64,
        /// Which event.
        event: u64,
    },
    /// A completion without an invocation.
    #[error("process {process} ends an operation (event {event}) that it did not invoke")]
    NotInvoked {
        /// Whose.
        process: u64,
        /// Which event.
        event: u64,
    },
    /// A completion of something else.
    #[error("process {process} invoked {invoked} but event {event} ends {ended}")]
    EndsAnother {
        /// Whose.
        process: u64,
        /// Which event.
        event: u64,
        /// What it had begun.
        invoked: String,
        /// What it ended.
        ended: String,
    },
}

const IDLE: u32 = u32::MAX;
const RETIRED: u32 = u32::MAX - 1;
/// Processes below this have a place in a vector.
const DENSE_PROCESSES: u64 = 1 << 22;

/// Which call each process waits for.
#[derive(Debug, Default)]
struct Processes {
    dense: Vec<u32>,
    sparse: HashMap<u64, u32>,
}

impl Processes {
    fn state(&mut self, process: u64) -> &mut u32 {
        if process >= DENSE_PROCESSES {
            return self.sparse.entry(process).or_insert(IDLE);
        }
        let place = process as usize;
        if place >= self.dense.len() {
            self.dense.resize((place + 1).next_power_of_two(), IDLE);
        }
        &mut self.dense[place]
    }
}

/// FNV over short texts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Short(u64);

impl Default for Short {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Short {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 31)
    }
}

/// Puts a log together, event by event.
#[derive(Debug, Default)]
pub struct CallLogBuilder {
    /// The log so far; its values may be added to.
    pub log: CallLog,
    processes: Processes,
    key_places: HashMap<String, u32, BuildHasherDefault<Short>>,
    no_key: Option<u32>,
    last_key: u32,
    events: u64,
    previous: u64,
}

impl CallLogBuilder {
    /// Takes the next event.
    pub fn push(&mut self, event: &LogEvent<'_>) -> Result<(), PairError> {
        let number = event.index.unwrap_or(self.events);
        self.events += 1;
        if event.time < self.previous {
            return Err(PairError::TimeGoesBack {
                event: number,
                time: Timestamp(event.time),
                previous: Timestamp(self.previous),
            });
        }
        self.previous = event.time;
        let process = event.process;
        let state = *self.processes.state(process);
        match (event.kind, state) {
            (Kind::Invoke, IDLE) => {
                let place = self.log.calls.len() as u32;
                assert!(place < RETIRED, "a history has less than 2^32 calls");
                *self.processes.state(process) = place;
                self.invoke(event, number);
                Ok(())
            }
            (Kind::Invoke, RETIRED) => Err(PairError::InvokesAfterInfo {
                process,
                event: number,
            }),
            (Kind::Invoke, _) => Err(PairError::TwoAtATime {
                process,
                event: number,
            }),
            (_, IDLE | RETIRED) => Err(PairError::NotInvoked {
                process,
                event: number,
            }),
            (kind, place) => {
                self.complete(event, number, place as usize)?;
                let state = if kind == Kind::Info { RETIRED } else { IDLE };
                *self.processes.state(process) = state;
                Ok(())
            }
        }
    }

    /// The log, when there are no more events. Calls that are open are of unknown outcome.
    pub fn finish(self) -> CallLog {
        self.log
    }

    fn invoke(&mut self, event: &LogEvent<'_>, number: u64) {
        let (key, f) = (self.key(event.key), self.function(event.f));
        self.log.calls.push(Call {
            invoke: event.time,
            end: NEVER,
            process: event.process,
            argument: event.value,
            result: Datum::NULL,
            order: event.order.unwrap_or(NO_ORDER),
            index: number,
            key,
            f,
            kind: Kind::Info,
            flags: if event.is_final { FINAL } else { 0 },
        });
    }

    fn complete(
        &mut self,
        event: &LogEvent<'_>,
        number: u64,
        place: usize,
    ) -> Result<(), PairError> {
        let begun = self.log.calls[place];
        let is_same = self.log.function(&begun) == event.f && self.log.key(&begun) == event.key;
        if !is_same {
            let name = |f: &str, key: Option<&str>| match key {
                Some(key) => format!("{f} on {key:?}"),
                None => f.to_owned(),
            };
            return Err(PairError::EndsAnother {
                process: event.process,
                event: number,
                invoked: name(self.log.function(&begun), self.log.key(&begun)),
                ended: name(event.f, event.key),
            });
        }
        let call = &mut self.log.calls[place];
        call.end = event.time;
        call.kind = event.kind;
        let observed = event.observed.filter(|_| event.kind == Kind::Fail);
        call.result = observed.unwrap_or(event.value);
        call.order = event.order.unwrap_or(NO_ORDER);
        if observed.is_some() {
            call.flags |= OBSERVED;
        }
        if event.is_final {
            call.flags |= FINAL;
        }
        Ok(())
    }

    fn key(&mut self, key: Option<&str>) -> u32 {
        let next = self.log.keys.len() as u32;
        let Some(key) = key else {
            return *self.no_key.get_or_insert_with(|| {
                self.log.keys.push(None);
                next
            });
        };
        let is_last = |place: &Option<String>| place.as_deref() == Some(key);
        if self
            .log
            .keys
            .get(self.last_key as usize)
            .is_some_and(is_last)
        {
            return self.last_key;
        }
        self.last_key = match self.key_places.get(key) {
            Some(place) => *place,
            None => {
                self.log.keys.push(Some(key.to_owned()));
                self.key_places.insert(key.to_owned(), next);
                next
            }
        };
        self.last_key
    }

    fn function(&mut self, f: &str) -> u16 {
        let functions = &mut self.log.functions;
        let known = functions.iter().position(|known| known == f);
        let place = known.unwrap_or_else(|| {
            functions.push(f.to_owned());
            functions.len() - 1
        });
        // No model has more operations than that; the last name stands for all beyond.
        u16::try_from(place).unwrap_or(u16::MAX)
    }
}
