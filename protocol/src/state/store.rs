//! The state itself.

use std::sync::Arc;

use bytes::Bytes;

use super::digest::Digest;
use super::node::{ENTRY_BYTES_MAX, Entry, FAN_OUT, Node, restrict};
use super::part::StateNode;
use super::path::{KeyHash, NodePath};

/// The service's state: a map from keys to values.
///
/// It is deterministic as a value: equal content is equal in digest, iteration and nodes. Cloning it is
/// taking a [`snapshot`](Self::snapshot).
#[derive(Clone, Debug)]
pub struct State {
    pub(super) root: Arc<Node>,
}

impl Default for State {
    fn default() -> Self {
        Self {
            root: Arc::new(Node::of(Vec::new(), 0)),
        }
    }
}

impl PartialEq for State {
    fn eq(&self, other: &Self) -> bool {
        self.digest() == other.digest()
    }
}

impl Eq for State {}

impl State {
    /// The value of `key`, if it has one.
    pub fn get(&self, key: &[u8]) -> Option<&Bytes> {
        self.root.get(0, &KeyHash::of(key), key)
    }

    /// Sets the value of `key`. Panics if the two are longer than [`ENTRY_BYTES_MAX`]: a service that lets
    /// its values grow bounds them, and says so in its answer.
    pub fn put(&mut self, key: Bytes, value: Bytes) {
        let length = key.len().saturating_add(value.len());
        assert!(length <= ENTRY_BYTES_MAX, "an entry of {length} bytes");
        let hash = KeyHash::of(&key);
        Arc::make_mut(&mut self.root).put(0, &hash, (key, value));
    }

    /// Removes `key` and returns the value it had.
    pub fn remove(&mut self, key: &[u8]) -> Option<Bytes> {
        let hash = KeyHash::of(key);
        // Nothing is touched for a key that is not there.
        self.root.get(0, &hash, key)?;
        Some(Arc::make_mut(&mut self.root).remove(0, &hash, key))
    }

    /// How many keys have a value.
    pub fn len(&self) -> usize {
        self.root.count()
    }

    /// Whether no key has a value.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How much room the entries take.
    pub fn bytes(&self) -> usize {
        self.root.bytes()
    }

    /// All entries, in an order that follows from the keys alone (it is not the keys' own).
    pub fn iter(&self) -> impl Iterator<Item = (&Bytes, &Bytes)> {
        let mut walk = vec![&*self.root];
        let mut page: std::slice::Iter<'_, Entry> = [].iter();
        std::iter::from_fn(move || {
            loop {
                if let Some((key, value)) = page.next() {
                    return Some((key, value));
                }
                let node = walk.pop()?;
                walk.extend(
                    (0..FAN_OUT)
                        .rev()
                        .filter_map(|step| node.subtree(step).map(|n| &**n)),
                );
                page = node.entries().iter();
            }
        })
    }

    /// The root of the Merkle tree: equal for equal states, and for no others. It is made when it is asked for,
    /// of what has changed since it was last.
    pub fn digest(&self) -> Digest {
        self.root.digest()
    }

    /// The state as it is now, at no cost: what changes later is copied first.
    #[must_use]
    pub fn snapshot(&self) -> Self {
        self.clone()
    }

    /// The node at `path`, if the tree reaches so far.
    pub fn node(&self, path: &NodePath) -> Option<StateNode> {
        let mut node = &self.root;
        for step in path.steps() {
            node = node.subtree(step)?;
        }
        Some(node.to_part())
    }

    /// All nodes that `earlier` does not have at the same place: what to store or send to whoever has
    /// `earlier`. Nodes come before those below them.
    pub fn nodes_since(&self, earlier: &Self) -> impl Iterator<Item = (NodePath, StateNode)> {
        let mut walk = vec![(NodePath::ROOT, &self.root, Some(&earlier.root))];
        std::iter::from_fn(move || {
            loop {
                let (path, node, old) = walk.pop()?;
                if old.is_some_and(|old| Arc::ptr_eq(old, node) || old.digest() == node.digest()) {
                    continue;
                }
                walk.extend((0..FAN_OUT).rev().filter_map(|step| {
                    let old = old.and_then(|old| old.subtree(step));
                    Some((path.below(step), node.subtree(step)?, old))
                }));
                return Some((path, node.to_part()));
            }
        })
    }

    /// Everything below `path`, as a node.
    pub(super) fn below(&self, path: &NodePath) -> Option<Arc<Node>> {
        restrict(&self.root, path)
    }
}
