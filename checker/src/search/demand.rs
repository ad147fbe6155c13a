//! Who still has to see which value: what a search may give up early by.

use crate::model::{Model, ValueId};
use crate::operation::Operation;

/// Counts by value.
pub(super) struct Demand {
    certain: Vec<u32>,
    any: Vec<u32>,
}

impl Demand {
    pub(super) fn new<M: Model>(
        model: &M,
        operations: &[Operation<M::Action>],
        included: &[bool],
    ) -> Self {
        let mut demand = Self {
            certain: Vec::new(),
            any: Vec::new(),
        };
        let included = operations
            .iter()
            .zip(included)
            .filter(|(_, included)| **included);
        for (operation, _) in included {
            if let Some(value) = model.wants(&operation.action) {
                let count = demand.any.len().max(value as usize + 1);
                demand.any.resize(count, 0);
                demand.certain.resize(count, 0);
            }
            demand.put_back(model, operation);
        }
        demand
    }

    pub(super) fn take<M: Model>(&mut self, model: &M, operation: &Operation<M::Action>) {
        if let Some(value) = model.wants(&operation.action) {
            self.any[value as usize] -= 1;
            self.certain[value as usize] -= u32::from(operation.is_certain());
        }
    }

    pub(super) fn put_back<M: Model>(&mut self, model: &M, operation: &Operation<M::Action>) {
        if let Some(value) = model.wants(&operation.action) {
            self.any[value as usize] += 1;
            self.certain[value as usize] += u32::from(operation.is_certain());
        }
    }

    /// Whether somebody who certainly saw the value has not been taken yet.
    pub(super) fn is_owed(&self, value: Option<ValueId>) -> bool {
        let owed = value.and_then(|value| self.certain.get(value as usize));
        owed.is_some_and(|count| *count > 0)
    }

    pub(super) fn is_wanted(&self, value: ValueId) -> bool {
        self.any.get(value as usize).is_some_and(|count| *count > 0)
    }
}
