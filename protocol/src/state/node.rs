//! Pages and branches. The one rule of this file: a subtree is a page if its entries fit one, else a branch.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use super::digest::Digest;
use super::part::{self, StateNode};
use super::path::{DEPTH_MAX, KeyHash, NodePath};

/// How many subtrees a branch has.
pub const FAN_OUT: usize = 16;
/// The most bytes of the entries of a page, unless it has a single one.
pub const PAGE_BYTES: usize = 2048;
/// The most bytes of one entry's key and value.
pub const ENTRY_BYTES_MAX: usize = 1 << 20;
/// How much room the lengths of an entry's key and value take.
pub(super) const LENGTHS_BYTES: usize = 8;

/// A key and its value.
pub(super) type Entry = (Bytes, Bytes);

/// A subtree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    content: Content,
    /// How many entries it has.
    count: usize,
    /// How much room they take.
    bytes: usize,
    /// Made when it is first asked for.
    digest: OnceLock<Digest>,
}

#[derive(Clone, Debug)]
enum Content {
    /// In key order.
    Page(Vec<Entry>),
    /// By the next step of the hashes; none where there is no entry.
    Branch([Option<Arc<Node>>; FAN_OUT]),
}

impl Node {
    /// The subtree of these entries, in key order, at `depth`.
    pub(super) fn of(entries: Vec<Entry>, depth: usize) -> Self {
        let mut node = Self {
            count: entries.len(),
            bytes: entries.iter().map(entry_bytes).sum(),
            content: Content::Page(entries),
            digest: OnceLock::new(),
        };
        node.normalise(depth);
        node
    }

    /// A branch of these subtrees, if that is what their entries make.
    pub(super) fn branch(subtrees: [Option<Arc<Self>>; FAN_OUT]) -> Option<Self> {
        let present = || subtrees.iter().flatten();
        let node = Self {
            count: present().map(|node| node.count).sum(),
            bytes: present().map(|node| node.bytes).sum(),
            content: Content::Branch(subtrees),
            digest: OnceLock::new(),
        };
        (!node.fits_page(0)).then_some(node)
    }

    /// How many entries it has.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// How much room its entries take.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn get(&self, depth: usize, hash: &KeyHash, key: &[u8]) -> Option<&Bytes> {
        let (mut node, mut depth) = (self, depth);
        loop {
            match &node.content {
                Content::Page(entries) => {
                    let index = search(entries, key).ok()?;
                    return Some(&entries[index].1);
                }
                Content::Branch(subtrees) => node = subtrees[hash.step(depth)].as_deref()?,
            }
            depth += 1;
        }
    }

    /// Sets the value of a key. Returns how much room the key's entry took before, if it had one.
    pub(super) fn put(&mut self, depth: usize, hash: &KeyHash, entry: Entry) -> Option<usize> {
        let room = entry_bytes(&entry);
        let before = match &mut self.content {
            Content::Page(entries) => match search(entries, &entry.0) {
                Ok(index) => {
                    let before = std::mem::replace(&mut entries[index].1, entry.1);
                    Some(room_of(entries[index].0.len(), before.len()))
                }
                Err(index) => {
                    entries.insert(index, entry);
                    None
                }
            },
            Content::Branch(subtrees) => match &mut subtrees[hash.step(depth)] {
                Some(node) => Arc::make_mut(node).put(depth + 1, hash, entry),
                none => {
                    *none = Some(Arc::new(Self::of(vec![entry], depth + 1)));
                    None
                }
            },
        };
        self.count += usize::from(before.is_none());
        self.bytes = self.bytes + room - before.unwrap_or(0);
        self.normalise(depth);
        before
    }

    /// Removes the entry of a key, which there is.
    pub(super) fn remove(&mut self, depth: usize, hash: &KeyHash, key: &[u8]) -> Bytes {
        let value = match &mut self.content {
            Content::Page(entries) => {
                let index = search(entries, key).expect("the caller has seen it");
                entries.remove(index).1
            }
            Content::Branch(subtrees) => {
                let subtree = &mut subtrees[hash.step(depth)];
                let node = subtree.as_mut().expect("the caller has seen it");
                let value = Arc::make_mut(node).remove(depth + 1, hash, key);
                if node.count == 0 {
                    *subtree = None;
                }
                value
            }
        };
        self.count -= 1;
        self.bytes -= room_of(key.len(), value.len());
        self.normalise(depth);
        value
    }

    /// Makes it what its entries make: a page or a branch. Its content has changed.
    fn normalise(&mut self, depth: usize) {
        self.digest.take();
        let fits = self.fits_page(depth);
        match &mut self.content {
            Content::Page(entries) if !fits => {
                let mut shares: [Vec<Entry>; FAN_OUT] = Default::default();
                for entry in std::mem::take(entries) {
                    shares[KeyHash::of(&entry.0).step(depth)].push(entry);
                }
                let subtrees = shares
                    .map(|share| (!share.is_empty()).then(|| Arc::new(Self::of(share, depth + 1))));
                self.content = Content::Branch(subtrees);
            }
            Content::Branch(_) if fits => {
                let mut entries = Vec::with_capacity(self.count);
                self.collect_into(&mut entries);
                entries.sort_unstable_by(|one, two| one.0.cmp(&two.0));
                self.content = Content::Page(entries);
            }
            _ => {}
        }
    }

    fn fits_page(&self, depth: usize) -> bool {
        self.bytes <= PAGE_BYTES || self.count <= 1 || depth == DEPTH_MAX
    }

    fn collect_into(&self, into: &mut Vec<Entry>) {
        match &self.content {
            Content::Page(entries) => into.extend_from_slice(entries),
            Content::Branch(subtrees) => {
                subtrees
                    .iter()
                    .flatten()
                    .for_each(|node| node.collect_into(into));
            }
        }
    }

    /// Covers the whole subtree.
    pub(super) fn digest(&self) -> Digest {
        *self.digest.get_or_init(|| match &self.content {
            Content::Page(entries) => part::digest_page(entries),
            Content::Branch(_) => part::digest_branch(&self.subtree_digests()),
        })
    }

    /// The node as it travels.
    pub(super) fn to_part(&self) -> StateNode {
        match &self.content {
            Content::Page(entries) => StateNode::Page(entries.clone()),
            Content::Branch(_) => StateNode::Branch(Box::new(self.subtree_digests())),
        }
    }

    fn subtree_digests(&self) -> [Option<Digest>; FAN_OUT] {
        std::array::from_fn(|step| self.subtree(step).map(|node| node.digest()))
    }

    /// The subtree of a branch; a page has none.
    pub(super) fn subtree(&self, step: usize) -> Option<&Arc<Self>> {
        match &self.content {
            Content::Page(_) => None,
            Content::Branch(subtrees) => subtrees[step].as_ref(),
        }
    }

    /// The entries of a page; a branch has none itself.
    pub(super) fn entries(&self) -> &[Entry] {
        match &self.content {
            Content::Page(entries) => entries,
            Content::Branch(_) => &[],
        }
    }
}

/// What a tree with this root has at `path`, as a node of its own even where the tree has a page above it.
pub(super) fn restrict(root: &Arc<Node>, path: &NodePath) -> Option<Arc<Node>> {
    let mut node = root;
    for step in path.steps() {
        match &node.content {
            Content::Branch(subtrees) => node = subtrees[step].as_ref()?,
            Content::Page(entries) => {
                let below = |entry: &&Entry| path.leads_to(&KeyHash::of(&entry.0));
                let entries: Vec<Entry> = entries.iter().filter(below).cloned().collect();
                let node = Node::of(entries, path.depth());
                return (node.count > 0).then(|| Arc::new(node));
            }
        }
    }
    Some(Arc::clone(node))
}

fn search(entries: &[Entry], key: &[u8]) -> Result<usize, usize> {
    entries.binary_search_by(|entry| entry.0.as_ref().cmp(key))
}

/// How much room an entry takes.
pub(super) fn entry_bytes(entry: &Entry) -> usize {
    room_of(entry.0.len(), entry.1.len())
}

const fn room_of(key: usize, value: usize) -> usize {
    LENGTHS_BYTES + key + value
}
