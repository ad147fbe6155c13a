//! Cuts a history that no order fits down to a few operations that no order fits.

use super::budget::Purse;
use super::depth_first::{Searched, search};
use crate::model::{Model, ValueId};
use crate::moment::Moment;
use crate::operation::Operation;
use crate::partition::Partition;

/// Steps that one attempt may take. One that takes more is given up, and the operations stay.
const ATTEMPT_STEPS: u64 = 200_000;

/// Attempts at most.
const ATTEMPTS: usize = 2_000;

type Operations<M> = Vec<Operation<<M as Model>::Action>>;

/// The operations that are left: still without an order. `purse` bounds the effort.
pub(crate) fn minimise<M: Model>(partition: &Partition<'_, M>, purse: &mut Purse) -> Operations<M> {
    let operations = &partition.operations;
    let mut minimiser = Minimiser {
        partition,
        purse,
        attempts: ATTEMPTS,
    };
    let kept = minimiser.cut_off(operations);
    let kept = minimiser.drop_reads(kept);
    let kept = minimiser.drop_values(kept);
    let kept = minimiser.drop_reads(kept);
    // With their returns back, the operations are no less without an order.
    let whole = |kept: Operation<M::Action>| {
        let place = operations.partition_point(|operation| operation.call < kept.call);
        operations
            .get(place)
            .filter(|it| it.call == kept.call)
            .cloned()
            .unwrap_or(kept)
    };
    kept.into_iter().map(whole).collect()
}

struct Minimiser<'a, 'h, M: Model> {
    partition: &'a Partition<'h, M>,
    purse: &'a mut Purse,
    attempts: usize,
}

impl<M: Model> Minimiser<'_, '_, M> {
    /// Whether it is certain that no order fits.
    fn contradicts(&mut self, operations: &[Operation<M::Action>]) -> bool {
        if self.attempts == 0 {
            return false;
        }
        self.attempts -= 1;
        let mut portion = self.purse.portion(ATTEMPT_STEPS);
        let started_with = portion.steps();
        let unique = self.partition.values_are_unique;
        let found = search(&self.partition.model, operations, unique, &mut portion);
        self.purse.settle(&portion, started_with);
        matches!(found, Searched::NotLinearizable(_))
    }

    /// What had happened when the contradiction was first certain: no order fits a beginning, none fits the
    /// whole.
    fn cut_off(&mut self, operations: &[Operation<M::Action>]) -> Operations<M> {
        let mut returns: Vec<Moment> = operations
            .iter()
            .map(|operation| operation.returned)
            .collect();
        returns.retain(|returned| *returned != Moment::NEVER);
        returns.sort_unstable();
        returns.dedup();
        let (mut low, mut high) = (0, returns.len());
        let mut kept = operations.to_vec();
        while low < high {
            let middle = low.midpoint(high);
            let beginning = self.until(operations, returns[middle]);
            if self.contradicts(&beginning) {
                high = middle;
                kept = beginning;
            } else {
                low = middle + 1;
            }
        }
        kept
    }

    /// What was known at `moment`: later returns had not come.
    fn until(&self, operations: &[Operation<M::Action>], moment: Moment) -> Operations<M> {
        let begun = operations
            .iter()
            .filter(|operation| operation.invoke <= moment);
        let known = begun.filter_map(|operation| {
            let mut operation = operation.clone();
            if operation.returned > moment {
                if self.partition.model.changes_nothing(&operation.action) {
                    return None;
                }
                operation.returned = Moment::NEVER;
            }
            Some(operation)
        });
        known.collect()
    }

    /// Removing a read from an order leaves an order.
    fn drop_reads(&mut self, operations: Operations<M>) -> Operations<M> {
        let model = &self.partition.model;
        let reads: Vec<u32> = operations
            .iter()
            .filter(|operation| model.changes_nothing(&operation.action))
            .map(|operation| operation.call)
            .collect();
        self.drop(operations, &reads, |operation, gone| {
            gone.binary_search(&operation.call).is_ok()
        })
    }

    /// Removing a value with all that touches it leaves an order, where the model says so.
    fn drop_values(&mut self, mut operations: Operations<M>) -> Operations<M> {
        let model = &self.partition.model;
        loop {
            let count = operations.len();
            let actions: Vec<M::Action> = operations
                .iter()
                .map(|operation| operation.action.clone())
                .collect();
            let mut values: Vec<ValueId> = model.removable(self.partition, &actions);
            values.sort_unstable();
            values.dedup();
            operations = self.drop(operations, &values, |operation, gone| {
                let touched = model.touches(&operation.action).into_iter().flatten();
                touched
                    .into_iter()
                    .any(|value| gone.binary_search(&value).is_ok())
            });
            if operations.len() == count {
                return operations;
            }
        }
    }

    /// Drops as many of `things` as it can, many at a time first.
    fn drop<T: Clone>(
        &mut self,
        mut operations: Operations<M>,
        things: &[T],
        is_gone: impl Fn(&Operation<M::Action>, &[T]) -> bool,
    ) -> Operations<M> {
        let mut things = things.to_vec();
        let mut size = things.len();
        while size > 0 && self.attempts > 0 {
            let mut left = Vec::new();
            for chunk in things.chunks(size) {
                let mut fewer = operations.clone();
                fewer.retain(|operation| !is_gone(operation, chunk));
                if self.contradicts(&fewer) {
                    operations = fewer;
                } else {
                    left.extend_from_slice(chunk);
                }
            }
            things = left;
            size = (size / 2).min(things.len());
        }
        operations
    }
}
