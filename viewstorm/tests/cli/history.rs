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

const EDN: &str = "{:type :invoke, :f :write, :value 1, :process 0}
{:type :ok, :f :write, :value 1, :process 0}
{:type :invoke, :f :cas, :value [1 2], :process 1}
{:type :info, :f :cas, :value [1 2], :process 1}
{:type :invoke, :f :read, :value nil, :process 0}
{:type :ok, :f :read, :value 2, :process 0}
";

#[test]
fn histories_in_edn_are_judged_alone_and_many_at_a_time() {
    let home = Home::new();
    std::fs::create_dir(home.path().join("many")).unwrap();
    std::fs::write(home.path().join("many/good.edn"), EDN).unwrap();
    let ended = home
        .viewstorm(&["check", "many/good.edn", "--cross-check"])
        .expect(0);
    assert!(
        ended.stdout.contains("judged by zones, search"),
        "{}",
        ended.stdout
    );
    let bad = EDN.replace(":ok, :f :read, :value 2", ":ok, :f :read, :value nil");
    std::fs::write(home.path().join("many/bad.edn"), format!("[{bad}]")).unwrap();
    let ended = home.viewstorm(&["check", "many"]).expect(1);
    for part in [
        "many/good.edn: valid",
        "many/bad.edn: invalid",
        "1 valid, 1 invalid",
    ] {
        assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
    }
    std::fs::write(home.path().join("many/broken.edn"), "{:type :ok\n :f}").unwrap();
    let ended = home.viewstorm(&["check", "many", "--json"]).expect(3);
    assert!(
        ended.stderr.contains("broken.edn: line 1, column 1"),
        "{}",
        ended.stderr
    );
    let list: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(list.as_array().map(Vec::len), Some(3), "{list}");
}

#[test]
fn a_history_is_exported_and_judged_alike() {
    let home = Home::new();
    std::fs::write(home.path().join("history.jsonl"), WRITES).unwrap();
    let export = ["check", "history.jsonl", "--to-edn", "history.edn"];
    home.viewstorm(&export).expect(2);
    home.viewstorm(&["check", "history.edn"]).expect(2);
    // What is there is not overwritten.
    home.viewstorm(&export).expect(3);
}

#[test]
fn other_models_are_known_by_their_operations_or_by_name() {
    let home = Home::new();
    let queue = "{:type :invoke, :f :dequeue, :process 0}
        {:type :ok, :f :dequeue, :value 7, :process 0}";
    std::fs::write(home.path().join("queue.edn"), queue).unwrap();
    let ended = home.viewstorm(&["check", "queue.edn"]).expect(1);
    assert!(
        ended.stdout.contains("D1 = dequeue() = 7"),
        "{}",
        ended.stdout
    );
    home.viewstorm(&["check", "queue.edn", "--initial", "[7]"])
        .expect(0);
    let ended = home
        .viewstorm(&["check", "queue.edn", "--model", "stack"])
        .expect(3);
    assert!(ended.stderr.contains("multi-register"), "{}", ended.stderr);
}
