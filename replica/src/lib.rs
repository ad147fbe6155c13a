//! Cores in real processes: a drive loop over QUIC with mutual TLS, a write-ahead log and a control channel; and
//! the host of client sessions.
//!
//! It knows neither the nemesis nor the simulator. What the nemesis may do to messages comes in as a
//! [`TapControl`].

mod client_host;
mod clock;
mod config;
pub mod control;
mod fence;
mod gate;
mod identity;
mod node;
mod passenger;
pub mod storage;
mod tap;
mod transport;
mod wide;

pub use client_host::{
    ClientEndpoint, ClientEvent, ClientHost, ClientHostConfig, ClientHostError, ClientTimeouts,
};
pub use clock::RunClock;
pub use config::{
    ConfigError, ProtocolKind, REPLICAS_MAX, ReplicaConfig, ServiceKind, TAP_BUFFER_DEFAULT,
};
pub use identity::{Authority, Credentials, IdentityError};
pub use node::{ReplicaError, run_replica, run_replica_core, run_replica_on};
pub use tap::{OpenTapControl, TapControl};
