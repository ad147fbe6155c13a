//! Checkpoints (VRR §5.1): what they are made of, when they are taken, how they become durable, and what of the
//! log they make superfluous.
//!
//! ```text
//!   op a multiple of the interval executed --> snapshot, nodes that the last checkpoint has not, Sealed
//!     --> Sealed durable: the log before it is dropped, all but KEPT_INTERVALS of it
//! ```
//!
//! A checkpoint is in force when its `Sealed` record is durable, and with it all its nodes, as they were issued
//! before. Until then the one before it is in force and the log reaches back to that. So a crash at any moment
//! leaves one whole checkpoint and the log after it.
//!
//! What the paper does not say: the client table is a part of the checkpoint. Without it a replica that starts
//! from the checkpoint would execute a request again that a client sent twice.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::config::{
    CHECKPOINT_GARBAGE_BYTES, CHECKPOINT_RECORD_BYTES, CHECKPOINTS_SERVED, KEPT_INTERVALS,
};
use super::durable::VrRecord;
use super::log::OpNumber;
use super::replica::{VrEffects, VrReplica};
use crate::state::{Assembly, NodePath, StateNode};
use crate::{Digest, ProtocolEvent, RecordId, Service, State, Zone};

/// The name of a checkpoint: equal names, equal checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// The checkpoint-number: the last operation that it reflects.
    pub op: OpNumber,
    /// The checksum of the log up to there.
    pub log_checksum: u64,
    /// How many operations the service had executed.
    pub order: u64,
    /// The chained digest of those operations and their results.
    pub executed: u64,
    /// The digest of the service's state.
    pub service: Digest,
    /// The digest of the client table.
    pub clients: Digest,
}

impl Checkpoint {
    /// Covers all of it.
    pub fn digest(&self) -> Digest {
        let numbers = [self.op.0, self.log_checksum, self.order, self.executed];
        let numbers = numbers.map(u64::to_le_bytes);
        let (service, clients) = (self.service.as_bytes(), self.clients.as_bytes());
        Digest::of_parts(
            "viewstorm vr checkpoint",
            &[numbers.as_flattened(), service, clients],
        )
    }

    /// The digest of one of its two trees.
    pub(super) fn root(&self, tree: Tree) -> Digest {
        match tree {
            Tree::Service => self.service,
            Tree::Clients => self.clients,
        }
    }
}

/// Which of a checkpoint's two states.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Tree {
    /// The service's.
    Service,
    /// The client table.
    Clients,
}

/// A checkpoint with all that it holds.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) checkpoint: Checkpoint,
    pub(super) service: State,
    pub(super) clients: State,
}

impl Snapshot {
    /// A node of one of its trees.
    pub(super) fn node(&self, tree: Tree, path: &NodePath) -> Option<StateNode> {
        match tree {
            Tree::Service => self.service.node(path),
            Tree::Clients => self.clients.node(path),
        }
    }

    fn bytes(&self) -> usize {
        self.service.bytes() + self.clients.bytes()
    }
}

/// What a replica writes of its checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CheckpointRecord {
    /// Nodes of the checkpoint to come. Those that are here already are not written again.
    Nodes(Vec<StateNode>),
    /// The checkpoint of that name is whole.
    Sealed(Checkpoint),
}

/// The checkpoints of a replica, and what lies in storage of them.
#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// Those in force until now, the latest last.
    sealed: VecDeque<Snapshot>,
    under_way: Option<UnderWay>,
    /// How many records the zone holds, and how many bytes of nodes are in them.
    records: u64,
    bytes: usize,
}

/// A checkpoint that is not durable yet.
#[derive(Debug)]
struct UnderWay {
    snapshot: Snapshot,
    sealed: RecordId,
    /// How many records the zone needs no more once it is.
    outdated: u64,
}

impl Checkpoints {
    /// What lies in storage, and the last checkpoint in it that is whole. Panics on records that no replica has
    /// written: storage tells a torn tail from damage, and damage must stop the replica.
    pub(super) fn recovered(records: Vec<VrRecord>) -> Self {
        let mut checkpoints = Self {
            records: records.len() as u64,
            ..Self::default()
        };
        let (mut nodes, mut last) = (BTreeMap::new(), None);
        for record in records {
            match record {
                VrRecord::Checkpoint(CheckpointRecord::Nodes(found)) => {
                    checkpoints.bytes += found.iter().map(StateNode::bytes).sum::<usize>();
                    nodes.extend(found.into_iter().map(|node| (node.digest(), node)));
                }
                VrRecord::Checkpoint(CheckpointRecord::Sealed(checkpoint)) => {
                    last = Some(checkpoint)
                }
                _ => panic!("another zone's record in the zone of checkpoints"),
            }
        }
        checkpoints.sealed.extend(last.map(|checkpoint| Snapshot {
            checkpoint,
            service: rebuild(checkpoint.service, &nodes),
            clients: rebuild(checkpoint.clients, &nodes),
        }));
        checkpoints
    }

    /// The one in force.
    pub(super) fn latest(&self) -> Option<&Snapshot> {
        self.sealed.back()
    }

    /// The one of that number, if its nodes can still be had.
    pub(super) fn served(&self, op: OpNumber) -> Option<&Snapshot> {
        self.sealed
            .iter()
            .find(|snapshot| snapshot.checkpoint.op == op)
    }

    /// Whether one is on its way to the disk.
    pub(super) fn is_busy(&self) -> bool {
        self.under_way.is_some()
    }

    /// Takes a checkpoint that lives in memory alone: it is in force at once.
    fn keep(&mut self, snapshot: Snapshot) {
        self.sealed.push_back(snapshot);
        if self.sealed.len() > CHECKPOINTS_SERVED {
            self.sealed.pop_front();
        }
    }

    /// Writes a checkpoint: nodes first, then its name.
    fn write(&mut self, snapshot: Snapshot, fx: &mut VrEffects) {
        let whole = snapshot.bytes();
        // Appending what has changed leaves outdated nodes behind. When they are more than the rest, all is
        // written anew: twice the writing, half the room.
        let crowded = self.bytes > 2 * whole + CHECKPOINT_GARBAGE_BYTES;
        let before = match self.latest() {
            Some(before) if !crowded => before.clone(),
            _ => Snapshot {
                service: State::default(),
                clients: State::default(),
                ..snapshot
            },
        };
        let outdated = if crowded { self.records } else { 0 };
        if crowded {
            self.bytes = 0;
        }
        let mut record = Vec::new();
        let mut room = CHECKPOINT_RECORD_BYTES;
        let service = snapshot.service.nodes_since(&before.service);
        let clients = snapshot.clients.nodes_since(&before.clients);
        for (_, node) in service.chain(clients) {
            let bytes = node.bytes();
            self.bytes += bytes;
            room = room.saturating_sub(bytes);
            record.push(node);
            if room == 0 {
                self.persist(CheckpointRecord::Nodes(std::mem::take(&mut record)), fx);
                room = CHECKPOINT_RECORD_BYTES;
            }
        }
        if !record.is_empty() {
            self.persist(CheckpointRecord::Nodes(record), fx);
        }
        let sealed = self.persist(CheckpointRecord::Sealed(snapshot.checkpoint), fx);
        self.under_way = Some(UnderWay {
            snapshot,
            sealed,
            outdated,
        });
    }

    fn persist(&mut self, record: CheckpointRecord, fx: &mut VrEffects) -> RecordId {
        self.records += 1;
        fx.persist(VrRecord::Checkpoint(record))
    }

    /// Learns that `record` and all before it are durable. Says whether a checkpoint came in force with it.
    pub(super) fn on_persisted(&mut self, record: RecordId, fx: &mut VrEffects) -> bool {
        let Some(under_way) = self
            .under_way
            .take_if(|under_way| under_way.sealed <= record)
        else {
            return false;
        };
        self.keep(under_way.snapshot);
        self.records -= under_way.outdated;
        fx.reclaim(Zone::Checkpoint, under_way.outdated);
        true
    }
}

/// The state with that digest, of nodes that were written.
fn rebuild(digest: Digest, nodes: &BTreeMap<Digest, StateNode>) -> State {
    let mut assembly = Assembly::new(State::default(), digest);
    while let Some((path, digest)) = assembly.first_wanted() {
        let node = nodes
            .get(&digest)
            .expect("a checkpoint is sealed when all its nodes are there");
        let taken = assembly.take(&path, node.clone());
        taken.expect("storage returns what was written");
    }
    assembly.state().expect("it was some replica's state")
}

impl<S: Service> VrReplica<S> {
    /// VRR §5.1: after every O operations. One at a time: while the disk has not got the one before, none is
    /// taken.
    pub(super) fn checkpoint_if_due(&mut self, op: OpNumber, fx: &mut VrEffects) {
        if !op.0.is_multiple_of(self.config.checkpoints.interval) || self.checkpoints.is_busy() {
            return;
        }
        // The next epoch's configuration is not durable yet. A checkpoint that stands for the reconfiguration would
        // let it be forgotten by a crash right now.
        if self.next_configuration.is_some() {
            return;
        }
        let log_checksum = self.log.checksum(op).expect("just executed");
        let snapshot = self.executor.snapshot(op, log_checksum);
        fx.note(ProtocolEvent::CheckpointTaken {
            op: op.0,
            digest: snapshot.checkpoint.digest(),
        });
        self.persist_checkpoint(snapshot, fx);
    }

    /// Writes a checkpoint, where there is a disk for the log after it.
    pub(super) fn persist_checkpoint(&mut self, snapshot: Snapshot, fx: &mut VrEffects) {
        if self.config.durability.keeps_log() {
            return self.checkpoints.write(snapshot, fx);
        }
        self.checkpoints.keep(snapshot);
        self.drop_log_prefix(fx);
    }

    /// A checkpoint is in force: what it stands for is dropped from the log, in memory and in storage, but for
    /// some that others may lack.
    pub(super) fn drop_log_prefix(&mut self, fx: &mut VrEffects) {
        let Some(snapshot) = self.checkpoints.latest() else {
            return;
        };
        let kept = self
            .config
            .checkpoints
            .interval
            .saturating_mul(KEPT_INTERVALS);
        let base = OpNumber(snapshot.checkpoint.op.0.saturating_sub(kept));
        self.log.drop_until(base.max(self.log.base()));
        let superfluous = self.durability.superfluous(base);
        fx.reclaim(Zone::Log, superfluous);
    }
}
