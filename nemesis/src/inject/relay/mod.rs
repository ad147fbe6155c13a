//! The relay: every datagram between two nodes passes through it, so that each direction can be faulted.
//!
//! ```text
//!            dialler -> acceptor: its own wire (rule, random stream, delay line, counters)
//!   dialler  =======> front ---------------- back =======>  acceptor
//!            <=======       ----------------      <=======
//!            acceptor -> dialler: its own wire
//! ```
//!
//! One thread serves all pairs. It knows nothing of what it carries, and never reads it.

mod event_loop;
mod inbox;
mod outbox;
mod pair;
mod port;
#[expect(
    clippy::module_inception,
    reason = "the type that this folder is about"
)]
mod relay;
#[cfg(test)]
mod tests;
mod wire;

pub use relay::{PairSpec, Relay, RelayError};
