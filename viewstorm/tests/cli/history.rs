//! Histories of other tools: `viewstorm check FILE`.

use crate::support::Home;

fn check(lines: &str, code: i32) -> String {
    let home = Home::new();
    std::fs::write(home.path().join("history.jsonl"), lines).unwrap();
    let ended = home.viewstorm(&[
        "check",
        "history.jsonl",
        "--model",
        "register",
        "--check",
        "linearizability",
    ]);
    let ended = ended.expect(code);
    ended.stdout + &ended.stderr
}

const WRITES: &str = r#"{"time":1,"process":0,"type":"invoke","f":"write","key":"x","value":1}
{"time":2,"process":0,"type":"ok","f":"write","key":"x","value":1}
{"time":3,"process":0,"type":"invoke","f":"write","key":"x","value":2}
{"time":4,"process":0,"type":"ok","f":"write","key":"x","value":2}
"#;

#[test]
fn a_linearizable_history_is_valid() {
    let read = r#"{"time":5,"process":1,"type":"invoke","f":"read","key":"x","value":null}
{"time":6,"process":1,"type":"ok","f":"read","key":"x","value":2}
"#;
    assert!(check(&format!("{WRITES}{read}"), 0).starts_with("valid"));
}

#[test]
fn a_stale_read_is_shown_with_the_operations_that_contradict_it() {
    let read = r#"{"time":5,"process":1,"type":"invoke","f":"read","key":"x","value":null}
{"time":6,"process":1,"type":"ok","f":"read","key":"x","value":1}
"#;
    let said = check(&format!("{WRITES}{read}"), 1);
    for part in ["invalid", "stale-read", "process 1"] {
        assert!(said.contains(part), "{part}: {said}");
    }
}

#[test]
fn a_malformed_line_is_named() {
    let said = check(&format!("{WRITES}{{\"time\":7,\"process\":}}\n"), 3);
    assert!(
        said.contains("history.jsonl") && said.contains("line 5"),
        "{said}"
    );
}

#[test]
fn an_empty_history_proves_nothing() {
    check("", 2);
}
