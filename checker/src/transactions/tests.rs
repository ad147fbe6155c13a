use serde_json::{Value, json};
use viewstorm_history::{CallLog, EdnOptions};

use super::*;
use crate::testing::Dice;
use crate::{CheckResult, Validity};

/// A transaction of a process, with its span and steps as EDN.
fn edn(transactions: &[(u64, u64, u64, &str, &str)]) -> CallLog {
    let mut events = Vec::new();
    for (process, begin, end, kind, steps) in transactions {
        events.push((*begin, 0, *process, "invoke", *steps));
        events.push((*end, 1, *process, *kind, *steps));
    }
    events.sort();
    let text: String = events
        .iter()
        .map(|(time, _, process, kind, steps)| {
            format!("{{:type :{kind} :f :txn :process {process} :time {time} :value [{steps}]}}\n")
        })
        .collect();
    CallLog::read_edn(&text, EdnOptions::default()).unwrap()
}

fn judged(transactions: &[(u64, u64, u64, &str, &str)]) -> CheckResult {
    judge(&edn(transactions), 10).unwrap()
}

fn assert_class(transactions: &[(u64, u64, u64, &str, &str)], class: &str) {
    let result = judged(transactions);
    assert_eq!(result.validity, Validity::Invalid, "{class}: {result:#?}");
    let found = result
        .violations
        .iter()
        .any(|violation| violation.class == class);
    assert!(found, "{class}: {result:#?}");
}

#[test]
fn each_phenomenon_is_found_and_named() {
    assert_class(
        &[
            (1, 0, 9, "ok", "[:append :x 1] [:append :y 1]"),
            (2, 0, 9, "ok", "[:append :x 2] [:append :y 2]"),
            (3, 20, 21, "ok", "[:r :x [1 2]] [:r :y [2 1]]"),
        ],
        "G0",
    );
    assert_class(
        &[
            (1, 0, 9, "fail", "[:append :x 1]"),
            (2, 0, 9, "ok", "[:r :x [1]]"),
        ],
        "G1a",
    );
    assert_class(
        &[
            (1, 0, 9, "ok", "[:append :x 1] [:append :x 2]"),
            (2, 0, 9, "ok", "[:r :x [1]]"),
        ],
        "G1b",
    );
    assert_class(
        &[
            (1, 0, 9, "ok", "[:append :x 1] [:r :y [1]]"),
            (2, 0, 9, "ok", "[:append :y 1] [:r :x [1]]"),
        ],
        "G1c",
    );
    assert_class(
        &[
            (1, 0, 9, "ok", "[:append :x 1] [:append :y 1]"),
            (2, 0, 9, "ok", "[:r :x [1]] [:r :y nil]"),
            (3, 0, 9, "ok", "[:r :y [1]]"),
        ],
        "G-single",
    );
    assert_class(
        &[
            (1, 0, 9, "ok", "[:r :x nil] [:append :y 1]"),
            (2, 0, 9, "ok", "[:r :y nil] [:append :x 1]"),
        ],
        "G2",
    );
    assert_class(
        &[
            (1, 0, 1, "ok", "[:append :x 1]"),
            (2, 5, 6, "ok", "[:r :x nil]"),
        ],
        "G-single-realtime",
    );
    assert_class(&[(1, 0, 9, "ok", "[:append :x 1] [:r :x []]")], "internal");
    assert_class(
        &[
            (1, 0, 9, "ok", "[:append :x 1]"),
            (2, 0, 9, "ok", "[:append :x 2]"),
            (3, 20, 21, "ok", "[:r :x [1 2]]"),
            (4, 20, 21, "ok", "[:r :x [2 1]]"),
        ],
        "incompatible-order",
    );
}

#[test]
fn a_cycle_is_told_step_by_step() {
    let result = judged(&[
        (1, 0, 9, "ok", "[:append :x 1] [:append :y 1]"),
        (2, 0, 9, "ok", "[:r :x [1]] [:r :y nil]"),
    ]);
    let told = &result.violations[0].explanation;
    for part in [
        "T2 saw the 1 that T1 appended to \"x\" (wr)",
        "T2 saw \"y\" without the 1 that T1 appended (rw)",
        "read skew",
    ] {
        // Either of the two may be named first.
        let other = part
            .replace("T2", "T0")
            .replace("T1", "T2")
            .replace("T0", "T1");
        assert!(
            told.contains(part) || told.contains(&other),
            "{part}: {told}"
        );
    }
}

#[test]
fn what_is_serializable_is_valid_also_with_transactions_of_unknown_outcome() {
    let result = judged(&[
        (1, 0, 9, "info", "[:append :x 1] [:r :y nil]"),
        (2, 3, 4, "ok", "[:r :x [1]] [:append :x 2]"),
        (3, 3, 20, "ok", "[:r :x [1 2]] [:append :y 5] [:r :y [5]]"),
        (4, 30, 31, "info", "[:append :x 9]"),
        (5, 40, 41, "ok", "[:r :x [1 2]]"),
    ]);
    assert_eq!(result.validity, Validity::Valid, "{result:#?}");
}

/// Executes transactions in any order that real time allows.
fn has_order(left: &mut Vec<(u64, u64, bool, &str, Value)>, state: &Value) -> bool {
    if left.iter().all(|(_, _, is_ok, ..)| !is_ok) {
        return true;
    }
    let returned = |one: &(u64, u64, bool, &str, Value)| if one.2 { one.1 } else { u64::MAX };
    let deadline = left.iter().map(returned).min().unwrap_or(u64::MAX);
    for place in 0..left.len() {
        if left[place].0 > deadline {
            continue;
        }
        let mut next = state.clone();
        let one = left.remove(place);
        let fits = one.4.as_array().into_iter().flatten().all(|step| {
            let list = &mut next[step[1].as_str().unwrap()];
            match (step[0].as_str(), one.2) {
                (Some("append"), _) => {
                    list.as_array_mut().unwrap().push(step[2].clone());
                    true
                }
                (_, true) => *list == step[2],
                (_, false) => true,
            }
        });
        let found = fits && has_order(left, &next);
        left.insert(place, one);
        if found {
            return true;
        }
    }
    false
}

/// A transaction of a process with its span, outcome and steps, as EDN and as JSON.
type Drawn<'a> = (u64, u64, u64, &'a str, String, Value);

/// Whether some order fits, and what the judge says.
fn both(transactions: &[Drawn<'_>]) -> (bool, CheckResult) {
    let lines: Vec<(u64, u64, u64, &str, &str)> = transactions
        .iter()
        .map(|(process, begin, end, kind, words, _)| {
            // The reader orders all events; spread them so that equal times stay unordered.
            (
                *process,
                *begin * 100,
                *end * 100 + 50,
                *kind,
                words.as_str(),
            )
        })
        .collect();
    let log = edn(&lines);
    let mut left = log
        .calls
        .iter()
        .map(|call| {
            let steps = log.values.value(call.argument);
            let is_ok = call.kind == viewstorm_history::Kind::Ok;
            (call.invoke, call.end, is_ok, "", steps)
        })
        .collect();
    let expected = has_order(&mut left, &json!({"x": [], "y": []}));
    let result = judge(&log, 10).unwrap();
    (expected, result)
}

#[test]
fn verdicts_agree_with_trying_all_orders() {
    let mut answers = [0; 2];
    for seed in 0..20_000_u64 {
        let mut dice = Dice::new(seed.wrapping_mul(0x1_0000));
        let mut fresh = 0;
        let mut state = json!({"x": [], "y": []});
        let transactions: Vec<Drawn<'_>> = (0..2 + dice.roll(4))
            .map(|process| {
                let (one, other) = (dice.roll(12), dice.roll(12));
                let is_ok = dice.roll(6) > 0;
                let mut steps = Vec::new();
                for _ in 0..1 + dice.roll(3) {
                    let key = ["x", "y"][dice.roll(2) as usize];
                    if dice.roll(2) == 0 {
                        fresh += 1;
                        state[key].as_array_mut().unwrap().push(json!(fresh));
                        steps.push(json!(["append", key, fresh]));
                    } else {
                        // Mostly what is there, sometimes less.
                        let mut seen = state[key].clone();
                        if dice.roll(4) == 0 {
                            seen.as_array_mut().unwrap().pop();
                        }
                        steps.push(json!(["r", key, seen]));
                    }
                }
                let words = Value::Array(steps.clone()).to_string().replace(',', " ");
                let words = words[1..words.len() - 1].to_owned();
                let kind = if is_ok { "ok" } else { "info" };
                (
                    process,
                    one.min(other),
                    one.max(other),
                    kind,
                    words,
                    Value::Array(steps),
                )
            })
            .collect();
        let (expected, result) = both(&transactions);
        answers[usize::from(expected)] += 1;
        let is_open = result.validity == Validity::Unknown;
        assert!(
            is_open || (result.validity == Validity::Valid) == expected,
            "seed {seed}: expected {expected}: {result:#?} of {transactions:#?}"
        );
    }
    assert!(
        answers.iter().all(|count| *count > 2_000),
        "a lopsided draw: {answers:?}"
    );
}
