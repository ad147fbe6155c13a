use proptest::prelude::*;
use roxmltree::{Document, Node};

use super::*;
use crate::sample;

#[test]
fn a_valid_run() {
    insta::assert_snapshot!(junit(&sample::valid()));
}

#[test]
fn an_invalid_run() {
    insta::assert_snapshot!(junit(&sample::invalid()));
}

/// The cases by name, each with what it came to.
fn cases(xml: &str) -> Vec<(String, String)> {
    let document = Document::parse(xml).unwrap();
    let cases = document
        .descendants()
        .filter(|node| node.has_tag_name("testcase"));
    let status = |node: Node<'_, '_>| {
        let status = node.children().find(|child| {
            ["failure", "error", "skipped"]
                .iter()
                .any(|name| child.has_tag_name(*name))
        });
        status.map_or("success".to_owned(), |status| {
            status.tag_name().name().to_owned()
        })
    };
    cases
        .map(|node| (node.attribute("name").unwrap().to_owned(), status(node)))
        .collect()
}

fn came(results: &Results) -> Vec<(String, String)> {
    cases(&junit(results))
}

fn pair(name: &str, status: &str) -> (String, String) {
    (name.to_owned(), status.to_owned())
}

#[test]
fn what_is_invalid_fails_and_what_is_unknown_is_an_error() {
    assert_eq!(
        came(&sample::invalid()),
        [
            pair("linearizability", "failure"),
            pair("durability", "error"),
            pair("faults confirmed", "error"),
            pair("bound: recovery", "failure"),
            pair("bound: outage", "skipped"),
            pair("reservations", "error"),
            pair("verdict as expected", "failure"),
        ]
    );
}

#[test]
fn nothing_fails_in_a_run_that_ended_as_expected() {
    let mut results = sample::invalid();
    results.outcome = sample::outcome(Validity::Invalid, Validity::Invalid);
    let cases = came(&results);
    assert_eq!(cases[0], pair("linearizability", "success"));
    assert!(
        cases
            .iter()
            .all(|(_, status)| status == "success" || status == "skipped"),
        "{cases:?}"
    );
    assert!(junit(&results).contains("violated, as the plan expects"));
}

#[test]
fn an_expected_violation_that_did_not_come_fails() {
    let mut results = sample::valid();
    results.outcome = sample::outcome(Validity::Valid, Validity::Invalid);
    assert_eq!(
        came(&results).last(),
        Some(&pair("verdict as expected", "failure"))
    );
}

#[test]
fn an_empty_run_has_cases_and_does_not_pass() {
    assert_eq!(
        came(&sample::empty()),
        [
            pair("faults confirmed", "success"),
            pair("verdict as expected", "error")
        ]
    );
}

#[test]
fn the_suite_names_seed_commit_and_world() {
    let xml = junit(&sample::valid());
    let document = Document::parse(&xml).unwrap();
    let property = |name: &str| {
        let is_it = |node: &Node<'_, '_>| node.attribute("name") == Some(name);
        let node = document.descendants().find(is_it)?;
        node.attribute("value").map(str::to_owned)
    };
    assert_eq!(property("seed").as_deref(), Some("42"));
    assert_eq!(property("commit").as_deref(), Some("0123456789ab"));
    assert_eq!(property("world").as_deref(), Some("processes"));
}

#[test]
fn hostile_text_leaves_valid_xml() {
    let xml = junit(&sample::hostile());
    let document = Document::parse(&xml).unwrap();
    let failure = document
        .descendants()
        .find(|node| node.has_tag_name("failure"))
        .unwrap();
    let message = failure.attribute("message").unwrap();
    assert!(
        message.starts_with("</script><b>&amp; \"x\" | `y` ``` ]]> <!--"),
        "{message}"
    );
}

proptest! {
    #[test]
    fn any_text_leaves_valid_xml(text in any::<String>()) {
        let mut results = sample::invalid();
        results.run.experiment = text.clone();
        results.verdict.checks[0].check = text.clone();
        results.verdict.checks[0].violations[0].explanation = text.clone();
        results.faults[1].failure = Some(text.clone());
        results.reproduce = vec![text];
        let xml = junit(&results);
        prop_assert!(Document::parse(&xml).is_ok(), "{}", xml);
    }
}
