//! What passes a node's tap: messages and probes, either way.

use viewstorm_protocol::{Address, Direction, Envelope, Message, Passing};

use crate::transport::Probe;

/// A message or a probe at a node's tap.
#[derive(Clone, Debug)]
pub(crate) enum Passenger<M> {
    /// A message to somebody who lives on the node.
    Arriving(Parcel<M>),
    /// A message from somebody who lives on the node.
    Leaving(Parcel<M>),
    /// A probe of another node.
    ProbeArriving(Probe),
    /// A probe of the node's own.
    ProbeLeaving(Probe),
}

/// A message, from whom and to whom.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Parcel<M> {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) envelope: Envelope<M>,
}

impl<M: Message> Passenger<M> {
    /// What the tap is told of it.
    pub(crate) fn passing(&self) -> Passing {
        let (direction, peer, message) = match self {
            Self::Arriving(parcel) => (
                Direction::Receive,
                parcel.from.node(),
                Some(&parcel.envelope.message),
            ),
            Self::Leaving(parcel) => (
                Direction::Send,
                parcel.to.node(),
                Some(&parcel.envelope.message),
            ),
            Self::ProbeArriving(probe) => (Direction::Receive, probe.from, None),
            Self::ProbeLeaving(probe) => (Direction::Send, probe.to, None),
        };
        Passing {
            direction,
            peer,
            kind: message.map_or("Probe", Message::kind),
            view: message.and_then(Message::view),
            number: message.and_then(Message::number),
        }
    }
}
