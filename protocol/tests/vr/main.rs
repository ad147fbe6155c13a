//! Tests of the Viewstamped Replication core, over a cluster in memory.

mod checkpoints;
mod cluster;
mod interleavings;
mod paper;
mod reconfiguration;
mod recovery;
mod schedules;
mod stories;
