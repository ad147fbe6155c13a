use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::{CallLog, Kind};

fn read(text: &str) -> CallLog {
    CallLog::read_edn(text, EdnOptions::default()).unwrap()
}

const LINES: &str = r#"
{:process :nemesis, :type :info, :f :start, :value nil}
{:type :invoke, :f :read, :value nil, :process 0, :time 10, :index 0}
{:type :invoke, :f :write, :value 3, :process 1, :time 10, :index 1} ; a comment
{:type :ok, :f :write, :value 3, :process 1, :time 12}
#_ {:discarded true}
#jepsen.history.Op{:type :info, :f :read, :value nil, :process 0, :time 13, :error :timeout}
"#;

#[test]
fn one_map_a_line_and_one_vector_are_read_alike() {
    let lines = read(LINES);
    let vector = read(&format!("[{LINES}]"));
    assert_eq!(lines, vector);
    assert_eq!(lines.calls.len(), 2);
    let [one, other] = [&lines.calls[0], &lines.calls[1]];
    assert_eq!(
        (lines.function(one), one.kind, one.invoke),
        ("read", Kind::Info, 10)
    );
    assert_eq!(
        (other.invoke, other.end),
        (11, 12),
        "the order of events is kept"
    );
    assert!(!lines.is_untimed);
}

#[test]
fn without_times_events_are_counted() {
    let log = read(
        "({:type :invoke, :f :acquire, :process 0} {:type :ok :f :acquire :process 0 :value nil})",
    );
    assert!(log.is_untimed);
    assert!(log.calls[0].invoke < log.calls[0].end);
}

#[test]
fn keys_of_independent_histories_are_found() {
    let log = read(
        "{:type :invoke, :f :read, :value [7 nil], :process 0}
         {:type :invoke, :f :cas, :value [:x [1 2]], :process 1}
         {:type :ok, :f :read, :value [7 5], :process 0}
         {:type :fail, :f :cas, :value [:x [1 2]], :process 1}",
    );
    let [one, other] = [&log.calls[0], &log.calls[1]];
    assert_eq!((log.key(one), log.key(other)), (Some("7"), Some("x")));
    assert_eq!(log.values.value(one.result), json!(5));
    assert_eq!(log.values.value(other.argument), json!([1, 2]));
    let plain = read(
        "{:type :invoke, :f :cas, :value [1 2], :process 1}
         {:type :invoke, :f :read, :value nil, :process 0}",
    );
    assert_eq!(plain.key(&plain.calls[0]), None);
}

#[test]
fn values_of_all_kinds_are_read() {
    let log = read(
        "{:type :invoke, :f :txn, :process 0,
          :value [[:append :x 1] [:r \"y\" nil] #{3} {:a -1.5, 2 true} sym 7N \\a #inst \"2020\"]}",
    );
    let expected = json!([
        ["append", "x", 1], ["r", "y", null], [3], {"a": -1.5, "2": true}, "sym", 7, "\\a", "2020"
    ]);
    assert_eq!(log.values.value(log.calls[0].argument), expected);
}

#[test]
fn mistakes_are_named_with_line_and_column() {
    let cases = [
        ("{:type :ok", "line 1, column 1", "not closed"),
        ("\n  {:type :ok :f}", "line 2, column 3", "without a value"),
        (
            "[{:process 0 :type :invoke :f :read}",
            "line 1",
            "not closed",
        ),
        ("{:process 0 :f :read}", "line 1, column 1", ":type"),
        ("{:process 0 :type :maybe :f :read}", "line 1", ":invoke"),
        ("{:type :ok :f :read}", "line 1", ":process"),
        ("7", "line 1, column 1", "expected an operation"),
        (
            "{:process 0 :type :invoke :f :read}\n{:process 0 :type :invoke :f :read}",
            "line 2, column 1",
            "invokes again",
        ),
        (
            "{:process 0 :type :invoke :f \"\\q\"}",
            "line 1",
            "no such escape",
        ),
        ("]", "line 1", "nothing is open"),
    ];
    for (text, place, words) in cases {
        let error = CallLog::read_edn(text, EdnOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains(place) && error.contains(words),
            "{text:?}: {error}"
        );
    }
    let deep = "[".repeat(100_000);
    assert!(CallLog::read_edn(&format!("{{:a {deep}"), EdnOptions::default()).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn no_text_makes_it_panic(text in r#"[\[\](){}#_:"\\;a1, \n-]{0,40}"#) {
        drop(CallLog::read_edn(&text, EdnOptions::default()));
    }

    #[test]
    fn no_change_of_a_byte_makes_it_panic(at in 0..LINES.len(), byte in any::<u8>()) {
        let mut bytes = LINES.as_bytes().to_vec();
        bytes[at] = byte;
        drop(CallLog::read_edn(&String::from_utf8_lossy(&bytes), EdnOptions::default()));
    }
}

#[test]
fn what_is_written_is_read_back() {
    let text = concat!(
        r#"{"time":1,"process":0,"type":"invoke","f":"cas","key":"a \"b\"","value":[null,2]}"#,
        "\n",
        r#"{"time":1,"process":1,"type":"invoke","f":"read","key":"k","final":true}"#,
        "\n",
        r#"{"time":5,"process":0,"type":"fail","f":"cas","key":"a \"b\"","value":[null,2],"observed":9}"#,
        "\n",
        r#"{"time":5,"process":0,"type":"invoke","f":"read","key":"k"}"#,
        "\n",
        r#"{"time":6,"process":1,"type":"ok","f":"read","key":"k","value":{"x":["\u0001é"]},"order":4}"#,
        "\n",
    );
    let log = CallLog::read_jsonl(text.as_bytes()).unwrap();
    let mut edn = Vec::new();
    write_edn(&log, &mut edn).unwrap();
    let edn = String::from_utf8(edn).unwrap();
    let back = CallLog::read_edn(&edn, EdnOptions { keyed: Some(true) }).unwrap();
    assert_eq!(back.calls.len(), 3, "{edn}");
    for (one, other) in log.calls.iter().zip(&back.calls) {
        assert_eq!(log.function(one), back.function(other));
        assert_eq!(log.key(one), back.key(other));
        assert_eq!(
            log.values.value(one.argument),
            back.values.value(other.argument),
            "{edn}"
        );
        assert_eq!(
            log.values.value(one.result),
            back.values.value(other.result)
        );
        assert_eq!(
            (one.kind, one.order(), one.is_final()),
            (other.kind, other.order(), other.is_final())
        );
        assert_eq!(one.observed().is_some(), other.observed().is_some());
    }
}
