//! The messages, named and filled as in the papers: PBFT is Castro and Liskov, OSDI'99; TOCS their article of 2002.
//!
//! What is signed is a [`Content`]; what travels is a [`PbftMessage`]. The sender's number i of the paper is the
//! signer of the [`Signed`], or, for what needs no proof beyond the channel's, who the transport knows it to be from.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::certificate::CheckpointCertificate;
use super::durable::Part;
use super::executor::StateRoot;
use super::signed::{Content, Signed};
use crate::state::{NodePath, StateNode};
use crate::{ClientId, Digest, Message, ReplicaId, ViewNumber};

/// What a null request has in the place of a digest (PBFT §4.4): no batch has it, short of breaking BLAKE3.
pub const NULL_DIGEST: Digest = Digest::from_bytes([0; 32]);

/// A batch's place in the order of execution, from 1.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct SequenceNumber(pub u64);

impl SequenceNumber {
    /// Before everything.
    pub const ZERO: Self = Self(0);

    /// The number after this one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for SequenceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// ⟨REQUEST o, t, c⟩ (PBFT §4.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// c: whose it is.
    pub client: ClientId,
    /// t: the client's number for it. A client's timestamps only grow.
    pub timestamp: u64,
    /// o: what is to be executed.
    pub operation: Bytes,
}

/// ⟨PRE-PREPARE v, n, d⟩ (PBFT §4.2): the primary puts the batch with digest d in place n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrePrepare {
    /// v.
    pub view: ViewNumber,
    /// n.
    pub sequence_number: SequenceNumber,
    /// d: the batch's digest.
    pub digest: Digest,
}

/// ⟨PREPARE v, n, d, i⟩ (PBFT §4.2): a backup agrees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// v.
    pub view: ViewNumber,
    /// n.
    pub sequence_number: SequenceNumber,
    /// d.
    pub digest: Digest,
}

/// ⟨COMMIT v, n, d, i⟩ (PBFT §4.2): the batch is prepared at the sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// v.
    pub view: ViewNumber,
    /// n.
    pub sequence_number: SequenceNumber,
    /// D(m). TOCS leaves it out, since only a prepared replica sends it; here it is evidence.
    pub digest: Digest,
}

/// ⟨CHECKPOINT n, d, i⟩ (PBFT §4.3): the sender's state after the execution of everything up to n has digest d.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// n.
    pub sequence_number: SequenceNumber,
    /// d.
    pub digest: Digest,
}

/// A member of P or Q (TOCS §4.5): n, d and v.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ViewEntry {
    /// n.
    pub sequence_number: SequenceNumber,
    /// d.
    pub digest: Digest,
    /// v: the latest view in which that was prepared (P) or pre-prepared (Q) at the sender.
    pub view: ViewNumber,
}

/// ⟨VIEW-CHANGE v, h, C, P, Q, i⟩ (TOCS §4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewChange {
    /// v: the view to be started.
    pub view: ViewNumber,
    /// h: the sender's latest stable checkpoint.
    pub low_water_mark: SequenceNumber,
    /// C: the checkpoints that the sender holds, ascending.
    pub checkpoints: Vec<Checkpoint>,
    /// P: what is prepared at the sender, one for each sequence number, ascending.
    pub prepared: Vec<ViewEntry>,
    /// Q: what was pre-prepared at the sender, ascending by sequence number and digest.
    pub pre_prepared: Vec<ViewEntry>,
}

/// ⟨NEW-VIEW v, V, X⟩ (TOCS §4.5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewView {
    /// v.
    pub view: ViewNumber,
    /// V: whose view changes X was chosen from, ascending, and their digests.
    pub view_changes: Vec<(ReplicaId, Digest)>,
    /// X: the checkpoint from which the view starts ...
    pub checkpoint: Checkpoint,
    /// ... and what stands in each place after it; [`NULL_DIGEST`] for a null request.
    pub chosen: Vec<Digest>,
}

/// The requests that are agreed upon together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Batch(Arc<Vec<Signed<Request>>>);

impl Batch {
    /// A batch of these requests, in this order.
    pub fn new(requests: Vec<Signed<Request>>) -> Self {
        Self(Arc::new(requests))
    }

    /// What a null request executes: nothing.
    pub fn null() -> Self {
        Self::new(Vec::new())
    }

    /// Its requests, in order.
    pub fn requests(&self) -> &[Signed<Request>] {
        &self.0
    }

    /// D(m): of what is asked and by whom, in order. The proofs are no part of it.
    pub fn digest(&self) -> Digest {
        if self.0.is_empty() {
            return NULL_DIGEST;
        }
        let requests: Vec<Digest> = self.0.iter().map(Signed::digest).collect();
        let parts: Vec<&[u8]> = requests.iter().map(|d| d.as_bytes().as_slice()).collect();
        Digest::of_parts("Batch", &parts)
    }

    /// How many bytes of operations it has.
    pub fn operation_bytes(&self) -> usize {
        let length = |request: &Signed<Request>| request.content().operation.len();
        self.0.iter().map(length).sum()
    }
}

/// ⟨⟨PRE-PREPARE v, n, d⟩, m⟩ (PBFT §4.2): the pre-prepare with the batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposal {
    /// The pre-prepare.
    pub pre_prepare: Signed<PrePrepare>,
    /// m.
    pub batch: Batch,
}

/// A new view with the view changes that it was chosen from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NewViewProposal {
    /// The new view.
    pub new_view: Signed<NewView>,
    /// What V names, in V's order.
    pub view_changes: Vec<Signed<ViewChange>>,
}

/// r of a reply, or D(r) from all replicas but one (TOCS §5.1.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReplyResult {
    /// The whole result.
    Full(Bytes),
    /// Its digest.
    Digest(Digest),
}

/// ⟨REPLY v, t, c, i, r⟩ (PBFT §4.1). The channel proves whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// v: the sender's view.
    pub view: ViewNumber,
    /// t.
    pub timestamp: u64,
    /// Whether the request is prepared and not committed yet (TOCS §5.1.2).
    pub tentative: bool,
    /// How many operations the service had executed, with this one.
    pub order: u64,
    /// r.
    pub result: ReplyResult,
}

/// Where the sender is (TOCS §5.2, "status"): whoever is further sends what it lacks. The channel proves whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// v.
    pub view: ViewNumber,
    /// Whether the view has started at the sender.
    pub active: bool,
    /// h: its latest stable checkpoint.
    pub low_water_mark: SequenceNumber,
    /// Everything up to here is committed and executed at the sender.
    pub executed: SequenceNumber,
    /// What the sender has of each place after `low_water_mark`, up to the last of which it has heard.
    pub places: Vec<PlaceStatus>,
    /// The view of the latest view change that the sender has of each replica, by number; 0 for none.
    pub view_changes: Vec<ViewNumber>,
    /// Batches that the sender lacks.
    pub missing: Vec<Digest>,
}

/// What a replica has of one place of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceStatus {
    /// It has the pre-prepare and the batch.
    pub pre_prepared: bool,
    /// It has a prepared certificate of the view.
    pub prepared: bool,
    /// It has a commit certificate.
    pub committed: bool,
}

/// ⟨FETCH⟩ (TOCS §5.3.2): to a replica that has the checkpoint. The answer is checked against the checkpoint's digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fetch {
    /// Of which checkpoint.
    pub sequence_number: SequenceNumber,
    /// What is wanted of it; nothing to begin with, for what its digest is of.
    pub nodes: Vec<(Part, NodePath)>,
}

/// ⟨META-DATA⟩ and ⟨DATA⟩ (TOCS §5.3.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Data {
    /// Of which checkpoint.
    pub sequence_number: SequenceNumber,
    /// What its digest is of.
    pub root: StateRoot,
    /// What was asked for, or the first of it.
    pub nodes: Vec<(Part, NodePath, StateNode)>,
}

/// What replicas and clients say to one another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant is documented at its type")]
pub enum PbftMessage {
    Request(Signed<Request>),
    Reply(Reply),
    PrePrepare(Proposal),
    Prepare(Signed<Prepare>),
    Commit(Signed<Commit>),
    Checkpoint(Signed<Checkpoint>),
    /// Checkpoints of a quorum: to a replica that has fallen behind.
    StableCheckpoint(CheckpointCertificate),
    ViewChange(Signed<ViewChange>),
    NewView(NewViewProposal),
    Status(Status),
    /// A batch that the receiver lacks: its digest says which.
    Batch(Batch),
    Fetch(Fetch),
    Data(Data),
}

/// Declares what can be signed, and where it belongs.
macro_rules! contents {
    ($($name:ident $transferable:literal $view:expr, $number:expr;)*) => {
        $(impl Content for $name {
            const KIND: &'static str = stringify!($name);
            const TRANSFERABLE: bool = $transferable;

            fn view(&self) -> Option<ViewNumber> {
                let view: fn(&Self) -> Option<ViewNumber> = $view;
                view(self)
            }

            fn sequence_number(&self) -> Option<SequenceNumber> {
                let number: fn(&Self) -> Option<SequenceNumber> = $number;
                number(self)
            }
        })*
    };
}

contents! {
    Request false |_| None, |_| None;
    PrePrepare false |m| Some(m.view), |m| Some(m.sequence_number);
    Prepare false |m| Some(m.view), |m| Some(m.sequence_number);
    Commit false |m| Some(m.view), |m| Some(m.sequence_number);
    Checkpoint true |_| None, |m| Some(m.sequence_number);
    ViewChange true |m| Some(m.view), |_| None;
    NewView true |m| Some(m.view), |_| None;
}

impl Message for PbftMessage {
    fn kind(&self) -> &'static str {
        match self {
            Self::Request(_) => "Request",
            Self::Reply(_) => "Reply",
            Self::PrePrepare(_) => "PrePrepare",
            Self::Prepare(_) => "Prepare",
            Self::Commit(_) => "Commit",
            Self::Checkpoint(_) => "Checkpoint",
            Self::StableCheckpoint(_) => "StableCheckpoint",
            Self::ViewChange(_) => "ViewChange",
            Self::NewView(_) => "NewView",
            Self::Status(_) => "Status",
            Self::Batch(_) => "Batch",
            Self::Fetch(_) => "Fetch",
            Self::Data(_) => "Data",
        }
    }

    fn view(&self) -> Option<ViewNumber> {
        match self {
            Self::Reply(message) => Some(message.view),
            Self::PrePrepare(message) => message.pre_prepare.content().view(),
            Self::Prepare(message) => message.content().view(),
            Self::Commit(message) => message.content().view(),
            Self::ViewChange(message) => message.content().view(),
            Self::NewView(message) => message.new_view.content().view(),
            Self::Status(message) => Some(message.view),
            Self::Request(_)
            | Self::Checkpoint(_)
            | Self::StableCheckpoint(_)
            | Self::Batch(_)
            | Self::Fetch(_)
            | Self::Data(_) => None,
        }
    }

    fn number(&self) -> Option<u64> {
        let number = match self {
            Self::Request(message) => return Some(message.content().timestamp),
            Self::Reply(message) => return Some(message.timestamp),
            Self::PrePrepare(message) => message.pre_prepare.content().sequence_number(),
            Self::Prepare(message) => message.content().sequence_number(),
            Self::Commit(message) => message.content().sequence_number(),
            Self::Checkpoint(message) => message.content().sequence_number(),
            Self::StableCheckpoint(message) => Some(message.checkpoint().sequence_number),
            Self::Status(message) => Some(message.executed),
            Self::Fetch(message) => Some(message.sequence_number),
            Self::Data(message) => Some(message.sequence_number),
            Self::ViewChange(_) | Self::NewView(_) | Self::Batch(_) => None,
        };
        number.map(|number| number.0)
    }
}
