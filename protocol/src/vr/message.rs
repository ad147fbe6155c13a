//! What replicas and clients say, under the paper's names.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::checkpoint::{Checkpoint, Tree};
use super::configuration::Configuration;
use super::log::{LogSuffix, OpNumber};
use super::operation::Operation;
use super::reconfiguration::Refusal;
use crate::state::{NodePath, StateNode};
use crate::{ClientId, EpochNumber, Message, ReplicaId, ViewNumber};

/// ⟨REQUEST op, c, s⟩ (VRR §4.1): a client to the primary, or to all when it has waited too long. An
/// administrator's ⟨RECONFIGURATION e, c, s, new-config⟩ and ⟨CHECKEPOCH e, c, s⟩ (VRR §7) are requests like others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The epoch whose group the client speaks to.
    pub epoch: EpochNumber,
    /// Who asks.
    pub client: ClientId,
    /// Its number for the request, growing from 1.
    pub request_number: u64,
    /// What is to be executed.
    pub operation: Operation,
}

/// ⟨REPLY v, s, x⟩ (VRR §4.1): the primary to the client.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// The view that the sender is in: where to send the next request first.
    pub view: ViewNumber,
    /// The request that is answered.
    pub request_number: u64,
    /// The service's answer.
    pub result: Bytes,
    /// How many operations the service had executed, with this one.
    pub order: u64,
}

/// The answer to a request of a session that has ended: other sessions have taken its place in the client table, and
/// whether the request was executed before that nobody can tell any more. The client goes on with a new session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evicted {
    /// The view that the sender is in.
    pub view: ViewNumber,
    /// The request that is not answered.
    pub request_number: u64,
}

/// ⟨PREPARE v, m, n, k⟩ (VRR §4.1): the primary to the backups. Several operations travel in one under load
/// (VRR §6.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepare {
    /// The primary's view.
    pub view: ViewNumber,
    /// What the primary knows to be committed.
    pub commit_number: OpNumber,
    /// The entries to be prepared, and where they attach.
    pub suffix: LogSuffix,
}

/// ⟨PREPAREOK v, n, i⟩ (VRR §4.1): a backup to the primary. Everything up to `op_number` is in its log, durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PrepareOk {
    /// The view that the log belongs to.
    pub view: ViewNumber,
    /// Up to where it is durable.
    pub op_number: OpNumber,
}

/// ⟨COMMIT v, k⟩ (VRR §4.1): an idle primary to the backups, which answer with [`PrepareOk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// The primary's view.
    pub view: ViewNumber,
    /// What it knows to be committed.
    pub commit_number: OpNumber,
}

/// ⟨STARTVIEWCHANGE v, i⟩ (VRR §4.2 step 1): a replica that wants another primary, to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartViewChange {
    /// The view it asks for. Asking for a view is asking for every earlier one, too.
    pub view: ViewNumber,
    /// The view it is in. It came there with the consent of a quorum.
    pub entered: ViewNumber,
}

/// ⟨DOVIEWCHANGE v, l, v', n, k, i⟩ (VRR §4.2 step 2): to the primary of `view`. The op-number n is where
/// `suffix` ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DoViewChange {
    /// The view to be started. The sender takes part in no earlier one again, whatever happens to it.
    pub view: ViewNumber,
    /// The latest view in which the sender's status was normal.
    pub log_view: ViewNumber,
    /// What the sender knows to be committed.
    pub commit_number: OpNumber,
    /// The sender's log after its commit-number.
    pub suffix: LogSuffix,
}

/// ⟨STARTVIEW v, l, n, k⟩ (VRR §4.2 step 3): the new primary to all. The op-number n is where `suffix` ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartView {
    /// The view that has started.
    pub view: ViewNumber,
    /// What is committed.
    pub commit_number: OpNumber,
    /// The end of the view's log: all that is not committed, and some before it.
    pub suffix: LogSuffix,
}

/// ⟨GETSTATE v, n', i⟩ (VRR §5.2): to any other replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetState {
    /// The view whose log is wanted.
    pub view: ViewNumber,
    /// The last op that need not be sent.
    pub after: OpNumber,
}

/// ⟨NEWSTATE v, l, n, k⟩ (VRR §5.2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewState {
    /// The view that was asked for.
    pub view: ViewNumber,
    /// The end of the sender's log, if its status is normal in that view. Otherwise `suffix` holds committed
    /// entries alone.
    pub op_number: Option<OpNumber>,
    /// What the sender knows to be committed.
    pub commit_number: OpNumber,
    /// The entries asked for, or the first of them.
    pub suffix: LogSuffix,
}

/// ⟨RECOVERY i, x⟩ (VRR §4.3 step 1): a replica that has lost its state, to all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// x: tells this incarnation's recovery from all earlier ones.
    pub nonce: u64,
    /// The latest view that the sender remembers to have left another for; 0 if it remembers nothing. It works
    /// in no earlier one again, so the others move there.
    pub view: ViewNumber,
    /// What the sender has of the log (§5.3: its checkpoint): it need not be sent.
    pub commit_number: OpNumber,
}

/// ⟨RECOVERYRESPONSE v, x, l, n, k, j⟩ (VRR §4.3 step 2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveryResponse {
    /// The view in which the sender's status is normal.
    pub view: ViewNumber,
    /// The nonce of the [`Recovery`] that is answered.
    pub nonce: u64,
    /// From the primary of `view` alone: its log, as far as a message reaches back.
    pub log: Option<RecoveredLog>,
}

/// What a primary tells a recovering replica: l, n and k of VRR §4.3 step 2. The op-number n is where `suffix`
/// ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecoveredLog {
    /// What is committed.
    pub commit_number: OpNumber,
    /// The end of the view's log: all that is not committed, and some before it.
    pub suffix: LogSuffix,
}

/// ⟨STARTEPOCH e, n, old-config, new-config⟩ (VRR §7.1): an epoch has begun. To replicas that do not know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StartEpoch {
    /// All of it.
    pub configuration: Configuration,
}

/// ⟨EPOCHSTARTED e, i⟩ (VRR §7.1.1): a new member to those that are replaced. It has all that the epoch begins
/// with, durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochStarted {
    /// The view that the sender is in.
    pub view: ViewNumber,
}

/// ⟨NEWEPOCH e, v, new-config⟩ (VRR §7.4): to a client that speaks to an earlier group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEpoch {
    /// The epoch, and the view that the sender is in.
    pub view: ViewNumber,
    /// Its members, ascending.
    pub members: Vec<ReplicaId>,
}

/// An administrator's request is not taken up. (The paper's primary "discards the request".)
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The view that the sender is in.
    pub view: ViewNumber,
    /// The request.
    pub request_number: u64,
    /// Why.
    pub refusal: Refusal,
}

/// The answer to a `GetState` that asks for entries which the sender has dropped: its latest checkpoint stands for
/// them. Also the answer to a [`GetPages`] of a checkpoint that the sender has no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCheckpoint {
    /// The view that the sender is in: what the checkpoint reflects is committed there.
    pub view: ViewNumber,
    /// The checkpoint's name.
    pub checkpoint: Checkpoint,
}

/// Asks for nodes of a checkpoint's tree (VRR §5.2: "the recovering replica ... uses the Merkle tree to determine what
/// pages of the state it needs").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetPages {
    /// The latest view that the sender knows of.
    pub view: ViewNumber,
    /// Which checkpoint.
    pub checkpoint: OpNumber,
    /// Which of its trees.
    pub tree: Tree,
    /// Which nodes.
    pub paths: Vec<NodePath>,
}

/// Nodes of a checkpoint's tree: those that were asked for, or the first of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// The view that the sender is in.
    pub view: ViewNumber,
    /// Which checkpoint.
    pub checkpoint: OpNumber,
    /// Which of its trees.
    pub tree: Tree,
    /// The nodes, and where they are.
    pub nodes: Vec<(NodePath, StateNode)>,
}

/// A client that settles for a past state reads at any replica (VRR §6.3). The answer is a [`Reply`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Read {
    /// Who asks.
    pub client: ClientId,
    /// Its number for the request.
    pub request_number: u64,
    /// What is to be read.
    pub operation: Bytes,
    /// The largest `order` that the client was told: the answer must reflect that much.
    pub after: u64,
}

/// The primary asks a backup for a lease (VRR §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GetLease {
    /// The primary's view.
    pub view: ViewNumber,
    /// When it asks, on its own clock, in nanoseconds: that is when the lease begins.
    pub sent: u64,
}

/// A backup grants a lease: it votes in no later view until that is over (VRR §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The view whose primary holds it.
    pub view: ViewNumber,
    /// [`GetLease::sent`] of the question.
    pub sent: u64,
}

/// What replicas and clients say to one another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each variant is documented at its type")]
pub enum VrMessage {
    Request(Request),
    Reply(Reply),
    Evicted(Evicted),
    Prepare(Prepare),
    PrepareOk(PrepareOk),
    Commit(Commit),
    StartViewChange(StartViewChange),
    DoViewChange(DoViewChange),
    StartView(StartView),
    GetState(GetState),
    NewState(NewState),
    Recovery(Recovery),
    RecoveryResponse(RecoveryResponse),
    StartEpoch(StartEpoch),
    EpochStarted(EpochStarted),
    NewEpoch(NewEpoch),
    Refused(Refused),
    NewCheckpoint(NewCheckpoint),
    GetPages(GetPages),
    Pages(Pages),
    Read(Read),
    GetLease(GetLease),
    Lease(Lease),
}

impl Message for VrMessage {
    fn kind(&self) -> &'static str {
        match self {
            Self::Request(request) => request.operation.kind(),
            Self::Reply(_) => "Reply",
            Self::Evicted(_) => "Evicted",
            Self::Prepare(_) => "Prepare",
            Self::PrepareOk(_) => "PrepareOk",
            Self::Commit(_) => "Commit",
            Self::StartViewChange(_) => "StartViewChange",
            Self::DoViewChange(_) => "DoViewChange",
            Self::StartView(_) => "StartView",
            Self::GetState(_) => "GetState",
            Self::NewState(_) => "NewState",
            Self::Recovery(_) => "Recovery",
            Self::RecoveryResponse(_) => "RecoveryResponse",
            Self::StartEpoch(_) => "StartEpoch",
            Self::EpochStarted(_) => "EpochStarted",
            Self::NewEpoch(_) => "NewEpoch",
            Self::Refused(_) => "Refused",
            Self::NewCheckpoint(_) => "NewCheckpoint",
            Self::GetPages(_) => "GetPages",
            Self::Pages(_) => "Pages",
            Self::Read(_) => "Read",
            Self::GetLease(_) => "GetLease",
            Self::Lease(_) => "Lease",
        }
    }

    fn view(&self) -> Option<ViewNumber> {
        let view = match self {
            Self::Request(_) | Self::Read(_) => return None,
            Self::Reply(message) => message.view,
            Self::Evicted(message) => message.view,
            Self::Prepare(message) => message.view,
            Self::PrepareOk(message) => message.view,
            Self::Commit(message) => message.view,
            Self::StartViewChange(message) => message.view,
            Self::DoViewChange(message) => message.view,
            Self::StartView(message) => message.view,
            Self::GetState(message) => message.view,
            Self::NewState(message) => message.view,
            Self::Recovery(message) => message.view,
            Self::RecoveryResponse(message) => message.view,
            Self::StartEpoch(message) => message.configuration.first_view(),
            Self::EpochStarted(message) => message.view,
            Self::NewEpoch(message) => message.view,
            Self::Refused(message) => message.view,
            Self::NewCheckpoint(message) => message.view,
            Self::GetPages(message) => message.view,
            Self::Pages(message) => message.view,
            Self::GetLease(message) => message.view,
            Self::Lease(message) => message.view,
        };
        Some(view)
    }

    fn number(&self) -> Option<u64> {
        match self {
            Self::Request(message) => Some(message.request_number),
            Self::Reply(message) => Some(message.request_number),
            Self::Evicted(message) => Some(message.request_number),
            Self::Prepare(message) => Some(message.suffix.op_number().0),
            Self::PrepareOk(message) => Some(message.op_number.0),
            Self::Commit(message) => Some(message.commit_number.0),
            Self::Read(message) => Some(message.request_number),
            Self::StartViewChange(_) | Self::GetLease(_) | Self::Lease(_) => None,
            Self::DoViewChange(message) => Some(message.suffix.op_number().0),
            Self::StartView(message) => Some(message.suffix.op_number().0),
            Self::GetState(message) => Some(message.after.0),
            Self::NewState(message) => Some(message.suffix.op_number().0),
            Self::Recovery(message) => Some(message.commit_number.0),
            Self::RecoveryResponse(message) => {
                let log = message.log.as_ref();
                log.map(|log| log.suffix.op_number().0)
            }
            Self::StartEpoch(message) => Some(message.configuration.start.0),
            Self::EpochStarted(_) | Self::NewEpoch(_) => None,
            Self::Refused(message) => Some(message.request_number),
            Self::NewCheckpoint(message) => Some(message.checkpoint.op.0),
            Self::GetPages(message) => Some(message.checkpoint.0),
            Self::Pages(message) => Some(message.checkpoint.0),
        }
    }
}

/// Makes a message of its content.
macro_rules! from_content {
    ($($name:ident),*) => {
        $(impl From<$name> for VrMessage {
            fn from(message: $name) -> Self {
                Self::$name(message)
            }
        })*
    };
}

from_content!(
    Request,
    Reply,
    Evicted,
    Prepare,
    PrepareOk,
    Commit,
    StartViewChange,
    DoViewChange,
    StartView,
    GetState,
    NewState,
    Recovery,
    RecoveryResponse,
    StartEpoch,
    EpochStarted,
    NewEpoch,
    Refused,
    NewCheckpoint,
    GetPages,
    Pages,
    Read,
    GetLease,
    Lease
);
