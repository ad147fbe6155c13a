use proptest::prelude::*;
use serde_json::{Map, json};
use viewstorm_history::{FORMAT_VERSION, Header, Kind, OperationEvent, ProcessId, Seed, Timestamp};

use super::*;
use crate::options::CHECKS;
use crate::testing::{history, honest_run, read, write};

fn header(model: &str) -> Header {
    Header {
        format: FORMAT_VERSION,
        experiment: "example".to_owned(),
        seed: Seed(1),
        model: model.to_owned(),
        extra: Map::new(),
    }
}

fn event(time: u64, process: u64, kind: Kind, f: &str, value: serde_json::Value) -> OperationEvent {
    OperationEvent {
        index: None,
        time: Timestamp(time),
        process: ProcessId(process),
        kind,
        f: f.to_owned(),
        key: None,
        value,
        intended: None,
        order: None,
        observed: None,
        extra: Map::new(),
    }
}

fn of(operations: Vec<OperationEvent>) -> History {
    History {
        operations,
        ..History::default()
    }
}

fn options(checks: &[&str]) -> CheckOptions {
    let checks = checks.iter().map(|check| (*check).to_owned()).collect();
    CheckOptions {
        checks,
        ..CheckOptions::default()
    }
}

#[test]
fn every_check_is_done_and_the_worst_counts() {
    let lines = honest_run(3, 4, 10, true);
    let verdict = check(&history(&lines), &CheckOptions::default()).unwrap();
    assert_eq!(verdict.validity, Validity::Valid, "{verdict:#?}");
    let names: Vec<_> = verdict
        .checks
        .iter()
        .map(|check| check.check.as_str())
        .collect();
    assert_eq!(names, CHECKS);

    let lines = [write(1, (1, 2), 7), read(2, (3, 4), 7)];
    let verdict = check(&history(&lines), &CheckOptions::default()).unwrap();
    let each: Vec<_> = verdict.checks.iter().map(|check| check.validity).collect();
    assert_eq!(each, [Validity::Valid, Validity::Unknown]);
    assert_eq!(verdict.validity, Validity::Unknown);
    let verdict = check(&history(&lines), &options(&["linearizability"])).unwrap();
    assert_eq!(verdict.validity, Validity::Valid);
}

#[test]
fn wrong_names_are_errors_before_anything_is_judged() {
    let good = history(&[write(1, (1, 2), 7)]);
    let unknown = check(&good, &options(&["durability", "speed"])).unwrap_err();
    assert_eq!(
        unknown,
        CheckError::UnknownCheck {
            name: "speed".to_owned()
        }
    );
    assert!(unknown.to_string().contains("linearizability, durability"));
    assert_eq!(
        check(&good, &options(&[])).unwrap_err(),
        CheckError::NothingToCheck
    );

    let queue = CheckOptions {
        model: Some("stack".to_owned()),
        ..CheckOptions::default()
    };
    let error = check(&good, &queue).unwrap_err();
    assert!(
        matches!(
            error,
            CheckError::UnknownModel {
                by: "the caller",
                ..
            }
        ),
        "{error}"
    );
    let mut headed = History::clone(&good);
    headed.header = Some(header("stack"));
    let error = check(&headed, &CheckOptions::default()).unwrap_err();
    assert!(
        error.to_string().contains("header") && error.to_string().contains("stack"),
        "{error}"
    );

    let foreign = of(vec![event(1, 1, Kind::Invoke, "push", json!(1))]);
    let error = check(&foreign, &CheckOptions::default()).unwrap_err();
    assert_eq!(
        error,
        CheckError::NoModelFits {
            f: "push".to_owned()
        }
    );
}

#[test]
fn what_is_no_history_is_unknown_and_says_why() {
    use Kind::{Fail, Info, Invoke, Ok};
    let null = || json!(null);
    let cases = [
        (
            vec![
                event(5, 1, Invoke, "read", null()),
                event(4, 1, Ok, "read", null()),
            ],
            "time runs backwards",
        ),
        (
            vec![
                event(1, 1, Invoke, "read", null()),
                event(2, 1, Invoke, "read", null()),
            ],
            "process 1 invokes again (event 1) before",
        ),
        (
            vec![
                event(1, 1, Invoke, "read", null()),
                event(2, 1, Info, "read", null()),
                event(3, 1, Invoke, "read", null()),
            ],
            "after an operation that ended info",
        ),
        (vec![event(1, 1, Fail, "read", null())], "did not invoke"),
        (
            vec![
                event(1, 1, Invoke, "read", null()),
                event(2, 1, Info, "read", null()),
                event(3, 1, Ok, "read", null()),
            ],
            "did not invoke",
        ),
        (
            vec![
                event(1, 1, Invoke, "read", null()),
                event(2, 1, Ok, "write", null()),
            ],
            "invoked read but event 1 ends write",
        ),
        (
            vec![event(1, 1, Invoke, "cas", json!(7))],
            "takes [expected, new]",
        ),
        (
            vec![
                event(1, 1, Invoke, "write", json!(7)),
                event(2, 1, Ok, "write", json!(8)),
            ],
            "write of 7 ended ok as one of 8",
        ),
    ];
    for (events, words) in cases {
        assert_unknown(of(events), words);
    }
    let mut foreign = of(vec![event(1, 1, Invoke, "push", json!(7))]);
    foreign.header = Some(header("register"));
    assert_unknown(foreign, "no \"push\"");
}

fn assert_unknown(history: History, words: &str) {
    let verdict = check(&history, &CheckOptions::default()).unwrap();
    assert_eq!(verdict.validity, Validity::Unknown);
    for result in verdict.checks {
        assert_eq!(result.validity, Validity::Unknown);
        let reason = result.reason.unwrap_or_default();
        assert!(reason.contains(words), "{reason}");
    }
}

#[test]
fn an_operation_without_an_end_may_have_happened() {
    let events = vec![
        event(1, 1, Kind::Invoke, "write", json!(7)),
        event(2, 2, Kind::Invoke, "read", json!(null)),
        event(3, 2, Kind::Ok, "read", json!(7)),
        event(4, 2, Kind::Invoke, "read", json!(null)),
    ];
    let mut cut = of(events);
    cut.header = Some(header("register"));
    let verdict = check(&cut, &options(&["linearizability"])).unwrap();
    assert_eq!(verdict.validity, Validity::Valid, "{verdict:#?}");
    let reason = verdict.checks[0].reason.clone().unwrap_or_default();
    assert!(reason.contains("cut off"), "{reason}");
}

#[test]
fn evidence_names_events_by_their_index_where_they_have_one() {
    let mut events = vec![
        event(1, 1, Kind::Invoke, "read", json!(null)),
        event(2, 1, Kind::Ok, "read", json!({"never": "written"})),
    ];
    for (place, event) in events.iter_mut().enumerate() {
        event.index = Some(40 + place as u64);
    }
    let verdict = check(&of(events), &options(&["linearizability"])).unwrap();
    let violation = &verdict.checks[0].violations[0];
    assert_eq!(violation.operations, [40]);
    assert_eq!(violation.key, None);
    assert!(
        violation.explanation.contains("{\"never\":\"written\"}"),
        "{}",
        violation.explanation
    );
}

fn any_value() -> impl Strategy<Value = serde_json::Value> {
    prop_oneof![
        4 => (0..4_u64).prop_map(|value| json!(value)),
        1 => Just(json!(null)),
        1 => Just(json!(-1.5)),
        1 => Just(json!("text")),
        3 => (0..4_u64, 0..4_u64).prop_map(|(expected, new)| json!([expected, new])),
        1 => Just(json!([null, 1])),
    ]
}

fn any_event() -> impl Strategy<Value = OperationEvent> {
    let kind = prop_oneof![
        Just(Kind::Invoke),
        Just(Kind::Ok),
        Just(Kind::Fail),
        Just(Kind::Info)
    ];
    let time = prop_oneof![9 => 0..20_u64, 1 => Just(u64::MAX)];
    let f = prop_oneof![Just("read"), Just("write"), Just("cas")];
    let key = prop_oneof![3 => Just(None), 1 => Just(Some("k".to_owned()))];
    let order = prop::option::of(0..6_u64);
    let observed = prop::option::weighted(0.2, any_value());
    let index = prop::option::weighted(0.1, 0..3_u64);
    (
        time,
        0..3_u64,
        kind,
        f,
        any_value(),
        key,
        (order, observed, index, any::<bool>()),
    )
        .prop_map(
            |(time, process, kind, f, value, key, (order, observed, index, is_final))| {
                let mut event = event(time, process, kind, f, value);
                if is_final {
                    event.extra.insert("final".to_owned(), json!(true));
                }
                OperationEvent {
                    key,
                    order,
                    observed,
                    index,
                    ..event
                }
            },
        )
}

/// Completions of what is open, so that some histories get beyond the first look.
fn any_history() -> impl Strategy<Value = Vec<OperationEvent>> {
    (
        prop::collection::vec(any_event(), 0..14),
        any::<bool>(),
        any::<bool>(),
    )
        .prop_map(|(mut events, sorts, pairs)| {
            if sorts {
                events.sort_by_key(|event| event.time);
            }
            if pairs {
                let mut open: std::collections::BTreeMap<ProcessId, OperationEvent> =
                    Default::default();
                for event in &mut events {
                    match open.remove(&event.process) {
                        Some(invoke) => {
                            event.f.clone_from(&invoke.f);
                            event.key.clone_from(&invoke.key);
                            if event.kind == Kind::Invoke {
                                event.kind = Kind::Ok;
                            }
                            if event.f != "read" {
                                event.value = invoke.value;
                            }
                        }
                        None => {
                            event.kind = Kind::Invoke;
                            open.insert(event.process, event.clone());
                        }
                    }
                }
            }
            events
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_sequence_of_events_makes_it_panic_or_say_valid_of_nothing(events in any_history()) {
        let verdict = check(&of(events), &CheckOptions::default()).unwrap();
        for result in &verdict.checks {
            prop_assert!(result.validity != Validity::Valid || result.judged > 0);
            prop_assert!(result.validity != Validity::Unknown || result.reason.is_some());
            prop_assert_eq!(
                result.validity == Validity::Invalid,
                !result.violations.is_empty(),
                "{:#?}", result
            );
        }
    }
}
