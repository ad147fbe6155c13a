//! Faults of links, messages and processes in both worlds: the same plan, the same kind of evidence.

use viewstorm_checker::Validity;
use viewstorm_report::FaultRecord;

use crate::support::{Home, results};

/// Each fault alone, one after the other.
const LINKS: &str = r#"
name = "links"
[workload]
clients = 8
endpoints = 2
rate = 150
[run]
duration = "26s"
[[nemesis]]
fault = "delay"
distribution = "normal"
delay = "20ms"
delay-jitter = "3ms"
correlation = 0.3
at = "500ms"
for = "1500ms"
[[nemesis]]
fault = "delay"
distribution = "pareto"
delay = "10ms"
delay-jitter = "2ms"
alpha = 2
target = "one"
at = "3s"
for = "1500ms"
[[nemesis]]
fault = "delay"
distribution = "trace"
trace = ["9ms", "10ms", "30ms"]
target = "backups"
direction = "in"
at = "6s"
for = "1500ms"
[[nemesis]]
fault = "burst-loss"
p = 0.1
r = 0.4
at = "9s"
for = "2s"
[[nemesis]]
fault = "rate"
kilobits = 2000
at = "12s"
for = "1500ms"
[[nemesis]]
name = "held"
fault = "hold"
target = "one"
direction = "in"
at = "15s"
for = "1s"
[[nemesis]]
fault = "wan"
regions = ["london", "frankfurt", "madrid"]
follows = "held"
at = "2s"
for = "1500ms"
[[nemesis]]
fault = "slow"
target = "primary"
share = 0.3
at = "21s"
for = "1500ms"
[[nemesis]]
fault = "messages"
act = "replay"
target = "all"
direction = "send"
kinds = ["Prepare", "Commit"]
at = "23500ms"
for = "1s"
[[nemesis]]
fault = "messages"
act = "reorder"
delay = "10ms"
share = 0.3
target = "all"
at = "25s"
for = "500ms"
"#;

fn evidence(fault: &FaultRecord) -> &str {
    fault.evidence.as_deref().unwrap_or_default()
}

fn every_fault_shows(world: &str) {
    let home = Home::new();
    let plan = home.plan(LINKS);
    let arguments = [
        "run",
        plan.to_str().unwrap(),
        "--seed",
        "5",
        "--world",
        world,
    ];
    home.viewstorm(&arguments).expect(0);
    let results = results(&home.run_folder());
    assert_eq!(
        results.outcome.validity,
        Validity::Valid,
        "{:?}",
        results.reservations
    );
    let signs = [
        "measured 1",
        "measured 1",
        "measured ",
        "probes on",
        "datagrams on",
        "cut links arrived",
        "measured ",
        "the system says stopped",
        "acknowledged at the tap",
        "acknowledged at the tap",
    ];
    assert_eq!(results.faults.len(), signs.len());
    for (fault, sign) in results.faults.iter().zip(signs) {
        let (name, evidence) = (&fault.name, evidence(fault));
        assert!(evidence.contains(sign), "{name}: {evidence}");
    }
    let totals = results.fault_totals;
    assert_eq!(totals.healed, signs.len() as u64, "{:?}", results.faults);
    // It follows the hold, which ends at 16 s.
    let wan = results.faults.iter().find(|fault| fault.name == "wan");
    let (hold, wan) = (&results.faults[5], wan.unwrap());
    let begins = |fault: &FaultRecord| fault.planned_at_ns.unwrap().as_nanos();
    assert_eq!(begins(wan) - begins(hold), 3_000_000_000);
}

#[test]
fn every_fault_of_links_and_messages_shows_in_the_simulator() {
    every_fault_shows("simulated");
}

#[test]
fn every_fault_of_links_and_messages_shows_on_processes() {
    every_fault_shows("processes");
}
