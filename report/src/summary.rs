//! The sentences that every form of the report says: the verdict, what is missing from faults,
//! where time begins.

use viewstorm_checker::{CheckResult, Validity, Violation};
use viewstorm_history::Timestamp;

use crate::{FaultRecord, Results, text, units};

/// The phase whose operations are in no figure but its own.
const WARM_UP: &str = "warm-up";

/// How much of a foreign sentence a headline repeats.
const SENTENCE_CHARS: usize = 280;

/// When the load began, as far as the phases tell: times in the report count from here.
pub(crate) fn load_start(results: &Results) -> Option<Timestamp> {
    results.phases.iter().map(|phase| phase.from_ns).min()
}

/// Since when figures count: the end of the warm-up, if there was one.
pub(crate) fn measured_from(results: &Results) -> Option<Timestamp> {
    let warm_up = results.phases.iter().find(|phase| phase.name == WARM_UP);
    warm_up.map(|phase| phase.to_ns)
}

/// The verdict in one sentence.
pub(crate) fn headline(results: &Results) -> String {
    match results.outcome.validity {
        Validity::Invalid => match results.first_violation() {
            Some((check, violation)) => {
                format!(
                    "{} does not hold: {}",
                    label(&check.check),
                    sentence(&violation.summary)
                )
            }
            None => match with_validity(results, Validity::Invalid) {
                Some(check) => format!("{} does not hold", label(&check.check)),
                None => "a bound of the plan was missed".to_owned(),
            },
        },
        Validity::Unknown => why_unknown(results),
        Validity::Valid => {
            let operations = units::plural(results.counts.invoked, "operation");
            match results.verdict.checks.as_slice() {
                [] => "nothing contradicts the plan; no check was asked for".to_owned(),
                [only] => format!("{} holds over {operations}", label(&only.check)),
                [_, _] => format!("both checks hold over {operations}"),
                checks => format!("all {} checks hold over {operations}", checks.len()),
            }
        }
    }
}

fn why_unknown(results: &Results) -> String {
    if let Some(check) = with_validity(results, Validity::Unknown) {
        let check_name = label(&check.check);
        return match &check.reason {
            Some(reason) => format!("{check_name} could not be decided: {}", sentence(reason)),
            None => format!("{check_name} could not be decided"),
        };
    }
    match results.reservations.as_slice() {
        [] => "the run says nothing either way".to_owned(),
        [only] => sentence(only),
        [first, rest @ ..] => format!(
            "{} (and {})",
            sentence(first),
            units::plural(rest.len() as u64, "more reservation")
        ),
    }
}

/// The verdict against what the plan expects.
pub(crate) fn expectation(results: &Results) -> String {
    let expected = &results.outcome.expected;
    let property = expected.property.as_deref().map(label);
    let wanted = match property {
        Some(property) => format!("{} of {property}", expected.validity),
        None => expected.validity.to_string(),
    };
    match (results.outcome.as_expected, expected.validity) {
        (true, Validity::Valid) => "as expected".to_owned(),
        (true, _) => format!("as expected: {wanted}"),
        (false, _) => format!("expected {wanted}"),
    }
}

/// One line on a violation: its class, its key and when it is certain. Explanations tell times on
/// the run's clock, so this does too.
pub(crate) fn violation_title(violation: &Violation) -> String {
    let key = match &violation.key {
        Some(key) => format!(" on key {}", label(key)),
        None => String::new(),
    };
    format!(
        "{}{key}, certain at {} on the run's clock",
        label(&violation.class),
        units::time(violation.window.1, Timestamp::ZERO)
    )
}

/// What is missing from a fault, if anything is: it was not applied, not confirmed, not healed, or
/// its heal was not seen.
pub(crate) fn shortcoming(fault: &FaultRecord) -> Option<&'static str> {
    if fault.injected_at_ns.is_none() {
        Some("not applied")
    } else if fault.confirmed_at_ns.is_none() {
        Some("not confirmed")
    } else if fault.healed_at_ns.is_none() {
        // It is no shortcoming of one that is to stay.
        fault.stays.is_none().then_some("not healed")
    } else if fault.healed_confirmed_at_ns.is_none() {
        Some("heal not seen")
    } else {
        None
    }
}

/// A fault in a few words: `#3 partition of replica 1, replica 2`.
pub(crate) fn fault_title(fault: &FaultRecord) -> String {
    match fault.targets.is_empty() {
        true => format!("#{} {}", fault.id, label(&fault.name)),
        false => format!(
            "#{} {} of {}",
            fault.id,
            label(&fault.name),
            label(&fault.targets.join(", "))
        ),
    }
}

/// A foreign name, fit for one line.
pub(crate) fn label(name: &str) -> String {
    text::shorten(&text::one_line(name), 120)
}

/// A foreign sentence, fit for one line.
pub(crate) fn sentence(sentence: &str) -> String {
    text::shorten(&text::one_line(sentence), SENTENCE_CHARS)
}

fn with_validity(results: &Results, validity: Validity) -> Option<&CheckResult> {
    results
        .verdict
        .checks
        .iter()
        .find(|check| check.validity == validity)
}
