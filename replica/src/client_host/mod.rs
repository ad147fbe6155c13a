//! Client sessions and the QUIC endpoints they live on, on a thread of their own.

mod config;
mod endpoint;
mod host;
mod session;
mod work;

pub use config::{ClientEndpoint, ClientHostConfig, ClientHostError, ClientTimeouts};
pub use host::{ClientEvent, ClientHost};
