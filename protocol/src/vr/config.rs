//! What a replica is told at its start, and the limits of everything that could grow.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::configuration::Configuration;
use super::options::VrOptions;
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
/// How many reads wait at a replica for what it has not executed yet.
pub const READS_WAITING_MAX: usize = 4096;
/// How many log records a replica may have issued that are not durable yet. Beyond, a primary prepares nothing
/// and a backup refuses `Prepare`s.
pub const UNSYNCED_MAX: usize = 4096;
/// How many client sessions the client table remembers unless the configuration says otherwise.
pub const CLIENT_TABLE_MAX: usize = 1 << 18;
/// Every how many ops a checkpoint is taken unless the configuration says otherwise (VRR §5.1: "after every O
/// operations, where O is on the order of 100 or 1000").
pub const CHECKPOINT_INTERVAL: u64 = 1024;
/// For how many intervals before the latest checkpoint the log is kept: a replica that fell behind by less
/// catches up from the log alone (VRR §5.2).
pub const KEPT_INTERVALS: u64 = 2;
/// How many bytes of nodes one record of a checkpoint holds, but for its last node.
pub const CHECKPOINT_RECORD_BYTES: usize = 256 << 10;
/// How many bytes of outdated nodes lie in storage, beyond as many as the checkpoint has itself, before a
/// checkpoint is written as a whole and all before it forgotten.
pub const CHECKPOINT_GARBAGE_BYTES: usize = 256 << 10;
/// How many of its latest checkpoints a replica hands out nodes of.
pub const CHECKPOINTS_SERVED: usize = 2;
/// After how many questions in a row that nobody answered a replica takes any other checkpoint than the one that it
/// fetches.
pub const FETCH_ROUNDS_MAX: u32 = 4;
/// How many nodes one `GetPages` asks for.
pub const PAGES_MAX: usize = 128;
/// Messages that name a view further ahead than this are refused.
pub const VIEW_LEAD_MAX: u64 = 1 << 32;
/// A `StartEpoch` that names an epoch further ahead than this is refused.
pub const EPOCH_LEAD_MAX: u64 = 1 << 32;
/// How many times the patience with an unfinished view change doubles.
pub const BACKOFF_MAX: u32 = 5;
/// How many mistakes of its failure detector a replica remembers: each doubles its patience.
pub const MISTAKES_MAX: u32 = 5;
/// How many timely signs of life take one mistake back.
pub const TIMELY_SIGNS_MIN: u32 = 64;

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
    /// When it takes checkpoints, and what they hold.
    #[serde(default)]
    pub checkpoints: VrCheckpoints,
    /// What the group chose.
    pub options: VrOptions,
    /// Drives the jitter of timers and nothing else.
    pub seed: u64,
    /// What a crash leaves.
    pub durability: DurabilityMode,
    /// Fresh in every incarnation: tells the answers to this one's `Recovery` from those to an earlier one's
    /// (VRR §4.3 step 1). A count of starts or a clock will do.
    pub nonce: u64,
}

/// What a crash leaves of a replica, and with it what its promises wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DurabilityMode {
    /// Log and views: nothing is said before it is durable. A crash of all loses nothing.
    #[default]
    Wal,
    /// The view number alone, written before a vote in it (VR'88). The log is recovered from the others: more
    /// than f crashes at once lose it.
    ViewDurable,
    /// Nothing (VRR). As above, and unsound when messages of a dead incarnation arrive after its successor's
    /// (Michael et al., DISC 2017).
    Diskless,
}

impl DurabilityMode {
    /// Whether the log is on the disk: a `PrepareOk` waits for its entry, a restart finds it again.
    pub const fn keeps_log(self) -> bool {
        matches!(self, Self::Wal)
    }

    /// Whether a view number is on the disk before anybody is told of a vote in it. If so a replica may ask for
    /// a view while it stays in its own. If not, it leaves first: that f+1 replicas have left is then all that
    /// keeps the view from being forgotten (VRR §8.2).
    pub const fn keeps_views(self) -> bool {
        matches!(self, Self::Wal | Self::ViewDurable)
    }
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
        assert!(self.checkpoints.interval > 0, "every so many ops");
        self
    }
}

/// When a replica takes checkpoints, and what they hold: the same on all replicas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VrCheckpoints {
    /// Every how many ops.
    pub interval: u64,
    /// How many client sessions the client table remembers.
    pub clients: usize,
}

impl Default for VrCheckpoints {
    fn default() -> Self {
        Self {
            interval: CHECKPOINT_INTERVAL,
            clients: CLIENT_TABLE_MAX,
        }
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
