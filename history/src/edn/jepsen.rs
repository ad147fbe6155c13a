//! From Jepsen's operations to calls.

use std::collections::HashMap;

use super::parse::{EdnFault, Parser};
use super::value::Edn;
use crate::reader::malformed;
use crate::{CallLog, CallLogBuilder, Kind, LogEvent, Place, ReadError};

/// An event counts so many nanoseconds where events have no times.
const EVENT_NANOS: u64 = 1_000_000;

/// What the text alone does not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EdnOptions {
    /// Whether each value is a pair of a key and the value (`jepsen.independent`). Default: what the values
    /// look like.
    pub keyed: Option<bool>,
}

/// One operation's event.
struct Event {
    at: usize,
    process: u64,
    kind: Kind,
    f: String,
    value: Edn,
    map: Edn,
}

impl CallLog {
    /// Reads a history in EDN.
    pub fn read_edn(text: &str, options: EdnOptions) -> Result<Self, ReadError> {
        let say = |fault: EdnFault| error_at(text, fault.at, fault.reason);
        let events = events(text).map_err(say)?;
        let is_keyed = options.keyed.unwrap_or_else(|| looks_keyed(&events));
        let times = times(&events);
        let mut builder = CallLogBuilder::default();
        builder.log.is_untimed = times.is_none();
        builder.log.is_complete = true;
        builder.log.calls.reserve(events.len() / 2 + 1);
        let mut keys: HashMap<u64, Option<String>> = HashMap::new();
        for (place, event) in events.iter().enumerate() {
            let (key, value) = key_and_value(event, is_keyed, &mut keys).map_err(say)?;
            let time = match &times {
                Some(times) => times[place],
                None => (place as u64).saturating_mul(EVENT_NANOS),
            };
            let count = |name| event.map.get(name).and_then(Edn::as_count);
            let value = builder.log.values.intern(&value.to_json());
            let observed = event.map.get("observed");
            let observed = observed.map(|value| builder.log.values.intern(&value.to_json()));
            let event = LogEvent {
                time,
                process: event.process,
                kind: event.kind,
                f: &event.f,
                key: key.as_deref(),
                value,
                order: count("order"),
                observed,
                index: count("index"),
                is_final: event.map.get("final") == Some(&Edn::Boolean(true)),
            };
            builder.push(&event).map_err(|source| ReadError::Pair {
                place: place_of(text, events[place].at),
                source,
            })?;
        }
        Ok(builder.finish())
    }
}

/// Reads all operations of clients.
fn events(text: &str) -> Result<Vec<Event>, EdnFault> {
    let mut parser = Parser::new(text);
    let mut events = Vec::new();
    let mut is_inside = false;
    loop {
        if !is_inside && parser.enter()? {
            is_inside = true;
        }
        if is_inside && parser.leave()? {
            is_inside = false;
            continue;
        }
        match parser.next_value()? {
            Some((at, map)) => events.extend(event(at, map)?),
            None if is_inside => {
                let (at, reason) = (parser.position(), "the list of operations is not closed");
                return Err(EdnFault {
                    at,
                    reason: reason.to_owned(),
                });
            }
            None => return Ok(events),
        }
    }
}

/// The event of one map; none if it is not a client's.
fn event(at: usize, map: Edn) -> Result<Option<Event>, EdnFault> {
    let fault = |reason: &str| EdnFault {
        at,
        reason: reason.to_owned(),
    };
    if !matches!(map, Edn::Map(_)) {
        return Err(fault(
            "expected an operation: a map with :process, :type and :f",
        ));
    }
    let process = match map.get("process") {
        Some(Edn::Integer(process)) => {
            u64::try_from(*process).map_err(|_| fault("a process has a number from 0 on"))?
        }
        Some(Edn::Keyword(_) | Edn::Text(_) | Edn::Nil) => return Ok(None),
        Some(_) => return Err(fault(":process is neither a number nor a keyword")),
        None => return Err(fault("the operation has no :process")),
    };
    let kind = match map.get("type").and_then(Edn::name) {
        Some("invoke") => Kind::Invoke,
        Some("ok") => Kind::Ok,
        Some("fail") => Kind::Fail,
        Some("info") => Kind::Info,
        Some(_) => return Err(fault(":type is none of :invoke, :ok, :fail and :info")),
        None => return Err(fault("the operation has no :type")),
    };
    let f = map
        .get("f")
        .and_then(Edn::name)
        .ok_or_else(|| fault("the operation has no :f"))?;
    let f = f.to_owned();
    let value = map.get("value").cloned().unwrap_or(Edn::Nil);
    Ok(Some(Event {
        at,
        process,
        kind,
        f,
        value,
        map,
    }))
}

/// Whether all invocations carry pairs, some of them such as nothing but a key would make.
fn looks_keyed(events: &[Event]) -> bool {
    let invokes = || events.iter().filter(|event| event.kind == Kind::Invoke);
    let are_pairs = invokes().all(|event| event.value.as_pair().is_some());
    let shows_key = |event: &Event| match (event.f.as_str(), event.value.as_pair()) {
        ("txn", _) => false,
        ("cas", Some((_, inner))) => inner.as_pair().is_some(),
        (_, Some((key, Edn::Nil))) => !matches!(key, Edn::List(_) | Edn::Map(_)),
        _ => false,
    };
    are_pairs && invokes().any(shows_key)
}

/// Their times, made to increase from event to event; none unless all have one and none goes back.
fn times(events: &[Event]) -> Option<Vec<u64>> {
    let mut times = Vec::with_capacity(events.len());
    let (mut latest, mut told) = (None::<u64>, 0);
    for event in events {
        let time = event.map.get("time").and_then(Edn::as_count)?;
        if time < told {
            return None;
        }
        told = time;
        let next = latest.map_or(time, |latest| time.max(latest + 1));
        latest = Some(next);
        times.push(next);
    }
    Some(times)
}

/// A completion's key is its invocation's.
fn key_and_value(
    event: &Event,
    is_keyed: bool,
    keys: &mut HashMap<u64, Option<String>>,
) -> Result<(Option<String>, Edn), EdnFault> {
    let named = event.map.get("key").map(Edn::key_text);
    if !is_keyed {
        return Ok((named, event.value.clone()));
    }
    let pair = event.value.as_pair();
    if event.kind == Kind::Invoke {
        let Some((key, value)) = pair else {
            let reason = "the value of a keyed history is a pair of the key and the value";
            return Err(EdnFault {
                at: event.at,
                reason: reason.to_owned(),
            });
        };
        let key = Some(key.key_text());
        keys.insert(event.process, key.clone());
        return Ok((key, value.clone()));
    }
    let key = keys.get(&event.process).cloned().flatten();
    let value = pair.filter(|(own, _)| Some(own.key_text()) == key);
    Ok((key, value.map_or(Edn::Nil, |(_, value)| value.clone())))
}

fn place_of(text: &str, at: usize) -> Place {
    let before = &text.as_bytes()[..at.min(text.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() as u64 + 1;
    let begin = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[begin..]).chars().count() as u64 + 1;
    Place { line, column }
}

fn error_at(text: &str, at: usize, reason: String) -> ReadError {
    let rest = text.as_bytes().get(at..).unwrap_or_default();
    let line = rest.split(|byte| *byte == b'\n').next().unwrap_or_default();
    malformed(place_of(text, at), reason, line)
}
