//! What a replica writes, so that a restart is not amnesia: it keeps its word after it.
//!
//! ```text
//!   PrePrepared durable --> Prepare, or PrePrepare      Prepared durable --> Commit, tentative replies
//!   Superblock durable  --> ViewChange                  Executed durable --> Checkpoint
//! ```

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::certificate::CheckpointCertificate;
use super::executor::StateRoot;
use super::message::{Batch, Checkpoint, NewViewProposal, PrePrepare, SequenceNumber};
use super::signed::Signed;
use crate::{Digest, Record, ViewNumber, Zone};

/// What must never be forgotten about views.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Superblock {
    /// The view that the replica is in, or is moving to. It votes in no earlier one again.
    pub view: ViewNumber,
    /// Whether that view has started here.
    pub active: bool,
    /// The latest view that has started here.
    pub log_view: ViewNumber,
}

/// Which of the two states of a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Part {
    /// The service's.
    Service,
    /// The clients' latest replies.
    Replies,
}

/// What a replica persists.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum PbftRecord {
    /// Replaces the superblock.
    Superblock(Superblock),
    /// A batch has its place in a view.
    PrePrepared {
        /// The view.
        view: ViewNumber,
        /// The place.
        sequence_number: SequenceNumber,
        /// The batch's digest.
        digest: Digest,
        /// The primary's word, unless it is part of a new view.
        pre_prepare: Option<Signed<PrePrepare>>,
    },
    /// A batch, before anything that needs it.
    Batch(Batch),
    /// It is prepared there.
    Prepared {
        /// The view.
        view: ViewNumber,
        /// The place.
        sequence_number: SequenceNumber,
        /// The batch's digest.
        digest: Digest,
    },
    /// It is committed and executed.
    Executed {
        /// The place.
        sequence_number: SequenceNumber,
        /// The batch's digest.
        digest: Digest,
    },
    /// The new view that has started.
    NewView(Box<NewViewProposal>),
    /// A checkpoint is stable. Nothing before it is needed but for the state.
    Stable {
        /// The checkpoint.
        checkpoint: Checkpoint,
        /// What shows it to others; none if it is f+1 view changes' word.
        proof: Option<CheckpointCertificate>,
    },
    /// A piece of a state that was fetched.
    Fetched(Vec<(Part, Bytes, Bytes)>),
    /// All pieces are there: the state is the checkpoint's.
    Installed {
        /// The checkpoint.
        checkpoint: Checkpoint,
        /// What its digest is of.
        root: StateRoot,
    },
}

impl Record for PbftRecord {
    fn zone(&self) -> Zone {
        match self {
            Self::Superblock(_) => Zone::Superblock,
            _ => Zone::Log,
        }
    }
}
