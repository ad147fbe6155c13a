//! Triggers: what must happen in a run for a fault to come.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use viewstorm_protocol::{NodeId, ReplicaId, Status, ViewNumber};

use crate::{Flow, Observation, TapWatch};

/// What must happen for a fault to come, and how long after it the fault comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// What must happen.
    pub event: TriggerEvent,
    /// How often, from 1: the fault comes at this one.
    pub count: u32,
    /// So long after it.
    pub after: Duration,
    /// What happens before this, counted from the start of the load, does not count.
    pub from: Duration,
}

/// Something that can happen in a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerEvent {
    /// A replica begins to change to a view higher than all that were known.
    ViewChange,
    /// A replica is primary of a view higher than all that had one.
    Primary,
    /// A replica, or this one, begins to fetch what it missed.
    StateTransfer(Option<ReplicaId>),
    /// A message passes a tap: its sender's or, where only the receiver is said, its receiver's.
    Message {
        /// Its kind.
        kind: String,
        /// Who sends it; none: anybody.
        from: Option<NodeId>,
        /// Who receives it; none: anybody.
        to: Option<NodeId>,
    },
}

impl TriggerEvent {
    /// At whose tap it is watched for and how; none if it needs no watch.
    pub(crate) fn watch(&self, id: u64) -> Option<(Option<NodeId>, TapWatch)> {
        let Self::Message { kind, from, to } = self else {
            return None;
        };
        let (node, flow, peer) = match (from, to) {
            (None, Some(to)) => (Some(*to), Flow::Receive, None),
            (from, to) => (*from, Flow::Send, *to),
        };
        Some((
            node,
            TapWatch {
                id,
                flow,
                peer,
                kind: kind.clone(),
            },
        ))
    }

    /// Whether what was seen is such an event; `id` names the watch of the fault that waits for it.
    pub(crate) fn is(&self, sighting: Sighting, id: u64) -> bool {
        match (self, sighting) {
            (Self::ViewChange, Sighting::ViewChange) | (Self::Primary, Sighting::Primary) => true,
            (Self::StateTransfer(wanted), Sighting::StateTransfer(replica)) => {
                wanted.is_none_or(|wanted| wanted == replica)
            }
            (Self::Message { .. }, Sighting::Message(watch)) => watch == id,
            _ => false,
        }
    }
}

/// Something that a trigger may wait for has happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    ViewChange,
    Primary,
    StateTransfer(ReplicaId),
    Message(u64),
}

/// Sees events in what replicas say of their roles.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sightings {
    view: ViewNumber,
    primary_view: Option<ViewNumber>,
    transferring: BTreeSet<ReplicaId>,
}

impl Sightings {
    /// What has happened by this observation.
    pub(crate) fn see(&mut self, observation: &Observation) -> Option<Sighting> {
        let (replica, status, view, is_primary) = match observation {
            Observation::Role {
                replica,
                status,
                view,
                primary,
            } => (*replica, *status, *view, *primary),
            Observation::Exited { replica, .. } => {
                self.transferring.remove(replica);
                return None;
            }
            Observation::MessageSeen { watch } => return Some(Sighting::Message(*watch)),
            _ => return None,
        };
        let is_new_view = view > self.view;
        self.view = self.view.max(view);
        let was_transferring = match status {
            Status::StateTransfer => !self.transferring.insert(replica),
            _ => self.transferring.remove(&replica),
        };
        match status {
            Status::ViewChange if is_new_view => Some(Sighting::ViewChange),
            Status::StateTransfer if !was_transferring => Some(Sighting::StateTransfer(replica)),
            Status::Normal if is_primary && self.primary_view.is_none_or(|last| view > last) => {
                self.primary_view = Some(view);
                Some(Sighting::Primary)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Trigger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            Duration::ZERO => {}
            after => write!(f, "{after:?} after ")?,
        }
        match self.count {
            1 => {}
            count => write!(f, "number {count} of: ")?,
        }
        self.event.fmt(f)?;
        match self.from {
            Duration::ZERO => Ok(()),
            from => write!(f, ", counted from {from:?} on"),
        }
    }
}

impl fmt::Display for TriggerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ViewChange => f.write_str("a view change"),
            Self::Primary => f.write_str("a new primary"),
            Self::StateTransfer(None) => f.write_str("a state transfer"),
            Self::StateTransfer(Some(replica)) => write!(f, "a state transfer to {replica}"),
            Self::Message { kind, from, to } => {
                write!(f, "a {kind}")?;
                if let Some(from) = from {
                    write!(f, " from {from}")?;
                }
                match to {
                    Some(to) => write!(f, " to {to}"),
                    None => Ok(()),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(replica: u16, status: Status, view: u64, primary: bool) -> Observation {
        let (replica, view) = (ReplicaId(replica), ViewNumber::new(view));
        Observation::Role {
            replica,
            status,
            view,
            primary,
        }
    }

    #[test]
    fn each_view_begins_once_and_has_one_first_primary() {
        let mut sightings = Sightings::default();
        let mut see = |observation| sightings.see(&observation);
        assert_eq!(
            see(role(0, Status::Normal, 0, true)),
            Some(Sighting::Primary)
        );
        assert_eq!(
            see(role(1, Status::ViewChange, 1, false)),
            Some(Sighting::ViewChange)
        );
        assert_eq!(see(role(2, Status::ViewChange, 1, false)), None);
        assert_eq!(
            see(role(1, Status::Normal, 1, true)),
            Some(Sighting::Primary)
        );
        assert_eq!(see(role(1, Status::Normal, 1, true)), None);
        let transfer = Some(Sighting::StateTransfer(ReplicaId(2)));
        assert_eq!(see(role(2, Status::StateTransfer, 1, false)), transfer);
        assert_eq!(see(role(2, Status::StateTransfer, 1, false)), None);
        assert_eq!(see(role(2, Status::Normal, 1, false)), None);
        assert_eq!(see(role(2, Status::StateTransfer, 1, false)), transfer);
    }

    #[test]
    fn triggers_read_as_what_must_happen() {
        let event = TriggerEvent::Message {
            kind: "DoViewChange".to_owned(),
            from: Some(NodeId::replica(1)),
            to: None,
        };
        let trigger = Trigger {
            event,
            count: 2,
            after: Duration::from_millis(5),
            from: Duration::from_secs(3),
        };
        let text = "5ms after number 2 of: a DoViewChange from r1, counted from 3s on";
        assert_eq!(trigger.to_string(), text);
    }
}
