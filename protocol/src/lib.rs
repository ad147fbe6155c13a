//! Sans-io protocol cores and the words they share with whatever drives them.
//!
//! A core is a state machine: events in, effects out ([`Protocol`]). It knows no clock, socket, file,
//! thread or random source; `clippy.toml` beside this crate forbids them. The same core runs in a
//! replica process over QUIC and in the deterministic simulator.

mod clock_shim;
mod effect;
mod envelope;
mod fuse;
mod node;
mod note;
mod observe;
mod outbox;
pub mod pbft;
mod quorum;
mod service;
pub mod state;
mod tap;
mod time;
mod trace;
mod view;
pub mod vr;

pub use clock_shim::{BentClock, ClockShim};
pub use effect::{Effect, Effects, Event, Record, RecordId, Recovered, Zone};
pub use envelope::{Envelope, Incarnation, LamportClock, Message};
pub use fuse::{EffectLabel, Fuse, FuseStep};
pub use node::{Address, ClientId, NodeId, ParseNodeIdError, ReplicaId};
pub use note::{ProtocolEvent, Status};
pub use observe::Observe;
pub use outbox::Outbox;
pub use quorum::Quorum;
pub use service::Service;
pub use state::{Digest, State};
pub use tap::{Direction, OpenTap, Passing, Tap, TapVerdict};
pub use time::Instant;
pub use trace::{MessageLabel, TraceEvent, TraceRecord};
pub use view::{EpochNumber, ViewNumber};

use bytes::Bytes;

/// A replica's protocol: a state machine that whoever holds it drives.
///
/// The driver calls [`step`](Protocol::step) with one event at a time and then carries out the effects in
/// order. It calls again with [`Event::Timeout`] once [`next_timeout`](Protocol::next_timeout) has passed.
/// `now` never goes back between two calls. After a failed write the driver stops the process: nothing may
/// be assumed durable from then on.
pub trait Protocol {
    /// What replicas and clients say to one another.
    type Message: Message;
    /// What the replica writes to its storage.
    type Record: Record;

    /// Handles one event; everything the core wants done goes into `effects`.
    fn step(
        &mut self,
        now: Instant,
        event: Event<Self::Message, Self::Record>,
        effects: &mut Effects<Self::Message, Self::Record>,
    );

    /// When the core next wants [`Event::Timeout`], if at all.
    fn next_timeout(&self) -> Option<Instant>;
}

/// A client's half of a protocol: one session, at most one operation outstanding, driven like a replica.
pub trait Client {
    /// The message type of the replicas it speaks to.
    type Message: Message;

    /// Starts `operation`. The caller waits for the completion before it invokes again.
    fn invoke(
        &mut self,
        now: Instant,
        operation: Bytes,
        effects: &mut ClientEffects<Self::Message>,
    );

    /// Makes `members` the group, as an administrator does: instead of an operation, and until that has come to
    /// something. A protocol whose group never changes says so.
    fn reconfigure(
        &mut self,
        _now: Instant,
        _members: Vec<ReplicaId>,
        effects: &mut ClientEffects<Self::Message>,
    ) {
        let refusal = "this protocol's group does not change".to_owned();
        effects.reconfigured = Some(Err(refusal));
    }

    /// Handles a message from a replica, which may complete the outstanding operation.
    fn receive(
        &mut self,
        now: Instant,
        from: ReplicaId,
        message: Self::Message,
        effects: &mut ClientEffects<Self::Message>,
    );

    /// Handles a due timeout: usually a retransmission.
    fn timeout(&mut self, now: Instant, effects: &mut ClientEffects<Self::Message>);

    /// When the client next wants [`timeout`](Client::timeout), if at all.
    fn next_timeout(&self) -> Option<Instant>;
}

/// What a client core wants done.
#[derive(Debug)]
pub struct ClientEffects<M> {
    /// Messages to send now, in this order.
    pub sends: Vec<(ReplicaId, M)>,
    /// The outstanding operation's result, once known.
    pub completion: Option<Completion>,
    /// What came of the reconfiguration, once known: the epoch in which the new group works, or why it was
    /// refused.
    pub reconfigured: Option<Result<EpochNumber, String>>,
}

impl<M> Default for ClientEffects<M> {
    fn default() -> Self {
        Self {
            sends: Vec::new(),
            completion: None,
            reconfigured: None,
        }
    }
}

/// The result of a client's operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completion {
    /// The service's answer.
    pub result: Bytes,
    /// How many operations the service had executed up to and with this one: the same on all correct
    /// replicas.
    pub order: u64,
}
