//! A night: what it finds is filed once, a canary that passes fails it, and one that was cut off goes on.

use std::path::PathBuf;

use viewstorm_checker::Validity;
use viewstorm_report::{CorpusOutcome, Night};

use crate::support::{Ended, Home, storm};

/// A night over `plan.toml`, and what else the test adds.
fn night(home: &Home, more: &str) -> PathBuf {
    home.plan(&storm("simulated"));
    let path = home.path().join("night.toml");
    let text = format!(
        "name = \"short\"\nbudget = \"10m\"\n\
         [[experiment]]\nname = \"storm\"\nplan = \"plan.toml\"\nworld = \"simulated\"\nseeds = 5\n{more}"
    );
    std::fs::write(&path, text).unwrap();
    path
}

fn nightly(home: &Home, plan: &std::path::Path, more: &[&str]) -> Ended {
    let mut arguments = vec!["nightly", plan.to_str().unwrap(), "--json"];
    arguments.extend(more);
    home.viewstorm(&arguments)
}

fn read(ended: &Ended) -> Night {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}\n{ended:?}"))
}

#[test]
fn a_night_runs_every_seed_and_writes_all_its_files() {
    let home = Home::new();
    let plan = night(&home, "");
    let ended = nightly(&home, &plan, &["--id", "n1"]).expect(0);
    let night = read(&ended);
    assert_eq!(night.validity(), Validity::Valid);
    assert_eq!(
        (night.experiments[0].seeds, night.experiments[0].as_expected),
        (5, 5)
    );
    let folder = home.path().join("nights/short/n1");
    for file in [
        "results.json",
        "summary.md",
        "junit.xml",
        "metrics.prom",
        "night.html",
    ] {
        assert!(folder.join(file).is_file(), "{file}");
    }
    let metrics = std::fs::read_to_string(folder.join("metrics.prom")).unwrap();
    assert!(
        metrics
            .contains("viewstorm_seeds{night=\"n1\",experiment=\"storm\",world=\"simulated\"} 5")
    );
    assert!(metrics.ends_with("# EOF\n"));
    // The same id has nothing left to do, and loses nothing.
    let again = nightly(&home, &plan, &["--id", "n1"]).expect(0);
    assert_eq!(read(&again).experiments, night.experiments);
    let trend = std::fs::read_to_string(home.path().join("nights/short/trend.jsonl")).unwrap();
    assert_eq!(trend.lines().count(), 1);
}

#[test]
fn a_night_that_was_cut_off_is_unknown_and_goes_on() {
    let home = Home::new();
    let plan = night(&home, "");
    let cut = nightly(&home, &plan, &["--id", "n1", "--minutes", "0.000000001"]).expect(2);
    assert_eq!(read(&cut).experiments[0].seeds, 0);
    let on = nightly(&home, &plan, &["--id", "n1"]).expect(0);
    assert_eq!(read(&on).experiments[0].seeds, 5);
    let whole = nightly(&home, &plan, &["--id", "n1", "--out", "other"]).expect(0);
    assert_eq!(
        read(&on).experiments[0].first_seed,
        read(&whole).experiments[0].first_seed
    );
}

#[test]
fn a_canary_that_passes_fails_the_night() {
    let home = Home::new();
    let canary = storm("simulated") + "\n[expect]\nverdict = \"invalid\"\n";
    std::fs::write(home.path().join("canary.toml"), canary).unwrap();
    let plan = night(&home, "[[canary]]\nplan = \"canary.toml\"\nseeds = 3\n");
    let night = read(&nightly(&home, &plan, &["--id", "n1"]).expect(1));
    assert_eq!(night.validity(), Validity::Invalid);
    assert_eq!(
        (night.canaries[0].caught, night.canaries[0].seeds),
        (false, Some(3))
    );
    assert_eq!(night.experiments[0].as_expected, 5);
}

#[test]
fn a_canary_that_must_not_fail_is_a_bad_plan() {
    let home = Home::new();
    let plan = night(&home, "[[canary]]\nplan = \"plan.toml\"\n");
    let ended = nightly(&home, &plan, &["--id", "n1"]).expect(3);
    assert!(
        ended.stderr.contains("expects no violation"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_failure_is_filed_once_bundled_and_tried_first_the_next_night() {
    let home = Home::new();
    let set = "set = [\"check.bounds.latency-p99=\\\"1us\\\"\"]\n";
    let plan = night(&home, set);
    let night = read(&nightly(&home, &plan, &["--id", "n1"]).expect(1));
    let [finding] = night.findings.as_slice() else {
        panic!("{:?}", night.findings);
    };
    assert_eq!(
        (finding.count, finding.known, finding.replayed),
        (5, false, Some(true))
    );
    assert!(finding.replay.contains("--seed"), "{}", finding.replay);
    let bundle = finding.bundle.as_ref().expect("a bundle");
    let bundle = home.path().join("nights/short/n1").join(bundle);
    let opened = home
        .viewstorm(&["open", bundle.to_str().unwrap(), "--into", "opened"])
        .expect(0);
    assert!(opened.stdout.contains("INVALID"), "{}", opened.stdout);
    assert_eq!(
        std::fs::read_dir(home.path().join("opened"))
            .unwrap()
            .count(),
        1
    );
    let next = read(&nightly(&home, &plan, &["--id", "n2"]).expect(1));
    assert_eq!(next.corpus[0].outcome, CorpusOutcome::Fails);
    assert!(next.findings[0].known);
    assert_eq!(next.new_findings().count(), 0);
}
