//! What can be written down of a run while it goes: for trace files, triggers and reports.

use viewstorm_protocol::TraceRecord;

/// Is told of everything that happens on a node, in order. A process that is ended from outside says nothing.
pub trait TraceSink {
    /// This happened.
    fn record(&mut self, record: &TraceRecord);
}
