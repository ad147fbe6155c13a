//! Planted bugs: would this framework have caught them? Each is a patch under `mutants/`, applied to a copy of
//! the tree, built, and run against the same experiments as the clean tree.

mod detection;
mod patch;
mod tree;

pub use detection::{Campaigns, Detection, Found, Judged, table};
pub use patch::{Patch, PatchError, patches};
pub use tree::{HOME, Tree, TreeError};
