//! `junit.xml`: a run as a test suite, for the pages that CI systems make of such files.
//!
//! One case for each check, one for the confirmation of the faults, one for each bound and one for
//! the reservations. How they end follows the run's exit code, so that a page and a job never
//! disagree:
//!
//! - what is invalid is a *failure*, with the explanation;
//! - what is unknown is an *error*, not *skipped*: CI pages show a skipped case as harmless, and a
//!   run that proves nothing is not;
//! - in a run that ended as its plan expects nothing fails: an expected violation is a success that
//!   tells its story in the output, and what else was found is *skipped* with a message;
//! - a missed bound that is not judged is *skipped* with a message.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use viewstorm_checker::{CheckResult, Validity};

use crate::summary;
use crate::{Bound, Results, text, units};

/// The most violations of a check whose explanations are told.
const MAX_VIOLATIONS: usize = 10;

/// The file.
pub(crate) fn junit(results: &Results) -> String {
    let mut suite = TestSuite::new(text::one_line(&results.run.experiment));
    suite.set_time(Duration::from_nanos(results.run.duration_ns));
    suite.add_properties(properties(results));
    let as_expected = results.outcome.as_expected;
    suite.add_test_cases(
        results
            .verdict
            .checks
            .iter()
            .map(|check| check_case(check, as_expected)),
    );
    suite.add_test_case(faults_case(results));
    suite.add_test_cases(
        results
            .bounds
            .iter()
            .map(|bound| bound_case(bound, as_expected)),
    );
    if !results.reservations.is_empty() {
        let story = results.reservations.join("\n");
        suite.add_test_case(shortcoming_case(
            "reservations",
            "reservations",
            &story,
            as_expected,
        ));
    }
    if results.outcome.expected.validity != Validity::Valid || !as_expected {
        suite.add_test_case(expectation_case(results));
    }
    for case in &mut suite.test_cases {
        case.set_classname(text::one_line(&results.run.experiment));
    }
    let mut report = Report::new("viewstorm");
    report.set_time(Duration::from_nanos(results.run.duration_ns));
    report.add_test_suite(suite);
    report
        .to_string()
        .expect("a string takes every write, and the text is valid")
}

fn properties(results: &Results) -> Vec<Property> {
    let run = &results.run;
    let mut properties = vec![
        ("verdict", results.outcome.validity.to_string()),
        ("seed", run.seed.to_string()),
        ("world", run.world.clone()),
        ("protocol", run.protocol.clone()),
        ("replicas", run.replicas.to_string()),
        ("clients", run.clients.to_string()),
        ("version", run.version.clone()),
        ("started", run.started.clone()),
        ("exit-code", results.outcome.exit.code.to_string()),
    ];
    if let Some(commit) = &run.commit {
        properties.push(("commit", commit.clone()));
    }
    properties.extend(
        results
            .reproduce
            .iter()
            .map(|command| ("reproduce", command.clone())),
    );
    let clean = |(name, value): (&str, String)| Property::new(name, text::one_line(&value));
    properties.into_iter().map(clean).collect()
}

fn check_case(check: &CheckResult, as_expected: bool) -> TestCase {
    let name = text::one_line(&check.check);
    // What was judged are operations, events or processes, as the check implies.
    let algorithms = check.algorithms.join(", ");
    let facts = format!("judged: {}, by: {algorithms}", units::count(check.judged));
    let reason = check.reason.clone().unwrap_or_default();
    match check.validity {
        Validity::Valid => told(
            TestCase::new(name, TestCaseStatus::success()),
            &[&facts, &reason],
        ),
        Validity::Unknown => {
            let reason = check.reason.as_deref().unwrap_or("could not be decided");
            told(
                shortcoming_case(&name, "unknown", reason, as_expected),
                &[&facts],
            )
        }
        Validity::Invalid => {
            let story = explanations(check);
            if as_expected {
                let case = TestCase::new(name, TestCaseStatus::success());
                return told(
                    case,
                    &["violated, as the plan expects", &facts, &reason, &story],
                );
            }
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            let first = check.violations.first();
            let class = first.map_or("invalid", |violation| &violation.class);
            status.set_type(text::one_line(class));
            status.set_message(first.map_or_else(
                || summary::sentence(check.reason.as_deref().unwrap_or("does not hold")),
                |violation| summary::sentence(&violation.summary),
            ));
            status.set_description(text::clean(&story));
            told(TestCase::new(name, status), &[&facts, &reason])
        }
    }
}

/// The explanations of a check's violations, the earliest first.
fn explanations(check: &CheckResult) -> String {
    let told = check.violations.iter().take(MAX_VIOLATIONS);
    let mut stories: Vec<_> = told
        .map(|violation| violation.explanation.trim().to_owned())
        .collect();
    if check.violations.len() > MAX_VIOLATIONS {
        stories.push(format!(
            "and {} more",
            check.violations.len() - MAX_VIOLATIONS
        ));
    }
    stories.join("\n\n")
}

fn faults_case(results: &Results) -> TestCase {
    const NAME: &str = "faults confirmed";
    let mut missing = Vec::new();
    for fault in results
        .faults
        .iter()
        .filter(|fault| fault.confirmed_at_ns.is_none())
    {
        let shortcoming = summary::shortcoming(fault).unwrap_or("not confirmed");
        let failure = fault
            .failure
            .as_deref()
            .map(summary::sentence)
            .unwrap_or_default();
        missing.push(format!(
            "{}: {shortcoming}. {failure}",
            summary::fault_title(fault)
        ));
    }
    let totals = &results.fault_totals;
    let facts = format!(
        "{} planned, {} applied, {} confirmed, {} healed",
        totals.planned, totals.applied, totals.confirmed, totals.healed
    );
    let case = match missing.is_empty() {
        true => TestCase::new(NAME, TestCaseStatus::success()),
        false => {
            let story = missing.join("\n");
            shortcoming_case(
                NAME,
                "unconfirmed-fault",
                &story,
                results.outcome.as_expected,
            )
        }
    };
    told(case, &[&facts])
}

fn bound_case(bound: &Bound, as_expected: bool) -> TestCase {
    let name = format!("bound: {}", text::one_line(&bound.name));
    let measured = bound.measured.as_deref().unwrap_or("nothing to measure");
    let facts = text::clean(&format!("limit {}, measured {measured}", bound.limit));
    let status = match (bound.met, bound.judged && !as_expected) {
        (true, _) => TestCaseStatus::success(),
        (false, true) => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type("bound");
            status.set_message(facts.as_str());
            status
        }
        (false, false) => {
            let mut status = TestCaseStatus::skipped();
            status.set_message(format!("missed, but it does not decide this run: {facts}"));
            status
        }
    };
    told(TestCase::new(name, status), &[&facts])
}

fn expectation_case(results: &Results) -> TestCase {
    let status = match results.outcome.as_expected {
        true => TestCaseStatus::success(),
        false => {
            let kind = match results.outcome.validity {
                Validity::Unknown => NonSuccessKind::Error,
                Validity::Valid | Validity::Invalid => NonSuccessKind::Failure,
            };
            let mut status = TestCaseStatus::non_success(kind);
            status.set_type("expectation");
            status.set_message(format!(
                "{}, came {}",
                summary::expectation(results),
                results.outcome.validity
            ));
            status
        }
    };
    told(
        TestCase::new("verdict as expected", status),
        &[&summary::headline(results)],
    )
}

/// Something that keeps a run from proving what it was made for.
fn shortcoming_case(name: &str, class: &str, story: &str, as_expected: bool) -> TestCase {
    let mut status = match as_expected {
        true => TestCaseStatus::skipped(),
        false => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    status.set_type(class);
    status.set_message(summary::sentence(story));
    status.set_description(text::clean(story));
    TestCase::new(name, status)
}

fn told(mut case: TestCase, parts: &[&str]) -> TestCase {
    let parts: Vec<_> = parts
        .iter()
        .filter(|part| !part.is_empty())
        .map(|part| text::clean(part))
        .collect();
    case.set_system_out(parts.join("\n\n"));
    case
}

#[cfg(test)]
mod tests;
