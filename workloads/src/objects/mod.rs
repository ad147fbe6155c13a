//! Objects beside the registers: sets, counters, queues, lists, locks, accounts and transactions. Each is an
//! operation of the one replicated service and a model of the checker's.

mod generator;
mod operation;
mod service;

#[cfg(test)]
mod tests;

pub use generator::{ObjectKind, ObjectOptions, Objects};
pub(crate) use service::execute;
