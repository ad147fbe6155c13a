//! A cheap stand-in for signatures: the same statements are true and false, at a hundredth of the price.
//!
//! Whoever holds the group's seed could sign for everybody, so it convinces only those who know that nobody does:
//! simulations, where a node is given an authenticator and not the seed.

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use super::scheme::{Authenticator, Keys, Signature, Statement, Tag};
use crate::NodeId;

/// One node's view of a group whose signatures are keyed hashes.
#[derive(Clone, Copy, Debug)]
pub struct KeyedHash {
    me: NodeId,
    seed: u64,
}

impl KeyedHash {
    /// The keys of `me` in the group that has this seed.
    pub const fn new(seed: u64, me: NodeId) -> Self {
        Self { me, seed }
    }

    /// The same, to be shared.
    pub fn keys(seed: u64, me: NodeId) -> Keys {
        Arc::new(Self::new(seed, me))
    }

    /// The secret of one node, or of two.
    fn secret(&self, of: &[NodeId]) -> u64 {
        let mut secret = self.seed;
        for node in of {
            let (kind, index) = match node {
                NodeId::Replica(id) => (0, id.0),
                NodeId::Client(endpoint) => (1, *endpoint),
            };
            let [low, high] = index.to_le_bytes();
            secret = xxh3_64_with_seed(&[kind, low, high], secret);
        }
        secret
    }

    fn signature(&self, signer: NodeId, message: &[u8]) -> Signature {
        let hash = xxh3_128_with_seed(message, self.secret(&[signer]));
        let mut bytes = [0; Signature::BYTES];
        bytes[..16].copy_from_slice(&hash.to_le_bytes());
        Signature(bytes)
    }

    fn shared_tag(&self, from: NodeId, to: NodeId, message: &[u8]) -> Tag {
        Tag(xxh3_128_with_seed(message, self.secret(&[from, to])).to_le_bytes())
    }
}

impl Authenticator for KeyedHash {
    fn me(&self) -> NodeId {
        self.me
    }

    fn sign(&self, message: &[u8]) -> Signature {
        self.signature(self.me, message)
    }

    fn verify(&self, statements: &[Statement<'_>]) -> bool {
        statements.iter().all(|statement| {
            self.signature(statement.signer, statement.message) == *statement.signature
        })
    }

    fn tag(&self, to: NodeId, message: &[u8]) -> Option<Tag> {
        Some(self.shared_tag(self.me, to, message))
    }

    fn verify_tag(&self, from: NodeId, message: &[u8], tag: &Tag) -> bool {
        self.shared_tag(from, self.me, message) == *tag
    }
}
