//! No process outlives its run, however the run ends.

use std::process::Child;
use std::time::Instant;

use rustix::process::{Pid, Signal, kill_process};
use viewstorm_checker::Validity;

use crate::support::{Ended, Home, PATIENCE, history, results};

const LONG: &str = "name = \"long\"\n[run]\nduration = \"600s\"\n[workload]\nrate = 50\n";

/// A run that goes on until somebody ends it: three replicas are up and operations end.
fn running(home: &Home) -> Child {
    let plan = home.plan(LONG);
    let child = home.start(&["run", plan.to_str().unwrap(), "--seed", "1"]);
    let end = Instant::now() + PATIENCE;
    let is_under_way = || {
        home.run_folder_if_there().is_some_and(|folder| {
            let history = std::fs::read_to_string(folder.join("history.jsonl"));
            history.is_ok_and(|text| text.contains("\"type\":\"ok\""))
        })
    };
    while !is_under_way() {
        assert!(Instant::now() < end, "no operation ended");
        std::thread::yield_now();
    }
    assert_eq!(home.processes().len(), 4, "the run and its three replicas");
    child
}

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_child(child);
    kill_process(id, signal).unwrap();
}

#[test]
fn an_interrupted_run_ends_in_order_with_a_complete_history_and_says_so() {
    let home = Home::new();
    let child = running(&home);
    signal(&child, Signal::INT);
    let ended = Ended::of(&child.wait_with_output().unwrap()).expect(2);
    assert!(ended.stdout.contains("SIGINT"), "{}", ended.stdout);
    home.wait_until_no_process_is_left();
    let history = history(&home.run_folder());
    let reason = history.end.as_ref().and_then(|end| end.interrupted.clone());
    assert_eq!(reason.as_deref(), Some("interrupted (SIGINT)"));
    assert_eq!(
        results(&home.run_folder()).outcome.validity,
        Validity::Unknown
    );
}

#[test]
fn replicas_die_with_a_harness_that_is_killed() {
    let home = Home::new();
    let mut child = running(&home);
    signal(&child, Signal::KILL);
    child.wait().unwrap();
    home.wait_until_no_process_is_left();
    // What was recorded until then can be judged, and does not look complete.
    let folder = home.run_folder();
    assert!(!history(&folder).is_complete());
    let ended = home
        .viewstorm(&["check", folder.to_str().unwrap()])
        .expect(2);
    assert!(ended.stdout.contains("breaks off"), "{}", ended.stdout);
}

#[test]
fn a_second_signal_ends_the_run_at_once() {
    let home = Home::new();
    let child = running(&home);
    // The first one waits for an orderly end, which a paused replica holds up.
    let mut replicas = home.processes();
    replicas.retain(|id| *id != child.id());
    for id in replicas {
        let id = Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        kill_process(id, Signal::STOP).unwrap();
    }
    signal(&child, Signal::TERM);
    signal(&child, Signal::INT);
    let ended = Ended::of(&child.wait_with_output().unwrap());
    assert!(matches!(ended.code, Some(4 | 2)), "{ended:?}");
    home.wait_until_no_process_is_left();
}
