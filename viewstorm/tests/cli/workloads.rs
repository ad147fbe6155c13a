//! Every workload in both worlds: the service answers, the history has the model's operations, and the checker
//! knows the model.

use viewstorm_checker::Validity;
use viewstorm_history::Kind;

use crate::support::{Home, history, results};

fn runs(kind: &str, functions: &[&str]) {
    for world in ["simulated", "processes"] {
        let home = Home::new();
        let plan = home.plan(&format!(
            "name = \"objects\"\n[workload]\nkind = \"{kind}\"\nclients = 4\nendpoints = 2\nrate = 150\n\
             [run]\nduration = \"1s\"\n\
             [[nemesis]]\nfault = \"pause\"\ntarget = \"primary\"\nat = \"300ms\"\nfor = \"300ms\"\n",
        ));
        home.viewstorm(&[
            "run",
            plan.to_str().unwrap(),
            "--seed",
            "4",
            "--world",
            world,
        ])
        .expect(0);
        let folder = home.run_folder();
        let results = results(&folder);
        assert_eq!(
            results.outcome.validity,
            Validity::Valid,
            "{kind} in {world}"
        );
        let history = history(&folder);
        assert_eq!(
            history.header.as_ref().map(|header| header.model.as_str()),
            Some(kind)
        );
        for f in functions {
            let is_it = |kind: Kind| {
                history
                    .operations
                    .iter()
                    .any(|it| it.f == *f && it.kind == kind)
            };
            assert!(is_it(Kind::Ok), "{kind} in {world}: no {f} ended ok");
        }
        // The history alone says the same.
        let file = folder.join("history.jsonl");
        home.viewstorm(&["check", file.to_str().unwrap(), "--cross-check"])
            .expect(0);
    }
}

#[test]
fn sets() {
    runs("set", &["add", "read"]);
}

#[test]
fn counters() {
    runs("counter", &["add", "read"]);
}

#[test]
fn queues() {
    runs("queue", &["enqueue", "dequeue"]);
}

#[test]
fn lists() {
    runs("list", &["append", "read"]);
}

#[test]
fn mutexes() {
    runs("mutex", &["acquire", "release"]);
}

#[test]
fn banks() {
    runs("bank", &["transfer", "read"]);
}

#[test]
fn multi_registers() {
    runs("multi-register", &["txn"]);
}

#[test]
fn lists_in_transactions() {
    runs("list-append", &["txn"]);
}
