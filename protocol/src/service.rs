//! The replicated service: deterministic code over state that the core owns.
//!
//! The core owns the state so that checkpoints, digests and state transfer are its own and a service cannot
//! get them wrong. A service is code without state: given the same state and operation it answers the same.

use bytes::Bytes;

use crate::State;

/// Deterministic operations over a [`State`].
pub trait Service {
    /// Executes `operation` and returns its result. An operation that makes no sense (any bytes can arrive)
    /// is answered with the service's own error result: it never panics.
    fn execute(&self, state: &mut State, operation: &[u8]) -> Bytes;

    /// Whether `operation` changes nothing, whatever the state. Such a one may be answered outside the log.
    fn is_read(&self, _operation: &[u8]) -> bool {
        false
    }
}
