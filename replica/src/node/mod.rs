//! A replica process: the drive loop around a core.

mod channel_end;
mod drive;
mod error;
mod outward;
mod run;
mod trace_file;
mod turn;

pub use error::ReplicaError;
pub use run::{run_replica, run_replica_core, run_replica_on};
