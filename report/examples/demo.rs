//! Writes two made-up runs and their reports: `cargo run -p viewstorm-report --example demo --
//! DIR`.
//!
//! They look like real ones and show every part of the report: thirty seconds, a thousand
//! operations a second, eight faults; once valid, and once with a stale read and a fault that could
//! not be confirmed.

use std::collections::BTreeMap;
use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use viewstorm_checker::{CheckResult, Validity, Verdict, Violation};
use viewstorm_history::{
    End, Header, History, HistoryWriter, Kind, OperationEvent, ProcessId, Seed, Timestamp,
};
use viewstorm_report::{
    Bound, Counts, Exit, Expectation, FaultRecord, FaultRecovery, FaultTotals, HISTORY_FILE,
    HarnessLag, Identity, KindMeasures, Latency, Outage, Outcome, PhaseMeasures, Recovery, Results,
    SCHEMA_VERSION, ViewChange, closing_lines, write_all,
};

type Failure = Box<dyn std::error::Error>;

const MILLI: u64 = 1_000_000;
const LOAD: u64 = 1_203 * MILLI;
const LENGTH: u64 = 30_000 * MILLI;
const TIMEOUT: u64 = 1_000 * MILLI;
const CLIENTS: usize = 64;

/// Name, description, target, links, from and to in milliseconds after the load's start.
const FAULTS: [(&str, &str, &str, u64, u64, u64); 8] = [
    ("partition", "primary alone", "replica 0", 8, 3_000, 5_500),
    ("kill", "", "replica 3", 0, 6_200, 8_000),
    (
        "delay",
        "20 ms ± 5 ms on every link",
        "replica 1",
        8,
        8_500,
        12_000,
    ),
    (
        "loss",
        "10%, in bursts of 4",
        "replica 1, replica 2",
        4,
        10_500,
        14_000,
    ),
    ("pause", "", "replica 1", 0, 15_000, 16_400),
    ("clock-skew", "+250 ms", "replica 2", 0, 15_800, 20_000),
    (
        "partition",
        "halves: 0 1 | 2 3 4",
        "replica 0, replica 1",
        12,
        21_000,
        24_000,
    ),
    (
        "kill",
        "overlapping restart",
        "replica 2",
        0,
        25_500,
        26_600,
    ),
];

/// When nothing was acknowledged, in milliseconds: until the next primary was elected.
const OUTAGES: [(u64, u64); 3] = [(3_000, 3_420), (15_000, 15_510), (25_500, 26_730)];

fn main() -> Result<(), Failure> {
    let root = std::env::args_os()
        .nth(1)
        .map_or_else(|| PathBuf::from("demo"), PathBuf::from);
    for is_valid in [true, false] {
        let dir = root.join(if is_valid { "valid" } else { "invalid" });
        fs::create_dir_all(&dir)?;
        let history = write_history(&dir)?;
        let results = results(&history, is_valid);
        let paths = write_all(&dir, &results, &history)?;
        if let Some(page) = paths.last() {
            println!("{}", closing_lines(&results, page, false));
        }
    }
    Ok(())
}

/// A generator of its own, so that the demonstration is the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as f64 + 0.5) / (1_u64 << 31) as f64
    }

    /// Around one millisecond, with a tail.
    fn latency(&mut self) -> u64 {
        let normal = (-2.0 * self.next().ln()).sqrt() * (std::f64::consts::TAU * self.next()).cos();
        let tail = if self.next() > 0.997 {
            1.0 + 8.0 * self.next()
        } else {
            1.0
        };
        (1.1e6 * (0.35 * normal).exp() * tail) as u64
    }
}

fn write_history(dir: &Path) -> Result<History, Failure> {
    let header = Header {
        format: viewstorm_history::FORMAT_VERSION,
        experiment: "vr-storm".to_owned(),
        seed: Seed(42),
        model: "register".to_owned(),
        extra: Map::new(),
    };
    let mut events = operations();
    events.sort_by_key(|event| event.time);
    let file = fs::File::create(dir.join(HISTORY_FILE))?;
    let mut writer = HistoryWriter::new(BufWriter::new(file), &header)?;
    for event in &mut events {
        writer.operation(event)?;
    }
    let time = Timestamp(LOAD + LENGTH + 2_500 * MILLI);
    writer
        .end(&End {
            time,
            interrupted: None,
            extra: Map::new(),
        })?
        .into_inner()?;
    let file = fs::File::open(dir.join(HISTORY_FILE))?;
    Ok(History::read(std::io::BufReader::new(file))?)
}

fn operations() -> Vec<OperationEvent> {
    let mut random = Random(42);
    let mut events = Vec::new();
    let mut free = vec![(0_u64, 0_u64); CLIENTS];
    for (client, slot) in free.iter_mut().enumerate() {
        slot.1 = client as u64;
    }
    let (mut due, mut next_process) = (LOAD, CLIENTS as u64);
    while due < LOAD + LENGTH {
        due += (-random.next().ln() * 1e6) as u64;
        let Some(slot) = free.iter_mut().min() else {
            break;
        };
        let start = due.max(slot.0) + 3_000;
        let (f, value) = match random.next() {
            roll if roll < 0.5 => ("read", Value::Null),
            roll if roll < 0.85 => ("write", json!(events.len())),
            _ => ("cas", json!([events.len() / 2, events.len()])),
        };
        if start > due + 500 * MILLI {
            continue;
        }
        let (end, kind) = ending(&mut random, start, f);
        let event = |time, kind, value| OperationEvent {
            index: None,
            time: Timestamp(time),
            process: ProcessId(slot.1),
            kind,
            f: f.to_owned(),
            key: Some(format!("k{}", due % 8)),
            value,
            intended: (kind == Kind::Invoke).then_some(Timestamp(due)),
            order: None,
            observed: None,
            extra: Map::new(),
        };
        events.push(event(start, Kind::Invoke, value.clone()));
        let result = if f == "read" {
            json!(events.len() / 3)
        } else {
            value
        };
        events.push(event(end, kind, result));
        slot.0 = end;
        if kind == Kind::Info {
            slot.1 = next_process;
            next_process += 1;
        }
    }
    events
}

/// When and how an operation ended that was invoked then.
fn ending(random: &mut Random, start: u64, f: &str) -> (u64, Kind) {
    let since = start.saturating_sub(LOAD) / MILLI;
    let mut end = start + random.latency();
    for (from, to) in OUTAGES {
        if (from..to).contains(&since) {
            end = LOAD + to * MILLI + random.latency() * 6;
        }
    }
    if (8_500..12_000).contains(&since) {
        end += 18 * MILLI + random.latency() * 4;
    }
    if (10_500..14_000).contains(&since) && random.next() < 0.12 {
        end += 60 * MILLI + random.latency() * 40;
    }
    if end > start + TIMEOUT {
        return (start + TIMEOUT, Kind::Info);
    }
    let kind = if f == "cas" && random.next() < 0.2 {
        Kind::Fail
    } else {
        Kind::Ok
    };
    (end, kind)
}

/// An operation's kind, due time, outcome and latency in nanoseconds.
type Sample = (String, u64, Kind, u64);

fn samples(history: &History) -> Vec<Sample> {
    let mut open = BTreeMap::new();
    let mut samples = Vec::new();
    for event in &history.operations {
        if event.kind == Kind::Invoke {
            open.insert(event.process, event.intended.unwrap_or(event.time).0);
        } else if let Some(due) = open.remove(&event.process) {
            samples.push((event.f.clone(), due, event.kind, event.time.0 - due));
        }
    }
    samples
}

fn measure<'a>(samples: impl Iterator<Item = &'a Sample>) -> (Counts, Latency) {
    let mut counts = Counts::default();
    let mut latencies = Vec::new();
    for (_, _, kind, latency) in samples {
        counts.invoked += 1;
        match kind {
            Kind::Ok => {
                counts.ok += 1;
                latencies.push(*latency);
            }
            Kind::Fail => counts.fail += 1,
            Kind::Info | Kind::Invoke => counts.info += 1,
        }
    }
    latencies.sort_unstable();
    let at = |q: f64| {
        let rank = (q * latencies.len() as f64).ceil() as usize;
        latencies
            .get(rank.saturating_sub(1))
            .map_or(0.0, |nanos| *nanos as f64 / 1e3)
    };
    let latency = Latency {
        count: counts.ok,
        p50_us: at(0.5),
        p90_us: at(0.9),
        p99_us: at(0.99),
        p99_9_us: at(0.999),
        max_us: at(1.0),
    };
    (counts, latency)
}

fn results(history: &History, is_valid: bool) -> Results {
    let samples = samples(history);
    let (mut counts, latency) = measure(samples.iter());
    counts.not_started = 187;
    let kinds = ["cas", "read", "write"].map(|f| {
        let (counts, latency) = measure(samples.iter().filter(|sample| sample.0 == f));
        KindMeasures {
            f: f.to_owned(),
            counts,
            latency,
        }
    });
    let faults: Vec<_> = (0..FAULTS.len())
        .map(|index| fault(index, is_valid))
        .collect();
    let count =
        |is: fn(&FaultRecord) -> bool| faults.iter().filter(|fault| is(fault)).count() as u64;
    let validity = if is_valid {
        Validity::Valid
    } else {
        Validity::Invalid
    };
    Results {
        schema_version: SCHEMA_VERSION,
        run: identity(),
        outcome: Outcome {
            validity,
            expected: Expectation {
                validity: Validity::Valid,
                property: None,
            },
            as_expected: is_valid,
            exit: Exit::from_code(u8::from(!is_valid)),
        },
        verdict: Verdict {
            validity,
            checks: checks(history, is_valid),
        },
        reservations: match is_valid {
            true => Vec::new(),
            false => vec!["fault #5 clock-skew of replica 2 was not confirmed".to_owned()],
        },
        bounds: bounds(is_valid),
        counts,
        throughput_ops_per_s: counts.ok as f64 / 30.0,
        latency,
        kinds: kinds.to_vec(),
        phases: phases(&samples),
        fault_totals: FaultTotals {
            planned: faults.len() as u64,
            applied: count(|fault| fault.injected_at_ns.is_some()),
            confirmed: count(|fault| fault.confirmed_at_ns.is_some()),
            healed: count(|fault| fault.healed_confirmed_at_ns.is_some()),
        },
        recovery: recovery(),
        faults,
        views: views(),
        reproduce: vec![
            "viewstorm run experiments/vr/storm.toml --world simulated --seed 42".to_owned(),
            "viewstorm reproduce runs/vr-storm/processes-0123456789ab-42 --seeds 200".to_owned(),
        ],
        machine: facts(),
        harness_lag: Some(lag()),
        floors: floors(),
    }
}

fn lag() -> HarnessLag {
    HarnessLag {
        p99_us: 412.0,
        max_us: 3_810.0,
        limit_us: Some(10_000.0),
        fell_behind: false,
    }
}

fn floors() -> BTreeMap<String, f64> {
    [
        ("fdatasync_p50_us", 912.0),
        ("udp_echo_p50_us", 11.4),
        ("udp_echo_p99_us", 38.2),
        ("ed25519_verify_per_s", 24_310.0),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into()
}

fn identity() -> Identity {
    Identity {
        experiment: "vr-storm".to_owned(),
        description: Some(
            "Partitions, kills, pauses, delay, loss and skewed clocks, overlapping.".to_owned(),
        ),
        seed: Seed(42),
        world: "processes".to_owned(),
        protocol: "vr".to_owned(),
        replicas: 5,
        clients: CLIENTS as u32,
        version: "0.1.0".to_owned(),
        commit: Some("0123456789ab".to_owned()),
        started: "2026-01-15T03:10:00Z".to_owned(),
        duration_ns: LOAD + LENGTH + 2_500 * MILLI,
    }
}

fn facts() -> BTreeMap<String, String> {
    [
        ("processor", "8-core virtual machine"),
        ("cores", "8"),
        ("kernel", "Linux 6.12"),
        ("memory", "31.2 GiB"),
        ("load at start", "0.42"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn fault(index: usize, is_valid: bool) -> FaultRecord {
    let (name, description, target, links, from, to) = FAULTS[index];
    let at = |millis: u64| Some(Timestamp(LOAD + millis * MILLI));
    let is_unconfirmed = !is_valid && name == "clock-skew";
    FaultRecord {
        id: index as u64,
        name: name.to_owned(),
        description: description.to_owned(),
        targets: target.split(", ").map(str::to_owned).collect(),
        links,
        planned_at_ns: if index == 4 { None } else { at(from) },
        injected_at_ns: at(from + 1),
        confirmed_at_ns: if is_unconfirmed { None } else { at(from + 62) },
        healed_at_ns: at(to),
        healed_confirmed_at_ns: at(to + 48),
        evidence: match name {
            "partition" => Some(format!(
                "{links} of {links} probes on cut links did not arrive within 60 ms"
            )),
            "kill" => Some("wait status: signal 9 (SIGKILL)".to_owned()),
            "delay" => Some("measured 20.3 ms ± 4.8 ms over 64 probes".to_owned()),
            "loss" => Some("measured 10.9% of 512 probes".to_owned()),
            "pause" => Some("process state T (stopped)".to_owned()),
            _ => None,
        },
        stays: None,
        failure: is_unconfirmed
            .then(|| "the clock in replica 2 read +0 ms by the deadline of 500 ms".to_owned()),
        overlapped: false,
        hidden: false,
    }
}

fn recovery() -> Recovery {
    let of_fault = |index: usize| FaultRecovery {
        fault: index as u64,
        after_inject_ns: Some((1 + 60 * (index as u64 % 4)) * MILLI),
        after_heal_ns: Some((2 + index as u64) * MILLI / 2),
    };
    Recovery {
        final_heal_at_ns: Some(Timestamp(LOAD + 26_600 * MILLI)),
        after_final_heal_ns: Some(133 * MILLI),
        longest_outage: Some(Outage {
            from_ns: Timestamp(LOAD + 25_500 * MILLI),
            to_ns: Timestamp(LOAD + 26_733 * MILLI),
        }),
        per_fault: (0..FAULTS.len()).map(of_fault).collect(),
    }
}

fn views() -> Vec<ViewChange> {
    let view = |(millis, view): (u64, u64)| ViewChange {
        at_ns: Timestamp(LOAD + millis * MILLI),
        replica: Some((view % 5) as u32),
        epoch: 0,
        view,
        primary: (view % 5) as u32,
    };
    [(3_410, 1), (15_300, 3), (15_500, 4), (26_720, 7)]
        .map(view)
        .to_vec()
}

fn phases(samples: &[Sample]) -> Vec<PhaseMeasures> {
    let bounds = [
        ("before the faults", 0, 3_000),
        ("under faults", 3_000, 26_600),
        ("after the final heal", 26_600, 30_000),
    ];
    let phase = |(name, from, to): (&str, u64, u64)| {
        let (from, to) = (LOAD + from * MILLI, LOAD + to * MILLI);
        let (counts, latency) = measure(
            samples
                .iter()
                .filter(|sample| (from..to).contains(&sample.1)),
        );
        PhaseMeasures {
            name: name.to_owned(),
            from_ns: Timestamp(from),
            to_ns: Timestamp(to),
            counts,
            throughput_ops_per_s: counts.ok as f64 * 1e9 / (to - from) as f64,
            latency,
        }
    };
    bounds.map(phase).to_vec()
}

fn bounds(is_valid: bool) -> Vec<Bound> {
    let bound = |name: &str, limit: &str, measured: &str, met| Bound {
        name: name.to_owned(),
        limit: limit.to_owned(),
        measured: Some(measured.to_owned()),
        met,
        judged: false,
    };
    vec![
        bound("recovery after the final heal", "2 s", "133 ms", true),
        bound(
            "longest outage",
            if is_valid { "2 s" } else { "1 s" },
            "1.23 s",
            is_valid,
        ),
    ]
}

fn checks(history: &History, is_valid: bool) -> Vec<CheckResult> {
    let judged = history.operations.len() as u64 / 2;
    let check = |name: &str, algorithm: &str| CheckResult {
        check: name.to_owned(),
        validity: Validity::Valid,
        algorithms: vec![algorithm.to_owned()],
        judged,
        reason: None,
        violations: Vec::new(),
    };
    let mut checks = vec![
        check("linearizability", "order-witness"),
        check("durability", "final-reads"),
        check("log-agreement", "hash-chain"),
    ];
    if !is_valid {
        checks[0].validity = Validity::Invalid;
        checks[0].violations = vec![
            stale_read(history, 3_060, 3),
            stale_read(history, 21_100, 1),
        ];
        checks[2].validity = Validity::Unknown;
        checks[2].judged = 0;
        checks[2].reason = Some("the trace of replica 2 breaks off at 26.703 s".to_owned());
    }
    checks
}

/// Three operations of the history that are taken for a contradiction.
fn stale_read(history: &History, millis: u64, key: u64) -> Violation {
    let from = LOAD + millis * MILLI;
    let after = |time: u64, f: &str| {
        let chosen = history
            .operations
            .iter()
            .find(|event| event.time.0 >= time && event.kind == Kind::Invoke && event.f == f);
        chosen.map_or((0, 0, 0), |event| {
            let end = history
                .operations
                .iter()
                .find(|end| end.process == event.process && end.time > event.time);
            (
                event.index.unwrap_or_default(),
                event.time.0,
                end.map_or(event.time.0, |end| end.time.0),
            )
        })
    };
    let first = after(from.saturating_sub(70 * MILLI), "write");
    let second = after(first.2, "write");
    let read = after(second.2, "read");
    let seconds = |nanos: u64| nanos as f64 / 1e9;
    Violation {
        class: "stale-read".to_owned(),
        key: Some(format!("k{key}")),
        summary: format!(
            "a read of k{key} returned a value that was overwritten before the read began"
        ),
        explanation: format!(
            "Let W1 = write(k{key}, 17) [{:.6} s, {:.6} s],\n    W2 = write(k{key}, 18) [{:.6} s, {:.6} s],\n    \
             R  = read(k{key}) = 17 [{:.6} s, {:.6} s].\n\
             W1 ended before W2 began, so 17 came before 18.\n\
             W2 ended before R began, and R saw 17, so 18 came before 17.\n\
             Contradiction: a stale read.",
            seconds(first.1),
            seconds(first.2),
            seconds(second.1),
            seconds(second.2),
            seconds(read.1),
            seconds(read.2),
        ),
        operations: vec![first.0, second.0, read.0],
        window: (Timestamp(first.1), Timestamp(read.2)),
    }
}
