//! What a request asks for: an operation of the service, or something of the group itself.

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::ReplicaId;

/// What is to be executed. Only the first reaches the service: the others affect "only the VR state" (VRR §7.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// The service's own.
    Service(Bytes),
    /// new-config of ⟨RECONFIGURATION e, c, s, new-config⟩ (VRR §7.1): the next epoch's members, ascending.
    Reconfiguration(Vec<ReplicaId>),
    /// ⟨CHECKEPOCH e, c, s⟩ (VRR §7.3): nothing. Its answer shows that the epoch's group works.
    CheckEpoch,
}

impl Operation {
    /// The message's name in the paper.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Service(_) => "Request",
            Self::Reconfiguration(_) => "Reconfiguration",
            Self::CheckEpoch => "CheckEpoch",
        }
    }

    /// How many bytes it takes, about.
    pub const fn size(&self) -> usize {
        match self {
            Self::Service(operation) => operation.len(),
            Self::Reconfiguration(members) => size_of::<ReplicaId>() * members.len(),
            Self::CheckEpoch => 0,
        }
    }

    /// Tells apart operations that differ.
    pub(super) fn hash(&self, seed: u64) -> u64 {
        match self {
            Self::Service(operation) => xxh3_64_with_seed(operation, seed),
            Self::Reconfiguration(members) => {
                let members: Vec<u8> = members.iter().flat_map(|id| id.0.to_le_bytes()).collect();
                xxh3_64_with_seed(&members, seed ^ RECONFIGURATION)
            }
            Self::CheckEpoch => xxh3_64_with_seed(&[], seed ^ CHECK_EPOCH),
        }
    }
}

/// Keep the hashes of the kinds apart.
const RECONFIGURATION: u64 = 0x5245_434f_4e46_4947;
const CHECK_EPOCH: u64 = 0x4348_4543_4b45_504f;

impl From<Bytes> for Operation {
    fn from(operation: Bytes) -> Self {
        Self::Service(operation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operations_of_other_kinds_or_content_hash_differently() {
        let operations = [
            Operation::Service(Bytes::new()),
            Operation::Service(Bytes::from_static(&[1, 0])),
            Operation::Reconfiguration(vec![]),
            Operation::Reconfiguration(vec![ReplicaId(1)]),
            Operation::CheckEpoch,
        ];
        let mut hashes: Vec<_> = operations.iter().map(|one| one.hash(7)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), operations.len());
    }
}
