//! A replica process.

mod error;
mod run;

pub use error::ReplicaError;
pub use run::run_replica;
