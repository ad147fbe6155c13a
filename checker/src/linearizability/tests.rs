use serde_json::Value;

use super::*;
use crate::register::Register;
use crate::search::SearchBudget;
use crate::testing::{
    Draw, Line, brute_force, cas, draw, history, honest_run, place, read, read_partitions, write,
};

fn judged(lines: &[Line]) -> CheckResult {
    let history = history(lines);
    judge(&read_partitions(&history), &CheckOptions::default())
}

fn places(lines: &[Line], which: &[usize]) -> Vec<u64> {
    let mut places: Vec<u64> = which.iter().map(|line| place(lines, *line)).collect();
    places.sort_unstable();
    places
}

/// Asserts that the lines make one violation, of that class and with those lines.
fn assert_violates(lines: &[Line], class: &str, which: &[usize]) -> Violation {
    let result = judged(lines);
    assert_eq!(result.validity, Validity::Invalid, "{result:#?}");
    assert!(
        result.algorithms.iter().any(|it| it == "zones"),
        "{result:#?}"
    );
    assert!(
        result.algorithms.iter().any(|it| it == "search"),
        "{result:#?}"
    );
    assert_eq!(result.violations.len(), 1, "{result:#?}");
    let violation = &result.violations[0];
    assert_eq!(violation.class, class, "{}", violation.explanation);
    assert_eq!(
        violation.operations,
        places(lines, which),
        "{}",
        violation.explanation
    );
    assert_eq!(violation.key.as_deref(), Some("k"));
    violation.clone()
}

fn assert_accepted(lines: &[Line]) {
    let result = judged(lines);
    assert_eq!(result.validity, Validity::Valid, "{result:#?}");
}

#[test]
fn a_stale_read() {
    let lines = [
        write(3, (1_000_000, 2_000_000), 7),
        write(1, (3_000_000, 4_000_000), 9),
        read(5, (7_200_000, 8_000_000), 7),
    ];
    let violation = assert_violates(&lines, "stale-read", &[0, 1, 2]);
    let expected = "W1 = write(k, 7) by process 3 [1 ms, 2 ms]\n\
                    W2 = write(k, 9) by process 1 [3 ms, 4 ms]\n\
                    R1 = read(k) = 7 by process 5 [7.2 ms, 8 ms]\n\
                    W1 ended before W2 began, so 7 came before 9. W2 ended 3.2 ms before R1 began, so 9 was \
                    there by then; R1 found 7, which would put 9 before it. Contradiction.";
    assert_eq!(violation.explanation, expected);
    assert_eq!(violation.window.0.0, 1_000_000);
    assert_eq!(violation.window.1.0, 8_000_000);
}

#[test]
fn a_stale_read_of_nothing() {
    let lines = [write(1, (1, 2), 7), read(2, (5, 6), Value::Null)];
    assert_violates(&lines, "stale-read", &[0, 1]);
    let refused = [write(1, (1, 2), 7), cas(2, (5, 6), 3, 4).saw(Value::Null)];
    assert_violates(&refused, "stale-read", &[0, 1]);
}

#[test]
fn reads_that_go_back() {
    // The writes are concurrent; the reads order them both ways.
    let lines = [
        write(1, (1, 100), 7),
        write(2, (1, 100), 9),
        read(3, (10, 11), 7),
        read(4, (20, 21), 9),
        read(5, (30, 31), 7),
    ];
    assert_violates(&lines, "stale-read", &[0, 1, 2, 3, 4]);
}

#[test]
fn a_stale_read_within_a_chain() {
    let lines = [
        write(1, (1, 2), 7),
        cas(2, (3, 4), 7, 9),
        read(3, (8, 9), 7),
    ];
    assert_violates(&lines, "stale-read", &[0, 1, 2]);
}

#[test]
fn a_read_of_what_nobody_wrote() {
    assert_violates(
        &[write(1, (1, 2), 7), read(2, (3, 4), 8)],
        "garbage-read",
        &[1],
    );
    let made_from = [cas(1, (1, 2), 8, 9).info(), read(2, (3, 4), 9)];
    assert_violates(&made_from, "garbage-read", &[0, 1]);
}

#[test]
fn a_read_of_what_had_failed() {
    let lines = [write(1, (1, 2), 7).fail(), read(2, (3, 4), 7)];
    assert_violates(&lines, "aborted-read", &[0, 1]);
    let refused = [cas(1, (1, 2), 5, 7).saw(Value::Null), read(2, (3, 4), 7)];
    assert_violates(&refused, "aborted-read", &[0, 1]);
}

#[test]
fn a_read_of_the_future() {
    let lines = [read(1, (1, 2), 7), write(2, (5, 6), 7)];
    assert_violates(&lines, "future-read", &[0, 1]);
}

#[test]
fn a_lost_update() {
    let lines = [
        write(1, (1, 2), 7),
        cas(2, (3, 9), 7, 8),
        cas(3, (3, 9), 7, 9),
    ];
    assert_violates(&lines, "lost-update", &[0, 1, 2]);
    let overwritten = [
        write(1, (1, 2), 7),
        write(2, (3, 4), 8),
        cas(3, (5, 6), 7, 9),
    ];
    assert_violates(&overwritten, "lost-update", &[0, 1, 2]);
}

#[test]
fn a_chain_against_time() {
    // 9 was seen before the first step towards it had begun.
    let lines = [
        write(1, (1, 2), 7),
        cas(2, (10, 20), 7, 8),
        cas(3, (1, 20), 8, 9),
        read(4, (5, 6), 9),
    ];
    assert_violates(&lines, "chain-against-time", &[0, 1, 2, 3]);
}

#[test]
fn compare_and_sets_in_a_circle() {
    let lines = [cas(1, (1, 9), 7, 8), cas(2, (1, 9), 8, 7)];
    assert_violates(&lines, "cas-cycle", &[0, 1]);
}

#[test]
fn a_compare_and_set_refused_for_no_reason() {
    let lines = [write(1, (1, 2), 7), cas(2, (3, 4), 7, 8).saw(7)];
    assert_violates(&lines, "cas-refused", &[1]);
}

#[test]
fn what_is_linearizable_is_accepted() {
    // A write of unknown outcome that takes effect much later.
    assert_accepted(&[
        write(1, (1, 2), 7).info(),
        write(2, (3, 4), 8),
        read(3, (5, 6), 8),
        read(3, (7, 8), 7),
    ]);
    // Times that touch order nothing.
    assert_accepted(&[write(1, (1, 5), 7), read(2, (5, 6), Value::Null)]);
    // A failed write had no effect, and its value may be written again.
    assert_accepted(&[
        write(1, (1, 2), 7).fail(),
        write(1, (3, 4), 7),
        read(2, (5, 6), 7),
    ]);
    // A plain failed compare-and-set says nothing.
    assert_accepted(&[
        write(1, (1, 2), 7),
        cas(2, (3, 4), 7, 8).fail(),
        read(3, (5, 6), 7),
    ]);
    assert_accepted(&[
        cas(1, (1, 9), Value::Null, 1),
        cas(2, (2, 8), 1, 2),
        cas(3, (3, 7), 9, 4).saw(2),
        read(4, (20, 21), 2),
    ]);
    // Keys are apart.
    assert_accepted(&[
        write(1, (1, 2), 7),
        read(2, (5, 6), Value::Null).key("other"),
    ]);
}

#[test]
fn honest_runs_are_accepted_by_all_three() {
    let mut judged_in_all = 0;
    for seed in 0..500 {
        let lines = honest_run(seed, 5, 20, true);
        let result = judged(&lines);
        assert_eq!(result.validity, Validity::Valid, "seed {seed}: {result:#?}");
        judged_in_all += result.judged;
    }
    assert!(
        judged_in_all > 15_000,
        "{judged_in_all} operations in 500 runs"
    );
}

#[test]
fn values_written_twice_are_left_to_the_search() {
    let fits = [
        write(1, (1, 2), 7),
        write(2, (3, 4), 8),
        write(1, (5, 6), 7),
        read(3, (7, 8), 7),
    ];
    let result = judged(&fits);
    assert_eq!(result.validity, Validity::Valid);
    assert_eq!(result.algorithms, ["search"]);
    assert!(
        result
            .reason
            .is_some_and(|reason| reason.contains("written more than once"))
    );

    let not = [
        write(1, (1, 2), 7),
        read(1, (11, 12), 7),
        write(1, (13, 14), 7),
        read(2, (15, 16), 7),
        write(2, (23, 24), 8),
        read(3, (27, 28), 7),
    ];
    let result = judged(&not);
    assert_eq!(result.validity, Validity::Invalid);
    let violation = &result.violations[0];
    assert_eq!(violation.class, "non-linearizable");
    assert!(violation.operations.len() <= 4, "{}", violation.explanation);
    let core = places(&not, &[4, 5]);
    assert!(
        core.iter().all(|it| violation.operations.contains(it)),
        "{}",
        violation.explanation
    );
}

#[test]
fn without_budget_only_what_nothing_else_decides_is_unknown() {
    let no_budget = CheckOptions {
        search_budget: SearchBudget {
            steps: 0,
            configurations: 0,
        },
        ..CheckOptions::default()
    };
    let unique = history(&[write(1, (1, 2), 7), read(2, (3, 4), 7)]);
    let result = judge(&read_partitions(&unique), &no_budget);
    assert_eq!(result.validity, Validity::Valid);
    assert_eq!(result.algorithms, ["zones"]);
    assert!(
        result
            .reason
            .is_some_and(|reason| reason.contains("stopped at its budget"))
    );

    let lines = [write(1, (1, 2), 7), write(1, (3, 4), 7), read(2, (5, 6), 7)];
    let twice = history(&lines);
    let result = judge(&read_partitions(&twice), &no_budget);
    assert_eq!(result.validity, Validity::Unknown, "{result:#?}");
    assert!(
        result
            .reason
            .is_some_and(|reason| reason.contains("k: the search's budget"))
    );

    let [one, two, three] = lines;
    let ordered = history(&[one.order(1), two.order(2), three.order(3)]);
    let result = judge(&read_partitions(&ordered), &no_budget);
    assert_eq!(
        result.validity,
        Validity::Valid,
        "the reported order decides: {result:#?}"
    );
    assert_eq!(result.algorithms, ["order-witness"]);
}

#[test]
fn an_order_that_clients_contradict_is_a_violation_though_another_order_fits() {
    let lines = [write(1, (1, 2), 7).order(2), write(2, (5, 6), 8).order(1)];
    let mut lines = lines.to_vec();
    lines.push(read(3, (8, 9), 8).order(3));
    let result = judged(&lines);
    assert_eq!(result.validity, Validity::Invalid, "{result:#?}");
    let classes: Vec<_> = result
        .violations
        .iter()
        .map(|it| it.class.as_str())
        .collect();
    assert_eq!(
        classes,
        ["order-contradicts-time", "order-contradicts-result"]
    );
}

#[test]
fn nothing_judged_is_unknown() {
    let unknown = |lines: &[Line], word: &str| {
        let result = judged(lines);
        assert_eq!(result.validity, Validity::Unknown, "{result:#?}");
        assert!(
            result.reason.as_ref().is_some_and(|it| it.contains(word)),
            "{result:#?}"
        );
    };
    unknown(&[], "no operation completed");
    unknown(
        &[write(1, (1, 2), 7).info(), read(2, (1, 2), 7).info()],
        "no operation completed",
    );
    unknown(
        &[write(1, (1, 2), 7), write(2, (1, 2), 8)],
        "no operation saw a value",
    );
}

#[test]
fn methods_that_disagree_are_never_valid_and_evidence_is_kept() {
    let lines = [write(1, (1, 2), 7), read(2, (3, 4), 7)];
    let history = history(&lines);
    let partitions = read_partitions(&history);
    let options = CheckOptions::default();
    let violated = || {
        let bad = [write(1, (1, 2), 7), read(2, (3, 4), 8)];
        Exact::Violated(judged(&bad).violations)
    };
    let none = Witness::NotApplicable("none".to_owned());
    let frontier = Frontier {
        taken: Vec::new(),
        rejected: vec![0],
    };
    let cases = [
        (
            violated(),
            Searched::Linearizable,
            none.clone(),
            "search finds it linearizable, zones finds",
        ),
        (
            Exact::Linearizable,
            Searched::NotLinearizable(frontier),
            none,
            "zones finds it linearizable",
        ),
        (
            violated(),
            Searched::OutOfBudget("steps"),
            Witness::Explains,
            "order-witness finds it linearizable",
        ),
    ];
    for (zones, search, witness, words) in cases {
        let keys = [Findings {
            exact: zones,
            search: Some(search),
        }];
        let result = combine(&partitions, &keys, witness, &options);
        assert_eq!(result.validity, Validity::Unknown, "{result:#?}");
        assert_eq!(result.violations.len(), 1, "{result:#?}");
        let reason = result.reason.unwrap_or_default();
        assert!(
            reason.contains("CONTRADICTS ITSELF") && reason.contains(words),
            "{reason}"
        );
    }
}

#[test]
fn the_whole_check_agrees_with_trying_all_orders() {
    for seed in 0..10_000 {
        let repeats = seed % 3 == 0;
        let lines = draw(
            seed,
            Draw {
                operations: 7,
                times: 12,
                repeats,
            },
        );
        let history = history(&lines);
        let partitions = read_partitions(&history);
        let result = judge(&partitions, &CheckOptions::default());
        let fits = partitions
            .iter()
            .all(|partition| brute_force(&Register, &partition.operations));
        let expected = match fits {
            true => Validity::Valid,
            false => Validity::Invalid,
        };
        let saw_nothing = result.validity == Validity::Unknown
            && result
                .reason
                .as_ref()
                .is_some_and(|reason| reason.contains("no operation"));
        assert!(
            saw_nothing || result.validity == expected,
            "seed {seed}: {result:#?} of {lines:#?}"
        );
        for violation in &result.violations {
            assert!(!violation.explanation.is_empty() && !violation.operations.is_empty());
        }
    }
}

#[test]
fn violations_are_bounded_and_the_earliest_come_first() {
    let lines: Vec<Line> = (0..100)
        .map(|n| read(n, (100 - n, 200), 1_000 + n))
        .collect();
    let options = CheckOptions {
        max_violations: 3,
        ..CheckOptions::default()
    };
    let history = history(&lines);
    let result = judge(&read_partitions(&history), &options);
    assert_eq!(result.violations.len(), 3);
    assert!(
        result
            .violations
            .is_sorted_by_key(|violation| violation.window)
    );
}
