//! The client table (VRR §4): each client's latest executed request and its result.
//!
//! It is committed data only. Requests that are merely prepared are recognised elsewhere, so a view change
//! that drops them has nothing to undo here (tapir#16).
//!
//! It is bounded, of which VRR says nothing: a new session takes the place of the one whose latest request was
//! executed the longest ago. All replicas execute the same requests in the same order, so all evict the same
//! session at the same op. The evicted session must not be mistaken for a new one, or a late copy of one of its
//! requests would be executed again: of each endpoint the table remembers the highest session that it evicted,
//! and knows every session up to that which it does not hold as ended. A request of an ended session is not
//! executed and is answered with [`Evicted`](super::Evicted) (TigerBeetle's eviction message); its client
//! goes on with a new session. Sessions of an endpoint are numbered in the order of their opening, so those
//! that are ended without having been evicted are few and old.
//!
//! The table is part of every checkpoint: its rows are a [`State`] of their own, brought up to date when a
//! checkpoint is taken and not before, so that an operation costs no more for it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::{ClientId, State};

/// What tells rows of clients from rows of endpoints.
const CLIENT: u8 = 0;
const ENDPOINT: u8 = 1;

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
#[derive(Clone, Debug)]
pub struct ClientTable {
    entries: BTreeMap<ClientId, ClientEntry>,
    /// The clients by the order of their latest requests.
    by_order: BTreeSet<(u64, ClientId)>,
    /// The highest session evicted of each endpoint.
    evicted: BTreeMap<u16, u64>,
    most: usize,
    /// The table at the latest checkpoint.
    rows: State,
    /// Whose rows have changed since.
    changed: BTreeSet<ClientId>,
}

impl PartialEq for ClientTable {
    fn eq(&self, other: &Self) -> bool {
        (&self.entries, &self.evicted) == (&other.entries, &other.evicted)
    }
}

impl Eq for ClientTable {}

impl ClientTable {
    /// An empty table for at most that many clients.
    pub(super) fn new(most: usize) -> Self {
        assert!(most > 0, "a table with room for somebody");
        Self {
            entries: BTreeMap::new(),
            by_order: BTreeSet::new(),
            evicted: BTreeMap::new(),
            most,
            rows: State::default(),
            changed: BTreeSet::new(),
        }
    }

    /// The table with these rows; none if they are no table's.
    pub(super) fn from_rows(rows: State, most: usize) -> Option<Self> {
        let mut table = Self::new(most);
        for (key, value) in rows.iter() {
            match decode(key, value)? {
                Row::Client(client, entry) => {
                    table.by_order.insert((entry.order, client));
                    table.entries.insert(client, entry);
                }
                Row::Endpoint(endpoint, session) => {
                    table.evicted.insert(endpoint, session);
                }
            }
        }
        let sound = table.entries.len() <= most;
        table.rows = rows;
        sound.then_some(table)
    }

    /// The client's latest executed request, if it has any.
    pub fn get(&self, client: ClientId) -> Option<&ClientEntry> {
        self.entries.get(&client)
    }

    /// Whether the session has ended: the table has forgotten what it knew of it, if anything.
    pub fn has_ended(&self, client: ClientId) -> bool {
        let evicted = self.evicted.get(&client.endpoint);
        !self.entries.contains_key(&client)
            && evicted.is_some_and(|evicted| client.session <= *evicted)
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

    /// How many clients it has room for.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// A request was executed, of a session that has not ended. It may evict another.
    pub(super) fn record(&mut self, client: ClientId, entry: ClientEntry) {
        self.by_order.insert((entry.order, client));
        self.changed.insert(client);
        let order = entry.order;
        if let Some(last) = self.entries.insert(client, entry) {
            if last.order < order {
                self.by_order.remove(&(last.order, client));
            }
        } else if self.entries.len() > self.most {
            self.evict();
        }
    }

    /// Forgets the client whose latest request was executed the longest ago.
    fn evict(&mut self) {
        let (_, client) = self.by_order.pop_first().expect("the table is full");
        self.entries.remove(&client);
        self.changed.insert(client);
        let evicted = self.evicted.entry(client.endpoint).or_default();
        *evicted = client.session.max(*evicted);
    }

    /// The table's rows as they are now.
    pub(super) fn rows(&mut self) -> &State {
        for client in std::mem::take(&mut self.changed) {
            let key = client_key(client);
            match self.entries.get(&client) {
                Some(entry) => self.rows.put(key, client_row(entry)),
                None => {
                    self.rows.remove(&key);
                    let evicted = self.evicted[&client.endpoint];
                    let row = Bytes::copy_from_slice(&evicted.to_be_bytes());
                    self.rows.put(endpoint_key(client.endpoint), row);
                }
            }
        }
        &self.rows
    }
}

enum Row {
    Client(ClientId, ClientEntry),
    Endpoint(u16, u64),
}

fn client_key(client: ClientId) -> Bytes {
    let mut key = vec![CLIENT];
    key.extend_from_slice(&client.endpoint.to_be_bytes());
    key.extend_from_slice(&client.session.to_be_bytes());
    key.into()
}

fn endpoint_key(endpoint: u16) -> Bytes {
    let [high, low] = endpoint.to_be_bytes();
    Bytes::copy_from_slice(&[ENDPOINT, high, low])
}

fn client_row(entry: &ClientEntry) -> Bytes {
    let mut row = entry.request_number.to_be_bytes().to_vec();
    row.extend_from_slice(&entry.order.to_be_bytes());
    row.extend_from_slice(&entry.result);
    row.into()
}

fn decode(key: &[u8], value: &Bytes) -> Option<Row> {
    let (kind, key) = key.split_first()?;
    let (endpoint, session) = key.split_first_chunk()?;
    let endpoint = u16::from_be_bytes(*endpoint);
    let number = |at: usize| Some(u64::from_be_bytes(value.get(at..at + 8)?.try_into().ok()?));
    match *kind {
        CLIENT => {
            let session = u64::from_be_bytes(session.try_into().ok()?);
            let entry = ClientEntry {
                request_number: number(0)?,
                order: number(8)?,
                result: value.slice(16..),
            };
            Some(Row::Client(ClientId { endpoint, session }, entry))
        }
        ENDPOINT if session.is_empty() && value.len() == 8 => {
            Some(Row::Endpoint(endpoint, number(0)?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(endpoint: u16, session: u64) -> ClientId {
        ClientId { endpoint, session }
    }

    fn entry(request_number: u64, order: u64) -> ClientEntry {
        ClientEntry {
            request_number,
            result: Bytes::from(order.to_string()),
            order,
        }
    }

    /// A table for three clients that has seen five.
    fn table() -> ClientTable {
        let mut table = ClientTable::new(3);
        let sessions = [(0, 1), (0, 2), (1, 3), (0, 1), (1, 4), (0, 5)];
        for (order, (endpoint, session)) in (1..).zip(sessions) {
            table.record(client(endpoint, session), entry(order, order));
        }
        table
    }

    #[test]
    fn the_session_that_was_silent_the_longest_is_evicted_and_ends() {
        let table = table();
        let present: Vec<u64> = table.iter().map(|(client, _)| client.session).collect();
        assert_eq!(present, [1, 5, 4]);
        assert!(table.has_ended(client(0, 2)) && table.has_ended(client(1, 3)));
        assert!(!table.has_ended(client(0, 1)), "it is there");
        assert!(
            !table.has_ended(client(0, 6)) && !table.has_ended(client(2, 1)),
            "new"
        );
    }

    #[test]
    fn the_rows_are_the_table_however_often_they_are_written() {
        let mut once = table();
        let mut often = ClientTable::new(3);
        let sessions = [(0, 1), (0, 2), (1, 3), (0, 1), (1, 4), (0, 5)];
        for (order, (endpoint, session)) in (1..).zip(sessions) {
            often.record(client(endpoint, session), entry(order, order));
            often.rows();
        }
        assert_eq!(once.rows().digest(), often.rows().digest());
        let read = ClientTable::from_rows(once.rows().snapshot(), 3).unwrap();
        assert_eq!(read, once);
        assert_eq!(read.by_order, once.by_order);
    }

    #[test]
    fn rows_that_no_table_writes_are_refused() {
        let rows = table().rows().snapshot();
        assert!(
            ClientTable::from_rows(rows.snapshot(), 2).is_none(),
            "too many"
        );
        let row = Bytes::from_static(&[7; 16]);
        for (key, value) in [
            (Bytes::new(), row.clone()),
            (Bytes::from_static(&[0, 0, 1, 2]), row.clone()),
            (Bytes::from_static(&[2, 0, 1]), row.clone()),
            (Bytes::from_static(&[1, 0, 1]), row),
            (client_key(client(0, 9)), Bytes::from_static(&[1])),
        ] {
            let mut wrong = rows.snapshot();
            wrong.put(key.clone(), value);
            assert!(ClientTable::from_rows(wrong, 9).is_none(), "{key:?}");
        }
    }
}
