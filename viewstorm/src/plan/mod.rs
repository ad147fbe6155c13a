//! The plan: what an experiment is, in TOML.
//!
//! A plan is read in one go: every mistake in it is an error with its place, what was expected there and what
//! was probably meant. A [`Plan`] that exists is complete (every default filled in) and possible.

mod check;
mod choice;
mod cluster;
mod document;
mod duration;
mod error;
mod extends;
mod keys;
mod model;
mod nemesis;
mod overrides;
#[expect(
    clippy::module_inception,
    reason = "the plan itself is the noun of its module"
)]
mod plan;
mod promise;
mod read;
mod resolve;
mod run;
mod section;
mod source;
mod suggest;
mod workload;

pub use check::{ALWAYS_CHECKED, Bounds, Check, Expect, Liveness, SeedQuantifier};
pub use cluster::{Cluster, Durability, FailureDetector, Protocol, Reads, Timeouts};
pub use duration::write as duration_text;
pub use error::{PlanError, PlanErrors};
pub use model::{Model, Network, Nodes, Timing};
pub use nemesis::{Faults, OpenFault};
pub use overrides::Override;
pub use plan::Plan;
pub use promise::{Promise, experiment, matrix, models};
pub use run::{Run, World, WorldKind};
pub use source::Place;
pub use workload::{Arrival, Mix, Pauses, Workload, WorkloadKind};
