//! What is written to a disk, what happens to it, and what must then be found.

use std::ops::Range;

use serde::{Deserialize, Serialize};
use viewstorm_protocol::{Record, Zone};

/// A record that can be found again in a file's bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Written {
    View(String),
    Entry(String),
}

impl Record for Written {
    fn zone(&self) -> Zone {
        match self {
            Self::View(_) => Zone::Superblock,
            Self::Entry(_) => Zone::Log,
        }
    }
}

pub(crate) fn view(number: usize) -> Written {
    Written::View(format!("view {number:06}"))
}

pub(crate) fn entry(number: usize) -> Written {
    Written::Entry(format!("entry {number:06}"))
}

/// Entries with a view after every so many.
pub(crate) fn records(numbers: Range<usize>, every: usize) -> Vec<Written> {
    let record = |number: usize| match number % every {
        0 => view(number),
        _ => entry(number),
    };
    numbers.map(record).collect()
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// In order, when everything is durable.
    Settled,
    /// Killed, as soon as it was told that something is durable.
    Killed,
    /// Killed with its machine, while the last record was being written.
    PowerLoss,
}

/// What a process finds at its start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) superblock: Option<Written>,
    pub(crate) log: Vec<Written>,
}

/// A disk, and one process after the other that uses it.
pub(crate) trait DiskUser {
    /// A process starts and reads what there is, or refuses it.
    fn start(&mut self) -> Result<Found, String>;
    /// The process writes these in this order and ends. How many it was told to be durable.
    fn write(&mut self, records: &[Written], end: End) -> usize;
    /// A bit of a record flips while no process runs.
    fn damage(&mut self, record: &Written);
}

impl Found {
    /// What is found where these and no more are durable.
    pub(crate) fn of(durable: &[Written]) -> Self {
        let of = |zone: Zone| {
            let records = durable.iter().filter(move |record| record.zone() == zone);
            records.cloned()
        };
        Self {
            superblock: of(Zone::Superblock).next_back(),
            log: of(Zone::Log).collect(),
        }
    }
}
