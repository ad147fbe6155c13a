//! Faults of machines, which only the simulator can do: power, disks, clocks, and ends between two effects.

use std::io::BufRead;
use std::path::Path;

use viewstorm_checker::Validity;
use viewstorm_history::Timestamp;
use viewstorm_protocol::{NodeId, TraceEvent, TraceRecord};
use viewstorm_report::{FaultRecord, Results};

use crate::support::{Home, results};

const HEAD: &str = r#"
name = "machines"
[world]
kind = "simulated"
[workload]
clients = 8
endpoints = 2
rate = 200
"#;

/// Every fault of a machine, each alone or on top of another.
const MACHINES: &str = r#"
[run]
duration = "19s"
[[nemesis]]
fault = "power-loss"
target = "all"
at = "500ms"
for = "500ms"
[[nemesis]]
fault = "power-loss"
target = "majority"
at = "2s"
for = "500ms"
[[nemesis]]
fault = "crash"
target = "primary"
effect = 5
at = "4s"
for = "500ms"
[[nemesis]]
fault = "crash"
target = "backups"
effect = 17
power = true
at = "6s"
for = "500ms"
[[nemesis]]
fault = "slow-sync"
target = "all"
delay = "30ms"
at = "8s"
for = "1500ms"
[[nemesis]]
fault = "power-loss"
target = "all"
at = "8500ms"
for = "400ms"
[[nemesis]]
fault = "failing-sync"
target = "primary"
at = "11s"
for = "500ms"
[[nemesis]]
fault = "clock"
target = "primary"
jump = "2s"
at = "12500ms"
for = "500ms"
[[nemesis]]
fault = "clock"
target = "one"
jump = "-800ms"
at = "13s"
for = "500ms"
[[nemesis]]
fault = "clock"
target = "minority"
drift = -200000
at = "14s"
for = "1s"
[[nemesis]]
fault = "clock"
target = "primary"
freeze = true
at = "14500ms"
for = "1s"
[[nemesis]]
fault = "bit-flip"
target = "r2"
place = "middle"
at = "16500ms"
[[nemesis]]
fault = "kill"
target = "r2"
at = "17s"
for = "500ms"
"#;

/// Runs it with the seed, and reads what came of it.
fn run(faults: &str, seed: &str) -> (Home, Results) {
    let home = Home::new();
    let plan = home.plan(&format!("{HEAD}{faults}"));
    home.viewstorm(&["run", plan.to_str().unwrap(), "--seed", seed])
        .expect(0);
    let results = results(&home.run_folder());
    assert_eq!(
        results.outcome.validity,
        Validity::Valid,
        "{:?}",
        results.reservations
    );
    (home, results)
}

fn evidence(fault: &FaultRecord) -> &str {
    fault.evidence.as_deref().unwrap_or_default()
}

#[test]
fn every_seed_stands_all_that_machines_do() {
    let home = Home::new();
    let plan = home.plan(&format!("{HEAD}{MACHINES}"));
    let arguments = [
        "simulate",
        plan.to_str().unwrap(),
        "--seeds",
        "1..10",
        "--twice",
        "--quiet",
    ];
    let ended = home.viewstorm(&arguments).expect(0);
    assert!(
        ended.stdout.contains("10 ran, 10 as expected, 0 not"),
        "{}",
        ended.stdout
    );
}

#[test]
fn every_fault_is_shown_by_the_machine_itself() {
    let (_home, results) = run(MACHINES, "3");
    let totals = results.fault_totals;
    assert_eq!(
        (totals.planned, totals.confirmed, totals.healed),
        (13, 13, 13)
    );
    for (fault, sign) in results.faults.iter().zip([
        "unsynced records lost",
        "unsynced records lost",
        "signal 9 (SIGKILL) before its effect 5",
        "power loss before its effect 17",
        "a sync took 3",
        "unsynced records lost",
        "sync failed (EIO), the sync that it began at",
        "gained 2.0s in 0.0ns",
        "gained -20.0ms in 20.0ms",
        "gained -200000.0 parts per million",
        "gained -1000000.0 parts per million",
        "the checksum does not match: r2, log record",
        "r2 stays down, its storage is damaged: exit code 1: log record",
    ]) {
        assert!(
            evidence(fault).contains(sign),
            "{}: {}",
            fault.name,
            evidence(fault)
        );
    }
}

#[test]
fn power_that_goes_takes_what_a_quorum_has_not_synced() {
    let slow = "[run]\nduration = \"6s\"\n[[nemesis]]\nfault = \"slow-sync\"\ntarget = \"all\"\n\
                delay = \"40ms\"\nat = \"0s\"\n";
    for target in ["all", "majority"] {
        let dark = format!(
            "{slow}[[nemesis]]\nfault = \"power-loss\"\ntarget = \"{target}\"\nevery = \"1500ms\"\n\
             until = \"5s\"\nfor = \"400ms\"\n"
        );
        let (_home, results) = run(&dark, "7");
        let losses: Vec<_> = results
            .faults
            .iter()
            .filter(|it| it.name == "power-loss")
            .collect();
        assert_eq!(losses.len(), 3);
        // At least once a quorum of the replicas loses records that others may have heard of.
        let losers = |fault: &&&FaultRecord| {
            let parts = evidence(fault).split("power loss, ").skip(1);
            parts.filter(|part| !part.starts_with("0 of")).count() >= 2
        };
        assert!(losses.iter().any(|fault| losers(&fault)), "{losses:#?}");
    }
}

#[test]
fn a_wiped_majority_is_outside_the_model_and_found_out() {
    let home = Home::new();
    let wipe = "[run]\nduration = \"4s\"\n[[nemesis]]\nfault = \"wipe\"\ntarget = \"majority\"\n\
                budget = \"unrestricted\"\nat = \"2s\"\nfor = \"300ms\"\n";
    let model = "[model]\nnodes = \"byzantine\"\n[expect]\nverdict = \"invalid\"\n";
    let plan = home.plan(&format!("{HEAD}{wipe}{model}"));
    home.viewstorm(&["run", plan.to_str().unwrap(), "--seed", "3"])
        .expect(0);
    let results = results(&home.run_folder());
    assert_eq!(
        evidence(&results.faults[0])
            .matches("its disk is empty")
            .count(),
        2
    );
}

#[test]
fn messages_that_are_held_reach_the_next_incarnation() {
    let held = "[run]\nduration = \"5s\"\n[[nemesis]]\nfault = \"messages\"\nact = \"hold\"\n\
                target = \"r1\"\ndirection = \"receive\"\nkinds = [\"Prepare\"]\nat = \"1s\"\n\
                for = \"2s\"\n[[nemesis]]\nfault = \"kill\"\ntarget = \"r1\"\nat = \"1500ms\"\n\
                for = \"500ms\"\n";
    let (home, results) = run(held, "5");
    let [hold, kill] = results.faults.as_slice() else {
        panic!("{:?}", results.faults)
    };
    let time = |at: Option<Timestamp>| at.unwrap().as_nanos();
    let (from, release) = (time(hold.injected_at_ns), time(hold.healed_at_ns));
    let kill = time(kill.injected_at_ns);
    let folder = home.run_folder();
    let sent: Vec<u64> = trace(&folder, 0, |record| match record.event {
        TraceEvent::Sent {
            ref to,
            ref message,
        } if to.node() == NodeId::replica(1) && message.kind == "Prepare" => (from..kill)
            .contains(&record.time)
            .then_some(message.number?),
        _ => None,
    });
    assert!(sent.len() > 20, "{} were sent to be held", sent.len());
    let received: Vec<(u64, u64, u64)> = trace(&folder, 1, |record| match record.event {
        TraceEvent::Received { ref message, .. } if message.kind == "Prepare" => {
            Some((record.time, record.incarnation.0, message.number?))
        }
        _ => None,
    });
    let is_held = |time: u64| (from + 1_000_000..release).contains(&time);
    assert!(
        !received.iter().any(|(time, ..)| is_held(*time)),
        "none passes while they are held"
    );
    let late = |number: &u64| {
        received.iter().any(|(time, incarnation, received)| {
            *time >= release && *incarnation == 2 && received == number
        })
    };
    assert!(
        sent.iter().all(late),
        "all of them reach the second incarnation"
    );
}

/// What `of` makes of a replica's trace.
fn trace<T>(folder: &Path, replica: u16, of: impl Fn(&TraceRecord) -> Option<T>) -> Vec<T> {
    let file = std::fs::File::open(folder.join(format!("trace/r{replica}.jsonl"))).unwrap();
    let lines = std::io::BufReader::new(file).lines().map(Result::unwrap);
    let records = lines.map(|line| serde_json::from_str(&line).unwrap());
    records
        .filter_map(|record: TraceRecord| of(&record))
        .collect()
}
