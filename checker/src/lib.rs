//! Judges a history. Knows no protocol and no world; has its own sequential models, so that a wrong service
//! is never its own judge.
//!
//! ```text
//! history -> pairs -> one partition a key -> linearizability: zones, reported order, search
//!                                         -> durability: final reads
//! ```

mod durability;
mod hash;
mod judge;
mod linearizability;
mod model;
mod models;
mod moment;
mod operation;
mod options;
mod parallel;
mod partition;
mod register;
mod search;
mod sessions;
mod story;
mod stream;
mod transactions;
mod verdict;
mod witness;
mod zones;

#[cfg(test)]
mod testing;

pub use judge::{check, check_log};
pub use options::{
    CHECKS, CheckError, CheckOptions, DEFAULT_MAX_VIOLATIONS, MODELS, WEAKER_CHECKS,
};
pub use search::SearchBudget;
pub use stream::{Alarm, RegisterStream};
pub use verdict::{CheckResult, Validity, Verdict, Violation};
