//! Runs one experiment in a world: load, nemesis, final heal, final reads. It does not know which world.
//!
//! ```text
//!   ready    load + nemesis                     load + final heal    drain   final reads
//!  |------|----------------------------------|---------------------|-------|-------------|
//!         load start                         duration               settled
//! ```

mod arrivals;
mod experiment;
mod lag;
mod recorder;
mod sessions;

pub use arrivals::{Arrivals, Silences};
pub use experiment::{
    Experiment, ExperimentOptions, Healing, Interrupt, Load, Progress, RunError, RunRecord, Stages,
};
pub use lag::Lag;
pub use recorder::{Counts, Recorder};
