//! Reads a log from JSON lines: plain lines in one pass over their bytes, all others by the general reader.

use std::io::Read;

use super::scan::scan;
use super::{CallLog, CallLogBuilder};
use crate::reader::{MAX_LINE_BYTES, malformed, parse};
use crate::{Entry, FORMAT_VERSION, Place, ReadError};

/// How much is read at a time.
const CHUNK: usize = 1 << 20;

impl CallLog {
    /// Reads a history of JSON lines. A last line that breaks off (the run was killed while writing it) is
    /// left out and shows as a missing end record; anything else that is wrong is an error with its place.
    pub fn read_jsonl(source: impl Read) -> Result<Self, ReadError> {
        let mut reader = Reader::default();
        reader.read_all(source)?;
        reader.builder.log.is_complete = !reader.has_header || reader.has_end;
        Ok(reader.builder.finish())
    }
}

#[derive(Default)]
struct Reader {
    builder: CallLogBuilder,
    line: u64,
    previous: u64,
    has_header: bool,
    has_end: bool,
}

impl Reader {
    fn read_all(&mut self, mut source: impl Read) -> Result<(), ReadError> {
        let mut buffer = vec![0; CHUNK];
        let mut filled = 0;
        loop {
            if filled == buffer.len() {
                self.check_length(filled)?;
                buffer.resize(2 * filled, 0);
            }
            let count = match source.read(&mut buffer[filled..]) {
                Ok(count) => count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => {
                    let place = Place {
                        line: self.line + 1,
                        column: 0,
                    };
                    return Err(ReadError::Io { place, source });
                }
            };
            let unread = filled;
            filled += count;
            if count == 0 {
                return self.last_line(&buffer[..filled]);
            }
            // What was there before held no end of a line.
            if let Some(end) = buffer[unread..filled]
                .iter()
                .rposition(|byte| *byte == b'\n')
            {
                let end = unread + end + 1;
                self.lines(&buffer[..end])?;
                buffer.copy_within(end..filled, 0);
                filled -= end;
            }
        }
    }

    fn check_length(&self, length: usize) -> Result<(), ReadError> {
        if length as u64 <= MAX_LINE_BYTES {
            return Ok(());
        }
        let place = Place {
            line: self.line + 1,
            column: 0,
        };
        let reason = format!("the line is longer than {MAX_LINE_BYTES} bytes");
        Err(malformed(place, reason, b""))
    }

    /// Reads whole lines.
    fn lines(&mut self, mut rest: &[u8]) -> Result<(), ReadError> {
        while !rest.is_empty() {
            if let Some((event, length)) = scan(rest, &mut self.builder.log.values)
                && !self.has_end
            {
                self.line += 1;
                self.in_order(event.time)?;
                self.builder
                    .push(&event)
                    .map_err(|source| self.does_not_fit(source))?;
                rest = &rest[length..];
                continue;
            }
            let end = rest.iter().position(|byte| *byte == b'\n');
            let end = end.map_or(rest.len(), |end| end + 1);
            let (line, after) = rest.split_at(end);
            self.line += 1;
            self.general(line)?;
            rest = after;
        }
        Ok(())
    }

    /// What follows the last end of a line.
    fn last_line(&mut self, line: &[u8]) -> Result<(), ReadError> {
        let text = line.trim_ascii();
        if text.is_empty() || (self.has_header && parse(text).is_err()) {
            return Ok(());
        }
        self.line += 1;
        self.general(line)
    }

    fn general(&mut self, line: &[u8]) -> Result<(), ReadError> {
        let text = line.trim_ascii();
        if text.is_empty() {
            return Ok(());
        }
        let place = Place {
            line: self.line,
            column: 0,
        };
        let misplaced = |what| Err(ReadError::Misplaced { place, what });
        let entry = parse(text).map_err(|fault| fault.at(self.line, line))?;
        if self.has_end {
            return misplaced("a line after the end record");
        }
        match entry {
            Entry::Header(_) if self.line > 1 => misplaced("a header that is not first"),
            Entry::Header(header) if header.format > FORMAT_VERSION => {
                let found = header.format;
                Err(ReadError::Version { place, found })
            }
            Entry::Header(header) => {
                self.has_header = true;
                self.builder.header(&header);
                Ok(())
            }
            Entry::Operation(event) => {
                self.in_order(event.time.0)?;
                self.builder
                    .push_event(&event)
                    .map_err(|source| self.does_not_fit(source))
            }
            Entry::Fault(event) => self.in_order(event.time.0),
            Entry::End(end) => {
                self.has_end = true;
                self.in_order(end.time.0)
            }
        }
    }

    fn in_order(&mut self, time: u64) -> Result<(), ReadError> {
        let previous = self.previous;
        if time < previous {
            let place = Place {
                line: self.line,
                column: 0,
            };
            return Err(ReadError::TimeGoesBack {
                place,
                time,
                previous,
            });
        }
        self.previous = time;
        Ok(())
    }

    fn does_not_fit(&self, source: super::PairError) -> ReadError {
        let place = Place {
            line: self.line,
            column: 0,
        };
        ReadError::Pair { place, source }
    }
}
