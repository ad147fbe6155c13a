//! From the configuration to the running loop.

use crate::{ReplicaConfig, ReplicaError, TapControl};

/// Runs a replica until it is told to stop; commands on standard input, reports on standard output.
pub fn run_replica(config: ReplicaConfig, _tap: Box<dyn TapControl>) -> Result<(), ReplicaError> {
    config.check()?;
    Ok(())
}
