//! A lock: it is acquired while it is free and released while it is held, by whomever.

use viewstorm_history::Kind;

use crate::hash::spread;
use crate::model::{Model, Unreadable};
use crate::partition::{Input, Partition, operation};

/// The model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mutex;

/// What is done to a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MutexAction {
    Acquire,
    Release,
}

impl Model for Mutex {
    const NAME: &'static str = "mutex";

    type Action = MutexAction;
    /// Whether it is held.
    type State = bool;
    type Undo = ();

    fn read<'h>(input: Input<'h>) -> Result<Partition<'h, Self>, Unreadable> {
        let mut operations = Vec::with_capacity(input.calls.len());
        for (place, call) in input.each() {
            let action = match input.log.function(call) {
                "acquire" => MutexAction::Acquire,
                "release" => MutexAction::Release,
                _ => return Err(input.unknown(call, Self::NAME)),
            };
            if call.kind != Kind::Fail {
                operations.push(operation(place, call, action));
            }
        }
        let Input { log, key, .. } = input;
        let values_are_unique = false;
        Ok(Partition {
            log,
            model: Self,
            key,
            operations,
            values: Vec::new(),
            values_are_unique,
        })
    }

    fn initial(&self) -> bool {
        false
    }

    fn apply(&self, is_held: &mut bool, action: &MutexAction) -> Option<()> {
        let acquires = *action == MutexAction::Acquire;
        if acquires == *is_held {
            return None;
        }
        *is_held = acquires;
        Some(())
    }

    fn undo(&self, is_held: &mut bool, _: &MutexAction, (): ()) {
        *is_held = !*is_held;
    }

    fn fingerprint(&self, is_held: &bool) -> u128 {
        spread(u64::from(*is_held), 0x006d_7574_6578)
    }

    fn words(&self, is_held: &bool, partition: &Partition<'_, Self>) -> String {
        format!(
            "{} {}",
            partition.key_name(),
            if *is_held { "held" } else { "free" }
        )
    }

    fn shows(&self, _: &MutexAction) -> bool {
        true
    }
}
