//! Cuts a failing plan down to the few faults that matter: a smaller plan that breaks the same property.

mod ddmin;
mod passes;
mod shrinker;
mod story;

pub use shrinker::{ShrinkError, ShrinkOptions, Shrinker, Shrunk, ShrunkSchedule, Step};
pub use story::story;
