//! Linearizability of a register that is swapped: every answer is the value before, so that the answers chain
//! all operations into one order, and the order is given with each.

use std::collections::BTreeMap;

use bytes::Bytes;
use viewstorm_protocol::{Completion, Service, State};

/// Replaces the register's value and answers with the one before. It also keeps every value that it was ever
/// given, so that its state grows to many pages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SwapRegister;

impl Service for SwapRegister {
    fn execute(&self, state: &mut State, operation: &[u8]) -> Bytes {
        let key = Bytes::from_static(b"register");
        let before = state.get(&key).cloned().unwrap_or_default();
        state.put(key, Bytes::copy_from_slice(operation));
        state.put(
            Bytes::copy_from_slice(operation),
            Bytes::from_static(&[0; 48]),
        );
        before
    }
}

/// An operation under way.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pending {
    /// What it writes: no two operations write the same.
    value: u64,
    /// The largest order known to be complete when it began: it comes after that.
    floor: u64,
}

impl Pending {
    /// The operation as the service sees it.
    pub(crate) fn operation(self) -> Bytes {
        Bytes::copy_from_slice(&self.value.to_be_bytes())
    }
}

/// All answers so far.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    invoked: u64,
    greatest: u64,
    /// By order: what was written, and what was answered.
    chain: BTreeMap<u64, (u64, Option<u64>)>,
}

impl Answers {
    pub(crate) fn invoke(&mut self) -> Pending {
        self.invoked += 1;
        Pending {
            value: self.invoked,
            floor: self.greatest,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.chain.len()
    }

    /// Takes an answer in. What is invoked from now on comes after it.
    pub(crate) fn complete(
        &mut self,
        pending: Pending,
        completion: &Completion,
    ) -> Result<(), String> {
        let Completion { result, order } = completion;
        let before = match result.as_ref() {
            [] => None,
            bytes => Some(u64::from_be_bytes(bytes.try_into().map_err(|_| {
                format!("order {order} answers {bytes:?}, which nobody wrote")
            })?)),
        };
        if *order <= pending.floor {
            return Err(format!(
                "an operation of order {order} began after one of order {} had ended",
                pending.floor
            ));
        }
        if let Some(twin) = self.chain.insert(*order, (pending.value, before)) {
            return Err(format!(
                "order {order} is that of the writes {} and {}",
                twin.0, pending.value
            ));
        }
        self.greatest = self.greatest.max(*order);
        Ok(())
    }

    /// Whether each answer is what the operation before it wrote. An operation that was never answered leaves
    /// a hole, which one unanswered write must fill.
    pub(crate) fn are_of_one_order(&self) -> Result<(), String> {
        let mut answered: BTreeMap<u64, u64> = BTreeMap::new();
        let written: BTreeMap<u64, u64> = self.chain.iter().map(|(o, (v, _))| (*v, *o)).collect();
        for (order, (_, before)) in &self.chain {
            let expected = match order.checked_sub(1) {
                Some(0) => Some(None),
                Some(previous) => self.chain.get(&previous).map(|(value, _)| Some(*value)),
                None => return Err("orders count from 1".to_owned()),
            };
            if let Some(expected) = expected
                && expected != *before
            {
                return Err(format!(
                    "order {order} answers {before:?}, the operation before it wrote {expected:?}"
                ));
            }
            let Some(value) = *before else {
                if *order > 1 {
                    return Err(format!("order {order} finds a register that nobody wrote"));
                }
                continue;
            };
            if expected.is_none() && (written.contains_key(&value) || value > self.invoked) {
                return Err(format!(
                    "order {order} answers {value}, which is not what came before it"
                ));
            }
            if let Some(twin) = answered.insert(value, *order) {
                return Err(format!("orders {twin} and {order} both replaced {value}"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion(result: Option<u64>, order: u64) -> Completion {
        let result = result.map_or_else(Bytes::new, |value| {
            Bytes::copy_from_slice(&value.to_be_bytes())
        });
        Completion { result, order }
    }

    #[test]
    fn one_order_passes_and_a_lost_a_repeated_or_an_early_one_does_not() {
        let mut answers = Answers::default();
        let (one, two, three) = (answers.invoke(), answers.invoke(), answers.invoke());
        answers.complete(two, &completion(None, 1)).unwrap();
        answers.complete(one, &completion(Some(2), 2)).unwrap();
        assert_eq!(answers.are_of_one_order(), Ok(()));
        let mut lost = Answers::default();
        let (first, second) = (lost.invoke(), lost.invoke());
        lost.complete(first, &completion(None, 1)).unwrap();
        lost.complete(second, &completion(None, 2)).unwrap();
        assert!(lost.are_of_one_order().is_err());
        assert!(answers.complete(three, &completion(Some(1), 2)).is_err());
        let late = answers.invoke();
        assert!(answers.complete(late, &completion(Some(1), 2)).is_err());
    }

    #[test]
    fn a_hole_is_filled_by_one_unanswered_write() {
        let mut answers = Answers::default();
        let (one, _unanswered, three) = (answers.invoke(), answers.invoke(), answers.invoke());
        answers.complete(one, &completion(None, 1)).unwrap();
        answers.complete(three, &completion(Some(2), 3)).unwrap();
        assert_eq!(answers.are_of_one_order(), Ok(()));
        let mut answers = Answers::default();
        let (one, three) = (answers.invoke(), answers.invoke());
        answers.complete(one, &completion(None, 1)).unwrap();
        answers.complete(three, &completion(Some(1), 3)).unwrap();
        assert!(answers.are_of_one_order().is_err());
    }
}
