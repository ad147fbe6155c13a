//! How fast VR is, beside the floors of the same run: its message pattern without VR over the replicas' own
//! transport, and the disk. Replicas and clients share the machine, no relay between them.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use viewstorm_protocol::vr::{DurabilityMode, VrTimeouts};

use super::disk;
use super::group::{Group, Load, Runs, Shape};

/// What is measured before it counts.
const WARMUP: Duration = Duration::from_millis(500);
/// How many sessions are busy while primaries are killed.
const FAILOVER_SESSIONS: u64 = 16;
/// How long beyond the suspicion timeout a failover may take, nine times of ten.
const FAILOVER_SLACK: Duration = Duration::from_millis(50);

/// What is wanted.
#[derive(Clone, Debug)]
pub struct VrBenchOptions {
    /// How long each cell takes each time.
    pub length: Duration,
    /// How many times all are measured: the medians count.
    pub repeats: u32,
    /// How many times the primary is killed.
    pub kills: u32,
    /// Only cells whose name contains this.
    pub only: String,
}

/// Everything measured in one run.
#[derive(Clone, Debug, Serialize)]
pub struct VrBench {
    /// The machine's load average at the start and at the end: a busy machine measures itself.
    pub load_average: [f64; 2],
    /// fdatasync with three writers at once, the median in microseconds.
    pub fdatasync_us: f64,
    /// The cells.
    pub cells: Vec<Cell>,
    /// The failovers, if there were any.
    pub failover: Option<Failover>,
}

/// One measurement: medians of its repeats.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Cell {
    /// What was measured.
    pub name: String,
    /// Operations a second.
    pub ops_per_second: f64,
    /// The median latency, in microseconds.
    pub p50_us: f64,
    /// The 99th percentile, in microseconds.
    pub p99_us: f64,
    /// What it is to reach, in words, and whether it does.
    pub bound: Option<(String, bool)>,
}

/// From a primary's end to the next answer, in milliseconds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failover {
    /// How many times.
    pub kills: usize,
    /// The median.
    pub p50_ms: f64,
    /// Nine of ten were no longer.
    pub p90_ms: f64,
    /// The longest.
    pub max_ms: f64,
    /// What nine of ten are to reach.
    pub bound_ms: f64,
}

/// Why it could not be measured.
#[derive(Debug, thiserror::Error)]
#[error("{what}: {reason}")]
pub struct BenchError {
    what: &'static str,
    reason: String,
}

impl BenchError {
    pub(super) fn new(what: &'static str, error: &dyn std::error::Error) -> Self {
        Self::said(what, error.to_string())
    }

    pub(super) const fn said(what: &'static str, reason: String) -> Self {
        Self { what, reason }
    }
}

/// A cell before it is measured.
struct Plan {
    name: String,
    shape: Shape,
    sessions: u64,
}

fn plans() -> Vec<Plan> {
    let vr = Runs::Vr;
    let cells = [
        ("pattern", Runs::Pattern, 3, &[1, 64, 512][..]),
        ("diskless", vr(DurabilityMode::Diskless), 3, &[1, 64, 512]),
        ("view-durable", vr(DurabilityMode::ViewDurable), 3, &[64]),
        ("wal", vr(DurabilityMode::Wal), 3, &[1, 64, 512]),
        ("pattern", Runs::Pattern, 5, &[64]),
        ("diskless", vr(DurabilityMode::Diskless), 5, &[64]),
        ("wal", vr(DurabilityMode::Wal), 5, &[64]),
    ];
    let of = |(name, runs, replicas, sessions): (&str, Runs, u16, &[u64])| {
        let plan = |sessions: &u64| Plan {
            name: format!("{name}, {replicas} replicas, {sessions} clients"),
            shape: Shape { replicas, runs },
            sessions: *sessions,
        };
        sessions.iter().map(plan).collect::<Vec<_>>()
    };
    cells.into_iter().flat_map(of).collect()
}

/// Measures everything. `executable` is this program; storage goes below `beside`.
pub fn measure_vr(
    options: &VrBenchOptions,
    executable: &Path,
    beside: &Path,
) -> Result<VrBench, BenchError> {
    let before = load_average();
    let plans: Vec<_> = plans()
        .into_iter()
        .filter(|plan| plan.name.contains(&options.only))
        .collect();
    let mut loads: Vec<Vec<Load>> = plans.iter().map(|_| Vec::new()).collect();
    let mut syncs = Vec::new();
    // Those that are compared take turns: the machine's mood is the same for all.
    for _ in 0..options.repeats {
        let floors = disk::fdatasync_alone_and_with_three_writers(options.length / 4);
        let [_, together] = floors.map_err(|error| BenchError::new("fdatasync", &error))?;
        syncs.push(together.p50_us);
        for (plan, loads) in plans.iter().zip(&mut loads) {
            let mut group = Group::start(plan.shape, executable, beside)?;
            loads.push(group.load(plan.sessions, WARMUP, options.length)?);
        }
    }
    let fdatasync_us = median(syncs);
    let mut cells: Vec<Cell> = plans.iter().zip(&loads).map(cell).collect();
    judge(&mut cells, fdatasync_us);
    let failover = match options.kills {
        0 => None,
        kills => Some(failovers(kills, executable, beside)?),
    };
    Ok(VrBench {
        load_average: [before, load_average()],
        fdatasync_us,
        cells,
        failover,
    })
}

fn cell((plan, loads): (&Plan, &Vec<Load>)) -> Cell {
    let of = |value: &dyn Fn(&Load) -> f64| median(loads.iter().map(value).collect());
    Cell {
        name: plan.name.clone(),
        ops_per_second: of(&|load| load.latencies.len() as f64 / load.length.as_secs_f64()),
        p50_us: of(&|load| quantile(&load.latencies, 0.5)),
        p99_us: of(&|load| quantile(&load.latencies, 0.99)),
        bound: None,
    }
}

/// Says which cells reach what they are to reach.
fn judge(cells: &mut [Cell], fdatasync_us: f64) {
    let find = |name: &str| cells.iter().find(|cell| cell.name == name).cloned();
    let one = find("pattern, 3 replicas, 1 clients").map(|cell| cell.p50_us);
    let many = find("pattern, 3 replicas, 512 clients").map(|cell| cell.ops_per_second);
    let three = |mode| find(&format!("{mode}, 3 replicas, 64 clients"));
    let halves = ["diskless", "wal"].map(|mode| (mode, three(mode)));
    for cell in cells {
        let at_most = |us: f64| (format!("p50 at most {us:.0} us"), cell.p50_us <= us);
        let at_least = |ops: f64| {
            let words = format!("at least {ops:.0} op/s");
            (words, cell.ops_per_second >= ops)
        };
        let half = |mode: &str| {
            let (_, three) = halves.iter().find(|(name, _)| *name == mode)?;
            Some(at_least(three.as_ref()?.ops_per_second / 2.0))
        };
        cell.bound = match cell.name.as_str() {
            "diskless, 3 replicas, 1 clients" => one.map(|floor| at_most(2.0 * floor)),
            "wal, 3 replicas, 1 clients" => {
                one.map(|floor| at_most(2.0 * floor + 2.0 * fdatasync_us))
            }
            "diskless, 3 replicas, 64 clients" => Some(at_least(40_000.0)),
            "wal, 3 replicas, 64 clients" => Some(at_least(20_000.0)),
            "diskless, 3 replicas, 512 clients" => many.map(|floor| at_least(floor / 2.0)),
            "diskless, 5 replicas, 64 clients" => half("diskless"),
            "wal, 5 replicas, 64 clients" => half("wal"),
            _ => None,
        };
    }
}

fn failovers(kills: u32, executable: &Path, beside: &Path) -> Result<Failover, BenchError> {
    let shape = Shape {
        replicas: 3,
        runs: Runs::Vr(DurabilityMode::Wal),
    };
    let mut group = Group::start(shape, executable, beside)?;
    let mut took = group.failovers(FAILOVER_SESSIONS, kills)?;
    took.sort_unstable();
    let nanos: Vec<u64> = took
        .iter()
        .map(|took| u64::try_from(took.as_nanos()).unwrap_or(u64::MAX))
        .collect();
    let milliseconds = |share| quantile(&nanos, share) / 1e3;
    let bound = VrTimeouts::default().suspicion + FAILOVER_SLACK;
    Ok(Failover {
        kills: nanos.len(),
        p50_ms: milliseconds(0.5),
        p90_ms: milliseconds(0.9),
        max_ms: milliseconds(1.0),
        bound_ms: bound.as_secs_f64() * 1e3,
    })
}

/// In microseconds, of ascending nanoseconds.
fn quantile(nanos: &[u64], share: f64) -> f64 {
    let last = nanos.len().saturating_sub(1);
    let place = (last as f64 * share).round() as usize;
    nanos
        .get(place)
        .map_or(f64::NAN, |nanos| *nanos as f64 / 1e3)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// That of the last minute.
fn load_average() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first
        .and_then(|first| first.parse().ok())
        .unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(name: &str, ops_per_second: f64, p50_us: f64) -> Cell {
        Cell {
            name: name.to_owned(),
            ops_per_second,
            p50_us,
            p99_us: p50_us,
            bound: None,
        }
    }

    #[test]
    fn every_bound_is_judged_by_the_floors_of_its_own_run() {
        let mut cells = [
            measured("pattern, 3 replicas, 1 clients", 5000.0, 200.0),
            measured("diskless, 3 replicas, 1 clients", 2500.0, 401.0),
            measured("wal, 3 replicas, 1 clients", 1250.0, 599.0),
            measured("diskless, 3 replicas, 64 clients", 40_000.0, 1000.0),
            measured("diskless, 5 replicas, 64 clients", 19_999.0, 2000.0),
        ];
        judge(&mut cells, 100.0);
        let met: Vec<_> = cells
            .iter()
            .map(|cell| cell.bound.as_ref().map(|(_, met)| *met))
            .collect();
        assert_eq!(
            met,
            [None, Some(false), Some(true), Some(true), Some(false)]
        );
    }

    #[test]
    fn every_cell_that_has_a_bound_is_measured() {
        let mut cells: Vec<_> = plans()
            .iter()
            .map(|plan| measured(&plan.name, 1.0, 1.0))
            .collect();
        judge(&mut cells, 1.0);
        assert_eq!(cells.iter().filter(|cell| cell.bound.is_some()).count(), 7);
    }

    #[test]
    fn quantiles_and_medians_are_those_of_the_values() {
        assert_eq!(quantile(&[1000, 2000, 3000], 0.5), 2.0);
        assert_eq!(quantile(&[1000, 2000, 3000], 1.0), 3.0);
        assert!(quantile(&[], 0.5).is_nan());
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
    }
}
