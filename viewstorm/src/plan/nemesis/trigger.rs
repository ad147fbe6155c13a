//! What must happen for a fault to come, as a plan writes it: `on = "view-change"` and what goes with it.

use std::time::Duration;

use toml::de::DeValue;
use viewstorm_nemesis::{Capability, Trigger, TriggerEvent, When};
use viewstorm_protocol::NodeId;

use super::Around;
use super::fault::MESSAGE_KINDS;
use super::target::check_nodes;
use crate::plan::choice::Choice;
use crate::plan::error::PlanError;
use crate::plan::read::unknown_name;
use crate::plan::run::WorldKind;
use crate::plan::section::{Field, Refusal, Section};
use crate::plan::source::Span;
use crate::worlds;

/// The most times that a trigger brings its fault.
const MOST_TIMES: u32 = 1_000;

/// The events that there are triggers for, as a plan names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum EventName {
    ViewChange,
    Primary,
    StateTransfer,
    Message,
}

impl Choice for EventName {
    const ALL: &'static [(&'static str, Self)] = &[
        ("view-change", Self::ViewChange),
        ("primary", Self::Primary),
        ("state-transfer", Self::StateTransfer),
        ("message", Self::Message),
    ];
}

/// The name of an event.
pub(super) fn name_of(event: &TriggerEvent) -> &'static str {
    super::fault::name_of(match event {
        TriggerEvent::ViewChange => EventName::ViewChange,
        TriggerEvent::Primary => EventName::Primary,
        TriggerEvent::StateTransfer(_) => EventName::StateTransfer,
        TriggerEvent::Message { .. } => EventName::Message,
    })
}

/// The names of all events.
pub(super) fn names() -> Vec<&'static str> {
    EventName::ALL.iter().map(|(name, _)| *name).collect()
}

/// Reads `on` and what goes with it; none if something is wrong. `from` is when the fault is armed, `count`
/// which event it waits for.
pub(super) fn read(
    section: &mut Section<'_, '_>,
    from: Duration,
    count: Option<u32>,
    around: &Around<'_>,
) -> Option<When> {
    let name = section.choice::<EventName>("on");
    let after = section
        .duration("after", Duration::ZERO)
        .known(Duration::ZERO);
    let times = section.integer("times", 1..=MOST_TIMES).known(1);
    let replica = section.node("replica", around);
    let kind = section.kind("kind");
    let (sender, receiver) = (section.node("from", around), section.node("to", around));
    let Field::Here(name, span) = name else {
        return None;
    };
    let mut is_right = true;
    for (key, field, of) in [
        ("replica", replica.span(), EventName::StateTransfer),
        ("kind", kind.span(), EventName::Message),
        ("from", sender.span(), EventName::Message),
        ("to", receiver.span(), EventName::Message),
    ] {
        if let Some(stray) = field.filter(|_| of != name) {
            is_right = false;
            let title = format!("`{key}` says nothing about this event");
            let label = format!("goes with `on = \"{}\"`", super::fault::name_of(of));
            section.note(PlanError::at(stray, title, label).and(Some(&span), "the event"));
        }
    }
    let event = match name {
        EventName::ViewChange => TriggerEvent::ViewChange,
        EventName::Primary => TriggerEvent::Primary,
        EventName::StateTransfer => {
            let replica = replica.known_some()?;
            TriggerEvent::StateTransfer(match replica {
                Some(node) => Some(node.as_replica()?),
                None => None,
            })
        }
        EventName::Message => {
            check_world(section, &span, around)?;
            if kind.is_absent() {
                let title = "this fault does not say which message it waits for";
                let error = PlanError::at(&span, title, "needs the message's kind");
                section.note(
                    error
                        .help("for example `kind = \"DoViewChange\"`")
                        .missing(),
                );
            }
            TriggerEvent::Message {
                kind: kind.value()?,
                from: sender.known_some()?,
                to: receiver.known_some()?,
            }
        }
    };
    let trigger = Trigger {
        event,
        count: count.unwrap_or(1),
        after: after?.0,
        from,
    };
    is_right.then_some(When::On {
        trigger,
        times: times?.0,
    })
}

/// What goes with `on` alone.
pub(super) fn check_stray(section: &mut Section<'_, '_>) -> bool {
    let mut is_right = true;
    for key in ["after", "times", "kind", "from", "to", "replica"] {
        if let Some((_, span)) = section.take(key) {
            is_right = false;
            let title = format!("`{key}` is about a fault that waits for something");
            let error = PlanError::at(&span, title, "needs `on`");
            section.note(error.help("for example `on = \"view-change\"`"));
        }
    }
    is_right
}

/// A world that cannot look at messages as they pass cannot wait for one.
fn check_world(section: &Section<'_, '_>, on: &Span, around: &Around<'_>) -> Option<()> {
    let can = |world| worlds::capabilities(world).contains(&Capability::Watch);
    let Some((world, span)) = &around.world else {
        return Some(());
    };
    if can(*world) {
        return Some(());
    }
    let able = WorldKind::ALL.iter().filter(|(_, world)| can(*world));
    let able: Vec<String> = able
        .map(|(name, _)| format!("`world.kind = \"{name}\"`"))
        .collect();
    let title = format!("the world \"{world}\" cannot wait for a message");
    let label = format!("needs {}", able.join(" or "));
    section.note(PlanError::at(on, title, label).and(span.as_ref(), "the world"));
    None
}

impl Section<'_, '_> {
    /// A node.
    fn node(&mut self, key: &'static str, around: &Around<'_>) -> Field<NodeId> {
        const EXPECTED: &str = "expected a node, such as \"r1\"";
        self.read(key, |value| {
            let DeValue::String(text) = &value else {
                return Err(Refusal::wrong_type(
                    &value,
                    "a node",
                    "a node, such as \"r1\"",
                ));
            };
            let node = text.parse::<NodeId>();
            let node = node.map_err(|_| Refusal::value("is no node", EXPECTED))?;
            check_nodes(&[node], around)?;
            if key == "replica" && node.as_replica().is_none() {
                return Err(Refusal::value(
                    "is no replica",
                    "expected a replica, such as \"r1\"",
                ));
            }
            Ok(node)
        })
    }

    /// A kind of message.
    fn kind(&mut self, key: &'static str) -> Field<String> {
        self.read(key, |value| match value {
            DeValue::String(text) if MESSAGE_KINDS.contains(&text.as_ref()) => {
                Ok(text.into_owned())
            }
            DeValue::String(text) => Err(unknown_name(&text, MESSAGE_KINDS.iter().copied())),
            other => Err(Refusal::wrong_type(
                &other,
                "a kind of message",
                "such a kind in quotes",
            )),
        })
    }
}
