//! The replicated service's state: owned by the core, copy-on-write, with a digest of its whole content.
//!
//! A trie over the hashes of the keys. Where its entries fit a page, a subtree is one page; where they do not,
//! it is a branch of sixteen subtrees. Which of the two follows from the entries alone, so replicas with equal
//! states have equal trees and equal digests, whatever happened to them before.
//!
//! ```text
//!                 branch                      a Merkle tree: a branch's digest covers
//!              0 /  | 7  \ c                  those of its subtrees, a page's its entries
//!          page  branch   page
//!               /   |   \                     k in page 7·3: hash(k) = 73...
//!            page  page  page
//! ```
//!
//! A snapshot shares its nodes with the state it was taken of and costs nothing until they differ. Two
//! states are compared from their roots down, and only what differs travels (VRR §5.2; Castro and Liskov,
//! "Practical Byzantine Fault Tolerance and Proactive Recovery", TOCS 2002, §5.3).
//!
//! | file | what |
//! |---|---|
//! | `store` | [`State`]: entries in, entries out, digest, snapshot |
//! | `node` | pages and branches, and when one becomes the other |
//! | `part` | [`StateNode`]: a node as it travels and is stored |
//! | `path` | [`NodePath`]: where in the tree a node is |
//! | `assembly` | [`Assembly`]: the receiver's half of a transfer |

mod assembly;
mod digest;
mod node;
mod part;
mod path;
mod store;

#[cfg(test)]
mod tests;

pub use assembly::{Assembly, WrongNode};
pub use digest::Digest;
pub use node::{ENTRY_BYTES_MAX, FAN_OUT, PAGE_BYTES};
pub use part::{NODE_BYTES_MAX, StateNode};
pub use path::{DEPTH_MAX, NodePath};
pub use store::State;
