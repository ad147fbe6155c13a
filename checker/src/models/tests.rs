//! Every model against trying all orders with a second, slow model of its own: a state that is a JSON value.

use serde_json::{Value, json};
use viewstorm_history::{Call, CallLog, Kind, LogEvent, NEVER};

use crate::testing::Dice;
use crate::{CheckOptions, CheckResult, Validity, check_log};

/// The states that a call may leave behind; none if it cannot have its result.
fn naive(model: &str, log: &CallLog, state: &Value, call: &Call) -> Option<Value> {
    let (argument, result) = (
        log.values.value(call.argument),
        log.values.value(call.result),
    );
    let is_known = call.kind == Kind::Ok;
    let shows = |what: &Value| (!is_known || *what == result).then(|| state.clone());
    let with = |value: Value| {
        let mut list = state.as_array().cloned().unwrap_or_default();
        list.push(value);
        Some(Value::Array(list))
    };
    match (model, log.function(call)) {
        ("register", "write") => Some(argument),
        ("register", "cas") => (*state == argument[0]).then(|| argument[1].clone()),
        ("mutex", "acquire") => (*state != json!(true)).then_some(json!(true)),
        ("mutex", "release") => (*state == json!(true)).then_some(Value::Null),
        ("counter", "add") => Some(json!(state.as_i64().unwrap_or(0) + argument.as_i64()?)),
        ("counter", "read") => shows(&json!(state.as_i64().unwrap_or(0))),
        ("queue" | "list", "enqueue" | "append") => with(argument),
        ("queue", "dequeue") => {
            let mut items = state.as_array().cloned().unwrap_or_default();
            let front = if items.is_empty() {
                Value::Null
            } else {
                items.remove(0)
            };
            (!is_known || front == result).then_some(Value::Array(items))
        }
        ("list", "read") => shows(&Value::Array(state.as_array().cloned().unwrap_or_default())),
        ("set", "add") => {
            let mut elements = state.as_array().cloned().unwrap_or_default();
            if !elements.contains(&argument) {
                elements.push(argument);
            }
            elements.sort_by_key(ToString::to_string);
            Some(Value::Array(elements))
        }
        ("set", "read") => shows(&Value::Array(state.as_array().cloned().unwrap_or_default())),
        ("multi-register", "txn") => {
            let mut state = state.clone();
            let steps = if is_known { result } else { argument };
            for step in steps.as_array()? {
                let name = step[1].as_str()?;
                if step[0] == "w" {
                    state[name] = step[2].clone();
                } else if is_known && state[name] != step[2] {
                    return None;
                }
            }
            Some(state)
        }
        ("bank", "transfer") => {
            let mut state = state.clone();
            let amount = argument["amount"].as_i64()?;
            let (from, to) = (argument["from"].to_string(), argument["to"].to_string());
            let left = state[&from].as_i64()? - amount;
            if left < 0 {
                return None;
            }
            state[&from] = json!(left);
            state[&to] = json!(state[&to].as_i64()? + amount);
            Some(state)
        }
        ("bank", "read") => shows(state),
        (_, "read") => shows(state),
        _ => None,
    }
}

fn fits(model: &str, log: &CallLog, left: &mut Vec<&Call>, state: &Value) -> bool {
    let returned = |call: &Call| {
        if call.kind == Kind::Ok {
            call.end
        } else {
            NEVER
        }
    };
    if left.iter().all(|call| call.kind != Kind::Ok) {
        return true;
    }
    let deadline = left
        .iter()
        .map(|call| returned(call))
        .min()
        .unwrap_or(NEVER);
    for place in 0..left.len() {
        if left[place].invoke > deadline {
            continue;
        }
        if let Some(next) = naive(model, log, state, left[place]) {
            let call = left.remove(place);
            let found = fits(model, log, left, &next);
            left.insert(place, call);
            if found {
                return true;
            }
        }
    }
    false
}

fn has_order(model: &str, log: &CallLog) -> bool {
    let mut calls: Vec<&Call> = log
        .calls
        .iter()
        .filter(|call| call.kind != Kind::Fail)
        .collect();
    let initial = match model {
        "multi-register" => json!({}),
        "bank" => log.values.value(log.initial),
        _ => Value::Null,
    };
    fits(model, log, &mut calls, &initial)
}

/// A random argument and a likely result.
fn draw_call(model: &str, dice: &mut Dice, fresh: u64) -> (&'static str, Value, Value) {
    let small = |dice: &mut Dice| dice.roll(3);
    let list = |dice: &mut Dice, sorted: bool| {
        let mut list: Vec<u64> = (0..dice.roll(4)).map(|_| 1 + dice.roll(4)).collect();
        if sorted {
            list.sort_unstable();
            list.dedup();
        }
        json!(list)
    };
    match (model, dice.roll(2)) {
        ("register", 0) => ("read", Value::Null, json!(small(dice))),
        ("register", _) if dice.roll(2) == 0 => {
            let value = json!([small(dice), small(dice)]);
            ("cas", value.clone(), value)
        }
        ("register", _) => ("write", json!(fresh % 3), json!(fresh % 3)),
        ("mutex", 0) => ("acquire", Value::Null, Value::Null),
        ("mutex", _) => ("release", Value::Null, Value::Null),
        ("counter", 0) => ("read", Value::Null, json!(dice.roll(5))),
        ("counter", _) => ("add", json!(1 + dice.roll(2)), Value::Null),
        ("queue", 0) => ("enqueue", json!(fresh), Value::Null),
        ("queue", _) => {
            let seen = dice.roll(5);
            (
                "dequeue",
                Value::Null,
                if seen == 0 { Value::Null } else { json!(seen) },
            )
        }
        ("list", 0) => ("append", json!(fresh), Value::Null),
        ("list", _) => ("read", Value::Null, list(dice, false)),
        ("set", 0) => ("add", json!(1 + dice.roll(4)), Value::Null),
        ("set", _) => ("read", Value::Null, list(dice, true)),
        ("bank", 0) => {
            let (from, to) = if dice.roll(2) == 0 { (0, 1) } else { (1, 0) };
            let amount = 1 + dice.roll(2);
            (
                "transfer",
                json!({"from": from, "to": to, "amount": amount}),
                Value::Null,
            )
        }
        ("bank", _) => {
            let one = dice.roll(5);
            ("read", Value::Null, json!({"0": one, "1": 4 - one}))
        }
        (_, _) => {
            let steps: Vec<(bool, &str, u64)> = (0..1 + dice.roll(2))
                .map(|_| {
                    (
                        dice.roll(2) == 0,
                        ["x", "y"][dice.roll(2) as usize],
                        dice.roll(3),
                    )
                })
                .collect();
            let told = |read: bool| {
                let step = |(is_write, name, value): &(bool, &str, u64)| match (is_write, read) {
                    (true, _) => json!(["w", name, value]),
                    (false, true) if *value > 0 => json!(["r", name, value]),
                    (false, _) => json!(["r", name, null]),
                };
                Value::Array(steps.iter().map(step).collect())
            };
            ("txn", told(false), told(true))
        }
    }
}

/// A history of unrelated spans, with no more than a few things at the same time.
fn draw(model: &str, seed: u64) -> CallLog {
    let mut dice = Dice::new(seed.wrapping_mul(0x1_0000) ^ model.len() as u64);
    let count = 2 + dice.roll(6);
    let times = [6, 12, 30][seed as usize % 3];
    let mut events = Vec::new();
    for process in 0..count {
        let (one, other) = (dice.roll(times), dice.roll(times));
        let call = draw_call(model, &mut dice, 1 + process);
        let kind = match dice.roll(9) {
            0 => Kind::Info,
            1 if dice.roll(2) == 0 => Kind::Fail,
            _ => Kind::Ok,
        };
        events.push((one.min(other), 0, process, Kind::Invoke, call.clone()));
        events.push((one.max(other), 1, process, kind, call));
    }
    events.sort_by_key(|event| (event.0, event.1, event.2));
    let mut builder = viewstorm_history::CallLogBuilder::default();
    builder.log.model = Some(model.to_owned());
    builder.log.is_complete = true;
    if model == "bank" {
        builder.log.set_initial(&json!({"0": 2, "1": 2}));
    }
    for (time, _, process, kind, (f, argument, result)) in events {
        let value = if kind == Kind::Ok { &result } else { &argument };
        let value = builder.log.values.intern(value);
        let event = LogEvent {
            time,
            process,
            kind,
            f,
            key: None,
            value,
            order: None,
            observed: None,
            index: None,
            is_final: false,
        };
        builder.push(&event).expect("each process does one thing");
    }
    builder.finish()
}

fn judged(log: &CallLog, cross_check: bool) -> CheckResult {
    let options = CheckOptions {
        checks: vec!["linearizability".to_owned()],
        cross_check,
        ..CheckOptions::default()
    };
    check_log(log, &options)
        .expect("the model is there")
        .checks
        .remove(0)
}

/// Compares `count` random histories with trying all orders.
fn agrees(model: &str, count: u64) {
    let mut answers = [0; 2];
    for seed in 0..count {
        let log = draw(model, seed);
        let expected = has_order(model, &log);
        let result = judged(&log, seed % 2 == 0);
        answers[usize::from(expected)] += 1;
        match result.validity {
            Validity::Valid => assert!(expected, "seed {seed}: {log:#?}"),
            Validity::Invalid => {
                assert!(!expected, "seed {seed}: {result:#?} of {log:#?}");
                core_contradicts(model, &log, &result);
            }
            Validity::Unknown => {
                let reason = result.reason.unwrap_or_default();
                assert!(reason.contains("no operation"), "seed {seed}: {reason}");
                assert!(expected, "seed {seed}: {log:#?}");
            }
        }
    }
    let least = count / 50;
    assert!(
        answers.iter().all(|answer| *answer > least),
        "{model}: a lopsided draw: {answers:?}"
    );
}

/// The operations that an explanation names contradict each other without the others.
fn core_contradicts(model: &str, log: &CallLog, result: &CheckResult) {
    for violation in &result.violations {
        let mut few = log.clone();
        few.calls
            .retain(|call| violation.operations.contains(&call.index));
        assert!(!has_order(model, &few), "{violation:#?}");
    }
}

const EACH: u64 = 15_000;

#[test]
fn registers_agree_with_trying_all_orders() {
    agrees("register", EACH);
}

#[test]
fn mutexes_agree_with_trying_all_orders() {
    agrees("mutex", EACH);
}

#[test]
fn counters_agree_with_trying_all_orders() {
    agrees("counter", EACH);
}

#[test]
fn queues_agree_with_trying_all_orders() {
    agrees("queue", EACH);
}

#[test]
fn lists_agree_with_trying_all_orders() {
    agrees("list", EACH);
}

#[test]
fn sets_agree_with_trying_all_orders() {
    agrees("set", EACH);
}

#[test]
fn banks_agree_with_trying_all_orders() {
    agrees("bank", EACH);
}

#[test]
fn multi_registers_agree_with_trying_all_orders() {
    agrees("multi-register", EACH);
}

#[test]
fn a_state_that_is_changed_back_is_as_it_was() {
    fn walk<M: crate::model::Model>(log: &CallLog) {
        let groups = crate::partition::Groups::of(log, M::IS_KEYED);
        let partitions = crate::judge::partitions::<M>(log, &groups).expect("readable");
        for partition in &partitions {
            let model = &partition.model;
            let mut state = model.initial();
            let mut path = Vec::new();
            for operation in &partition.operations {
                let before = model.fingerprint(&state);
                match model.apply(&mut state, &operation.action) {
                    Some(undo) => path.push((before, operation, undo)),
                    None => assert_eq!(model.fingerprint(&state), before, "{operation:?}"),
                }
            }
            while let Some((before, operation, undo)) = path.pop() {
                model.undo(&mut state, &operation.action, undo);
                assert_eq!(model.fingerprint(&state), before, "{operation:?}");
            }
        }
    }
    for seed in 0..2_000 {
        walk::<super::Queue>(&draw("queue", seed));
        walk::<super::List>(&draw("list", seed));
        walk::<super::Set>(&draw("set", seed));
        walk::<super::Bank>(&draw("bank", seed));
        walk::<super::MultiRegister>(&draw("multi-register", seed));
        walk::<super::Counter>(&draw("counter", seed));
        walk::<super::Mutex>(&draw("mutex", seed));
    }
}
