//! The search itself: depth first, with its own stack.

use super::budget::Purse;
use super::calls::{Calls, Entry, Link};
use crate::hash::{HashSet128, Table, spread};
use crate::model::{Model, ValueId};
use crate::operation::Operation;

/// What a search found.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Searched<S> {
    /// An order exists.
    Linearizable,
    /// None does; this is how far the deepest attempt came.
    NotLinearizable(Frontier<S>),
    /// The budget did not suffice.
    OutOfBudget,
}

/// The deepest point that the search reached, where no operation could be taken next.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Frontier<S> {
    /// How many operations had been taken.
    pub(crate) depth: usize,
    /// The state then.
    pub(crate) state: S,
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
) -> Searched<M::State> {
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
    path: Vec<Step<M::State>>,
    tried: HashSet128,
    demand: Option<Demand>,
    frontier: Frontier<M::State>,
}

struct Step<S> {
    place: usize,
    state_before: S,
    taken_before: u128,
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

/// Who still has to see which value: counts by value.
struct Demand {
    certain: Vec<u32>,
    any: Vec<u32>,
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
        let frontier = Frontier {
            depth: 0,
            state: model.initial(),
            rejected: Vec::new(),
        };
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
            frontier,
        }
    }

    fn run(mut self, purse: &mut Purse) -> Searched<M::State> {
        let mut link = self.calls.first();
        while self.missing > 0 {
            match self.calls.at(link) {
                Entry::Call(place) => {
                    if !purse.pay() || self.tried.len() > purse.configurations() {
                        return Searched::OutOfBudget;
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
    fn take(&mut self, place: usize) -> Taken {
        let operation = &self.operations[place];
        let Some(state) = self.model.apply(&self.state, &operation.action) else {
            return Taken::No;
        };
        let is_idle = state == self.state;
        if is_idle && !operation.is_certain() {
            return Taken::No;
        }
        // One that changes nothing commutes with all that follows: taken now or never.
        let is_forced = self.model.changes_nothing(&operation.action);
        if let Some(demand) = &mut self.demand {
            demand.take(self.model, operation);
        }
        let demand = self.demand.as_ref();
        let loses = !is_idle && demand.is_some_and(|it| it.is_owed(self.model, &self.state));
        let taken = self.taken ^ spread(place as u64, 0x6f70_6572_6174_696f);
        if loses || !self.tried.insert(taken ^ self.fingerprint(&state)) {
            if let Some(demand) = &mut self.demand {
                demand.put_back(self.model, operation);
            }
            return if is_forced {
                Taken::Hopeless
            } else {
                Taken::No
            };
        }
        let state_before = std::mem::replace(&mut self.state, state);
        let taken_before = std::mem::replace(&mut self.taken, taken);
        self.path.push(Step {
            place,
            state_before,
            taken_before,
            is_forced,
        });
        self.calls.lift(place);
        self.missing -= usize::from(operation.is_certain());
        Taken::Yes
    }

    /// Takes back the last step that had an alternative. Returns where to go on.
    fn retreat(&mut self) -> Option<Link> {
        self.note_frontier();
        loop {
            let step = self.path.pop()?;
            let operation = &self.operations[step.place];
            self.calls.put_back(step.place);
            self.missing += usize::from(operation.is_certain());
            self.state = step.state_before;
            self.taken = step.taken_before;
            if let Some(demand) = &mut self.demand {
                demand.put_back(self.model, operation);
            }
            if !step.is_forced {
                return Some(self.calls.after(self.calls.call_of(step.place)));
            }
        }
    }

    fn note_frontier(&mut self) {
        if self.path.len() < self.frontier.depth
            || (self.path.len() == self.frontier.depth && !self.frontier.rejected.is_empty())
        {
            return;
        }
        let mut rejected = Vec::new();
        let mut link = self.calls.first();
        while let Entry::Call(place) = self.calls.at(link) {
            if rejected.len() == REJECTED_SHOWN {
                break;
            }
            if self.operations[place].is_certain() {
                rejected.push(place);
            }
            link = self.calls.after(link);
        }
        self.frontier = Frontier {
            depth: self.path.len(),
            state: self.state.clone(),
            rejected,
        };
    }

    /// The state's hash. Values that nobody has to see any more are all the same.
    fn fingerprint(&self, state: &M::State) -> u128 {
        match (&self.demand, self.model.holds(state)) {
            (Some(demand), Some(value)) if !demand.is_wanted(value) => 0,
            _ => self.model.fingerprint(state),
        }
    }
}

/// What the search has to look at. An indeterminate operation is left out if it only puts in place what
/// nobody sees: it need not have happened. If it saw a value itself, that one may be unseen then too.
fn included<M: Model>(model: &M, operations: &[Operation<M::Action>]) -> Vec<bool> {
    let mut included = vec![true; operations.len()];
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

impl Demand {
    fn new<M: Model>(model: &M, operations: &[Operation<M::Action>], included: &[bool]) -> Self {
        let mut demand = Self {
            certain: Vec::new(),
            any: Vec::new(),
        };
        for (operation, _) in operations
            .iter()
            .zip(included)
            .filter(|(_, included)| **included)
        {
            if let Some(value) = model.wants(&operation.action) {
                let count = demand.any.len().max(value as usize + 1);
                demand.any.resize(count, 0);
                demand.certain.resize(count, 0);
            }
            demand.put_back(model, operation);
        }
        demand
    }

    fn take<M: Model>(&mut self, model: &M, operation: &Operation<M::Action>) {
        if let Some(value) = model.wants(&operation.action) {
            self.any[value as usize] -= 1;
            self.certain[value as usize] -= u32::from(operation.is_certain());
        }
    }

    fn put_back<M: Model>(&mut self, model: &M, operation: &Operation<M::Action>) {
        if let Some(value) = model.wants(&operation.action) {
            self.any[value as usize] += 1;
            self.certain[value as usize] += u32::from(operation.is_certain());
        }
    }

    /// Whether somebody who certainly saw the value in `state` has not been taken yet.
    fn is_owed<M: Model>(&self, model: &M, state: &M::State) -> bool {
        let owed = model
            .holds(state)
            .and_then(|value| self.certain.get(value as usize));
        owed.is_some_and(|count| *count > 0)
    }

    fn is_wanted(&self, value: ValueId) -> bool {
        self.any.get(value as usize).is_some_and(|count| *count > 0)
    }
}
