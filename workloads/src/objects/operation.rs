//! What clients ask of objects and what they are answered, as bytes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// The first byte of an operation on an object; no operation on a register begins with it.
pub(super) const TAG: u8 = 0x80;

/// Steps of a transaction at most, and elements of an answer: what an answer has room for.
pub(super) const MAX_STEPS: usize = 16;
/// Values that an object holds at most; more are refused.
pub(super) const MAX_VALUES: usize = 1_024;

/// An operation as the service reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Operation<'a> {
    /// All values of a set, a queue or a list.
    Values { key: &'a [u8] },
    /// Adds a value to a set that does not hold it.
    Add { key: &'a [u8], value: u64 },
    /// Puts a value at the end of a list or queue.
    Append { key: &'a [u8], value: u64 },
    /// Takes the first value.
    Dequeue { key: &'a [u8] },
    /// Adds to a counter, by 0 to read it.
    Count { key: &'a [u8], amount: u64 },
    /// Takes a lock that is free.
    Acquire { key: &'a [u8] },
    /// Frees a lock that is held.
    Release { key: &'a [u8] },
    /// Moves an amount between accounts, unless the first has less.
    Transfer { from: u32, to: u32, amount: u64 },
    /// The balances of the first accounts.
    Balances { accounts: u32 },
    /// Reads and writes registers at once: each step a register and what to write, or none to read.
    Registers { steps: Vec<(u32, Option<u64>)> },
    /// Reads and appends to lists at once.
    Lists { steps: Vec<(u32, Option<u64>)> },
}

/// The service's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Answer {
    Done,
    /// It changed nothing, since it could not be done.
    Refused,
    Value(Option<u64>),
    Values(Vec<u64>),
    /// What each step of a transaction saw, or the lists.
    Steps(Vec<Vec<u64>>),
    /// The bytes were no operation.
    Unreadable,
}

impl Operation<'_> {
    pub(super) fn encode(&self) -> Bytes {
        let mut bytes = vec![TAG];
        let body = postcard::to_allocvec(self).expect("these types have no failing serialisation");
        bytes.extend_from_slice(&body);
        bytes.into()
    }
}

impl Answer {
    pub(super) fn encode(&self) -> Bytes {
        postcard::to_allocvec(self)
            .expect("these types have no failing serialisation")
            .into()
    }
}
