//! A read-only view of a replica, for invariants and traces.

use super::checkpoint::Checkpoint;
use super::client_table::ClientTable;
use super::config::VrConfig;
use super::configuration::Configuration;
use super::log::{LogEntry, OpNumber};
use super::replica::{Phase, VrReplica};
use crate::{ClientId, Observe, ReplicaId, State, Status, ViewNumber};

/// The reason in [`Dropped`](crate::ProtocolEvent::Dropped) when a message contradicts what this replica knows to
/// be committed or prepared in the same view. No honest run has it: whoever sees it has found a bug.
pub const DIVERGED: &str = "diverged";

impl<S> VrReplica<S> {
    /// What it was told at its start.
    pub fn config(&self) -> &VrConfig {
        &self.config
    }

    /// The group of its epoch.
    pub fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// What it is doing.
    pub fn status(&self) -> Status {
        match self.phase {
            Phase::Starting(_) | Phase::Recovering(_) => Status::Recovering,
            Phase::Primary(_) | Phase::Backup(_) => Status::Normal,
            Phase::ViewChange(_) => Status::ViewChange,
            Phase::StateTransfer(_) if self.log_view.epoch == self.view.epoch => {
                Status::StateTransfer
            }
            Phase::StateTransfer(_) | Phase::Transition(_) | Phase::Replaced(_) => {
                Status::Transitioning
            }
            Phase::Spare => Status::Spare,
            Phase::Retired => Status::Retired,
        }
    }

    /// Whether it is the primary of its view, in normal status.
    pub fn is_primary(&self) -> bool {
        matches!(self.phase, Phase::Primary(_))
    }

    /// The view it is in, or is moving to.
    pub fn view(&self) -> ViewNumber {
        self.view
    }

    /// The latest view in which its status was normal: the view that its log belongs to.
    pub fn log_view(&self) -> ViewNumber {
        self.log_view
    }

    /// The op-number of the last entry of its log.
    pub fn op_number(&self) -> OpNumber {
        self.log.op_number()
    }

    /// Everything up to here is committed, and executed here.
    pub fn commit_number(&self) -> OpNumber {
        self.commit_number
    }

    /// The name of its latest durable checkpoint, if it has taken any.
    pub fn checkpoint(&self) -> Option<&Checkpoint> {
        self.checkpoints
            .latest()
            .map(|snapshot| &snapshot.checkpoint)
    }

    /// The last op that is not in its log any more.
    pub fn log_base(&self) -> OpNumber {
        self.log.base()
    }

    /// The entry at `op`.
    pub fn entry(&self, op: OpNumber) -> Option<&LogEntry> {
        self.log.entry(op)
    }

    /// The checksum of the log up to `op`: equal checksums, equal logs.
    pub fn log_digest(&self, op: OpNumber) -> Option<u64> {
        self.log.checksum(op)
    }

    /// The chained digest of all operations executed and their results.
    pub fn state_digest(&self) -> u64 {
        self.executor.digest()
    }

    /// How many operations the service has executed.
    pub fn order(&self) -> u64 {
        self.executor.order()
    }

    /// Each client's latest executed request.
    pub fn client_table(&self) -> &ClientTable {
        self.executor.table()
    }

    /// The service's state.
    pub fn state(&self) -> &State {
        self.executor.state()
    }
}

impl<S> Observe for VrReplica<S> {
    fn status(&self) -> Status {
        self.status()
    }

    fn view(&self) -> ViewNumber {
        self.view
    }

    fn log_view(&self) -> ViewNumber {
        self.log_view
    }

    fn is_primary(&self) -> bool {
        self.is_primary()
    }

    fn op_number(&self) -> u64 {
        self.log.op_number().0
    }

    fn commit_number(&self) -> u64 {
        self.commit_number.0
    }

    fn entry_digest(&self, op: u64) -> Option<u64> {
        self.log.entry(OpNumber(op)).map(LogEntry::digest)
    }

    fn latest_request(&self, client: ClientId) -> Option<u64> {
        let entry = self.executor.table().get(client);
        entry.map(|entry| entry.request_number)
    }

    fn group(&self, op: u64) -> Option<&[ReplicaId]> {
        let configuration = &self.configuration;
        Some(match op <= configuration.start.0 {
            true => &configuration.old_members,
            false => &configuration.members,
        })
    }

    fn commits_from_disk(&self) -> bool {
        self.config.durability.keeps_log()
    }
}
