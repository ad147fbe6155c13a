//! The receiver's half of a state transfer: from an own, older state and a digest to the state that has it.
//!
//! ```text
//!   target --> expects the root --> has it? own subtree or node fetched before: no message
//!                                   else wanted --> a node arrives, its digest fits: expects what is below it
//! ```
//!
//! Donors are not trusted: a node that does not have the digest that is expected at its place is a
//! [`WrongNode`], and nothing of it stays. Which donor is asked, and when, is the caller's to decide.

use std::collections::BTreeMap;
use std::sync::Arc;

use thiserror::Error;

use super::digest::Digest;
use super::node::{FAN_OUT, Node};
use super::part::StateNode;
use super::path::NodePath;
use super::store::State;

/// For how many targets a fetched node is kept that none of them was seen to need.
const TARGETS_KEPT: u64 = 2;

/// Why a node is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WrongNode {
    /// No node is expected there: it has arrived before, or the target has changed.
    #[error("no node is wanted there")]
    Unwanted,
    /// It is not the node that the one above it names.
    #[error("the node does not have the digest that is expected of it")]
    Digest,
    /// It has the right digest, and yet no state has such a node there: the target is no state's digest.
    #[error("no state has such a node there")]
    Unsound,
}

/// A state under construction.
#[derive(Clone, Debug)]
pub struct Assembly {
    own: State,
    target: Digest,
    /// What is missing and known to be: where, and with which digest.
    wanted: BTreeMap<NodePath, Digest>,
    /// What is here, and for which target it was last of use.
    found: BTreeMap<Digest, (Found, u64)>,
    targets: u64,
    fetched: u64,
}

#[derive(Clone, Debug)]
enum Found {
    /// A subtree of the own state, or a page that was fetched.
    Whole(Arc<Node>),
    /// A branch that was fetched.
    Branch(Box<[Option<Digest>; FAN_OUT]>),
}

impl Assembly {
    /// Starts from `own` towards the state with the digest `target`.
    pub fn new(own: State, target: Digest) -> Self {
        let mut assembly = Self {
            own,
            target,
            wanted: BTreeMap::new(),
            found: BTreeMap::new(),
            targets: 0,
            fetched: 0,
        };
        assembly.expect(NodePath::ROOT, target);
        assembly
    }

    /// The digest of the state that it leads to.
    pub fn target(&self) -> Digest {
        self.target
    }

    /// Turns to another target. What was fetched for the one before stays, where it fits.
    pub fn aim(&mut self, target: Digest) {
        if target == self.target {
            return;
        }
        self.target = target;
        self.targets += 1;
        self.wanted.clear();
        self.expect(NodePath::ROOT, target);
        let targets = self.targets;
        self.found
            .retain(|_, (_, last)| targets - *last < TARGETS_KEPT);
    }

    /// The first `limit` nodes to ask for. Empty when the state is complete, and only then.
    pub fn wanted(&self, limit: usize) -> Vec<NodePath> {
        self.wanted.keys().take(limit).cloned().collect()
    }

    /// The first of them, and the digest that it must have.
    pub fn first_wanted(&self) -> Option<(NodePath, Digest)> {
        let (path, digest) = self.wanted.first_key_value()?;
        Some((path.clone(), *digest))
    }

    /// How many nodes were fetched.
    pub fn fetched(&self) -> u64 {
        self.fetched
    }

    /// Takes a node that was asked for.
    pub fn take(&mut self, path: &NodePath, node: StateNode) -> Result<(), WrongNode> {
        let expected = *self.wanted.get(path).ok_or(WrongNode::Unwanted)?;
        if node.digest() != expected {
            return Err(WrongNode::Digest);
        }
        if !node.is_sound(path) {
            return Err(WrongNode::Unsound);
        }
        self.wanted.remove(path);
        self.fetched += 1;
        let found = match node {
            StateNode::Page(entries) => Found::Whole(Arc::new(Node::of(entries, path.depth()))),
            StateNode::Branch(subtrees) => Found::Branch(subtrees),
        };
        self.found.insert(expected, (found, self.targets));
        self.expect(path.clone(), expected);
        Ok(())
    }

    /// The state, once nothing is wanted. None before, and none if the nodes make no state: then the target
    /// is no state's digest.
    pub fn state(&self) -> Option<State> {
        if !self.wanted.is_empty() {
            return None;
        }
        let root = self.build(self.target)?;
        (root.digest() == self.target).then_some(State { root })
    }

    /// The target has a node with this digest at `path`: wants what is missing of it.
    fn expect(&mut self, path: NodePath, digest: Digest) {
        let mut walk = vec![(path, digest)];
        while let Some((path, digest)) = walk.pop() {
            if let Some((found, last)) = self.found.get_mut(&digest) {
                *last = self.targets;
                if let Found::Branch(subtrees) = found {
                    let present = (0..).zip(subtrees.iter());
                    walk.extend(
                        present.filter_map(|(step, digest)| Some((path.below(step), (*digest)?))),
                    );
                }
                continue;
            }
            match self.own.below(&path).filter(|own| own.digest() == digest) {
                Some(own) => {
                    self.found.insert(digest, (Found::Whole(own), self.targets));
                }
                None => {
                    self.wanted.insert(path, digest);
                }
            }
        }
    }

    fn build(&self, digest: Digest) -> Option<Arc<Node>> {
        match &self.found.get(&digest)?.0 {
            Found::Whole(node) => Some(Arc::clone(node)),
            Found::Branch(digests) => {
                let mut subtrees: [Option<Arc<Node>>; FAN_OUT] = Default::default();
                for (subtree, digest) in subtrees.iter_mut().zip(digests.iter()) {
                    if let Some(digest) = digest {
                        *subtree = Some(self.build(*digest)?);
                    }
                }
                Node::branch(subtrees).map(Arc::new)
            }
        }
    }
}
