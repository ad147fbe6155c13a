use super::judge;
use crate::testing::{Line, history, honest_run, read, read_partitions, write};
use crate::{CheckResult, Validity};

fn judged(lines: &[Line], name: &str) -> CheckResult {
    let history = history(lines);
    judge(&read_partitions(&history), name, 10)
}

const ALL: [&str; 6] = [
    "read-your-writes",
    "monotonic-reads",
    "monotonic-writes",
    "writes-follow-reads",
    "causal-order",
    "freshness",
];

/// Asserts which of the guarantees do not hold.
fn assert_violated(lines: &[Line], violated: &[&str]) {
    for name in ALL {
        let result = judged(lines, name);
        let expected = if violated.contains(&name) {
            Validity::Invalid
        } else {
            Validity::Valid
        };
        assert_eq!(result.validity, expected, "{name}: {result:#?}");
    }
}

#[test]
fn a_session_that_does_not_see_its_own_write() {
    let lines = [write(2, (1, 2), 6), write(1, (3, 4), 7), read(1, (5, 6), 6)];
    assert_violated(&lines, &["read-your-writes", "causal-order", "freshness"]);
}

#[test]
fn a_session_whose_reads_go_back() {
    let lines = [
        write(2, (1, 2), 6),
        write(2, (3, 4), 7),
        read(1, (5, 6), 7),
        read(1, (7, 8), 6),
    ];
    // What the session read carries its writer's earlier write along, which is the one that it read then.
    assert_violated(&lines, &["monotonic-reads", "causal-order", "freshness"]);
}

#[test]
fn a_write_that_is_seen_before_the_one_before_it() {
    let lines = [
        write(2, (1, 2), 6).key("x"),
        write(2, (3, 4), 7).key("x"),
        write(2, (5, 6), 8).key("y"),
        read(1, (7, 8), 8).key("y"),
        read(1, (9, 10), 6).key("x"),
    ];
    assert_violated(&lines, &["monotonic-writes", "causal-order", "freshness"]);
}

#[test]
fn a_write_that_is_seen_before_what_its_session_had_read() {
    let lines = [
        write(3, (1, 2), 6).key("x"),
        write(3, (3, 4), 7).key("x"),
        read(2, (5, 6), 7).key("x"),
        write(2, (7, 8), 8).key("y"),
        read(1, (9, 10), 8).key("y"),
        read(1, (11, 12), 6).key("x"),
    ];
    assert_violated(
        &lines,
        &["writes-follow-reads", "causal-order", "freshness"],
    );
}

#[test]
fn a_stale_read_that_no_session_notices() {
    let lines = [
        write(1, (1_000_000, 2_000_000), 7),
        read(2, (5_000_000, 6_000_000), serde_json::Value::Null),
    ];
    assert_violated(&lines, &["freshness"]);
    let reason = judged(&lines, "freshness").reason.unwrap();
    assert!(
        reason.contains("1 of 1 reads were stale") && reason.contains("by 3 ms"),
        "{reason}"
    );
}

#[test]
fn an_honest_service_keeps_all_guarantees() {
    for seed in 0..500 {
        let lines = honest_run(seed, 4, 12, true);
        let history = history(&lines);
        for name in ALL {
            let result = judge(&read_partitions(&history), name, 10);
            assert_ne!(
                result.validity,
                Validity::Invalid,
                "seed {seed}: {result:#?}"
            );
        }
    }
}
