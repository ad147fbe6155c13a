//! Calls: an invocation with what came of it.

use super::{Datum, Values};
use crate::Kind;

/// The time at which a call returns that never did.
pub const NEVER: u64 = u64::MAX;

/// Stands for "no order".
pub(super) const NO_ORDER: u64 = u64::MAX;

/// A call: an invocation with what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it began.
    pub invoke: u64,
    /// When it was heard of last; [`NEVER`] where the history ends first.
    pub end: u64,
    /// Whose it is.
    pub process: u64,
    /// The invoke's value.
    pub argument: Datum,
    /// The completion's value; of a failed call with `observed`, that.
    pub result: Datum,
    pub(super) order: u64,
    /// The invoke's number among the events.
    pub index: u64,
    /// The key it touches, in [`CallLog::keys`].
    pub key: u32,
    /// The operation, in [`CallLog::functions`].
    pub f: u16,
    /// How it ended; info where the history ends first.
    pub kind: Kind,
    pub(super) flags: u8,
}

pub(super) const OBSERVED: u8 = 1;
pub(super) const FINAL: u8 = 2;

impl Call {
    /// How many operations the service had executed up to and with this one, if it told.
    pub fn order(&self) -> Option<u64> {
        (self.order != NO_ORDER).then_some(self.order)
    }

    /// What a failed call saw.
    pub fn observed(&self) -> Option<Datum> {
        (self.flags & OBSERVED != 0).then_some(self.result)
    }

    /// Whether it is one of the reads at the end of the run.
    pub fn is_final(&self) -> bool {
        self.flags & FINAL != 0
    }
}

/// A history's calls, in the order of their invocations.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallLog {
    /// The calls.
    pub calls: Vec<Call>,
    /// The names of the operations: `read`, `write`, ...
    pub functions: Vec<String>,
    /// The keys; the first may be none.
    pub keys: Vec<Option<String>>,
    /// The values that are no small numbers.
    pub values: Values,
    /// The model that the header names.
    pub model: Option<String>,
    /// What the model's state is at first, as the header's `initial` says; null otherwise.
    pub initial: Datum,
    /// Whether the file ends as a whole one does.
    pub is_complete: bool,
    /// Whether the history has no times of its own: they count events then, a millisecond each.
    pub is_untimed: bool,
}

impl CallLog {
    /// Says what the model's state is at first.
    pub fn set_initial(&mut self, value: &serde_json::Value) {
        self.initial = self.values.intern(value);
    }

    /// The name of a call's operation.
    pub fn function(&self, call: &Call) -> &str {
        self.functions
            .get(usize::from(call.f))
            .map_or("", String::as_str)
    }

    /// The name of a call's key.
    pub fn key(&self, call: &Call) -> Option<&str> {
        self.keys.get(call.key as usize)?.as_deref()
    }
}
