//! The run itself: its time, what is due, what was counted, and what is to be handed out.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use viewstorm_history::Timestamp;
use viewstorm_nemesis::{Link, Observation, ProbeId};
use viewstorm_protocol::{ClientId, Completion, Incarnation, NodeId, TraceEvent, TraceRecord};

use crate::hash::{Hashed, TraceHash};
use crate::queue::Queue;
use crate::{InvariantViolation, TraceSink};

/// Something that happened in the simulated world.
#[derive(Clone, Debug)]
pub enum Occurrence {
    /// A session's outstanding operation completed.
    Completed {
        /// Which session.
        client: ClientId,
        /// When its client knew.
        time: Timestamp,
        /// The service's answer.
        completion: Completion,
    },
    /// Something for the nemesis.
    Observed(Observation),
    /// A theorem does not hold.
    Violation(InvariantViolation),
}

/// What a run counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Steps of cores, replicas' and clients'.
    pub events: u64,
    /// Messages that cores sent.
    pub messages: u64,
    /// Messages that cores were handed, copies too.
    pub delivered: u64,
    /// Messages that a link, a tap, a fence or a full buffer took, or that found their receiver gone.
    pub dropped: u64,
    /// Completed operations.
    pub operations: u64,
    /// Records written.
    pub records: u64,
    /// Syncs that ended well.
    pub syncs: u64,
    /// How far virtual time is.
    pub virtual_time: Duration,
}

/// The state of a run apart from its nodes and its network.
pub(crate) struct Run {
    pub(crate) now: u64,
    pub(crate) queue: Queue,
    pub(crate) statistics: Statistics,
    pub(crate) hash: TraceHash,
    pub(crate) outward: VecDeque<Occurrence>,
    pub(crate) sink: Option<Box<dyn TraceSink>>,
}

impl Run {
    /// A run at its start.
    pub(crate) fn new() -> Self {
        Self {
            now: 0,
            queue: Queue::default(),
            statistics: Statistics::default(),
            hash: TraceHash::default(),
            outward: VecDeque::new(),
            sink: None,
        }
    }

    /// Now, on the run's clock.
    pub(crate) const fn timestamp(&self) -> Timestamp {
        Timestamp(self.now)
    }

    /// Something for the nemesis.
    pub(crate) fn observe(&mut self, observation: Observation) {
        self.outward.push_back(Occurrence::Observed(observation));
    }

    /// Test traffic reached a running node.
    pub(crate) fn probe_arrived(&mut self, id: ProbeId, link: Link, sent: u64) {
        let received = self.timestamp();
        self.observe(Observation::ProbeArrived {
            id,
            link,
            sent: Timestamp(sent),
            received,
        });
    }

    /// Takes an event into the trace hash.
    pub(crate) fn hashed(&mut self, event: Hashed<'_>) {
        self.hash.update(Hashed {
            time: self.now,
            ..event
        });
    }

    /// Tells the sink, if there is one.
    pub(crate) fn trace(
        &mut self,
        (node, incarnation): (NodeId, Incarnation),
        lamport: u64,
        event: impl FnOnce() -> TraceEvent,
    ) {
        if let Some(sink) = &mut self.sink {
            sink.record(&TraceRecord {
                time: self.now,
                lamport,
                node,
                incarnation,
                event: event(),
            });
        }
    }
}

impl fmt::Debug for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Run")
            .field("now", &self.now)
            .field("statistics", &self.statistics)
            .field("hash", &self.hash)
            .finish_non_exhaustive()
    }
}
