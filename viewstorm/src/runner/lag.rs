//! How far the harness falls behind its own schedule: figures taken meanwhile measure the harness.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// How late the runner's loop woke for what it had planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lag {
    /// The 99th percentile, in nanoseconds.
    pub p99_ns: u64,
    /// The longest, in nanoseconds.
    pub max_ns: u64,
}

/// Collects how late the loop was.
#[derive(Debug)]
pub(super) struct LagRecorder {
    histogram: Histogram<u64>,
}

impl Default for LagRecorder {
    fn default() -> Self {
        let histogram = Histogram::new_with_bounds(1, 3_600_000_000_000, 3);
        Self {
            histogram: histogram.expect("the bounds are constants that fit"),
        }
    }
}

impl LagRecorder {
    pub(super) fn record(&mut self, late: Duration) {
        self.histogram
            .saturating_record(u64::try_from(late.as_nanos()).unwrap_or(u64::MAX));
    }

    pub(super) fn summary(&self) -> Lag {
        Lag {
            p99_ns: self.histogram.value_at_quantile(0.99),
            max_ns: self.histogram.max(),
        }
    }
}
