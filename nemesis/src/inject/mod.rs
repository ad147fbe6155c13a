//! The nemesis' hands on real things: the datagrams between nodes and the replicas' processes.
//!
//! Nothing here decides anything. What is done is told from outside, and takes effect before the call returns.

mod process;
mod relay;

pub use process::Process;
pub use relay::{PairSpec, Relay, RelayError};
