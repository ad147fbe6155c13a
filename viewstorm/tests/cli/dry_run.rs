//! What a plan would do, without doing it.

use crate::support::Home;

const PLAN: &str = r#"
name = "dry"
[run]
duration = "30s"
[[nemesis]]
name = "cut"
fault = "partition"
shape = "halves"
at = "1s"
for = "2s"
[[nemesis]]
fault = "kill"
target = "primary"
follows = "cut"
at = "500ms"
for = "1s"
[[nemesis]]
fault = "rolling-restart"
at = "10s"
gap = "3s"
[[nemesis]]
fault = "crash-loop"
target = ["r1"]
at = "20s"
gap = "500ms"
count = 3
"#;

fn lines(home: &Home, arguments: &[&str]) -> Vec<String> {
    let ended = home.viewstorm(arguments).expect(0);
    ended.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn a_dry_run_prints_the_timeline_and_leaves_nothing() {
    let home = Home::new();
    let plan = home.plan(PLAN);
    let plan = plan.to_str().unwrap();
    let lines = lines(&home, &["dry-run", plan, "--seed", "3"]);
    let times: Vec<&str> = lines[1..]
        .iter()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    let expected = [
        "1.000s", "3.500s", "10.000s", "13.000s", "16.000s", "20.000s", "20.500s", "21.000s",
    ];
    assert_eq!(times, expected, "{lines:#?}");
    assert!(lines[2].contains("kill: the primary"), "{}", lines[2]);
    assert!(lines[4].contains("restart: r1"), "{}", lines[4]);
    assert!(home.run_folder_if_there().is_none());
}

#[test]
fn a_profile_takes_the_place_of_the_plans_faults() {
    let home = Home::new();
    let plan = home.plan(PLAN);
    let plan = plan.to_str().unwrap();
    let kinds = |profile: &str| {
        let all = (1..=20).flat_map(|seed| {
            let seed = seed.to_string();
            let arguments = ["dry-run", plan, "--seed", &seed, "--nemesis", profile];
            lines(&home, &arguments)[1..].to_vec()
        });
        let kinds = ["partition", "kill", "clock", "restart", "messages", "pause"];
        let all: Vec<String> = all.collect();
        let is_there = |kind: &&str| all.iter().any(|line| line.contains(&format!("  {kind}")));
        kinds.into_iter().filter(is_there).collect::<Vec<_>>()
    };
    assert_eq!(kinds("partitions"), ["partition"]);
    assert_eq!(kinds("crashes"), ["kill", "restart", "pause"]);
    assert_eq!(kinds("clocks"), ["clock", "pause"]);
    assert!(kinds("calm").is_empty());
    home.viewstorm(&["dry-run", plan, "--nemesis", "hurricane"])
        .expect(3);
}
