//! What was done to the system, what shows that it was done, and how the system came back.

use serde::{Deserialize, Serialize};
use viewstorm_history::Timestamp;

/// One fault of the schedule. A stage that was not reached has no time.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultRecord {
    /// Its number in the schedule.
    pub id: u64,
    /// `partition`, `kill`, ...
    pub name: String,
    /// Its parameters, in words.
    #[serde(default)]
    pub description: String,
    /// Whom it hit: `replica 2`, `client 1`, ...
    #[serde(default)]
    pub targets: Vec<String>,
    /// How many directed links it touched.
    #[serde(default)]
    pub links: u64,
    /// When the schedule wanted it; none for one that waited for a trigger.
    #[serde(default)]
    pub planned_at_ns: Option<Timestamp>,
    /// When it was applied.
    #[serde(default)]
    pub injected_at_ns: Option<Timestamp>,
    /// When a probe showed that it took effect.
    #[serde(default)]
    pub confirmed_at_ns: Option<Timestamp>,
    /// When it was taken back.
    #[serde(default)]
    pub healed_at_ns: Option<Timestamp>,
    /// When a probe showed that it was gone.
    #[serde(default)]
    pub healed_confirmed_at_ns: Option<Timestamp>,
    /// What the probes saw.
    #[serde(default)]
    pub evidence: Option<String>,
    /// What stays of it for ever, where only a core of the replicas was healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stays: Option<String>,
    /// What went wrong: not applied, not confirmed, not healed, and why.
    #[serde(default)]
    pub failure: Option<String>,
    /// What went wrong came of other faults that it overlapped with, each with evidence of its own: the run's
    /// claim does not rest on this one.
    #[serde(default)]
    pub overlapped: bool,
    /// That it is gone can never be seen: what would show it stays broken outside the core that was healed.
    #[serde(default)]
    pub hidden: bool,
}

/// How many faults came and went as planned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultTotals {
    /// In the schedule.
    pub planned: u64,
    /// Applied.
    pub applied: u64,
    /// Shown to have taken effect.
    pub confirmed: u64,
    /// Shown to be gone.
    pub healed: u64,
}

/// How the system came back.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recovery {
    /// When the last fault was healed.
    #[serde(default)]
    pub final_heal_at_ns: Option<Timestamp>,
    /// From then to the first operation that was acknowledged; none if there was none.
    #[serde(default)]
    pub after_final_heal_ns: Option<u64>,
    /// The longest time without an acknowledged operation while some were waiting.
    #[serde(default)]
    pub longest_outage: Option<Outage>,
    /// Per fault.
    #[serde(default)]
    pub per_fault: Vec<FaultRecovery>,
}

/// A time in which nothing was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outage {
    /// The last acknowledgement before it.
    pub from_ns: Timestamp,
    /// The first one after it, or the end of the run.
    pub to_ns: Timestamp,
}

/// How the system came back from one fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultRecovery {
    /// The fault's number.
    pub fault: u64,
    /// From its injection to the next acknowledged operation.
    #[serde(default)]
    pub after_inject_ns: Option<u64>,
    /// From its heal to the next acknowledged operation.
    #[serde(default)]
    pub after_heal_ns: Option<u64>,
}

/// A replica entered a view.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewChange {
    /// When it was in normal status there.
    pub at_ns: Timestamp,
    /// Which replica; none for the whole system.
    #[serde(default)]
    pub replica: Option<u32>,
    /// The epoch, for protocols that have such.
    #[serde(default)]
    pub epoch: u64,
    /// The view.
    pub view: u64,
    /// Its primary.
    pub primary: u32,
}
