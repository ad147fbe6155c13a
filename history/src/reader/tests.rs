use serde_json::json;

use super::*;
use crate::{HistoryWriter, Kind, ProcessId, Seed, Stage, Timestamp};

fn header() -> Header {
    Header {
        format: FORMAT_VERSION,
        experiment: "example".into(),
        seed: Seed(7),
        model: "register".into(),
        extra: Map::new(),
    }
}

fn operation(time: u64, kind: Kind, value: Value) -> OperationEvent {
    OperationEvent {
        index: None,
        time: Timestamp(time),
        process: ProcessId(3),
        kind,
        f: "cas".into(),
        key: Some("k4".into()),
        value,
        intended: Some(Timestamp(time)),
        order: None,
        observed: None,
        extra: Map::new(),
    }
}

fn written() -> (History, Vec<u8>) {
    let mut writer = HistoryWriter::new(Vec::new(), &header()).unwrap();
    let mut operations = vec![
        operation(1, Kind::Invoke, json!([17, 18])),
        operation(9, Kind::Fail, json!([17, 18])),
    ];
    operations[1].observed = Some(Value::Null);
    operations[1].order = Some(412);
    operations[1]
        .extra
        .insert("later".into(), json!({"kept": true}));
    let mut fault = FaultEvent {
        index: None,
        time: Timestamp(5),
        fault: 0,
        f: "partition".into(),
        stage: Stage::Inject,
        value: json!({"shape": "halves"}),
        extra: Map::new(),
    };
    writer.operation(&mut operations[0]).unwrap();
    writer.fault(&mut fault).unwrap();
    writer.operation(&mut operations[1]).unwrap();
    let end = End {
        time: Timestamp(10),
        interrupted: None,
        extra: Map::new(),
    };
    let bytes = writer.end(&end).unwrap();
    let history = History {
        header: Some(header()),
        operations,
        faults: vec![fault],
        end: Some(end),
    };
    (history, bytes)
}

#[test]
fn what_is_written_is_read_back_with_unknown_fields() {
    let (history, bytes) = written();
    assert_eq!(History::read(bytes.as_slice()).unwrap(), history);
}

#[test]
fn a_history_cut_anywhere_keeps_its_whole_lines_and_says_it_is_incomplete() {
    let (history, bytes) = written();
    let first_line = bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    for cut in first_line..bytes.len() - 1 {
        let read = History::read(&bytes[..cut]).unwrap();
        assert!(!read.is_complete(), "cut at {cut}");
        let lines = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
        let events = read.operations.len() + read.faults.len();
        assert!(events == lines - 1 || events == lines, "cut at {cut}");
        assert!(
            history.operations.starts_with(&read.operations),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_foreign_history_needs_neither_header_nor_end_nor_index() {
    let text = br#"{"time":1,"process":0,"type":"invoke","f":"read","key":"x","value":null}
{"time":2,"process":0,"type":"ok","f":"read","key":"x","value":3}"#;
    let history = History::read(text.as_slice()).unwrap();
    assert_eq!(history.operations.len(), 2);
    assert!(history.is_complete());
}

#[test]
fn errors_name_the_line_and_the_text() {
    let cases = [
        ("{\"time\":1}\n", "line 1", "process"),
        ("\n\nnonsense\n", "line 3", "nonsense"),
        (
            "{\"process\":1,\"time\":-4,\"type\":\"ok\",\"f\":\"read\"}\n",
            "line 1",
            "-4",
        ),
        (
            "{\"process\":1,\"time\":4,\"type\":\"maybe\",\"f\":\"read\"}\n",
            "line 1",
            "maybe",
        ),
        (
            "{\"process\":\"end\",\"time\":4}\n{\"process\":\"end\",\"time\":4}\n",
            "line 2",
            "after",
        ),
        (
            "{\"process\":\"header\",\"format\":99,\"experiment\":\"\",\"seed\":1,\"model\":\"\"}\n",
            "line 1",
            "99",
        ),
    ];
    for (text, place, word) in cases {
        let error = History::read(text.as_bytes()).unwrap_err().to_string();
        assert!(
            error.contains(place) && error.contains(word),
            "{text:?} gave: {error}"
        );
    }
    let back = "{\"time\":5,\"process\":0,\"type\":\"invoke\",\"f\":\"read\"}\n\
                {\"time\":4,\"process\":0,\"type\":\"ok\",\"f\":\"read\"}\n";
    let error = History::read(back.as_bytes()).unwrap_err().to_string();
    assert!(
        error.contains("line 2") && error.contains("4 ns"),
        "{error}"
    );
}
