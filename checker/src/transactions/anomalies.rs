//! What a read shows that no order of transactions explains: of failed transactions, of the middle of others, of
//! two orders, of nobody.

use viewstorm_history::{CallLog, Datum, Kind};

use super::transaction::{Step, Transaction, Transactions};
use crate::Violation;
use crate::hash::Table;
use crate::partition::words;
use crate::story::Story;

/// Who appended a value to a list, and whether that was the transaction's last append to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Append {
    pub(super) transaction: u32,
    pub(super) is_last: bool,
}

/// What the reads of all transactions tell.
pub(super) struct Lists<'h> {
    pub(super) log: &'h CallLog,
    pub(super) transactions: &'h Transactions,
    /// By list and value.
    pub(super) appends: Table<(u32, u64), Append>,
    /// The longest read of each list, and whose it is: the order of its values.
    pub(super) orders: Vec<(Vec<Datum>, Option<u32>)>,
    /// What each transaction saw of a list before it appended to it itself.
    pub(super) reads: Vec<(u32, u32, Vec<Datum>)>,
    pub(super) violations: Vec<Violation>,
    /// A value that is appended to one list twice.
    pub(super) repeated: Option<(u32, Datum)>,
}

impl<'h> Lists<'h> {
    pub(super) fn new(log: &'h CallLog, transactions: &'h Transactions) -> Self {
        let mut lists = Self {
            log,
            transactions,
            appends: Table::default(),
            orders: vec![(Vec::new(), None); transactions.keys.len()],
            reads: Vec::new(),
            violations: Vec::new(),
            repeated: None,
        };
        for (place, transaction) in (0..).zip(&transactions.all) {
            lists.note_appends(place, transaction);
        }
        for (place, transaction) in (0..).zip(&transactions.all) {
            if transaction.kind == Kind::Ok {
                lists.note_reads(place, transaction);
            }
        }
        lists.compare();
        lists
    }

    pub(super) fn writer(&self, key: u32, value: Datum) -> Option<Append> {
        self.appends.get(&(key, value.bits())).copied()
    }

    pub(super) fn story(&self) -> Story<'h> {
        Story::new(self.log)
    }

    pub(super) fn call(&self, transaction: u32) -> u32 {
        self.transactions.all[transaction as usize].call
    }

    pub(super) fn key(&self, key: u32) -> String {
        words(self.log, self.transactions.keys[key as usize])
    }

    fn note_appends(&mut self, place: u32, transaction: &Transaction) {
        for (number, step) in transaction.steps.iter().enumerate() {
            let Step::Append { key, value } = step else {
                continue;
            };
            let later = &transaction.steps[number + 1..];
            let is_last = !later
                .iter()
                .any(|it| matches!(it, Step::Append { key: k, .. } if k == key));
            let append = Append {
                transaction: place,
                is_last,
            };
            if self.appends.insert((*key, value.bits()), append).is_some() {
                self.repeated.get_or_insert((*key, *value));
            }
        }
    }

    /// Looks at a transaction's reads: what it appended itself must be at the end, the rest was there before.
    fn note_reads(&mut self, place: u32, transaction: &Transaction) {
        let mut own: Table<u32, Vec<Datum>> = Table::default();
        let mut before: Table<u32, Vec<Datum>> = Table::default();
        for step in &transaction.steps {
            match step {
                Step::Append { key, value } => own.entry(*key).or_default().push(*value),
                Step::Read { saw: None, .. } => {}
                Step::Read {
                    key,
                    saw: Some(saw),
                } => {
                    let own = own.get(key).map(Vec::as_slice).unwrap_or_default();
                    let outer = saw.strip_suffix(own).map(<[Datum]>::to_vec);
                    let known = before.get(key);
                    match outer {
                        Some(outer) if known.is_none_or(|known| *known == outer) => {
                            if known.is_none() {
                                self.reads.push((place, *key, outer.clone()));
                                before.insert(*key, outer);
                            }
                        }
                        _ => self.internal(place, *key, saw),
                    }
                }
            }
        }
    }

    /// A transaction that does not see its own appends, or two states of one list.
    fn internal(&mut self, place: u32, key: u32, saw: &[Datum]) {
        let mut story = self.story();
        let name = story.name(self.call(place));
        let (key, saw) = (self.key(key), self.list(saw));
        let argument = format!(
            "{name} saw {key} = {saw}, which does not agree with what it had seen and appended itself before."
        );
        let summary = format!("a transaction contradicts itself on {key}");
        self.violations
            .push(story.end("internal", summary, &argument));
    }

    /// Compares all reads with the longest of each list.
    fn compare(&mut self) {
        for (place, key, saw) in &self.reads {
            let order = &mut self.orders[*key as usize];
            if order.1.is_none() || saw.len() > order.0.len() {
                *order = (saw.clone(), Some(*place));
            }
        }
        let mut found = Vec::new();
        let mut told: Table<(u32, u64), ()> = Table::default();
        for (place, key, saw) in &self.reads {
            let (order, by) = &self.orders[*key as usize];
            if !order.starts_with(saw) {
                found.push(self.two_orders(*place, *by, *key, saw, order));
            }
            let mut seen: Table<u64, ()> = Table::default();
            for value in saw {
                if seen.insert(value.bits(), ()).is_some() {
                    found.push(self.twice(*place, *key, *value));
                    break;
                }
            }
            for value in saw {
                let writer = self.writer(*key, *value);
                let is_failed = writer.is_none_or(|writer| {
                    self.transactions.all[writer.transaction as usize].kind == Kind::Fail
                });
                if is_failed && told.insert((*key, value.bits()), ()).is_none() {
                    found.push(self.unwritten(*place, *key, *value, writer));
                }
            }
            if let Some(value) = saw.last()
                && let Some(writer) = self.writer(*key, *value)
                && !writer.is_last
                && writer.transaction != *place
            {
                found.push(self.intermediate(*place, *key, *value, writer));
            }
        }
        self.violations.extend(found);
    }

    fn list(&self, values: &[Datum]) -> String {
        let values: Vec<String> = values.iter().map(|value| words(self.log, *value)).collect();
        match values.len() {
            0..=12 => format!("[{}]", values.join(", ")),
            more => format!("[{} more, {}]", more - 10, values[more - 10..].join(", ")),
        }
    }

    fn two_orders(
        &self,
        place: u32,
        by: Option<u32>,
        key: u32,
        saw: &[Datum],
        order: &[Datum],
    ) -> Violation {
        let mut story = self.story();
        let differ = saw
            .iter()
            .zip(order)
            .position(|(one, other)| one != other)
            .unwrap_or(0);
        for value in [saw.get(differ), order.get(differ)].into_iter().flatten() {
            if let Some(writer) = self.writer(key, *value) {
                story.name(self.call(writer.transaction));
            }
        }
        let name = story.name(self.call(place));
        let other = by.map(|by| story.name(self.call(by))).unwrap_or_default();
        let argument = format!(
            "{name} saw {} = {}, {other} saw {}: a list only grows at its end, so one would have to be the \
             beginning of the other.",
            self.key(key),
            self.list(saw),
            self.list(order)
        );
        let summary = format!("two reads of {} show two orders", self.key(key));
        story.end("incompatible-order", summary, &argument)
    }

    fn twice(&self, place: u32, key: u32, value: Datum) -> Violation {
        let mut story = self.story();
        let writer = self
            .writer(key, value)
            .map(|writer| story.name(self.call(writer.transaction)));
        let name = story.name(self.call(place));
        let by = writer
            .map(|writer| format!(", which {writer} appended once"))
            .unwrap_or_default();
        let value = words(self.log, value);
        let argument = format!("{name} saw {value} more than once{by}.");
        let summary = format!("{} holds {value} twice", self.key(key));
        story.end("duplicate-elements", summary, &argument)
    }

    fn unwritten(&self, place: u32, key: u32, value: Datum, writer: Option<Append>) -> Violation {
        let mut story = self.story();
        let writer = writer.map(|writer| story.name_without_effect(self.call(writer.transaction)));
        let name = story.name(self.call(place));
        let (key, value) = (self.key(key), words(self.log, value));
        match writer {
            Some(writer) => {
                let argument = format!(
                    "{writer} failed and had no effect, yet {name} saw the {value} that it would have \
                     appended to {key}."
                );
                let summary = format!("{key} holds {value}, whose transaction had failed (G1a)");
                story.end("G1a", summary, &argument)
            }
            None => {
                let argument = format!("{name} saw {value} in {key}, and nobody appends it.");
                let summary = format!("{key} holds {value}, which nobody appended");
                story.end("garbage-read", summary, &argument)
            }
        }
    }

    fn intermediate(&self, place: u32, key: u32, value: Datum, writer: Append) -> Violation {
        let mut story = self.story();
        let writer = story.name(self.call(writer.transaction));
        let name = story.name(self.call(place));
        let (key, value) = (self.key(key), words(self.log, value));
        let argument = format!(
            "{name} saw {key} end with {value}, but {writer}, which appended it, appended more to {key} \
             afterwards: {name} saw the middle of {writer}."
        );
        let summary = format!("a transaction saw {key} in the middle of another (G1b)");
        story.end("G1b", summary, &argument)
    }
}
