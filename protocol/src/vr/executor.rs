//! Executes committed operations, each at most once, and keeps the digest that all replicas must share.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::client_table::{ClientEntry, ClientTable};
use super::log::{LogEntry, hash_words};
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
    pub(super) fn new(service: S) -> Self {
        Self {
            service,
            state: State::default(),
            table: ClientTable::default(),
            order: 0,
            digest: 0,
        }
    }

    /// Executes a committed operation, unless the client's table entry says that it was executed before.
    pub(super) fn execute(&mut self, entry: &LogEntry) -> Option<ClientEntry> {
        let last = self.table.get(entry.client);
        if last.is_some_and(|last| entry.request_number <= last.request_number) {
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

impl<S> Executor<S> {
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    pub(super) fn table(&self) -> &ClientTable {
        &self.table
    }

    pub(super) fn order(&self) -> u64 {
        self.order
    }

    pub(super) fn digest(&self) -> u64 {
        self.digest
    }
}
