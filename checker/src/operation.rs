//! An operation as the algorithms see it.

use crate::moment::Moment;

/// What somebody did, from when to when. `A` is what the model makes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation<A> {
    /// What it did, with its result.
    pub(crate) action: A,
    /// Whose it is.
    pub(crate) process: u64,
    /// When it began.
    pub(crate) invoke: Moment,
    /// When it had taken effect; [`Moment::NEVER`] for an indeterminate one.
    pub(crate) returned: Moment,
    /// When it was heard of last: a return, an info, or the invoke itself.
    pub(crate) last_heard: Moment,
    /// Its place in the order of execution that the service reported.
    pub(crate) order: Option<u64>,
    /// Its invoke's place among the history's events: its identity, and its process' order.
    pub(crate) position: usize,
    /// Its invoke's number in the history, which evidence names it by.
    pub(crate) index: u64,
    /// Whether it is one of the reads at the end of the run.
    pub(crate) is_final: bool,
}

impl<A> Operation<A> {
    /// Whether it certainly took effect. An indeterminate one may have, at any time from its invoke on.
    pub(crate) fn is_certain(&self) -> bool {
        self.returned != Moment::NEVER
    }

    /// Whether it had ended before `other` began.
    pub(crate) fn precedes<B>(&self, other: &Operation<B>) -> bool {
        self.returned < other.invoke
    }
}
