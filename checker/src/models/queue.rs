//! A first-in, first-out queue: enqueue a value, dequeue the oldest, or nothing where there is none.

use viewstorm_history::Kind;

use crate::hash::{Table, spread};
use crate::model::{Model, Unreadable, ValueId};
use crate::moment::Moment;
use crate::operation::Operation;
use crate::partition::{Input, Numbering, Partition, operation};

/// The model, with the values that are in it at first.
#[derive(Clone, Debug)]
pub(crate) struct Queue {
    initial: Vec<ValueId>,
}

/// What is done to a queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueAction {
    Enqueue(ValueId),
    /// An enqueue of which dequeues tell where it can have been among all: from the first place to the second.
    EnqueueAt {
        value: ValueId,
        places: (u32, u32),
    },
    Dequeue(ValueId),
    /// A dequeue that found nothing.
    Empty,
    /// A dequeue of unknown result: it takes what is there.
    Take,
}

/// A queue: all values that it ever held, and how many of them have gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Items {
    all: Vec<ValueId>,
    gone: usize,
    hash: u128,
}

impl Items {
    fn push(&mut self, value: ValueId) {
        self.hash ^= mark(self.all.len(), value);
        self.all.push(value);
    }

    fn front(&self) -> Option<ValueId> {
        self.all.get(self.gone).copied()
    }

    /// Moves the front by one, either way.
    fn toggle(&mut self, place: usize) {
        self.hash ^= mark(place, self.all[place]);
    }
}

fn mark(place: usize, value: ValueId) -> u128 {
    spread((place as u64) << 32 | u64::from(value), 0x0071_7565_7565)
}

impl Model for Queue {
    const NAME: &'static str = "queue";

    type Action = QueueAction;
    type State = Items;
    /// Whether something was taken or put.
    type Undo = bool;

    fn read<'h>(input: Input<'h>) -> Result<Partition<'h, Self>, Unreadable> {
        let mut numbering = Numbering::new(input.calls.len(), viewstorm_history::Datum::NULL);
        let initial = input
            .log
            .values
            .elements(input.log.initial)
            .unwrap_or_default();
        let initial: Vec<ValueId> = initial
            .iter()
            .map(|value| numbering.number(*value))
            .collect();
        let mut operations = Vec::with_capacity(input.calls.len());
        let mut times_put: Vec<u32> = vec![0; numbering.values.len()];
        for value in &initial {
            times_put[*value as usize] += 1;
        }
        for (place, call) in input.each() {
            let action = match (input.log.function(call), call.kind) {
                ("enqueue" | "dequeue", Kind::Fail) => continue,
                ("enqueue", _) => {
                    input.check_echo(call)?;
                    let value = numbering.number(call.argument);
                    times_put.resize(numbering.values.len(), 0);
                    times_put[value as usize] += 1;
                    QueueAction::Enqueue(value)
                }
                ("dequeue", Kind::Ok) if call.result.is_null() => QueueAction::Empty,
                ("dequeue", Kind::Ok) => QueueAction::Dequeue(numbering.number(call.result)),
                ("dequeue", _) => QueueAction::Take,
                _ => return Err(input.unknown(call, Self::NAME)),
            };
            operations.push(operation(place, call, action));
        }
        let values_are_unique = times_put.iter().all(|times| *times <= 1);
        let Input { log, key, .. } = input;
        let values = numbering.values;
        Ok(Partition {
            log,
            model: Self { initial },
            key,
            operations,
            values,
            values_are_unique,
        })
    }

    fn initial(&self) -> Items {
        let mut items = Items::default();
        for value in &self.initial {
            items.push(*value);
        }
        items
    }

    fn apply(&self, items: &mut Items, action: &QueueAction) -> Option<bool> {
        match (*action, items.front()) {
            (QueueAction::Enqueue(value), _) => items.push(value),
            (
                QueueAction::EnqueueAt {
                    value,
                    places: (first, last),
                },
                _,
            ) => {
                let place = items.all.len() as u32;
                if place < first || place > last {
                    return None;
                }
                items.push(value);
            }
            (QueueAction::Empty, front) => return front.is_none().then_some(false),
            (QueueAction::Take, None) => return Some(false),
            (QueueAction::Dequeue(value), front) if front != Some(value) => return None,
            (QueueAction::Dequeue(_) | QueueAction::Take, _) => {
                items.toggle(items.gone);
                items.gone += 1;
            }
        }
        Some(true)
    }

    fn undo(&self, items: &mut Items, action: &QueueAction, has_changed: bool) {
        match action {
            _ if !has_changed => {}
            QueueAction::Enqueue(_) | QueueAction::EnqueueAt { .. } => {
                items.toggle(items.all.len() - 1);
                items.all.pop();
            }
            QueueAction::Dequeue(_) | QueueAction::Take | QueueAction::Empty => {
                items.gone -= 1;
                items.toggle(items.gone);
            }
        }
    }

    fn fingerprint(&self, items: &Items) -> u128 {
        items.hash ^ spread(items.gone as u64, 0x0066_726f_6e74)
    }

    fn words(&self, items: &Items, partition: &Partition<'_, Self>) -> String {
        let left = &items.all[items.gone..];
        let left: Vec<String> = left.iter().map(|value| partition.value(*value)).collect();
        format!("{} holding {}", partition.key_name(), super::few(&left))
    }

    fn changes_nothing(&self, action: &QueueAction) -> bool {
        *action == QueueAction::Empty
    }

    fn shows(&self, action: &QueueAction) -> bool {
        matches!(action, QueueAction::Dequeue(_) | QueueAction::Empty)
    }

    fn prepare(
        &self,
        operations: &[Operation<QueueAction>],
    ) -> Option<Vec<Operation<QueueAction>>> {
        // What is there at first is not counted.
        let places = self
            .initial
            .is_empty()
            .then(|| Places::of(operations))
            .flatten()?;
        Some(places.fill(operations))
    }

    /// What is put in and taken out once may never have been there.
    fn removable(&self, partition: &Partition<'_, Self>, kept: &[QueueAction]) -> Vec<ValueId> {
        if !partition.values_are_unique || kept.contains(&QueueAction::Take) {
            return Vec::new();
        }
        let value = |action: &QueueAction| match action {
            QueueAction::Enqueue(value) => Some(*value),
            _ => None,
        };
        kept.iter().filter_map(value).collect()
    }

    fn touches(&self, action: &QueueAction) -> [Option<ValueId>; 2] {
        match action {
            QueueAction::Enqueue(value)
            | QueueAction::EnqueueAt { value, .. }
            | QueueAction::Dequeue(value) => [Some(*value), None],
            QueueAction::Empty | QueueAction::Take => [None; 2],
        }
    }
}

/// What dequeues tell of the order of enqueues, where each value is put in once: what left the queue before a
/// value had come before it, and what came before it left before.
struct Places {
    /// The certain dequeue of each value: its invoke and return.
    dequeues: Table<ValueId, (Moment, Moment)>,
    /// The ends of the certain dequeues of values.
    returns: Vec<Moment>,
    /// The beginnings of all dequeues that may have taken something.
    invokes: Vec<Moment>,
    has_unknown: bool,
}

impl Places {
    fn of(operations: &[Operation<QueueAction>]) -> Option<Self> {
        let mut places = Self {
            dequeues: Table::default(),
            returns: Vec::new(),
            invokes: Vec::new(),
            has_unknown: false,
        };
        let mut put: Table<ValueId, ()> = Table::default();
        for operation in operations {
            match operation.action {
                QueueAction::Enqueue(value) => {
                    if put.insert(value, ()).is_some() {
                        return None;
                    }
                }
                QueueAction::Dequeue(value) if operation.is_certain() => {
                    let span = (operation.invoke, operation.returned);
                    if places.dequeues.insert(value, span).is_some() {
                        return None;
                    }
                    places.returns.push(operation.returned);
                    places.invokes.push(operation.invoke);
                }
                QueueAction::Dequeue(_) | QueueAction::Take => {
                    places.has_unknown = true;
                    places.invokes.push(operation.invoke);
                }
                QueueAction::Empty | QueueAction::EnqueueAt { .. } => {}
            }
        }
        places.returns.sort_unstable();
        places.invokes.sort_unstable();
        Some(places)
    }

    fn fill(&self, operations: &[Operation<QueueAction>]) -> Vec<Operation<QueueAction>> {
        let fill = |operation: &Operation<QueueAction>| {
            let mut operation = operation.clone();
            if let QueueAction::Enqueue(value) = operation.action {
                let places = self.places(value);
                operation.action = QueueAction::EnqueueAt { value, places };
            }
            operation
        };
        operations.iter().map(fill).collect()
    }

    fn places(&self, value: ValueId) -> (u32, u32) {
        let count = |times: &[Moment], is_before: &dyn Fn(&Moment) -> bool| {
            times.partition_point(is_before) as u32
        };
        match self.dequeues.get(&value) {
            Some((invoke, returned)) => (
                count(&self.returns, &|at| at < invoke),
                count(&self.invokes, &|at| at <= returned).saturating_sub(1),
            ),
            None if self.has_unknown => (0, u32::MAX),
            None => (self.returns.len() as u32, u32::MAX),
        }
    }
}
