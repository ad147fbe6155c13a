//! The worlds that experiments run in. The runner picks one from the plan, once.

mod child;
mod machine;
mod nemesis_tap;
mod open;
mod processes;
mod setup;
mod simulated;
mod timeouts;
mod trace_files;

pub(crate) use child::{Child, ChildEvent, ChildSpec};
pub use nemesis_tap::NemesisTap;
pub use open::{capabilities, open};
pub use processes::{ProcessWorld, ProcessWorldOptions};
pub use simulated::{SimulatedWorld, SimulatedWorldOptions};
