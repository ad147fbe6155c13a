//! One plan in both worlds: the same kinds of events, faults and verdicts come out, not the same timings.

use std::collections::BTreeSet;
use std::path::Path;

use viewstorm_checker::Validity;
use viewstorm_history::{Kind, Stage};
use viewstorm_protocol::TraceRecord;

use crate::support::{Home, history, results};

const PLAN: &str = r#"
name = "parity"
[workload]
clients = 6
endpoints = 2
rate = 150
[run]
duration = "5s"
[[nemesis]]
fault = "partition"
shape = "isolate-primary"
at = "400ms"
for = "1300ms"
[[nemesis]]
fault = "kill"
target = "primary"
at = "2200ms"
for = "700ms"
[[nemesis]]
fault = "pause"
target = "primary"
at = "3500ms"
for = "800ms"
[[nemesis]]
fault = "partition"
shape = "isolate-primary"
direction = "in"
layer = "messages"
at = "4600ms"
for = "400ms"
"#;

/// What a world's run looks like to somebody who may not look at a clock.
#[derive(Debug, PartialEq)]
struct Shape {
    validity: Validity,
    checks: BTreeSet<String>,
    faults: BTreeSet<(u64, String, Stage)>,
    operations: BTreeSet<(String, Kind)>,
    messages: BTreeSet<String>,
    notes: BTreeSet<String>,
}

fn shape(folder: &Path) -> Shape {
    let (results, history) = (results(folder), history(folder));
    let (mut messages, mut notes) = (BTreeSet::new(), BTreeSet::new());
    for replica in 0..3 {
        let trace =
            std::fs::read_to_string(folder.join(format!("trace/r{replica}.jsonl"))).unwrap();
        for line in trace.lines() {
            serde_json::from_str::<TraceRecord>(line)
                .unwrap_or_else(|error| panic!("{error}: {line}"));
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = |path: &str| {
                value
                    .pointer(path)
                    .and_then(|text| text.as_str())
                    .map(str::to_owned)
            };
            if text("/trace").as_deref() == Some("received") {
                messages.extend(text("/kind"));
            }
            notes.extend(text("/note/event"));
        }
    }
    // Whether a gap opens, and what an interleaving makes superfluous, is a matter of timing.
    let transfer = ["GetState", "NewState", "NewCheckpoint", "GetPages", "Pages"];
    messages.retain(|kind| !transfer.contains(&kind.as_str()));
    notes.retain(|note| !["dropped", "checkpoint-installed"].contains(&note.as_str()));
    let worlds_own = |check: &&str| !matches!(*check, "invariants" | "liveness");
    let checks = results
        .verdict
        .checks
        .iter()
        .map(|check| check.check.as_str());
    Shape {
        validity: results.outcome.validity,
        checks: checks.filter(worlds_own).map(str::to_owned).collect(),
        faults: history
            .faults
            .iter()
            .map(|event| (event.fault, event.f.clone(), event.stage))
            .collect(),
        operations: history
            .operations
            .iter()
            .filter(|event| event.kind != Kind::Info)
            .map(|event| (event.f.clone(), event.kind))
            .collect(),
        messages,
        notes,
    }
}

#[test]
fn a_plan_means_the_same_in_both_worlds() {
    let run = |world: &str| {
        let home = Home::new();
        let plan = home.plan(PLAN);
        home.viewstorm(&[
            "run",
            plan.to_str().unwrap(),
            "--seed",
            "2",
            "--world",
            world,
        ])
        .expect(0);
        shape(&home.run_folder())
    };
    let (processes, simulated) = (run("processes"), run("simulated"));
    assert_eq!(processes, simulated);
    assert_eq!(processes.validity, Validity::Valid);
    assert_eq!(
        processes.faults.len(),
        4 * 5,
        "planned, applied, confirmed, healed, seen gone"
    );
}
