//! The client table (VRR §4): each client's latest executed request and its result.
//!
//! It is committed data only. Requests that are merely prepared are recognised elsewhere, so a view change
//! that drops them has nothing to undo here (tapir#16).

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ClientId;

/// A client's latest executed request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientEntry {
    /// The client's number for it.
    pub request_number: u64,
    /// The service's answer.
    pub result: Bytes,
    /// How many operations the service had executed, with this one.
    pub order: u64,
}

/// Every client's latest executed request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClientTable {
    entries: BTreeMap<ClientId, ClientEntry>,
}

impl ClientTable {
    /// The client's latest executed request, if it has any.
    pub fn get(&self, client: ClientId) -> Option<&ClientEntry> {
        self.entries.get(&client)
    }

    /// All clients, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&ClientId, &ClientEntry)> {
        self.entries.iter()
    }

    /// How many clients there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no client has had a request executed.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn record(&mut self, client: ClientId, entry: ClientEntry) {
        self.entries.insert(client, entry);
    }
}
