//! A failing schedule is cut down to the faults that matter.

use std::fmt::Write as _;

use viewstorm::plan::Plan;

use crate::support::Home;

/// Two of three replicas lose their disks, which no protocol masks, among thirty faults that VR masks.
fn lost_disks() -> String {
    let mut plan =
        "name = \"lost-disks\"\n[world]\nkind = \"simulated\"\n[model]\nnodes = \"byzantine\"\n\
                    [workload]\nclients = 8\nendpoints = 2\nrate = 100\n[run]\nduration = \"12s\"\n"
            .to_owned();
    let mut fault = |at: u32, text: &str| {
        // Writing to a string does not fail.
        let _ = write!(
            plan,
            "[[nemesis]]\nat = \"{at}ms\"\nfor = \"500ms\"\n{text}\n"
        );
    };
    for number in 0..30 {
        fault(
            300 + 340 * number,
            match number % 3 {
                0 => "fault = \"kill\"\ntarget = \"one\"",
                1 => "fault = \"partition\"\nshape = \"one\"",
                _ => "fault = \"pause\"\ntarget = \"primary\"",
            },
        );
    }
    for (at, replica) in [(6000, "r0"), (6700, "r1")] {
        let text = format!("fault = \"wipe\"\nbudget = \"unrestricted\"\ntarget = \"{replica}\"");
        fault(at, &text);
    }
    plan
}

#[test]
fn of_thirty_two_faults_at_most_six_are_left_and_the_smaller_plan_fails_too() {
    let home = Home::new();
    let plan = home.plan(&lost_disks());
    home.viewstorm(&["run", plan.to_str().unwrap(), "--seed", "1"])
        .expect(1);
    let folder = home.run_folder();
    let ended = home
        .viewstorm(&["shrink", folder.to_str().unwrap()])
        .expect(0);
    let path = folder.join("shrunk.toml");
    let shrunk = Plan::load(&path).unwrap();
    assert!(
        (1..=6).contains(&shrunk.nemesis.settled.len()),
        "{}",
        ended.stdout
    );
    assert!(ended.stdout.contains("wipe"), "{}", ended.stdout);
    home.viewstorm(&["run", path.to_str().unwrap(), "--out", "again"])
        .expect(1);
    let reproduced = home.viewstorm(&["reproduce", folder.to_str().unwrap(), "--seeds", "20"]);
    assert!(reproduced.expect(0).stdout.contains("reproduced"));
}

#[test]
fn a_run_that_does_not_fail_has_nothing_to_shrink_or_reproduce() {
    let home = Home::new();
    let plan =
        home.plan("name = \"calm\"\n[world]\nkind = \"simulated\"\n[run]\nduration = \"1s\"\n");
    home.viewstorm(&["run", plan.to_str().unwrap(), "--seed", "1"])
        .expect(0);
    let folder = home.run_folder();
    let ended = home
        .viewstorm(&["shrink", folder.to_str().unwrap()])
        .expect(2);
    assert!(
        ended.stderr.contains("nothing to shrink"),
        "{}",
        ended.stderr
    );
    let ended = home
        .viewstorm(&["reproduce", folder.to_str().unwrap()])
        .expect(3);
    assert!(
        ended.stderr.contains("nothing to reproduce"),
        "{}",
        ended.stderr
    );
}
