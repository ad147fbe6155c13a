//! Trace records: what every replica did, Lamport-stamped, one JSON object a line.
//!
//! A driver writes the records of a turn before the turn's messages leave, so that whatever a message caused
//! elsewhere, its cause is on record. Times are nanoseconds on the run's one clock.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{Address, Incarnation, NodeId, ProtocolEvent, ViewNumber};

/// One line of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TraceRecord {
    /// When, in nanoseconds on the run's clock.
    pub time: u64,
    /// The node's Lamport time at the event.
    pub lamport: u64,
    /// Where it happened.
    pub node: NodeId,
    /// In which start of the node.
    pub incarnation: Incarnation,
    /// What happened.
    #[serde(flatten)]
    pub event: TraceEvent,
}

/// Something that happened on a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "trace", rename_all = "kebab-case")]
pub enum TraceEvent {
    /// Its process began.
    Started,
    /// Its process ends in order: an orderly end is the last record of its incarnation.
    Stopped,
    /// It sent a message. What taps and links then did to it shows in whether it was received.
    Sent {
        /// Where to.
        to: Address,
        /// Which message.
        #[serde(flatten)]
        message: MessageLabel,
    },
    /// It was handed a message.
    Received {
        /// Whose.
        from: Address,
        /// The sender's Lamport stamp.
        stamp: u64,
        /// Which message.
        #[serde(flatten)]
        message: MessageLabel,
    },
    /// It learned that its records up to this one are durable.
    Persisted {
        /// [`RecordId::get`](crate::RecordId::get).
        record: u64,
    },
    /// Its core said something.
    Noted {
        /// What it said.
        note: ProtocolEvent,
    },
}

/// What a message tells those who may not look inside (see [`Message`](crate::Message)).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageLabel {
    /// The message's name in its paper.
    pub kind: Cow<'static, str>,
    /// The view that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view: Option<ViewNumber>,
    /// Its op-number, sequence number or request number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
}

impl MessageLabel {
    /// The label of a message.
    pub fn of(message: &impl crate::Message) -> Self {
        Self {
            kind: Cow::Borrowed(message.kind()),
            view: message.view(),
            number: message.number(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ReplicaId, Status};

    #[test]
    fn a_record_reads_back_as_it_is_written() {
        let label = MessageLabel {
            kind: "Prepare".into(),
            view: Some(ViewNumber::new(3)),
            number: None,
        };
        let status = ProtocolEvent::StatusChanged {
            status: Status::Normal,
            view: ViewNumber::new(3),
            primary: true,
        };
        let events = [
            TraceEvent::Started,
            TraceEvent::Received {
                from: Address::Replica(ReplicaId(1)),
                stamp: 8,
                message: label,
            },
            TraceEvent::Noted { note: status },
        ];
        for event in events {
            let record = TraceRecord {
                time: 5,
                lamport: 9,
                node: NodeId::replica(0),
                incarnation: Incarnation(2),
                event,
            };
            let line = serde_json::to_string(&record).unwrap();
            assert_eq!(
                serde_json::from_str::<TraceRecord>(&line).unwrap(),
                record,
                "{line}"
            );
        }
    }
}
