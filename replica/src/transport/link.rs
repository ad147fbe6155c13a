//! What all connections of a node share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use quinn::Connection;
use tokio::sync::mpsc;
use viewstorm_protocol::{Incarnation, Message, NodeId, ReplicaId};

use super::counters::Counters;
use super::peers::Peers;
use super::queue::Refused;
use crate::passenger::Parcel;

/// How many messages wait for the drive loop; then their peers wait.
pub(crate) const ARRIVALS_MAX: usize = 4096;

/// Something from a peer.
#[derive(Clone, Debug)]
pub(crate) enum Arrival<M> {
    /// A peer connected, in this incarnation.
    Connected {
        /// The node that it connected to.
        at: NodeId,
        /// Who.
        peer: NodeId,
        /// Which start of it.
        incarnation: Incarnation,
    },
    /// A message. Its sender lives on the node at the other end, its receiver on this one.
    Message(Parcel<M>),
}

/// What all connections of a node share.
#[derive(Debug)]
pub(super) struct Shared<M> {
    pub(super) me: NodeId,
    pub(super) incarnation: Incarnation,
    pub(super) replicas: Vec<ReplicaId>,
    pub(super) arrivals: mpsc::Sender<Arrival<M>>,
    pub(super) counters: Counters,
    peers: Mutex<Peers<Connection>>,
}

impl<M: Message> Shared<M> {
    pub(super) fn new(
        me: NodeId,
        incarnation: Incarnation,
        replicas: Vec<ReplicaId>,
        fence: bool,
        arrivals: mpsc::Sender<Arrival<M>>,
    ) -> Self {
        Self {
            me,
            incarnation,
            replicas,
            arrivals,
            counters: Counters::default(),
            peers: Mutex::new(Peers::new(fence)),
        }
    }

    pub(super) fn peers(&self) -> MutexGuard<'_, Peers<Connection>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `peer` may dial this node: replicas of lower ids and clients dial replicas, nobody a client.
    pub(super) fn may_dial_us(&self, peer: NodeId) -> bool {
        match (self.me, peer) {
            (NodeId::Replica(me), NodeId::Replica(id)) => id < me && self.replicas.contains(&id),
            (NodeId::Replica(_), NodeId::Client(_)) => true,
            (NodeId::Client(_), _) => false,
        }
    }

    /// Queues a message for the node that its receiver lives on, or loses it.
    pub(super) fn send(&self, parcel: &Parcel<M>) {
        let peers = self.peers();
        let Some(queue) = peers.queue(parcel.to.node()) else {
            return self.counters.unconnected.add_one();
        };
        match queue.push(parcel) {
            Ok(()) => {}
            Err(Refused::Full) => self.counters.queue_full.add_one(),
            Err(Refused::TooLong(error)) => {
                self.counters.too_long.add_one();
                tracing::error!(to = %parcel.to, %error, "a message cannot be sent");
            }
        }
    }
}
