//! How fast storage is on this machine: `cargo run --release -p viewstorm-replica --example
//! storage_speed`.
//!
//! Prints the time from submit to done of one record alone, and how many records a second become
//! durable with 64 in flight; records of 200 bytes.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use viewstorm_protocol::{Effects, Record, RecordId, Zone};
use viewstorm_replica::storage::{Storage, StorageError, StorageWriter};

const ALONE: usize = 3_000;
const TOGETHER: u64 = 200_000;
const IN_FLIGHT: u64 = 64;
const RECORD_BYTES: usize = 200;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Entry(Vec<u8>);

impl Record for Entry {
    fn zone(&self) -> Zone {
        Zone::Log
    }
}

struct Bench {
    writer: StorageWriter<Entry>,
    reports: Receiver<Result<RecordId, StorageError>>,
    issued: Effects<(), Entry>,
}

impl Bench {
    fn start(directory: &Path) -> Result<Self, Box<dyn std::error::Error>> {
        let (reporter, reports) = channel();
        let (storage, ..) = Storage::open(directory, 0)?;
        let writer = storage.start(move |result| {
            let _ = reporter.send(result);
        })?;
        Ok(Self {
            writer,
            reports,
            issued: Effects::default(),
        })
    }

    fn submit(&mut self) {
        let entry = Entry(vec![7; RECORD_BYTES]);
        let id = self.issued.persist(entry.clone());
        self.issued.drain();
        self.writer.submit(id, entry);
    }

    /// The times of records that wait for one another, sorted.
    fn alone(&mut self) -> Result<Vec<Duration>, Box<dyn std::error::Error>> {
        let mut times = Vec::with_capacity(ALONE);
        for _ in 0..ALONE {
            let start = Instant::now();
            self.submit();
            self.reports.recv()??;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        Ok(times)
    }

    fn together(&mut self) -> Result<Duration, Box<dyn std::error::Error>> {
        let start = Instant::now();
        let first = ALONE as u64;
        let (mut submitted, mut durable) = (first, first);
        while durable < first + TOGETHER {
            while submitted < first + TOGETHER && submitted - durable < IN_FLIGHT {
                self.submit();
                submitted += 1;
            }
            durable = self.reports.recv()??.get();
        }
        Ok(start.elapsed())
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = tempfile::tempdir_in(".")?;
    let mut bench = Bench::start(directory.path())?;
    let times = bench.alone()?;
    let at = |percent: usize| times[times.len() * percent / 100].as_micros();
    println!("alone: p50 {} us, p99 {} us", at(50), at(99));
    let syncs = bench.writer.syncs();
    let time = bench.together()?;
    println!(
        "{IN_FLIGHT} in flight: {:.0} records/s, {:.1} a sync, a sync in {:.0} us",
        TOGETHER as f64 / time.as_secs_f64(),
        TOGETHER as f64 / (bench.writer.syncs() - syncs) as f64,
        time.as_micros() as f64 / (bench.writer.syncs() - syncs) as f64,
    );
    bench.writer.stop()?;
    Ok(())
}
