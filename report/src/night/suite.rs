//! `junit.xml` of a night: a case for each experiment, finding, canary, old seed and trouble.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};
use viewstorm_checker::Validity;

use super::night::{CorpusOutcome, Night};
use crate::text;

/// The file.
pub(super) fn junit(night: &Night) -> String {
    let mut report = Report::new("viewstorm nightly");
    report.set_time(Duration::from_secs_f64(night.spent_s.max(0.0)));
    let mut suite = TestSuite::new(text::one_line(&night.name));
    suite.add_test_cases(experiments(night));
    suite.add_test_cases(findings(night));
    suite.add_test_cases(canaries(night));
    suite.add_test_cases(corpus(night));
    for trouble in &night.troubles {
        let status = bad(NonSuccessKind::Error, "harness", &trouble.problem);
        suite.add_test_case(TestCase::new(text::one_line(&trouble.command), status));
    }
    report.add_test_suite(suite);
    report
        .to_string()
        .expect("a string takes every write, and the text is valid")
}

fn experiments(night: &Night) -> Vec<TestCase> {
    let case = |experiment: &super::NightExperiment| {
        let facts = format!(
            "{} seeds from {}: {} as expected, {} invalid, {} unknown",
            experiment.seeds,
            experiment.first_seed,
            experiment.as_expected,
            experiment.invalid,
            experiment.unknown
        );
        let status = match (experiment.invalid, experiment.unknown, experiment.seeds) {
            (0, 0, 1..) => TestCaseStatus::success(),
            (0, 0, 0) => bad(NonSuccessKind::Error, "not-run", "no seed of it ran"),
            (0, ..) => bad(NonSuccessKind::Error, "unknown", &facts),
            _ => bad(NonSuccessKind::Failure, "invalid", &facts),
        };
        let mut case = TestCase::new(text::one_line(&experiment.name), status);
        case.set_classname("experiments");
        case.set_time(Duration::from_secs_f64(experiment.wall_s.max(0.0)));
        case.set_system_out(facts);
        case
    };
    night.experiments.iter().map(case).collect()
}

fn findings(night: &Night) -> Vec<TestCase> {
    let case = |finding: &super::Finding| {
        let kind = match finding.validity {
            Validity::Unknown => NonSuccessKind::Error,
            Validity::Invalid | Validity::Valid => NonSuccessKind::Failure,
        };
        let age = if finding.known { "known" } else { "new" };
        let reason = finding
            .reasons
            .first()
            .map_or("did not come as expected", |r| r);
        let mut case = TestCase::new(text::one_line(&finding.signature), bad(kind, age, reason));
        case.set_classname("findings");
        case.set_system_out(text::clean(&format!(
            "{}\n{}",
            finding.replay,
            finding.reasons.join("\n")
        )));
        case
    };
    night.findings.iter().map(case).collect()
}

fn canaries(night: &Night) -> Vec<TestCase> {
    let case = |canary: &super::Canary| {
        let status = match (canary.seeds, canary.caught) {
            (None, _) => {
                let mut status = TestCaseStatus::skipped();
                status.set_message("the night ended before it ran");
                status
            }
            (Some(_), true) => TestCaseStatus::success(),
            (Some(seeds), false) => bad(
                NonSuccessKind::Failure,
                "canary",
                &format!("not caught in {seeds} seeds: this night would not have caught it"),
            ),
        };
        let mut case = TestCase::new(text::one_line(&canary.name), status);
        case.set_classname("canaries");
        case
    };
    night.canaries.iter().map(case).collect()
}

fn corpus(night: &Night) -> Vec<TestCase> {
    let case = |seed: &super::CorpusSeed| {
        let status = match seed.outcome {
            CorpusOutcome::Holds => TestCaseStatus::success(),
            CorpusOutcome::Fails => bad(NonSuccessKind::Failure, "known", "fails as it did"),
            CorpusOutcome::Unknown => bad(NonSuccessKind::Error, "unknown", "proved nothing"),
            CorpusOutcome::NotRun => TestCaseStatus::skipped(),
        };
        let mut case = TestCase::new(text::one_line(&seed.signature), status);
        case.set_classname("corpus");
        case
    };
    night.corpus.iter().map(case).collect()
}

fn bad(kind: NonSuccessKind, class: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(class);
    status.set_message(text::one_line(message));
    status
}
