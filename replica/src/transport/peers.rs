//! Who is connected, and in which incarnation.
//!
//! With fencing, a node has one connection: a newer one closes the older, and one of an earlier incarnation
//! than any met is refused, so that packets of a dead process that arrive late do not speak for its successor.
//! Without, older connections stay open and are listened to until they are idle too long.

use std::collections::BTreeMap;
use std::sync::Arc;

use viewstorm_protocol::{Incarnation, NodeId};

use super::queue::Queue;

/// How many connections a node has at most; the oldest gives way.
pub(super) const CONNECTIONS_PER_PEER_MAX: usize = 4;

/// How many connections of a node may be about to say hello. A dial loop has fewer attempts under way.
pub(super) const GREETINGS_PER_PEER_MAX: usize = 16;

/// Names one connection of this process.
pub(super) type ConnectionNumber = u64;

/// All peers that were ever connected. `C` closes a connection.
#[derive(Debug)]
pub(super) struct Peers<C> {
    fence: bool,
    peers: BTreeMap<NodeId, Peer<C>>,
    last: ConnectionNumber,
}

#[derive(Debug)]
struct Peer<C> {
    met: Incarnation,
    /// How many connections have not said hello yet.
    greeting: usize,
    /// Oldest first.
    live: Vec<Live<C>>,
}

#[derive(Debug)]
struct Live<C> {
    number: ConnectionNumber,
    incarnation: Incarnation,
    handle: C,
    queue: Arc<Queue>,
}

/// A connection that was let in.
#[derive(Debug)]
pub(super) struct Admitted<C> {
    pub(super) number: ConnectionNumber,
    pub(super) queue: Arc<Queue>,
    /// Connections that are to be closed for it.
    pub(super) superseded: Vec<C>,
}

/// A connection of an earlier incarnation than one that was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stale {
    pub(super) met: Incarnation,
}

impl<C> Peers<C> {
    pub(super) const fn new(fence: bool) -> Self {
        Self {
            fence,
            peers: BTreeMap::new(),
            last: 0,
        }
    }

    /// A connection of `node` is about to say hello. False if too many are; otherwise [`Self::greeted`] follows.
    pub(super) fn greets(&mut self, node: NodeId) -> bool {
        let peer = self.peers.entry(node).or_default();
        let room = peer.greeting < GREETINGS_PER_PEER_MAX;
        peer.greeting += usize::from(room);
        room
    }

    /// A connection of `node` has said hello, or will not.
    pub(super) fn greeted(&mut self, node: NodeId) {
        self.peers.entry(node).or_default().greeting -= 1;
    }

    /// Lets a connection of `node` in, or not.
    pub(super) fn admit(
        &mut self,
        node: NodeId,
        incarnation: Incarnation,
        handle: C,
    ) -> Result<Admitted<C>, Stale> {
        let peer = self.peers.entry(node).or_default();
        if self.fence && incarnation < peer.met {
            return Err(Stale { met: peer.met });
        }
        peer.met = peer.met.max(incarnation);
        let keep = if self.fence {
            0
        } else {
            CONNECTIONS_PER_PEER_MAX - 1
        };
        let leaving = peer.live.len().saturating_sub(keep);
        let superseded = peer.live.drain(..leaving).map(|live| live.handle).collect();
        self.last += 1;
        let (number, queue) = (self.last, Arc::new(Queue::default()));
        peer.live.push(Live {
            number,
            incarnation,
            handle,
            queue: Arc::clone(&queue),
        });
        Ok(Admitted {
            number,
            queue,
            superseded,
        })
    }

    /// A connection is closed.
    pub(super) fn remove(&mut self, node: NodeId, number: ConnectionNumber) {
        if let Some(peer) = self.peers.get_mut(&node) {
            peer.live.retain(|live| live.number != number);
        }
    }

    /// Where messages to `node` go: to its latest incarnation, on its latest connection.
    pub(super) fn queue(&self, node: NodeId) -> Option<&Queue> {
        let live = &self.peers.get(&node)?.live;
        let latest = live
            .iter()
            .max_by_key(|live| (live.incarnation, live.number))?;
        Some(&latest.queue)
    }
}

impl<C> Default for Peer<C> {
    fn default() -> Self {
        Self {
            met: Incarnation(0),
            greeting: 0,
            live: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId::replica(1);

    fn same(one: Option<&Queue>, other: &Admitted<u8>) -> bool {
        one.is_some_and(|one| std::ptr::eq(one, Arc::as_ptr(&other.queue)))
    }

    #[test]
    fn a_newer_incarnation_closes_the_older_and_an_older_one_is_refused() {
        let mut peers = Peers::new(true);
        let first = peers.admit(NODE, Incarnation(1), 1).unwrap();
        assert!(first.superseded.is_empty() && same(peers.queue(NODE), &first));
        let second = peers.admit(NODE, Incarnation(2), 2).unwrap();
        assert_eq!(second.superseded, [1]);
        let stale = peers.admit(NODE, Incarnation(1), 3).unwrap_err();
        assert_eq!(
            stale,
            Stale {
                met: Incarnation(2)
            }
        );
        let third = peers.admit(NODE, Incarnation(2), 4).unwrap();
        assert_eq!(
            third.superseded,
            [2],
            "a second dial of one incarnation replaces the first"
        );
        peers.remove(NODE, second.number);
        assert!(same(peers.queue(NODE), &third));
        peers.remove(NODE, third.number);
        assert!(peers.queue(NODE).is_none());
        assert!(
            peers.admit(NODE, Incarnation(1), 5).is_err(),
            "what was met stays met"
        );
    }

    #[test]
    fn without_fencing_older_connections_stay_and_messages_go_to_the_latest_incarnation() {
        let mut peers = Peers::new(false);
        let new = peers.admit(NODE, Incarnation(2), 0).unwrap();
        let old = peers.admit(NODE, Incarnation(1), 1).unwrap();
        assert!(old.superseded.is_empty() && same(peers.queue(NODE), &new));
        for handle in 2..4 {
            assert!(
                peers
                    .admit(NODE, Incarnation(1), handle)
                    .unwrap()
                    .superseded
                    .is_empty()
            );
        }
        assert_eq!(
            peers.admit(NODE, Incarnation(1), 4).unwrap().superseded,
            [0]
        );
    }

    #[test]
    fn nodes_do_not_meet_in_the_table() {
        let mut peers = Peers::new(true);
        peers.admit(NodeId::replica(1), Incarnation(5), 1).unwrap();
        peers.admit(NodeId::Client(1), Incarnation(0), 2).unwrap();
        assert!(peers.queue(NodeId::replica(2)).is_none());
    }

    #[test]
    fn a_node_has_few_connections_that_say_nothing() {
        let mut peers: Peers<u8> = Peers::new(true);
        for _ in 0..GREETINGS_PER_PEER_MAX {
            assert!(peers.greets(NODE));
        }
        assert!(!peers.greets(NODE));
        assert!(peers.greets(NodeId::replica(2)));
        peers.greeted(NODE);
        assert!(peers.greets(NODE));
    }
}
