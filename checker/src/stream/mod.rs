//! Judges registers with unique values while a run goes on, in memory bounded by what can still matter.
//!
//! The blocks of [zones](crate::zones) are kept as long as an operation that is under way may still touch them. A block
//! is dead once another must follow it and was certain before everything under way began: whoever sees one of its
//! values later sees what was overwritten.

mod follow;
mod live;

#[cfg(test)]
mod tests;

pub use follow::{Alarm, RegisterStream};
