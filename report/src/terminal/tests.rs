use viewstorm_checker::Validity;

use super::*;
use crate::sample;

fn lines(results: &Results) -> String {
    closing_lines(results, Path::new("runs/sample/report.html"), false)
}

#[test]
fn a_valid_run() {
    insta::assert_snapshot!(lines(&sample::valid()));
}

#[test]
fn an_invalid_run() {
    insta::assert_snapshot!(lines(&sample::invalid()));
}

#[test]
fn an_empty_run() {
    insta::assert_snapshot!(lines(&sample::empty()));
}

#[test]
fn an_expected_violation() {
    let mut results = sample::invalid();
    results.outcome = sample::outcome(Validity::Invalid, Validity::Invalid);
    results.outcome.expected.property = Some("linearizability".to_owned());
    let lines = lines(&results);
    assert!(
        lines.starts_with("INVALID sample, seed 42 (as expected: invalid of linearizability)\n"),
        "{lines}"
    );
}

#[test]
fn the_verdict_is_first_and_the_report_last_whatever_the_run_holds() {
    for results in [
        sample::valid(),
        sample::invalid(),
        sample::empty(),
        sample::hostile(),
    ] {
        let lines = lines(&results);
        let verdict = results.outcome.validity.to_string().to_uppercase();
        assert!(lines.starts_with(&verdict), "{lines}");
        assert!(lines.ends_with("runs/sample/report.html\n"), "{lines}");
        assert!(lines.lines().all(|line| line == line.trim_end()), "{lines}");
    }
}

#[test]
fn colour_is_added_only_when_asked_for_and_adds_nothing_else() {
    for results in [sample::valid(), sample::invalid(), sample::empty()] {
        let colored = closing_lines(&results, Path::new("runs/sample/report.html"), true);
        assert!(colored.starts_with("\u{1b}["));
        let mut plain = colored;
        for style in [RESET, BOLD, DIM, RED, GREEN, YELLOW] {
            plain = plain.replace(style, "");
        }
        assert_eq!(plain, lines(&results));
        assert!(!plain.contains('\u{1b}'));
    }
}

#[test]
fn foreign_text_steers_no_terminal() {
    let lines = lines(&sample::hostile());
    assert!(
        lines
            .chars()
            .all(|character| character == '\n' || !character.is_control())
    );
}

#[test]
fn many_reservations_are_counted() {
    let mut results = sample::valid();
    results.reservations = (0..20).map(|number| format!("number {number}")).collect();
    let lines = lines(&results);
    assert!(lines.contains("number 7\n"));
    assert!(!lines.contains("number 8\n"));
    assert!(lines.contains("and 12 more, see the report\n"));
}
