//! Measures what no system on this machine gets under, and how far from it VR is.

mod datagram;
mod disk;
mod floors;
mod group;
mod pattern;
mod quic;
mod signature;
mod throughput;
mod vr;

pub use floors::{Floor, FloorsError, measure};
pub use pattern::Pattern;
pub use throughput::{RelayRate, relay_rate};
pub use vr::{BenchError, Cell, Failover, VrBench, VrBenchOptions, measure_vr};
