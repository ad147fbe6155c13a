//! What is due, in the order of (time, sequence).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Names a value that waits in a [`Slab`].
pub(crate) type Slot = u32;

/// Something that will happen. Small: what is large waits in a [`Slab`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// A message has passed its sender's tap and enters the link.
    Leave(Slot),
    /// A message has crossed the link and reaches its receiver's tap.
    Arrive(Slot),
    /// A message has passed its receiver's tap.
    Deliver(Slot),
    /// A replica's timer.
    ReplicaTimer(u16),
    /// A session's timer.
    ClientTimer(Slot),
    /// A replica's sync has ended, if this process still runs.
    Synced(u16, u32),
    /// A replica's process is up, if this one was not killed meanwhile.
    Started(u16, u32),
}

/// The event queue: a heap of small keys.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    heap: BinaryHeap<Reverse<(u64, u64, Due)>>,
    sequence: u64,
}

impl Queue {
    /// Puts `due` at `time`, behind all that is already due then.
    pub(crate) fn push(&mut self, time: u64, due: Due) {
        self.sequence += 1;
        self.heap.push(Reverse((time, self.sequence, due)));
    }

    /// Takes what is due first, if that is no later than `until`.
    pub(crate) fn pop(&mut self, until: u64) -> Option<(u64, Due)> {
        if self.heap.peek()?.0.0 > until {
            return None;
        }
        self.heap.pop().map(|Reverse((time, _, due))| (time, due))
    }
}

/// Values under small names, which are used again.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    values: Vec<Option<T>>,
    free: Vec<Slot>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl<T> Slab<T> {
    /// Keeps `value`.
    pub(crate) fn insert(&mut self, value: T) -> Slot {
        if let Some(slot) = self.free.pop() {
            self.values[slot as usize] = Some(value);
            return slot;
        }
        self.values.push(Some(value));
        Slot::try_from(self.values.len() - 1).expect("fewer than 2^32 values at a time")
    }

    /// Takes the value out; its name is free again.
    pub(crate) fn remove(&mut self, slot: Slot) -> T {
        self.free.push(slot);
        self.values[slot as usize]
            .take()
            .expect("a slot is taken once")
    }

    /// Looks at the value.
    pub(crate) fn get(&self, slot: Slot) -> Option<&T> {
        self.values.get(slot as usize)?.as_ref()
    }

    /// Reaches the value.
    pub(crate) fn get_mut(&mut self, slot: Slot) -> Option<&mut T> {
        self.values.get_mut(slot as usize)?.as_mut()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_due_at_the_same_time_comes_in_the_order_of_asking() {
        let mut queue = Queue::default();
        queue.push(7, Due::Leave(1));
        queue.push(5, Due::ReplicaTimer(0));
        queue.push(7, Due::Arrive(0));
        assert_eq!(queue.pop(6), Some((5, Due::ReplicaTimer(0))));
        assert_eq!(queue.pop(6), None);
        assert_eq!(queue.pop(7), Some((7, Due::Leave(1))));
        assert_eq!(queue.pop(7), Some((7, Due::Arrive(0))));
    }

    #[test]
    fn a_slot_is_used_again() {
        let mut slab = Slab::default();
        let first = slab.insert("a");
        assert_eq!((slab.remove(first), slab.insert("b")), ("a", first));
        assert_eq!(slab.get(first), Some(&"b"));
    }
}
