//! A list that grows at its end: append a value, read all. A read shows the order of all that it holds, so the
//! place of each value in it is known before the search begins.

use viewstorm_history::{Datum, Kind};

use crate::hash::spread;
use crate::model::{Model, Unreadable, ValueId};
use crate::operation::Operation;
use crate::partition::{Input, Numbering, Partition, operation};

/// The model, with what is in the list at first and what was read.
#[derive(Clone, Debug)]
pub(crate) struct List {
    initial: Vec<ValueId>,
    reads: Vec<Vec<ValueId>>,
    values: usize,
    is_unique: bool,
}

/// What is done to a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ListAction {
    /// An append. Reads tell where it can have been: from the first place to the second.
    Append { value: ValueId, places: (u32, u32) },
    /// A read, by its place among the model's, with its hash.
    Read { read: u32, hash: u128 },
}

/// A list, with the hash after each of its values.
#[derive(Clone, Debug)]
pub(crate) struct Values {
    all: Vec<ValueId>,
    hashes: Vec<u128>,
}

impl Values {
    fn hash(&self) -> u128 {
        self.hashes.last().copied().unwrap_or(EMPTY)
    }

    fn push(&mut self, value: ValueId) {
        self.hashes.push(fold(self.hash(), value));
        self.all.push(value);
    }
}

const EMPTY: u128 = 0x6c69_7374;
const ANYWHERE: (u32, u32) = (0, u32::MAX);

fn fold(hash: u128, value: ValueId) -> u128 {
    let salt = (hash >> 64) as u64 ^ u64::from(value).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    spread(hash as u64, salt)
}

impl Model for List {
    const NAME: &'static str = "list";

    type Action = ListAction;
    type State = Values;
    type Undo = ();

    fn read<'h>(input: Input<'h>) -> Result<Partition<'h, Self>, Unreadable> {
        let table = &input.log.values;
        let mut numbering = Numbering::new(input.calls.len(), Datum::NULL);
        let list = |numbering: &mut Numbering, datum: Datum| -> Option<Vec<ValueId>> {
            if datum.is_null() {
                return Some(Vec::new());
            }
            let elements = table.elements(datum)?;
            Some(
                elements
                    .iter()
                    .map(|element| numbering.number(*element))
                    .collect(),
            )
        };
        let initial = list(&mut numbering, input.log.initial).unwrap_or_default();
        let mut reads = Vec::new();
        let mut appended: Vec<ValueId> = initial.clone();
        let mut operations = Vec::with_capacity(input.calls.len());
        for (place, call) in input.each() {
            let action = match (input.log.function(call), call.kind) {
                ("read", Kind::Ok) => {
                    let elements = list(&mut numbering, call.result)
                        .ok_or_else(|| input.unreadable(call, "a read of no list"))?;
                    let hash = elements
                        .iter()
                        .fold(EMPTY, |hash, value| fold(hash, *value));
                    reads.push(elements);
                    ListAction::Read {
                        read: reads.len() as u32 - 1,
                        hash,
                    }
                }
                ("append", Kind::Ok | Kind::Info | Kind::Invoke) => {
                    input.check_echo(call)?;
                    let value = numbering.number(call.argument);
                    appended.push(value);
                    ListAction::Append {
                        value,
                        places: ANYWHERE,
                    }
                }
                ("read" | "append", _) => continue,
                _ => return Err(input.unknown(call, Self::NAME)),
            };
            operations.push(operation(place, call, action));
        }
        let count = appended.len();
        appended.sort_unstable();
        appended.dedup();
        let is_unique = appended.len() == count;
        let values = numbering.values;
        let Input { log, key, .. } = input;
        let model = Self {
            initial,
            reads,
            values: values.len(),
            is_unique,
        };
        Ok(Partition {
            log,
            model,
            key,
            operations,
            values,
            values_are_unique: false,
        })
    }

    fn initial(&self) -> Values {
        let mut values = Values {
            all: Vec::new(),
            hashes: Vec::new(),
        };
        for value in &self.initial {
            values.push(*value);
        }
        values
    }

    fn apply(&self, values: &mut Values, action: &ListAction) -> Option<()> {
        match *action {
            ListAction::Append {
                value,
                places: (first, last),
            } => {
                let place = values.all.len() as u32;
                if place < first || place > last {
                    return None;
                }
                values.push(value);
            }
            ListAction::Read { hash, .. } if hash != values.hash() => return None,
            ListAction::Read { .. } => {}
        }
        Some(())
    }

    fn undo(&self, values: &mut Values, action: &ListAction, (): ()) {
        if matches!(action, ListAction::Append { .. }) {
            values.all.pop();
            values.hashes.pop();
        }
    }

    fn fingerprint(&self, values: &Values) -> u128 {
        values.hash()
    }

    fn words(&self, values: &Values, partition: &Partition<'_, Self>) -> String {
        let all: Vec<String> = values
            .all
            .iter()
            .map(|value| partition.value(*value))
            .collect();
        format!("{} holding {}", partition.key_name(), super::few(&all))
    }

    fn changes_nothing(&self, action: &ListAction) -> bool {
        matches!(action, ListAction::Read { .. })
    }

    fn shows(&self, action: &ListAction) -> bool {
        self.changes_nothing(action)
    }

    /// A value that is appended once stands where the reads show it, or behind all that they show.
    fn prepare(&self, operations: &[Operation<ListAction>]) -> Option<Vec<Operation<ListAction>>> {
        if !self.is_unique {
            return None;
        }
        let read = |operation: &Operation<ListAction>| match operation.action {
            ListAction::Read { read, .. } if operation.is_certain() => {
                Some(&self.reads[read as usize])
            }
            _ => None,
        };
        let longest = operations
            .iter()
            .filter_map(read)
            .max_by_key(|read| read.len())?;
        let mut places = vec![u32::MAX; self.values];
        for (place, value) in (0..).zip(longest) {
            places[*value as usize] = place;
        }
        let mut prepared = operations.to_vec();
        for operation in &mut prepared {
            if let ListAction::Append {
                value,
                places: known,
            } = &mut operation.action
            {
                let place = places[*value as usize];
                *known = match place {
                    u32::MAX => (longest.len() as u32, u32::MAX),
                    place => (place, place),
                };
            }
        }
        Some(prepared)
    }
}
