//! Faults that wait for something, in both worlds: each comes after what it waited for, by the replicas' own
//! traces.

use std::path::Path;

use serde_json::Value;
use viewstorm_checker::Validity;

use crate::support::{Home, results};

const CUT: &str = r#"
name = "triggers"
[workload]
clients = 6
endpoints = 2
rate = 150
[run]
duration = "5s"
[[nemesis]]
name = "cut"
fault = "partition"
shape = "isolate-primary"
at = "500ms"
for = "2500ms"
[[nemesis]]
name = "new-primary"
fault = "pause"
target = "primary"
on = "primary"
at = "500ms"
after = "20ms"
for = "700ms"
[[nemesis]]
name = "never"
fault = "kill"
target = "one"
on = "view-change"
count = 1000
for = "1s"
"#;

const VOTE: &str = r#"
[[nemesis]]
name = "vote"
fault = "restart"
target = "r0"
on = "message"
kind = "DoViewChange"
count = 2
"#;

/// The times of the trace records that are such, of all replicas, in order.
fn times(folder: &Path, is: impl Fn(&Value) -> bool) -> Vec<u64> {
    let mut times = Vec::new();
    for replica in 0..3 {
        let path = folder.join(format!("trace/r{replica}.jsonl"));
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            if is(&record) {
                times.push(record["time"].as_u64().unwrap());
            }
        }
    }
    times.sort_unstable();
    times
}

/// Runs the plan; hands out when the named fault came and the folder is looked at by then.
fn run(home: &Home, text: &str, world: &str) -> std::path::PathBuf {
    let plan = home.plan(text);
    let arguments = [
        "run",
        plan.to_str().unwrap(),
        "--world",
        world,
        "--seed",
        "3",
    ];
    home.viewstorm(&arguments).expect(0);
    home.run_folder()
}

fn injected(folder: &Path, name: &str) -> Option<u64> {
    let results = results(folder);
    assert_eq!(
        results.outcome.validity,
        Validity::Valid,
        "{:?}",
        results.reservations
    );
    let fault = results
        .faults
        .iter()
        .find(|fault| fault.description.starts_with(name))
        .unwrap();
    assert_eq!(fault.failure, None);
    assert_eq!(
        fault.planned_at_ns.is_none(),
        name != "cut",
        "a trigger has no time of its own"
    );
    fault.injected_at_ns.map(|time| time.0)
}

fn comes_after_a_new_primary(folder: &Path) {
    let cut = injected(folder, "cut").unwrap();
    let primaries = times(folder, |record| {
        let note = &record["note"];
        note["event"] == "status-changed" && note["status"] == "normal" && note["primary"] == true
    });
    let next = primaries.into_iter().find(|time| *time > cut).unwrap();
    let paused = injected(folder, "new-primary").unwrap();
    assert!(
        paused >= next + 20_000_000,
        "{paused} is not 20 ms after {next}"
    );
    assert_eq!(
        injected(folder, "never"),
        None,
        "not reached, and no reservation"
    );
}

#[test]
fn a_simulated_fault_comes_with_the_message_it_waits_for() {
    let home = Home::new();
    let folder = run(&home, &format!("{CUT}{VOTE}"), "simulated");
    comes_after_a_new_primary(&folder);
    let votes = times(&folder, |record| {
        record["trace"] == "sent" && record["kind"] == "DoViewChange"
    });
    assert_eq!(
        injected(&folder, "vote"),
        votes.get(1).copied(),
        "{votes:?}"
    );
}

#[test]
fn processes_tell_their_roles_to_triggers() {
    let home = Home::new();
    comes_after_a_new_primary(&run(&home, CUT, "processes"));
    home.wait_until_no_process_is_left();
}
