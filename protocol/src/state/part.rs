//! A node as it travels between replicas and lies on disks, and what its digest is made of.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use super::node::{ENTRY_BYTES_MAX, Entry, FAN_OUT, LENGTHS_BYTES, PAGE_BYTES, entry_bytes};
use super::path::{DEPTH_MAX, KeyHash, NodePath};

/// The most bytes of a node, in any encoding that spends no more than ten on a length and one on a choice.
pub const NODE_BYTES_MAX: usize = {
    let page = 2 * (PAGE_BYTES + PAGE_BYTES / LENGTHS_BYTES * 20);
    let entry = ENTRY_BYTES_MAX + 64;
    if page > entry { page } else { entry }
};

/// One node of a state's tree, without what is below it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StateNode {
    /// A subtree that fits a page: its entries, in key order.
    Page(Vec<(Bytes, Bytes)>),
    /// A larger one: the digests of its subtrees, none where there is no entry.
    Branch(Box<[Option<Digest>; FAN_OUT]>),
}

impl StateNode {
    /// What the node above it, or the root's name, says of it.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Page(entries) => digest_page(entries),
            Self::Branch(subtrees) => digest_branch(subtrees),
        }
    }

    /// How many bytes of content it has, to fill messages and records by.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Page(entries) => entries.iter().map(entry_bytes).sum(),
            Self::Branch(subtrees) => subtrees.iter().flatten().count() * 32,
        }
    }

    /// Whether some state's tree could have this node at `path`.
    pub(super) fn is_sound(&self, path: &NodePath) -> bool {
        match self {
            Self::Branch(subtrees) => {
                path.depth() < DEPTH_MAX && subtrees.iter().flatten().next().is_some()
            }
            Self::Page(entries) => {
                let sorted = entries.windows(2).all(|pair| pair[0].0 < pair[1].0);
                let fits = entries.len() <= 1 || self.bytes() <= PAGE_BYTES;
                let below = |entry: &Entry| path.leads_to(&KeyHash::of(&entry.0));
                let present = !entries.is_empty() || path.depth() == 0;
                sorted && fits && present && entries.iter().all(below)
            }
        }
    }
}

/// The digest of a page of these entries.
pub(super) fn digest_page(entries: &[Entry]) -> Digest {
    let room: usize = entries.iter().map(entry_bytes).sum();
    let mut bytes = Vec::with_capacity(room + 1);
    bytes.push(b'p');
    for (key, value) in entries {
        for part in [key, value] {
            let length = u32::try_from(part.len()).expect("far below the limit of an entry");
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(part);
        }
    }
    Digest::of(&bytes)
}

/// The digest of a branch of these subtrees.
pub(super) fn digest_branch(subtrees: &[Option<Digest>; FAN_OUT]) -> Digest {
    let mut bytes = [0; 1 + FAN_OUT * 32];
    bytes[0] = b'b';
    // Nothing has the digest of all zeros.
    for (place, digest) in bytes[1..].chunks_exact_mut(32).zip(subtrees) {
        if let Some(digest) = digest {
            place.copy_from_slice(digest.as_bytes());
        }
    }
    Digest::of(&bytes)
}
