//! Where in the tree a node is: the first steps of the hashes of all keys below it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// How many steps of four bits a hash has: no path is longer.
pub const DEPTH_MAX: usize = 64;

/// The way from the root to a node, one branch a step.
///
/// Paths are ordered as the tree is walked: a node before those below it.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "Vec<u8>", into = "Vec<u8>")]
pub struct NodePath(Vec<u8>);

impl NodePath {
    /// The root.
    pub const ROOT: Self = Self(Vec::new());

    /// How many steps it is from the root.
    pub fn depth(&self) -> usize {
        self.0.len()
    }

    /// Each step: which of a branch's subtrees it takes.
    pub(super) fn steps(&self) -> impl Iterator<Item = usize> {
        self.0.iter().map(|step| usize::from(*step))
    }

    /// The path of the subtree `step` below this node.
    pub(super) fn below(&self, step: usize) -> Self {
        let mut steps = self.0.clone();
        steps.push(u8::try_from(step).expect("a branch has sixteen subtrees"));
        Self(steps)
    }

    /// Whether a key with this hash belongs below the node.
    pub(super) fn leads_to(&self, hash: &KeyHash) -> bool {
        self.steps()
            .zip(0..)
            .all(|(step, depth)| hash.step(depth) == step)
    }
}

impl fmt::Display for NodePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        self.0.iter().try_for_each(|step| write!(f, "{step:x}"))
    }
}

impl From<NodePath> for Vec<u8> {
    /// One byte a step.
    fn from(path: NodePath) -> Self {
        path.0
    }
}

impl TryFrom<Vec<u8>> for NodePath {
    type Error = &'static str;

    fn try_from(steps: Vec<u8>) -> Result<Self, Self::Error> {
        if steps.len() > DEPTH_MAX {
            return Err("a path with more steps than a hash has");
        }
        match steps.iter().all(|step| usize::from(*step) < super::FAN_OUT) {
            true => Ok(Self(steps)),
            false => Err("a path with a step that no branch has"),
        }
    }
}

/// The hash of a key: where in the tree the key belongs.
#[derive(Debug)]
pub(super) struct KeyHash(Digest);

impl KeyHash {
    pub(super) fn of(key: &[u8]) -> Self {
        Self(Digest::of(key))
    }

    /// Which subtree of a branch at `depth` the key belongs to.
    pub(super) fn step(&self, depth: usize) -> usize {
        let byte = self.0.as_bytes()[depth / 2];
        usize::from(match depth % 2 {
            0 => byte >> 4,
            _ => byte & 15,
        })
    }
}
