//! Histories as Jepsen writes them, in EDN: one map a line, one vector of maps, or any mixture.
//!
//! Keywords are read as their names, so that `:read` is the operation `read`; the nemesis' entries are left
//! out. Events are in the order in which they stand: their times are looked at only where they agree with it.

mod jepsen;
mod parse;
mod value;
mod write;

pub use jepsen::EdnOptions;
pub use write::write_edn;

#[cfg(test)]
mod tests;
