//! Figures about operations: counts, throughput and latency, per kind and per phase.
//!
//! Latency is measured from when an operation was due to its ok, so that a system that stalls cannot hide the
//! operations which waited for it (no coordinated omission).

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;
use viewstorm_history::{Kind, Timestamp};
use viewstorm_report::{Counts, KindMeasures, Latency, PhaseMeasures};

use super::operations::Operation;

/// A part of the run, and what is judged in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Phase {
    pub(super) name: String,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
}

/// Figures about a set of operations.
#[derive(Debug)]
pub(super) struct Measure {
    counts: Counts,
    /// In nanoseconds, ascending.
    latencies: Vec<u64>,
}

/// A latency histogram: nanoseconds, three digits, up to an hour.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 3_600_000_000_000, 3).expect("the bounds are constants that fit")
}

impl Measure {
    /// Of some of the operations.
    pub(super) fn of<'a>(operations: impl Iterator<Item = &'a Operation<'a>>) -> Self {
        let mut measure = Self {
            counts: Counts::default(),
            latencies: Vec::new(),
        };
        for operation in operations {
            measure.add(operation);
        }
        measure.latencies.sort_unstable();
        measure
    }

    fn add(&mut self, operation: &Operation<'_>) {
        self.counts.invoked += 1;
        match operation.kind {
            Kind::Ok => {
                self.counts.ok += 1;
                let latency = operation.end.saturating_since(operation.due).as_nanos();
                self.latencies
                    .push(u64::try_from(latency).unwrap_or(u64::MAX));
            }
            Kind::Fail => self.counts.fail += 1,
            Kind::Info | Kind::Invoke => self.counts.info += 1,
        }
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn latency(&self) -> Latency {
        let Some(longest) = self.latencies.last() else {
            return Latency::default();
        };
        // The nearest rank: a latency that an operation had.
        let at = |quantile: f64| {
            let rank = (quantile * self.latencies.len() as f64).ceil() as usize;
            self.latencies[rank.saturating_sub(1)] as f64 / 1e3
        };
        Latency {
            count: self.latencies.len() as u64,
            p50_us: at(0.5),
            p90_us: at(0.9),
            p99_us: at(0.99),
            p99_9_us: at(0.999),
            max_us: *longest as f64 / 1e3,
        }
    }

    /// Acknowledged operations a second.
    pub(super) fn throughput(&self, over: Duration) -> f64 {
        if over.is_zero() {
            0.0
        } else {
            self.counts.ok as f64 / over.as_secs_f64()
        }
    }
}

/// The figures of each phase: an operation belongs to the phases in which it was due.
pub(super) fn by_phase(operations: &[Operation<'_>], phases: &[Phase]) -> Vec<PhaseMeasures> {
    let measure = |phase: &Phase| {
        let is_in = |operation: &&Operation<'_>| {
            !operation.is_final && phase.from <= operation.due && operation.due < phase.to
        };
        let measure = Measure::of(operations.iter().filter(is_in));
        PhaseMeasures {
            name: phase.name.clone(),
            from_ns: phase.from,
            to_ns: phase.to,
            counts: measure.counts(),
            throughput_ops_per_s: measure.throughput(phase.to.saturating_since(phase.from)),
            latency: measure.latency(),
        }
    };
    phases.iter().map(measure).collect()
}

/// The figures of each kind of operation, by name.
pub(super) fn by_kind<'a>(operations: &[&'a Operation<'a>]) -> Vec<KindMeasures> {
    let mut kinds: BTreeMap<&str, Vec<&Operation<'_>>> = BTreeMap::new();
    for operation in operations {
        kinds.entry(operation.f).or_default().push(operation);
    }
    let measure = |(f, operations): (&str, Vec<&'a Operation<'a>>)| {
        let measure = Measure::of(operations.into_iter());
        KindMeasures {
            f: f.to_owned(),
            counts: measure.counts(),
            latency: measure.latency(),
        }
    };
    kinds.into_iter().map(measure).collect()
}
