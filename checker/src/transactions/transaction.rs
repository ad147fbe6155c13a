//! Calls as transactions.

use viewstorm_history::{Call, CallLog, Datum, Kind};

use crate::hash::Table;
use crate::model::Unreadable;

/// One step of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Append {
        key: u32,
        value: Datum,
    },
    /// A read, and what it saw; none where nobody knows.
    Read {
        key: u32,
        saw: Option<Vec<Datum>>,
    },
}

/// A transaction.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    /// Its place among the log's calls.
    pub(super) call: u32,
    pub(super) kind: Kind,
    pub(super) steps: Vec<Step>,
}

/// All of them, with the names of the lists.
#[derive(Debug)]
pub(super) struct Transactions {
    pub(super) all: Vec<Transaction>,
    pub(super) keys: Vec<Datum>,
}

impl Transactions {
    pub(super) fn read(log: &CallLog) -> Result<Self, Unreadable> {
        let mut reader = Reader {
            log,
            keys: Vec::new(),
            numbers: Table::default(),
        };
        let calls = (0..).zip(&log.calls);
        let all: Result<Vec<Transaction>, String> = calls
            .map(|(place, call)| reader.transaction(place, call))
            .collect();
        match all {
            Ok(all) => Ok(Self {
                all,
                keys: reader.keys,
            }),
            Err(reason) => {
                let (event, reason) = reason.split_once(' ').unwrap_or(("0", &reason));
                Err(Unreadable {
                    event: event.parse().unwrap_or(0),
                    reason: reason.to_owned(),
                })
            }
        }
    }
}

struct Reader<'h> {
    log: &'h CallLog,
    keys: Vec<Datum>,
    numbers: Table<u64, u32>,
}

impl Reader<'_> {
    /// The error is the event's number and the reason.
    fn transaction(&mut self, place: u32, call: &Call) -> Result<Transaction, String> {
        let wrong = |what: &str| format!("{} {what}", call.index);
        let f = self.log.function(call);
        if !matches!(f, "txn" | "append" | "read") {
            return Err(wrong(&format!("list-append has no {f:?}")));
        }
        let is_known = call.kind == Kind::Ok;
        let shown = if is_known && !call.result.is_null() {
            call.result
        } else {
            call.argument
        };
        let list = self.log.values.elements(shown);
        let list = list
            .ok_or_else(|| wrong("a txn is a list of [f, key, value]"))?
            .to_vec();
        let mut steps = Vec::with_capacity(list.len());
        for step in list {
            let Some(&[f, key, value]) = self.log.values.elements(step) else {
                return Err(wrong("a step of a txn is [f, key, value]"));
            };
            let key = self.key(key);
            steps.push(match self.log.values.as_text(f) {
                Some("append") => Step::Append { key, value },
                Some("r" | "read") => {
                    let saw = match self.log.values.elements(value) {
                        Some(elements) => Some(elements.to_vec()),
                        None if value.is_null() => Some(Vec::new()),
                        None => return Err(wrong("a read of a list shows a list")),
                    };
                    Step::Read {
                        key,
                        saw: saw.filter(|_| is_known),
                    }
                }
                _ => return Err(wrong("a step of a txn is an append or an r")),
            });
        }
        Ok(Transaction {
            call: place,
            kind: call.kind,
            steps,
        })
    }

    fn key(&mut self, key: Datum) -> u32 {
        let next = self.keys.len() as u32;
        let number = *self.numbers.entry(key.bits()).or_insert(next);
        if number == next {
            self.keys.push(key);
        }
        number
    }
}
