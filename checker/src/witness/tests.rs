use super::*;
use crate::register::Register;
use crate::testing::{
    Line, brute_force, cas, history, honest_run, place, read, read_partitions, write,
};

fn test_order(lines: &[Line]) -> Witness {
    let history = history(lines);
    test(&read_partitions(&history), 10)
}

/// The violation that `lines` make, which must be the only one.
fn contradiction(lines: &[Line]) -> Violation {
    match test_order(lines) {
        Witness::Contradicts(violations) if violations.len() == 1 => violations[0].clone(),
        found => panic!("one violation expected, found {found:#?}"),
    }
}

fn places(lines: &[Line], which: &[usize]) -> Vec<u64> {
    let mut places: Vec<u64> = which.iter().map(|line| place(lines, *line)).collect();
    places.sort_unstable();
    places
}

#[test]
fn an_honest_order_explains_what_clients_saw() {
    let mut open = 0;
    for seed in 0..5_000 {
        let lines = honest_run(seed, 5, 8, seed % 2 == 0);
        match test_order(&lines) {
            Witness::Explains => {}
            Witness::NotApplicable(_) => open += 1,
            found => panic!("seed {seed}: {found:#?} of {lines:#?}"),
        }
    }
    assert!(open < 500, "{open} of 5000 orders decided nothing");
}

#[test]
fn an_order_that_explains_is_proof() {
    let mut explained = 0;
    for seed in 0..20_000 {
        let mut lines = honest_run(seed, 4, 2, false);
        // Swap the numbers of two operations.
        let (one, other) = (seed as usize % lines.len(), seed as usize / 8 % lines.len());
        let (first, second) = (lines[one].reported_order(), lines[other].reported_order());
        if let (Some(first), Some(second)) = (first, second) {
            lines[one] = lines[one].clone().order(second);
            lines[other] = lines[other].clone().order(first);
        }
        if test_order(&lines) == Witness::Explains {
            explained += 1;
            let history = history(&lines);
            for partition in read_partitions(&history) {
                assert!(
                    brute_force(&Register, &partition.operations),
                    "seed {seed}: {lines:#?}"
                );
            }
        }
    }
    assert!(explained > 2_000, "{explained} only");
}

#[test]
fn an_order_against_time_is_a_violation() {
    let lines = [
        write(1, (1, 2), 7).order(2),
        write(2, (5, 6), 8).order(1),
        read(3, (8, 9), 7).order(3),
    ];
    let violation = contradiction(&lines);
    assert_eq!(violation.class, "order-contradicts-time");
    assert_eq!(violation.operations, places(&lines, &[0, 1]));
}

#[test]
fn real_time_holds_across_keys() {
    let lines = [
        write(1, (1, 2), 7).key("a").order(2),
        write(2, (5, 6), 8).key("b").order(1),
    ];
    let violation = contradiction(&lines);
    assert_eq!(violation.class, "order-contradicts-time");
    assert_eq!(violation.key, None, "it is about two keys");
}

#[test]
fn a_process_does_one_thing_after_the_other_within_a_nanosecond_too() {
    let lines = [write(1, (1, 5), 7).order(2), write(1, (5, 6), 8).order(1)];
    let violation = contradiction(&lines);
    assert_eq!(violation.class, "order-contradicts-time");
    let others = [write(1, (1, 5), 7).order(2), write(2, (5, 6), 8).order(1)];
    assert_eq!(
        test_order(&others),
        Witness::Explains,
        "equal times order nothing between two"
    );
}

#[test]
fn a_result_that_the_order_does_not_give_is_a_violation() {
    let lines = [
        write(1, (1, 9), 7).order(1),
        write(2, (1, 9), 8).order(2),
        read(3, (1, 9), 7).order(3),
    ];
    let violation = contradiction(&lines);
    assert_eq!(violation.class, "order-contradicts-result");
    assert_eq!(violation.operations, places(&lines, &[1, 2]));
    assert!(
        violation.explanation.contains("holding 8"),
        "{}",
        violation.explanation
    );
}

#[test]
fn one_number_for_two_effects_is_a_violation() {
    let lines = [
        write(1, (1, 9), 7).order(4),
        write(2, (1, 9), 8).key("b").order(4),
    ];
    let violation = contradiction(&lines);
    assert_eq!(violation.class, "order-repeated");
    assert_eq!(violation.operations, places(&lines, &[0, 1]));
    let with_read = [write(1, (1, 9), 7).order(4), read(2, (1, 9), 7).order(4)];
    assert_eq!(
        test_order(&with_read),
        Witness::Explains,
        "a read may bear its last effect's"
    );
}

#[test]
fn an_operation_of_unknown_outcome_is_executed_where_it_is_first_seen() {
    let seen = [write(1, (1, 2), 7).info(), read(2, (5, 6), 7).order(9)];
    assert_eq!(test_order(&seen), Witness::Explains);
    let chain = [
        write(1, (1, 2), 7).info(),
        cas(2, (1, 2), 7, 8).info(),
        read(3, (5, 6), 8).order(9),
    ];
    assert_eq!(test_order(&chain), Witness::Explains);
    let twice = [
        write(1, (1, 2), 7).info(),
        read(2, (5, 6), 7).order(1),
        write(3, (7, 8), 9).order(2),
        read(2, (10, 11), 7).order(3),
    ];
    assert_eq!(contradiction(&twice).class, "order-contradicts-result");
    let too_late = [
        write(3, (1, 2), 9).order(2),
        write(1, (5, 6), 7).info(),
        read(2, (1, 7), 7).order(1),
    ];
    assert_eq!(contradiction(&too_late).class, "order-contradicts-time");
}

#[test]
fn a_numbered_compare_and_set_of_unknown_outcome_may_have_been_refused() {
    let lines = [
        write(1, (1, 2), 7).order(1),
        cas(2, (3, 4), 5, 6).info().order(2),
        read(3, (8, 9), 7).order(3),
    ];
    assert_eq!(test_order(&lines), Witness::Explains);
}

#[test]
fn a_missing_number_makes_it_no_witness() {
    let none = [write(1, (1, 2), 7), read(2, (3, 4), 7)];
    let Witness::NotApplicable(reason) = test_order(&none) else {
        panic!("there is no order")
    };
    assert!(reason.contains("no operation"), "{reason}");
    let some = [write(1, (1, 2), 7).order(1), read(2, (3, 4), 7)];
    let Witness::NotApplicable(reason) = test_order(&some) else {
        panic!("one is missing")
    };
    assert!(reason.contains("1 of 2"), "{reason}");
}
