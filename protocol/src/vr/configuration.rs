//! The group of an epoch: who its members are, who had the service before them, and where they take it over.

use serde::{Deserialize, Serialize};

use super::log::{LogEntry, OpNumber};
use crate::{EpochNumber, Quorum, ReplicaId, ViewNumber};

/// The fewest members that a group can be reconfigured to (VRR §7.1): fewer mask no crash.
pub const MEMBERS_MIN: usize = 3;
/// The most members of a group.
pub const MEMBERS_MAX: usize = 64;

/// An epoch's group (VRR §7.1: configuration and old-configuration).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Configuration {
    /// The epoch.
    pub epoch: EpochNumber,
    /// The op-number of the reconfiguration that ended the epoch before: all up to and with it is the old
    /// group's, all after it this one's.
    pub start: OpNumber,
    /// The checksum of the log up to `start`: whoever has that log has what the epoch begins with, whether or not
    /// it knew that all of it was committed. So no crash of everybody can lose who knew it.
    pub checksum: u64,
    /// The members, ascending. A replica's number (VRR §4) is its index here.
    pub members: Vec<ReplicaId>,
    /// The members of the epoch before, who have the log up to `start`; none before the first epoch.
    pub old_members: Vec<ReplicaId>,
}

impl Configuration {
    /// The configuration of the first epoch.
    pub fn first(members: Vec<ReplicaId>) -> Self {
        Self {
            epoch: EpochNumber(0),
            start: OpNumber::ZERO,
            checksum: 0,
            members,
            old_members: Vec::new(),
        }
    }

    /// The configuration after this one, which the `end` of this epoch's log, a reconfiguration to `members`,
    /// begins.
    pub(super) fn next(&self, end: &LogEntry, members: Vec<ReplicaId>) -> Self {
        Self {
            epoch: self.epoch.next(),
            start: end.op,
            checksum: end.checksum,
            members,
            old_members: self.members.clone(),
        }
    }

    /// The view in which the epoch begins (VRR §7.1.1 step 1: it "sets its view-number to 0").
    pub const fn first_view(&self) -> ViewNumber {
        ViewNumber::in_epoch(self.epoch, 0)
    }

    /// How many replicas its decisions take. The threshold is the largest f' with 2f'+1 members (VRR §7.1).
    pub fn quorum(&self) -> Quorum {
        Quorum::of(self.members.len())
    }

    /// The replica number of the primary of `view`: round-robin over the sorted members (VRR §4).
    pub fn primary(&self, view: ViewNumber) -> usize {
        debug_assert_eq!(view.epoch, self.epoch);
        (view.number % self.members.len() as u64) as usize
    }

    /// The replica number of a member.
    pub fn number_of(&self, replica: ReplicaId) -> Option<usize> {
        self.members.binary_search(&replica).ok()
    }

    /// Whether it is a member.
    pub fn has(&self, replica: ReplicaId) -> bool {
        self.members.contains(&replica)
    }

    /// The members that were none in the epoch before.
    pub fn added(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        let is_old = |replica: &ReplicaId| self.old_members.contains(replica);
        self.members.iter().copied().filter(move |id| !is_old(id))
    }

    /// Whether it was a member in the epoch before and is one no more.
    pub fn replaces(&self, replica: ReplicaId) -> bool {
        self.old_members.contains(&replica) && !self.has(replica)
    }

    /// The members of the epoch before that are none any more.
    pub fn replaced(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        let old = self.old_members.iter().copied();
        old.filter(|replica| !self.has(*replica))
    }

    /// Who may have the log up to `start`: the old members and these.
    pub fn donors(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        let old = self.old_members.iter().copied();
        old.chain(self.added())
    }

    /// Whether it makes sense as a group of replicas out of `nodes`.
    pub fn is_sound(&self, nodes: &[ReplicaId]) -> bool {
        let sound = |group: &[ReplicaId]| {
            group.len() <= MEMBERS_MAX
                && group.windows(2).all(|pair| pair[0] < pair[1])
                && group.iter().all(|replica| nodes.contains(replica))
        };
        !self.members.is_empty() && sound(&self.members) && sound(&self.old_members)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replicas(ids: &[u16]) -> Vec<ReplicaId> {
        ids.iter().copied().map(ReplicaId).collect()
    }

    #[test]
    fn a_configuration_tells_who_comes_goes_and_stays() {
        let next = Configuration {
            epoch: EpochNumber(1),
            old_members: replicas(&[0, 1, 2]),
            ..Configuration::first(replicas(&[1, 2, 3, 4]))
        };
        assert_eq!(next.added().collect::<Vec<_>>(), replicas(&[3, 4]));
        assert_eq!(next.replaced().collect::<Vec<_>>(), replicas(&[0]));
        assert_eq!(
            next.donors().collect::<Vec<_>>(),
            replicas(&[0, 1, 2, 3, 4])
        );
        assert!(next.replaces(ReplicaId(0)) && !next.replaces(ReplicaId(1)));
        assert_eq!(next.number_of(ReplicaId(3)), Some(2));
        assert_eq!(next.primary(ViewNumber::in_epoch(EpochNumber(1), 5)), 1);
    }

    #[test]
    fn a_group_that_is_empty_unsorted_or_of_strangers_is_not_sound() {
        let nodes = replicas(&[0, 1, 2, 3]);
        let is_sound = |ids: &[u16]| Configuration::first(replicas(ids)).is_sound(&nodes);
        assert!(is_sound(&[0, 2, 3]));
        for wrong in [&[][..], &[1, 0], &[1, 1], &[0, 4]] {
            assert!(!is_sound(wrong), "{wrong:?}");
        }
    }

    /// VRR §7.1: the new threshold "is the largest value f' such that 2f'+1 is less than or equal to the size".
    /// With f'+1 out of an even number of members two quorums may miss each other; members - f' never do, and
    /// f'+1 EpochStarted leave one that has the log after f' crashes and in every quorum.
    #[test]
    fn quorums_of_all_groups_of_3_to_9_intersect() {
        for members in 3..=9_u32 {
            let quorum = Quorum::of(members as usize);
            let (faults, size) = (quorum.faults() as u32, quorum.majority() as u32);
            assert!(2 * faults < members && 2 * (faults + 1) + 1 > members);
            let sets = |size| (0..1_u32 << members).filter(move |set| set.count_ones() == size);
            for one in sets(size) {
                assert!(sets(size).all(|other| one & other != 0), "{members}");
                assert!(sets(faults + 1).all(|started| one & started != 0));
                let crashed = sets(faults).filter(|crashed| crashed & one == 0);
                assert!(crashed.count() > 0, "a quorum survives {faults} crashes");
            }
            if members % 2 == 0 {
                let mut pairs = sets(faults + 1).flat_map(|one| {
                    let others = sets(faults + 1);
                    others.map(move |other| one & other)
                });
                assert!(pairs.any(|shared| shared == 0), "f'+1 is not enough");
            }
        }
    }
}
