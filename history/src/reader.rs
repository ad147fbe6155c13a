//! Reads a history and says where it is wrong.

use std::fmt;
use std::io::BufRead;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::{End, Entry, FORMAT_VERSION, FaultEvent, Header, OperationEvent, PairError};

/// The longest line that is read; a history's lines are some hundred bytes.
pub(crate) const MAX_LINE_BYTES: u64 = 16 << 20;

/// A history, whole.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    /// Its header; foreign histories have none.
    pub header: Option<Header>,
    /// The clients' operations, in the order of time.
    pub operations: Vec<OperationEvent>,
    /// The faults' events, in the order of time.
    pub faults: Vec<FaultEvent>,
    /// Its end record. One with a header and no end was cut off.
    pub end: Option<End>,
}

/// A place in a file, lines and columns from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The line's number.
    pub line: u64,
    /// The column in it; 0 where the line as a whole is meant.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}", self.line)?;
        match self.column {
            0 => Ok(()),
            column => write!(f, ", column {column}"),
        }
    }
}

/// Why a history cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file could not be read.
    #[error("{place}: cannot be read: {source}")]
    Io {
        /// Where reading stopped.
        place: Place,
        /// What the system said.
        source: std::io::Error,
    },
    /// The line is not JSON, or not an event.
    #[error("{place}: {reason}: {excerpt}")]
    Malformed {
        /// Which line.
        place: Place,
        /// What is wrong with it.
        reason: String,
        /// The line's beginning.
        excerpt: String,
    },
    /// Written by a later version.
    #[error("{place}: history format {found}; this version reads up to {FORMAT_VERSION}")]
    Version {
        /// The header's line.
        place: Place,
        /// The format it names.
        found: u32,
    },
    /// Time runs backwards.
    #[error("{place}: time {time} ns is before the line above ({previous} ns)")]
    TimeGoesBack {
        /// Which line.
        place: Place,
        /// Its time.
        time: u64,
        /// The time before it.
        previous: u64,
    },
    /// The line's event does not fit those before it.
    #[error("{place}: {source}")]
    Pair {
        /// Which line.
        place: Place,
        /// Why.
        source: PairError,
    },
    /// A line that must be first or last is not.
    #[error("{place}: {what}")]
    Misplaced {
        /// Which line.
        place: Place,
        /// What stands where.
        what: &'static str,
    },
}

impl History {
    /// Reads a history of JSON lines. A last line that breaks off (the run was killed while writing it) is
    /// left out and shows as a missing end record; anything else that is wrong is an error with its line.
    pub fn read(source: impl BufRead) -> Result<Self, ReadError> {
        let mut reader = Reader {
            source,
            place: Place::default(),
            history: Self::default(),
        };
        reader.read_all()?;
        Ok(reader.history)
    }

    /// Whether its writer finished it: foreign histories need no end record.
    pub fn is_complete(&self) -> bool {
        self.header.is_none() || self.end.is_some()
    }
}

struct Reader<R> {
    source: R,
    place: Place,
    history: History,
}

impl<R: BufRead> Reader<R> {
    fn read_all(&mut self) -> Result<(), ReadError> {
        let mut line = Vec::new();
        let mut previous = 0;
        loop {
            line.clear();
            self.place.line += 1;
            let io = |source| ReadError::Io {
                place: self.place,
                source,
            };
            let limited = std::io::Read::take(&mut self.source, MAX_LINE_BYTES);
            let count = { limited }.read_until(b'\n', &mut line).map_err(io)?;
            if count == 0 {
                return Ok(());
            }
            let is_whole = line.last() == Some(&b'\n');
            let text = line.trim_ascii();
            if text.is_empty() {
                continue;
            }
            let entry = match parse(text) {
                Ok(entry) => entry,
                Err(_) if !is_whole && self.history.header.is_some() => return Ok(()),
                Err(fault) => return Err(fault.at(self.place.line, &line)),
            };
            self.accept(entry, &mut previous)?;
        }
    }

    fn accept(&mut self, entry: Entry, previous: &mut u64) -> Result<(), ReadError> {
        let place = self.place;
        let misplaced = |what| Err(ReadError::Misplaced { place, what });
        if self.history.end.is_some() {
            return misplaced("a line after the end record");
        }
        let time = match &entry {
            Entry::Header(header) if header.format > FORMAT_VERSION => {
                return Err(ReadError::Version {
                    place,
                    found: header.format,
                });
            }
            Entry::Header(_) if place.line > 1 => return misplaced("a header that is not first"),
            Entry::Header(_) => *previous,
            Entry::Operation(event) => event.time.0,
            Entry::Fault(event) => event.time.0,
            Entry::End(end) => end.time.0,
        };
        if time < *previous {
            return Err(ReadError::TimeGoesBack {
                place,
                time,
                previous: *previous,
            });
        }
        *previous = time;
        match entry {
            Entry::Header(header) => self.history.header = Some(header),
            Entry::Operation(event) => self.history.operations.push(event),
            Entry::Fault(event) => self.history.faults.push(event),
            Entry::End(end) => self.history.end = Some(end),
        }
        Ok(())
    }
}

/// What is wrong with a line, and where in its text; column 0 is the line as a whole.
pub(crate) struct LineFault {
    pub(crate) reason: String,
    pub(crate) column: u64,
}

impl LineFault {
    /// As an error of a line, whose text may have blanks around it.
    pub(crate) fn at(self, number: u64, line: &[u8]) -> ReadError {
        let blanks = line.len() - line.trim_ascii_start().len();
        let column = match self.column {
            0 => 0,
            column => column + blanks as u64,
        };
        let place = Place {
            line: number,
            column,
        };
        malformed(place, self.reason, line.trim_ascii())
    }
}

/// Reads one line. Which kind it is, its `process` says: a number is a client's.
pub(crate) fn parse(text: &[u8]) -> Result<Entry, LineFault> {
    #[derive(Deserialize)]
    struct Probe<'a> {
        #[serde(borrow)]
        process: &'a serde_json::value::RawValue,
    }
    let say = |error: serde_json::Error| {
        let text = error.to_string();
        // The line is known better here.
        let reason = text.split(" at line 1").next().unwrap_or(&text).to_owned();
        let column = error.column() as u64;
        LineFault { reason, column }
    };
    let whole = |reason| LineFault { reason, column: 0 };
    let probe: Probe<'_> = serde_json::from_slice(text).map_err(say)?;
    match probe.process.get() {
        "\"header\"" => untag(text).map(Entry::Header).map_err(whole),
        "\"nemesis\"" => untag(text).map(Entry::Fault).map_err(whole),
        "\"end\"" => untag(text).map(Entry::End).map_err(whole),
        _ => serde_json::from_slice(text)
            .map(Entry::Operation)
            .map_err(say),
    }
}

/// Takes off the two fields that [`HistoryWriter`](crate::HistoryWriter) puts on.
fn untag<T: serde::de::DeserializeOwned>(text: &[u8]) -> Result<T, String> {
    let mut fields: Map<String, Value> =
        serde_json::from_slice(text).map_err(|error| error.to_string())?;
    fields.remove("process");
    fields.remove("type");
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}

pub(crate) fn malformed(place: Place, reason: String, text: &[u8]) -> ReadError {
    const EXCERPT: usize = 120;
    let text = String::from_utf8_lossy(text);
    let mut excerpt: String = text.chars().take(EXCERPT).collect();
    if excerpt.len() < text.len() {
        excerpt.push_str("...");
    }
    ReadError::Malformed {
        place,
        reason,
        excerpt,
    }
}

#[cfg(test)]
mod tests;
