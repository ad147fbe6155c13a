//! Histories for tests: written by hand in a few words, or drawn at random, and the slow judge that
//! enumerates all orders.

use serde_json::{Value, json};
use viewstorm_history::{CallLog, History, Kind, OperationEvent, ProcessId, Timestamp};

use crate::model::Model;
use crate::moment::Moment;
use crate::operation::Operation;
use crate::partition::{Groups, Partition};
use crate::register::Register;

/// One operation of a history in the making.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    process: u64,
    span: (u64, u64),
    kind: Kind,
    f: &'static str,
    key: String,
    argument: Value,
    result: Value,
    observed: Option<Value>,
    order: Option<u64>,
    is_final: bool,
}

impl Line {
    fn new(process: u64, span: (u64, u64), f: &'static str, argument: Value) -> Self {
        let result = argument.clone();
        Self {
            process,
            span,
            kind: Kind::Ok,
            f,
            key: "k".to_owned(),
            argument,
            result,
            observed: None,
            order: None,
            is_final: false,
        }
    }

    pub(crate) fn key(self, key: &str) -> Self {
        Self {
            key: key.to_owned(),
            ..self
        }
    }

    pub(crate) fn order(self, order: u64) -> Self {
        Self {
            order: Some(order),
            ..self
        }
    }

    /// A write or compare-and-set that may have had an effect.
    pub(crate) fn is_write(&self) -> bool {
        self.f != "read" && self.kind != Kind::Fail
    }

    /// A compare-and-set that makes a value from a later one.
    pub(crate) fn is_cas_backwards(&self) -> bool {
        let pair = |place| self.argument.get(place).and_then(Value::as_u64);
        self.f == "cas" && pair(0) >= pair(1)
    }

    /// The value that a write or compare-and-set puts in place.
    pub(crate) fn written(&self) -> Option<u64> {
        self.argument.get(1).unwrap_or(&self.argument).as_u64()
    }

    /// A read that sees `value`; anything else stays as it is.
    pub(crate) fn seeing(self, value: Value) -> Self {
        match self.f {
            "read" => Self {
                result: value,
                ..self
            },
            _ => self,
        }
    }

    pub(crate) fn reported_order(&self) -> Option<u64> {
        self.order
    }

    pub(crate) fn at_the_end(self) -> Self {
        Self {
            is_final: true,
            ..self
        }
    }

    /// Its outcome is not known; the span ends where it was given up.
    pub(crate) fn info(self) -> Self {
        Self {
            kind: Kind::Info,
            ..self
        }
    }

    /// It failed, and nobody knows what it saw.
    pub(crate) fn fail(self) -> Self {
        Self {
            kind: Kind::Fail,
            ..self
        }
    }

    /// It failed, having seen `value`.
    pub(crate) fn saw(self, value: impl Into<Value>) -> Self {
        Self {
            observed: Some(value.into()),
            ..self.fail()
        }
    }

    fn events(&self) -> [OperationEvent; 2] {
        let event = |kind, time, value: &Value| {
            let mut extra = serde_json::Map::new();
            if self.is_final {
                extra.insert("final".to_owned(), Value::Bool(true));
            }
            let ends = kind != Kind::Invoke;
            OperationEvent {
                index: None,
                time: Timestamp(time),
                process: ProcessId(self.process),
                kind,
                f: self.f.to_owned(),
                key: Some(self.key.clone()),
                value: value.clone(),
                intended: None,
                order: self.order.filter(|_| ends),
                observed: self.observed.clone().filter(|_| ends),
                extra,
            }
        };
        [
            event(Kind::Invoke, self.span.0, &self.argument),
            event(self.kind, self.span.1, &self.result),
        ]
    }
}

pub(crate) fn write(process: u64, span: (u64, u64), value: u64) -> Line {
    Line::new(process, span, "write", json!(value))
}

pub(crate) fn read(process: u64, span: (u64, u64), value: impl Into<Value>) -> Line {
    Line {
        result: value.into(),
        ..Line::new(process, span, "read", Value::Null)
    }
}

pub(crate) fn cas(process: u64, span: (u64, u64), expected: impl Into<Value>, new: u64) -> Line {
    Line::new(process, span, "cas", json!([expected.into(), new]))
}

/// A history of the lines. Its events have no index: an operation is named by its invoke's place, which
/// [`place`] finds.
pub(crate) fn history(lines: &[Line]) -> Told {
    let operations = events(lines).into_iter().map(|(event, ..)| event).collect();
    Told::new(History {
        operations,
        ..History::default()
    })
}

/// A history in both its forms.
#[derive(Debug)]
pub(crate) struct Told {
    history: History,
    pub(crate) log: CallLog,
    groups: Groups,
}

impl Told {
    /// A history that is none too broken.
    pub(crate) fn new(history: History) -> Self {
        let log = CallLog::of(&history).expect("the test's history is well formed");
        let groups = Groups::of(&log, true);
        Self {
            history,
            log,
            groups,
        }
    }
}

impl std::ops::Deref for Told {
    type Target = History;

    fn deref(&self) -> &History {
        &self.history
    }
}

/// The number that a violation names the line by.
pub(crate) fn place(lines: &[Line], line: usize) -> u64 {
    let events = events(lines);
    let place = events
        .iter()
        .position(|(_, is_end, of)| *of == line && !is_end);
    place.unwrap_or_default() as u64
}

fn events(lines: &[Line]) -> Vec<(OperationEvent, bool, usize)> {
    let mut events = Vec::new();
    for (number, line) in lines.iter().enumerate() {
        let [begin, end] = line.events();
        events.push((begin, false, number));
        events.push((end, true, number));
    }
    // Of equal times, ends first unless they end what begins then: so a process may begin at once again.
    let begins_then = |number: usize| lines[number].span.0 == lines[number].span.1;
    events.sort_by_key(|(event, is_end, number)| {
        let rank = match (*is_end, begins_then(*number)) {
            (true, false) => 0,
            (false, _) => 1,
            (true, true) => 2,
        };
        (event.time, rank)
    });
    events
}

/// The partitions of a register history.
pub(crate) fn read_partitions(told: &Told) -> Vec<Partition<'_, Register>> {
    crate::judge::partitions(&told.log, &told.groups).expect("the test's operations are registers'")
}

/// Tries every order: whether one fits the times and the results. For up to nine operations or so.
pub(crate) fn brute_force<M: Model>(model: &M, operations: &[Operation<M::Action>]) -> bool {
    let mut left: Vec<&Operation<M::Action>> = operations.iter().collect();
    place_next(model, &mut left, &mut model.initial())
}

fn place_next<M: Model>(
    model: &M,
    left: &mut Vec<&Operation<M::Action>>,
    state: &mut M::State,
) -> bool {
    if left.iter().all(|operation| !operation.is_certain()) {
        return true;
    }
    let deadline = left
        .iter()
        .map(|operation| operation.returned)
        .min()
        .unwrap_or(Moment::NEVER);
    for place in 0..left.len() {
        if left[place].invoke > deadline {
            continue;
        }
        let Some(undo) = model.apply(state, &left[place].action) else {
            continue;
        };
        let operation = left.remove(place);
        let fits = place_next(model, left, state);
        left.insert(place, operation);
        model.undo(state, &operation.action, undo);
        if fits {
            return true;
        }
    }
    false
}

/// Numbers that look random and are the same in every run.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// One of 0 to `sides` - 1.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        (crate::hash::spread(self.0, 0x6469_6365) >> 32) as u64 % sides
    }
}

/// How random histories are drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    /// Operations at most.
    pub(crate) operations: u64,
    /// Of so many, times are drawn: few make ties.
    pub(crate) times: u64,
    /// Whether a value may be written twice.
    pub(crate) repeats: bool,
}

/// A history of unrelated spans and likely values. Every operation is a process of its own.
pub(crate) fn draw(seed: u64, draw: Draw) -> Vec<Line> {
    let mut dice = Dice::new(seed.wrapping_mul(0x1_0000));
    let count = 2 + dice.roll(draw.operations - 1);
    let mut fresh = 0;
    (0..count)
        .map(|process| {
            let (one, other) = (dice.roll(draw.times), dice.roll(draw.times));
            let span = (one.min(other), one.max(other));
            let seen = |dice: &mut Dice| match dice.roll(count.min(5)) {
                0 => Value::Null,
                value => json!(value),
            };
            let mut value = |dice: &mut Dice| {
                fresh += 1;
                if draw.repeats {
                    1 + dice.roll(3)
                } else {
                    fresh
                }
            };
            let line = match dice.roll(8) {
                0..3 => read(process, span, seen(&mut dice)),
                3..5 => write(process, span, value(&mut dice)),
                5..7 => {
                    let expected = seen(&mut dice);
                    cas(process, span, expected, value(&mut dice))
                }
                _ => {
                    let (expected, saw) = (seen(&mut dice), seen(&mut dice));
                    return cas(process, span, expected, 1000 + process).saw(saw);
                }
            };
            match dice.roll(7) {
                0 => line.info(),
                1 if line.f != "read" && dice.roll(3) == 0 => line.fail(),
                _ => line,
            }
        })
        .collect()
}

/// A run of an honest service: sequential processes over two keys, each operation executed at some moment of
/// its span and numbered. Some outcomes get lost; of those some numbers are known. With `finals`, reads at
/// the end.
pub(crate) fn honest_run(seed: u64, processes: u64, each: u64, finals: bool) -> Vec<Line> {
    let mut run = HonestRun {
        dice: Dice::new(seed.wrapping_mul(0x1_0000)),
        ..HonestRun::default()
    };
    for process in 0..processes {
        run.plan(process, each);
    }
    run.planned
        .sort_by_key(|(point, sequence, _)| (*point, *sequence));
    let mut lines: Vec<Line> = Vec::new();
    for (_, _, line) in std::mem::take(&mut run.planned) {
        lines.extend(run.execute(line));
    }
    if finals {
        let end = lines.iter().map(|line| line.span.1).max().unwrap_or(0) + 1_000;
        for (number, key) in ["a", "b"].into_iter().enumerate() {
            let held = run.states.get(key).cloned().unwrap_or(Value::Null);
            let line = read(1_000 + number as u64, (end, end + 1), held)
                .key(key)
                .at_the_end();
            run.executed += 1;
            lines.push(line.order(run.executed));
        }
    }
    lines
}

#[derive(Clone, Debug)]
struct HonestRun {
    dice: Dice,
    planned: Vec<(u64, u64, Line)>,
    states: std::collections::BTreeMap<String, Value>,
    executed: u64,
    fresh: u64,
}

impl Default for HonestRun {
    fn default() -> Self {
        Self {
            dice: Dice::new(0),
            planned: Vec::new(),
            states: std::collections::BTreeMap::new(),
            executed: 0,
            fresh: 0,
        }
    }
}

impl HonestRun {
    /// Plans when a process does what; results come with the execution.
    fn plan(&mut self, process: u64, each: u64) {
        let mut time = self.dice.roll(10);
        for sequence in 0..each {
            let begin = time + self.dice.roll(3);
            let end = begin + 1 + self.dice.roll(8);
            let mut point = begin + self.dice.roll(end - begin + 1);
            let key = ["a", "b"][self.dice.roll(2) as usize];
            self.fresh += 1;
            let line = match self.dice.roll(4) {
                0 | 1 => read(process, (begin, end), Value::Null),
                2 => write(process, (begin, end), self.fresh),
                _ => cas(process, (begin, end), Value::Null, self.fresh),
            };
            let mut line = line.key(key);
            let is_lost = self.dice.roll(10) == 0;
            if is_lost {
                // It may be executed long after its client gave up.
                point = begin + self.dice.roll(60);
                line = line.info();
            }
            self.planned.push((point, sequence, line));
            time = end;
            if is_lost {
                return;
            }
        }
    }

    fn execute(&mut self, mut line: Line) -> Option<Line> {
        let is_lost = line.kind == Kind::Info;
        if is_lost && self.dice.roll(3) == 0 {
            // Never executed.
            return Some(line);
        }
        let held = self.states.get(&line.key).cloned().unwrap_or(Value::Null);
        // A read may be answered outside the log.
        if line.f != "read" || self.dice.roll(2) == 0 {
            self.executed += 1;
        }
        let is_numbered = !is_lost || self.dice.roll(2) == 0;
        line.order = is_numbered.then_some(self.executed);
        match line.f {
            "read" => line.result = if is_lost { Value::Null } else { held },
            "write" => {
                self.states.insert(line.key.clone(), line.argument.clone());
            }
            _ => {
                let new = line.argument[1].clone();
                let expects_right = self.dice.roll(3) > 0;
                let expected = if expects_right {
                    held.clone()
                } else {
                    json!(9_999)
                };
                line.argument = json!([expected, new]);
                line.result = line.argument.clone();
                if expects_right {
                    self.states.insert(line.key.clone(), new);
                } else if !is_lost {
                    line = line.saw(held);
                }
            }
        }
        Some(line)
    }
}
