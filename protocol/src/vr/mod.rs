//! Viewstamped Replication Revisited (Liskov and Cowling, MIT-CSAIL-TR-2012-021; "VRR" below).
//!
//! What a crash leaves is a mode ([`DurabilityMode`]) of one state machine. With a write-ahead log a `PrepareOk`
//! and a `DoViewChange` speak of durable state only: a restarted replica rejoins with what it promised, and a
//! crash of the whole group loses nothing. Without it (the paper) a restarted replica recovers from the others.
//!
//! ```text
//!                   StartView, NewState
//!         +-------------------------------------+
//!         v                                     |
//!   Normal (primary | backup) ---- quorum of StartViewChange, ----> ViewChange
//!         |                        DoViewChange of a later view       ^     |
//!         | Prepare or Commit of a later view                         |     | the view has
//!         +-----------------------------> StateTransfer --------------+ <---+ started already
//!                                             gave up
//! ```
//!
//! | file | sub-protocol |
//! |---|---|
//! | `normal` | VRR §4.1: `Request`, `Prepare`, `PrepareOk`, `Commit` |
//! | `detector` | how long a backup waits for its primary |
//! | `suspicion` | VRR §4.2 step 1: `StartViewChange`, and when a view is left |
//! | `view_change` | VRR §4.2 steps 2 to 5: `DoViewChange`, `StartView` |
//! | `reconfiguration` | VRR §7: `StartEpoch`, `EpochStarted`, `NewEpoch` |
//! | `checkpoint` | VRR §5.1: the checkpoint, the log that it makes superfluous |
//! | `state_transfer` | VRR §5.2: `GetState`, `NewState` |
//! | `checkpoint_transfer` | VRR §5.2: `NewCheckpoint`, `GetPages`, `Pages` |
//! | `recovery` | VRR §4.3: `Recovery`, `RecoveryResponse`; a replica that has lost its state |
//! | `lease` | VRR §6.3: `GetLease`, `Lease`; a primary that reads alone |
//! | `reads` | VRR §6.3: `Read`; answers outside the log |
//! | `restart` | a new incarnation: begins, rejoins over its own write-ahead log, or recovers |
//!
//! To come, in a file of its own: `witness` (§6.1).

mod checkpoint;
mod checkpoint_transfer;
mod client;
mod client_table;
mod config;
mod configuration;
mod detector;
mod durable;
mod executor;
mod lease;
mod log;
mod message;
mod normal;
mod observe;
mod operation;
mod options;
mod reads;
mod reconfiguration;
mod recovery;
mod replica;
mod restart;
mod state_transfer;
mod suspicion;
mod timer;
mod view_change;

pub use checkpoint::{Checkpoint, CheckpointRecord, Tree};
pub use client::{VrClient, VrClientTimeouts};
pub use client_table::{ClientEntry, ClientTable};
pub use config::DurabilityMode;
pub use config::{
    BACKOFF_MAX, BATCH_MAX, CHECKPOINT_GARBAGE_BYTES, CHECKPOINT_INTERVAL, CHECKPOINT_RECORD_BYTES,
    CHECKPOINTS_SERVED, CHUNK_BYTES_MAX, CHUNK_ENTRIES_MAX, CLIENT_TABLE_MAX, EPOCH_LEAD_MAX,
    FETCH_ROUNDS_MAX, HELD_MAX, KEPT_INTERVALS, MISTAKES_MAX, OPERATION_BYTES_MAX, PAGES_MAX,
    PIPELINE_MAX, PREPARES_MAX, QUEUE_MAX, READS_WAITING_MAX, TIMELY_SIGNS_MIN, UNSYNCED_MAX,
    VIEW_LEAD_MAX, VrCheckpoints, VrConfig, VrTimeouts,
};
pub use configuration::{Configuration, MEMBERS_MAX, MEMBERS_MIN};
pub use durable::{LogRecord, Superblock, VrRecord};
pub use log::{Entries, LogEntry, LogSuffix, OpNumber};
pub use message::{
    Commit, DoViewChange, EpochStarted, Evicted, GetLease, GetPages, GetState, Lease,
    NewCheckpoint, NewEpoch, NewState, Pages, Prepare, PrepareOk, Read, RecoveredLog, Recovery,
    RecoveryResponse, Refused, Reply, Request, StartEpoch, StartView, StartViewChange, VrMessage,
};
pub use observe::DIVERGED;
pub use operation::Operation;
pub use options::{FailureDetector, LeaseTerms, Reads, VrOptions};
pub use reconfiguration::Refusal;
pub use replica::VrReplica;
