//! What happens to a core and what it wants done.
//!
//! ```text
//!   Started  Received  Persisted  Timeout
//!       \       |         |        /
//!        +------v---------v-------+
//!        |      Protocol::step    |
//!        +------+---------+-------+
//!       /       |         |
//!  Persist    Send       Note        carried out in the order issued
//! ```

use std::fmt::Debug;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Address, EffectLabel, Message, ProtocolEvent};

/// Names a record that the core asked to be persisted. Grows by one with every record of an incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RecordId(u64);

impl RecordId {
    /// The record's place in the order of issue, from 1.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The record issued after this one.
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

/// Where a record lives: the disk nemesis aims at zones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Zone {
    /// One small value, replaced atomically: what must never be forgotten about views.
    Superblock,
    /// A sequence that grows at its end, and is forgotten from its start.
    Log,
    /// Another such sequence.
    Checkpoint,
}

/// What a core persists.
pub trait Record: Clone + Debug + Serialize + DeserializeOwned {
    /// Where the record lives.
    fn zone(&self) -> Zone;
}

/// What storage found at the start of an incarnation.
#[derive(Clone, Debug)]
pub struct Recovered<R> {
    /// The last durable superblock; none on a replica's very first start, or if it was lost.
    pub superblock: Option<R>,
    /// The durable log records, oldest first. An unfinished record at the tail is gone.
    pub log: Vec<R>,
    /// Whether whoever runs the replica says that it has never taken part in anything: only then may it begin
    /// with nothing. Without this word an empty disk is a lost one.
    pub format: bool,
    /// The durable records of checkpoints, oldest first, likewise.
    pub checkpoint: Vec<R>,
}

impl<R> Default for Recovered<R> {
    fn default() -> Self {
        Self {
            superblock: None,
            log: Vec::new(),
            format: false,
            checkpoint: Vec::new(),
        }
    }
}

/// What happens to a core.
#[derive(Clone, Debug)]
pub enum Event<M, R> {
    /// The first event of an incarnation, and only the first.
    Started(Recovered<R>),
    /// A message arrived. `from` is who the transport knows it to be, not what the message claims.
    Received {
        /// The authenticated sender.
        from: Address,
        /// What it said.
        message: M,
    },
    /// This record and all records issued before it are durable.
    Persisted(RecordId),
    /// [`Protocol::next_timeout`](crate::Protocol::next_timeout) has passed.
    Timeout,
}

/// What a core wants done.
#[derive(Clone, Debug)]
pub enum Effect<M, R> {
    /// Make the record durable. Records become durable in the order of issue, across zones: a crash loses
    /// some suffix of those not yet reported [`Persisted`](Event::Persisted), never one from the middle.
    Persist {
        /// The record's name in later effects and events.
        id: RecordId,
        /// What to write.
        record: R,
    },
    /// The oldest records of a zone will not be needed again: their room may be freed, now, later or never.
    /// What the next start finds of the zone begins no later than at the oldest that is still needed; some of
    /// those before it, the latest, may be found again, without gaps.
    Reclaim {
        /// Not the superblock.
        zone: Zone,
        /// How many of the records that the start found, or that were issued since, less those reclaimed
        /// since. All of them are durable.
        records: u64,
    },
    /// Send the message, at once or when a record is durable.
    Send {
        /// The receiver.
        to: Address,
        /// What to say.
        message: M,
        /// Hold the message back until this record is durable.
        after: Option<RecordId>,
    },
    /// Tell the outside what happened: traces, triggers, invariants and reports read these.
    Note(ProtocolEvent),
}

impl<M: Message, R: Record> Effect<M, R> {
    /// What it is, for a [`Fuse`](crate::Fuse).
    pub fn label(&self) -> EffectLabel<'static> {
        match self {
            Self::Persist { record, .. } => EffectLabel::Persist(record.zone()),
            Self::Reclaim { zone, .. } => EffectLabel::Reclaim(*zone),
            Self::Send { message, .. } => EffectLabel::Send(message.kind()),
            Self::Note(_) => EffectLabel::Note,
        }
    }
}

/// Collects a core's effects. One lives as long as the core's incarnation; the driver drains it after every
/// step.
#[derive(Debug)]
pub struct Effects<M, R> {
    queue: Vec<Effect<M, R>>,
    last_record: RecordId,
}

impl<M, R> Default for Effects<M, R> {
    fn default() -> Self {
        Self {
            queue: Vec::new(),
            last_record: RecordId(0),
        }
    }
}

impl<M, R> Effects<M, R> {
    /// Asks for `record` to be made durable.
    pub fn persist(&mut self, record: R) -> RecordId {
        self.last_record.0 += 1;
        let id = self.last_record;
        self.queue.push(Effect::Persist { id, record });
        id
    }

    /// Says that the zone's oldest `records` records will not be needed again.
    pub fn reclaim(&mut self, zone: Zone, records: u64) {
        if records > 0 {
            self.queue.push(Effect::Reclaim { zone, records });
        }
    }

    /// Sends `message` to `to`, held back until `after` is durable if it names a record.
    pub fn send(&mut self, to: Address, message: M, after: Option<RecordId>) {
        self.queue.push(Effect::Send { to, message, after });
    }

    /// Tells the outside what happened.
    pub fn note(&mut self, event: ProtocolEvent) {
        self.queue.push(Effect::Note(event));
    }

    /// The record most recently asked for: waiting for it is waiting for everything so far.
    pub fn last_record(&self) -> Option<RecordId> {
        (self.last_record.0 > 0).then_some(self.last_record)
    }

    /// Takes the effects in the order in which they are to be carried out.
    pub fn drain(&mut self) -> std::vec::Drain<'_, Effect<M, R>> {
        self.queue.drain(..)
    }
}
