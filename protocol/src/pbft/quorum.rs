//! Quorum sizes of a group that masks Byzantine faults.

/// The sizes that a group of `members` replicas works with. The paper has n = 3f+1 and writes 2f+1 for a quorum;
/// here n is any number and the quorum is derived from what it is for: with n = 6 and f = 1, two sets of 2f+1 = 3
/// need not share a single member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ByzantineQuorum {
    members: usize,
}

impl ByzantineQuorum {
    /// The sizes for `members` replicas, at least one.
    pub fn of(members: usize) -> Self {
        assert!(members > 0, "a group has at least one member");
        Self { members }
    }

    /// How many replicas there are.
    pub const fn members(self) -> usize {
        self.members
    }

    /// f: how many may be faulty. The largest f with 3f+1 <= members.
    pub const fn faults(self) -> usize {
        (self.members - 1) / 3
    }

    /// The paper's 2f+1: any two such sets share a correct replica, and the correct ones can form one.
    pub const fn quorum(self) -> usize {
        (self.members + self.faults() + 2) / 2
    }

    /// The paper's 2f: the prepares that, with the pre-prepare, come from a quorum.
    pub const fn prepares(self) -> usize {
        self.quorum() - 1
    }

    /// f+1: one of them is correct.
    pub const fn weak(self) -> usize {
        self.faults() + 1
    }

    /// How many a replica may wait for: n-f.
    pub const fn correct(self) -> usize {
        self.members - self.faults()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quorums_intersect_in_a_correct_replica_and_the_correct_ones_form_one() {
        for members in 1..=100 {
            let quorum = ByzantineQuorum::of(members);
            let f = quorum.faults();
            assert!(3 * f < members && members <= 3 * f + 3, "{members}");
            assert!(2 * quorum.quorum() > members + f, "{members}");
            assert!(
                2 * (quorum.quorum() - 1) <= members + f,
                "{members}: minimal"
            );
            assert!(quorum.quorum() <= quorum.correct(), "{members}");
            if members == 3 * f + 1 {
                assert_eq!(quorum.quorum(), 2 * f + 1);
            }
        }
    }
}
