//! The simulated world: the real protocol code, one thread, virtual time, one seed.
//!
//! A [`Simulation`] holds replicas, client sessions, a network and disks. It enacts what the nemesis decides
//! and hands out what happens. The same configuration and the same calls give the same run, event by event:
//! [`Simulation::trace_hash`] says so in one number. The crate knows no clock, thread, socket or file.

mod client;
mod config;
mod disk;
mod hash;
mod invariants;
mod ledger;
mod link;
mod medium;
mod queue;
mod random;
mod replica;
mod run;
mod simulation;
mod tap;
mod trace;

pub use config::{Between, SimulationConfig};
pub use disk::{CrashKind, RecordPlace};
pub use invariants::{InvariantViolation, Theorem};
pub use random::Stream;
pub use run::{Occurrence, Statistics};
pub use simulation::Simulation;
pub use trace::TraceSink;
