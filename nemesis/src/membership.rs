//! Reconfigurations: what an administrator makes of the group, and what came of it.

use std::fmt;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use viewstorm_history::Seed;
use viewstorm_protocol::{EpochNumber, NodeId, ReplicaId};

use crate::hits::{Hits, Miss};
use crate::known::Known;
use crate::probe::Finding;
use crate::target::list;
use crate::{Action, Topology};

/// The fewest members that a group is reconfigured to.
pub const LEAST_MEMBERS: usize = 3;

/// What becomes of the group. Members are what they are when it is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Membership {
    /// These replicas are the group.
    To(Vec<ReplicaId>),
    /// Some become members, others are members no more.
    Change {
        /// Those that become members.
        add: Vec<ReplicaId>,
        /// Those that are members no more.
        remove: Vec<ReplicaId>,
    },
    /// Any group of so many replicas: the seed draws it.
    Random(u16),
}

impl Membership {
    /// The new group.
    fn resolve(
        &self,
        members: &[ReplicaId],
        topology: Topology,
        seed: Seed,
    ) -> Result<Vec<ReplicaId>, Miss> {
        let mut group: Vec<ReplicaId> = match self {
            Self::To(group) => group.clone(),
            Self::Change { add, remove } => {
                let all = members.iter().chain(add);
                all.filter(|id| !remove.contains(id)).copied().collect()
            }
            Self::Random(size) => {
                let mut all: Vec<ReplicaId> = topology.replica_ids().collect();
                all.shuffle(&mut ChaCha8Rng::seed_from_u64(seed.stream("group").0));
                all.truncate(usize::from(*size));
                all
            }
        };
        group.sort_unstable();
        group.dedup();
        match group.len() {
            0..LEAST_MEMBERS => Err(Miss::Nothing(format!(
                "a group of {} has fewer than {LEAST_MEMBERS} members",
                list(&group)
            ))),
            _ => Ok(group),
        }
    }

    /// What is done for it. Replicas that have retired are started: one that is to be a member must be there.
    pub(crate) fn hits(&self, topology: Topology, known: &Known, seed: Seed) -> Result<Hits, Miss> {
        let members = self.resolve(&known.members(), topology, seed)?;
        let is_retired = |id: &ReplicaId| known.get(*id).is_some_and(|known| known.is_retired);
        Ok(Hits {
            targets: members.iter().copied().map(NodeId::Replica).collect(),
            wakes: members.iter().copied().filter(is_retired).collect(),
            once: vec![Action::Reconfigure {
                request: request(seed),
                members,
            }],
            ..Hits::default()
        })
    }
}

/// The name of a fault's reconfiguration.
pub(crate) const fn request(seed: Seed) -> u64 {
    seed.0 & ((1 << 40) - 1)
}

impl fmt::Display for Membership {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::To(group) => write!(f, "to {}", list(group)),
            Self::Random(size) => write!(f, "to any {size} replicas"),
            Self::Change { add, remove } => {
                let added = (!add.is_empty()).then(|| format!("{} added", list(add)));
                let removed = (!remove.is_empty()).then(|| format!("{} removed", list(remove)));
                f.write_str(&list(added.into_iter().chain(removed)))
            }
        }
    }
}

/// Shows that the new group works: it answered the administrator.
#[derive(Clone, Debug)]
pub(crate) struct Reconfigured {
    request: u64,
    outcome: Option<Result<EpochNumber, String>>,
}

impl Reconfigured {
    pub(crate) const fn new(request: u64) -> Self {
        Self {
            request,
            outcome: None,
        }
    }

    pub(crate) fn answered(&mut self, request: u64, outcome: &Result<EpochNumber, String>) {
        if request == self.request {
            self.outcome = Some(outcome.clone());
        }
    }

    pub(crate) fn look(&self) -> Finding {
        match &self.outcome {
            Some(Ok(epoch)) => {
                Finding::Shown(format!("the group of epoch {epoch} answered CheckEpoch"))
            }
            Some(Err(refusal)) => Finding::Refuted(format!("refused: {refusal}")),
            None => Finding::Open("the administrator was not answered".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(ids: &[u16]) -> Vec<ReplicaId> {
        ids.iter().copied().map(ReplicaId).collect()
    }

    #[test]
    fn a_group_is_what_the_members_are_then_and_what_changes() {
        let topology = Topology {
            replicas: 6,
            clients: 1,
        };
        let resolve =
            |change: &Membership| change.resolve(&replicas(&[0, 1, 2]), topology, Seed(7));
        let to = Membership::To(replicas(&[5, 1, 3]));
        assert_eq!(resolve(&to), Ok(replicas(&[1, 3, 5])));
        let change = |add: &[u16], remove: &[u16]| Membership::Change {
            add: replicas(add),
            remove: replicas(remove),
        };
        assert_eq!(resolve(&change(&[4, 1], &[0])), Ok(replicas(&[1, 2, 4])));
        assert!(matches!(resolve(&change(&[], &[0])), Err(Miss::Nothing(_))));
        assert_eq!(
            change(&[4], &[0, 1]).to_string(),
            "r4 added, r0, r1 removed"
        );
        for seed in 0..20 {
            let random = Membership::Random(4);
            let group = random
                .resolve(&replicas(&[0, 1, 2]), topology, Seed(seed))
                .unwrap();
            assert_eq!(group.len(), 4);
            assert!(group.is_sorted() && group.iter().all(|id| id.0 < 6));
        }
    }
}
