//! The search itself: depth first, with its own stack.

use super::budget::Purse;
use super::calls::{Calls, Entry, Link};
use super::demand::Demand;
use crate::hash::{HashSet128, Table, spread};
use crate::model::{Model, ValueId};
use crate::operation::Operation;

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Searched {
    /// An order exists.
    Linearizable,
    /// None does; this is how far the deepest attempt came.
    NotLinearizable(Frontier),
    /// The budget did not suffice; what of it.
    OutOfBudget(&'static str),
}

/// The deepest point that the search reached, where no operation could be taken next.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Frontier {
    /// The operations taken, as places, in their order.
    pub(crate) taken: Vec<u32>,
    /// The operations that had to be tried next, as places; a few of them.
    pub(crate) rejected: Vec<usize>,
}

/// How many rejected operations a frontier names.
const REJECTED_SHOWN: usize = 6;

/// Searches for an order of `operations` that `model` and real time allow. `values_return_never` says that
/// no value is put in place twice: the search may then give up an attempt in which a value has gone that
/// somebody still has to see.
pub(crate) fn search<M: Model>(
    model: &M,
    operations: &[Operation<M::Action>],
    values_return_never: bool,
    purse: &mut Purse,
) -> Searched {
    let prepared = model.prepare(operations);
    let operations = prepared.as_deref().unwrap_or(operations);
    Search::new(model, operations, values_return_never).run(purse)
}

struct Search<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Action>],
    calls: Calls,
    state: M::State,
    /// The hash of the set of operations taken.
    taken: u128,
    /// Certain operations not yet taken. When none is left the search is over: an indeterminate one need not
    /// have happened.
    missing: usize,
    path: Vec<Step<M::Undo>>,
    tried: HashSet128,
    demand: Option<Demand>,
    /// For an indeterminate operation the one before it that does the same: it is taken first.
    twins: Table<u32, u32>,
    frontier: Frontier,
    /// How many of the frontier's operations are still the first of the path.
    common: usize,
}

struct Step<U> {
    place: u32,
    undo: U,
    /// The operation changes nothing, so that taking it at once was as good as taking it at any later time.
    is_forced: bool,
}

/// Whether an operation was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    Yes,
    No,
    /// It could have been, at no cost, and it is known that nothing comes of it.
    Hopeless,
}

impl<'a, M: Model> Search<'a, M> {
    fn new(
        model: &'a M,
        operations: &'a [Operation<M::Action>],
        values_return_never: bool,
    ) -> Self {
        let included = included(model, operations);
        let missing = operations
            .iter()
            .filter(|operation| operation.is_certain())
            .count();
        let demand = values_return_never.then(|| Demand::new(model, operations, &included));
        Self {
            model,
            operations,
            calls: Calls::new(operations, &included),
            state: model.initial(),
            taken: 0,
            missing,
            path: Vec::with_capacity(missing),
            tried: HashSet128::default(),
            demand,
            twins: twins(operations, &included),
            frontier: Frontier::default(),
            common: 0,
        }
    }

    fn run(mut self, purse: &mut Purse) -> Searched {
        let mut link = self.calls.first();
        while self.missing > 0 {
            match self.calls.at(link) {
                Entry::Call(place) => {
                    if !purse.pay() {
                        return Searched::OutOfBudget("steps");
                    }
                    if self.tried.len() > purse.configurations() {
                        return Searched::OutOfBudget("memory");
                    }
                    link = match self.take(place) {
                        Taken::Yes => self.calls.first(),
                        Taken::No => self.calls.after(link),
                        Taken::Hopeless => match self.retreat() {
                            Some(next) => next,
                            None => return Searched::NotLinearizable(self.frontier),
                        },
                    };
                }
                Entry::Return | Entry::End => match self.retreat() {
                    Some(next) => link = next,
                    None => return Searched::NotLinearizable(self.frontier),
                },
            }
        }
        Searched::Linearizable
    }

    /// Takes the operation next, if the model allows it and it leads somewhere new.
    fn take(&mut self, place: u32) -> Taken {
        let operation = &self.operations[place as usize];
        if !operation.is_certain()
            && let Some(twin) = self.twins.get(&place)
            && !self.calls.is_lifted(*twin as usize)
        {
            return Taken::No;
        }
        let before = self.model.fingerprint(&self.state);
        let held = self.model.holds(&self.state);
        let Some(undo) = self.model.apply(&mut self.state, &operation.action) else {
            return Taken::No;
        };
        let after = self.model.fingerprint(&self.state);
        let is_idle = before == after;
        if is_idle && !operation.is_certain() {
            self.model.undo(&mut self.state, &operation.action, undo);
            return Taken::No;
        }
        // One that changes nothing commutes with all that follows: taken now or never.
        let is_forced = self.model.changes_nothing(&operation.action);
        let mut hash = after;
        let mut loses = false;
        if let Some(demand) = &mut self.demand {
            demand.take(self.model, operation);
            loses = !is_idle && demand.is_owed(held);
            // Values that nobody has to see any more are all the same.
            if self
                .model
                .holds(&self.state)
                .is_some_and(|value| !demand.is_wanted(value))
            {
                hash = 0;
            }
        }
        let taken = self.taken ^ mark(place);
        if loses || !self.tried.insert(taken ^ hash) {
            if let Some(demand) = &mut self.demand {
                demand.put_back(self.model, operation);
            }
            self.model.undo(&mut self.state, &operation.action, undo);
            return if is_forced {
                Taken::Hopeless
            } else {
                Taken::No
            };
        }
        self.taken = taken;
        self.path.push(Step {
            place,
            undo,
            is_forced,
        });
        self.calls.lift(place as usize);
        self.missing -= usize::from(operation.is_certain());
        Taken::Yes
    }

    /// Takes back the last step that had an alternative. Returns where to go on.
    fn retreat(&mut self) -> Option<Link> {
        self.note_frontier();
        loop {
            let step = self.path.pop()?;
            self.common = self.common.min(self.path.len());
            let operation = &self.operations[step.place as usize];
            self.calls.put_back(step.place as usize);
            self.missing += usize::from(operation.is_certain());
            self.model
                .undo(&mut self.state, &operation.action, step.undo);
            self.taken ^= mark(step.place);
            if let Some(demand) = &mut self.demand {
                demand.put_back(self.model, operation);
            }
            if !step.is_forced {
                return Some(self.calls.after(self.calls.call_of(step.place as usize)));
            }
        }
    }

    fn note_frontier(&mut self) {
        let depth = self.frontier.taken.len();
        if self.path.len() < depth
            || (self.path.len() == depth && !self.frontier.rejected.is_empty())
        {
            return;
        }
        self.frontier.rejected.clear();
        let mut link = self.calls.first();
        while let Entry::Call(place) = self.calls.at(link) {
            if self.frontier.rejected.len() == REJECTED_SHOWN {
                break;
            }
            if self.operations[place as usize].is_certain() {
                self.frontier.rejected.push(place as usize);
            }
            link = self.calls.after(link);
        }
        self.frontier.taken.truncate(self.common);
        let new = self.path[self.common..].iter().map(|step| step.place);
        self.frontier.taken.extend(new);
        self.common = self.path.len();
    }
}

fn mark(place: u32) -> u128 {
    spread(u64::from(place), 0x6f70_6572_6174_696f)
}

/// Pairs each indeterminate operation with the one before it that does the same. Neither ever returns, so an
/// order with the later one alone is an order with the earlier one alone.
fn twins<A: PartialEq>(operations: &[Operation<A>], included: &[bool]) -> Table<u32, u32> {
    /// How far back a twin is looked for: those who do the same are near or rare.
    const WINDOW: usize = 64;
    let mut latest: Vec<u32> = Vec::new();
    let mut twins = Table::default();
    for (place, operation) in (0..).zip(operations) {
        if operation.is_certain() || !included[place as usize] {
            continue;
        }
        let is_twin = |other: &&u32| operations[**other as usize].action == operation.action;
        let window = &latest[latest.len().saturating_sub(WINDOW)..];
        if let Some(twin) = window.iter().rev().find(is_twin) {
            twins.insert(place, *twin);
        }
        latest.push(place);
    }
    twins
}

/// What the search has to look at. An indeterminate operation is left out if it only puts in place what
/// nobody sees: it need not have happened. If it saw a value itself, that one may be unseen then too.
fn included<M: Model>(model: &M, operations: &[Operation<M::Action>]) -> Vec<bool> {
    let mut included = vec![true; operations.len()];
    if operations.iter().all(Operation::is_certain) {
        return included;
    }
    let mut seen: Table<ValueId, usize> = Table::default();
    let mut writers: Table<ValueId, Vec<usize>> = Table::default();
    for (place, operation) in operations.iter().enumerate() {
        if let Some(value) = model.wants(&operation.action) {
            *seen.entry(value).or_default() += 1;
        }
        if let Some(value) = model.leaves(&operation.action)
            && !operation.is_certain()
        {
            writers.entry(value).or_default().push(place);
        }
    }
    let mut due: Vec<usize> = (0..operations.len()).collect();
    while let Some(place) = due.pop() {
        let operation = &operations[place];
        let Some(value) = model.leaves(&operation.action) else {
            continue;
        };
        if operation.is_certain() || !included[place] || seen.get(&value).is_some_and(|n| *n > 0) {
            continue;
        }
        included[place] = false;
        if let Some(wanted) = model.wants(&operation.action)
            && let Some(count) = seen.get_mut(&wanted)
        {
            *count -= 1;
            due.extend(writers.get(&wanted).into_iter().flatten());
        }
    }
    included
}
