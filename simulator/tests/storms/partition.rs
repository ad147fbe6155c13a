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
    // Replicas and endpoints take sides; with whom the endpoints are, half of the time, is all one.
    let neutral = bits >> 63 == 1;
    let side = |node| match (node, place(node)) {
        (NodeId::Client(_), _) if neutral => None,
        (NodeId::Client(endpoint), _) => Some((bits >> (32 + endpoint)) & 1 == 1),
        (_, place) => place.map(|index| (bits >> index) & 1 == 1),
    };
    let pair = |node| match node {
        NodeId::Client(_) => Some(true),
        _ => Some(node == target || node == other),
    };
    let among_replicas = |link: &Link| place(link.from).is_some() && place(link.to).is_some();
    let touches = |link: &Link, node| link.from == node || link.to == node;
    let shape = random.below(13);
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
        3 => are_apart(link, side),
        // Two sides with a bridge.
        4 => are_apart(link, side) && !touches(link, target),
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
        // Two are alone with all clients: too few to commit what they are asked for.
        11 => are_apart(link, pair),
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

/// Whether the link leads from one side to the other. Who is on no side is cut from nobody.
fn are_apart(link: &Link, side: impl Fn(NodeId) -> Option<bool>) -> bool {
    match (side(link.from), side(link.to)) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    }
}
