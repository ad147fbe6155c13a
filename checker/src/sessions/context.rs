//! What a session must have in its past, and whether what it reads is older.

use std::rc::Rc;

use crate::hash::Table;
use crate::model::ValueId;
use crate::moment::Moment;
use crate::partition::Partition;
use crate::register::Register;

/// Which of a session's past counts.
#[derive(Clone, Copy, Debug)]
pub(super) struct Guarantee {
    pub(super) name: &'static str,
    /// What is violated, in words.
    pub(super) words: &'static str,
    /// Its own writes.
    pub(super) own_writes: bool,
    /// What it has read.
    pub(super) own_reads: bool,
    /// With a value that it reads, what its writer had written before.
    pub(super) carries_writes: bool,
    /// With a value that it reads, what its writer had read before.
    pub(super) carries_reads: bool,
    /// And what those had in their past.
    pub(super) is_transitive: bool,
}

/// A read of a value that is older than what the session's past holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Older {
    pub(super) key: usize,
    /// The read, by its place in its partition.
    pub(super) read: usize,
    pub(super) saw: ValueId,
    /// The newer value, and how the session came to have it in its past: a call.
    pub(super) newer: ValueId,
    pub(super) through: u32,
}

/// The newest value of each key that counts, with the call that brought it.
type Past = Vec<Option<(Moment, ValueId, u32)>>;

/// One side of an operation. Of equal times ends come first: a process may begin at once again, and what it does not
/// know yet it cannot miss.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Event {
    ReadEnds,
    WriteBegins,
}

/// All reads that the guarantee does not allow, up to `limit`.
pub(super) fn violations(
    partitions: &[Partition<'_, Register>],
    guarantee: Guarantee,
    limit: usize,
) -> Vec<Older> {
    let mut events: Vec<(Moment, Event, u32, usize, usize)> = Vec::new();
    for (key, partition) in partitions.iter().enumerate() {
        for (place, operation) in partition.operations.iter().enumerate() {
            if operation.action.saw().is_some() && operation.is_certain() {
                events.push((
                    operation.returned,
                    Event::ReadEnds,
                    operation.call,
                    key,
                    place,
                ));
            }
            if operation.action.wrote().is_some() {
                events.push((
                    operation.invoke,
                    Event::WriteBegins,
                    operation.call,
                    key,
                    place,
                ));
            }
        }
    }
    events.sort_unstable();
    let mut sessions = Sessions {
        partitions,
        guarantee,
        writers: partitions.iter().map(writers).collect(),
        pasts: Table::default(),
        carried: Table::default(),
        found: Vec::new(),
    };
    for (_, event, _, key, place) in events {
        if sessions.found.len() >= limit {
            break;
        }
        match event {
            Event::WriteBegins => sessions.write(key, place),
            Event::ReadEnds => sessions.read(key, place),
        }
    }
    sessions.found
}

/// When each value's write began and ended.
fn writers(partition: &Partition<'_, Register>) -> Vec<(Moment, Moment)> {
    let mut writers = vec![(Moment::BEFORE_ALL, Moment::BEFORE_ALL); partition.values.len()];
    for operation in &partition.operations {
        if let Some(value) = operation.action.wrote() {
            writers[value as usize] = (operation.invoke, operation.returned);
        }
    }
    writers
}

struct Sessions<'p, 'h> {
    partitions: &'p [Partition<'h, Register>],
    guarantee: Guarantee,
    writers: Vec<Vec<(Moment, Moment)>>,
    /// What counts for a session's own reads, and what its writes carry on.
    pasts: Table<u64, (Past, Past)>,
    carried: Table<(usize, ValueId), Rc<Past>>,
    found: Vec<Older>,
}

impl Sessions<'_, '_> {
    fn note(&self, past: &mut Past, key: usize, value: ValueId, call: u32) {
        let begun = self.writers[key][value as usize].0;
        if past[key].is_none_or(|(known, ..)| known < begun) {
            past[key] = Some((begun, value, call));
        }
    }

    fn take(&mut self, process: u64) -> (Past, Past) {
        let fresh = || {
            (
                vec![None; self.partitions.len()],
                vec![None; self.partitions.len()],
            )
        };
        self.pasts.remove(&process).unwrap_or_else(fresh)
    }

    fn write(&mut self, key: usize, place: usize) {
        let partition = &self.partitions[key];
        let operation = &partition.operations[place];
        let (Some(value), process) = (operation.action.wrote(), partition.process(operation))
        else {
            return;
        };
        let (mut own, mut carries) = self.take(process);
        if self.guarantee.carries_writes || self.guarantee.carries_reads {
            self.carried.insert((key, value), Rc::new(carries.clone()));
        }
        // A compare-and-set that ended has read before it wrote.
        if operation.action.saw().is_none() || !operation.is_certain() {
            self.note_write(&mut own, &mut carries, (key, value, operation.call));
        }
        self.pasts.insert(process, (own, carries));
    }

    fn note_write(
        &self,
        own: &mut Past,
        carries: &mut Past,
        (key, value, call): (usize, ValueId, u32),
    ) {
        if self.guarantee.own_writes {
            self.note(own, key, value, call);
        }
        if self.guarantee.carries_writes {
            self.note(carries, key, value, call);
        }
    }

    fn read(&mut self, key: usize, place: usize) {
        let partition = &self.partitions[key];
        let operation = &partition.operations[place];
        let (Some(saw), process) = (operation.action.saw(), partition.process(operation)) else {
            return;
        };
        let (mut own, mut carries) = self.take(process);
        let ended = self.writers[key][saw as usize].1;
        if let Some((begun, newer, through)) = own[key]
            && newer != saw
            && ended < begun
        {
            self.found.push(Older {
                key,
                read: place,
                saw,
                newer,
                through,
            });
        }
        if let Some(brought) = self.carried.get(&(key, saw)).cloned() {
            for (key, entry) in brought.iter().enumerate() {
                if let Some((_, value, _)) = *entry {
                    self.note(&mut own, key, value, operation.call);
                    if self.guarantee.is_transitive {
                        self.note(&mut carries, key, value, operation.call);
                    }
                }
            }
        }
        if self.guarantee.own_reads {
            self.note(&mut own, key, saw, operation.call);
        }
        if self.guarantee.carries_reads {
            self.note(&mut carries, key, saw, operation.call);
        }
        if let Some(value) = operation.action.wrote() {
            self.note_write(&mut own, &mut carries, (key, value, operation.call));
        }
        self.pasts.insert(process, (own, carries));
    }
}
