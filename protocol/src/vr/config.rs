//! What a replica is told at its start, and the limits of everything that could grow.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use crate::ReplicaId;

/// How far a primary's op-number may run ahead of its commit-number. It bounds every uncommitted suffix, and
/// with it `DoViewChange` and `StartView`.
pub const PIPELINE_MAX: u64 = 256;
/// The most operations one `Prepare` carries.
pub const BATCH_MAX: usize = 64;
/// How many `Prepare`s a primary keeps in flight before it gathers requests into batches.
pub const PREPARES_MAX: usize = 8;
/// The most bytes of one operation; longer ones are refused. It bounds every message: a `StartView` of twice
/// `PIPELINE_MAX` entries carries at most 8 MiB of operations.
pub const OPERATION_BYTES_MAX: usize = 16 << 10;
/// How many `Prepare`s that overtook others a backup keeps.
pub const HELD_MAX: usize = 2 * PREPARES_MAX;
/// How many requests wait at a primary for room in the pipeline.
pub const QUEUE_MAX: usize = 4096;
/// The most committed entries one `NewState` carries; an uncommitted suffix may come on top.
pub const CHUNK_ENTRIES_MAX: usize = 512;
/// The most bytes of committed operations one `NewState` carries, unless a single one is larger.
pub const CHUNK_BYTES_MAX: usize = 1 << 20;
/// How many log records a replica may have issued that are not durable yet. Beyond, a primary prepares nothing
/// and a backup refuses `Prepare`s.
pub const UNSYNCED_MAX: usize = 4096;
/// How many client sessions the client table remembers; requests of further ones are refused.
pub const CLIENT_TABLE_MAX: usize = 1 << 18;
/// Messages that name a view further ahead than this are refused.
pub const VIEW_LEAD_MAX: u64 = 1 << 32;
/// How many times the patience with an unfinished view change doubles.
pub const BACKOFF_MAX: u32 = 5;

/// One replica's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrConfig {
    /// Which replica this is.
    pub me: ReplicaId,
    /// The members of the first epoch's group, ascending.
    pub replicas: Vec<ReplicaId>,
    /// The replicas that exist beside them, ascending: a reconfiguration may make them members.
    pub spares: Vec<ReplicaId>,
    /// How patient the replica is.
    pub timeouts: VrTimeouts,
    /// Drives the jitter of timers and nothing else.
    pub seed: u64,
}

impl VrConfig {
    /// All replicas that exist, ascending.
    pub fn nodes(&self) -> Vec<ReplicaId> {
        let mut nodes = [self.replicas.as_slice(), &self.spares].concat();
        nodes.sort_unstable();
        nodes
    }

    /// The configuration, if it makes sense; panics otherwise.
    pub(super) fn checked(self) -> Self {
        let nodes = self.nodes();
        assert!(
            Configuration::first(self.replicas.clone()).is_sound(&nodes)
                && nodes.windows(2).all(|pair| pair[0] < pair[1]),
            "replicas are sorted and distinct: {:?} and {:?}",
            self.replicas,
            self.spares
        );
        assert!(nodes.contains(&self.me), "{} is of {nodes:?}", self.me);
        self
    }
}

/// How patient a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VrTimeouts {
    /// An idle primary says `Commit` this often.
    pub heartbeat: Duration,
    /// A backup that hears nothing from its primary for this long suspects it; an election that takes longer
    /// is followed by the next one, twice as patient.
    pub suspicion: Duration,
    /// A primary that hears from no quorum of backups for this long falls silent, so that they suspect it.
    pub abdication: Duration,
    /// What went unanswered for this long (and up to half as long again) is said again.
    pub resend: Duration,
    /// A backup waits this long (and up to half as long again) for a missing entry before it asks for it.
    pub repair: Duration,
}

impl Default for VrTimeouts {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(20),
            suspicion: Duration::from_millis(150),
            abdication: Duration::from_millis(120),
            resend: Duration::from_millis(40),
            repair: Duration::from_millis(10),
        }
    }
}
