//! What can be written down of a run while it goes: for trace files, triggers and reports.

use viewstorm_history::Timestamp;
use viewstorm_protocol::{Address, Incarnation, NodeId, ProtocolEvent, ViewNumber};

/// Something that happened in the simulated world.
#[derive(Clone, Copy, Debug)]
pub enum TraceEvent<'a> {
    /// A core sent a message. What the taps and the link then do to it shows in whether it is received.
    Sent {
        /// Where to.
        to: Address,
        /// The message's kind.
        kind: &'static str,
        /// Its view.
        view: Option<ViewNumber>,
        /// Its number.
        number: Option<u64>,
    },
    /// A core was handed a message.
    Received {
        /// Whose.
        from: Address,
        /// The sender's stamp.
        stamp: u64,
        /// The message's kind.
        kind: &'static str,
        /// Its view.
        view: Option<ViewNumber>,
        /// Its number.
        number: Option<u64>,
    },
    /// A core said something.
    Noted(&'a ProtocolEvent),
    /// Records became durable and the core was told, up to this one.
    Persisted(u64),
    /// A process began.
    Started(Incarnation),
    /// A process ended.
    Exited(&'a str),
}

/// Is told of everything, in order.
pub trait TraceSink {
    /// `event` happened on `node` at `time`; the node's Lamport time is then `lamport`.
    fn record(&mut self, time: Timestamp, node: NodeId, lamport: u64, event: TraceEvent<'_>);
}
