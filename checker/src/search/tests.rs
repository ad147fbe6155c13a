use super::*;
use crate::hash::spread;
use crate::model::Model;
use crate::moment::Moment;
use crate::operation::Operation;
use crate::register::{Action, Register};
use crate::testing::{Draw, brute_force, draw, history, place, read, read_partitions, write};

fn ample() -> Purse {
    Purse::new(SearchBudget::default())
}

fn finds_order(operations: &[Operation<Action>], values_return_never: bool) -> bool {
    match search(&Register, operations, values_return_never, &mut ample()) {
        Searched::Linearizable => true,
        Searched::NotLinearizable(_) => false,
        Searched::OutOfBudget => panic!("a handful of operations needs no such budget"),
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
            let expected = brute_force(&partition.operations);
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
        for partition in read_partitions(&history) {
            if brute_force(&partition.operations) {
                continue;
            }
            let few = minimise(
                &partition.operations,
                partition.values_are_unique,
                &mut ample(),
            );
            assert!(!brute_force(&few), "seed {seed}: {few:#?} has an order");
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
    let few = minimise(&partition.operations, false, &mut ample());
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
        assert_eq!(found, Searched::OutOfBudget, "{budget:?}");
    }
}

#[test]
fn nothing_to_order_has_an_order() {
    let nothing: [Operation<Action>; 0] = [];
    assert!(finds_order(&nothing, true));
}

/// A queue: a second model, whose state is more than one value.
struct Queue;

#[derive(Clone, Debug)]
enum QueueAction {
    Push(u8),
    Pop(Option<u8>),
}

impl Model for Queue {
    type Action = QueueAction;
    type State = Vec<u8>;

    fn initial(&self) -> Vec<u8> {
        Vec::new()
    }

    fn apply(&self, state: &Vec<u8>, action: &QueueAction) -> Option<Vec<u8>> {
        let mut state = state.clone();
        match action {
            QueueAction::Push(item) => state.push(*item),
            QueueAction::Pop(None) => return state.is_empty().then_some(state),
            QueueAction::Pop(Some(item)) => {
                if state.first() != Some(item) {
                    return None;
                }
                state.remove(0);
            }
        }
        Some(state)
    }

    fn fingerprint(&self, state: &Vec<u8>) -> u128 {
        state.iter().fold(1, |hash, item| {
            spread(hash as u64 ^ (hash >> 64) as u64, u64::from(*item))
        })
    }
}

fn queue(spans: &[(u64, u64, QueueAction)]) -> Searched<Vec<u8>> {
    let moment = |time| Moment::from(viewstorm_history::Timestamp(time));
    let operations: Vec<_> = spans
        .iter()
        .enumerate()
        .map(|(place, (begin, end, action))| Operation {
            action: action.clone(),
            process: place as u64,
            invoke: moment(*begin),
            returned: if *end == 0 {
                Moment::NEVER
            } else {
                moment(*end)
            },
            last_heard: moment(*end),
            order: None,
            position: place,
            index: place as u64,
            is_final: false,
        })
        .collect();
    search(&Queue, &operations, false, &mut ample())
}

#[test]
fn any_model_can_be_searched() {
    use QueueAction::{Pop, Push};
    let fits = [
        (1, 9, Push(1)),
        (1, 9, Push(2)),
        (10, 11, Pop(Some(2))),
        (12, 13, Pop(Some(1))),
    ];
    assert_eq!(queue(&fits), Searched::Linearizable);
    // The pushes were one after the other: the pops cannot be the other way round.
    let ordered = [
        (1, 2, Push(1)),
        (3, 4, Push(2)),
        (10, 11, Pop(Some(2))),
        (12, 13, Pop(Some(1))),
    ];
    assert!(matches!(queue(&ordered), Searched::NotLinearizable(_)));
    // A push that never returned may have happened, or not.
    let maybe = [(1, 0, Push(1)), (5, 6, Pop(None)), (7, 8, Pop(Some(1)))];
    assert_eq!(queue(&maybe), Searched::Linearizable);
    let never = [(1, 0, Push(1)), (7, 8, Pop(None))];
    assert_eq!(queue(&never), Searched::Linearizable);
}
