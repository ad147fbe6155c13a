//! What goes wrong gets one clear error that names the thing, the right exit code, and leaves nothing behind.

use std::net::UdpSocket;

use crate::support::{Ended, Home};

const SHORT: &str = "name = \"short\"\n[run]\nduration = \"1s\"\n[workload]\nrate = 50\n";

#[test]
fn a_wrong_plan_is_shown_with_its_place() {
    let home = Home::new();
    let plan = home.plan("name = \"x\"\n[cluster]\nreplica = 3\n");
    let ended = home.viewstorm(&["run", plan.to_str().unwrap()]).expect(3);
    for part in ["plan.toml:3:1", "`replica`", "`replicas`"] {
        assert!(ended.stderr.contains(part), "{part}: {}", ended.stderr);
    }
    assert!(!home.path().join("runs").exists());
}

#[test]
fn a_missing_plan_and_a_wrong_flag_are_usage_errors() {
    let home = Home::new();
    let ended = home.viewstorm(&["run", "no-such.toml"]).expect(3);
    assert!(ended.stderr.contains("no-such.toml"), "{}", ended.stderr);
    home.viewstorm(&["run", "plan.toml", "--sed", "1"])
        .expect(3);
    home.viewstorm(&["run", "plan.toml", "--seeds", "9..1"])
        .expect(3);
    home.viewstorm(&["--help"]).expect(0);
}

#[test]
fn a_port_in_use_is_named() {
    let home = Home::new();
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    // The second replica's port is the one that is taken.
    let set = format!("cluster.base-port={}", port - 1);
    let plan = home.plan(SHORT);
    let ended = home
        .viewstorm(&["run", plan.to_str().unwrap(), "--set", &set])
        .expect(4);
    assert!(
        ended.stderr.contains(&format!("127.0.0.1:{port}")),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("r1"), "{}", ended.stderr);
    home.wait_until_no_process_is_left();
    assert!(!home.run_folder().join("results.json").exists());
}

#[test]
fn an_existing_run_is_an_error_and_is_left_alone() {
    let home = Home::new();
    let plan = home.plan(SHORT);
    let arguments = ["run", plan.to_str().unwrap(), "--seed", "1"];
    home.viewstorm(&arguments).expect(0);
    let before = std::fs::read(home.run_folder().join("results.json")).unwrap();
    let ended = home.viewstorm(&arguments).expect(4);
    assert!(ended.stderr.contains("--replace"), "{}", ended.stderr);
    assert_eq!(
        std::fs::read(home.run_folder().join("results.json")).unwrap(),
        before
    );
    home.viewstorm(&[&arguments[..], &["--replace"]].concat())
        .expect(0);
}

#[test]
fn a_folder_that_cannot_be_made_is_named() {
    let home = Home::new();
    let plan = home.plan(SHORT);
    std::fs::write(home.path().join("file"), "").unwrap();
    let ended = home
        .viewstorm(&["run", plan.to_str().unwrap(), "--out", "file/runs"])
        .expect(4);
    assert!(ended.stderr.contains("file/runs"), "{}", ended.stderr);
}

#[test]
fn a_replica_without_a_configuration_says_which() {
    let home = Home::new();
    let ended = home
        .viewstorm(&["replica", "--config", "nowhere.toml"])
        .expect(3);
    assert!(ended.stderr.contains("nowhere.toml"), "{}", ended.stderr);
}

#[test]
fn what_is_no_run_cannot_be_reported_replayed_or_checked() {
    let home = Home::new();
    for verb in ["report", "replay", "check"] {
        let ended = home.viewstorm(&[verb, "nowhere"]).expect(3);
        assert!(ended.stderr.contains("nowhere"), "{verb}: {}", ended.stderr);
        let ended = home.viewstorm(&[verb, "."]).expect(3);
        assert!(!ended.stderr.is_empty(), "{verb}");
    }
}

#[test]
fn a_full_disk_is_named_and_leaves_nothing_that_looks_complete() {
    let home = Home::new();
    let plan =
        home.plan("name = \"full\"\n[run]\nduration = \"20s\"\n[workload]\npayload = 8000\n");
    let disk = home.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    // A small disk of its own, which is gone with the process.
    let script = format!(
        "mount -t tmpfs -o size=14m none {disk} && {viewstorm} run {plan} --out {disk}; \
         code=$?; find {disk} -name results.json; exit $code",
        disk = disk.display(),
        plan = plan.display(),
        viewstorm = env!("CARGO_BIN_EXE_viewstorm"),
    );
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]);
    let ended = Ended::of(&command.output().unwrap()).expect(4);
    assert!(
        ended.stderr.contains("No space left on device"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains(disk.to_str().unwrap()),
        "{}",
        ended.stderr
    );
    assert_eq!(ended.stdout, "", "no results.json");
    home.wait_until_no_process_is_left();
}
