//! A history as judges read it: one record a call, in columns of small numbers. A million calls take about
//! 70 MB, where the events with all their fields take some hundreds.

mod builder;
mod call;
mod datum;
mod from_history;
mod jsonl;
mod scan;

pub use builder::{CallLogBuilder, LogEvent, PairError};
pub use call::{Call, CallLog, NEVER};
pub use datum::{Datum, Values};

#[cfg(test)]
mod tests;
