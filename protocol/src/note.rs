//! The one window to the outside: what a core tells traces, triggers, invariants and reports.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::{ClientId, Digest, ViewNumber};

/// What a replica is doing, in the terms of VRR §4.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Processing requests, as the view's primary or as a backup.
    Normal,
    /// Electing the view's primary.
    ViewChange,
    /// Fetching what it missed; neither acknowledges nor votes with it.
    StateTransfer,
    /// Between two epochs: fetching what the new one begins with, or replaced and serving those who fetch
    /// (VRR §7.1).
    Transitioning,
    /// No member of the group: it waits to be made one.
    Spare,
    /// Replaced, and not needed any more (VRR §7.1.2): whoever drives it ends its process.
    Retired,
    /// Restarted without its state; takes part in nothing (VRR §4.3).
    Recovering,
}

/// Something that happened inside a replica.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum ProtocolEvent {
    /// The replica's status or view is now this. The first note of an incarnation is one of these.
    StatusChanged {
        /// What it does now.
        status: Status,
        /// The view it does it in.
        view: ViewNumber,
        /// Whether it is that view's primary.
        primary: bool,
    },
    /// It suspects the primary and asks for `view`.
    ViewChangeSuspected {
        /// The view asked for.
        view: ViewNumber,
    },
    /// It knows that every operation up to `op` is committed.
    Committed {
        /// The commit-number.
        op: u64,
        /// The view in which it learned so.
        view: ViewNumber,
    },
    /// It executed an operation.
    Executed {
        /// The operation's place in the log.
        op: u64,
        /// How many operations the service has executed, with this one.
        order: u64,
        /// Whose operation it was.
        client: ClientId,
        /// The client's number for it.
        request: u64,
        /// The chained digest of all operations and results so far: equal on all correct replicas.
        digest: u64,
    },
    /// It cannot go on by itself, and waiting alone will not help.
    Stuck {
        /// Why.
        reason: Cow<'static, str>,
    },
    /// It took a checkpoint (VRR §5.1); it is durable a while later.
    CheckpointTaken {
        /// The checkpoint-number: the last operation that it reflects.
        op: u64,
        /// The digest of the service's state, the client table and the log up to there: equal on all correct
        /// replicas.
        digest: Digest,
    },
    /// It fetched another's checkpoint and took it over, with all before it (VRR §5.2).
    CheckpointInstalled {
        /// The checkpoint-number.
        op: u64,
        /// As in [`CheckpointTaken`](Self::CheckpointTaken).
        digest: Digest,
    },
    /// It threw away a message or a request; the reason says why.
    Dropped {
        /// The message's kind.
        kind: Cow<'static, str>,
        /// Why.
        reason: Cow<'static, str>,
    },
}
