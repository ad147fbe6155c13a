//! Executes committed operations, each at most once, and keeps the digest that all replicas must share. What it
//! has come to is what a checkpoint holds, and nothing else.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::checkpoint::{Checkpoint, Snapshot};
use super::client_table::{ClientEntry, ClientTable};
use super::log::{LogEntry, OpNumber, hash_words};
use super::operation::Operation;
use crate::{Service, State};

/// The service, its state, and what it has answered.
#[derive(Debug)]
pub(super) struct Executor<S> {
    service: S,
    state: State,
    table: ClientTable,
    order: u64,
    digest: u64,
}

impl<S: Service> Executor<S> {
    /// Nothing is executed yet. The client table has room for so many.
    pub(super) fn new(service: S, clients_max: usize) -> Self {
        Self {
            service,
            state: State::default(),
            table: ClientTable::new(clients_max),
            order: 0,
            digest: 0,
        }
    }

    /// Executes a committed operation, unless the client's table entry says that it was executed before, or the
    /// table that the session has ended.
    pub(super) fn execute(&mut self, entry: &LogEntry) -> Option<ClientEntry> {
        let last = self.table.get(entry.client);
        if last.is_some_and(|last| entry.request_number <= last.request_number) {
            return None;
        }
        if self.table.has_ended(entry.client) {
            return None;
        }
        // VRR §7.1: "executing the request does not cause an up-call to the service code".
        let Operation::Service(operation) = &entry.operation else {
            let executed = ClientEntry {
                request_number: entry.request_number,
                result: Bytes::new(),
                order: self.order,
            };
            self.table.record(entry.client, executed.clone());
            return Some(executed);
        };
        let result = self.service.execute(&mut self.state, operation);
        self.order += 1;
        self.digest = hash_words(
            &[
                entry.op.0,
                u64::from(entry.client.endpoint),
                entry.client.session,
                entry.request_number,
                xxh3_64_with_seed(operation, 0),
                xxh3_64_with_seed(&result, 0),
            ],
            self.digest,
        );
        let executed = ClientEntry {
            request_number: entry.request_number,
            result,
            order: self.order,
        };
        self.table.record(entry.client, executed.clone());
        Some(executed)
    }
}

impl<S: Service> Executor<S> {
    /// Whether the service says that the operation changes nothing.
    pub(super) fn is_read(&self, operation: &[u8]) -> bool {
        self.service.is_read(operation)
    }

    /// The answer to a read, from what is executed. It runs on a copy, which costs nothing: should it change
    /// something after all, nobody will know.
    pub(super) fn read(&self, operation: &[u8]) -> Bytes {
        self.service.execute(&mut self.state.clone(), operation)
    }
}

impl<S> Executor<S> {
    /// All of it, as it is after the operation at `op`; `log_checksum` is the log's up to there.
    pub(super) fn snapshot(&mut self, op: OpNumber, log_checksum: u64) -> Snapshot {
        let clients = self.table.rows().snapshot();
        let checkpoint = Checkpoint {
            op,
            log_checksum,
            order: self.order,
            executed: self.digest,
            service: self.state.digest(),
            clients: clients.digest(),
        };
        Snapshot {
            checkpoint,
            service: self.state.snapshot(),
            clients,
        }
    }

    /// Puts a checkpoint in the place of everything. False, and nothing changes, if its client table is none.
    pub(super) fn restore(&mut self, snapshot: &Snapshot) -> bool {
        let rows = snapshot.clients.snapshot();
        let Some(table) = ClientTable::from_rows(rows, self.table.most()) else {
            return false;
        };
        self.table = table;
        self.state = snapshot.service.snapshot();
        self.order = snapshot.checkpoint.order;
        self.digest = snapshot.checkpoint.executed;
        true
    }

    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn table(&self) -> &ClientTable {
        &self.table
    }

    /// The client table's rows as they are now.
    pub(super) fn table_rows(&mut self) -> State {
        self.table.rows().snapshot()
    }

    pub(super) fn order(&self) -> u64 {
        self.order
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }
}
