//! What a replica is told at its start, and the limits of everything that could grow.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::message::SequenceNumber;
use crate::{ReplicaId, ViewNumber};

/// K: a checkpoint is taken after every so many sequence numbers, unless the configuration says otherwise.
pub const CHECKPOINT_INTERVAL: u64 = 64;
/// L, in checkpoint intervals: how far sequence numbers run ahead of the latest stable checkpoint.
pub const WINDOW_INTERVALS: u64 = 2;
/// The most sequence numbers between the water marks.
pub const WINDOW_MAX: u64 = 1 << 12;
/// How many pre-prepares a primary keeps in flight before it gathers requests into batches.
pub const PRE_PREPARES_MAX: u64 = 4;
/// The most requests of a batch.
pub const BATCH_MAX: usize = 64;
/// The most bytes of operations in a batch, unless it has a single request.
pub const BATCH_BYTES_MAX: usize = 1 << 20;
/// The most bytes of one operation; longer ones are refused.
pub const OPERATION_BYTES_MAX: usize = 16 << 10;
/// The most bytes of one result: a service bounds its answers.
pub const RESULT_BYTES_MAX: usize = 512 << 10;
/// Results up to so many bytes come in full from every replica.
pub const DIGEST_REPLY_MIN: usize = 64;
/// How many requests of clients wait at a replica, besides those of accepted batches.
pub const PENDING_MAX: usize = 8192;
/// How many of them may be of one client endpoint: a faulty client does not crowd out the others.
pub const ENDPOINT_PENDING_MAX: usize = 2048;
/// A timestamp may run so far ahead of the client's latest executed one: a faulty client cannot use up the
/// timestamps of its session by one request.
pub const TIMESTAMP_LEAD_MAX: u64 = 1 << 20;
/// How many client sessions the replies remember; requests of further ones execute as nothing.
pub const CLIENTS_MAX: usize = 1 << 18;
/// Messages that name a view further ahead than this are refused.
pub const VIEW_LEAD_MAX: u64 = 1 << 32;
/// How many times the patience with a primary doubles.
pub const BACKOFF_MAX: u32 = 6;
/// How many checkpoints of one other replica are kept: the latest.
pub const CHECKPOINTS_HELD_MAX: usize = 4;
/// How many places one status leads to answers for.
pub const RESEND_PLACES_MAX: usize = 64;
/// How many missing batches a status names.
pub const MISSING_MAX: usize = 32;
/// How many nodes of the state one fetch asks for.
pub const FETCH_NODES_MAX: usize = 64;
/// The most bytes of nodes that one answer carries, unless a single one is larger.
pub const FETCH_BYTES_MAX: usize = 1 << 20;
/// The most bytes of a fetched state that one record carries, unless a single entry is larger.
pub const INSTALL_BYTES_MAX: usize = 256 << 10;
/// How many sequence numbers may have several proposals with requests that cannot be checked here.
pub const DOUBTFUL_MAX: usize = 64;

/// Where votes are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VoteStorage {
    /// In the write-ahead log, before they are sent: a replica that restarts keeps its word.
    #[default]
    Durable,
    /// In memory alone: a replica that restarts has forgotten everything and counts as Byzantine.
    Memory,
}

/// One replica's configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PbftConfig {
    /// Which replica this is.
    pub me: ReplicaId,
    /// All replicas, ascending. A replica's number is its index here.
    pub replicas: Vec<ReplicaId>,
    /// How patient the replica is.
    pub timeouts: PbftTimeouts,
    /// K.
    pub checkpoint_interval: u64,
    /// Whether requests execute when they are prepared, one step before they are committed (TOCS §5.1.2).
    pub tentative_execution: bool,
    /// Where votes are kept.
    pub votes: VoteStorage,
    /// Drives the jitter of timers and nothing else.
    pub seed: u64,
}

impl PbftConfig {
    /// A configuration with the defaults.
    pub fn new(me: ReplicaId, replicas: Vec<ReplicaId>) -> Self {
        Self {
            me,
            replicas,
            timeouts: PbftTimeouts::default(),
            checkpoint_interval: CHECKPOINT_INTERVAL,
            tentative_execution: true,
            votes: VoteStorage::Durable,
            seed: 0,
        }
    }

    /// L: how many sequence numbers are between the water marks.
    pub fn window(&self) -> u64 {
        self.checkpoint_interval * WINDOW_INTERVALS
    }

    /// Whether a checkpoint is taken after `number`.
    pub fn is_checkpoint(&self, number: SequenceNumber) -> bool {
        number.0.is_multiple_of(self.checkpoint_interval)
    }

    /// The primary of `view`: p = v mod n (PBFT §4).
    pub fn primary(&self, view: ViewNumber) -> ReplicaId {
        self.replicas[primary_index(view, self.replicas.len())]
    }

    /// The configuration, if it makes sense; panics otherwise.
    pub(super) fn checked(self) -> Self {
        assert!(
            self.replicas.windows(2).all(|pair| pair[0] < pair[1]),
            "replicas are sorted and distinct: {:?}",
            self.replicas
        );
        assert!(
            self.replicas.contains(&self.me),
            "{} is one of {:?}",
            self.me,
            self.replicas
        );
        assert!(
            self.checkpoint_interval > 0 && self.window() <= WINDOW_MAX,
            "a checkpoint interval of {}",
            self.checkpoint_interval
        );
        self
    }
}

/// The replica number of the primary of `view` among `members`.
pub(super) fn primary_index(view: ViewNumber, members: usize) -> usize {
    (view.number % members as u64) as usize
}

/// How patient a replica is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PbftTimeouts {
    /// A backup that holds a request for so long and has not executed it suspects the primary; twice as long in each
    /// view that follows without progress.
    pub request: Duration,
    /// A replica says where it is this often (and up to half as long again).
    pub status: Duration,
    /// A donor that does not answer for so long (and up to half as long again) is left for another.
    pub fetch: Duration,
}

impl Default for PbftTimeouts {
    fn default() -> Self {
        Self {
            request: Duration::from_millis(300),
            status: Duration::from_millis(50),
            fetch: Duration::from_millis(100),
        }
    }
}
