//! Searches for an order: Wing and Gong's algorithm with Lowe's memory of what was tried ("Testing for
//! linearizability", 2017), for any sequential model.
//!
//! A configuration is remembered by a 128-bit hash of which operations were taken and what the state is, kept
//! up step by step: 16 bytes each whatever the history's length. The time is exponential in what goes on at
//! the same time, so there is a budget; it counts steps, not seconds, and means the same on every machine.

mod budget;
mod calls;
mod demand;
mod depth_first;
mod frontier;
mod minimise;

#[cfg(test)]
mod tests;

pub(crate) use budget::Purse;
pub use budget::SearchBudget;
pub(crate) use depth_first::{Frontier, Searched, search};
pub(crate) use frontier::explain;
pub(crate) use minimise::minimise;
