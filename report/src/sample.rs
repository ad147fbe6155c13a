//! Small runs for the tests of this crate.

use serde_json::{Map, Value, json};
use viewstorm_checker::{CheckResult, Validity, Verdict, Violation};
use viewstorm_history::{End, Header, History, Kind, OperationEvent, ProcessId, Seed, Timestamp};

use crate::*;

const MILLI: u64 = 1_000_000;

/// Text that breaks out of whatever does not guard against it.
pub(crate) const HOSTILE: &str = "</script><b>&amp; \"x\" | `y` ``` ]]> <!-- \u{0}\u{1b}[31m\u{202e}\r\n| --- |\n# *z* [l](javascript:1) \u{ffff}";

/// Milliseconds after the start of the run.
pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp(millis * MILLI)
}

/// A hundred operations in one second from 1 s on, one every 10 ms; two processes take turns. Every
/// tenth write is of unknown outcome, every cas fails; nothing is acknowledged between 1.3 s and
/// 1.4 s.
pub(crate) fn history() -> History {
    let mut operations = Vec::new();
    for number in 0..100_u64 {
        let due = 1_000 + 10 * number;
        let (f, argument) = match number % 5 {
            0 | 1 => ("write", json!(number)),
            4 => ("cas", json!([number - 3, number])),
            _ => ("read", Value::Null),
        };
        let stalled = (1_300..1_400).contains(&due);
        let end = if stalled {
            1_400 + number % 3
        } else {
            due + 2 + number % 4
        };
        let kind = match (f, number % 10) {
            ("write", 0) => Kind::Info,
            ("cas", _) => Kind::Fail,
            _ => Kind::Ok,
        };
        let event = |time: u64, kind, value| OperationEvent {
            index: None,
            time: at(time),
            process: ProcessId(if stalled { 100 + number } else { number % 2 }),
            kind,
            f: f.to_owned(),
            key: Some(format!("k{}", number % 3)),
            value,
            intended: (kind == Kind::Invoke).then_some(at(due)),
            order: None,
            observed: (kind == Kind::Fail).then_some(json!(7)),
            extra: Map::new(),
        };
        let value = if f == "read" {
            json!(number / 2)
        } else {
            argument.clone()
        };
        operations.push(event(due + 1, Kind::Invoke, argument));
        operations.push(event(end.max(due + 1), kind, value));
    }
    operations.sort_by_key(|event| event.time);
    for (index, event) in operations.iter_mut().enumerate() {
        event.index = Some(index as u64);
    }
    let header = Header {
        format: viewstorm_history::FORMAT_VERSION,
        experiment: "sample".to_owned(),
        seed: Seed(42),
        model: "register".to_owned(),
        extra: Map::new(),
    };
    History {
        header: Some(header),
        operations,
        faults: Vec::new(),
        end: Some(End {
            time: at(2_100),
            interrupted: None,
            extra: Map::new(),
        }),
    }
}

/// A valid run of [`history`] with two faults, both confirmed.
pub(crate) fn valid() -> Results {
    let (counts, latency) = measures();
    let phase = |name: &str, from, to| PhaseMeasures {
        name: name.to_owned(),
        from_ns: at(from),
        to_ns: at(to),
        counts,
        throughput_ops_per_s: 70.0,
        latency,
    };
    let kind = |f: &str| KindMeasures {
        f: f.to_owned(),
        counts,
        latency,
    };
    Results {
        schema_version: SCHEMA_VERSION,
        run: identity("sample"),
        outcome: outcome(Validity::Valid, Validity::Valid),
        verdict: Verdict {
            validity: Validity::Valid,
            checks: vec![check("linearizability"), check("durability")],
        },
        reservations: Vec::new(),
        bounds: vec![bound("recovery", true, true)],
        counts,
        throughput_ops_per_s: 70.0,
        latency,
        kinds: vec![kind("read"), kind("write")],
        phases: vec![
            phase("before the faults", 1_000, 1_300),
            phase("under faults", 1_300, 2_000),
        ],
        faults: vec![
            fault(0, "partition", 1_300, 1_500),
            fault(1, "kill", 1_400, 1_600),
        ],
        fault_totals: FaultTotals {
            planned: 2,
            applied: 2,
            confirmed: 2,
            healed: 2,
        },
        recovery: recovery(),
        views: vec![
            ViewChange {
                at_ns: at(1_395),
                replica: Some(1),
                epoch: 0,
                view: 1,
                primary: 1,
            },
            ViewChange {
                at_ns: at(1_700),
                replica: Some(2),
                epoch: 0,
                view: 2,
                primary: 2,
            },
        ],
        reproduce: vec!["viewstorm run sample.toml --seed 42".to_owned()],
        machine: [("cores".to_owned(), "8".to_owned())].into(),
        harness_lag: Some(HarnessLag {
            p99_us: 80.0,
            max_us: 900.0,
            limit_us: Some(10_000.0),
            fell_behind: false,
        }),
        floors: [("udp_echo_p50_us".to_owned(), 11.4)].into(),
    }
}

fn measures() -> (Counts, Latency) {
    let latency = Latency {
        count: 70,
        p50_us: 3_000.0,
        p90_us: 4_100.0,
        p99_us: 101_200.0,
        p99_9_us: 101_200.0,
        max_us: 101_200.0,
    };
    (
        Counts {
            invoked: 100,
            ok: 70,
            fail: 20,
            info: 10,
            not_started: 3,
        },
        latency,
    )
}

fn check(name: &str) -> CheckResult {
    CheckResult {
        check: name.to_owned(),
        validity: Validity::Valid,
        algorithms: vec!["zones".to_owned(), "order-witness".to_owned()],
        judged: 100,
        reason: None,
        violations: Vec::new(),
    }
}

fn recovery() -> Recovery {
    Recovery {
        final_heal_at_ns: Some(at(1_600)),
        after_final_heal_ns: Some(12_500_000),
        longest_outage: Some(Outage {
            from_ns: at(1_299),
            to_ns: at(1_400),
        }),
        per_fault: vec![FaultRecovery {
            fault: 0,
            after_inject_ns: Some(100_000_000),
            after_heal_ns: Some(2_000_000),
        }],
    }
}

/// The same with a stale read, a fault that was not confirmed and another that was not applied.
pub(crate) fn invalid() -> Results {
    let mut results = valid();
    results.outcome = outcome(Validity::Invalid, Validity::Valid);
    results.verdict.validity = Validity::Invalid;
    results.verdict.checks[0].validity = Validity::Invalid;
    results.verdict.checks[0].violations = vec![violation(1_050), violation(1_040)];
    results.verdict.checks[1].validity = Validity::Unknown;
    results.verdict.checks[1].judged = 0;
    results.verdict.checks[1].reason = Some("no final read ended".to_owned());
    results.bounds = vec![
        bound("recovery", false, true),
        bound("outage", false, false),
    ];
    results.reservations = vec!["2 faults were not confirmed".to_owned()];
    results.faults[1].confirmed_at_ns = None;
    results.faults[1].evidence = None;
    results.faults[1].failure = Some("the process is still there".to_owned());
    let mut late = fault(2, "pause", 5_000, 5_000);
    late.injected_at_ns = None;
    late.confirmed_at_ns = None;
    late.healed_at_ns = None;
    late.healed_confirmed_at_ns = None;
    late.planned_at_ns = None;
    late.evidence = None;
    late.failure = Some("no view change came that would have started it".to_owned());
    results.faults.push(late);
    results.fault_totals = FaultTotals {
        planned: 3,
        applied: 2,
        confirmed: 1,
        healed: 2,
    };
    results
}

/// A run in which nothing happened.
pub(crate) fn empty() -> Results {
    Results {
        outcome: outcome(Validity::Unknown, Validity::Valid),
        verdict: Verdict {
            validity: Validity::Unknown,
            checks: Vec::new(),
        },
        bounds: Vec::new(),
        counts: Counts::default(),
        throughput_ops_per_s: 0.0,
        latency: Latency::default(),
        kinds: Vec::new(),
        phases: Vec::new(),
        faults: Vec::new(),
        fault_totals: FaultTotals::default(),
        recovery: Recovery::default(),
        views: Vec::new(),
        reproduce: Vec::new(),
        machine: Default::default(),
        harness_lag: None,
        floors: Default::default(),
        ..valid()
    }
}

/// An invalid run in which every text is [`HOSTILE`].
pub(crate) fn hostile() -> Results {
    let text = || HOSTILE.to_owned();
    let mut results = invalid();
    results.run = identity(HOSTILE);
    results.run.description = Some(text());
    results.run.commit = Some(text());
    results.reservations = vec![text()];
    results.reproduce = vec![text()];
    results.machine = [(text(), text())].into();
    results.floors = [(text(), f64::NAN)].into();
    results.outcome.expected.property = Some(text());
    for check in &mut results.verdict.checks {
        check.check = text();
        check.algorithms = vec![text()];
        check.reason = Some(text());
        for violation in &mut check.violations {
            violation.class = text();
            violation.key = Some(text());
            violation.summary = text();
            violation.explanation = text();
        }
    }
    for fault in &mut results.faults {
        fault.name = text();
        fault.description = text();
        fault.targets = vec![text()];
        fault.evidence = Some(text());
        fault.failure = Some(text());
    }
    for bound in &mut results.bounds {
        bound.name = text();
        bound.limit = text();
        bound.measured = Some(text());
    }
    for kind in &mut results.kinds {
        kind.f = text();
    }
    for phase in &mut results.phases {
        phase.name = text();
    }
    results
}

/// [`history`] with [`HOSTILE`] keys, values and kinds.
pub(crate) fn hostile_history() -> History {
    let mut history = history();
    for event in &mut history.operations {
        event.f = HOSTILE.to_owned();
        event.key = Some(HOSTILE.to_owned());
        event.value = json!(HOSTILE);
    }
    history
}

/// An outcome against an expectation.
pub(crate) fn outcome(validity: Validity, expected: Validity) -> Outcome {
    let as_expected = validity == expected;
    let code = match validity {
        _ if as_expected => 0,
        Validity::Unknown => 2,
        Validity::Valid | Validity::Invalid => 1,
    };
    Outcome {
        validity,
        expected: Expectation {
            validity: expected,
            property: None,
        },
        as_expected,
        exit: Exit::from_code(code),
    }
}

fn identity(experiment: &str) -> Identity {
    Identity {
        experiment: experiment.to_owned(),
        description: None,
        seed: Seed(42),
        world: "processes".to_owned(),
        protocol: "vr".to_owned(),
        replicas: 3,
        clients: 2,
        version: "0.1.0".to_owned(),
        commit: Some("0123456789ab".to_owned()),
        started: "2026-01-15T03:10:00Z".to_owned(),
        duration_ns: 2_100_000_000,
    }
}

fn bound(name: &str, met: bool, judged: bool) -> Bound {
    Bound {
        name: name.to_owned(),
        limit: "2 s".to_owned(),
        measured: Some("12.5 ms".to_owned()),
        met,
        judged,
    }
}

fn fault(id: u64, name: &str, from: u64, to: u64) -> FaultRecord {
    FaultRecord {
        id,
        name: name.to_owned(),
        description: "primary alone".to_owned(),
        targets: vec!["replica 0".to_owned()],
        links: 4,
        planned_at_ns: Some(at(from)),
        injected_at_ns: Some(at(from + 1)),
        confirmed_at_ns: Some(at(from + 20)),
        healed_at_ns: Some(at(to)),
        healed_confirmed_at_ns: Some(at(to + 15)),
        evidence: Some("4 of 4 probes did not arrive".to_owned()),
        stays: None,
        failure: None,
        overlapped: false,
        hidden: false,
    }
}

/// A stale read that is certain then; three operations of [`history`] stand for it.
fn violation(certain: u64) -> Violation {
    Violation {
        class: "stale-read".to_owned(),
        key: Some("k1".to_owned()),
        summary: "a read of k1 returned 1 after 4 had replaced it".to_owned(),
        explanation: "Let W1 = write(k1, 1) [1.011 s, 1.013 s],\n    W2 = write(k1, 4) [1.021 s, 1.024 s],\n    \
                      R  = read(k1) = 1 [1.031 s, 1.035 s].\nW1 ended before W2 began.\n\
                      W2 ended before R began, and R saw 1.\nContradiction: a stale read.\n"
            .to_owned(),
        operations: vec![2, 4, 6],
        window: (at(1_011), at(certain)),
    }
}
