//! Registers with unique values, decided exactly in O(n log n) and whatever the concurrency: Gibbons and
//! Korach, "Testing shared memories" (1997), carried on to compare-and-set and indeterminate operations.
//!
//! ```text
//! operations -> clusters (one a value) -> chains (by compare-and-set) -> blocks -> an order, or two blocks
//!                                                                        of which each must come first
//! ```

mod blocks;
mod chains;
mod clusters;
mod evidence;
mod judge;

#[cfg(test)]
mod tests;

pub(crate) use judge::judge;
