//! Tells a contradiction: the few operations, each with a name, and why they cannot all be true.

use viewstorm_history::{Call, CallLog, Kind, NEVER, Timestamp};

use crate::Violation;
use crate::moment::Moment;
use crate::partition::words;

/// A contradiction in the making. Operations enter it when they are first named.
pub(crate) struct Story<'h> {
    log: &'h CallLog,
    cast: Vec<Member>,
}

struct Member {
    name: String,
    call: u32,
    without_effect: bool,
}

impl<'h> Story<'h> {
    /// An empty story.
    pub(crate) fn new(log: &'h CallLog) -> Self {
        Self {
            log,
            cast: Vec::new(),
        }
    }

    /// The name of a call: its operation's letter and a number, as `W1`, `R2`, `C1`.
    pub(crate) fn name(&mut self, call: u32) -> String {
        if let Some(known) = self.cast.iter().find(|member| member.call == call) {
            return known.name.clone();
        }
        let f = self.log.function(&self.log.calls[call as usize]);
        let letter = f.chars().next().unwrap_or('O').to_ascii_uppercase();
        let alike = self
            .cast
            .iter()
            .filter(|member| member.name.starts_with(letter))
            .count();
        let name = format!("{letter}{}", alike + 1);
        self.cast.push(Member {
            name: name.clone(),
            call,
            without_effect: false,
        });
        name
    }

    /// The name of one that certainly had no effect.
    pub(crate) fn name_without_effect(&mut self, call: u32) -> String {
        let name = self.name(call);
        if let Some(member) = self.cast.iter_mut().find(|member| member.call == call) {
            member.without_effect = true;
        }
        name
    }

    /// The calls that it has named so far.
    pub(crate) fn calls(&self) -> Vec<u32> {
        self.cast.iter().map(|member| member.call).collect()
    }

    /// How many operations it has.
    pub(crate) fn len(&self) -> usize {
        self.cast.len()
    }

    /// The violation: what it is called, one sentence, and the argument that follows from the operations.
    pub(crate) fn end(self, class: &str, summary: String, argument: &str) -> Violation {
        let mut explanation = String::new();
        for member in &self.cast {
            let line = self.describe(member);
            explanation.push_str(&format!("{} = {line}\n", member.name));
        }
        explanation.push_str(argument);
        let calls = || {
            self.cast
                .iter()
                .map(|member| &self.log.calls[member.call as usize])
        };
        let first = calls().map(|call| call.invoke).min();
        let last = calls().map(last_heard).max();
        let mut keys = calls().map(|call| self.log.key(call));
        let key = keys.next().flatten();
        let is_one_key = keys.all(|other| other == key);
        let mut indices: Vec<u64> = calls().map(|call| call.index).collect();
        indices.sort_unstable();
        Violation {
            class: class.to_owned(),
            key: key.filter(|_| is_one_key).map(str::to_owned),
            summary,
            explanation,
            operations: indices,
            window: (Timestamp(first.unwrap_or(0)), Timestamp(last.unwrap_or(0))),
        }
    }

    fn describe(&self, member: &Member) -> String {
        let call = &self.log.calls[member.call as usize];
        let what = call_words(self.log, call);
        let invoke = Moment::from(Timestamp(call.invoke));
        let when = match call.kind {
            Kind::Ok | Kind::Fail => {
                format!("[{invoke}, {}]", Moment::from(Timestamp(call.end)))
            }
            Kind::Info | Kind::Invoke => format!("[{invoke}, outcome unknown]"),
        };
        let order = match call.order() {
            Some(order) => format!(", number {order} in the order of execution"),
            None => String::new(),
        };
        let is_told = call.observed().is_some() && self.log.function(call) == "cas";
        let failed = if member.without_effect && !is_told {
            ", which failed"
        } else {
            ""
        };
        format!("{what} by process {} {when}{order}{failed}", call.process)
    }
}

fn last_heard(call: &Call) -> u64 {
    if call.end == NEVER {
        call.invoke
    } else {
        call.end
    }
}

/// A call in words: `cas(k, 7 -> 9)`, `read(k) = 7`.
pub(crate) fn call_words(log: &CallLog, call: &Call) -> String {
    let f = log.function(call);
    let argument = match (f, log.values.pair(call.argument)) {
        ("cas", Some([expected, new])) => {
            format!("{} -> {}", words(log, expected), words(log, new))
        }
        _ if call.argument.is_null() => String::new(),
        _ => words(log, call.argument),
    };
    let inside = match (log.key(call), argument.is_empty()) {
        (Some(key), true) => key.to_owned(),
        (Some(key), false) => format!("{key}, {argument}"),
        (None, _) => argument,
    };
    let is_read = call.argument.is_null() && !matches!(f, "acquire" | "release");
    let result = match (call.observed(), call.kind) {
        (Some(saw), _) if f == "cas" => format!(" refused, saw {}", words(log, saw)),
        (Some(saw), _) => format!(" = {}", words(log, saw)),
        (None, Kind::Ok) if is_read => format!(" = {}", words(log, call.result)),
        (None, Kind::Ok) if !call.result.is_null() && call.result != call.argument => {
            format!(" = {}", words(log, call.result))
        }
        _ => String::new(),
    };
    format!("{f}({inside}){result}")
}
