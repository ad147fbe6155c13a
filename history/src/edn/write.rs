//! Writes a log as Jepsen's operations, one map a line.

use std::collections::HashMap;
use std::io::{self, Write};

use serde_json::Value;

use crate::{Call, CallLog, Datum, Kind, NEVER};

/// Writes all events in an order that keeps what their times say: what ended before another began stands before
/// it, and of one time only what a process did one after the other is ordered.
pub fn write_edn(log: &CallLog, mut sink: impl Write) -> io::Result<()> {
    let mut events: Vec<(u64, u32, bool)> = Vec::with_capacity(2 * log.calls.len());
    for (place, call) in log.calls.iter().enumerate() {
        events.push((call.invoke, place as u32, false));
        if call.end != NEVER {
            events.push((call.end, place as u32, true));
        }
    }
    events.sort_unstable_by_key(|(time, place, ends)| (*time, *ends, *place));
    let mut busy: HashMap<u64, u32> = HashMap::new();
    let is_keyed = log.keys.iter().any(Option::is_some);
    let mut number = 0_u64;
    let mut line = String::new();
    for of_one_time in events.chunk_by(|one, other| one.0 == other.0) {
        // Invocations first; one of a process that is still busy waits for what it waits for.
        let mut waiting = of_one_time.to_vec();
        while !waiting.is_empty() {
            let can_come = |event: &(u64, u32, bool)| {
                let call = &log.calls[event.1 as usize];
                let waits_for = busy.get(&call.process).copied();
                if event.2 {
                    waits_for == Some(event.1)
                } else {
                    waits_for.is_none()
                }
            };
            let next = waiting.iter().position(can_come).unwrap_or(0);
            let (time, place, ends) = waiting.remove(next);
            let call = &log.calls[place as usize];
            if ends {
                busy.remove(&call.process);
            } else {
                busy.insert(call.process, place);
            }
            line.clear();
            write_event(&mut line, log, call, ends, is_keyed, (time, number));
            number += 1;
            sink.write_all(line.as_bytes())?;
        }
    }
    sink.flush()
}

fn write_event(
    line: &mut String,
    log: &CallLog,
    call: &Call,
    ends: bool,
    is_keyed: bool,
    (time, number): (u64, u64),
) {
    let kind = match (ends, call.kind) {
        (false, _) => "invoke",
        (true, Kind::Ok) => "ok",
        (true, Kind::Fail) => "fail",
        (true, Kind::Info | Kind::Invoke) => "info",
    };
    let datum = match (ends, call.observed()) {
        (true, None) => call.result,
        _ => call.argument,
    };
    line.push_str(&format!(
        "{{:index {number}, :type :{kind}, :process {}, :f ",
        call.process
    ));
    write_name(line, log.function(call));
    line.push_str(", :value ");
    match log.key(call).filter(|_| is_keyed) {
        Some(key) => {
            line.push('[');
            write_value(line, &Value::String(key.to_owned()));
            line.push(' ');
            write_datum(line, log, datum);
            line.push(']');
        }
        None => write_datum(line, log, datum),
    }
    if !log.is_untimed {
        line.push_str(&format!(", :time {time}"));
    }
    if let Some(order) = call.order().filter(|_| ends) {
        line.push_str(&format!(", :order {order}"));
    }
    if let Some(observed) = call.observed().filter(|_| ends) {
        line.push_str(", :observed ");
        write_datum(line, log, observed);
    }
    if call.is_final() {
        line.push_str(", :final true");
    }
    line.push_str("}\n");
}

/// As a keyword where it can be one.
fn write_name(line: &mut String, name: &str) {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.*+!?<>=".contains(c);
    if !name.is_empty() && name.chars().all(is_plain) {
        line.push(':');
        line.push_str(name);
    } else {
        write_value(line, &Value::String(name.to_owned()));
    }
}

fn write_datum(line: &mut String, log: &CallLog, datum: Datum) {
    match datum.as_integer() {
        Some(number) => line.push_str(&number.to_string()),
        None => write_value(line, &log.values.value(datum)),
    }
}

fn write_value(line: &mut String, value: &Value) {
    match value {
        Value::Null => line.push_str("nil"),
        Value::Bool(it) => line.push_str(if *it { "true" } else { "false" }),
        Value::Number(number) => line.push_str(&number.to_string()),
        Value::String(text) => write_text(line, text),
        Value::Array(elements) => {
            line.push('[');
            for (place, element) in elements.iter().enumerate() {
                line.push_str(if place == 0 { "" } else { " " });
                write_value(line, element);
            }
            line.push(']');
        }
        Value::Object(fields) => {
            line.push('{');
            for (place, (name, value)) in fields.iter().enumerate() {
                line.push_str(if place == 0 { "" } else { ", " });
                write_text(line, name);
                line.push(' ');
                write_value(line, value);
            }
            line.push('}');
        }
    }
}

fn write_text(line: &mut String, text: &str) {
    line.push('"');
    for c in text.chars() {
        match c {
            '"' => line.push_str("\\\""),
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            '\t' => line.push_str("\\t"),
            '\r' => line.push_str("\\r"),
            other if other.is_control() => line.push_str(&format!("\\u{:04x}", u32::from(other))),
            other => line.push(other),
        }
    }
    line.push('"');
}
