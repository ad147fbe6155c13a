//! Writes a history line by line, so that an interrupted run loses nothing that was recorded.

use std::io::{self, Write};

use serde::Serialize;

use crate::{End, Entry, FaultEvent, Header, OperationEvent};

/// Appends entries to a history. Every event gets the next index.
#[derive(Debug)]
pub struct HistoryWriter<W: Write> {
    sink: W,
    next_index: u64,
    line: Vec<u8>,
}

/// What our own lines carry so that a reader need not guess.
#[derive(Serialize)]
struct Tagged<'a, T> {
    process: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(flatten)]
    body: &'a T,
}

impl<W: Write> HistoryWriter<W> {
    /// Starts a history with its header.
    pub fn new(sink: W, header: &Header) -> io::Result<Self> {
        let mut writer = Self {
            sink,
            next_index: 0,
            line: Vec::new(),
        };
        writer.write(&Tagged {
            process: "header",
            kind: "header",
            body: header,
        })?;
        Ok(writer)
    }

    /// Appends an operation's event and returns its index.
    pub fn operation(&mut self, event: &mut OperationEvent) -> io::Result<u64> {
        let index = self.take_index();
        event.index = Some(index);
        self.write(event)?;
        Ok(index)
    }

    /// Appends a fault's event and returns its index.
    pub fn fault(&mut self, event: &mut FaultEvent) -> io::Result<u64> {
        let index = self.take_index();
        event.index = Some(index);
        self.write(&Tagged {
            process: "nemesis",
            kind: "info",
            body: event,
        })?;
        Ok(index)
    }

    /// Ends the history and hands its sink back, flushed.
    pub fn end(mut self, end: &End) -> io::Result<W> {
        self.write(&Tagged {
            process: "end",
            kind: "end",
            body: end,
        })?;
        self.sink.flush()?;
        Ok(self.sink)
    }

    /// Hands what is buffered to the sink's destination.
    pub fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    /// Writes any entry as it is, index included: for tools that copy histories.
    pub fn entry(&mut self, entry: &Entry) -> io::Result<()> {
        match entry {
            Entry::Header(header) => self.write(&Tagged {
                process: "header",
                kind: "header",
                body: header,
            }),
            Entry::Operation(event) => self.write(event),
            Entry::Fault(event) => self.write(&Tagged {
                process: "nemesis",
                kind: "info",
                body: event,
            }),
            Entry::End(end) => self.write(&Tagged {
                process: "end",
                kind: "end",
                body: end,
            }),
        }
    }

    fn take_index(&mut self) -> u64 {
        self.next_index += 1;
        self.next_index - 1
    }

    fn write(&mut self, line: &impl Serialize) -> io::Result<()> {
        self.line.clear();
        serde_json::to_writer(&mut self.line, line)?;
        self.line.push(b'\n');
        self.sink.write_all(&self.line)
    }
}
