//! Sequential models: what each operation does when nothing happens at the same time.

use crate::operation::Operation;
use crate::partition::{Input, Partition};
use crate::verdict::{CheckResult, Violation};

/// A value of a partition, by the order of first mention.
pub(crate) type ValueId = u32;

/// A deterministic state machine, for one partition of the state.
///
/// A state is changed in place and changed back, so that a step costs what it changes and not what the state
/// has grown to.
pub(crate) trait Model: Sized + Send + Sync {
    /// The model's name.
    const NAME: &'static str;
    /// Whether each key is a state of its own.
    const IS_KEYED: bool = true;

    /// An operation with its result, if the result is known.
    type Action: Clone + PartialEq + std::fmt::Debug + Send + Sync;
    /// The state between operations.
    type State;
    /// What it takes to change a state back.
    type Undo;

    /// Reads the calls of one partition. The error says what is no operation of the model.
    fn read<'h>(input: Input<'h>) -> Result<Partition<'h, Self>, Unreadable>;

    /// What everything begins with.
    fn initial(&self) -> Self::State;

    /// Does `action`; none, and nothing done, if it cannot have the result that it has.
    fn apply(&self, state: &mut Self::State, action: &Self::Action) -> Option<Self::Undo>;

    /// Takes back `action`, which was done last.
    fn undo(&self, state: &mut Self::State, action: &Self::Action, undo: Self::Undo);

    /// A hash of the state, equal for equal states only (up to 128-bit collisions). It takes constant time.
    fn fingerprint(&self, state: &Self::State) -> u128;

    /// The state in a few words, for explanations: completes "which leaves ...".
    fn words(&self, state: &Self::State, partition: &Partition<'_, Self>) -> String;

    /// Whether `action` leaves every state as it is.
    fn changes_nothing(&self, _action: &Self::Action) -> bool {
        false
    }

    /// The one value that must be in place for `action` to have its result; none if the model does not say.
    fn wants(&self, _action: &Self::Action) -> Option<ValueId> {
        None
    }

    /// The value that `action` puts in place, if the model's state is one value.
    fn leaves(&self, _action: &Self::Action) -> Option<ValueId> {
        None
    }

    /// The value in place in `state`, if the model's state is one value.
    fn holds(&self, _state: &Self::State) -> Option<ValueId> {
        None
    }

    /// Whether `action` tells anything: one that always succeeds with no result cannot contradict alone.
    fn shows(&self, action: &Self::Action) -> bool {
        self.wants(action).is_some()
    }

    /// The operations with what they tell about each other, for a search over just these; none where that is
    /// nothing.
    fn prepare(&self, _: &[Operation<Self::Action>]) -> Option<Vec<Operation<Self::Action>>> {
        None
    }

    /// The values that may be taken out of a history together with all that touches them: an order of the rest
    /// is left wherever there was one.
    fn removable(&self, _partition: &Partition<'_, Self>, _kept: &[Self::Action]) -> Vec<ValueId> {
        Vec::new()
    }

    /// The values that `action` touches, where the model says which may be taken out.
    fn touches(&self, _action: &Self::Action) -> [Option<ValueId>; 2] {
        [None; 2]
    }

    /// The model's own algorithm, where it has one that applies.
    fn exact(_partition: &Partition<'_, Self>, _limit: usize) -> Exact {
        Exact::NotApplicable(None)
    }

    /// Whether what was acknowledged is there at the end; none where the model has no such check.
    fn durability(_partitions: &[Partition<'_, Self>], _limit: usize) -> Option<CheckResult> {
        None
    }

    /// Whether a weaker property holds; none where the model does not know it.
    fn weaker(_: &[Partition<'_, Self>], _name: &str, _limit: usize) -> Option<CheckResult> {
        None
    }

    /// The name of the model's own algorithm.
    const EXACT: &'static str = "exact";
}

/// What a model's own algorithm says of a partition.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Exact {
    /// An order exists.
    Linearizable,
    /// None does.
    Violated(Vec<Violation>),
    /// It cannot judge this history; why, where a reader should know.
    NotApplicable(Option<String>),
}

/// A call that is no operation of the model.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event {event} is no operation of the model: {reason}")]
pub(crate) struct Unreadable {
    pub(crate) event: u64,
    pub(crate) reason: String,
}
