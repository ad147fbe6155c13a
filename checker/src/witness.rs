//! The order that the service itself reports, put to the test: replayed on the sequential model, and held
//! against the clients' times. One that passes proves the history linearizable without trusting the service;
//! one that does not is a finding even where another order fits: the replicas' log is then not what the
//! clients saw.

use crate::Violation;
use crate::hash::Table;
use crate::model::{Model, ValueId};
use crate::moment::{Milliseconds, Moment};
use crate::operation::Operation;
use crate::register::{Action, Partition, Register};
use crate::story::Story;

/// What the reported order says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Witness {
    /// It explains everything that the clients saw.
    Explains,
    /// It contradicts itself or what the clients saw.
    Contradicts(Vec<Violation>),
    /// It is not there, or not whole.
    NotApplicable(String),
}

/// An operation with its key, by places.
type Place = (usize, usize);

/// Tests the order reported over all keys: the service counts operations, whatever they touch.
pub(crate) fn test(partitions: &[Partition<'_>], limit: usize) -> Witness {
    let mut ordered: Vec<(u64, bool, Moment, Place)> = Vec::new();
    let (mut certain, mut without) = (0_usize, 0_usize);
    for (key, partition) in partitions.iter().enumerate() {
        for (place, operation) in partition.operations.iter().enumerate() {
            certain += usize::from(operation.is_certain());
            match operation.order {
                // Of equal numbers the effect comes first: a read outside the log bears the number of the
                // last operation that it reflects.
                Some(order) => {
                    let is_read = Register.changes_nothing(&operation.action);
                    ordered.push((order, is_read, operation.invoke, (key, place)));
                }
                None => without += usize::from(operation.is_certain()),
            }
        }
    }
    if certain == without {
        return Witness::NotApplicable("no operation carries an order".to_owned());
    }
    if without > 0 {
        let reason = format!("{without} of {certain} completed operations carry no order");
        return Witness::NotApplicable(reason);
    }
    ordered.sort_unstable();
    let mut test = Test {
        partitions,
        violations: Vec::new(),
        limit: limit.max(1),
    };
    test.repeated(&ordered);
    let places: Vec<Place> = ordered.into_iter().map(|(.., place)| place).collect();
    let (executed, ambiguous) = test.replay(&places);
    test.against_time(&executed);
    test.within_processes(&executed);
    if test.violations.is_empty()
        && let Some(key) = ambiguous
    {
        let key = partitions[key].key_name();
        let reason = format!("{key}: indeterminate operations without an order leave it open");
        return Witness::NotApplicable(reason);
    }
    if test.violations.is_empty() {
        return Witness::Explains;
    }
    test.violations.sort_by_key(|violation| violation.window);
    test.violations.truncate(test.limit);
    Witness::Contradicts(test.violations)
}

struct Test<'p, 'h> {
    partitions: &'p [Partition<'h>],
    violations: Vec<Violation>,
    limit: usize,
}

impl<'p, 'h> Test<'p, 'h> {
    fn operation(&self, (key, place): Place) -> &'p Operation<Action> {
        &self.partitions[key].operations[place]
    }

    fn name(&self, story: &mut Story<'p, 'h>, place: Place) -> String {
        story.name(&self.partitions[place.0], self.operation(place))
    }

    /// Numbers that two effects bear. Indeterminate ones count: their numbers come from the replicas.
    fn repeated(&mut self, ordered: &[(u64, bool, Moment, Place)]) {
        let pairs = ordered.windows(2).filter_map(|pair| match pair {
            [(one, false, _, first), (two, false, _, second)] if one == two => {
                Some((*one, *first, *second))
            }
            _ => None,
        });
        let told: Vec<Violation> = pairs
            .take(self.limit)
            .map(|(order, one, other)| self.fork(order, one, other))
            .collect();
        self.violations.extend(told);
    }

    fn fork(&self, order: u64, one: Place, other: Place) -> Violation {
        let mut story = Story::new();
        let (one, other) = (self.name(&mut story, one), self.name(&mut story, other));
        let argument = format!(
            "{one} and {other} both were number {order} of all executed operations. One execution has one \
             operation at each place, so replicas executed different operations there."
        );
        let summary = format!("two operations were both executed as number {order}");
        story.end("order-repeated", summary, &argument)
    }

    /// The real-time order by a running maximum: none may have ended before one began that comes ahead of it.
    fn against_time(&mut self, places: &[Place]) {
        let mut latest: Option<Place> = None;
        let mut found = Vec::new();
        for place in places.iter().copied() {
            let operation = self.operation(place);
            match latest.map(|latest| (latest, self.operation(latest))) {
                Some((ahead, before)) if operation.precedes(before) && found.len() < self.limit => {
                    found.push((ahead, place));
                }
                _ => {}
            }
            if latest.is_none_or(|latest| self.operation(latest).invoke < operation.invoke) {
                latest = Some(place);
            }
        }
        // One that is far ahead of its time contradicts all that it overtook: told once.
        found.dedup_by_key(|(ahead, _)| *ahead);
        let told: Vec<Violation> = found
            .into_iter()
            .map(|(ahead, place)| self.overtaken(ahead, place))
            .collect();
        self.violations.extend(told);
    }

    fn overtaken(&self, ahead: Place, place: Place) -> Violation {
        let (later, earlier) = (self.operation(ahead), self.operation(place));
        let gap = Milliseconds(earlier.returned.until(later.invoke));
        let mut story = Story::new();
        let (first, second) = (self.name(&mut story, place), self.name(&mut story, ahead));
        let argument = format!(
            "{first} ended {gap} before {second} began, so {first} came first. In the order of execution \
             {second} comes first. Contradiction."
        );
        let summary = format!(
            "the service executed an operation of process {} before one of process {} that had ended {gap} \
             before the former began",
            later.process, earlier.process
        );
        story.end("order-contradicts-time", summary, &argument)
    }

    /// A process does one thing after the other, also within one nanosecond of the clock.
    fn within_processes(&mut self, places: &[Place]) {
        let mut latest: Table<u64, Place> = Table::default();
        let mut found = Vec::new();
        for place in places.iter().copied() {
            let operation = self.operation(place);
            let before = latest.insert(operation.process, place);
            let Some(before) = before.filter(|_| found.len() < self.limit) else {
                continue;
            };
            let other = self.operation(before);
            let is_same_read = other.order == operation.order
                && [other, operation]
                    .iter()
                    .all(|it| Register.changes_nothing(&it.action));
            if other.position > operation.position && !operation.precedes(other) && !is_same_read {
                found.push((before, place));
            }
        }
        let told: Vec<Violation> = found
            .into_iter()
            .map(|(ahead, place)| self.overtaken(ahead, place))
            .collect();
        self.violations.extend(told);
    }

    /// Replays the operations in the reported order. An indeterminate one without a number is executed where
    /// its value is first seen. Returns all in the order of their execution, and a key whose failed replay
    /// is no proof.
    fn replay(&mut self, places: &[Place]) -> (Vec<Place>, Option<usize>) {
        let mut registers: Vec<Replay<'_>> = self.partitions.iter().map(Replay::new).collect();
        let mut executed = Vec::with_capacity(places.len());
        let mut ambiguous = None;
        let mut told = vec![false; self.partitions.len()];
        for (key, place) in places.iter().copied() {
            let register = &mut registers[key];
            let (held, setter) = (register.state, register.setter);
            let fetched = register.prepare(place);
            executed.extend(fetched.into_iter().map(|place| (key, place)));
            executed.push((key, place));
            // What follows on a key rests on what went wrong there: told once.
            if register.execute(place) || std::mem::replace(&mut told[key], true) {
                continue;
            }
            if register.is_ambiguous {
                ambiguous = Some(key);
            } else if self.violations.len() < self.limit {
                self.violations
                    .push(self.wrong_result((key, place), held, setter));
            }
        }
        (executed, ambiguous)
    }

    fn wrong_result(&self, place: Place, held: ValueId, setter: Option<usize>) -> Violation {
        let partition = &self.partitions[place.0];
        let operation = self.operation(place);
        let mut story = Story::new();
        let setter = setter.map(|setter| self.name(&mut story, (place.0, setter)));
        let name = self.name(&mut story, place);
        let key = partition.key_name();
        let held = partition.value(held);
        let because = match setter {
            Some(setter) => format!("since {setter}"),
            None => "as at first".to_owned(),
        };
        let saw = operation
            .action
            .saw()
            .map(|saw| partition.value(saw))
            .unwrap_or_default();
        let argument = format!(
            "In the order of execution, {key} held {held} ({because}) when {name} was executed; its result \
             needs {saw}{}. The order that the replicas report does not explain what the client was told.",
            if held == saw { " not to be there" } else { "" }
        );
        let summary = format!(
            "process {} was answered as if {key} held {saw}, but in the order of execution it held {held}",
            operation.process
        );
        story.end("order-contradicts-result", summary, &argument)
    }
}

/// One register, on its way through the reported order.
struct Replay<'p> {
    operations: &'p [Operation<Action>],
    state: ValueId,
    /// Who put the state's value in place.
    setter: Option<usize>,
    /// Indeterminate operations without a number that were not executed yet, by the value they leave.
    pending: Table<ValueId, Vec<usize>>,
    values_are_unique: bool,
    /// Which of the indeterminate operations were executed had to be guessed.
    is_ambiguous: bool,
}

impl<'p> Replay<'p> {
    fn new(partition: &'p Partition<'_>) -> Self {
        let mut pending: Table<ValueId, Vec<usize>> = Table::default();
        for (place, operation) in partition.operations.iter().enumerate() {
            if let (None, Some(value)) = (operation.order, Register.leaves(&operation.action)) {
                pending.entry(value).or_default().push(place);
            }
        }
        Self {
            operations: &partition.operations,
            state: Register.initial(),
            setter: None,
            pending,
            values_are_unique: partition.values_are_unique,
            is_ambiguous: false,
        }
    }

    /// Executes what must have been executed before the operation at `place`, if it can be: that the value
    /// it saw is in place. Returns which.
    fn prepare(&mut self, place: usize) -> Vec<usize> {
        let operation = &self.operations[place];
        match Register.wants(&operation.action) {
            Some(wanted) if wanted != self.state && !self.pending.is_empty() => {
                self.is_ambiguous |= !self.values_are_unique || !operation.is_certain();
                if operation.is_certain() {
                    return self.fetch(wanted, operation.returned);
                }
            }
            _ => {}
        }
        Vec::new()
    }

    /// Executes the operation; false if it cannot have its result. An indeterminate one that cannot succeed
    /// was executed without effect.
    fn execute(&mut self, place: usize) -> bool {
        let operation = &self.operations[place];
        match Register.apply(&self.state, &operation.action) {
            Some(state) => {
                if Register.leaves(&operation.action).is_some() {
                    self.setter = Some(place);
                }
                self.state = state;
                true
            }
            None => !operation.is_certain(),
        }
    }

    /// Executes pending operations so that `wanted` is in place, if there are such that had begun by `until`.
    fn fetch(&mut self, wanted: ValueId, until: Moment) -> Vec<usize> {
        let mut line: Vec<usize> = Vec::new();
        let mut value = wanted;
        loop {
            let candidates = self
                .pending
                .get(&value)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let fits =
                |place: &&usize| self.operations[**place].invoke <= until && !line.contains(*place);
            let Some(place) = candidates.iter().find(fits).copied() else {
                return Vec::new();
            };
            line.push(place);
            match Register.wants(&self.operations[place].action) {
                Some(needed) if needed != self.state => value = needed,
                _ => break,
            }
        }
        line.reverse();
        for place in line.iter().copied() {
            if let Some(value) = Register.leaves(&self.operations[place].action) {
                if let Some(candidates) = self.pending.get_mut(&value) {
                    candidates.retain(|candidate| *candidate != place);
                }
                self.state = value;
                self.setter = Some(place);
            }
        }
        line
    }
}

#[cfg(test)]
mod tests;
