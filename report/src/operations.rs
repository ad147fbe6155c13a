//! The clients' operations of a history, each with its beginning and its end.

use std::collections::BTreeMap;

use serde_json::Value;
use viewstorm_history::{History, Kind, OperationEvent, ProcessId, Timestamp};

use crate::text;

/// How much of a value is shown.
const VALUE_CHARS: usize = 32;

/// The mark of a read of the final state, after the load: it is no part of the figures.
const FINAL: &str = "final";

/// One operation: its invoke and, if the history has it, its end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Operation<'a> {
    /// How violations name it: by the index of its invoke, or by its place where the history has none.
    pub(crate) index: u64,
    pub(crate) invoke: &'a OperationEvent,
    pub(crate) end: Option<&'a OperationEvent>,
}

/// All operations, in the order in which they were invoked.
pub(crate) fn operations(history: &History) -> Vec<Operation<'_>> {
    let mut operations: Vec<Operation<'_>> = Vec::with_capacity(history.operations.len() / 2);
    let mut open: BTreeMap<ProcessId, usize> = BTreeMap::new();
    for (place, event) in history.operations.iter().enumerate() {
        if event.kind == Kind::Invoke {
            open.insert(event.process, operations.len());
            operations.push(Operation {
                index: event.index.unwrap_or(place as u64),
                invoke: event,
                end: None,
            });
        } else if let Some(position) = open.remove(&event.process) {
            operations[position].end = Some(event);
        }
    }
    operations
}

impl Operation<'_> {
    /// When it was due (open loop), or else invoked.
    pub(crate) fn due(&self) -> Timestamp {
        self.invoke.intended.unwrap_or(self.invoke.time)
    }

    /// How it ended. One without an end is info.
    pub(crate) fn outcome(&self) -> Kind {
        self.end.map_or(Kind::Info, |end| end.kind)
    }

    /// How long an acknowledged one took from when it was due, in nanoseconds.
    pub(crate) fn latency(&self) -> Option<u64> {
        let end = self.end.filter(|end| end.kind == Kind::Ok)?;
        Some(end.time.0.saturating_sub(self.due().0))
    }

    /// Whether it read the final state.
    pub(crate) fn is_final(&self) -> bool {
        self.invoke.extra.contains_key(FINAL)
    }

    /// Itself in one line: `write k4 17`, `read k4 → 17`, `cas k4 [17,18] failed, saw 19`.
    pub(crate) fn label(&self) -> String {
        let mut label = self.invoke.f.clone();
        if let Some(key) = &self.invoke.key {
            label = format!("{label} {key}");
        }
        if !self.invoke.value.is_null() {
            label = format!("{label} {}", value(&self.invoke.value));
        }
        let ending = match self.end {
            None => " → no answer".to_owned(),
            Some(end) => match end.kind {
                Kind::Ok if end.value == self.invoke.value && !end.value.is_null() => String::new(),
                Kind::Ok => format!(" → {}", value(&end.value)),
                Kind::Fail => match &end.observed {
                    Some(observed) => format!(" failed, saw {}", value(observed)),
                    None => " failed".to_owned(),
                },
                Kind::Info | Kind::Invoke => " → unknown".to_owned(),
            },
        };
        text::one_line(&(label + &ending))
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text::shorten(text, VALUE_CHARS),
        other => text::shorten(&other.to_string(), VALUE_CHARS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(lines: &str) -> History {
        History::read(lines.as_bytes()).unwrap()
    }

    #[test]
    fn an_operation_is_its_invoke_and_its_end() {
        let history = read(concat!(
            "{\"time\":5,\"process\":1,\"type\":\"invoke\",\"f\":\"write\",\"key\":\"k\",\"value\":7,\"intended\":3}\n",
            "{\"time\":6,\"process\":2,\"type\":\"invoke\",\"f\":\"read\",\"key\":\"k\",\"value\":null}\n",
            "{\"time\":9,\"process\":2,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",\"value\":7}\n",
            "{\"time\":10,\"process\":1,\"type\":\"ok\",\"f\":\"write\",\"key\":\"k\",\"value\":7}\n",
            "{\"time\":11,\"process\":1,\"type\":\"invoke\",\"f\":\"cas\",\"key\":\"k\",\"value\":[7,8]}\n",
            "{\"time\":12,\"process\":3,\"type\":\"invoke\",\"f\":\"read\",\"key\":\"k\",\"value\":null,\"final\":true}\n",
            "{\"time\":13,\"process\":3,\"type\":\"ok\",\"f\":\"read\",\"key\":\"k\",\"value\":null}\n",
        ));
        let operations = operations(&history);
        let labels: Vec<_> = operations.iter().map(Operation::label).collect();
        assert_eq!(
            labels,
            [
                "write k 7",
                "read k → 7",
                "cas k [7,8] → no answer",
                "read k → nothing"
            ]
        );
        let indices: Vec<_> = operations.iter().map(|operation| operation.index).collect();
        assert_eq!(indices, [0, 1, 4, 5]);
        assert_eq!(operations[0].latency(), Some(7));
        assert_eq!(operations[2].outcome(), Kind::Info);
        assert_eq!(operations[2].latency(), None);
        assert!(operations[3].is_final());
    }
}
