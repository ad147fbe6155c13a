//! Sequential models: what each operation does when nothing happens at the same time.

/// A value that a state can be recognised by; see [`Model::wants`].
pub(crate) type ValueId = u32;

/// A deterministic state machine, for one partition of the state.
pub(crate) trait Model {
    /// An operation with its result, if the result is known.
    type Action;
    /// The state between operations.
    type State: Clone + PartialEq;

    /// What everything begins with.
    fn initial(&self) -> Self::State;

    /// The state after `action`, or none if it cannot have the result that it has.
    fn apply(&self, state: &Self::State, action: &Self::Action) -> Option<Self::State>;

    /// A hash of the state, equal for equal states only (up to 128-bit collisions).
    fn fingerprint(&self, state: &Self::State) -> u128;

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
}
