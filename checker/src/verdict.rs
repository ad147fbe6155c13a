//! What a check says: three values, with the evidence or the reason.

use std::fmt;

use serde::{Deserialize, Serialize};
use viewstorm_history::Timestamp;

/// The three values of a judgement. Ordered by what wins when several are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Validity {
    /// The property holds in this history.
    Valid,
    /// It could not be decided; the reason says why.
    Unknown,
    /// It does not hold; the violations say where.
    Invalid,
}

impl fmt::Display for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Valid => "valid",
            Self::Unknown => "unknown",
            Self::Invalid => "invalid",
        })
    }
}

/// The judgement over a whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The worst of the checks: invalid outranks unknown outranks valid.
    pub validity: Validity,
    /// Every check that was asked for.
    pub checks: Vec<CheckResult>,
}

/// What one check found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The property: `linearizability`, `durability`, ...
    pub check: String,
    /// Whether it holds.
    pub validity: Validity,
    /// Which algorithms decided: `search`, `order-witness`, ...
    pub algorithms: Vec<String>,
    /// How many operations (or other things, as `check` implies) were judged. A check that saw none is
    /// unknown, never valid.
    pub judged: u64,
    /// Why it is unknown, or what a reader should know besides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The contradictions, the earliest first; a bounded number of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub violations: Vec<Violation>,
}

/// A contradiction, with the few operations that make it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Violation {
    /// Its class: `stale-read`, `lost-write`, `garbage-read`, `aborted-read`, `lost-update`,
    /// `non-linearizable`, `order-contradicts-time`, ...
    pub class: String,
    /// The key it is about, if the model has keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// One sentence.
    pub summary: String,
    /// The whole story, a few lines: each operation with its process and times, and why they contradict.
    pub explanation: String,
    /// The operations: indices of their invoke events in the history.
    pub operations: Vec<u64>,
    /// When the contradiction begins (the first invoke) and when it is certain (the last return).
    pub window: (Timestamp, Timestamp),
}
