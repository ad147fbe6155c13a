//! The fence against the dead: what a peer's earlier incarnations say late is not heard.

use std::collections::BTreeMap;

use viewstorm_protocol::{Incarnation, NodeId};

/// The newest incarnation that was met of each peer.
#[derive(Debug)]
pub(crate) struct Fence {
    stands: bool,
    met: BTreeMap<NodeId, Incarnation>,
}

impl Fence {
    /// A fence that stands, or lets everything pass.
    pub(crate) const fn new(stands: bool) -> Self {
        Self {
            stands,
            met: BTreeMap::new(),
        }
    }

    /// Whether what `peer` says in this incarnation is heard. A newer one silences those before it.
    pub(crate) fn passes(&mut self, peer: NodeId, incarnation: Incarnation) -> bool {
        let met = self.met.entry(peer).or_default();
        *met = incarnation.max(*met);
        !self.stands || incarnation == *met
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_silences_the_dead() {
        let mut fence = Fence::new(true);
        let peer = NodeId::replica(1);
        let heard: Vec<_> = [1, 2, 1, 2, 3]
            .map(|number| fence.passes(peer, Incarnation(number)))
            .into();
        assert_eq!(heard, [true, true, false, true, true]);
        assert!(fence.passes(NodeId::Client(1), Incarnation(0)));
        let mut open = Fence::new(false);
        assert!(
            [2, 1]
                .iter()
                .all(|number| open.passes(peer, Incarnation(*number)))
        );
    }
}
