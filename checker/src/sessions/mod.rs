//! What holds of registers where linearizability does not: the session guarantees (Terry et al., PDIS 1994), causal
//! order, and how stale the reads were.
//!
//! One value is newer than another if its write began after the other's had ended. That claims no more than the
//! clients' one clock shows, so each violation is one under any order of the writes.

mod context;
mod freshness;
mod judge;

#[cfg(test)]
mod tests;

pub(crate) use judge::judge;
