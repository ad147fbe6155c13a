//! From partitions to one result a guarantee.

use super::context::{Guarantee, Older, violations};
use super::freshness::Staleness;
use crate::moment::Milliseconds;
use crate::partition::Partition;
use crate::register::Register;
use crate::story::Story;
use crate::verdict::{CheckResult, Validity, Violation};

const NONE: Guarantee = Guarantee {
    name: "",
    words: "",
    own_writes: false,
    own_reads: false,
    carries_writes: false,
    carries_reads: false,
    is_transitive: false,
};

/// The guarantees, by name.
pub(super) const GUARANTEES: &[Guarantee] = &[
    Guarantee {
        name: "read-your-writes",
        words: "the session had written itself",
        own_writes: true,
        ..NONE
    },
    Guarantee {
        name: "monotonic-reads",
        words: "the session had read before",
        own_reads: true,
        ..NONE
    },
    Guarantee {
        name: "monotonic-writes",
        words: "was written, by one session, before a value that this session had read",
        carries_writes: true,
        ..NONE
    },
    Guarantee {
        name: "writes-follow-reads",
        words: "was read by another session before it wrote a value that this session had read",
        carries_reads: true,
        ..NONE
    },
    Guarantee {
        name: "causal-order",
        words: "is in the session's causal past",
        own_writes: true,
        own_reads: true,
        carries_writes: true,
        carries_reads: true,
        is_transitive: true,
    },
];

/// Entries of all pasts together at most: a past has one for each key.
const MAX_ENTRIES: usize = 4_000_000;

/// Judges the guarantee of that name, or the freshness of reads.
pub(crate) fn judge(
    partitions: &[Partition<'_, Register>],
    name: &str,
    limit: usize,
) -> CheckResult {
    let judged = reads(partitions);
    let mut result = CheckResult {
        check: name.to_owned(),
        validity: Validity::Unknown,
        algorithms: vec!["session-pasts".to_owned()],
        judged,
        reason: None,
        violations: Vec::new(),
    };
    let writes: usize = partitions
        .iter()
        .map(|partition| partition.values.len())
        .sum();
    if let Some(partition) = partitions
        .iter()
        .find(|partition| !partition.values_are_unique)
    {
        let key = partition.key_name();
        result.reason = Some(format!(
            "{key}: a value is written twice, so a read names no write"
        ));
        return result;
    }
    if judged == 0 {
        result.reason = Some("no operation saw a value".to_owned());
        return result;
    }
    let Some(guarantee) = GUARANTEES.iter().find(|guarantee| guarantee.name == name) else {
        result.algorithms = vec!["newer-writes".to_owned()];
        return freshness(partitions, result);
    };
    if writes.saturating_mul(partitions.len()) > MAX_ENTRIES {
        result.reason =
            Some("too many writes to too many keys to keep every session's past".to_owned());
        return result;
    }
    let found = violations(partitions, *guarantee, limit.max(1));
    result.violations = found
        .iter()
        .map(|older| tell(partitions, *guarantee, older))
        .collect();
    result.violations.sort_by_key(|violation| violation.window);
    result.validity = verdict(&result.violations);
    result
}

fn verdict(violations: &[Violation]) -> Validity {
    if violations.is_empty() {
        Validity::Valid
    } else {
        Validity::Invalid
    }
}

fn reads(partitions: &[Partition<'_, Register>]) -> u64 {
    let operations = partitions
        .iter()
        .flat_map(|partition| &partition.operations);
    operations
        .filter(|it| it.is_certain() && it.action.saw().is_some())
        .count() as u64
}

fn tell(partitions: &[Partition<'_, Register>], guarantee: Guarantee, older: &Older) -> Violation {
    let partition = &partitions[older.key];
    let read = &partition.operations[older.read];
    let writer = |value| {
        let mut operations = partition.operations.iter();
        operations.find(|operation| operation.action.wrote() == Some(value))
    };
    let mut story = Story::new(partition.log);
    let old = writer(older.saw).map(|writer| story.name(writer.call));
    let new = writer(older.newer)
        .map(|writer| story.name(writer.call))
        .unwrap_or_default();
    let through = story.name(older.through);
    let name = story.name(read.call);
    let (saw, newer) = (partition.value(older.saw), partition.value(older.newer));
    let order = match old {
        Some(old) => format!("{old} had ended before {new} began, so {newer} is newer than {saw}."),
        None => format!("{newer} is newer than what the register held at first."),
    };
    let argument = format!(
        "{order} {newer} {}, through {through}; then {name} saw {saw}.",
        guarantee.words
    );
    let summary = format!(
        "process {} saw {} = {saw} although {newer} {}",
        partition.process(read),
        partition.key_name(),
        guarantee.words
    );
    story.end(guarantee.name, summary, &argument)
}

/// How many reads were stale, and by how much.
fn freshness(partitions: &[Partition<'_, Register>], mut result: CheckResult) -> CheckResult {
    let mut ages: Vec<u64> = Vec::new();
    let mut worst: Option<(u64, usize, usize, usize)> = None;
    for (key, partition) in partitions.iter().enumerate() {
        let staleness = Staleness::of(partition);
        ages.extend(staleness.ages);
        if let Some((age, read, writer)) = staleness.worst
            && worst.is_none_or(|(known, ..)| known < age)
        {
            worst = Some((age, key, read, writer));
        }
    }
    result.validity = Validity::Valid;
    let Some((age, key, read, writer)) = worst else {
        return result;
    };
    ages.sort_unstable();
    let middle = Milliseconds(ages[ages.len() / 2]);
    let age = Milliseconds(age);
    let count = ages.len();
    result.reason = Some(format!(
        "{count} of {} reads were stale: half of them by {middle} or more, one by {age}",
        result.judged
    ));
    let partition = &partitions[key];
    let mut story = Story::new(partition.log);
    let newer = story.name(partition.operations[writer].call);
    let name = story.name(partition.operations[read].call);
    let argument = format!("{newer} wrote a newer value and had ended {age} before {name} began.");
    let summary = format!("{count} reads were stale, the worst by {age}");
    result
        .violations
        .push(story.end("stale-read", summary, &argument));
    result.validity = Validity::Invalid;
    result
}
