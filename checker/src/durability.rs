//! Durability of acknowledged writes: what was acknowledged is there at the end, or something that may have
//! come after it. Judged from the final reads alone and what their values say; knows nothing of the
//! algorithms for linearizability.

use crate::hash::Table;
use crate::model::ValueId;
use crate::moment::{Milliseconds, Moment};
use crate::operation::Operation;
use crate::register::{Action, INITIAL, Partition};
use crate::story::Story;
use crate::verdict::{CheckResult, Validity, Violation};

/// Judges all keys by their final reads.
pub(crate) fn judge(partitions: &[Partition<'_>], max_violations: usize) -> CheckResult {
    let mut violations = Vec::new();
    let mut judged = 0;
    let (mut unread, mut not_unique) = (Vec::new(), Vec::new());
    let mut final_reads = 0;
    for partition in partitions {
        let reads = partition.operations.iter().filter(|it| is_final_read(it));
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
        } else if !partition.values_are_unique() {
            not_unique.push(partition.key_name().to_owned());
        } else {
            judged += acknowledged;
            let lives = Lives::of(partition);
            let found = reads.into_iter().filter_map(|read| lives.judge(read));
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

fn is_final_read(operation: &Operation<Action>) -> bool {
    operation.is_final && matches!(operation.action, Action::Read { .. }) && operation.is_certain()
}

/// What is known of each value of a key: who wrote it and from when on it was certainly there, or had been.
struct Lives<'p, 'h> {
    partition: &'p Partition<'h>,
    writers: Table<ValueId, &'p Operation<Action>>,
    /// For each value the operation that ended first among those that show it was there.
    proofs: Table<ValueId, &'p Operation<Action>>,
    /// The compare-and-set that replaced each value, if one was acknowledged or its own value was seen.
    successors: Table<ValueId, &'p Operation<Action>>,
    /// Acknowledged writes by the ends of their operations, each with the one that began last until then.
    acknowledged: Vec<(Moment, &'p Operation<Action>)>,
}

impl<'p, 'h> Lives<'p, 'h> {
    fn of(partition: &'p Partition<'h>) -> Self {
        let mut lives = Self {
            partition,
            writers: Table::default(),
            proofs: Table::default(),
            successors: Table::default(),
            acknowledged: Vec::new(),
        };
        for operation in &partition.operations {
            let Action::Cas { expected, .. } = operation.action else {
                continue;
            };
            if operation.is_certain() {
                lives.successors.insert(expected, operation);
            }
        }
        for operation in &partition.operations {
            if let Some(value) = operation.action.wrote() {
                lives.writers.insert(value, operation);
                if operation.is_certain() {
                    lives.acknowledged.push((operation.returned, operation));
                }
            }
            if operation.is_certain() {
                let values = [operation.action.wrote(), operation.action.saw()];
                for value in values.into_iter().flatten() {
                    let proof = lives.proofs.entry(value).or_insert(operation);
                    if operation.returned < proof.returned {
                        *proof = operation;
                    }
                }
            }
        }
        lives.link_seen();
        lives
            .acknowledged
            .sort_unstable_by_key(|(returned, operation)| (*returned, operation.position));
        let mut latest: Option<&Operation<Action>> = None;
        for (_, operation) in &mut lives.acknowledged {
            let later = latest.filter(|latest| latest.invoke > operation.invoke);
            *operation = later.unwrap_or(operation);
            latest = Some(operation);
        }
        lives
    }

    /// Indeterminate compare-and-sets whose new value somebody saw did succeed.
    fn link_seen(&mut self) {
        for operation in &self.partition.operations {
            if let Action::Cas { expected, new } = operation.action
                && self.proofs.contains_key(&new)
            {
                self.successors.entry(expected).or_insert(operation);
            }
        }
    }

    /// Judges a final read: whether the value it saw may have been the last.
    fn judge(&self, read: &'p Operation<Action>) -> Option<Violation> {
        let saw = read.action.saw()?;
        if saw != INITIAL {
            match self.writers.get(&saw) {
                None => return Some(self.unwritten(read, saw)),
                Some(writer) if read.precedes(writer) => return Some(self.early(read, writer)),
                Some(_) => {}
            }
        }
        self.replaced(read, saw)
            .or_else(|| self.overwritten(read, saw))
    }

    /// Compare-and-sets that were acknowledged before the read began lead away from the value it saw.
    fn replaced(&self, read: &'p Operation<Action>, saw: ValueId) -> Option<Violation> {
        let mut value = saw;
        // A chain has no more links than there are values.
        for _ in 0..self.partition.values.len() {
            let next = *self.successors.get(&value)?;
            if next.precedes(read) {
                let argument = |story: &mut Story<'p, 'h>| {
                    let lost = story.name(self.partition, next);
                    let name = story.name(self.partition, read);
                    let text = self.partition.value(saw);
                    format!(
                        "{lost} was acknowledged before {name} began, and what it put in place was made from \
                         {text}. {text} was written once, so it cannot have come back; {name} found it all \
                         the same: {lost} is lost."
                    )
                };
                return Some(self.lost(read, saw, next, argument));
            }
            value = next.action.wrote()?;
        }
        None
    }

    /// A write was acknowledged before the read began, and began when the value seen was already there.
    fn overwritten(&self, read: &'p Operation<Action>, saw: ValueId) -> Option<Violation> {
        let ended = self
            .acknowledged
            .partition_point(|(returned, _)| *returned < read.invoke);
        let (_, latest) = self.acknowledged.get(ended.checked_sub(1)?)?;
        let proof = self.proofs.get(&saw).copied();
        let was_there = saw == INITIAL || proof.is_some_and(|proof| proof.precedes(latest));
        if latest.action.wrote() == Some(saw) || !was_there {
            return None;
        }
        let argument = |story: &mut Story<'p, 'h>| {
            let proof = proof.filter(|_| saw != INITIAL);
            let proof = proof.map(|proof| story.name(self.partition, proof));
            let lost = story.name(self.partition, latest);
            let name = story.name(self.partition, read);
            let text = self.partition.value(saw);
            let before = match proof {
                Some(proof) => format!("{proof} shows {text} before {lost} began"),
                None => "The register held nothing at first".to_owned(),
            };
            format!(
                "{before}, and {lost} was acknowledged before {name} began. {text} was written once, so it \
                 cannot have come back; {name} found it all the same: {lost} is lost."
            )
        };
        Some(self.lost(read, saw, latest, argument))
    }

    fn lost(
        &self,
        read: &'p Operation<Action>,
        saw: ValueId,
        lost: &'p Operation<Action>,
        argument: impl FnOnce(&mut Story<'p, 'h>) -> String,
    ) -> Violation {
        let mut story = Story::new();
        if let Some(writer) = self.writers.get(&saw) {
            story.name(self.partition, writer);
        }
        let argument = argument(&mut story);
        let written = lost.action.wrote().unwrap_or(INITIAL);
        let summary = format!(
            "{} = {}, acknowledged to process {} {} before the final read, is lost: the key holds {}",
            self.partition.key_name(),
            self.partition.value(written),
            lost.process,
            Milliseconds(lost.returned.until(read.invoke)),
            self.partition.value(saw),
        );
        story.end("lost-write", summary, &argument)
    }

    fn unwritten(&self, read: &'p Operation<Action>, saw: ValueId) -> Violation {
        let mut story = Story::new();
        let without_effect = &self.partition.without_effect;
        let failed = without_effect
            .iter()
            .find(|operation| match operation.action {
                Action::Refused { new, .. } => new == saw,
                action => action.wrote() == Some(saw),
            });
        let failed = failed.map(|failed| story.name_without_effect(self.partition, failed));
        let name = story.name(self.partition, read);
        let (key, text) = (self.partition.key_name(), self.partition.value(saw));
        match failed {
            Some(failed) => {
                let summary = format!("at the end {key} holds {text}, whose writer had failed");
                let argument = format!("{failed} had no effect, and {name} found its value.");
                story.end("aborted-read", summary, &argument)
            }
            None => {
                let summary = format!("at the end {key} holds {text}, which nobody wrote");
                let argument = format!("{name} found {text}, and no operation writes it.");
                story.end("garbage-read", summary, &argument)
            }
        }
    }

    fn early(&self, read: &'p Operation<Action>, writer: &'p Operation<Action>) -> Violation {
        let mut story = Story::new();
        let (writer, name) = (
            story.name(self.partition, writer),
            story.name(self.partition, read),
        );
        let summary = format!(
            "the final read of {} saw a value before anybody began to write it",
            self.partition.key_name()
        );
        let argument =
            format!("{name} ended before {writer}, the only writer of its value, began.");
        story.end("future-read", summary, &argument)
    }
}
