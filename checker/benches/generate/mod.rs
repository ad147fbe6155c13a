//! Histories of an honest service: clients that invoke one operation after the other, each executed at a moment
//! of its span.

use std::collections::VecDeque;
use std::io::Write;

use serde_json::{Value, json};
use viewstorm_history::{CallLog, CallLogBuilder, Datum, Kind, LogEvent, NEVER};

/// A history's size.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    pub(crate) keys: u64,
    pub(crate) clients: u64,
    pub(crate) operations: u64,
    /// Of a thousand operations, so many have an unknown outcome.
    pub(crate) unknown: u64,
}

/// What the clients do.
#[derive(Clone, Copy)]
pub(crate) enum Workload {
    /// Reads, writes and compare-and-sets as 50 to 35 to 15, of so many different values.
    Register {
        distinct: u64,
    },
    Counter,
    Queue,
    /// Reads of a list are as long as the list: there are few of them.
    List,
    Set,
    Mutex,
}

/// Numbers that look random: xorshift.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

struct Planned {
    begin: u64,
    point: u64,
    end: u64,
    process: u64,
    key: u64,
    is_unknown: bool,
}

struct Done {
    f: &'static str,
    argument: Value,
    result: Value,
}

/// A key's state, whatever the workload.
#[derive(Clone, Default)]
struct State {
    value: u64,
    old: u64,
    items: VecDeque<u64>,
    holder: Option<u64>,
}

/// Makes a history. A bad one has one read in the middle of a value that was overwritten long ago.
pub(crate) fn generate(size: Size, workload: Workload, is_bad: bool, ordered: bool) -> CallLog {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut planned = plan(size, &mut dice);
    planned.sort_by_key(|operation| operation.point);
    let mut states = vec![State::default(); size.keys as usize];
    let total = planned.len();
    let mut stale_pending = is_bad;
    let mut events: Vec<(u64, bool, u32)> = Vec::with_capacity(2 * total);
    let mut done: Vec<Done> = Vec::with_capacity(total);
    for (order, operation) in planned.iter().enumerate() {
        let state = &mut states[operation.key as usize];
        let fresh = order as u64 + 1;
        let mut what = execute(workload, state, operation, fresh, &mut dice);
        if stale_pending && order > total / 2 && what.f == "read" && state.old != 0 {
            stale_pending = operation.is_unknown;
            what.result = json!(state.old);
        }
        if what.f == "write" && state.old == 0 && order > total / 5 {
            state.old = fresh;
        }
        done.push(what);
        events.push((operation.begin, false, order as u32));
        events.push((operation.end, true, order as u32));
    }
    events.sort_unstable();
    build(&events, &planned, &done, workload, ordered)
}

fn build(
    events: &[(u64, bool, u32)],
    planned: &[Planned],
    done: &[Done],
    workload: Workload,
    ordered: bool,
) -> CallLog {
    let keys: Vec<String> = (0..1_000).map(|key| format!("k{key}")).collect();
    let mut builder = CallLogBuilder::default();
    builder.log.is_complete = true;
    let model = match workload {
        Workload::Register { .. } => "register",
        Workload::Counter => "counter",
        Workload::Queue => "queue",
        Workload::List => "list",
        Workload::Set => "set",
        Workload::Mutex => "mutex",
    };
    builder.log.model = Some(model.to_owned());
    builder.log.calls.reserve_exact(planned.len());
    for (time, ends, place) in events {
        let (operation, what) = (&planned[*place as usize], &done[*place as usize]);
        let (kind, value) = match (ends, operation.is_unknown) {
            (false, _) => (Kind::Invoke, &what.argument),
            (true, true) => (Kind::Info, &what.argument),
            (true, false) => (Kind::Ok, &what.result),
        };
        let value = builder.log.values.intern(value);
        let is_told = ordered && *ends && !operation.is_unknown;
        let event = LogEvent {
            time: *time,
            process: operation.process,
            kind,
            f: what.f,
            key: Some(&keys[operation.key as usize]),
            value,
            order: is_told.then_some(u64::from(*place) + 1),
            observed: None,
            index: None,
            is_final: false,
        };
        builder.push(&event).expect("one thing after the other");
    }
    builder.finish()
}

fn execute(
    workload: Workload,
    state: &mut State,
    operation: &Planned,
    fresh: u64,
    dice: &mut Dice,
) -> Done {
    let done = |f, argument: Value, result: Value| Done {
        f,
        argument,
        result,
    };
    let echo = |f, value: Value| done(f, value.clone(), value);
    match workload {
        Workload::Register { distinct } => {
            let fresh = if distinct == u64::MAX {
                fresh
            } else {
                1 + fresh % distinct
            };
            let held = if state.value == 0 {
                Value::Null
            } else {
                json!(state.value)
            };
            match dice.roll(100) {
                0..50 => done("read", Value::Null, held),
                50..85 => {
                    state.value = fresh;
                    echo("write", json!(fresh))
                }
                _ => {
                    state.value = fresh;
                    echo("cas", json!([held, fresh]))
                }
            }
        }
        Workload::Counter if dice.roll(2) == 0 => done("read", Value::Null, json!(state.value)),
        Workload::Counter => {
            let amount = 1 + dice.roll(5);
            state.value += amount;
            echo("add", json!(amount))
        }
        Workload::Queue if dice.roll(2) == 0 => {
            let front = state.items.pop_front();
            done("dequeue", Value::Null, json!(front))
        }
        Workload::Queue => {
            state.items.push_back(fresh);
            echo("enqueue", json!(fresh))
        }
        Workload::List | Workload::Set if dice.roll(20) == 0 && state.items.len() < 200 => {
            done("read", Value::Null, json!(state.items))
        }
        Workload::List => {
            state.items.push_back(fresh);
            echo("append", json!(fresh))
        }
        Workload::Set => {
            state.items.push_back(fresh);
            echo("add", json!(fresh))
        }
        Workload::Mutex if state.holder.take().is_some() => {
            done("release", Value::Null, Value::Null)
        }
        Workload::Mutex => {
            state.holder = Some(operation.process);
            done("acquire", Value::Null, Value::Null)
        }
    }
}

fn plan(size: Size, dice: &mut Dice) -> Vec<Planned> {
    let mut planned = Vec::with_capacity(size.operations as usize);
    let mut next_process = size.clients;
    let each = size.operations / size.clients;
    for client in 0..size.clients {
        let mut process = client;
        let mut time = dice.roll(1_000);
        for _ in 0..each {
            let begin = time + 1 + dice.roll(200);
            let end = begin + 100 + dice.roll(1_000);
            let is_unknown = dice.roll(1_000) < size.unknown;
            let late = if is_unknown { dice.roll(20_000) } else { 0 };
            let point = begin + dice.roll(end - begin) + late;
            let key = dice.roll(size.keys);
            planned.push(Planned {
                begin,
                point,
                end,
                process,
                key,
                is_unknown,
            });
            if is_unknown {
                process = next_process;
                next_process += 1;
            }
            time = end + 1;
        }
    }
    planned
}

/// The history as our own writer writes it.
pub(crate) fn json_lines(log: &CallLog) -> Vec<u8> {
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    for (place, call) in log.calls.iter().enumerate() {
        events.push((call.invoke, false, place));
        if call.end != NEVER {
            events.push((call.end, true, place));
        }
    }
    events.sort_unstable();
    let mut text = Vec::new();
    for (index, (time, ends, place)) in events.into_iter().enumerate() {
        let call = &log.calls[place];
        let (kind, datum) = match (ends, call.kind) {
            (false, _) => ("invoke", call.argument),
            (true, Kind::Ok) => ("ok", call.result),
            (true, _) => ("info", call.argument),
        };
        let value = if datum == Datum::NULL {
            Value::Null
        } else {
            log.values.value(datum)
        };
        let (f, key) = (log.function(call), log.key(call).unwrap_or_default());
        let process = call.process;
        let order = call.order().filter(|_| ends);
        let tail = match (ends, order) {
            (false, _) => format!(",\"intended\":{time}"),
            (true, Some(order)) => format!(",\"order\":{order}"),
            (true, None) => String::new(),
        };
        writeln!(
            text,
            "{{\"index\":{index},\"time\":{time},\"process\":{process},\"type\":\"{kind}\",\
             \"f\":\"{f}\",\"key\":\"{key}\",\"value\":{value}{tail}}}"
        )
        .expect("memory can be written");
    }
    text
}
