//! Judges a history: every property that was asked for, and the worst of them.

use viewstorm_history::History;

use crate::options::{CheckError, CheckOptions, ModelKind, Property};
use crate::pairs::{BrokenHistory, pair};
use crate::register::{self, Partition};
use crate::verdict::{CheckResult, Validity, Verdict};
use crate::{durability, linearizability};

/// Judges `history`. Names that the options or the history's header get wrong are errors, and nothing is
/// judged then; all that is wrong with the history itself is part of the verdict.
pub fn check(history: &History, options: &CheckOptions) -> Result<Verdict, CheckError> {
    let properties = options.properties()?;
    let ModelKind::Register = options.model_for(history)?;
    let partitions = pair(history).and_then(|pairs| register::partitions(&pairs));
    let checks = properties.into_iter().map(|property| {
        let mut result = match &partitions {
            Ok(partitions) => judge(property, partitions, options),
            Err(broken) => refuse(property, broken),
        };
        if !history.is_complete() {
            note(
                &mut result,
                "the history was cut off; what it holds was judged",
            );
        }
        result
    });
    let checks: Vec<CheckResult> = checks.collect();
    let worst = checks.iter().map(|check| check.validity).max();
    Ok(Verdict {
        validity: worst.unwrap_or(Validity::Unknown),
        checks,
    })
}

fn judge(property: Property, partitions: &[Partition<'_>], options: &CheckOptions) -> CheckResult {
    match property {
        Property::Linearizability => linearizability::judge(partitions, options),
        Property::Durability => durability::judge(partitions, options.max_violations),
    }
}

/// A history that is none cannot be judged.
fn refuse(property: Property, broken: &BrokenHistory) -> CheckResult {
    CheckResult {
        check: property.name().to_owned(),
        validity: Validity::Unknown,
        algorithms: Vec::new(),
        judged: 0,
        reason: Some(broken.to_string()),
        violations: Vec::new(),
    }
}

fn note(result: &mut CheckResult, text: &str) {
    result.reason = Some(match result.reason.take() {
        Some(reason) => format!("{reason}; {text}"),
        None => text.to_owned(),
    });
}

#[cfg(test)]
mod tests;
