//! Records a run: the history file as it grows, and the same events in memory for the judge.
//!
//! A client knows of its completion a little before the runner does, and the runner may have begun another
//! operation in between. The history is in the order of time, so events wait here for a moment.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::Path;
use std::time::Duration;

use viewstorm_history::{
    End, FaultEvent, Header, History, HistoryWriter, Kind, OperationEvent, Timestamp,
};

/// How long an event waits for earlier ones that are still on their way to the runner.
const REORDER_WINDOW: Duration = Duration::from_millis(20);
/// How often what is recorded is handed to the operating system: a harness that is killed loses no more.
const FLUSH_EVERY: Duration = Duration::from_millis(100);

/// How many operations ended how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Begun.
    pub invoked: u64,
    /// Happened.
    pub ok: u64,
    /// Had no effect.
    pub fail: u64,
    /// Nobody knows.
    pub info: u64,
}

#[derive(Debug)]
enum Pending {
    Operation(OperationEvent),
    Fault(FaultEvent),
}

/// Writes the history and keeps it.
#[derive(Debug)]
pub struct Recorder {
    /// Where the history goes besides memory.
    file: Option<HistoryWriter<BufWriter<File>>>,
    next_index: u64,
    history: History,
    waiting: BTreeMap<(Timestamp, u64), Pending>,
    sequence: u64,
    written_until: Timestamp,
    flushed_at: Timestamp,
    counts: Counts,
}

impl Recorder {
    /// Starts the history file, which must not exist.
    pub fn create(path: &Path, header: Header) -> io::Result<Self> {
        let file = File::create_new(path)?;
        let mut writer = HistoryWriter::new(BufWriter::with_capacity(1 << 16, file), &header)?;
        writer.flush()?;
        Ok(Self {
            file: Some(writer),
            ..Self::in_memory(header)
        })
    }

    /// Starts a history that is kept and not written.
    pub fn in_memory(header: Header) -> Self {
        Self {
            file: None,
            next_index: 0,
            history: History {
                header: Some(header),
                ..History::default()
            },
            waiting: BTreeMap::new(),
            sequence: 0,
            written_until: Timestamp::ZERO,
            flushed_at: Timestamp::ZERO,
            counts: Counts::default(),
        }
    }

    /// Records an operation's event.
    pub fn operation(&mut self, event: OperationEvent) {
        match event.kind {
            Kind::Invoke => self.counts.invoked += 1,
            Kind::Ok => self.counts.ok += 1,
            Kind::Fail => self.counts.fail += 1,
            Kind::Info => self.counts.info += 1,
        }
        self.push(event.time, Pending::Operation(event));
    }

    /// Records a fault's event.
    pub fn fault(&mut self, event: FaultEvent) {
        self.push(event.time, Pending::Fault(event));
    }

    /// Writes what no earlier event can precede any more.
    pub fn advance(&mut self, now: Timestamp) -> io::Result<()> {
        let window = u64::try_from(REORDER_WINDOW.as_nanos()).unwrap_or(u64::MAX);
        self.write_until(Timestamp(now.0.saturating_sub(window)))?;
        if let Some(file) = &mut self.file
            && now.saturating_since(self.flushed_at) >= FLUSH_EVERY
        {
            self.flushed_at = now;
            file.flush()?;
        }
        Ok(())
    }

    /// So far.
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// Writes the rest and the end record, and hands the history over.
    pub fn finish(mut self, end: End) -> io::Result<History> {
        self.write_until(Timestamp::MAX)?;
        let mut end = end;
        end.time = end.time.max(self.last_time());
        if let Some(file) = self.file {
            file.end(&end)?;
        }
        self.history.end = Some(end);
        Ok(self.history)
    }

    fn last_time(&self) -> Timestamp {
        let operation = self.history.operations.last().map(|event| event.time);
        let fault = self.history.faults.last().map(|event| event.time);
        operation.max(fault).unwrap_or_default()
    }

    fn push(&mut self, time: Timestamp, event: Pending) {
        self.sequence += 1;
        self.waiting.insert((time, self.sequence), event);
    }

    fn write_until(&mut self, until: Timestamp) -> io::Result<()> {
        while let Some(entry) = self.waiting.first_entry()
            && entry.key().0 <= until
        {
            let ((time, _), event) = entry.remove_entry();
            // One that comes later than the window is told with the time of the line before it. For a
            // completion that is sound: it claims less than is known.
            let time = time.max(self.written_until);
            self.written_until = time;
            let index = Some(self.next_index);
            self.next_index += 1;
            match event {
                Pending::Operation(mut event) => {
                    (event.time, event.index) = (time, index);
                    if let Some(file) = &mut self.file {
                        file.operation(&mut event)?;
                    }
                    self.history.operations.push(event);
                }
                Pending::Fault(mut event) => {
                    (event.time, event.index) = (time, index);
                    if let Some(file) = &mut self.file {
                        file.fault(&mut event)?;
                    }
                    self.history.faults.push(event);
                }
            }
        }
        Ok(())
    }
}
