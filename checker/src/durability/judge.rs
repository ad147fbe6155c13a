//! Judges all keys by their final reads.

use super::lives::Lives;
use crate::operation::Operation;
use crate::partition::Partition;
use crate::register::{Action, Register};
use crate::verdict::{CheckResult, Validity, Violation};

/// How many final reads of a key are judged, the last ones: a run ends with one, or a few attempts.
const READS_PER_KEY: usize = 64;

/// Judges all keys by their final reads.
pub(crate) fn judge(partitions: &[Partition<'_, Register>], max_violations: usize) -> CheckResult {
    let mut violations = Vec::new();
    let mut judged = 0;
    let (mut unread, mut not_unique) = (Vec::new(), Vec::new());
    let mut final_reads = 0;
    for partition in partitions {
        let reads = partition
            .operations
            .iter()
            .filter(|it| is_final_read(partition, it));
        let reads: Vec<_> = reads.collect();
        final_reads += reads.len();
        let acknowledged = partition
            .operations
            .iter()
            .filter(|it| it.is_certain() && it.action.wrote().is_some());
        let acknowledged = acknowledged.count() as u64;
        if !partition
            .operations
            .iter()
            .any(|operation| operation.action.wrote().is_some())
        {
            // Never written: nothing to be kept. A value read there is a matter of linearizability.
            continue;
        }
        if reads.is_empty() {
            unread.push(partition.key_name().to_owned());
        } else if !partition.values_are_unique {
            not_unique.push(partition.key_name().to_owned());
        } else {
            judged += acknowledged;
            let lives = Lives::of(partition);
            let last = reads.len().saturating_sub(READS_PER_KEY);
            let found = reads[last..].iter().filter_map(|read| lives.judge(read));
            violations.extend(found.take(max_violations.max(1)));
        }
    }
    violations.sort_by_key(|violation: &Violation| violation.window);
    violations.truncate(max_violations.max(1));
    let reasons = reasons(judged, final_reads, &unread, &not_unique);
    let validity = match (violations.is_empty(), reasons.is_empty()) {
        (false, _) => Validity::Invalid,
        (true, true) => Validity::Valid,
        (true, false) => Validity::Unknown,
    };
    CheckResult {
        check: "durability".to_owned(),
        validity,
        algorithms: vec!["final-reads".to_owned()],
        judged,
        reason: (!reasons.is_empty()).then(|| reasons.join("; ")),
        violations,
    }
}

fn reasons(
    judged: u64,
    final_reads: usize,
    unread: &[String],
    not_unique: &[String],
) -> Vec<String> {
    if final_reads == 0 {
        let reason = "the history has no final read that succeeded (\"final\": true), so what was there at \
                      the end is not known";
        return vec![reason.to_owned()];
    }
    let mut reasons = Vec::new();
    if !unread.is_empty() {
        let keys = first_few(unread);
        reasons.push(format!(
            "{} written keys have no successful final read: {keys}",
            unread.len()
        ));
    }
    if !not_unique.is_empty() {
        let keys = first_few(not_unique);
        let count = not_unique.len();
        reasons.push(format!(
            "on {count} keys a value is written twice, so a read names no write: {keys}"
        ));
    }
    if judged == 0 && reasons.is_empty() {
        reasons.push("no write was acknowledged, so none could be lost".to_owned());
    }
    reasons
}

fn first_few(keys: &[String]) -> String {
    const SHOWN: usize = 5;
    let mut text = keys
        .iter()
        .take(SHOWN)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    if keys.len() > SHOWN {
        text.push_str(", ...");
    }
    text
}

fn is_final_read(partition: &Partition<'_, Register>, operation: &Operation<Action>) -> bool {
    partition.call(operation).is_final()
        && matches!(operation.action, Action::Read { .. })
        && operation.is_certain()
}
