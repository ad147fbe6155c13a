//! Transactions that append to lists and read them, judged by what depends on what: Adya's phenomena ("Weak
//! Consistency", 1999) found as Elle finds them (Kingsbury and Alvaro, VLDB 2020). A list shows its own history, so
//! the order of all that was read is known, and an acyclic graph with the real-time order is strictly serializable.
//!
//! ```text
//! calls -> transactions -> what no single read may show -> dependencies -> cycles
//! ```

mod anomalies;
mod cycles;
mod graph;
mod judge;
mod transaction;

#[cfg(test)]
mod tests;

pub(crate) use judge::judge;
