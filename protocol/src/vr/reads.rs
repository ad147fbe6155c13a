//! Reads outside the log (VRR §6.3): by the primary that holds leases, or by any replica for clients that settle
//! for a past state.
//!
//! A read at a backup is causal: the client says how much it has seen, and is answered from a state that
//! reflects at least that. The paper counts op-numbers; here it is the `order` that every reply carries, which
//! grows with the op-number and is the same on all replicas.

use std::collections::BTreeMap;

use super::config::READS_WAITING_MAX;
use super::message::{Read, Reply, VrMessage};
use super::options::Reads;
use super::replica::{Phase, VrEffects, VrReplica, drop_message};
use crate::{Address, ClientId, Service};

/// Reads that ask for more than this replica has executed, by how much they ask for.
#[derive(Debug, Default)]
pub(super) struct WaitingReads {
    waiting: BTreeMap<(u64, ClientId), Read>,
}

impl WaitingReads {
    /// The replica leaves its view: whoever waits asks another.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Takes one that a replica can answer which has executed `order` operations.
    fn take_ready(&mut self, order: u64) -> Option<Read> {
        let first = self.waiting.first_entry()?;
        (first.key().0 <= order).then(|| first.remove())
    }
}

impl<S: Service> VrReplica<S> {
    /// A client reads here, whoever the primary is.
    pub(super) fn on_read(&mut self, from: ClientId, read: Read, fx: &mut VrEffects) {
        let drop = |fx, reason| drop_message(fx, "Read", reason);
        if read.client != from {
            return drop(fx, "speaks for another client");
        }
        if self.config.options.reads != Reads::Backup {
            return drop(fx, "reads are not answered outside the log");
        }
        if !self.executor.is_read(&read.operation) {
            return drop(fx, "it may change something");
        }
        if !matches!(self.phase, Phase::Primary(_) | Phase::Backup(_)) {
            return drop(fx, "not in normal status");
        }
        if read.after <= self.executor.order() {
            return self.answer_read(from, read.request_number, &read.operation, fx);
        }
        if self.waiting_reads.waiting.len() >= READS_WAITING_MAX {
            return drop(fx, "too many wait");
        }
        self.waiting_reads.waiting.insert((read.after, from), read);
    }

    /// More was executed: some need wait no longer.
    pub(super) fn answer_waiting_reads(&mut self, fx: &mut VrEffects) {
        while let Some(read) = self.waiting_reads.take_ready(self.executor.order()) {
            self.answer_read(read.client, read.request_number, &read.operation, fx);
        }
    }

    /// Answers from what is executed here. The client table does not change: a read may be answered twice.
    pub(super) fn answer_read(
        &self,
        client: ClientId,
        request_number: u64,
        operation: &[u8],
        fx: &mut VrEffects,
    ) {
        let reply = Reply {
            view: self.view,
            request_number,
            result: self.executor.read(operation),
            order: self.executor.order(),
        };
        fx.send(Address::Client(client), VrMessage::Reply(reply), None);
    }
}
