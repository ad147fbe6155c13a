//! Messages between nodes over QUIC with mutual TLS.
//!
//! ```text
//!   send -> queue of the peer -> stream -> QUIC -> socket ~~ relay ~~ socket -> QUIC -> stream -> Arrival
//!                                                     probes: below QUIC, past it
//! ```
//!
//! The replica with the lower id dials the higher one, clients dial replicas. A message to a peer that is not
//! connected, or that finds no room in the peer's queue, is lost and counted: protocols say again what
//! matters.

mod connection;
mod counters;
mod dial;
mod endpoint;
mod frame;
mod link;
mod peers;
mod probe;
mod queue;
mod settings;
mod socket;
mod tls;

pub(crate) use endpoint::{Transport, TransportConfig, TransportError};
pub(crate) use link::{ARRIVALS_MAX, Arrival};
pub(crate) use probe::Probe;
pub(crate) use socket::{PROBES_MAX, ProbeArrival};
