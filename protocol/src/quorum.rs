//! Quorum sizes of a crash-tolerant group (VRR §2: 2f+1 replicas mask f crashes).

/// The sizes that a group of `members` replicas works with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quorum {
    members: usize,
}

impl Quorum {
    /// The sizes for `members` replicas, at least one.
    pub fn of(members: usize) -> Self {
        assert!(members > 0, "a group has at least one member");
        Self { members }
    }

    /// f: how many may crash. The largest f with 2f+1 <= members.
    pub const fn faults(self) -> usize {
        (self.members - 1) / 2
    }

    /// How many replicas any two decisions must share a member of: members - f. It is f+1 for odd groups;
    /// with 4 members f+1 = 2 would not intersect (VRR §7).
    pub const fn majority(self) -> usize {
        self.members - self.faults()
    }

    /// How many replicas there are.
    pub const fn members(self) -> usize {
        self.members
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_two_majorities_intersect_and_one_survives_f_crashes() {
        for members in 1..=64 {
            let quorum = Quorum::of(members);
            assert!(2 * quorum.majority() > members, "{members} members");
            assert!(
                quorum.majority() <= members - quorum.faults(),
                "{members} members"
            );
            assert!(2 * quorum.faults() < members && members <= 2 * quorum.faults() + 2);
        }
    }
}
