//! Events in, the first contradiction out.

use serde_json::Value;
use viewstorm_history::{Datum, Kind, OperationEvent, Timestamp, Values};

use super::live::{Contradiction, Live};
use crate::hash::Table;
use crate::moment::Moment;

/// The first contradiction that a stream showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// When it was certain.
    pub time: Timestamp,
    /// The key.
    pub key: Option<String>,
    /// What is wrong, in a sentence. Who contradicts whom, [`check`](crate::check) says of the history so far.
    pub what: String,
}

/// What an operation does, once its result is known.
#[derive(Clone, Copy, Debug)]
enum What {
    Read,
    Write(Datum),
    Cas(Datum, Datum),
}

#[derive(Clone, Copy, Debug)]
struct Open {
    key: u32,
    what: What,
    begun: Moment,
}

/// An operation's end, which waits until all that begins at the same time has begun.
#[derive(Clone, Copy, Debug)]
struct Ending {
    open: Open,
    ended: Moment,
    kind: Kind,
    /// What it saw.
    saw: Option<Datum>,
}

/// Follows the registers of a run.
#[derive(Debug, Default)]
pub struct RegisterStream {
    values: Values,
    keys: Table<Option<String>, u32>,
    names: Vec<Option<String>>,
    last_key: u32,
    registers: Vec<Live>,
    open: Table<u64, Open>,
    endings: Vec<Ending>,
    now: u64,
    /// A value was written twice: nothing more can be said.
    is_blind: bool,
    alarm: Option<Alarm>,
}

impl RegisterStream {
    /// Takes the next event, in the order of time, and says whether all until now contradicts itself. Events that
    /// are no register's are passed over.
    pub fn event(&mut self, event: &OperationEvent) -> Option<&Alarm> {
        if self.alarm.is_none() && !self.is_blind {
            if event.time.0 > self.now {
                self.settle();
                self.now = event.time.0;
            }
            self.take(event);
        }
        self.alarm.as_ref()
    }

    /// Looks at what ended last, when there are no more events.
    pub fn finish(&mut self) -> Option<&Alarm> {
        self.settle();
        self.alarm.as_ref()
    }

    /// How many values are kept.
    pub fn live_values(&self) -> usize {
        self.registers.iter().map(Live::len).sum()
    }

    fn take(&mut self, event: &OperationEvent) {
        let time = Moment::from(event.time);
        if event.kind == Kind::Invoke {
            let mut number = |value: &Value| self.values.intern(value);
            let what = match (event.f.as_str(), &event.value) {
                ("read", _) => What::Read,
                ("write", value) => What::Write(number(value)),
                // The pair itself is in no table: there would be one for every operation.
                ("cas", Value::Array(pair)) if pair.len() == 2 => {
                    What::Cas(number(&pair[0]), number(&pair[1]))
                }
                _ => return,
            };
            self.invoke(event.process.0, event.key.as_deref(), what, time);
            return;
        }
        let is_read = |open: &Open| matches!(open.what, What::Read);
        let saw = match (event.kind, self.open.get(&event.process.0)) {
            (Kind::Ok, Some(open)) if is_read(open) => Some(self.values.intern(&event.value)),
            (Kind::Fail, Some(_)) => event.observed.as_ref().map(|it| self.values.intern(it)),
            _ => None,
        };
        self.complete(event.process.0, event.kind, saw, time);
    }

    fn invoke(&mut self, process: u64, key: Option<&str>, what: What, begun: Moment) {
        let key = self.key(key);
        let register = &mut self.registers[key as usize];
        let is_new = match what {
            What::Read => true,
            What::Write(value) => register.begin(value, None, begun),
            What::Cas(expected, new) => register.begin(new, Some(expected), begun),
        };
        self.is_blind |= !is_new;
        self.open.insert(process, Open { key, what, begun });
    }

    fn complete(&mut self, process: u64, kind: Kind, saw: Option<Datum>, ended: Moment) {
        if let Some(open) = self.open.remove(&process) {
            self.endings.push(Ending {
                open,
                ended,
                kind,
                saw,
            });
        }
    }

    fn key(&mut self, name: Option<&str>) -> u32 {
        if self
            .names
            .get(self.last_key as usize)
            .is_some_and(|last| last.as_deref() == name)
        {
            return self.last_key;
        }
        let owned = name.map(str::to_owned);
        self.last_key = match self.keys.get(&owned) {
            Some(key) => *key,
            None => {
                let key = self.registers.len() as u32;
                self.keys.insert(owned.clone(), key);
                self.names.push(owned);
                self.registers.push(Live::new(Datum::NULL));
                key
            }
        };
        self.last_key
    }

    /// Looks at what has ended.
    fn settle(&mut self) {
        let mut endings = std::mem::take(&mut self.endings);
        for ending in &endings {
            let register = &mut self.registers[ending.open.key as usize];
            if let Err(contradiction) = judge(register, ending) {
                self.alarm.get_or_insert_with(|| Alarm {
                    time: ending.ended.timestamp(),
                    key: self.names[ending.open.key as usize].clone(),
                    what: words(contradiction).to_owned(),
                });
            }
        }
        for ending in endings.drain(..) {
            let key = ending.open.key;
            if self.registers[key as usize].is_full() {
                let of_key = self.open.values().filter(|open| open.key == key);
                let earliest = of_key.map(|open| open.begun).min();
                let earliest = earliest.map_or(ending.ended, |it| it.min(ending.ended));
                self.registers[key as usize].collect(earliest);
            }
        }
        self.endings = endings;
    }
}

fn words(contradiction: Contradiction) -> &'static str {
    match contradiction {
        Contradiction::NotThere => {
            "a value was seen that was not there any more, or not yet, or never"
        }
        Contradiction::LostUpdate => "two compare-and-sets replaced one value",
        Contradiction::Order => "two values each came before the other",
        Contradiction::Refused => "a compare-and-set was refused although it saw what it expected",
    }
}

fn judge(register: &mut Live, ending: &Ending) -> Result<(), Contradiction> {
    let Ending {
        open: Open { what, begun, .. },
        ended,
        kind,
        saw,
    } = *ending;
    match (kind, what) {
        (Kind::Ok, What::Write(value)) => register.wrote(value, None, (begun, ended))?,
        (Kind::Ok, What::Cas(expected, new)) => {
            register.wrote(new, Some(expected), (begun, ended))?;
        }
        (Kind::Fail, What::Write(value)) => register.forget(value)?,
        (Kind::Fail, What::Cas(expected, new)) => {
            register.forget(new)?;
            if saw == Some(expected) {
                return Err(Contradiction::Refused);
            }
        }
        _ => {}
    }
    match saw {
        Some(saw) => register.touch(saw, begun, ended),
        None => Ok(()),
    }
}
