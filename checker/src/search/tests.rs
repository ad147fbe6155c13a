use super::*;
use crate::model::Model;
use crate::models::{Queue, QueueAction};
use crate::moment::Moment;
use crate::operation::Operation;
use crate::partition::Input;
use crate::register::{Action, Register};
use crate::testing::{Draw, brute_force, draw, history, place, read, read_partitions, write};

fn ample() -> Purse {
    Purse::new(SearchBudget::default())
}

fn finds_order(operations: &[Operation<Action>], values_return_never: bool) -> bool {
    match search(&Register, operations, values_return_never, &mut ample()) {
        Searched::Linearizable => true,
        Searched::NotLinearizable(_) => false,
        Searched::OutOfBudget(_) => panic!("a handful of operations needs no such budget"),
    }
}

#[test]
fn the_search_agrees_with_trying_all_orders() {
    let mut answers = [0; 2];
    for seed in 0..60_000 {
        let operations = 4 + seed % 5;
        let times = [4, 6, 10, 30][seed as usize / 5 % 4];
        let repeats = seed % 2 == 0;
        let history = history(&draw(
            seed,
            Draw {
                operations,
                times,
                repeats,
            },
        ));
        for partition in read_partitions(&history) {
            let expected = brute_force(&Register, &partition.operations);
            answers[usize::from(expected)] += 1;
            let unique = partition.values_are_unique;
            for values_return_never in [false, true] {
                if values_return_never && !unique {
                    continue;
                }
                assert_eq!(
                    finds_order(&partition.operations, values_return_never),
                    expected,
                    "seed {seed}, values return never: {values_return_never}: {:#?}",
                    partition.operations
                );
            }
        }
    }
    assert!(
        answers.iter().all(|count| *count > 5_000),
        "the draw is lopsided: {answers:?}"
    );
}

#[test]
fn what_is_cut_down_still_fits_no_order() {
    let (mut before, mut after) = (0, 0);
    for seed in 0..4_000 {
        let repeats = seed % 2 == 0;
        let history = history(&draw(
            seed,
            Draw {
                operations: 8,
                times: 12,
                repeats,
            },
        ));
        for partition in &read_partitions(&history) {
            if brute_force(&Register, &partition.operations) {
                continue;
            }
            let few = minimise(partition, &mut ample());
            assert!(
                !brute_force(&Register, &few),
                "seed {seed}: {few:#?} has an order"
            );
            for operation in &few {
                assert!(
                    partition.operations.contains(operation),
                    "seed {seed}: {operation:?}"
                );
            }
            before += partition.operations.len();
            after += few.len();
        }
    }
    assert!(
        after * 2 < before,
        "{before} operations were cut down to {after} only"
    );
}

#[test]
fn a_violation_is_cut_down_to_its_core() {
    // Forty writes and reads one after the other, then a read of what the last but one wrote.
    let mut lines = Vec::new();
    for value in 1..=40 {
        lines.push(write(1, (10 * value, 10 * value + 2), value));
        lines.push(read(2, (10 * value + 3, 10 * value + 5), value));
    }
    lines.push(read(3, (500, 505), 39));
    let history = history(&lines);
    let partition = &read_partitions(&history)[0];
    let few = minimise(partition, &mut ample());
    let Searched::NotLinearizable(frontier) = search(&Register, &few, false, &mut ample()) else {
        panic!("{few:#?} has an order");
    };
    let violation = explain(partition, &few, &frontier);
    let expected = [76, 78, 80].map(|line| place(&lines, line)).to_vec();
    assert_eq!(violation.operations, expected, "{}", violation.explanation);
    assert!(
        violation.explanation.contains("holding 40"),
        "{}",
        violation.explanation
    );
}

#[test]
fn an_exhausted_budget_is_no_answer() {
    let lines: Vec<_> = (0..30)
        .map(|value| write(value, (0, 100), value + 1))
        .collect();
    let mut lines = lines;
    lines.push(read(40, (200, 201), 31));
    let history = history(&lines);
    let operations = &read_partitions(&history)[0].operations;
    for budget in [
        SearchBudget {
            steps: 50_000,
            ..SearchBudget::default()
        },
        SearchBudget {
            configurations: 1_000,
            ..SearchBudget::default()
        },
        SearchBudget {
            steps: 0,
            configurations: 0,
        },
    ] {
        let mut purse = Purse::new(budget);
        let found = search(&Register, operations, false, &mut purse);
        assert!(matches!(found, Searched::OutOfBudget(_)), "{budget:?}");
    }
}

#[test]
fn nothing_to_order_has_an_order() {
    let nothing: [Operation<Action>; 0] = [];
    assert!(finds_order(&nothing, true));
}

fn queue(spans: &[(u64, u64, QueueAction)]) -> Searched {
    let moment = |time| Moment::from(viewstorm_history::Timestamp(time));
    let operations: Vec<_> = (0..)
        .zip(spans)
        .map(|(call, (begin, end, action))| Operation {
            action: *action,
            invoke: moment(*begin),
            returned: if *end == 0 {
                Moment::NEVER
            } else {
                moment(*end)
            },
            call,
        })
        .collect();
    let log = viewstorm_history::CallLog::default();
    let input = Input {
        log: &log,
        key: None,
        calls: &[],
    };
    let nothing = Queue::read(input).expect("no call is wrong");
    search(&nothing.model, &operations, false, &mut ample())
}

#[test]
fn any_model_can_be_searched() {
    use QueueAction::{Dequeue, Empty, Enqueue};
    let fits = [
        (1, 9, Enqueue(1)),
        (1, 9, Enqueue(2)),
        (10, 11, Dequeue(2)),
        (12, 13, Dequeue(1)),
    ];
    assert_eq!(queue(&fits), Searched::Linearizable);
    // The pushes were one after the other: the pops cannot be the other way round.
    let ordered = [
        (1, 2, Enqueue(1)),
        (3, 4, Enqueue(2)),
        (10, 11, Dequeue(2)),
        (12, 13, Dequeue(1)),
    ];
    assert!(matches!(queue(&ordered), Searched::NotLinearizable(_)));
    // A push that never returned may have happened, or not.
    let maybe = [(1, 0, Enqueue(1)), (5, 6, Empty), (7, 8, Dequeue(1))];
    assert_eq!(queue(&maybe), Searched::Linearizable);
    let never = [(1, 0, Enqueue(1)), (7, 8, Empty)];
    assert_eq!(queue(&never), Searched::Linearizable);
}
