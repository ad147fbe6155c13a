//! From a log to a judgement.

use viewstorm_history::{CallLog, Kind};

use super::anomalies::Lists;
use super::cycles::{Cycle, class, find};
use super::graph::{Dependency, Graph};
use super::transaction::Transactions;
use crate::model::Unreadable;
use crate::partition::words;
use crate::verdict::{CheckResult, Validity, Violation};

/// Judges whether all transactions fit one order that real time allows.
pub(crate) fn judge(log: &CallLog, limit: usize) -> Result<CheckResult, Unreadable> {
    let limit = limit.max(1);
    let transactions = Transactions::read(log)?;
    let mut lists = Lists::new(log, &transactions);
    let judged = transactions
        .all
        .iter()
        .filter(|it| it.kind == Kind::Ok)
        .count() as u64;
    let mut violations = std::mem::take(&mut lists.violations);
    let mut reason = None;
    if let Some((key, value)) = lists.repeated {
        let (key, value) = (lists.key(key), words(log, value));
        violations.clear();
        reason = Some(format!(
            "{value} is appended to {key} more than once, so no order is known"
        ));
    } else {
        // Cycles are found where single reads are sane.
        let graph = Graph::new(&lists);
        violations.extend(find(&graph, limit).iter().map(|cycle| tell(&lists, cycle)));
    }
    if judged == 0 {
        reason = Some("no transaction completed, so nothing was judged".to_owned());
    } else if lists.reads.is_empty() && violations.is_empty() && reason.is_none() {
        reason = Some("no transaction read anything, so nothing could contradict".to_owned());
    }
    violations.sort_by_key(|violation| violation.window);
    violations.truncate(limit);
    let validity = match (violations.is_empty(), &reason) {
        (false, _) => Validity::Invalid,
        (true, Some(_)) => Validity::Unknown,
        (true, None) => Validity::Valid,
    };
    Ok(CheckResult {
        check: "strict-serializability".to_owned(),
        validity,
        algorithms: vec!["dependency-cycles".to_owned()],
        judged,
        reason,
        violations,
    })
}

/// A cycle in words.
fn tell(lists: &Lists<'_>, cycle: &Cycle) -> Violation {
    let mut story = lists.story();
    let names: Vec<String> = cycle
        .iter()
        .map(|(place, _)| story.name(lists.call(*place)))
        .collect();
    let mut argument = String::new();
    for (number, (_, why)) in cycle.iter().enumerate() {
        let (one, other) = (&names[number], &names[(number + 1) % names.len()]);
        let value = |value| words(lists.log, value);
        let because = match *why {
            Dependency::WriteWrite {
                key,
                value: first,
                next,
            } => format!(
                "{one} appended {} to {} before {other} appended {} (ww)",
                value(first),
                lists.key(key),
                value(next)
            ),
            Dependency::WriteRead { key, value: seen } => format!(
                "{other} saw the {} that {one} appended to {} (wr)",
                value(seen),
                lists.key(key)
            ),
            Dependency::ReadWrite { key, next } => format!(
                "{one} saw {} without the {} that {other} appended (rw)",
                lists.key(key),
                value(next)
            ),
            Dependency::Process => format!("one process did {one} and then {other}"),
            Dependency::RealTime => format!("{one} ended before {other} began"),
        };
        argument.push_str(&format!("{one} comes before {other}: {because}.\n"));
    }
    let class = class(cycle);
    argument.push_str(&format!(
        "So each comes before itself: {}.",
        meaning(&class)
    ));
    let summary = format!(
        "{} transactions each come before the next ({class})",
        cycle.len()
    );
    story.end(&class, summary, &argument)
}

/// What a class of cycle rules out.
fn meaning(class: &str) -> &'static str {
    match class {
        "G0" => {
            "writes of two transactions are interleaved, which not even read uncommitted allows"
        }
        "G1c" => "information flows in a circle, which read committed does not allow",
        "G-single" => "a read skew, which snapshot isolation does not allow",
        "G2" => "no serial order explains it, as with a write skew",
        _ => "an order explains it only against the order in which things were done",
    }
}
