//! A read-only view of a replica, for those who check theorems about it.
//!
//! Every accessor is cheap: a checker calls most of them after every step.

use crate::{ClientId, ReplicaId, Status, ViewNumber};

/// What may be asked of a replica between two steps. All of it is in the papers' terms and none of it is
/// particular to one protocol.
pub trait Observe {
    /// What it does now.
    fn status(&self) -> Status;

    /// The view it does it in.
    fn view(&self) -> ViewNumber;

    /// The latest view in which its status was normal: its log is that view's.
    fn log_view(&self) -> ViewNumber;

    /// Whether it is the view's primary.
    fn is_primary(&self) -> bool;

    /// The number of the last operation in its log.
    fn op_number(&self) -> u64;

    /// The number of the last operation that it knows to be committed.
    fn commit_number(&self) -> u64;

    /// The digest of the log's entry at `op`, of all that makes the entry what it is but the view; none if
    /// the log does not hold it (it never did, or a checkpoint took its place).
    fn entry_digest(&self, op: u64) -> Option<u64>;

    /// The number of the session's last executed request, as the client table has it.
    fn latest_request(&self, client: ClientId) -> Option<u64>;

    /// The group that committed `op`, which the replica has just learned; none: all replicas there are.
    fn group(&self, _op: u64) -> Option<&[ReplicaId]> {
        None
    }

    /// Whether an operation is committed only once its record is durable on a quorum. Protocols that keep
    /// their log in memory alone answer no.
    fn commits_from_disk(&self) -> bool;
}
