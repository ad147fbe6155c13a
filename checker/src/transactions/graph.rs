//! Who depends on whom.

use viewstorm_history::{Datum, Kind, NEVER};

use super::anomalies::Lists;
use crate::hash::Table;

/// Why one transaction comes before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dependency {
    /// The other appended right behind it.
    WriteWrite { key: u32, value: Datum, next: Datum },
    /// The other saw what it appended.
    WriteRead { key: u32, value: Datum },
    /// It did not see what the other appended.
    ReadWrite { key: u32, next: Datum },
    /// One process did one after the other.
    Process,
    /// It had ended before the other began.
    RealTime,
}

impl Dependency {
    /// A bit for each kind, so that kinds can be chosen.
    pub(super) const fn bit(self) -> u8 {
        match self {
            Self::WriteWrite { .. } => WW,
            Self::WriteRead { .. } => WR,
            Self::ReadWrite { .. } => RW,
            Self::Process => PROCESS,
            Self::RealTime => REAL_TIME,
        }
    }
}

pub(super) const WW: u8 = 1;
pub(super) const WR: u8 = 2;
pub(super) const RW: u8 = 4;
pub(super) const PROCESS: u8 = 8;
pub(super) const REAL_TIME: u8 = 16;

/// Dependencies, by the transaction that comes first.
pub(super) struct Graph {
    pub(super) after: Vec<Vec<(u32, Dependency)>>,
}

impl Graph {
    pub(super) fn new(lists: &Lists<'_>) -> Self {
        let mut graph = Self {
            after: vec![Vec::new(); lists.transactions.all.len()],
        };
        graph.add_writes(lists);
        graph.add_reads(lists);
        graph.add_sessions(lists);
        graph.add_real_time(lists);
        graph
    }

    fn add(&mut self, from: u32, to: u32, why: Dependency) {
        if from != to {
            self.after[from as usize].push((to, why));
        }
    }

    fn add_writes(&mut self, lists: &Lists<'_>) {
        for (key, (order, _)) in (0..).zip(&lists.orders) {
            for pair in order.windows(2) {
                let (Some(one), Some(other)) =
                    (lists.writer(key, pair[0]), lists.writer(key, pair[1]))
                else {
                    continue;
                };
                let why = Dependency::WriteWrite {
                    key,
                    value: pair[0],
                    next: pair[1],
                };
                self.add(one.transaction, other.transaction, why);
            }
        }
        // What was appended for certain and never read came behind all that was.
        for (key, value, writer) in unread(lists) {
            let order = &lists.orders[key as usize].0;
            if let Some(last) = order.last()
                && let Some(before) = lists.writer(key, *last)
            {
                let why = Dependency::WriteWrite {
                    key,
                    value: *last,
                    next: value,
                };
                self.add(before.transaction, writer, why);
            }
        }
    }

    fn add_reads(&mut self, lists: &Lists<'_>) {
        let mut behind: Table<u32, Vec<(Datum, u32)>> = Table::default();
        for (key, value, writer) in unread(lists) {
            behind.entry(key).or_default().push((value, writer));
        }
        for (reader, key, saw) in &lists.reads {
            if let Some(value) = saw.last()
                && let Some(writer) = lists.writer(*key, *value)
            {
                let why = Dependency::WriteRead {
                    key: *key,
                    value: *value,
                };
                self.add(writer.transaction, *reader, why);
            }
            let order = &lists.orders[*key as usize].0;
            if let Some(next) = order.get(saw.len()) {
                if let Some(writer) = lists.writer(*key, *next) {
                    let why = Dependency::ReadWrite {
                        key: *key,
                        next: *next,
                    };
                    self.add(*reader, writer.transaction, why);
                }
                continue;
            }
            for (next, writer) in behind.get(key).into_iter().flatten() {
                self.add(
                    *reader,
                    *writer,
                    Dependency::ReadWrite {
                        key: *key,
                        next: *next,
                    },
                );
            }
        }
    }

    fn add_sessions(&mut self, lists: &Lists<'_>) {
        let mut latest: Table<u64, u32> = Table::default();
        for (place, transaction) in (0..).zip(&lists.transactions.all) {
            if transaction.kind == Kind::Fail {
                continue;
            }
            let process = lists.log.calls[transaction.call as usize].process;
            if let Some(before) = latest.insert(process, place) {
                self.add(before, place, Dependency::Process);
            }
        }
    }

    /// Of those that had ended before one began, the ones that no other of them comes after.
    fn add_real_time(&mut self, lists: &Lists<'_>) {
        let mut events: Vec<(u64, bool, u32)> = Vec::new();
        for (place, transaction) in (0..).zip(&lists.transactions.all) {
            let call = &lists.log.calls[transaction.call as usize];
            if transaction.kind != Kind::Fail {
                events.push((call.invoke, false, place));
            }
            if transaction.kind == Kind::Ok && call.end != NEVER {
                events.push((call.end, true, place));
            }
        }
        // Of equal times, beginnings first: they order nothing.
        events.sort_unstable();
        let mut ended: Vec<u32> = Vec::new();
        for (_, ends, place) in events {
            if ends {
                let call = |place: u32| &lists.log.calls[lists.call(place) as usize];
                let begun = call(place).invoke;
                ended.retain(|before| call(*before).end >= begun);
                ended.push(place);
            } else {
                for before in &ended {
                    self.after[*before as usize].push((place, Dependency::RealTime));
                }
            }
        }
    }
}

/// Appends that certainly happened and that no read shows. A transaction of unknown outcome happened if anything
/// that it appended was read.
fn unread(lists: &Lists<'_>) -> Vec<(u32, Datum, u32)> {
    use super::transaction::Step;
    let mut read: Table<(u32, u64), ()> = Table::default();
    for (key, (order, _)) in (0..).zip(&lists.orders) {
        read.extend(order.iter().map(|value| ((key, value.bits()), ())));
    }
    let mut unread = Vec::new();
    for (place, transaction) in (0..).zip(&lists.transactions.all) {
        let is_read = |step: &Step| match step {
            Step::Append { key, value } => read.contains_key(&(*key, value.bits())),
            Step::Read { .. } => false,
        };
        let happened = match transaction.kind {
            Kind::Ok => true,
            Kind::Info | Kind::Invoke => transaction.steps.iter().any(is_read),
            Kind::Fail => false,
        };
        if !happened {
            continue;
        }
        for step in &transaction.steps {
            if let Step::Append { key, value } = step
                && !read.contains_key(&(*key, value.bits()))
            {
                unread.push((*key, *value, place));
            }
        }
    }
    unread
}
