//! The nemesis: decides which fault hits whom and when, confirms it, heals it, confirms that.
//!
//! It is a state machine as sans-io as a protocol core: observations in, [`Action`]s out. A world enacts the
//! actions (processes and relays, or the simulator). Only `inject` touches real processes and sockets.

mod action;
#[cfg(feature = "inject")]
pub mod inject;
mod link;
mod tap;

pub use action::{Action, Observation, ProbeId, ProcessState};
pub use link::{Delay, Link, LinkCounters, LinkRule, Topology};
pub use tap::{Flow, Numbers, PROBE_KIND, RuleTap, TapAct, TapRule};
