//! The calls and returns that are not yet taken, in the order of time: a list that operations leave and come
//! back to in constant time.

use crate::moment::Moment;
use crate::operation::Operation;

/// A place in the list.
pub(super) type Link = u32;

/// What stands at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// The operation begins.
    Call(u32),
    /// The operation has ended: it must be taken before the search goes on.
    Return,
    /// The list's end.
    End,
}

/// The list. Its first place is a sentinel, which is its end as well.
#[derive(Debug)]
pub(super) struct Calls {
    entries: Vec<Entry>,
    next: Vec<Link>,
    previous: Vec<Link>,
    /// Where each operation's return stands; the sentinel's place for one that never returns.
    returns: Vec<Link>,
    calls: Vec<Link>,
}

const SENTINEL: Link = 0;

impl Calls {
    /// Lists the operations at `included`.
    pub(super) fn new<A>(operations: &[Operation<A>], included: &[bool]) -> Self {
        let mut events: Vec<(Moment, bool, u32)> = Vec::with_capacity(2 * operations.len());
        for (place, operation) in (0..).zip(operations) {
            if !included[place as usize] {
                continue;
            }
            // Of equal times, calls first: they order nothing.
            events.push((operation.invoke, false, place));
            if operation.is_certain() {
                events.push((operation.returned, true, place));
            }
        }
        events.sort_unstable();
        let count = events.len() as Link + 1;
        let mut list = Self {
            entries: Vec::with_capacity(events.len() + 1),
            next: (1..=count).map(|next| next % count).collect(),
            previous: (0..count)
                .map(|place| (place + count - 1) % count)
                .collect(),
            returns: vec![SENTINEL; operations.len()],
            calls: vec![SENTINEL; operations.len()],
        };
        list.entries.push(Entry::End);
        for (link, (_, is_return, place)) in (1..).zip(events) {
            if is_return {
                list.returns[place as usize] = link;
                list.entries.push(Entry::Return);
            } else {
                list.calls[place as usize] = link;
                list.entries.push(Entry::Call(place));
            }
        }
        list
    }

    pub(super) fn first(&self) -> Link {
        self.next[SENTINEL as usize]
    }

    pub(super) fn after(&self, link: Link) -> Link {
        self.next[link as usize]
    }

    pub(super) fn at(&self, link: Link) -> Entry {
        self.entries[link as usize]
    }

    pub(super) fn call_of(&self, place: usize) -> Link {
        self.calls[place]
    }

    /// Takes the operation out.
    pub(super) fn lift(&mut self, place: usize) {
        self.unlink(self.calls[place]);
        if self.returns[place] != SENTINEL {
            self.unlink(self.returns[place]);
        }
    }

    /// Whether the operation is taken out. Only for one that is listed.
    pub(super) fn is_lifted(&self, place: usize) -> bool {
        let link = self.calls[place];
        self.next[self.previous[link as usize] as usize] != link
    }

    /// Puts back the operation that was taken out last.
    pub(super) fn put_back(&mut self, place: usize) {
        if self.returns[place] != SENTINEL {
            self.relink(self.returns[place]);
        }
        self.relink(self.calls[place]);
    }

    fn unlink(&mut self, link: Link) {
        let (before, after) = (self.previous[link as usize], self.next[link as usize]);
        self.next[before as usize] = after;
        self.previous[after as usize] = before;
    }

    fn relink(&mut self, link: Link) {
        let (before, after) = (self.previous[link as usize], self.next[link as usize]);
        self.next[before as usize] = link;
        self.previous[after as usize] = link;
    }
}
