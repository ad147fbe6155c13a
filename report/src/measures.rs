//! Figures about operations: how many, how fast, against which bounds.

use serde::{Deserialize, Serialize};
use viewstorm_history::Timestamp;

/// How operations ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Handed to a client.
    pub invoked: u64,
    /// Happened.
    pub ok: u64,
    /// Had no effect.
    pub fail: u64,
    /// Nobody knows.
    pub info: u64,
    /// Were due and never invoked, for no client was free in time. They are not among `invoked`.
    #[serde(default)]
    pub not_started: u64,
}

/// A latency distribution: from the intended start (open loop) or the invoke (closed loop) to the
/// ok.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latency {
    /// Of how many operations. With none, the other figures are zero and mean nothing.
    pub count: u64,
    /// The median, in microseconds.
    pub p50_us: f64,
    /// 90% took at most this.
    pub p90_us: f64,
    /// 99% took at most this.
    pub p99_us: f64,
    /// 99.9% took at most this.
    pub p99_9_us: f64,
    /// The longest.
    pub max_us: f64,
}

/// One kind of operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KindMeasures {
    /// `read`, `write`, `cas`, ...
    pub f: String,
    /// How they ended.
    pub counts: Counts,
    /// How long the acknowledged ones took.
    pub latency: Latency,
}

/// One phase of the run: warm-up, before the faults, during one, after the heal, ...
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PhaseMeasures {
    /// Its name.
    pub name: String,
    /// When it began.
    pub from_ns: Timestamp,
    /// When it ended.
    pub to_ns: Timestamp,
    /// How the operations that were due in it ended.
    pub counts: Counts,
    /// Acknowledged operations a second.
    pub throughput_ops_per_s: f64,
    /// How long the acknowledged ones took.
    pub latency: Latency,
}

/// A timing bound of the plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bound {
    /// What is bounded: `recovery`, `latency p99`, `availability`, ...
    pub name: String,
    /// The bound, with its unit.
    pub limit: String,
    /// What was measured, with its unit; none if there was nothing to measure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<String>,
    /// Whether it was met.
    pub met: bool,
    /// Whether a miss fails the run (virtual time, or strict bounds); else it is only shown.
    pub judged: bool,
}

/// How far the harness fell behind its own schedule.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct HarnessLag {
    /// The 99th percentile of how late it started operations, in microseconds.
    pub p99_us: f64,
    /// The longest.
    pub max_us: f64,
    /// Beyond this, figures of the run are flagged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit_us: Option<f64>,
    /// Whether figures were taken while it was behind.
    pub fell_behind: bool,
}
