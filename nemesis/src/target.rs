//! Whom a fault hits: symbolic in the plan, resolved to nodes when it is injected.

use std::fmt;

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use viewstorm_protocol::{NodeId, ReplicaId};

/// Whom a fault hits. What is drawn is drawn from the fault's own stream, and of those that it could hit as
/// well, replicas that it can affect come first: no kill is wasted on a replica that is down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// Any one replica.
    One,
    /// As many replicas as may fail while the others are a majority.
    Minority,
    /// The fewest replicas that are more than half.
    Majority,
    /// Every replica.
    All,
    /// The replica of the highest view in normal status known then.
    Primary,
    /// The replica after the primary: the next view's.
    NextPrimary,
    /// All replicas but the primary.
    Backups,
    /// So many replicas.
    Random(u16),
    /// These nodes. Client endpoints have links but no process of their own.
    Named(Vec<NodeId>),
}

/// What a target is resolved against.
pub(crate) struct Aim<'a> {
    pub(crate) replicas: u16,
    /// None if it is not known.
    pub(crate) primary: Option<ReplicaId>,
    /// Whether the fault can affect the replica as it is now.
    pub(crate) prefers: &'a dyn Fn(ReplicaId) -> bool,
}

impl Target {
    /// Whether it means nobody until a primary is known.
    pub const fn needs_primary(&self) -> bool {
        matches!(self, Self::Primary | Self::NextPrimary | Self::Backups)
    }

    /// How many nodes it means among so many replicas.
    pub fn count(&self, replicas: u16) -> usize {
        usize::from(match self {
            Self::One | Self::Primary | Self::NextPrimary => 1,
            Self::Minority => replicas.saturating_sub(1) / 2,
            Self::Majority => replicas / 2 + 1,
            Self::All => replicas,
            Self::Backups => replicas.saturating_sub(1),
            Self::Random(count) => *count,
            Self::Named(nodes) => return nodes.len(),
        })
    }

    /// The nodes that it means now; none if it needs a primary and none is known.
    pub(crate) fn resolve(&self, aim: &Aim<'_>, random: &mut ChaCha8Rng) -> Option<Vec<NodeId>> {
        let mut nodes = match self {
            Self::Named(nodes) => nodes.clone(),
            Self::All => replicas(aim).map(NodeId::Replica).collect(),
            Self::Primary => vec![NodeId::Replica(aim.primary?)],
            Self::NextPrimary => {
                vec![NodeId::replica((aim.primary?.0 + 1) % aim.replicas)]
            }
            Self::Backups => {
                let primary = aim.primary?;
                replicas(aim)
                    .filter(|replica| *replica != primary)
                    .map(NodeId::Replica)
                    .collect()
            }
            Self::One | Self::Minority | Self::Majority | Self::Random(_) => {
                let mut drawn: Vec<ReplicaId> = replicas(aim).collect();
                drawn.shuffle(random);
                drawn.sort_by_key(|replica| !(aim.prefers)(*replica));
                let count = self.count(aim.replicas);
                drawn.into_iter().take(count).map(NodeId::Replica).collect()
            }
        };
        nodes.sort();
        nodes.dedup();
        Some(nodes)
    }
}

fn replicas(aim: &Aim<'_>) -> impl Iterator<Item = ReplicaId> + use<> {
    (0..aim.replicas).map(ReplicaId)
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::One => f.write_str("one replica"),
            Self::Minority => f.write_str("a minority"),
            Self::Majority => f.write_str("a majority"),
            Self::All => f.write_str("all replicas"),
            Self::Primary => f.write_str("the primary"),
            Self::NextPrimary => f.write_str("the next primary"),
            Self::Backups => f.write_str("the backups"),
            Self::Random(1) => f.write_str("1 random replica"),
            Self::Random(count) => write!(f, "{count} random replicas"),
            Self::Named(nodes) => f.write_str(&list(nodes)),
        }
    }
}

/// Things as a reader would list them.
pub(crate) fn list<T: fmt::Display>(things: impl IntoIterator<Item = T>) -> String {
    let texts: Vec<String> = things.into_iter().map(|thing| thing.to_string()).collect();
    texts.join(", ")
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    fn resolve(target: &Target, primary: Option<u16>, down: &[u16]) -> Option<Vec<NodeId>> {
        let prefers = |replica: ReplicaId| !down.contains(&replica.0);
        let aim = Aim {
            replicas: 5,
            primary: primary.map(ReplicaId),
            prefers: &prefers,
        };
        target.resolve(&aim, &mut ChaCha8Rng::seed_from_u64(7))
    }

    #[test]
    fn every_target_means_as_many_nodes_as_it_says() {
        let named = Target::Named(vec![NodeId::replica(2), NodeId::Client(0)]);
        for (target, count) in [
            (Target::One, 1),
            (Target::Minority, 2),
            (Target::Majority, 3),
            (Target::All, 5),
            (Target::Primary, 1),
            (Target::NextPrimary, 1),
            (Target::Backups, 4),
            (Target::Random(2), 2),
            (named, 2),
        ] {
            let nodes = resolve(&target, Some(4), &[]).unwrap();
            assert_eq!((nodes.len(), target.count(5)), (count, count), "{target}");
        }
    }

    #[test]
    fn the_primary_and_those_around_it_wait_until_it_is_known() {
        for target in [Target::Primary, Target::NextPrimary, Target::Backups] {
            assert!(target.needs_primary());
            assert_eq!(resolve(&target, None, &[]), None);
        }
        assert_eq!(
            resolve(&Target::Primary, Some(4), &[]),
            Some(vec![NodeId::replica(4)])
        );
        assert_eq!(
            resolve(&Target::NextPrimary, Some(4), &[]),
            Some(vec![NodeId::replica(0)])
        );
        let backups = resolve(&Target::Backups, Some(4), &[]).unwrap();
        assert!(!backups.contains(&NodeId::replica(4)));
    }

    #[test]
    fn a_draw_prefers_what_can_be_hit() {
        let up = [NodeId::replica(1), NodeId::replica(3)];
        assert_eq!(
            resolve(&Target::Minority, None, &[0, 2, 4]),
            Some(up.to_vec())
        );
    }
}
