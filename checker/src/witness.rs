//! The order that the service itself reports, put to the test: replayed on the sequential model, and held
//! against the clients' times. One that passes proves the history linearizable without trusting the service;
//! one that does not is a finding even where another order fits: the replicas' log is then not what the
//! clients saw.

use crate::Violation;
use crate::hash::Table;
use crate::model::{Model, ValueId};
use crate::moment::{Milliseconds, Moment};
use crate::operation::Operation;
use crate::partition::Partition;
use crate::story::{Story, call_words};

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

/// An operation with its partition, by places.
type Place = (u32, u32);

/// An operation on its way into the order: of equal numbers the effect comes first (a read outside the log bears
/// the number of the last operation that it reflects), then the invocation.
type Ordered = (u64, u32, Place);

/// Tests the order reported over all partitions: the service counts operations, whatever they touch.
pub(crate) fn test<M: Model>(partitions: &[Partition<'_, M>], limit: usize) -> Witness {
    let mut ordered: Vec<Ordered> = Vec::new();
    let (mut certain, mut without) = (0_usize, 0_usize);
    for (key, partition) in (0..).zip(partitions) {
        for (place, operation) in (0..).zip(&partition.operations) {
            certain += usize::from(operation.is_certain());
            match partition.order(operation) {
                Some(order) => {
                    let is_read = partition.model.changes_nothing(&operation.action);
                    let rank = order.saturating_mul(2) | u64::from(is_read);
                    ordered.push((rank, operation.call, (key, place)));
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
        let key = partitions[key as usize].key_name();
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

struct Test<'p, 'h, M: Model> {
    partitions: &'p [Partition<'h, M>],
    violations: Vec<Violation>,
    limit: usize,
}

impl<'p, 'h, M: Model> Test<'p, 'h, M> {
    fn operation(&self, (key, place): Place) -> &'p Operation<M::Action> {
        &self.partitions[key as usize].operations[place as usize]
    }

    fn process(&self, place: Place) -> u64 {
        self.partitions[place.0 as usize].process(self.operation(place))
    }

    fn story(&self) -> Story<'h> {
        Story::new(self.partitions[0].log)
    }

    fn name(&self, story: &mut Story<'h>, place: Place) -> String {
        story.name(self.operation(place).call)
    }

    /// Numbers that two effects bear. Indeterminate ones count: their numbers come from the replicas.
    fn repeated(&mut self, ordered: &[Ordered]) {
        let pairs = ordered.windows(2).filter_map(|pair| match pair {
            [(one, _, first), (two, _, second)] if one == two && one & 1 == 0 => {
                Some((one / 2, *first, *second))
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
        let mut story = self.story();
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
        let mut story = self.story();
        let (first, second) = (self.name(&mut story, place), self.name(&mut story, ahead));
        let argument = format!(
            "{first} ended {gap} before {second} began, so {first} came first. In the order of execution \
             {second} comes first. Contradiction."
        );
        let summary = format!(
            "the service executed an operation of process {} before one of process {} that had ended {gap} \
             before the former began",
            self.process(ahead),
            self.process(place)
        );
        story.end("order-contradicts-time", summary, &argument)
    }

    /// A process does one thing after the other, also within one nanosecond of the clock.
    fn within_processes(&mut self, places: &[Place]) {
        let mut latest: Table<u64, Place> = Table::default();
        let mut found = Vec::new();
        for place in places.iter().copied() {
            let operation = self.operation(place);
            let before = latest.insert(self.process(place), place);
            let Some(before) = before.filter(|_| found.len() < self.limit) else {
                continue;
            };
            let other = self.operation(before);
            let order = |(key, place): Place| {
                let partition = &self.partitions[key as usize];
                let operation = &partition.operations[place as usize];
                let is_read = partition.model.changes_nothing(&operation.action);
                (partition.order(operation), is_read)
            };
            let is_same_read = order(before).1 && order(before) == order(place);
            if other.call > operation.call && !operation.precedes(other) && !is_same_read {
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
    fn replay(&mut self, places: &[Place]) -> (Vec<Place>, Option<u32>) {
        let mut replays: Vec<Replay<'_, 'h, M>> = self.partitions.iter().map(Replay::new).collect();
        let mut executed = Vec::with_capacity(places.len());
        let mut ambiguous = None;
        let mut told = vec![false; self.partitions.len()];
        for (key, place) in places.iter().copied() {
            let replay = &mut replays[key as usize];
            let fetched = replay.prepare(place);
            executed.extend(fetched.into_iter().map(|place| (key, place)));
            executed.push((key, place));
            // What follows on a key rests on what went wrong there: told once.
            if replay.execute(place) || std::mem::replace(&mut told[key as usize], true) {
                continue;
            }
            if replay.is_ambiguous {
                ambiguous = Some(key);
            } else if self.violations.len() < self.limit {
                let left = replay
                    .partition
                    .model
                    .words(&replay.state, replay.partition);
                let setter = replay.setter.map(|setter| (key, setter));
                self.violations
                    .push(self.wrong_result((key, place), &left, setter));
            }
        }
        (executed, ambiguous)
    }

    fn wrong_result(&self, place: Place, left: &str, setter: Option<Place>) -> Violation {
        let partition = &self.partitions[place.0 as usize];
        let operation = self.operation(place);
        let mut story = self.story();
        let because = match setter.map(|setter| self.name(&mut story, setter)) {
            Some(setter) => format!("since {setter}"),
            None => "as at first".to_owned(),
        };
        let name = self.name(&mut story, place);
        let argument = format!(
            "In the order of execution {name} came when there was {left} ({because}), which does not give \
             its result. The order that the replicas report does not explain what the client was told.",
        );
        let what = call_words(partition.log, partition.call(operation));
        let summary = format!(
            "process {} was told {what}, but in the order of execution there was {left}",
            self.process(place)
        );
        story.end("order-contradicts-result", summary, &argument)
    }
}

/// One state, on its way through the reported order.
struct Replay<'p, 'h, M: Model> {
    partition: &'p Partition<'h, M>,
    state: M::State,
    /// Who changed the state last.
    setter: Option<u32>,
    /// Indeterminate operations without a number that were not executed yet, by the value they leave.
    pending: Table<ValueId, Vec<u32>>,
    /// Indeterminate operations without a number, of which nothing says what they leave.
    has_strays: bool,
    /// Which of the indeterminate operations were executed had to be guessed.
    is_ambiguous: bool,
}

impl<'p, 'h, M: Model> Replay<'p, 'h, M> {
    fn new(partition: &'p Partition<'h, M>) -> Self {
        let model = &partition.model;
        let mut pending: Table<ValueId, Vec<u32>> = Table::default();
        let mut has_strays = false;
        for (place, operation) in (0..).zip(&partition.operations) {
            if operation.is_certain() || partition.order(operation).is_some() {
                continue;
            }
            match model.leaves(&operation.action) {
                Some(value) => pending.entry(value).or_default().push(place),
                None => has_strays |= !model.changes_nothing(&operation.action),
            }
        }
        let state = model.initial();
        Self {
            partition,
            state,
            setter: None,
            pending,
            has_strays,
            is_ambiguous: false,
        }
    }

    fn operation(&self, place: u32) -> &'p Operation<M::Action> {
        &self.partition.operations[place as usize]
    }

    /// Executes what must have been executed before the operation at `place`, if it can be: that the value
    /// it saw is in place. Returns which.
    fn prepare(&mut self, place: u32) -> Vec<u32> {
        let (model, operation) = (&self.partition.model, self.operation(place));
        let held = model.holds(&self.state);
        match model.wants(&operation.action) {
            Some(wanted) if held.is_some_and(|held| held != wanted) && !self.pending.is_empty() => {
                self.is_ambiguous |= !self.partition.values_are_unique || !operation.is_certain();
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
    fn execute(&mut self, place: u32) -> bool {
        let (model, operation) = (&self.partition.model, self.operation(place));
        match model.apply(&mut self.state, &operation.action) {
            Some(_) => {
                if !model.changes_nothing(&operation.action) {
                    self.setter = Some(place);
                }
                true
            }
            None => {
                self.is_ambiguous |= self.has_strays;
                !operation.is_certain()
            }
        }
    }

    /// Executes pending operations so that `wanted` is in place, if there are such that had begun by `until`.
    fn fetch(&mut self, wanted: ValueId, until: Moment) -> Vec<u32> {
        let model = &self.partition.model;
        let held = model.holds(&self.state);
        let mut line: Vec<u32> = Vec::new();
        let mut value = wanted;
        loop {
            let candidates = self
                .pending
                .get(&value)
                .map(Vec::as_slice)
                .unwrap_or_default();
            let fits =
                |place: &&u32| self.operation(**place).invoke <= until && !line.contains(*place);
            let Some(place) = candidates.iter().find(fits).copied() else {
                return Vec::new();
            };
            line.push(place);
            match model.wants(&self.operation(place).action) {
                Some(needed) if Some(needed) != held => value = needed,
                _ => break,
            }
        }
        line.reverse();
        for place in line.iter().copied() {
            let action = &self.operation(place).action;
            if let Some(value) = model.leaves(action) {
                if let Some(candidates) = self.pending.get_mut(&value) {
                    candidates.retain(|candidate| *candidate != place);
                }
                drop(model.apply(&mut self.state, action));
                self.setter = Some(place);
            }
        }
        line
    }
}

#[cfg(test)]
mod tests;
