//! Judges a history: every property that was asked for, and the worst of them.

use viewstorm_history::{Call, CallLog, Datum, History, Kind};

use crate::model::{Model, Unreadable};
use crate::models::{Bank, Counter, List, MultiRegister, Mutex, Queue, Set};
use crate::options::{CheckError, CheckOptions, ModelKind, Property, WEAKER_CHECKS};
use crate::parallel;
use crate::partition::{Groups, Partition};
use crate::register::Register;
use crate::verdict::{CheckResult, Validity, Verdict};
use crate::{linearizability, transactions};

/// Weaker properties are judged unasked in histories of so many calls at most: beyond, they take longer than
/// linearizability itself.
const MOST_BESIDE: usize = 50_000;

/// Judges `history`. Names that the options or the history's header get wrong are errors, and nothing is
/// judged then; all that is wrong with the history itself is part of the verdict.
pub fn check(history: &History, options: &CheckOptions) -> Result<Verdict, CheckError> {
    match CallLog::of(history) {
        Ok(log) => check_log(&log, options),
        Err(broken) => {
            let properties = options.properties()?;
            let model = history.header.as_ref().map(|header| header.model.as_str());
            let functions = history.operations.iter().map(|event| event.f.as_str());
            options.model_for(model, functions)?;
            let refused = properties
                .iter()
                .map(|property| refuse(*property, &broken.to_string()));
            Ok(verdict(refused.collect(), history.is_complete()))
        }
    }
}

/// Judges a history that was read as a log.
pub fn check_log(log: &CallLog, options: &CheckOptions) -> Result<Verdict, CheckError> {
    let properties = options.properties()?;
    let functions = log.functions.iter().map(String::as_str);
    let kind = match options.model_for(log.model.as_deref(), functions)? {
        ModelKind::Set if options.model.is_none() && log.model.is_none() && reads_numbers(log) => {
            ModelKind::Counter
        }
        ModelKind::MultiRegister
            if options.model.is_none() && log.model.is_none() && appends(log) =>
        {
            ModelKind::ListAppend
        }
        kind => kind,
    };
    let checks = match kind {
        ModelKind::Register => judge_as::<Register>(log, &properties, options),
        ModelKind::MultiRegister => judge_as::<MultiRegister>(log, &properties, options),
        ModelKind::Set => judge_as::<Set>(log, &properties, options),
        ModelKind::Counter => judge_as::<Counter>(log, &properties, options),
        ModelKind::Queue => judge_as::<Queue>(log, &properties, options),
        ModelKind::List => judge_as::<List>(log, &properties, options),
        ModelKind::Mutex => judge_as::<Mutex>(log, &properties, options),
        ModelKind::Bank => judge_as::<Bank>(log, &properties, options),
        ModelKind::ListAppend => judge_transactions(log, &properties, options),
    };
    Ok(verdict(checks, log.is_complete))
}

/// Whether what can be added to is read as a number: then it is no set.
fn reads_numbers(log: &CallLog) -> bool {
    let is_number = |call: &Call| {
        log.function(call) == "read"
            && call.kind == Kind::Ok
            && log.values.as_number(call.result).is_some()
    };
    log.calls.iter().any(is_number)
}

/// Whether some transaction appends to a list.
fn appends(log: &CallLog) -> bool {
    let is_append = |step: &Datum| match log.values.elements(*step) {
        Some([f, ..]) => log.values.as_text(*f) == Some("append"),
        _ => false,
    };
    let has_append = |call: &Call| {
        log.values
            .elements(call.argument)
            .is_some_and(|steps| steps.iter().any(is_append))
    };
    log.calls.iter().any(has_append)
}

/// Transactions have one property that is checked, instead of linearizability: one order of them all, in real
/// time.
fn judge_transactions(
    log: &CallLog,
    properties: &[Property],
    options: &CheckOptions,
) -> Vec<CheckResult> {
    if !properties.contains(&Property::Linearizability) {
        let reason =
            "transactions are judged for strict serializability, under \"linearizability\"";
        return properties
            .iter()
            .map(|property| refuse(*property, reason))
            .collect();
    }
    match transactions::judge(log, options.max_violations) {
        Ok(result) => vec![result],
        Err(unreadable) => vec![refuse(Property::Linearizability, &unreadable.to_string())],
    }
}

fn verdict(mut checks: Vec<CheckResult>, is_complete: bool) -> Verdict {
    if !is_complete {
        for result in &mut checks {
            note(result, "the history was cut off; what it holds was judged");
        }
    }
    let worst = checks.iter().map(|check| check.validity).max();
    Verdict {
        validity: worst.unwrap_or(Validity::Unknown),
        checks,
    }
}

fn judge_as<M: Model>(
    log: &CallLog,
    properties: &[Property],
    options: &CheckOptions,
) -> Vec<CheckResult> {
    let groups = Groups::of(log, M::IS_KEYED);
    let partitions = match partitions::<M>(log, &groups) {
        Ok(partitions) => partitions,
        Err(unreadable) => {
            let reason = unreadable.to_string();
            return properties
                .iter()
                .map(|property| refuse(*property, &reason))
                .collect();
        }
    };
    let judge = |property: &Property| match property {
        Property::Linearizability => Some(linearizability::judge(&partitions, options)),
        Property::Durability => M::durability(&partitions, options.max_violations),
        Property::Weaker(name) => M::weaker(&partitions, name, options.max_violations),
    };
    let mut results: Vec<CheckResult> = properties.iter().filter_map(judge).collect();
    let is_violated = |result: &CheckResult| {
        result.check == Property::Linearizability.name() && result.validity == Validity::Invalid
    };
    if log.calls.len() <= MOST_BESIDE && results.iter().any(is_violated) {
        let names = WEAKER_CHECKS.iter().map(|name| Property::Weaker(name));
        let beside: Vec<Property> = names.filter(|it| !properties.contains(it)).collect();
        results.extend(beside.iter().filter_map(judge));
    }
    results
}

/// Reads all partitions.
pub(crate) fn partitions<'h, M: Model>(
    log: &'h CallLog,
    groups: &'h Groups,
) -> Result<Vec<Partition<'h, M>>, Unreadable> {
    let inputs = groups.inputs(log, M::IS_KEYED);
    let read = parallel::for_each(inputs.len(), log.calls.len(), |place| {
        M::read(inputs[place])
    });
    let mut partitions = Vec::with_capacity(read.len());
    let mut first: Option<Unreadable> = None;
    for partition in read {
        match partition {
            Ok(partition) => partitions.push(partition),
            Err(error) if first.as_ref().is_none_or(|first| error.event < first.event) => {
                first = Some(error);
            }
            Err(_) => {}
        }
    }
    match first {
        Some(error) => Err(error),
        None => Ok(partitions),
    }
}

/// A history that is none cannot be judged.
fn refuse(property: Property, reason: &str) -> CheckResult {
    CheckResult {
        check: property.name().to_owned(),
        validity: Validity::Unknown,
        algorithms: Vec::new(),
        judged: 0,
        reason: Some(reason.to_owned()),
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
