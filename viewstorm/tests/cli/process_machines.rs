//! Faults of machines on real processes: clocks, ends between two effects, triggers at message taps.

use viewstorm_checker::Validity;
use viewstorm_report::FaultRecord;

use crate::support::{Home, results};

const HEAD: &str = r#"
name = "process-machines"
[world]
kind = "processes"
[workload]
clients = 8
endpoints = 2
rate = 200
"#;

fn evidence(fault: &FaultRecord) -> &str {
    fault.evidence.as_deref().unwrap_or_default()
}

/// Runs it and holds the evidence of each fault against a sign of it.
fn run_and_see(faults: &str, signs: &[&str]) {
    let home = Home::new();
    let plan = home.plan(&format!("{HEAD}{faults}"));
    home.viewstorm(&["run", plan.to_str().unwrap(), "--seed", "3"])
        .expect(0);
    let results = results(&home.run_folder());
    assert_eq!(
        results.outcome.validity,
        Validity::Valid,
        "{:?}",
        results.reservations
    );
    assert_eq!(results.faults.len(), signs.len());
    for (fault, sign) in results.faults.iter().zip(signs) {
        let (name, evidence) = (&fault.name, evidence(fault));
        assert!(evidence.contains(sign), "{name}: {evidence}");
    }
    let totals = results.fault_totals;
    assert_eq!(totals.healed, signs.len() as u64, "{:?}", results.faults);
    home.wait_until_no_process_is_left();
}

#[test]
fn clocks_of_processes_leap_drift_and_stand() {
    run_and_see(
        r#"
[run]
duration = "6s"
[[nemesis]]
fault = "clock"
target = "primary"
jump = "2s"
at = "500ms"
for = "500ms"
[[nemesis]]
fault = "clock"
target = "one"
jump = "-400ms"
at = "1500ms"
for = "500ms"
[[nemesis]]
fault = "clock"
target = "minority"
drift = -200000
at = "3s"
for = "700ms"
[[nemesis]]
fault = "clock"
target = "primary"
freeze = true
at = "4500ms"
for = "700ms"
"#,
        &[
            "gained 2.0s in",
            "gained -",
            "gained -200000.0 parts per million",
            "gained -1000000.0 parts per million",
        ],
    );
}

#[test]
fn processes_end_between_two_effects_and_at_named_steps() {
    run_and_see(
        r#"
[run]
duration = "8s"
[[nemesis]]
fault = "crash"
target = "primary"
effect = 5
at = "500ms"
for = "500ms"
[[nemesis]]
fault = "crash"
target = "primary"
effect = 2
step = "Prepare"
at = "3s"
for = "500ms"
[[nemesis]]
fault = "crash"
target = "one"
effect = 3
step = "persist-log"
on = "message"
kind = "PrepareOk"
count = 20
at = "5500ms"
for = "500ms"
"#,
        &[
            "signal 9 (SIGKILL) before its effect 5",
            "signal 9 (SIGKILL) before its Prepare number 2",
            "signal 9 (SIGKILL) before its write 3 of the log",
        ],
    );
}

#[test]
fn disks_of_processes_are_slow_refuse_and_lose_what_was_not_synced() {
    run_and_see(
        r#"
[run]
duration = "14s"
[[nemesis]]
fault = "slow-sync"
target = "all"
delay = "30ms"
at = "500ms"
for = "1500ms"
[[nemesis]]
fault = "power-loss"
target = "all"
at = "2500ms"
for = "500ms"
[[nemesis]]
fault = "failing-sync"
target = "primary"
at = "5s"
for = "500ms"
[[nemesis]]
fault = "failing-write"
error = "enospc"
target = "primary"
at = "8s"
for = "500ms"
[[nemesis]]
fault = "crash"
target = "one"
effect = 3
step = "persist"
power = true
at = "11s"
for = "500ms"
"#,
        &[
            "a sync took 3",
            "unsynced records lost",
            "sync that it began at",
            "a write of it failed with ENOSPC",
            "before its write 3, ",
        ],
    );
}
