//! What the runner knows of a workload.

use bytes::Bytes;
use serde_json::Value;
use viewstorm_history::Kind;

/// An operation to be invoked: as the history tells it, and as the service reads it.
#[derive(Clone, Debug, PartialEq)]
pub struct Invocation {
    /// The operation's name in its model.
    pub f: &'static str,
    /// The key it touches.
    pub key: Option<String>,
    /// Its argument, as the model defines.
    pub value: Value,
    /// The bytes that the service executes.
    pub operation: Bytes,
}

/// How an operation ended, as the history tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Ok or fail: the service's answer leaves no doubt.
    pub kind: Kind,
    /// The value it returned, or its argument.
    pub value: Value,
    /// What a failed operation saw.
    pub observed: Option<Value>,
}

/// A result that the workload's service never gives: the replicas are broken in a way the history cannot
/// tell.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{f} on {key:?} was answered with bytes that are no result of it: {result:02x?}")]
pub struct UnreadableResult {
    /// The operation.
    pub f: &'static str,
    /// Its key.
    pub key: Option<String>,
    /// The bytes.
    pub result: Vec<u8>,
}

/// A source of operations. The same seed gives the same operations as long as the results are the same.
pub trait Workload: Send {
    /// The checker's model that the operations belong to.
    fn model(&self) -> &'static str;

    /// What the model's state is at first, where it is not empty.
    fn initial(&self) -> Option<Value> {
        None
    }

    /// The next operation.
    fn next(&mut self) -> Invocation;

    /// Reads the service's answer to `invocation`.
    fn complete(
        &mut self,
        invocation: &Invocation,
        result: &[u8],
    ) -> Result<Outcome, UnreadableResult>;

    /// The reads that show the final state of all that was touched.
    fn final_reads(&self) -> Vec<Invocation>;
}
