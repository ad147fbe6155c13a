use super::judge;
use crate::register::Register;
use crate::testing::{
    Draw, Line, brute_force, cas, draw, history, honest_run, place, read, read_partitions, write,
};
use crate::verdict::{CheckResult, Validity};

fn judged(lines: &[Line]) -> CheckResult {
    let history = history(lines);
    judge(&read_partitions(&history), 10)
}

fn assert_valid(lines: &[Line]) {
    let result = judged(lines);
    assert_eq!(result.validity, Validity::Valid, "{result:#?}");
}

fn assert_lost(lines: &[Line], which: &[usize]) {
    let result = judged(lines);
    assert_eq!(result.validity, Validity::Invalid, "{result:#?}");
    let violation = &result.violations[0];
    assert_eq!(violation.class, "lost-write", "{}", violation.explanation);
    let mut places: Vec<u64> = which.iter().map(|line| place(lines, *line)).collect();
    places.sort_unstable();
    assert_eq!(violation.operations, places, "{}", violation.explanation);
}

fn last_read(value: impl Into<serde_json::Value>) -> Line {
    read(99, (1_000, 1_001), value).at_the_end()
}

#[test]
fn an_acknowledged_write_that_is_not_there_is_lost() {
    let lines = [write(1, (1, 2), 7), write(2, (5, 6), 8), last_read(7)];
    assert_lost(&lines, &[0, 1, 2]);
    assert_lost(
        &[write(1, (1, 2), 7), last_read(serde_json::Value::Null)],
        &[0, 1],
    );
}

#[test]
fn an_acknowledged_compare_and_set_that_is_not_there_is_lost() {
    let lines = [write(1, (1, 9), 7), cas(2, (1, 9), 7, 8), last_read(7)];
    assert_lost(&lines, &[0, 1, 2]);
    // The one in the middle is of unknown outcome, but what was made from it is acknowledged.
    let chain = [
        write(1, (1, 9), 7),
        cas(2, (1, 9), 7, 8).info(),
        cas(3, (1, 9), 8, 9),
        last_read(7),
    ];
    assert_lost(&chain, &[0, 2, 3]);
}

#[test]
fn a_write_of_unknown_outcome_that_was_seen_early_came_early() {
    let lines = [
        write(1, (1, 2), 7).info(),
        read(2, (3, 4), 7),
        write(3, (5, 6), 8),
        last_read(7),
    ];
    assert_lost(&lines, &[0, 1, 2, 3]);
    // Unseen, it may have come at any time.
    assert_valid(&[
        write(1, (1, 2), 7).info(),
        write(3, (5, 6), 8),
        last_read(7),
    ]);
}

#[test]
fn whatever_may_have_been_last_is_not_lost() {
    assert_valid(&[write(1, (1, 9), 7), write(2, (5, 20), 8), last_read(7)]);
    assert_valid(&[write(1, (1, 9), 7), write(2, (5, 20), 8), last_read(8)]);
    assert_valid(&[
        write(1, (1, 2), 7),
        cas(2, (3, 4), 7, 8).info(),
        last_read(8),
    ]);
    assert_valid(&[
        write(1, (1, 2), 7),
        cas(2, (3, 4), 7, 8).info(),
        last_read(7),
    ]);
    // A write that ended while the final read was under way.
    assert_valid(&[write(1, (1, 2), 7), write(2, (5, 1_001), 8), last_read(7)]);
    assert_valid(&[
        write(1, (1, 2), 7),
        write(2, (5, 6), 8).fail(),
        last_read(7),
    ]);
}

#[test]
fn what_nobody_wrote_cannot_be_there() {
    let class = |lines: &[Line]| judged(lines).violations[0].class.clone();
    assert_eq!(class(&[write(1, (1, 2), 7), last_read(8)]), "garbage-read");
    let failed = [
        write(1, (1, 2), 7),
        write(2, (3, 4), 8).fail(),
        last_read(8),
    ];
    assert_eq!(class(&failed), "aborted-read");
    let refused = [
        write(1, (1, 2), 7),
        cas(2, (3, 4), 1, 8).saw(7),
        last_read(8),
    ];
    assert_eq!(class(&refused), "aborted-read");
    let early = [
        write(1, (1, 2), 7),
        last_read(8),
        write(2, (2_000, 2_001), 8),
    ];
    assert_eq!(class(&early), "future-read");
}

#[test]
fn what_was_not_read_at_the_end_is_not_known() {
    let reason = |lines: &[Line]| {
        let result = judged(lines);
        assert_eq!(result.validity, Validity::Unknown, "{result:#?}");
        result.reason.unwrap_or_default()
    };
    assert!(reason(&[write(1, (1, 2), 7), read(2, (5, 6), 7)]).contains("no final read"));
    let failed = [write(1, (1, 2), 7), last_read(7).info()];
    assert!(reason(&failed).contains("no final read"));
    let half = [
        write(1, (1, 2), 7).key("a"),
        write(2, (1, 2), 7),
        last_read(7),
    ];
    assert!(reason(&half).contains("1 written keys have no successful final read: a"));
    let twice = [write(1, (1, 2), 7), write(2, (3, 4), 7), last_read(7)];
    assert!(reason(&twice).contains("written twice"));
    let nothing = [write(1, (1, 2), 7).info(), last_read(7)];
    assert!(reason(&nothing).contains("no write was acknowledged"));
}

#[test]
fn keys_never_written_need_no_final_read() {
    let lines = [
        write(1, (1, 2), 7),
        read(2, (1, 2), serde_json::Value::Null).key("empty"),
        last_read(7),
    ];
    assert_valid(&lines);
}

#[test]
fn a_lost_write_outranks_an_unread_key() {
    let lines = [
        write(1, (1, 2), 7),
        last_read(1),
        write(2, (1, 2), 1).key("unread"),
    ];
    let result = judged(&lines);
    assert_eq!(result.validity, Validity::Invalid);
    assert!(
        result
            .reason
            .is_some_and(|reason| reason.contains("unread"))
    );
}

#[test]
fn an_honest_service_loses_nothing() {
    for seed in 0..3_000 {
        let lines = honest_run(seed, 6, 6, true);
        let result = judged(&lines);
        assert!(
            result.violations.is_empty(),
            "seed {seed}: {result:#?} of {lines:#?}"
        );
    }
}

/// Random histories with a read at the end: what is called lost fits no order.
#[test]
fn nothing_is_called_lost_that_some_order_keeps() {
    let (mut lost, mut kept) = (0, 0);
    for seed in 0..40_000 {
        let times = [6, 20][seed as usize % 2];
        let mut lines = draw(
            seed,
            Draw {
                operations: 6,
                times,
                repeats: false,
            },
        );
        lines.push(last_read(seed / 2 % 6));
        let result = judged(&lines);
        let history = history(&lines);
        let fits = brute_force(&Register, &read_partitions(&history)[0].operations);
        if result.violations.is_empty() {
            kept += 1;
        } else {
            lost += 1;
            assert!(!fits, "seed {seed}: {result:#?} of {lines:#?}");
        }
    }
    assert!(
        lost > 2_000 && kept > 2_000,
        "{lost} lost, {kept} kept: the draw is lopsided"
    );
}

/// Random writes alone, and a read when all is over: if the writes have an order and the read fits none of
/// them, something was lost.
#[test]
fn nothing_lost_is_overlooked_where_only_writes_came_before() {
    let mut lost = 0;
    for seed in 0..40_000 {
        let times = [6, 20][seed as usize % 2];
        let mut lines = draw(
            seed,
            Draw {
                operations: 6,
                times,
                repeats: false,
            },
        );
        lines.retain(Line::is_write);
        // No circles of compare-and-sets: those are for linearizability to find.
        lines.retain(|line| !line.is_cas_backwards());
        let writes = history(&lines);
        let fits = |history: &crate::testing::Told| {
            let partitions = read_partitions(history);
            partitions
                .iter()
                .all(|partition| brute_force(&Register, &partition.operations))
        };
        if !fits(&writes) {
            continue;
        }
        lines.push(last_read(seed / 2 % 6));
        if !fits(&history(&lines)) && writes.operations.len() > 2 {
            lost += 1;
            let result = judged(&lines);
            let text = history(&lines)
                .operations
                .iter()
                .map(|e| {
                    format!(
                        "{} p{} {:?} {} {}\n",
                        e.time.0, e.process.0, e.kind, e.f, e.value
                    )
                })
                .collect::<String>();
            assert_ne!(result.violations, [], "seed {seed}: {text}");
        }
    }
    assert!(lost > 500, "{lost} lost only: the draw is lopsided");
}
