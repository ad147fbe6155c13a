//! A night: a set of experiments, worlds and seeds under a time budget.
//!
//! Every unit of work is a child of this same binary (`viewstorm simulate`, `run`, `shrink`), so that a unit that
//! stalls or dies takes nothing with it. The night's state is written whole after each unit: a night that is cut
//! off goes on from there.

mod bundle;
mod canaries;
mod child;
mod corpus;
mod disk;
mod experiments;
mod findings;
mod night;
mod plan;
mod signature;
mod stall;
mod units;

pub use bundle::{BundleError, open_bundle, write_bundle};
pub use night::{NightOptions, Nightly, NightlyError, Watch};
pub use plan::{NightPlan, NightPlanError, NightlyCanary, NightlyExperiment, NightlyWorld};
