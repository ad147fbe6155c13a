//! The model of registers: read, write and compare-and-set, one register a key, empty at first.

use viewstorm_history::{Call, Datum, Kind};

use crate::hash::spread;
use crate::model::{Exact, Model, Unreadable, ValueId};
use crate::operation::Operation;
use crate::partition::{Input, Numbering, Partition, operation, words};
use crate::verdict::CheckResult;
use crate::{durability, sessions, zones};

/// What a key holds before anybody has written: null, unless the history says otherwise.
pub(crate) const INITIAL: ValueId = 0;

/// An operation on a register, with its result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// A read, and what it saw.
    Read { saw: ValueId },
    /// A write.
    Write { value: ValueId },
    /// A compare-and-set that put `new` in the place of `expected`.
    Cas { expected: ValueId, new: ValueId },
    /// A compare-and-set that changed nothing because it saw `saw`.
    Refused {
        expected: ValueId,
        new: ValueId,
        saw: ValueId,
    },
}

impl Action {
    /// The value that was in place when it took effect, where its result tells.
    pub(crate) fn saw(self) -> Option<ValueId> {
        match self {
            Self::Read { saw } | Self::Refused { saw, .. } => Some(saw),
            Self::Cas { expected, .. } => Some(expected),
            Self::Write { .. } => None,
        }
    }

    /// The value that it put in place.
    pub(crate) fn wrote(self) -> Option<ValueId> {
        match self {
            Self::Write { value } => Some(value),
            Self::Cas { new, .. } => Some(new),
            Self::Read { .. } | Self::Refused { .. } => None,
        }
    }
}

/// What a register does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register;

/// The operations, by name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Read,
    Write,
    Cas,
    Other,
}

/// A call as an action on values of the log; none if it neither changed nor showed anything.
fn action_of(input: &Input<'_>, name: Name, call: &Call) -> Result<Option<Told>, Unreadable> {
    let observed = call.observed();
    let seen = |saw: Option<Datum>| Ok(saw.map(|saw| Told::Read { saw }));
    let action = match name {
        Name::Read if call.kind == Kind::Ok => return seen(Some(call.result)),
        // Unless it tells, nobody knows what it saw, and it changed nothing.
        Name::Read => return seen(observed),
        Name::Write => Told::Write {
            value: call.argument,
        },
        Name::Cas => {
            let Some([expected, new]) = input.log.values.pair(call.argument) else {
                let argument = input.log.values.value(call.argument);
                return Err(
                    input.unreadable(call, format!("a cas takes [expected, new], not {argument}"))
                );
            };
            Told::Cas { expected, new }
        }
        Name::Other => return Err(input.unknown(call, "register")),
    };
    input.check_echo(call)?;
    if call.kind != Kind::Fail {
        return Ok(Some(action));
    }
    // It changed nothing, and what it saw it saw as a read does.
    Ok(observed.map(|saw| match action {
        Told::Cas { expected, new } => Told::Refused { expected, new, saw },
        _ => Told::Read { saw },
    }))
}

/// An action on values of the log.
#[derive(Clone, Copy)]
enum Told {
    Read {
        saw: Datum,
    },
    Write {
        value: Datum,
    },
    Cas {
        expected: Datum,
        new: Datum,
    },
    Refused {
        expected: Datum,
        new: Datum,
        saw: Datum,
    },
}

impl Told {
    fn numbered(self, numbering: &mut Numbering) -> Action {
        let mut number = |value| numbering.number(value);
        match self {
            Self::Read { saw } => Action::Read { saw: number(saw) },
            Self::Write { value } => Action::Write {
                value: number(value),
            },
            Self::Cas { expected, new } => Action::Cas {
                expected: number(expected),
                new: number(new),
            },
            Self::Refused { expected, new, saw } => Action::Refused {
                expected: number(expected),
                new: number(new),
                saw: number(saw),
            },
        }
    }
}

fn writes_no_value_twice(operations: &[Operation<Action>], values: usize) -> bool {
    let mut written = vec![false; values];
    written[INITIAL as usize] = true;
    let mut writes = operations
        .iter()
        .filter_map(|operation| operation.action.wrote());
    writes.all(|value| !std::mem::replace(&mut written[value as usize], true))
}

impl Partition<'_, Register> {
    /// The call that would have written a value and certainly had no effect.
    pub(crate) fn failed_writer(&self, value: ValueId) -> Option<u32> {
        let wanted = self.values[value as usize];
        let is_it = |call: &Call| {
            let written = match self.log.function(call) {
                "write" => Some(call.argument),
                "cas" => self.log.values.pair(call.argument).map(|[_, new]| new),
                _ => None,
            };
            call.kind == Kind::Fail && written == Some(wanted) && self.log.key(call) == self.key
        };
        self.log
            .calls
            .iter()
            .position(is_it)
            .map(|place| place as u32)
    }
}

impl Model for Register {
    const NAME: &'static str = "register";
    const EXACT: &'static str = "zones";

    type Action = Action;
    type State = ValueId;
    type Undo = ValueId;

    fn read<'h>(input: Input<'h>) -> Result<Partition<'h, Self>, Unreadable> {
        let names: Vec<Name> = input
            .log
            .functions
            .iter()
            .map(|name| match name.as_str() {
                "read" => Name::Read,
                "write" => Name::Write,
                "cas" => Name::Cas,
                _ => Name::Other,
            })
            .collect();
        let mut numbering = Numbering::new(input.calls.len(), input.log.initial);
        let mut operations = Vec::with_capacity(input.calls.len());
        for (place, call) in input.each() {
            if let Some(action) = action_of(&input, names[usize::from(call.f)], call)? {
                operations.push(operation(place, call, action.numbered(&mut numbering)));
            }
        }
        let values = numbering.values;
        let values_are_unique = writes_no_value_twice(&operations, values.len());
        let Input { log, key, .. } = input;
        Ok(Partition {
            log,
            model: Self,
            key,
            operations,
            values,
            values_are_unique,
        })
    }

    fn initial(&self) -> ValueId {
        INITIAL
    }

    fn apply(&self, state: &mut ValueId, action: &Action) -> Option<ValueId> {
        let next = match *action {
            Action::Read { saw } => (*state == saw).then_some(saw),
            Action::Write { value } => Some(value),
            Action::Cas { expected, new } => (*state == expected).then_some(new),
            Action::Refused { expected, saw, .. } => {
                (*state == saw && saw != expected).then_some(saw)
            }
        };
        next.map(|next| std::mem::replace(state, next))
    }

    fn undo(&self, state: &mut ValueId, _: &Action, before: ValueId) {
        *state = before;
    }

    fn fingerprint(&self, state: &ValueId) -> u128 {
        spread(u64::from(*state), 0x7265_6769_7374_6572)
    }

    fn words(&self, state: &ValueId, partition: &Partition<'_, Self>) -> String {
        let held = partition
            .values
            .get(*state as usize)
            .copied()
            .unwrap_or_default();
        format!(
            "{} holding {}",
            partition.key_name(),
            words(partition.log, held)
        )
    }

    fn changes_nothing(&self, action: &Action) -> bool {
        action.wrote().is_none()
    }

    fn wants(&self, action: &Action) -> Option<ValueId> {
        action.saw()
    }

    fn leaves(&self, action: &Action) -> Option<ValueId> {
        action.wrote()
    }

    fn holds(&self, state: &ValueId) -> Option<ValueId> {
        Some(*state)
    }

    /// A value with its writers and all who saw it may go as long as nothing was made of it.
    fn removable(&self, _: &Partition<'_, Self>, kept: &[Action]) -> Vec<ValueId> {
        let mut values: Vec<ValueId> = kept.iter().filter_map(|action| action.wrote()).collect();
        let source = |action: &Action| match *action {
            Action::Cas { expected, .. } => Some(expected),
            _ => None,
        };
        let mut sources: Vec<ValueId> = kept.iter().filter_map(source).collect();
        sources.sort_unstable();
        values.retain(|value| sources.binary_search(value).is_err());
        values
    }

    fn touches(&self, action: &Action) -> [Option<ValueId>; 2] {
        [action.wrote(), action.saw()]
    }

    fn durability(partitions: &[Partition<'_, Self>], limit: usize) -> Option<CheckResult> {
        Some(durability::judge(partitions, limit))
    }

    fn weaker(partitions: &[Partition<'_, Self>], name: &str, limit: usize) -> Option<CheckResult> {
        Some(sessions::judge(partitions, name, limit))
    }

    fn exact(partition: &Partition<'_, Self>, limit: usize) -> Exact {
        zones::judge(partition, limit)
    }
}
