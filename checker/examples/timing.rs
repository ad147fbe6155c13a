//! Measures the checker: `cargo run --release -p viewstorm-checker --example timing`.
//!
//! Histories of an honest service are made in memory, written as JSON lines, read back and judged; each also
//! with one stale read.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};
use viewstorm_checker::{CheckOptions, SearchBudget, check};
use viewstorm_history::{
    Entry, FORMAT_VERSION, Header, History, HistoryWriter, Kind, OperationEvent, ProcessId, Seed,
    Timestamp,
};

/// A history's size.
#[derive(Clone, Copy)]
struct Size {
    keys: u64,
    clients: u64,
    operations: u64,
    /// Of a thousand operations, so many have an unknown outcome.
    unknown: u64,
}

const fn size(keys: u64, clients: u64, operations: u64, unknown: u64) -> Size {
    Size {
        keys,
        clients,
        operations,
        unknown,
    }
}

const SIZES: &[Size] = &[
    size(5, 12, 50_000, 2),
    size(10, 12, 100_000, 10),
    size(1, 5, 100_000, 0),
    size(1, 10, 10_000, 0),
    size(10, 50, 100_000, 0),
    size(10, 5, 1_000_000, 0),
    size(100, 50, 1_000_000, 0),
    size(100, 5, 1_000_000, 10),
];

fn main() {
    println!(
        "keys/clients/operations/unknown | read | zones + order, ok | bad | with search, ok | bad"
    );
    for size in SIZES {
        let good = written_and_read(&make(*size, false));
        let bad = written_and_read(&make(*size, true));
        let no_search = CheckOptions {
            search_budget: SearchBudget {
                steps: 0,
                configurations: 0,
            },
            ..CheckOptions::default()
        };
        let all = CheckOptions::default();
        println!(
            "{}/{}/{}/{} per mille | {:?} | {} | {} | {} | {}",
            size.keys,
            size.clients,
            size.operations,
            size.unknown,
            good.1,
            judged(&good.0, &no_search),
            judged(&bad.0, &no_search),
            judged(&good.0, &all),
            judged(&bad.0, &all),
        );
    }
}

fn judged(history: &History, options: &CheckOptions) -> String {
    let start = Instant::now();
    let verdict = check(history, options).expect("the names are the defaults");
    let took = start.elapsed();
    format!("{:.1} ms {}", took.as_secs_f64() * 1e3, verdict.validity)
}

fn written_and_read(history: &History) -> (History, Duration) {
    let header = history.header.as_ref().expect("made with one");
    let mut writer = HistoryWriter::new(Vec::new(), header).expect("memory can be written");
    for event in &history.operations {
        writer
            .entry(&Entry::Operation(event.clone()))
            .expect("memory can be written");
    }
    let end = viewstorm_history::End {
        time: Timestamp::MAX,
        interrupted: None,
        extra: Map::new(),
    };
    let bytes = writer.end(&end).expect("memory can be written");
    let start = Instant::now();
    let read = History::read(bytes.as_slice()).expect("just written");
    (read, start.elapsed())
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

/// An operation that is executed at a moment of its span.
struct Planned {
    begin: u64,
    point: u64,
    end: u64,
    process: u64,
    key: u64,
    is_unknown: bool,
}

/// Clients that invoke one operation after the other; reads, writes and compare-and-sets as 50 to 35 to 15.
fn make(size: Size, has_stale_read: bool) -> History {
    let mut dice = Dice(0x2545_f491_4f6c_dd1d);
    let mut planned = plan(size, &mut dice);
    planned.sort_by_key(|operation| operation.point);
    let mut states = vec![Value::Null; size.keys as usize];
    let mut old = vec![Value::Null; size.keys as usize];
    let mut events = Vec::with_capacity(planned.len() * 2 + 2);
    let total = planned.len();
    let mut stale_pending = has_stale_read;
    for (order, operation) in planned.into_iter().enumerate() {
        let key = operation.key as usize;
        let mut event = event(&operation, order as u64);
        let fresh = json!(order + 1);
        match dice.roll(100) {
            0..50 => {
                event.f = "read".to_owned();
                event.value = states[key].clone();
                if stale_pending && order > total / 2 && !old[key].is_null() {
                    event.value = old[key].clone();
                    stale_pending = false;
                }
            }
            50..85 => {
                event.f = "write".to_owned();
                event.value = fresh.clone();
                // Long ago, so that it is certainly stale.
                if order % 97 == 0 && order < total / 3 {
                    old[key] = fresh.clone();
                }
                states[key] = fresh;
            }
            _ => {
                event.f = "cas".to_owned();
                event.value = json!([states[key], fresh]);
                states[key] = fresh;
            }
        }
        push(&mut events, event, &operation);
    }
    final_reads(&mut events, &states, total as u64);
    events.sort_by_key(|event: &OperationEvent| event.time);
    for (index, event) in events.iter_mut().enumerate() {
        event.index = Some(index as u64);
    }
    let header = Header {
        format: FORMAT_VERSION,
        experiment: "timing".to_owned(),
        seed: Seed(1),
        model: "register".to_owned(),
        extra: Map::new(),
    };
    let end = None;
    History {
        header: Some(header),
        operations: events,
        faults: Vec::new(),
        end,
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

fn event(operation: &Planned, order: u64) -> OperationEvent {
    OperationEvent {
        index: None,
        time: Timestamp(operation.begin),
        process: ProcessId(operation.process),
        kind: Kind::Invoke,
        f: String::new(),
        key: Some(format!("k{}", operation.key)),
        value: Value::Null,
        intended: None,
        order: Some(order + 1),
        observed: None,
        extra: Map::new(),
    }
}

fn push(events: &mut Vec<OperationEvent>, event: OperationEvent, operation: &Planned) {
    let kind = if operation.is_unknown {
        Kind::Info
    } else {
        Kind::Ok
    };
    let begin = OperationEvent {
        order: None,
        value: if event.f == "read" {
            Value::Null
        } else {
            event.value.clone()
        },
        ..event.clone()
    };
    let order = event.order.filter(|_| !operation.is_unknown);
    events.push(begin);
    events.push(OperationEvent {
        kind,
        order,
        time: Timestamp(operation.end),
        ..event
    });
}

fn final_reads(events: &mut Vec<OperationEvent>, states: &[Value], executed: u64) {
    let last = events.iter().map(|event| event.time.0).max().unwrap_or(0) + 100_000;
    for (key, state) in states.iter().enumerate() {
        let operation = Planned {
            begin: last,
            point: last,
            end: last + 10,
            process: u64::MAX - key as u64,
            key: key as u64,
            is_unknown: false,
        };
        let mut event = event(&operation, executed + key as u64);
        event.f = "read".to_owned();
        event.value = state.clone();
        event.extra.insert("final".to_owned(), Value::Bool(true));
        push(events, event, &operation);
    }
}
