//! Cuts a history that no order fits down to a few operations that no order fits.

use super::budget::Purse;
use super::depth_first::{Searched, search};
use crate::model::ValueId;
use crate::moment::Moment;
use crate::operation::Operation;
use crate::register::{Action, Register};

/// Steps that one attempt may take. One that takes more is given up, and the operations stay.
const ATTEMPT_STEPS: u64 = 200_000;

/// Attempts at most.
const ATTEMPTS: usize = 2_000;

type Operations = Vec<Operation<Action>>;

/// The operations that are left: still without an order. `purse` bounds the effort.
pub(crate) fn minimise(
    operations: &[Operation<Action>],
    values_return_never: bool,
    purse: &mut Purse,
) -> Operations {
    let mut minimiser = Minimiser {
        values_return_never,
        purse,
        attempts: ATTEMPTS,
    };
    let kept = minimiser.cut_off(operations);
    let kept = minimiser.drop_reads(kept);
    let kept = minimiser.drop_values(kept);
    let kept = minimiser.drop_reads(kept);
    // With their returns back, the operations are no less without an order.
    let whole = |kept: Operation<Action>| {
        let place = operations.partition_point(|operation| operation.position < kept.position);
        operations
            .get(place)
            .filter(|it| it.position == kept.position)
            .cloned()
            .unwrap_or(kept)
    };
    kept.into_iter().map(whole).collect()
}

struct Minimiser<'a> {
    values_return_never: bool,
    purse: &'a mut Purse,
    attempts: usize,
}

impl Minimiser<'_> {
    /// Whether it is certain that no order fits.
    fn contradicts(&mut self, operations: &[Operation<Action>]) -> bool {
        if self.attempts == 0 {
            return false;
        }
        self.attempts -= 1;
        let mut portion = self.purse.portion(ATTEMPT_STEPS);
        let started_with = portion.steps();
        let found = search(
            &Register,
            operations,
            self.values_return_never,
            &mut portion,
        );
        self.purse.settle(&portion, started_with);
        matches!(found, Searched::NotLinearizable(_))
    }

    /// What had happened when the contradiction was first certain: no order fits a beginning, none fits the
    /// whole.
    fn cut_off(&mut self, operations: &[Operation<Action>]) -> Operations {
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
            let beginning = until(operations, returns[middle]);
            if self.contradicts(&beginning) {
                high = middle;
                kept = beginning;
            } else {
                low = middle + 1;
            }
        }
        kept
    }

    /// Removing a read from an order leaves an order.
    fn drop_reads(&mut self, operations: Operations) -> Operations {
        let reads: Vec<usize> = operations
            .iter()
            .filter(|operation| operation.action.wrote().is_none())
            .map(|operation| operation.position)
            .collect();
        self.drop(operations, &reads, |operation, gone| {
            gone.binary_search(&operation.position).is_ok()
        })
    }

    /// Removing a value with its writers and all who saw it leaves an order, as long as nothing was made of
    /// it.
    fn drop_values(&mut self, mut operations: Operations) -> Operations {
        loop {
            let count = operations.len();
            let is_source = |value: ValueId| {
                let mut all = operations.iter();
                all.any(|it| matches!(it.action, Action::Cas { expected, .. } if expected == value))
            };
            let mut values: Vec<ValueId> = operations
                .iter()
                .filter_map(|operation| operation.action.wrote())
                .collect();
            values.sort_unstable();
            values.dedup();
            values.retain(|value| !is_source(*value));
            operations = self.drop(operations, &values, |operation, gone| {
                let touches = |value: Option<ValueId>| {
                    value.is_some_and(|it| gone.binary_search(&it).is_ok())
                };
                touches(operation.action.wrote()) || touches(operation.action.saw())
            });
            if operations.len() == count {
                return operations;
            }
        }
    }

    /// Drops as many of `things` as it can, many at a time first.
    fn drop<T: Clone>(
        &mut self,
        mut operations: Operations,
        things: &[T],
        is_gone: impl Fn(&Operation<Action>, &[T]) -> bool,
    ) -> Operations {
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

/// What was known at `moment`: later returns had not come.
fn until(operations: &[Operation<Action>], moment: Moment) -> Operations {
    let begun = operations
        .iter()
        .filter(|operation| operation.invoke <= moment);
    let known = begun.filter_map(|operation| {
        let mut operation = operation.clone();
        if operation.returned > moment {
            operation.action.wrote()?;
            operation.returned = Moment::NEVER;
        }
        Some(operation)
    });
    known.collect()
}
