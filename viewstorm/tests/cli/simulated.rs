//! The simulated world behind the same command line: a seed is the whole run.

use viewstorm_checker::Validity;

use crate::support::{Home, results, storm};

#[test]
fn a_simulated_run_leaves_the_same_folder_and_replays() {
    let home = Home::new();
    let plan = home.plan(&storm("simulated"));
    home.viewstorm(&["run", plan.to_str().unwrap(), "--seed", "3"])
        .expect(0);
    let folder = home.run_folder();
    let results = results(&folder);
    assert_eq!(
        results.outcome.validity,
        Validity::Valid,
        "{:?}",
        results.reservations
    );
    let totals = results.fault_totals;
    assert_eq!((totals.planned, totals.confirmed, totals.healed), (2, 2, 2));
    assert!(
        results
            .verdict
            .checks
            .iter()
            .any(|check| check.check == "invariants")
    );
    assert!(
        std::fs::metadata(folder.join("trace/r1.jsonl"))
            .unwrap()
            .len()
            > 0
    );
    let ended = home
        .viewstorm(&["replay", folder.to_str().unwrap()])
        .expect(0);
    assert!(ended.stdout.contains("the same run"), "{}", ended.stdout);
}

#[test]
fn a_run_that_was_tampered_with_does_not_replay() {
    let home = Home::new();
    let plan = home.plan(&storm("simulated"));
    home.viewstorm(&["run", plan.to_str().unwrap(), "--seed", "3"])
        .expect(0);
    let folder = home.run_folder();
    let path = folder.join("plan.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let other = text.replace("heartbeat = \"20ms\"", "heartbeat = \"21ms\"");
    assert_ne!(text, other);
    std::fs::write(&path, other).unwrap();
    home.viewstorm(&["replay", folder.to_str().unwrap()])
        .expect(4);
}

#[test]
fn a_campaign_runs_every_seed_and_says_how_many() {
    let home = Home::new();
    let plan = home.plan(&storm("simulated"));
    let arguments = [
        "simulate",
        plan.to_str().unwrap(),
        "--seeds",
        "1..6",
        "--twice",
        "--quiet",
    ];
    let ended = home.viewstorm(&arguments).expect(0);
    assert!(
        ended
            .stdout
            .contains("6 ran, 6 as expected, 0 not (0 invalid)"),
        "{}",
        ended.stdout
    );
    assert!(
        !home.path().join("runs").exists(),
        "a campaign writes nothing"
    );
}
