//! Tests of the Viewstamped Replication core, over a cluster in memory.

mod checkpoints;
mod cluster;
mod costs;
mod interleavings;
mod liveness;
mod paper;
mod reads;
mod reconfiguration;
mod recovery;
mod schedules;
mod stories;
