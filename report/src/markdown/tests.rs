use proptest::prelude::*;

use super::*;
use crate::sample;

const ORIGIN: Timestamp = Timestamp(1_000_000_000);

#[test]
fn a_valid_run() {
    insta::assert_snapshot!(markdown(&sample::valid(), ORIGIN));
}

#[test]
fn an_invalid_run() {
    insta::assert_snapshot!(markdown(&sample::invalid(), ORIGIN));
}

#[test]
fn an_empty_run() {
    insta::assert_snapshot!(markdown(&sample::empty(), Timestamp::ZERO));
}

/// How many cells the line of a table has: an escaped bar is none.
fn cells(line: &str) -> usize {
    line.replace("\\\\", "")
        .replace("\\|", "")
        .matches('|')
        .count()
        - 1
}

/// Every line of a table has as many cells as its first.
fn assert_tables_keep_their_shape(document: &str) {
    let mut columns = None;
    let mut tables = 0;
    let mut is_code = false;
    for line in document.lines() {
        is_code ^= line.starts_with("```");
        if is_code || !line.starts_with('|') {
            columns = None;
            continue;
        }
        tables += usize::from(columns.is_none());
        assert_eq!(
            *columns.get_or_insert(cells(line)),
            cells(line),
            "{line}\nin\n{document}"
        );
    }
    assert!(tables >= 4, "{document}");
}

#[test]
fn tables_keep_their_shape_whatever_they_hold() {
    let document = markdown(&sample::hostile(), ORIGIN);
    assert_tables_keep_their_shape(&document);
    assert!(
        document
            .chars()
            .all(|character| character == '\n' || !character.is_control())
    );
}

#[test]
fn a_fence_is_longer_than_any_in_its_text() {
    assert_eq!(fenced("text", "a ```` b"), "`````text\na ```` b\n`````\n");
    assert_eq!(fenced("sh", "ls"), "```sh\nls\n```\n");
}

#[test]
fn long_tables_are_cut_and_say_so() {
    let mut results = sample::valid();
    results.faults = vec![results.faults[0].clone(); 130];
    let document = markdown(&results, ORIGIN);
    assert_eq!(document.matches("| partition |").count(), MAX_ROWS);
    assert!(document.contains("and 30 more, see `results.json`."));
}

proptest! {
    #[test]
    fn any_name_stays_in_its_cell(name in any::<String>()) {
        let mut results = sample::invalid();
        results.faults[0].name = name.clone();
        results.verdict.checks[0].check = name.clone();
        results.phases[0].name = name;
        assert_tables_keep_their_shape(&markdown(&results, ORIGIN));
    }
}
