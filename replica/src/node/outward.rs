//! What a turn has for the outside: trace records, messages to be sent, reports.

use viewstorm_protocol::{
    Address, Envelope, Incarnation, Instant, LamportClock, Message, MessageLabel, NodeId,
    ProtocolEvent, ReplicaId, TraceEvent, TraceRecord,
};

use super::trace_file::TraceFile;
use crate::control::Report;
use crate::passenger::Parcel;

/// Collects what a turn has for the outside.
#[derive(Debug)]
pub(super) struct Outward<M> {
    pub(super) me: ReplicaId,
    pub(super) incarnation: Incarnation,
    pub(super) now: Instant,
    pub(super) lamport: LamportClock,
    pub(super) trace: TraceFile,
    /// Messages in the order in which they are to leave.
    pub(super) leaving: Vec<Parcel<M>>,
    pub(super) reports: Vec<Report>,
}

impl<M: Message> Outward<M> {
    pub(super) fn new(me: ReplicaId, incarnation: Incarnation, trace: TraceFile) -> Self {
        Self {
            me,
            incarnation,
            now: Instant::ORIGIN,
            lamport: LamportClock::default(),
            trace,
            leaving: Vec::new(),
            reports: Vec::new(),
        }
    }

    /// Records that something happened, at the node's present Lamport time.
    pub(super) fn record(&mut self, event: TraceEvent) {
        self.trace.record(&TraceRecord {
            time: self.now.as_nanos(),
            lamport: self.lamport.now(),
            node: NodeId::Replica(self.me),
            incarnation: self.incarnation,
            event,
        });
    }

    /// Stamps a message and lets it leave at the end of the turn.
    pub(super) fn send(&mut self, to: Address, message: M) {
        let lamport = self.lamport.tick();
        self.record(TraceEvent::Sent {
            to,
            message: MessageLabel::of(&message),
        });
        let envelope = Envelope {
            lamport,
            incarnation: self.incarnation,
            message,
        };
        self.leaving.push(Parcel {
            from: Address::Replica(self.me),
            to,
            envelope,
        });
    }

    /// Tells the outside what the core said.
    pub(super) fn note(&mut self, note: ProtocolEvent) {
        if let ProtocolEvent::StatusChanged {
            status,
            view,
            primary,
        } = note
        {
            self.reports.push(Report::Role {
                status,
                view,
                primary,
            });
        }
        self.record(TraceEvent::Noted { note });
    }
}
