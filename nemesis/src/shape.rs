//! The shapes of partitions: which links are cut, and on which side of the cut clients find themselves.
//!
//! ```text
//!   halves      isolate     majorities-ring     bridge
//!
//!   r0 | r2     r0 | r1       r0 -- r1         r0 | r3
//!   r1 | r3        | r2      /        \        r1 | r4
//!      | r4                 r4        r2          r2     talks to both
//!                             \      /
//!                              r3 --
//! ```

use std::collections::BTreeSet;
use std::fmt;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use viewstorm_protocol::{NodeId, ReplicaId};

use crate::target::list;
use crate::{Link, Target, Topology};

/// Which replicas can talk to which. What is drawn is drawn from the fault's own stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Two halves, drawn; of an odd number, the first is the smaller.
    Halves,
    /// The target on one side, all other replicas on the other.
    Isolate(Target),
    /// Every replica sees a majority, and no two see the same (Jepsen's majorities-ring). Of three replicas
    /// two lose each other.
    MajoritiesRing,
    /// Two halves, and one replica that talks to both (Jepsen's bridge).
    Bridge,
    /// These groups. A replica in none of them talks to all.
    Groups(Vec<Vec<NodeId>>),
    /// These directed links are cut, and no others.
    Links(Vec<Link>),
}

/// On which side of a cut a client endpoint finds itself, unless a group names it. A client on a side talks
/// to the replicas that the side's replicas see, and to no others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientSides {
    /// The endpoints, in a drawn order, are dealt to the sides in turn, the largest side first: as long as
    /// there are endpoints for it, every side has one.
    #[default]
    Split,
    /// All are with the largest side.
    Majority,
    /// They talk to everybody.
    Untouched,
}

/// Which direction of a cut is cut, seen from its first side: the smaller half, the isolated, the first group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Way {
    /// Both.
    #[default]
    Both,
    /// What it would receive.
    In,
    /// What it sends.
    Out,
}

/// A shape made of actual nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    /// Whom it hits: the first side, or all replicas where there is no such.
    pub(crate) targets: Vec<NodeId>,
    /// The cut links.
    pub(crate) links: BTreeSet<Link>,
}

impl Shape {
    /// The target that must be resolved first, if there is one.
    pub(crate) const fn target(&self) -> Option<&Target> {
        match self {
            Self::Isolate(target) => Some(target),
            _ => None,
        }
    }

    /// The links that are cut. `isolated` are the nodes of [`Shape::target`].
    pub(crate) fn cut(
        &self,
        topology: Topology,
        (clients, way): (ClientSides, Way),
        isolated: &[NodeId],
        random: &mut ChaCha8Rng,
    ) -> Cut {
        let mut replicas: Vec<NodeId> = topology.replica_ids().map(NodeId::Replica).collect();
        replicas.shuffle(random);
        let half = replicas.len() / 2;
        match self {
            Self::Halves => {
                let groups = vec![set(&replicas[..half]), set(&replicas[half..])];
                between_groups(topology, groups, (clients, way), random)
            }
            Self::Isolate(_) => {
                let first = set(isolated);
                let others = replicas
                    .into_iter()
                    .filter(|node| !first.contains(node))
                    .collect();
                between_groups(topology, vec![first, others], (clients, way), random)
            }
            Self::Bridge => {
                let second = replicas.get(half + 1..).unwrap_or_default();
                let groups = vec![set(&replicas[..half]), set(second)];
                between_groups(topology, groups, (clients, way), random)
            }
            Self::Groups(groups) => {
                let groups = groups.iter().map(|group| set(group)).collect();
                between_groups(topology, groups, (clients, way), random)
            }
            Self::MajoritiesRing => ring(topology, &replicas, clients, random),
            Self::Links(links) => {
                let links: BTreeSet<Link> = links.iter().copied().collect();
                let targets: BTreeSet<NodeId> = links.iter().map(|link| link.to).collect();
                Cut {
                    targets: targets.into_iter().collect(),
                    links,
                }
            }
        }
    }
}

type Group = BTreeSet<NodeId>;

fn set(nodes: &[NodeId]) -> Group {
    nodes.iter().copied().collect()
}

/// Cuts the links between the groups.
fn between_groups(
    topology: Topology,
    mut groups: Vec<Group>,
    (clients, way): (ClientSides, Way),
    random: &mut ChaCha8Rng,
) -> Cut {
    let targets = groups.first().cloned().unwrap_or_default();
    let named: Group = groups.iter().flatten().copied().collect();
    let sides: Vec<usize> = (0..groups.len())
        .filter(|side| replicas_of(&groups[*side]) > 0)
        .collect();
    let sizes: Vec<usize> = sides
        .iter()
        .map(|side| replicas_of(&groups[*side]))
        .collect();
    for (client, side) in deal(topology, &named, clients, &sizes, random) {
        groups[sides[side]].insert(client);
    }
    let place = |node: NodeId| groups.iter().position(|group| group.contains(&node));
    let is_cut = |link: &Link| match (place(link.from), place(link.to)) {
        (Some(from), Some(to)) if from != to => match way {
            Way::Both => true,
            Way::In => to == 0,
            Way::Out => from == 0,
        },
        _ => false,
    };
    let links = topology.links().filter(is_cut).collect();
    Cut {
        targets: targets.into_iter().collect(),
        links,
    }
}

fn replicas_of(group: &Group) -> usize {
    group
        .iter()
        .filter(|node| node.as_replica().is_some())
        .count()
}

/// Which of the sides (by size) each client endpoint that is not placed yet belongs to.
fn deal(
    topology: Topology,
    placed: &Group,
    clients: ClientSides,
    sizes: &[usize],
    random: &mut ChaCha8Rng,
) -> Vec<(NodeId, usize)> {
    let mut order: Vec<usize> = (0..sizes.len()).collect();
    order.sort_by_key(|side| std::cmp::Reverse(sizes[*side]));
    match clients {
        ClientSides::Untouched => return Vec::new(),
        ClientSides::Majority => order.truncate(1),
        ClientSides::Split => {}
    }
    let endpoints = (0..topology.clients).map(NodeId::Client);
    let mut endpoints: Vec<NodeId> = endpoints.filter(|node| !placed.contains(node)).collect();
    endpoints.shuffle(random);
    endpoints
        .into_iter()
        .zip(order.into_iter().cycle())
        .collect()
}

/// The replicas in a drawn ring, each linked to those nearest to it until it sees a majority.
///
/// Jepsen's grudge drops one direction only where a majority is an even number. QUIC cannot acknowledge one
/// way, so here links are cut both ways, and where the numbers allow no regular ring (3, 7, 11 replicas) one
/// replica sees one more than the others.
fn ring(
    topology: Topology,
    replicas: &[NodeId],
    clients: ClientSides,
    random: &mut ChaCha8Rng,
) -> Cut {
    let count = replicas.len();
    let sees = |one: usize, other: usize| ring_neighbours(count, one, other);
    let sizes: Vec<usize> = (0..count)
        .map(|one| (0..count).filter(|other| sees(one, *other)).count())
        .collect();
    let homes = deal(topology, &Group::new(), clients, &sizes, random);
    let home = |node: NodeId| match node {
        NodeId::Replica(_) => replicas.iter().position(|replica| *replica == node),
        NodeId::Client(_) => homes
            .iter()
            .find(|(client, _)| *client == node)
            .map(|(_, at)| *at),
    };
    let is_cut = |link: &Link| match (home(link.from), home(link.to)) {
        (Some(from), Some(to)) => !sees(from, to),
        _ => false,
    };
    let targets = topology.replica_ids().map(NodeId::Replica).collect();
    Cut {
        targets,
        links: topology.links().filter(is_cut).collect(),
    }
}

/// Whether the replicas at two places of a ring of `count` see each other: each has the nearest `degree`
/// others, which makes it a majority.
fn ring_neighbours(count: usize, one: usize, other: usize) -> bool {
    let degree = count / 2;
    let apart = one.abs_diff(other).min(count - one.abs_diff(other));
    if apart <= degree / 2 {
        return true;
    }
    if degree.is_multiple_of(2) {
        return false;
    }
    // An odd number of neighbours: the last of them is across the ring, paired off.
    let across = count / 2;
    let (low, high) = (one.min(other), one.max(other));
    let is_left_over = count % 2 == 1 && (low, high) == (across - 1, count - 1);
    (high - low == across && low < across) || is_left_over
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Halves => f.write_str("into halves"),
            Self::Isolate(target) => write!(f, "that isolates {target}"),
            Self::MajoritiesRing => f.write_str("into a ring of majorities"),
            Self::Bridge => f.write_str("into halves with a bridge"),
            Self::Groups(groups) => {
                let texts: Vec<String> = groups.iter().map(list).collect();
                write!(f, "into {}", texts.join(" | "))
            }
            Self::Links(links) => write!(f, "of {}", list(links)),
        }
    }
}

impl fmt::Display for ClientSides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Split => "clients on every side",
            Self::Majority => "clients with the largest side",
            Self::Untouched => "clients untouched",
        })
    }
}

/// The replica of a node in a list of replicas.
pub(crate) fn replicas_among(nodes: &[NodeId]) -> impl Iterator<Item = ReplicaId> + '_ {
    nodes.iter().filter_map(|node| node.as_replica())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    const CLIENTS: u16 = 3;

    fn cut(shape: &Shape, replicas: u16, clients: ClientSides, way: Way, isolated: &[u16]) -> Cut {
        let isolated: Vec<NodeId> = isolated.iter().map(|id| NodeId::replica(*id)).collect();
        let topology = Topology {
            replicas,
            clients: CLIENTS,
        };
        shape.cut(
            topology,
            (clients, way),
            &isolated,
            &mut ChaCha8Rng::seed_from_u64(3),
        )
    }

    /// The replicas that a node still talks to, both ways, itself included if it is one.
    fn sees(cut: &Cut, replicas: u16, node: NodeId) -> BTreeSet<NodeId> {
        let replicas = (0..replicas).map(NodeId::replica);
        let is_whole = |other: &NodeId| {
            let link = Link {
                from: node,
                to: *other,
            };
            !cut.links.contains(&link) && !cut.links.contains(&link.reverse())
        };
        replicas.filter(is_whole).collect()
    }

    fn views(cut: &Cut, replicas: u16) -> Vec<BTreeSet<NodeId>> {
        (0..replicas)
            .map(|id| sees(cut, replicas, NodeId::replica(id)))
            .collect()
    }

    #[test]
    fn halves_are_as_equal_as_they_can_be_and_clients_are_on_both() {
        for n in [2, 3, 5, 7] {
            let cut = cut(&Shape::Halves, n, ClientSides::Split, Way::Both, &[]);
            let sizes: BTreeSet<usize> = views(&cut, n).iter().map(BTreeSet::len).collect();
            let (small, large) = (usize::from(n / 2), usize::from(n - n / 2));
            assert_eq!(sizes, BTreeSet::from([small, large]));
            assert_eq!(cut.targets.len(), small);
            let sides: BTreeSet<_> = (0..CLIENTS)
                .map(|c| sees(&cut, n, NodeId::Client(c)))
                .collect();
            assert_eq!(sides.len(), 2, "{n} replicas: clients on one side only");
            // A client sees exactly one side, and between the sides nothing passes.
            assert!(sides.iter().all(|side| views(&cut, n).contains(side)));
            let replica_links = 2 * small * large;
            let client_links: usize = (0..CLIENTS)
                .map(|c| 2 * (usize::from(n) - sees(&cut, n, NodeId::Client(c)).len()))
                .sum();
            assert_eq!(cut.links.len(), replica_links + client_links);
        }
    }

    #[test]
    fn an_isolated_replica_keeps_only_its_clients() {
        for n in [3, 5, 7] {
            let shape = Shape::Isolate(Target::Primary);
            let cut = cut(&shape, n, ClientSides::Split, Way::Both, &[1]);
            assert_eq!(cut.targets, [NodeId::replica(1)]);
            for (id, view) in views(&cut, n).iter().enumerate() {
                assert_eq!(view.len(), if id == 1 { 1 } else { usize::from(n) - 1 });
            }
            let with_it = (0..CLIENTS)
                .filter(|c| sees(&cut, n, NodeId::Client(*c)) == set(&[NodeId::replica(1)]));
            assert_eq!(with_it.count(), 1, "the largest side is dealt to first");
        }
    }

    #[test]
    fn in_a_ring_everybody_sees_a_majority_and_no_two_the_same() {
        for n in 3..=13 {
            let cut = cut(
                &Shape::MajoritiesRing,
                n,
                ClientSides::Split,
                Way::Both,
                &[],
            );
            let views = views(&cut, n);
            let majority = usize::from(n / 2 + 1);
            assert!(
                views.iter().all(|view| view.len() >= majority),
                "{n}: {views:?}"
            );
            assert!(
                views.iter().filter(|view| view.len() > majority).count() <= 1,
                "{views:?}"
            );
            let different: BTreeSet<_> = views.iter().collect();
            assert_eq!(different.len(), usize::from(n), "{n}: {views:?}");
            for client in (0..CLIENTS).map(NodeId::Client) {
                assert!(views.contains(&sees(&cut, n, client)));
            }
        }
        let three = cut(
            &Shape::MajoritiesRing,
            3,
            ClientSides::Untouched,
            Way::Both,
            &[],
        );
        assert_eq!(
            three.links.len(),
            2,
            "of three replicas two lose each other, both ways"
        );
        let five = cut(
            &Shape::MajoritiesRing,
            5,
            ClientSides::Untouched,
            Way::Both,
            &[],
        );
        assert!(
            views(&five, 5).iter().all(|view| view.len() == 3),
            "an exact ring"
        );
    }

    #[test]
    fn a_bridge_sees_everybody_and_the_halves_not_each_other() {
        for n in [3, 5, 7] {
            let cut = cut(&Shape::Bridge, n, ClientSides::Split, Way::Both, &[]);
            let views = views(&cut, n);
            let bridges = views
                .iter()
                .filter(|view| view.len() == usize::from(n))
                .count();
            assert_eq!(bridges, 1);
            let side = usize::from(n / 2) + 1;
            assert_eq!(
                views.iter().filter(|view| view.len() == side).count(),
                usize::from(n) - 1
            );
        }
    }

    #[test]
    fn one_way_cuts_half_of_the_links() {
        let shape = Shape::Isolate(Target::One);
        let both = cut(&shape, 5, ClientSides::Split, Way::Both, &[2]);
        let into = cut(&shape, 5, ClientSides::Split, Way::In, &[2]);
        let out = cut(&shape, 5, ClientSides::Split, Way::Out, &[2]);
        let reversed: BTreeSet<Link> = out.links.iter().map(|link| link.reverse()).collect();
        assert_eq!(into.links, reversed);
        let union: BTreeSet<Link> = into.links.union(&out.links).copied().collect();
        assert_eq!(union, both.links);
        let (node, peer) = (NodeId::replica(2), NodeId::replica(0));
        assert!(into.links.contains(&Link {
            from: peer,
            to: node
        }));
        assert!(!into.links.contains(&Link {
            from: node,
            to: peer
        }));
    }

    #[test]
    fn groups_cut_what_they_name_and_leave_the_rest() {
        let groups = vec![
            vec![NodeId::Client(0)],
            (0..3).map(NodeId::replica).collect(),
        ];
        let client = cut(
            &Shape::Groups(groups),
            3,
            ClientSides::Split,
            Way::Both,
            &[],
        );
        assert_eq!(client.links.len(), 6, "only c0's links: {:?}", client.links);
        let groups = vec![vec![NodeId::replica(0)], vec![NodeId::replica(1)]];
        let pair = cut(
            &Shape::Groups(groups),
            3,
            ClientSides::Untouched,
            Way::Both,
            &[],
        );
        assert_eq!(pair.links.len(), 2, "r2 talks to all: {:?}", pair.links);
        let link = Link {
            from: NodeId::replica(0),
            to: NodeId::replica(1),
        };
        let one = cut(
            &Shape::Links(vec![link]),
            3,
            ClientSides::Split,
            Way::Both,
            &[],
        );
        assert_eq!(one.links, BTreeSet::from([link]));
    }

    #[test]
    fn clients_may_be_with_the_majority_or_left_alone() {
        let shape = Shape::Isolate(Target::One);
        let majority = cut(&shape, 5, ClientSides::Majority, Way::Both, &[2]);
        let untouched = cut(&shape, 5, ClientSides::Untouched, Way::Both, &[2]);
        for client in (0..CLIENTS).map(NodeId::Client) {
            assert_eq!(sees(&majority, 5, client).len(), 4);
            assert_eq!(sees(&untouched, 5, client).len(), 5);
        }
    }
}
