//! The order of effects: what a driver may send, and when.
//!
//! Both worlds use it. It holds each message back until the record it waits for is durable, and keeps the
//! order of issue among those released together. Because each waits for its own record and no other, a
//! heartbeat never queues behind a slow sync.

use std::collections::BTreeMap;

use crate::{Address, RecordId};

/// Messages that wait for a record to become durable.
#[derive(Debug)]
pub struct Outbox<M> {
    durable: Option<RecordId>,
    waiting: BTreeMap<RecordId, Vec<(Address, M)>>,
}

impl<M> Default for Outbox<M> {
    fn default() -> Self {
        Self {
            durable: None,
            waiting: BTreeMap::new(),
        }
    }
}

impl<M> Outbox<M> {
    /// Takes a message in. Hands it back if it may leave at once.
    #[must_use = "a message that is handed back is to be sent now"]
    pub fn offer(
        &mut self,
        to: Address,
        message: M,
        after: Option<RecordId>,
    ) -> Option<(Address, M)> {
        match after {
            Some(record) if self.durable < Some(record) => {
                self.waiting.entry(record).or_default().push((to, message));
                None
            }
            _ => Some((to, message)),
        }
    }

    /// Learns that `record` and all before it are durable. Returns what may leave now, in order.
    pub fn persisted(&mut self, record: RecordId) -> impl Iterator<Item = (Address, M)> + use<M> {
        self.durable = self.durable.max(Some(record));
        let held = self.waiting.split_off(&record.next());
        std::mem::replace(&mut self.waiting, held)
            .into_values()
            .flatten()
    }

    /// How many messages wait.
    pub fn len(&self) -> usize {
        self.waiting.values().map(Vec::len).sum()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Effects, ReplicaId};

    const PEER: Address = Address::Replica(ReplicaId(1));

    #[test]
    fn a_message_leaves_when_its_record_is_durable_and_not_before() {
        let mut effects: Effects<&str, ()> = Effects::default();
        let records: Vec<_> = (0..3).map(|_| effects.persist(())).collect();
        let mut outbox = Outbox::default();
        assert_eq!(
            outbox.offer(PEER, "heartbeat", None),
            Some((PEER, "heartbeat"))
        );
        for (record, message) in records.iter().zip(["one", "two", "three"]) {
            assert_eq!(outbox.offer(PEER, message, Some(*record)), None);
        }
        let released: Vec<_> = outbox
            .persisted(records[1])
            .map(|(_, message)| message)
            .collect();
        assert_eq!(released, ["one", "two"]);
        assert_eq!(outbox.len(), 1);
        assert_eq!(
            outbox.offer(PEER, "again", Some(records[0])),
            Some((PEER, "again"))
        );
        let released: Vec<_> = outbox
            .persisted(records[2])
            .map(|(_, message)| message)
            .collect();
        assert_eq!(released, ["three"]);
        assert!(outbox.is_empty());
    }
}
