//! The model of registers: read, write and compare-and-set, one register a key, empty at first.

use serde_json::Value;
use viewstorm_history::Kind;

use crate::hash::{Table, spread};
use crate::model::{Model, ValueId};
use crate::moment::Moment;
use crate::operation::Operation;
use crate::pairs::{BrokenHistory, Pair};

/// The operations, as a history names them.
pub(crate) const OPERATIONS: &[&str] = &["read", "write", "cas"];

/// What a key holds before anybody has written: JSON's null.
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

/// One register's operations. Values are numbered by their first mention; [`INITIAL`] is null.
#[derive(Debug)]
pub(crate) struct Partition<'h> {
    /// The key; a history may do without.
    pub(crate) key: Option<&'h str>,
    /// What took effect or may have, in the order of invocations.
    pub(crate) operations: Vec<Operation<Action>>,
    /// Writes and compare-and-sets that certainly had no effect, but might be seen to have had one.
    pub(crate) without_effect: Vec<Operation<Action>>,
    /// The values, by their numbers.
    pub(crate) values: Vec<&'h Value>,
    /// Whether no value is put in place twice, and the initial one never.
    pub(crate) values_are_unique: bool,
}

impl Partition<'_> {
    fn writes_no_value_twice(&self) -> bool {
        let mut written = vec![false; self.values.len()];
        written[INITIAL as usize] = true;
        let mut writes = self
            .operations
            .iter()
            .filter_map(|operation| operation.action.wrote());
        writes.all(|value| !std::mem::replace(&mut written[value as usize], true))
    }
}

/// Reads register operations from a history's pairs: one partition a key.
pub(crate) fn partitions<'h>(pairs: &[Pair<'h>]) -> Result<Vec<Partition<'h>>, BrokenHistory> {
    let mut reader = Reader::default();
    // Most operations write or read a value of their own.
    reader.numbers.reserve(pairs.len() / 2);
    for pair in pairs {
        reader.read(pair).map_err(|reason| {
            let event = pair.index();
            BrokenHistory::Unreadable { event, reason }
        })?;
    }
    for partition in &mut reader.partitions {
        partition.values_are_unique = partition.writes_no_value_twice();
    }
    Ok(reader.partitions)
}

#[derive(Default)]
struct Reader<'h> {
    partitions: Vec<Partition<'h>>,
    keys: Table<Option<&'h str>, usize>,
    numbers: Table<(usize, u64), ValueId>,
    others: Table<(usize, String), ValueId>,
}

impl<'h> Reader<'h> {
    fn read(&mut self, pair: &Pair<'h>) -> Result<(), String> {
        let partition = self.partition(pair.invoke.key.as_deref());
        let kind = pair
            .completion
            .map_or(Kind::Info, |completion| completion.kind);
        let observed = pair
            .completion
            .and_then(|completion| completion.observed.as_ref());
        let argument = &pair.invoke.value;
        let action = match (pair.invoke.f.as_str(), kind) {
            ("read", Kind::Ok) => {
                let result = pair
                    .completion
                    .map_or(&Value::Null, |completion| &completion.value);
                Action::Read {
                    saw: self.value(partition, result),
                }
            }
            ("read", Kind::Fail) if observed.is_some() => {
                let saw = observed.unwrap_or(&Value::Null);
                Action::Read {
                    saw: self.value(partition, saw),
                }
            }
            // Nobody knows what it saw, and it changed nothing.
            ("read", _) => return Ok(()),
            ("write", _) => Action::Write {
                value: self.value(partition, argument),
            },
            ("cas", _) => {
                let (expected, new) = two(argument)?;
                let expected = self.value(partition, expected);
                let new = self.value(partition, new);
                match observed.filter(|_| kind == Kind::Fail) {
                    Some(saw) => Action::Refused {
                        expected,
                        new,
                        saw: self.value(partition, saw),
                    },
                    None => Action::Cas { expected, new },
                }
            }
            (f, _) => return Err(format!("register has no {f:?}")),
        };
        check_echo(pair, kind)?;
        let operation = operation(pair, kind, action);
        let saw = observed.map(|saw| self.value(partition, saw));
        let partition = &mut self.partitions[partition];
        if kind != Kind::Fail {
            partition.operations.push(operation);
            return Ok(());
        }
        // It changed nothing, and what it saw it saw as a read does.
        let seen = match (action, saw) {
            (Action::Write { .. } | Action::Cas { .. }, None) => None,
            (Action::Write { .. }, Some(saw)) => Some(Action::Read { saw }),
            (seen, _) => Some(seen),
        };
        if let Some(action) = seen {
            partition.operations.push(Operation {
                action,
                ..operation.clone()
            });
        }
        if !matches!(action, Action::Read { .. }) {
            partition.without_effect.push(operation);
        }
        Ok(())
    }

    fn partition(&mut self, key: Option<&'h str>) -> usize {
        let next = self.partitions.len();
        let partition = *self.keys.entry(key).or_insert(next);
        if partition == next {
            self.partitions.push(Partition {
                key,
                operations: Vec::new(),
                without_effect: Vec::new(),
                values: vec![&Value::Null],
                values_are_unique: false,
            });
        }
        partition
    }

    fn value(&mut self, partition: usize, value: &'h Value) -> ValueId {
        let values = &mut self.partitions[partition].values;
        let next = values.len() as ValueId;
        let id = match (value, value.as_u64()) {
            (Value::Null, _) => return INITIAL,
            (_, Some(number)) => *self.numbers.entry((partition, number)).or_insert(next),
            _ => *self
                .others
                .entry((partition, value.to_string()))
                .or_insert(next),
        };
        if id == next {
            values.push(value);
        }
        id
    }
}

fn two(argument: &Value) -> Result<(&Value, &Value), String> {
    match argument.as_array().map(Vec::as_slice) {
        Some([expected, new]) => Ok((expected, new)),
        _ => Err(format!("a cas takes [expected, new], not {argument}")),
    }
}

/// A write's completion repeats its argument or says nothing.
fn check_echo(pair: &Pair<'_>, kind: Kind) -> Result<(), String> {
    let Some(completion) = pair.completion.filter(|_| kind == Kind::Ok) else {
        return Ok(());
    };
    let (argument, echo) = (&pair.invoke.value, &completion.value);
    if pair.invoke.f == "read" || echo.is_null() || echo == argument {
        return Ok(());
    }
    Err(format!(
        "{} of {argument} ended ok as one of {echo}",
        pair.invoke.f
    ))
}

fn operation(pair: &Pair<'_>, kind: Kind, action: Action) -> Operation<Action> {
    let last = pair.completion.unwrap_or(pair.invoke);
    let is_final = [pair.invoke, last].iter().any(|event| {
        let mark = event.extra.get("final");
        mark.is_some_and(|mark| mark == &Value::Bool(true))
    });
    Operation {
        action,
        process: pair.invoke.process.0,
        invoke: pair.invoke.time.into(),
        returned: if kind == Kind::Info {
            Moment::NEVER
        } else {
            last.time.into()
        },
        last_heard: last.time.into(),
        order: last.order,
        position: pair.position,
        index: pair.index(),
        is_final,
    }
}

/// What a register does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register;

impl Model for Register {
    type Action = Action;
    type State = ValueId;

    fn initial(&self) -> ValueId {
        INITIAL
    }

    fn apply(&self, state: &ValueId, action: &Action) -> Option<ValueId> {
        match *action {
            Action::Read { saw } => (*state == saw).then_some(saw),
            Action::Write { value } => Some(value),
            Action::Cas { expected, new } => (*state == expected).then_some(new),
            Action::Refused { expected, saw, .. } => {
                (*state == saw && saw != expected).then_some(saw)
            }
        }
    }

    fn fingerprint(&self, state: &ValueId) -> u128 {
        spread(u64::from(*state), 0x7265_6769_7374_6572)
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
}
