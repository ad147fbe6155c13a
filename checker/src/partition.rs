//! The part of a history that is judged on its own: one key, or all where the model has no keys.

use viewstorm_history::{Call, CallLog, Datum, Kind, Timestamp};

use crate::hash::Table;
use crate::model::{Model, Unreadable, ValueId};
use crate::moment::Moment;
use crate::operation::Operation;

/// One partition's operations.
#[derive(Debug)]
pub(crate) struct Partition<'h, M: Model> {
    pub(crate) log: &'h CallLog,
    pub(crate) model: M,
    /// The key; a history may do without.
    pub(crate) key: Option<&'h str>,
    /// What took effect or may have, in the order of invocations.
    pub(crate) operations: Vec<Operation<M::Action>>,
    /// The values, by their numbers.
    pub(crate) values: Vec<Datum>,
    /// Whether no value is put in place twice, and the initial one never.
    pub(crate) values_are_unique: bool,
}

impl<'h, M: Model> Partition<'h, M> {
    /// The call that an operation is.
    pub(crate) fn call(&self, operation: &Operation<M::Action>) -> &'h Call {
        &self.log.calls[operation.call as usize]
    }

    pub(crate) fn process(&self, operation: &Operation<M::Action>) -> u64 {
        self.call(operation).process
    }

    pub(crate) fn order(&self, operation: &Operation<M::Action>) -> Option<u64> {
        self.call(operation).order()
    }

    /// A value in words.
    pub(crate) fn value(&self, value: ValueId) -> String {
        let datum = self
            .values
            .get(value as usize)
            .copied()
            .unwrap_or(Datum::NULL);
        words(self.log, datum)
    }

    /// The key in words.
    pub(crate) fn key_name(&self) -> &'h str {
        self.key.unwrap_or(match M::NAME {
            "register" => "the register",
            name => name,
        })
    }
}

/// A value as JSON, cut where it is long: foreign histories may carry documents.
pub(crate) fn words(log: &CallLog, datum: Datum) -> String {
    const LONGEST: usize = 40;
    if datum.is_null() {
        return "nothing".to_owned();
    }
    let text = log.values.value(datum).to_string();
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}

/// The calls of one partition, to be read by a model.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input<'h> {
    pub(crate) log: &'h CallLog,
    pub(crate) key: Option<&'h str>,
    /// Places among the log's calls.
    pub(crate) calls: &'h [u32],
}

impl<'h> Input<'h> {
    /// Each call with its place.
    pub(crate) fn each(&self) -> impl Iterator<Item = (u32, &'h Call)> + use<'h> {
        let log = self.log;
        self.calls
            .iter()
            .map(move |place| (*place, &log.calls[*place as usize]))
    }

    /// The error that a call is not what it should be.
    pub(crate) fn unreadable(&self, call: &Call, reason: impl Into<String>) -> Unreadable {
        Unreadable {
            event: call.index,
            reason: reason.into(),
        }
    }

    /// The error that the model has no such operation.
    pub(crate) fn unknown(&self, call: &Call, model: &str) -> Unreadable {
        let f = self.log.function(call);
        self.unreadable(call, format!("{model} has no {f:?}"))
    }

    /// What completes an operation repeats its argument or says nothing.
    pub(crate) fn check_echo(&self, call: &Call) -> Result<(), Unreadable> {
        let echo = call.result;
        if call.kind != Kind::Ok || echo.is_null() || echo == call.argument {
            return Ok(());
        }
        let value = |datum| self.log.values.value(datum);
        let f = self.log.function(call);
        let reason = format!(
            "{f} of {} ended ok as one of {}",
            value(call.argument),
            value(echo)
        );
        Err(self.unreadable(call, reason))
    }
}

/// The operation that a call is, doing `action`.
pub(crate) fn operation<A>(place: u32, call: &Call, action: A) -> Operation<A> {
    let returned = match call.kind {
        Kind::Info | Kind::Invoke => Moment::NEVER,
        Kind::Ok | Kind::Fail => Timestamp(call.end).into(),
    };
    Operation {
        action,
        invoke: Timestamp(call.invoke).into(),
        returned,
        call: place,
    }
}

/// Numbers values by their first mention.
#[derive(Debug)]
pub(crate) struct Numbering {
    /// The numbers of small whole numbers, plus one.
    dense: Vec<u32>,
    sparse: Table<u64, ValueId>,
    pub(crate) values: Vec<Datum>,
}

impl Numbering {
    /// For about so many values; `first` gets the number 0.
    pub(crate) fn new(calls: usize, first: Datum) -> Self {
        const ROOM: usize = 16;
        const LEAST: usize = 64;
        let mut numbering = Self {
            dense: vec![0; calls * ROOM + LEAST],
            sparse: Table::default(),
            values: Vec::with_capacity(calls / 2 + 1),
        };
        numbering.number(first);
        numbering
    }

    pub(crate) fn number(&mut self, value: Datum) -> ValueId {
        let next = self.values.len() as ValueId;
        let small = value
            .as_integer()
            .and_then(|number| usize::try_from(number).ok());
        let id = match small.and_then(|number| self.dense.get_mut(number)) {
            Some(slot) if *slot != 0 => *slot - 1,
            Some(slot) => {
                *slot = next + 1;
                next
            }
            None => *self.sparse.entry(value.bits()).or_insert(next),
        };
        if id == next {
            self.values.push(value);
        }
        id
    }
}

/// The calls by key, each key's in their order.
#[derive(Debug)]
pub(crate) struct Groups {
    places: Vec<u32>,
    ends: Vec<usize>,
}

impl Groups {
    pub(crate) fn of(log: &CallLog, is_keyed: bool) -> Self {
        let count = log.calls.len();
        if !is_keyed || log.keys.len() <= 1 {
            return Self {
                places: (0..count as u32).collect(),
                ends: vec![count],
            };
        }
        let mut ends = vec![0; log.keys.len()];
        for call in &log.calls {
            ends[call.key as usize] += 1;
        }
        let mut next: Vec<usize> = Vec::with_capacity(ends.len());
        let mut total = 0;
        for end in &mut ends {
            next.push(total);
            total += *end;
            *end = total;
        }
        let mut places = vec![0; count];
        for (place, call) in log.calls.iter().enumerate() {
            let at = &mut next[call.key as usize];
            places[*at] = place as u32;
            *at += 1;
        }
        Self { places, ends }
    }

    pub(crate) fn inputs<'h>(&'h self, log: &'h CallLog, is_keyed: bool) -> Vec<Input<'h>> {
        let mut start = 0;
        let mut inputs = Vec::with_capacity(self.ends.len());
        for (key, end) in self.ends.iter().enumerate() {
            let calls = &self.places[start..*end];
            start = *end;
            if !calls.is_empty() {
                let key = if is_keyed {
                    log.keys.get(key).and_then(Option::as_deref)
                } else {
                    None
                };
                inputs.push(Input { log, key, calls });
            }
        }
        inputs
    }
}
