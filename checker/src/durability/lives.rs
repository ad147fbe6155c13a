//! What is known of a key's values at the end of a run.

use crate::model::ValueId;
use crate::moment::Moment;
use crate::operation::Operation;
use crate::partition::Partition;
use crate::register::{Action, Register};

/// What is known of each value of a key: who wrote it, what it was made from, and from when on it was there.
pub(super) struct Lives<'p, 'h> {
    pub(super) partition: &'p Partition<'h, Register>,
    /// Who wrote each value.
    pub(super) writers: Vec<Option<&'p Operation<Action>>>,
    /// The compare-and-set that replaced each value, if it certainly happened.
    pub(super) successors: Vec<Option<&'p Operation<Action>>>,
    /// The value that each was made from.
    pub(super) sources: Vec<Option<ValueId>>,
    /// Acknowledged compare-and-sets that replaced each value; two prove that one of them is lost.
    pub(super) takers: Vec<[Option<&'p Operation<Action>>; 2]>,
    /// The value that each was made from by compare-and-sets, ultimately. No other value was ever in place
    /// between two of one origin.
    origins: Vec<ValueId>,
    /// For each value the operation that began last among its writer and the writers of what it was made
    /// from: it was not there before.
    begun: Vec<Option<&'p Operation<Action>>>,
    /// For each origin the operation that ended first among those that show one of its values.
    pub(super) proofs: Vec<Option<&'p Operation<Action>>>,
    /// Acknowledged writes by the ends of their operations, each with the two that began last until then and
    /// are of different origins.
    acknowledged: Vec<(Moment, [Option<ValueId>; 2])>,
}

impl<'p, 'h> Lives<'p, 'h> {
    pub(super) fn of(partition: &'p Partition<'h, Register>) -> Self {
        let mut writers = vec![None; partition.values.len()];
        for operation in &partition.operations {
            if let Some(value) = operation.action.wrote() {
                writers[value as usize] = Some(operation);
            }
        }
        let happened = happened(partition, &writers);
        let mut successors = vec![None; writers.len()];
        let mut sources = vec![None; writers.len()];
        let mut takers = vec![[None; 2]; writers.len()];
        for operation in writers.iter().copied().flatten() {
            if let Action::Cas { expected, new } = operation.action
                && happened[new as usize]
            {
                sources[new as usize] = Some(expected);
                successors[expected as usize].get_or_insert(operation);
                let [first, second] = &mut takers[expected as usize];
                if operation.is_certain() {
                    *second = first.replace(operation);
                }
            }
        }
        let (origins, begun) = ancestry(&sources, &writers);
        let mut lives = Self {
            partition,
            proofs: vec![None; writers.len()],
            writers,
            successors,
            sources,
            takers,
            origins,
            begun,
            acknowledged: Vec::new(),
        };
        lives.note_proofs();
        lives.rank_acknowledged();
        lives
    }

    pub(super) fn origin(&self, value: ValueId) -> usize {
        self.origins[value as usize] as usize
    }

    fn note_proofs(&mut self) {
        let partition = self.partition;
        for operation in partition
            .operations
            .iter()
            .filter(|operation| operation.is_certain())
        {
            for value in [operation.action.wrote(), operation.action.saw()]
                .into_iter()
                .flatten()
            {
                let origin = self.origin(value);
                let proof = self.proofs[origin].get_or_insert(operation);
                if operation.returned < proof.returned {
                    *proof = operation;
                }
            }
        }
    }

    fn rank_acknowledged(&mut self) {
        let mut writes: Vec<(&'p Operation<Action>, ValueId)> = Vec::new();
        for operation in &self.partition.operations {
            match operation.action.wrote() {
                Some(value) if operation.is_certain() => writes.push((operation, value)),
                _ => {}
            }
        }
        writes.sort_unstable_by_key(|(operation, _)| (operation.returned, operation.call));
        let begun = |value: ValueId| self.begun[value as usize].map(|operation| operation.invoke);
        let mut latest: Vec<ValueId> = Vec::new();
        for (operation, value) in writes {
            let origin = self.origin(value);
            match latest.iter_mut().find(|it| self.origin(**it) == origin) {
                Some(known) if begun(*known) < begun(value) => *known = value,
                Some(_) => {}
                None => latest.push(value),
            }
            latest.sort_by_key(|value| std::cmp::Reverse(begun(*value)));
            latest.truncate(2);
            let ranked = [0, 1].map(|rank| latest.get(rank).copied());
            self.acknowledged.push((operation.returned, ranked));
        }
    }

    /// The acknowledged write that ended before `read` began, is of another origin than `value`, and cannot
    /// have come before the others such; with the operation that shows how late it came.
    pub(super) fn latest_other(
        &self,
        value: ValueId,
        read: &Operation<Action>,
    ) -> Option<(&'p Operation<Action>, &'p Operation<Action>)> {
        let ended = self
            .acknowledged
            .partition_point(|(returned, _)| *returned < read.invoke);
        let (_, ranked) = self.acknowledged.get(ended.checked_sub(1)?)?;
        let mut ranked = ranked.iter().flatten().copied();
        let other = ranked.find(|other| self.origin(*other) != self.origin(value))?;
        Some((self.writers[other as usize]?, self.begun[other as usize]?))
    }
}

/// Which values were certainly in place at some time: acknowledged, seen, or what such a value was made from.
fn happened(
    partition: &Partition<'_, Register>,
    writers: &[Option<&Operation<Action>>],
) -> Vec<bool> {
    let mut happened = vec![false; writers.len()];
    let certain = partition
        .operations
        .iter()
        .filter(|operation| operation.is_certain());
    let mut due: Vec<ValueId> = certain
        .flat_map(|operation| [operation.action.wrote(), operation.action.saw()])
        .flatten()
        .collect();
    while let Some(value) = due.pop() {
        if !std::mem::replace(&mut happened[value as usize], true) {
            due.extend(writers[value as usize].and_then(|writer| writer.action.saw()));
        }
    }
    happened
}

/// Follows each value back to the one that nothing shows the source of, and says who began last of those who
/// wrote one on the way. Values made from each other in a circle count as of one origin.
fn ancestry<'p>(
    sources: &[Option<ValueId>],
    writers: &[Option<&'p Operation<Action>>],
) -> (Vec<ValueId>, Vec<Option<&'p Operation<Action>>>) {
    let mut origins: Vec<Option<ValueId>> = vec![None; sources.len()];
    let mut begun: Vec<Option<&Operation<Action>>> = vec![None; sources.len()];
    let mut entered = vec![false; sources.len()];
    let mut path = Vec::new();
    for value in 0..sources.len() {
        let mut at = value;
        while !std::mem::replace(&mut entered[at], true) {
            path.push(at);
            match sources[at] {
                Some(source) => at = source as usize,
                None => break,
            }
        }
        let origin = origins[at].unwrap_or(at as ValueId);
        let mut latest = begun[at];
        for at in path.drain(..).rev() {
            latest = latest
                .into_iter()
                .chain(writers[at])
                .max_by_key(|it| it.invoke);
            origins[at] = Some(origin);
            begun[at] = latest;
        }
    }
    (
        origins.into_iter().map(Option::unwrap_or_default).collect(),
        begun,
    )
}
