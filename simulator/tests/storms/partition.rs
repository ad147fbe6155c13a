//! Shapes of partitions: which directed links are cut.

use std::collections::BTreeSet;

use viewstorm_nemesis::{Link, Topology};
use viewstorm_protocol::NodeId;

use crate::random::Random;

/// Draws a shape around `target`.
pub(crate) fn draw(random: &mut Random, topology: Topology, target: u16) -> BTreeSet<Link> {
    let target = NodeId::replica(target);
    let replicas: Vec<NodeId> = topology.replica_ids().map(NodeId::Replica).collect();
    let other = random.pick(&replicas);
    let endpoint = NodeId::Client(random.below(usize::from(topology.clients)) as u16);
    let bits = random.next();
    let place = |node: NodeId| replicas.iter().position(|replica| *replica == node);
    let side = |node| place(node).map(|index| (bits >> index) & 1 == 1);
    let among_replicas = |link: &Link| place(link.from).is_some() && place(link.to).is_some();
    let touches = |link: &Link, node| link.from == node || link.to == node;
    let shape = random.below(12);
    let ring = replicas.len();
    let share = random.pick(&[10, 30, 60]);
    let is_cut = |link: &Link, lot: usize| match shape {
        // One alone, its clients with it or not.
        0 => among_replicas(link) && touches(link, target),
        1 => touches(link, target) && !touches(link, endpoint),
        // One alone with one endpoint, which reaches nobody else.
        2 => {
            (among_replicas(link) && touches(link, target))
                || (touches(link, endpoint) && !touches(link, target))
        }
        // Two sides.
        3 => among_replicas(link) && side(link.from) != side(link.to),
        // Two sides with a bridge.
        4 => among_replicas(link) && side(link.from) != side(link.to) && !touches(link, target),
        // It hears nobody, or nobody hears it.
        5 => link.to == target && among_replicas(link),
        6 => link.from == target,
        // One link, both ways or one.
        7 => touches(link, target) && touches(link, other),
        8 => link.from == target && link.to == other,
        // Everybody hears its two neighbours.
        9 => match (place(link.from), place(link.to)) {
            (Some(from), Some(to)) => {
                !(from + 1 == to
                    || to + 1 == from
                    || (from.min(to) == 0 && from.max(to) + 1 == ring))
            }
            _ => false,
        },
        10 => lot < share,
        _ => among_replicas(link),
    };
    topology
        .links()
        .filter(|link| {
            let lot = random.below(100);
            is_cut(link, lot)
        })
        .collect()
}
