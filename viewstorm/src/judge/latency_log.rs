//! `latency.hlog`: the latencies as an HdrHistogram interval log, one line a second and kind of operation.

use std::collections::BTreeMap;
use std::time::{Duration, UNIX_EPOCH};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use viewstorm_history::{History, Kind, Timestamp};

use super::measures::histogram;
use super::operations::{Operation, operations};

/// The file's name in the run's folder.
pub const LATENCY_LOG_FILE: &str = "latency.hlog";

const INTERVAL: Duration = Duration::from_secs(1);

/// The log of a history: values are nanoseconds, times count from the run's start.
pub fn latency_log(history: &History) -> Vec<u8> {
    log_of(&operations(history))
}

fn log_of(operations: &[Operation<'_>]) -> Vec<u8> {
    let mut intervals: BTreeMap<(u64, &str), Histogram<u64>> = BTreeMap::new();
    for operation in operations
        .iter()
        .filter(|operation| operation.kind == Kind::Ok)
    {
        let interval = operation.due.as_nanos() / Timestamp::from(INTERVAL).as_nanos();
        let latency = operation.end.saturating_since(operation.due).as_nanos();
        intervals
            .entry((interval, operation.f))
            .or_insert_with(histogram)
            .saturating_record(u64::try_from(latency).unwrap_or(u64::MAX));
    }
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut builder = IntervalLogWriterBuilder::new();
    builder
        .add_comment("latency in nanoseconds, from when an operation was due to its ok")
        .with_start_time(UNIX_EPOCH)
        .with_base_time(UNIX_EPOCH)
        .with_max_value_divisor(1e6);
    let mut writer = builder
        .begin_log_with(&mut log, &mut serializer)
        .expect("a vector takes every write");
    for ((interval, f), histogram) in &intervals {
        let start = Duration::from_secs(*interval);
        writer
            .write_histogram(histogram, start, INTERVAL, Tag::new(f))
            .expect("a vector takes every write, and counts of one run fit the format");
    }
    log
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::*;

    #[test]
    fn the_log_reads_back_by_interval_and_kind() {
        let operation = |f, due, latency| Operation {
            f,
            due: Timestamp(due),
            kind: Kind::Ok,
            end: Timestamp(due + latency),
            is_final: false,
        };
        let second = 1_000_000_000;
        let log = log_of(&[
            operation("read", 5, 1_000_000),
            operation("write", 7, 2_000_000),
            operation("read", second + 1, 3_000_000),
        ]);
        let entries = IntervalLogIterator::new(&log).map(Result::unwrap);
        let tags: Vec<_> = entries
            .filter_map(|entry| match entry {
                LogEntry::Interval(interval) => {
                    let tag = interval.tag().map(|tag| tag.as_str().to_owned());
                    Some((interval.start_timestamp().as_secs(), tag))
                }
                _ => None,
            })
            .collect();
        let tag = |name: &str| Some(name.to_owned());
        assert_eq!(
            tags,
            [(0, tag("read")), (0, tag("write")), (1, tag("read"))]
        );
    }
}
