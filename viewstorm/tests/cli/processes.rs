//! Whole experiments on real processes: few and honest. A seed narrows such a run and does not replay it.

use viewstorm_checker::Validity;

use crate::support::{Home, history, results, storm};

#[test]
fn an_experiment_goes_from_its_plan_to_a_verdict_and_a_report() {
    let home = Home::new();
    let plan = home.plan(&storm("processes"));
    let ended = home.viewstorm(&["run", plan.to_str().unwrap(), "--seed", "1"]);
    let ended = ended.expect(0);
    let folder = home.run_folder();
    for file in [
        "plan.toml",
        "run.json",
        "history.jsonl",
        "results.json",
        "latency.hlog",
        "report.html",
        "summary.md",
        "junit.xml",
        "trace/r0.jsonl",
        "replicas/r2.log",
    ] {
        assert!(folder.join(file).exists(), "{file}");
    }
    let results = results(&folder);
    assert_eq!(
        results.outcome.validity,
        Validity::Valid,
        "{:?}",
        results.reservations
    );
    let totals = results.fault_totals;
    assert_eq!(
        (
            totals.planned,
            totals.applied,
            totals.confirmed,
            totals.healed
        ),
        (2, 2, 2, 2)
    );
    assert!(
        results.views.len() >= 3,
        "two primaries were taken away: {:?}",
        results.views
    );
    assert!(results.counts.ok > 300, "{:?}", results.counts);
    assert!(history(&folder).is_complete());
    assert!(ended.stdout.contains("report.html"), "{}", ended.stdout);
    home.wait_until_no_process_is_left();
}

#[test]
fn a_past_run_is_judged_and_reported_again_from_its_folder_alone() {
    let home = Home::new();
    let plan = home.plan("name = \"short\"\n[run]\nduration = \"1s\"\n[workload]\nrate = 100\n");
    home.viewstorm(&["run", plan.to_str().unwrap(), "--seed", "4"])
        .expect(0);
    let folder = home.run_folder();
    let folder_name = folder.to_str().unwrap();
    let page = std::fs::read(folder.join("report.html")).unwrap();
    std::fs::remove_file(folder.join("report.html")).unwrap();
    home.viewstorm(&["report", folder_name]).expect(0);
    assert!(
        page == std::fs::read(folder.join("report.html")).unwrap(),
        "the same page"
    );
    let before = results(&folder);
    std::fs::remove_file(folder.join("results.json")).unwrap();
    home.viewstorm(&["check", folder_name]).expect(0);
    assert_eq!(results(&folder).verdict, before.verdict);
    assert_eq!(results(&folder).counts, before.counts);
}
