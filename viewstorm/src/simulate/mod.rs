//! Many simulated runs: one seed is one run, on all cores, in memory.

mod campaign;
mod seed;

pub use campaign::{Campaign, CampaignOptions, Failure, Summary, Until};
pub use seed::{SeedError, SeedRun, run_seed};
