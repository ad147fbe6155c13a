//! A set that grows: add an element, read all. A read is compared by count and hash, in constant time.

use viewstorm_history::{Datum, Kind};

use crate::hash::spread;
use crate::model::{Model, Unreadable, ValueId};
use crate::partition::{Input, Numbering, Partition, operation};

/// The model, with the elements that are there at first.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    initial: Vec<ValueId>,
    values: usize,
}

/// What is done to a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetAction {
    Add(ValueId),
    /// A read: how many elements, and their hash.
    Read {
        count: u32,
        hash: u128,
    },
}

/// A set.
#[derive(Clone, Debug)]
pub(crate) struct Elements {
    is_in: Vec<bool>,
    count: u32,
    hash: u128,
}

impl Elements {
    fn insert(&mut self, element: ValueId) -> bool {
        let is_new = !std::mem::replace(&mut self.is_in[element as usize], true);
        if is_new {
            self.count += 1;
            self.hash = self.hash.wrapping_add(mark(element));
        }
        is_new
    }
}

fn mark(element: ValueId) -> u128 {
    spread(u64::from(element), 0x0065_6c65_6d65_6e74)
}

impl Model for Set {
    const NAME: &'static str = "set";

    type Action = SetAction;
    type State = Elements;
    /// Whether the element was new.
    type Undo = bool;

    fn read<'h>(input: Input<'h>) -> Result<Partition<'h, Self>, Unreadable> {
        let values = &input.log.values;
        let mut numbering = Numbering::new(input.calls.len(), Datum::NULL);
        let initial = values.elements(input.log.initial).unwrap_or_default();
        let initial = initial
            .iter()
            .map(|element| numbering.number(*element))
            .collect();
        let mut operations = Vec::with_capacity(input.calls.len());
        for (place, call) in input.each() {
            let action = match (input.log.function(call), call.kind) {
                ("read", Kind::Ok) => {
                    let elements = match values.elements(call.result) {
                        Some(elements) => elements,
                        None if call.result.is_null() => &[],
                        None => return Err(input.unreadable(call, "a read of no list of elements")),
                    };
                    let marks = elements
                        .iter()
                        .map(|element| mark(numbering.number(*element)));
                    let hash = marks.fold(0_u128, u128::wrapping_add);
                    SetAction::Read {
                        count: elements.len() as u32,
                        hash,
                    }
                }
                ("add", Kind::Ok | Kind::Info | Kind::Invoke) => {
                    input.check_echo(call)?;
                    SetAction::Add(numbering.number(call.argument))
                }
                ("read" | "add", _) => continue,
                _ => return Err(input.unknown(call, Self::NAME)),
            };
            operations.push(operation(place, call, action));
        }
        let values = numbering.values;
        let Input { log, key, .. } = input;
        let model = Self {
            initial,
            values: values.len(),
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

    fn initial(&self) -> Elements {
        let mut elements = Elements {
            is_in: vec![false; self.values],
            count: 0,
            hash: 0,
        };
        for element in &self.initial {
            elements.insert(*element);
        }
        elements
    }

    fn apply(&self, elements: &mut Elements, action: &SetAction) -> Option<bool> {
        match *action {
            SetAction::Add(element) => Some(elements.insert(element)),
            SetAction::Read { count, hash } => {
                (elements.count == count && elements.hash == hash).then_some(false)
            }
        }
    }

    fn undo(&self, elements: &mut Elements, action: &SetAction, was_new: bool) {
        if let (SetAction::Add(element), true) = (*action, was_new) {
            elements.is_in[element as usize] = false;
            elements.count -= 1;
            elements.hash = elements.hash.wrapping_sub(mark(element));
        }
    }

    fn fingerprint(&self, elements: &Elements) -> u128 {
        elements.hash ^ spread(u64::from(elements.count), 0x0073_6574)
    }

    fn words(&self, elements: &Elements, partition: &Partition<'_, Self>) -> String {
        let all = (0..).zip(&elements.is_in).filter(|(_, is_in)| **is_in);
        let all: Vec<String> = all.map(|(element, _)| partition.value(element)).collect();
        format!("{} with {}", partition.key_name(), super::few(&all))
    }

    fn changes_nothing(&self, action: &SetAction) -> bool {
        matches!(action, SetAction::Read { .. })
    }

    fn shows(&self, action: &SetAction) -> bool {
        self.changes_nothing(action)
    }
}
