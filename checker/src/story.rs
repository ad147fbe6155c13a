//! Tells a contradiction: the few operations, each with a name, and why they cannot all be true.

use serde_json::Value;

use crate::Violation;
use crate::model::ValueId;
use crate::moment::Moment;
use crate::operation::Operation;
use crate::register::{Action, INITIAL, Partition};

/// A contradiction in the making. Operations enter it when they are first named.
pub(crate) struct Story<'p, 'h> {
    cast: Vec<Member<'p, 'h>>,
}

struct Member<'p, 'h> {
    name: String,
    operation: &'p Operation<Action>,
    partition: &'p Partition<'h>,
    without_effect: bool,
}

impl<'p, 'h> Story<'p, 'h> {
    /// An empty story.
    pub(crate) fn new() -> Self {
        Self { cast: Vec::new() }
    }

    /// The name of `operation`: `W1`, `R2`, `C1`.
    pub(crate) fn name(
        &mut self,
        partition: &'p Partition<'h>,
        operation: &'p Operation<Action>,
    ) -> String {
        if let Some(known) = self
            .cast
            .iter()
            .find(|member| member.operation.position == operation.position)
        {
            return known.name.clone();
        }
        let letter = match operation.action {
            Action::Read { .. } => 'R',
            Action::Write { .. } => 'W',
            Action::Cas { .. } | Action::Refused { .. } => 'C',
        };
        let alike = self
            .cast
            .iter()
            .filter(|member| member.name.starts_with(letter))
            .count();
        let name = format!("{letter}{}", alike + 1);
        self.cast.push(Member {
            name: name.clone(),
            operation,
            partition,
            without_effect: false,
        });
        name
    }

    /// The name of one that certainly had no effect.
    pub(crate) fn name_without_effect(
        &mut self,
        partition: &'p Partition<'h>,
        operation: &'p Operation<Action>,
    ) -> String {
        let name = self.name(partition, operation);
        if let Some(member) = self.cast.iter_mut().find(|member| member.name == name) {
            member.without_effect = true;
        }
        name
    }

    /// How many operations it has.
    pub(crate) fn len(&self) -> usize {
        self.cast.len()
    }

    /// The violation: what it is called, one sentence, and the argument that follows from the operations.
    pub(crate) fn end(self, class: &str, summary: String, argument: &str) -> Violation {
        let mut explanation = String::new();
        for member in &self.cast {
            let line = member.describe();
            explanation.push_str(&format!("{} = {line}\n", member.name));
        }
        explanation.push_str(argument);
        let operations = self.cast.iter().map(|member| member.operation);
        let first = operations.clone().map(|operation| operation.invoke).min();
        let last = operations
            .clone()
            .map(|operation| operation.last_heard)
            .max();
        let partition = self.cast.first().map(|member| member.partition);
        let is_one_key = self.cast.iter().all(|member| {
            partition.is_none_or(|partition| std::ptr::eq(partition, member.partition))
        });
        let mut indices: Vec<u64> = operations.map(|operation| operation.index).collect();
        indices.sort_unstable();
        Violation {
            class: class.to_owned(),
            key: partition
                .filter(|_| is_one_key)
                .and_then(|it| it.key)
                .map(str::to_owned),
            summary,
            explanation,
            operations: indices,
            window: (
                first.unwrap_or(Moment::BEFORE_ALL).timestamp(),
                last.unwrap_or(Moment::BEFORE_ALL).timestamp(),
            ),
        }
    }
}

impl Member<'_, '_> {
    fn describe(&self) -> String {
        let Operation {
            process,
            invoke,
            last_heard,
            ..
        } = self.operation;
        let call = self.partition.call(self.operation.action);
        let when = match self.operation.is_certain() {
            true => format!("[{invoke}, {last_heard}]"),
            false => format!("[{invoke}, outcome unknown]"),
        };
        let order = match self.operation.order {
            Some(order) => format!(", number {order} in the order of execution"),
            None => String::new(),
        };
        let failed = match (self.without_effect, self.operation.action) {
            (false, _) | (true, Action::Refused { .. }) => "",
            (true, _) => ", which failed",
        };
        format!("{call} by process {process} {when}{order}{failed}")
    }
}

impl Partition<'_> {
    /// A value in words.
    pub(crate) fn value(&self, value: ValueId) -> String {
        match self.values.get(value as usize) {
            Some(text) if value != INITIAL => shorten(text),
            _ => "nothing".to_owned(),
        }
    }

    /// The key in words.
    pub(crate) fn key_name(&self) -> &str {
        self.key.unwrap_or("the register")
    }

    /// An operation in words: `cas(k, 7 -> 9)`.
    pub(crate) fn call(&self, action: Action) -> String {
        let value = |value| self.value(value);
        let at = self.key.map(|key| format!("{key}, ")).unwrap_or_default();
        match action {
            Action::Read { saw } => {
                format!("read({}) = {}", self.key.unwrap_or_default(), value(saw))
            }
            Action::Write { value: written } => format!("write({at}{})", value(written)),
            Action::Cas { expected, new } => {
                format!("cas({at}{} -> {})", value(expected), value(new))
            }
            Action::Refused { expected, new, saw } => format!(
                "cas({at}{} -> {}) refused, saw {}",
                value(expected),
                value(new),
                value(saw)
            ),
        }
    }
}

/// A value as JSON, cut where it is long: foreign histories may carry documents.
fn shorten(value: &Value) -> String {
    const LONGEST: usize = 40;
    let text = value.to_string();
    match text.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text,
    }
}
