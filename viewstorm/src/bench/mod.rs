//! Measures what no system on this machine gets under.

mod datagram;
mod disk;
mod floors;
mod quic;
mod signature;
mod throughput;

pub use floors::{Floor, FloorsError, measure};
pub use throughput::{RelayRate, relay_rate};
