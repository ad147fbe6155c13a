//! One line of a history.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{Seed, Timestamp};

/// The version of the history format that this crate writes.
pub const FORMAT_VERSION: u32 = 1;

/// A logical process: one session's operations, one at a time. A process whose operation ended info never
/// invokes again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProcessId(pub u64);

/// One line of a history.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    /// The first line of our own histories.
    Header(Header),
    /// A client's operation begins or ends.
    Operation(OperationEvent),
    /// A fault changes its stage.
    Fault(FaultEvent),
    /// The last line of our own histories. Without it the run was cut off.
    End(End),
}

/// What a history begins with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    /// [`FORMAT_VERSION`] when it was written.
    pub format: u32,
    /// The plan's name.
    pub experiment: String,
    /// The run's seed.
    pub seed: Seed,
    /// The sequential model that its operations belong to: `register`, ...
    pub model: String,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a complete history ends with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// When the run ended.
    pub time: Timestamp,
    /// Whether it was cut short (Ctrl-C, a harness failure) and why; none for a run that went its length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interrupted: Option<String>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Where an operation stands (Jepsen's four types).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The client starts it.
    Invoke,
    /// It happened.
    Ok,
    /// It had no effect.
    Fail,
    /// Nobody knows: it may take effect at any time from its invoke on.
    Info,
}

/// A client's operation begins or ends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OperationEvent {
    /// The line's number among the events, from 0; absent in foreign histories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// When.
    pub time: Timestamp,
    /// Whose operation.
    pub process: ProcessId,
    /// Where it stands.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The operation as its model names it: `read`, `write`, `cas`, ...
    pub f: String,
    /// The partition of the state that it touches, if the model has such.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Argument or result, as the model defines. A read's is null on invoke, and for a missing key.
    #[serde(default)]
    pub value: Value,
    /// Open loop: when the operation was due. Latency counts from here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intended: Option<Timestamp>,
    /// How many operations the service had executed, up to and with this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<u64>,
    /// What a failed operation saw (`Some(Value::Null)` for a missing key): it is judged as a read of that.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "present"
    )]
    pub observed: Option<Value>,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Where a fault stands (DESIGN: inject, confirm, heal, confirm).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// The schedule holds it: written for every fault at the start of the run.
    Plan,
    /// It was applied; the value says to whom.
    Inject,
    /// A probe showed that it took effect.
    Confirm,
    /// It was taken back.
    Heal,
    /// A probe showed that it is gone.
    Healed,
    /// It could not be applied, confirmed or healed; the value says which and why.
    Failed,
}

/// A fault changes its stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FaultEvent {
    /// The line's number among the events, from 0; absent in foreign histories.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u64>,
    /// When.
    pub time: Timestamp,
    /// Which fault of the run's schedule.
    pub fault: u64,
    /// The fault's name: `partition`, `kill`, ...
    pub f: String,
    /// Where it stands.
    pub stage: Stage,
    /// Parameters, the nodes and links it hit, evidence.
    #[serde(default)]
    pub value: Value,
    /// Fields this version does not know.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// An `observed` that is there counts, even when it is null.
fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(deserializer).map(Some)
}
