//! Measures what no system on this machine gets under.

mod datagram;
mod disk;
mod floors;
mod quic;
mod signature;

pub use floors::{Floor, FloorsError, measure};
