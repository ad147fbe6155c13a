//! A log of a history that is in memory.

use serde_json::Value;

use super::{CallLog, CallLogBuilder, LogEvent, PairError};
use crate::{Header, History, OperationEvent};

impl CallLog {
    /// The calls of `history`.
    pub fn of(history: &History) -> Result<Self, PairError> {
        let mut builder = CallLogBuilder::default();
        builder.log.calls.reserve(history.operations.len() / 2 + 1);
        for event in &history.operations {
            builder.push_event(event)?;
        }
        if let Some(header) = &history.header {
            builder.header(header);
        }
        builder.log.is_complete = history.is_complete();
        Ok(builder.finish())
    }
}

impl CallLogBuilder {
    /// Takes the next event, with its values as they are.
    pub fn push_event(&mut self, event: &OperationEvent) -> Result<(), PairError> {
        let value = self.log.values.intern(&event.value);
        let observed = event
            .observed
            .as_ref()
            .map(|value| self.log.values.intern(value));
        self.push(&LogEvent {
            time: event.time.0,
            process: event.process.0,
            kind: event.kind,
            f: &event.f,
            key: event.key.as_deref(),
            value,
            order: event.order,
            observed,
            index: event.index,
            is_final: event.extra.get("final") == Some(&Value::Bool(true)),
        })
    }

    /// Takes what the header says.
    pub(crate) fn header(&mut self, header: &Header) {
        self.log.model = Some(header.model.clone());
        if let Some(initial) = header.extra.get("initial") {
            self.log.set_initial(initial);
        }
    }
}
