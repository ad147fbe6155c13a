//! A log: records one after another, through segments.
//!
//! The last segment is overwritten from front to end. When half of it is used, a thread fills the
//! next with zeros, so that going on to it costs two small syncs and not a large one.
//!
//! When nobody needs the records of the first segments any more, those are removed, after a file has durably
//! said which one is the first now: a segment that is missing is then told from one that was removed.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::{panic, thread};

use viewstorm_protocol::{Record, Zone};

use super::files::remove;
use super::first_segment;
use super::mark::Mark;
use super::record::{self, ChainEnd, RECORD_BYTES_MAX};
use super::segment::{BlankSegment, SEGMENT_HEADER_BYTES, Segment, segment_path};
use super::{Damage, Disk, StorageError};

/// How long a segment is, unless a single record needs more.
pub const SEGMENT_BYTES: u64 = 4 << 20;

/// The log's end, to which records are appended.
#[derive(Debug)]
pub(super) struct Log {
    directory: PathBuf,
    zone: Zone,
    disk: Disk,
    segment_bytes: u64,
    pub(super) segment: Segment,
    /// Where in the segment the next write goes.
    offset: u64,
    /// The last record, staged ones included.
    end: ChainEnd,
    /// Records that the next commit writes.
    staged: Vec<u8>,
    /// The last durable record.
    synced: u64,
    mark: Mark,
    /// The segments, and the record before the first of each.
    segments: VecDeque<(u64, u64)>,
    /// Up to this record nobody needs any.
    unneeded: u64,
    next: Option<JoinHandle<Result<BlankSegment, StorageError>>>,
    syncs: u64,
}

impl Log {
    /// Opens the log of a directory, or makes it if `first_use`, and returns the records in it.
    /// They are durable, and so is that nothing follows them.
    pub(super) fn open<R: Record>(
        directory: &Path,
        zone: Zone,
        segment_bytes: u64,
        first_use: bool,
        disk: &Disk,
    ) -> Result<(Self, Vec<R>), StorageError> {
        let (mark, marked) = Mark::open(directory, zone, disk)?;
        let first = first_segment::read(directory, zone, disk)?;
        if first_use && Segment::numbers(directory, zone)?.is_empty() {
            BlankSegment::create(directory, zone, first, segment_bytes, disk)?
                .begin(ChainEnd::default())?;
        }
        remove_before(directory, zone, first)?;
        let mut records = Vec::new();
        let scanned = scan((directory, zone), first, marked, &mut records, disk)?;
        let unneeded = scanned.segments.front().map_or(0, |(_, after)| *after);
        let mut log = Self {
            directory: directory.to_owned(),
            zone,
            disk: disk.clone(),
            segments: scanned.segments,
            unneeded,
            segment_bytes,
            segment: scanned.segment,
            offset: scanned.offset as u64,
            end: scanned.end,
            staged: Vec::new(),
            synced: scanned.end.sequence,
            mark,
            next: None,
            syncs: 0,
        };
        if let Some((offset, bytes)) = scanned.rewrite {
            log.segment.file.write_at(offset as u64, &bytes)?;
            log.sync()?;
        }
        if marked != log.synced {
            log.mark.write(log.synced)?;
            log.mark.sync()?;
        }
        Ok((log, records))
    }

    /// Takes a record into the next commit.
    pub(super) fn stage<R: Record>(&mut self, record: &R) -> Result<(), StorageError> {
        let content = postcard::to_stdvec(record).map_err(StorageError::Encode)?;
        if content.len() > RECORD_BYTES_MAX {
            return Err(StorageError::TooLarge {
                length: content.len(),
                limit: RECORD_BYTES_MAX,
            });
        }
        let span = record::span(content.len()) as u64;
        if self.offset + self.staged.len() as u64 + span > self.segment.length {
            self.commit()?;
            self.begin_segment(span)?;
        }
        self.end = record::encode(self.end, self.synced, &content, &mut self.staged);
        Ok(())
    }

    /// The oldest `records` that are needed are not needed any more. All of them are durable.
    pub(super) fn reclaim(&mut self, records: u64) -> Result<(), StorageError> {
        self.unneeded += records;
        assert!(
            self.unneeded <= self.synced,
            "only what is durable is reclaimed"
        );
        let before = self.segments.len();
        while let Some((_, after)) = self.segments.get(1)
            && *after <= self.unneeded
        {
            self.segments.pop_front();
        }
        if self.segments.len() < before {
            let (first, _) = self.segments[0];
            first_segment::write(&self.directory, self.zone, first, &self.disk)?;
            remove_before(&self.directory, self.zone, first)?;
        }
        Ok(())
    }

    /// How much the next commit writes.
    pub(super) fn staged_bytes(&self) -> usize {
        self.staged.len()
    }

    /// Makes the staged records durable: one write, one sync.
    pub(super) fn commit(&mut self) -> Result<(), StorageError> {
        if self.staged.is_empty() {
            return Ok(());
        }
        self.segment.file.write_at(self.offset, &self.staged)?;
        self.sync()?;
        self.offset += self.staged.len() as u64;
        self.staged.clear();
        self.synced = self.end.sequence;
        self.mark.write(self.synced)?;
        if self.offset > self.segment.length / 2 && self.next.is_none() {
            self.prepare_next()?;
        }
        Ok(())
    }

    /// Makes durable how far the log is durable.
    pub(super) fn close(&mut self) -> Result<(), StorageError> {
        self.commit()?;
        self.mark.sync()
    }

    /// How many syncs of records were done.
    pub(super) fn syncs(&self) -> u64 {
        self.syncs
    }

    fn sync(&mut self) -> Result<(), StorageError> {
        self.syncs += 1;
        self.segment.file.sync()
    }

    /// Starts to fill the next segment.
    fn prepare_next(&mut self) -> Result<(), StorageError> {
        let (directory, zone) = (self.directory.clone(), self.zone);
        let disk = self.disk.clone();
        let (number, length) = (self.segment.number + 1, self.segment_bytes);
        let thread = thread::Builder::new()
            .name("storage-fill".to_owned())
            .spawn(move || BlankSegment::create(&directory, zone, number, length, &disk))
            .map_err(StorageError::io("start a thread for", &self.directory))?;
        self.next = Some(thread);
        Ok(())
    }

    /// Goes on to the next segment, which has room for `span` bytes. All records so far are
    /// durable.
    fn begin_segment(&mut self, span: u64) -> Result<(), StorageError> {
        assert_eq!(
            self.synced, self.end.sequence,
            "a segment begins when all before it is synced"
        );
        let needed = self.segment_bytes.max(SEGMENT_HEADER_BYTES as u64 + span);
        let prepared = match self.next.take().map(JoinHandle::join) {
            Some(Ok(prepared)) => Some(prepared?).filter(|blank| blank.length() >= needed),
            Some(Err(bug)) => panic::resume_unwind(bug),
            None => None,
        };
        let blank = match prepared {
            Some(blank) => blank,
            None => {
                let number = self.segment.number + 1;
                BlankSegment::create(&self.directory, self.zone, number, needed, &self.disk)?
            }
        };
        self.segment = blank.begin(self.end)?;
        let after = self.end.sequence;
        self.segments.push_back((self.segment.number, after));
        self.offset = SEGMENT_HEADER_BYTES as u64;
        Ok(())
    }
}

impl Drop for Log {
    /// Leaves no thread behind that still writes into the directory.
    fn drop(&mut self) {
        if let Some(next) = self.next.take() {
            let _ = next.join();
        }
    }
}

/// Removes the segments before `first`, the oldest first.
fn remove_before(directory: &Path, zone: Zone, first: u64) -> Result<(), StorageError> {
    let numbers = Segment::numbers(directory, zone)?;
    numbers
        .into_iter()
        .take_while(|number| *number < first)
        .try_for_each(|number| remove(&segment_path(directory, zone, number)))
}

/// What a scan found.
struct Scanned {
    segments: VecDeque<(u64, u64)>,
    /// The last segment.
    segment: Segment,
    /// Where its records end.
    offset: usize,
    end: ChainEnd,
    /// What to write, and where, before the records may be relied on.
    rewrite: Option<(usize, Vec<u8>)>,
}

/// Reads all records from segment `first` on. Up to record `marked` they are known to be durable.
fn scan<R: Record>(
    (directory, zone): (&Path, Zone),
    first: u64,
    marked: u64,
    records: &mut Vec<R>,
    disk: &Disk,
) -> Result<Scanned, StorageError> {
    let missing = |number| StorageError::Missing {
        file: segment_path(directory, zone, number),
    };
    let numbers = Segment::numbers(directory, zone)?;
    if let Some((due, _)) = (first..).zip(&numbers).find(|(due, found)| due != *found) {
        return Err(missing(due));
    }
    let (mut segment, mut bytes) =
        Segment::open(directory, zone, first, disk)?.ok_or_else(|| missing(first))?;
    let mut end = match first {
        1 => ChainEnd::default(),
        _ => segment.after,
    };
    let mut segments = VecDeque::new();
    loop {
        if segment.after != end {
            return Err(corrupt(&segment, 0, end, Damage::Chain));
        }
        segments.push_back((segment.number, segment.after.sequence));
        let next = Segment::open(directory, zone, segment.number + 1, disk)?;
        let limit = next.as_ref().map(|(next, _)| next.after.sequence);
        let mut scanner = Scanner {
            zone,
            segment: &segment,
            bytes: &bytes,
            limit,
            marked,
            offset: SEGMENT_HEADER_BYTES,
            end,
            unmarked: None,
        };
        scanner.scan(records)?;
        end = scanner.end;
        match next {
            Some(following) => (segment, bytes) = following,
            None => {
                let (offset, rewrite) = (scanner.offset, scanner.rewrite());
                return Ok(Scanned {
                    segments,
                    segment,
                    offset,
                    end,
                    rewrite,
                });
            }
        }
    }
}

/// Reads the records of one segment.
struct Scanner<'a> {
    zone: Zone,
    segment: &'a Segment,
    bytes: &'a [u8],
    /// The last record in this segment, if there is a next one.
    limit: Option<u64>,
    marked: u64,
    offset: usize,
    end: ChainEnd,
    /// Where the first record is that the mark does not know to be durable.
    unmarked: Option<usize>,
}

impl Scanner<'_> {
    /// Reads to the end of the records, or of what is whole of them.
    fn scan<R: Record>(&mut self, records: &mut Vec<R>) -> Result<(), StorageError> {
        while self.limit != Some(self.end.sequence) {
            let (header, content) = match record::decode(self.end, &self.bytes[self.offset..]) {
                Ok(found) => found,
                Err(damage) => return self.stop(damage),
            };
            let record: R = postcard::from_bytes(content)
                .map_err(|error| self.corrupt(Damage::Foreign(error.to_string())))?;
            if record.zone() != self.zone {
                return Err(self.corrupt(Damage::Foreign("another zone's record".to_owned())));
            }
            if header.sequence > self.marked && self.unmarked.is_none() {
                self.unmarked = Some(self.offset);
            }
            records.push(record);
            self.end = header.chain_end();
            self.offset += header.span();
        }
        Ok(())
    }

    /// The record at this place fails its checks. Was it ever durable?
    fn stop(&self, damage: Damage) -> Result<(), StorageError> {
        let behind = &self.bytes[self.offset..];
        let witnessed = record::find_headers(behind)
            .map(|header| header.synced)
            .max();
        let durable = self
            .marked
            .max(self.limit.unwrap_or(0))
            .max(witnessed.unwrap_or(0));
        if self.end.sequence < durable {
            return Err(self.corrupt(damage));
        }
        Ok(())
    }

    /// What is not known to be durable, and zeros over whatever follows it.
    fn rewrite(&self) -> Option<(usize, Vec<u8>)> {
        let tail = &self.bytes[self.offset..];
        let torn = tail
            .iter()
            .rposition(|byte| *byte != 0)
            .map_or(0, |last| last + 1);
        let start = self.unmarked.unwrap_or(self.offset);
        let mut bytes = self.bytes[start..self.offset].to_vec();
        bytes.resize(bytes.len() + torn, 0);
        (!bytes.is_empty()).then_some((start, bytes))
    }

    fn corrupt(&self, reason: Damage) -> StorageError {
        corrupt(self.segment, self.offset, self.end, reason)
    }
}

/// What follows `end` in the log, at that place, is damaged.
fn corrupt(segment: &Segment, offset: usize, end: ChainEnd, reason: Damage) -> StorageError {
    StorageError::Corrupt {
        file: segment.file.path().to_owned(),
        offset: offset as u64,
        sequence: end.sequence + 1,
        reason,
    }
}
