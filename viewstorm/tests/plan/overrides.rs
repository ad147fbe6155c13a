//! What the command line changes is read, checked and placed like the file.

use viewstorm::plan::{Override, Plan, PlanErrors, Protocol, WorldKind};
use viewstorm_history::Seed;

fn with(assignments: &[&str]) -> Result<Plan, PlanErrors> {
    let overrides: Vec<Override> = assignments
        .iter()
        .map(|assignment| Override::set(assignment))
        .collect::<Result<_, _>>()?;
    let text = "name = \"x\"\n[workload]\nrate = 100\n[[nemesis]]\nfault = \"kill\"\ntarget = \"primary\"\nat = \"1s\"\nfor = \"1s\"\n";
    Plan::parse("x.toml", text, &overrides)
}

#[test]
fn an_override_replaces_adds_or_takes_out_a_value() {
    let plan = with(&[
        "cluster.replicas=5",
        "world.kind=simulated",
        "run.duration = 10s",
        "cluster.protocol=\"vr\"",
        "workload.rate=",
        "workload.closed-loop=true",
        "workload.mix={ read = 1 }",
        "check.checks=[\"durability\"]",
    ])
    .unwrap();
    assert_eq!(plan.cluster.replicas, 5);
    assert_eq!(plan.world.kind, WorldKind::Simulated);
    assert_eq!(plan.run.duration.as_secs(), 10);
    assert_eq!(plan.cluster.protocol, Protocol::Vr);
    assert_eq!(plan.workload.arrival, viewstorm::plan::Arrival::Closed);
    assert_eq!((plan.workload.mix.read, plan.workload.mix.write), (1, 0));
    assert_eq!(plan.check.checks, ["durability"]);
}

#[test]
fn a_flag_of_its_own_is_an_override_too() {
    let flag = Override::flag("--seed", "run.seed", "7");
    let plan = Plan::parse("x.toml", "name = \"x\"", &[flag]).unwrap();
    assert_eq!(plan.run.seed, Some(Seed(7)));
    let flag = Override::flag("--seed", "run.seed", "seven");
    let errors = Plan::parse("x.toml", "name = \"x\"", &[flag]).unwrap_err();
    insta::assert_snapshot!("flag", errors);
}

#[test]
fn a_wrong_override_is_shown_as_it_was_typed() {
    let errors = with(&[
        "cluster.replicas=five",
        "cluster.replcas=5",
        "run.duration=10",
        "world.kind=simulatd",
        "name.x=1",
        "nemesis.7.at=1s",
        "nemesis.at=1s",
    ])
    .unwrap_err();
    insta::assert_snapshot!("overrides", errors);
}

#[test]
fn what_is_no_assignment_is_refused_before_any_plan_is_read() {
    insta::assert_snapshot!("no-value", Override::set("cluster.replicas").unwrap_err());
    insta::assert_snapshot!("no-key", Override::set("cluster..x=3").unwrap_err());
}
