//! The host's handle.

use bytes::Bytes;
use viewstorm_protocol::{ClientId, Completion, ReplicaId};

use crate::{ClientHostConfig, ClientHostError, TapControl};

/// Something that happened in the client host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClientEvent {
    /// A session's operation completed.
    Completed {
        /// Which session.
        client: ClientId,
        /// When the session knew, in nanoseconds on the run's clock.
        time_nanos: u64,
        /// The service's answer.
        completion: Completion,
    },
    /// A probe arrived at an endpoint.
    ProbeArrived {
        /// Its name.
        id: u64,
        /// Where.
        endpoint: u16,
        /// Whose.
        from: ReplicaId,
        /// When it was sent, in nanoseconds on the run's clock.
        sent: u64,
        /// When it arrived, on the same clock.
        received: u64,
    },
    /// The endpoint's tap has the rules of the latest [`ClientHost::set_tap`].
    TapSet {
        /// Which endpoint.
        endpoint: u16,
    },
    /// The host cannot go on: its last event.
    Failed {
        /// Why.
        reason: String,
    },
}

/// Client sessions on their endpoints, on a thread of their own. Dropping it ends the thread and waits for it.
#[derive(Debug)]
pub struct ClientHost {}

impl ClientHost {
    /// Starts the host. `tap` makes the tap of each endpoint; `events` is called on the host's thread, in the
    /// order in which things happen, and must not block.
    pub fn start(
        _config: ClientHostConfig,
        _tap: impl Fn(u16) -> Box<dyn TapControl> + Send + 'static,
        _events: impl FnMut(ClientEvent) + Send + 'static,
    ) -> Result<Self, ClientHostError> {
        Ok(Self {})
    }

    /// Starts an operation in a session. A session is opened by its first operation and has one outstanding
    /// at a time.
    pub fn invoke(&self, _client: ClientId, _operation: Bytes) {}

    /// Ends a session, whatever it waits for.
    pub fn retire(&self, _client: ClientId) {}

    /// From now on these are all the rules of the endpoint's tap. Answered by [`ClientEvent::TapSet`].
    pub fn set_tap(&self, _endpoint: u16, _rules: &serde_json::Value) {}

    /// Sends a probe from the endpoint to a replica.
    pub fn probe(&self, _endpoint: u16, _id: u64, _to: ReplicaId) {}
}
