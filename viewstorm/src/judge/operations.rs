//! The clients' operations of a history, each with its beginning and its end.

use std::collections::BTreeMap;

use viewstorm_history::{History, Kind, ProcessId, Timestamp};

/// One operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Operation<'a> {
    pub(super) f: &'a str,
    /// When it was due (open loop), or else invoked.
    pub(super) due: Timestamp,
    /// How and when it ended. One that the history leaves open is info at the end of time.
    pub(super) kind: Kind,
    pub(super) end: Timestamp,
    /// A read of the final state, after the load.
    pub(super) is_final: bool,
}

/// All operations, in the order in which they were invoked.
pub(super) fn operations(history: &History) -> Vec<Operation<'_>> {
    let mut operations: Vec<Operation<'_>> = Vec::with_capacity(history.operations.len() / 2);
    let mut open: BTreeMap<ProcessId, usize> = BTreeMap::new();
    for event in &history.operations {
        if event.kind == Kind::Invoke {
            open.insert(event.process, operations.len());
            operations.push(Operation {
                f: &event.f,
                due: event.intended.unwrap_or(event.time),
                kind: Kind::Info,
                end: Timestamp::MAX,
                is_final: event.extra.contains_key("final"),
            });
        } else if let Some(index) = open.remove(&event.process) {
            operations[index].kind = event.kind;
            operations[index].end = event.time;
        }
    }
    operations
}
