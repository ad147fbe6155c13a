//! The words every stage shares: operations, outcomes, fault events, seeds, and the files they are kept in.
//!
//! This crate knows no protocol, no world and no checker. Its vocabulary is Jepsen's: a process invokes an
//! operation, which ends ok (it happened), fail (it had no effect) or info (unknown).

mod edn;
mod event;
mod log;
mod reader;
mod seed;
mod time;
mod writer;

pub use edn::{EdnOptions, write_edn};
pub use event::{
    End, Entry, FORMAT_VERSION, FaultEvent, Header, Kind, OperationEvent, ProcessId, Stage,
};
pub use log::{Call, CallLog, CallLogBuilder, Datum, LogEvent, NEVER, PairError, Values};
pub use reader::{History, Place, ReadError};
pub use seed::Seed;
pub use time::Timestamp;
pub use writer::HistoryWriter;
