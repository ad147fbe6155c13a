use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;
use crate::{
    End, Entry, FORMAT_VERSION, Header, History, HistoryWriter, Kind, OperationEvent, ProcessId,
    ReadError, Seed, Timestamp,
};

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => (0..9_u64).prop_map(|n| json!(n)),
        1 => Just(Value::Null),
        1 => any::<i64>().prop_map(|n| json!(n)),
        1 => any::<u64>().prop_map(|n| json!(n)),
        1 => Just(json!(1.5)),
        1 => Just(json!(true)),
        1 => "[a-z\"\\\\é\n]{0,4}".prop_map(|text| json!(text)),
    ];
    leaf.prop_recursive(3, 12, 6, |inner| {
        prop_oneof![
            3 => prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            1 => prop::collection::btree_map("[a-c]", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

/// Events of a few processes, one thing at a time each.
fn any_events() -> impl Strategy<Value = Vec<OperationEvent>> {
    let one = (
        0..4_u64,
        0..3_u64,
        any_value(),
        0..4_u8,
        any::<(bool, bool, bool)>(),
    );
    prop::collection::vec(one, 0..24).prop_map(|drawn| {
        let mut open: std::collections::BTreeMap<u64, (String, Option<String>)> =
            Default::default();
        let mut lost = std::collections::BTreeSet::new();
        let mut time = 0;
        let mut events = Vec::new();
        for (process, wait, value, kind, (one, other, third)) in drawn {
            if lost.contains(&process) {
                continue;
            }
            time += wait;
            let (kind, (f, key)) = match open.remove(&process) {
                Some(begun) => (
                    [Kind::Ok, Kind::Ok, Kind::Fail, Kind::Info][kind as usize],
                    begun,
                ),
                None => {
                    let f = if one { "read" } else { "odd \"name\"" }.to_owned();
                    let begun = (f, other.then(|| format!("k{kind}")));
                    open.insert(process, begun.clone());
                    (Kind::Invoke, begun)
                }
            };
            if kind == Kind::Info {
                lost.insert(process);
            }
            let mut extra = Map::new();
            if third && kind == Kind::Invoke {
                extra.insert("final".to_owned(), json!(true));
            }
            let ends = kind != Kind::Invoke;
            events.push(OperationEvent {
                index: Some(events.len() as u64),
                time: Timestamp(time),
                process: ProcessId(process),
                kind,
                f,
                key,
                value: value.clone(),
                intended: third.then_some(Timestamp(time)),
                order: (ends && one).then_some(time),
                observed: (kind == Kind::Fail && other).then_some(value),
                extra,
            });
        }
        events
    })
}

fn written(events: &[OperationEvent]) -> Vec<u8> {
    let header = Header {
        format: FORMAT_VERSION,
        experiment: "example".into(),
        seed: Seed(7),
        model: "register".into(),
        extra: Map::new(),
    };
    let mut writer = HistoryWriter::new(Vec::new(), &header).unwrap();
    for event in events {
        writer.entry(&Entry::Operation(event.clone())).unwrap();
    }
    let end = End {
        time: Timestamp::MAX,
        interrupted: None,
        extra: Map::new(),
    };
    writer.end(&end).unwrap()
}

/// The values themselves, since two logs may number them differently.
pub(crate) fn plain(log: &CallLog) -> Vec<String> {
    let words = |call: &Call| {
        let value = |datum| log.values.value(datum);
        format!(
            "{} {:?} {} [{}, {}] {} -> {} {:?} {:?} {:?} {} #{}",
            log.function(call),
            log.key(call),
            call.process,
            call.invoke,
            call.end,
            value(call.argument),
            value(call.result),
            call.kind,
            call.order(),
            call.observed().map(value),
            call.is_final(),
            call.index,
        )
    };
    log.calls.iter().map(words).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn both_readers_read_the_same(events in any_events()) {
        let bytes = written(&events);
        let direct = CallLog::read_jsonl(bytes.as_slice()).unwrap();
        let history = History::read(bytes.as_slice()).unwrap();
        let by_history = CallLog::of(&history).unwrap();
        prop_assert_eq!(plain(&direct), plain(&by_history));
        prop_assert_eq!(direct.is_complete, by_history.is_complete);
        prop_assert_eq!(direct.model, by_history.model);
    }

    #[test]
    fn a_value_and_its_number_are_one(values in prop::collection::vec(any_value(), 0..40)) {
        let mut table = Values::default();
        let numbers: Vec<Datum> = values.iter().map(|value| table.intern(value)).collect();
        for (value, number) in values.iter().zip(&numbers) {
            prop_assert_eq!(&table.value(*number), value);
            for (other, its) in values.iter().zip(&numbers) {
                prop_assert_eq!(value == other, number == its);
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused_with_a_place(
        events in any_events(), cut in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let mut bytes = written(&events);
        let at = cut.index(bytes.len());
        bytes[at] = byte;
        let (direct, general) = (CallLog::read_jsonl(bytes.as_slice()), History::read(bytes.as_slice()));
        match (direct, general) {
            (Ok(direct), Ok(general)) => {
                let general = CallLog::of(&general);
                prop_assert!(general.is_ok(), "{:?}", general);
                prop_assert_eq!(plain(&direct), plain(&general.unwrap()));
            }
            (Err(ReadError::Pair { .. }), Ok(general)) => {
                prop_assert!(CallLog::of(&general).is_err());
            }
            (Err(direct), Err(general)) => prop_assert_eq!(direct.to_string(), general.to_string()),
            (direct, general) => prop_assert!(false, "{:?} but {:?}", direct, general),
        }
    }
}

#[test]
fn errors_name_line_and_column() {
    let good = "{\"time\":1,\"process\":0,\"type\":\"invoke\",\"f\":\"read\"}\n";
    let broken = format!("{good}  {{\"time\":1,\"process\":0,,\n");
    let error = CallLog::read_jsonl(broken.as_bytes())
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2, column 25"), "{error}");
    let twice = format!("{good}{good}");
    let error = CallLog::read_jsonl(twice.as_bytes())
        .unwrap_err()
        .to_string();
    assert!(error.contains("line 2: process 0 invokes again"), "{error}");
}
