//! The replicated service: deterministic code over state that the core owns.
//!
//! The core owns the state so that checkpoints, digests and state transfer are its own and a service cannot
//! get them wrong. A service is code without state: given the same state and operation it answers the same.

use std::collections::BTreeMap;

use bytes::Bytes;

/// Deterministic operations over a [`State`].
pub trait Service {
    /// Executes `operation` and returns its result. An operation that makes no sense (any bytes can arrive)
    /// is answered with the service's own error result: it never panics.
    fn execute(&self, state: &mut State, operation: &[u8]) -> Bytes;
}

/// The service's state: an ordered map from keys to values.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State {
    entries: BTreeMap<Bytes, Bytes>,
}

impl State {
    /// The value of `key`, if it has one.
    pub fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.entries.get(key)
    }

    /// Sets the value of `key`.
    pub fn put(&mut self, key: Bytes, value: Bytes) {
        self.entries.insert(key, value);
    }

    /// Removes `key` and returns the value it had.
    pub fn remove(&mut self, key: &[u8]) -> Option<Bytes> {
        self.entries.remove(key)
    }

    /// All entries in key order.
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        self.entries.iter()
    }
}
