//! A counter: add a number, read the sum. It is 0 at first unless the history says otherwise.

use viewstorm_history::Kind;

use crate::hash::spread;
use crate::model::{Model, Unreadable};
use crate::partition::{Input, Partition, operation};

/// The model, with the number that it begins with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counter {
    initial: i64,
}

/// What is done to a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CounterAction {
    Add(i64),
    Read(i64),
}

impl Model for Counter {
    const NAME: &'static str = "counter";

    type Action = CounterAction;
    type State = i64;
    type Undo = ();

    fn read<'h>(input: Input<'h>) -> Result<Partition<'h, Self>, Unreadable> {
        let values = &input.log.values;
        let initial = values.as_number(input.log.initial).unwrap_or(0);
        let mut operations = Vec::with_capacity(input.calls.len());
        for (place, call) in input.each() {
            let f = input.log.function(call);
            let number = |datum| {
                let wrong = || input.unreadable(call, format!("{f} of what is no whole number"));
                values.as_number(datum).ok_or_else(wrong)
            };
            let action = match (f, call.kind) {
                ("read", Kind::Ok) if call.result.is_null() => CounterAction::Read(initial),
                ("read", Kind::Ok) => CounterAction::Read(number(call.result)?),
                ("read", _) => continue,
                ("add", kind) => {
                    let amount = number(call.argument)?;
                    if kind == Kind::Fail {
                        continue;
                    }
                    CounterAction::Add(amount)
                }
                _ => return Err(input.unknown(call, Self::NAME)),
            };
            operations.push(operation(place, call, action));
        }
        let Input { log, key, .. } = input;
        let (model, values) = (Self { initial }, Vec::new());
        Ok(Partition {
            log,
            model,
            key,
            operations,
            values,
            values_are_unique: false,
        })
    }

    fn initial(&self) -> i64 {
        self.initial
    }

    fn apply(&self, sum: &mut i64, action: &CounterAction) -> Option<()> {
        match *action {
            CounterAction::Add(amount) => *sum = sum.wrapping_add(amount),
            CounterAction::Read(saw) if saw != *sum => return None,
            CounterAction::Read(_) => {}
        }
        Some(())
    }

    fn undo(&self, sum: &mut i64, action: &CounterAction, (): ()) {
        if let CounterAction::Add(amount) = *action {
            *sum = sum.wrapping_sub(amount);
        }
    }

    fn fingerprint(&self, sum: &i64) -> u128 {
        spread(sum.cast_unsigned(), 0x0063_6f75_6e74)
    }

    fn words(&self, sum: &i64, partition: &Partition<'_, Self>) -> String {
        format!("{} at {sum}", partition.key_name())
    }

    fn changes_nothing(&self, action: &CounterAction) -> bool {
        matches!(action, CounterAction::Read(_))
    }

    fn shows(&self, action: &CounterAction) -> bool {
        matches!(action, CounterAction::Read(_))
    }
}
