//! The client's half (VRR §4.1): one request at a time, to the primary it believes in, then to all. And the
//! administrator's (§7): a reconfiguration, and then a `CheckEpoch` that shows that the new group works.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::config::OPERATION_BYTES_MAX;
use super::configuration::Configuration;
use super::message::{NewEpoch, Read, Refused, Reply, Request, VrMessage};
use super::operation::Operation;
use crate::{
    Client, ClientEffects, ClientId, Completion, EpochNumber, Instant, ReplicaId, ViewNumber,
};

/// How patient a client is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct VrClientTimeouts {
    /// A request that is unanswered for this long goes to all replicas, again and again.
    pub resend: Duration,
}

impl Default for VrClientTimeouts {
    fn default() -> Self {
        Self {
            resend: Duration::from_millis(100),
        }
    }
}

/// One client session.
#[derive(Debug)]
pub struct VrClient {
    id: ClientId,
    configuration: Configuration,
    /// All replicas that there are. The paper's client finds a group that it has lost by "an out-of-band mechanism"
    /// (VRR §7.4): this one asks around.
    directory: Vec<ReplicaId>,
    timeouts: VrClientTimeouts,
    /// Steers where a request goes first and nothing else: a replica that lives in a view of its own must not
    /// make the client deaf to the others.
    view: ViewNumber,
    request_number: u64,
    outstanding: Option<Outstanding>,
    backup_reads: Option<BackupReads>,
}

/// How a client reads that settles for a past state (VRR §6.3).
#[derive(Debug)]
struct BackupReads {
    /// Tells reads from other operations.
    is_read: fn(&[u8]) -> bool,
    /// The largest `order` that it was told: it is never shown less.
    seen: u64,
    /// Counts the replicas that it turned to, so that they take turns when one keeps silent.
    turn: usize,
}

/// The request that waits for its answer.
#[derive(Debug)]
struct Outstanding {
    operation: Operation,
    /// Whether any replica may answer it.
    is_read: bool,
    resend_at: Instant,
}

impl VrClient {
    /// A new session with the group `replicas`, ascending.
    pub fn new(id: ClientId, replicas: Vec<ReplicaId>, timeouts: VrClientTimeouts) -> Self {
        assert!(!replicas.is_empty(), "a group has at least one member");
        Self {
            id,
            directory: replicas.clone(),
            configuration: Configuration::first(replicas),
            timeouts,
            view: ViewNumber::new(0),
            request_number: 0,
            outstanding: None,
            backup_reads: None,
        }
    }

    /// It settles for a past state when it reads, never an earlier one than it has seen. Sessions spread over the
    /// replicas and stay where they are as long as they are answered.
    #[must_use]
    pub fn reading_at_backups(mut self, is_read: fn(&[u8]) -> bool) -> Self {
        let turn = (self.id.session % self.configuration.members.len() as u64) as usize;
        self.backup_reads = Some(BackupReads {
            is_read,
            seen: 0,
            turn,
        });
        self
    }

    /// The same, and these replicas exist beside the group.
    #[must_use]
    pub fn with_spares(mut self, spares: &[ReplicaId]) -> Self {
        self.directory.extend_from_slice(spares);
        self.directory.sort_unstable();
        self
    }

    /// The epoch whose group it speaks to.
    pub fn epoch(&self) -> EpochNumber {
        self.configuration.epoch
    }

    /// The number of the latest request.
    pub fn request_number(&self) -> u64 {
        self.request_number
    }

    /// The view that the latest answer came from.
    pub fn view(&self) -> ViewNumber {
        self.view
    }

    /// The outstanding read, to the replica whose turn it is.
    fn read(&self, operation: &Operation) -> Option<(ReplicaId, VrMessage)> {
        let (Some(reads), Operation::Service(operation)) = (&self.backup_reads, operation) else {
            return None;
        };
        let members = &self.configuration.members;
        let read = Read {
            client: self.id,
            request_number: self.request_number,
            operation: operation.clone(),
            after: reads.seen,
        };
        Some((members[reads.turn % members.len()], read.into()))
    }

    fn request(&self, operation: &Operation) -> VrMessage {
        VrMessage::Request(Request {
            epoch: self.configuration.epoch,
            client: self.id,
            request_number: self.request_number,
            operation: operation.clone(),
        })
    }

    fn start(
        &mut self,
        now: Instant,
        operation: Operation,
        effects: &mut ClientEffects<VrMessage>,
    ) {
        assert!(self.outstanding.is_none(), "one request at a time");
        assert!(
            operation.size() <= OPERATION_BYTES_MAX,
            "no replica takes an operation of {} bytes",
            operation.size()
        );
        self.request_number += 1;
        let is_read = match (&self.backup_reads, &operation) {
            (Some(reads), Operation::Service(operation)) => (reads.is_read)(operation),
            _ => false,
        };
        let send = match is_read {
            true => self.read(&operation),
            false => Some((self.primary(), self.request(&operation))),
        };
        effects.sends.extend(send);
        self.outstanding = Some(Outstanding {
            operation,
            is_read,
            resend_at: now + self.timeouts.resend,
        });
    }

    /// The primary it believes in.
    fn primary(&self) -> ReplicaId {
        self.configuration.members[self.configuration.primary(self.view)]
    }

    fn on_reply(&mut self, now: Instant, reply: Reply, effects: &mut ClientEffects<VrMessage>) {
        if reply.request_number != self.request_number {
            return; // An answer to an earlier request.
        }
        let Some(outstanding) = self.outstanding.take() else {
            return; // An answer once more.
        };
        // Only a primary, which has a quorum, says where the primary is.
        if reply.view.epoch == self.configuration.epoch && !outstanding.is_read {
            self.view = reply.view;
        }
        if let Some(reads) = &mut self.backup_reads {
            reads.seen = reads.seen.max(reply.order);
        }
        match outstanding.operation {
            Operation::Service(_) => {
                effects.completion = Some(Completion {
                    result: reply.result,
                    order: reply.order,
                });
            }
            // VRR §7.3: the old group may be switched off only once the new one works, which CHECKEPOCH shows.
            Operation::Reconfiguration(_) => self.start(now, Operation::CheckEpoch, effects),
            Operation::CheckEpoch => effects.reconfigured = Some(Ok(reply.view.epoch)),
        }
    }

    /// VRR §7.4: the group has moved on.
    fn on_new_epoch(
        &mut self,
        now: Instant,
        message: NewEpoch,
        effects: &mut ClientEffects<VrMessage>,
    ) {
        let (view, members) = (message.view, message.members);
        let is_sound = Configuration::first(members.clone()).is_sound(&self.directory);
        if view.epoch <= self.configuration.epoch || !is_sound {
            return;
        }
        self.configuration = Configuration {
            epoch: view.epoch,
            ..Configuration::first(members)
        };
        self.view = view;
        let primary = self.primary();
        if let Some(outstanding) = &mut self.outstanding {
            outstanding.resend_at = now + self.timeouts.resend;
            let operation = outstanding.operation.clone();
            effects.sends.push((primary, self.request(&operation)));
        }
    }

    /// What only a later attempt can change is asked again when its time comes.
    fn on_refused(&mut self, refused: Refused, effects: &mut ClientEffects<VrMessage>) {
        let is_current = refused.request_number == self.request_number;
        if is_current && refused.refusal.is_final() && self.outstanding.take().is_some() {
            effects.reconfigured = Some(Err(refused.refusal.to_string()));
        }
    }
}

impl Client for VrClient {
    type Message = VrMessage;

    fn invoke(&mut self, now: Instant, operation: Bytes, effects: &mut ClientEffects<VrMessage>) {
        self.start(now, operation.into(), effects);
    }

    fn reconfigure(
        &mut self,
        now: Instant,
        members: Vec<ReplicaId>,
        effects: &mut ClientEffects<VrMessage>,
    ) {
        self.start(now, Operation::Reconfiguration(members), effects);
    }

    fn receive(
        &mut self,
        now: Instant,
        from: ReplicaId,
        message: VrMessage,
        effects: &mut ClientEffects<VrMessage>,
    ) {
        if !self.directory.contains(&from) {
            return;
        }
        match message {
            VrMessage::Reply(reply) => self.on_reply(now, reply, effects),
            VrMessage::NewEpoch(message) => self.on_new_epoch(now, message, effects),
            VrMessage::Refused(refused) => self.on_refused(refused, effects),
            // The session has ended. Whether the request was executed nobody knows: it never completes.
            VrMessage::Evicted(evicted) if evicted.request_number == self.request_number => {
                self.outstanding = None;
            }
            _ => {}
        }
    }

    fn timeout(&mut self, now: Instant, effects: &mut ClientEffects<VrMessage>) {
        let Some(outstanding) = &mut self.outstanding else {
            return;
        };
        if now < outstanding.resend_at {
            return;
        }
        outstanding.resend_at = now + self.timeouts.resend;
        let operation = outstanding.operation.clone();
        if outstanding.is_read
            && let Some(reads) = &mut self.backup_reads
        {
            // It may be cut off, or far behind.
            reads.turn += 1;
            let send = self.read(&operation);
            return effects.sends.extend(send);
        }
        // VRR §4.1: "If a client doesn't receive a timely response to a request, it re-sends the request to
        // all replicas."
        for replica in &self.directory {
            effects.sends.push((*replica, self.request(&operation)));
        }
    }

    fn next_timeout(&self) -> Option<Instant> {
        self.outstanding.as_ref().map(|request| request.resend_at)
    }
}
