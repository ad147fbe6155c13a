//! The floors, all measured in one run so that their ratios mean something on a noisy machine.

use std::io;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::{datagram, disk, quic, signature};

/// One measured floor.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Floor {
    /// What was measured.
    pub name: &'static str,
    /// How often.
    pub count: u64,
    /// The median, in microseconds.
    pub p50_us: f64,
    /// The 99th percentile, in microseconds.
    pub p99_us: f64,
    /// The smallest, in microseconds.
    pub min_us: f64,
}

/// Why a floor could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum FloorsError {
    /// A socket or a file.
    #[error("{what}: {source}")]
    Io {
        /// Which floor.
        what: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The relay or the QUIC transport.
    #[error("{what}: {reason}")]
    Part {
        /// Which floor.
        what: &'static str,
        /// What it said.
        reason: String,
    },
}

/// Measures every floor for `length` each. Those that are compared with one another take turns.
pub fn measure(length: Duration) -> Result<Vec<Floor>, FloorsError> {
    let mut floors = datagram::direct_and_through_the_relay(length)?;
    floors.push(quic::round_trip(length)?);
    floors.extend(disk::fdatasync_alone_and_with_three_writers(length)?);
    floors.extend(signature::sign_and_verify(length));
    Ok(floors)
}

/// Collects one floor's times.
pub(super) struct Sampler {
    histogram: Histogram<u64>,
}

impl Sampler {
    pub(super) fn new() -> Self {
        let histogram = Histogram::new_with_bounds(1, 60_000_000_000, 3)
            .expect("the bounds are constants that fit");
        Self { histogram }
    }

    pub(super) fn time<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = work();
        self.record(start.elapsed());
        result
    }

    pub(super) fn record(&mut self, elapsed: Duration) {
        self.histogram
            .saturating_record(u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn merge(&mut self, other: &Self) {
        // Both have the same bounds.
        self.histogram += &other.histogram;
    }

    pub(super) fn floor(&self, name: &'static str) -> Floor {
        let microseconds = |nanos: u64| nanos as f64 / 1e3;
        Floor {
            name,
            count: self.histogram.len(),
            p50_us: microseconds(self.histogram.value_at_quantile(0.5)),
            p99_us: microseconds(self.histogram.value_at_quantile(0.99)),
            min_us: microseconds(self.histogram.min()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_floor_is_measured() {
        let floors = measure(Duration::from_millis(20)).unwrap();
        let names: std::collections::BTreeSet<_> = floors.iter().map(|floor| floor.name).collect();
        assert_eq!((floors.len(), names.len()), (7, 7), "{floors:?}");
        let sound = |floor: &Floor| {
            floor.count > 0 && floor.min_us <= floor.p50_us && floor.p50_us <= floor.p99_us
        };
        assert!(floors.iter().all(sound), "{floors:?}");
    }
}
