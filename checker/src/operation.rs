//! An operation as the algorithms see it.

use crate::moment::Moment;

/// What somebody did, from when to when. `A` is what the model makes of it; the rest is in the log's call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Operation<A> {
    /// What it did, with its result.
    pub(crate) action: A,
    /// When it began.
    pub(crate) invoke: Moment,
    /// When it had taken effect; [`Moment::NEVER`] for an indeterminate one.
    pub(crate) returned: Moment,
    /// Its place among the log's calls: its identity, and its process' order.
    pub(crate) call: u32,
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
