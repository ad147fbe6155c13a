//! What the nemesis knows of the replicas, from what it was told and what it ordered.

use viewstorm_history::Timestamp;
use viewstorm_protocol::{Incarnation, NodeId, ReplicaId, Status, ViewNumber};

use crate::machine::Ending;
use crate::{Observation, Topology};

/// All replicas.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    replicas: Vec<Replica>,
}

/// One replica.
#[derive(Clone, Debug)]
pub(crate) struct Replica {
    pub(crate) process: Process,
    pub(crate) incarnation: Incarnation,
    /// The nemesis has it paused.
    pub(crate) is_paused: bool,
    /// A fault that is applied keeps it down.
    pub(crate) is_held_down: bool,
    /// A fault that is applied makes it end by itself.
    pub(crate) is_doomed: bool,
    /// How it was last ordered to end; none since its last start.
    pub(crate) ended: Option<Ending>,
    /// The nemesis damaged what it had stored.
    pub(crate) is_damaged: bool,
    /// It did not come up because of that, and never will.
    pub(crate) is_lost: bool,
    /// The group needs it no more: its process ends in order, and is not started but to be a member again.
    pub(crate) is_retired: bool,
    /// The nemesis ended it or kept it down, and owes it a start.
    pub(crate) owes_start: bool,
    /// How often it was started after the run's planned end.
    pub(crate) final_starts: u32,
    /// How it last ended.
    pub(crate) last_exit: Option<String>,
    role: Option<Role>,
    awake_since: Option<Timestamp>,
}

/// A replica's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    /// It was started and has not said hello yet.
    Starting,
    /// It has said hello.
    Running,
    /// It is being killed.
    Dying,
    /// It has ended.
    Gone,
}

#[derive(Clone, Copy, Debug)]
struct Role {
    status: Status,
    view: ViewNumber,
    primary: bool,
}

impl Known {
    /// A world at its start: whoever makes it starts the replicas.
    pub(crate) fn new(topology: Topology) -> Self {
        let replica = Replica {
            process: Process::Starting,
            incarnation: Incarnation(0),
            is_paused: false,
            is_held_down: false,
            is_doomed: false,
            ended: None,
            is_damaged: false,
            is_lost: false,
            is_retired: false,
            owes_start: false,
            final_starts: 0,
            last_exit: None,
            role: None,
            awake_since: None,
        };
        Self {
            replicas: vec![replica; usize::from(topology.replicas)],
        }
    }

    /// The replica, if the topology has it.
    pub(crate) fn get(&self, id: ReplicaId) -> Option<&Replica> {
        self.replicas.get(usize::from(id.0))
    }

    pub(crate) fn get_mut(&mut self, id: ReplicaId) -> Option<&mut Replica> {
        self.replicas.get_mut(usize::from(id.0))
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (ReplicaId, &Replica)> {
        (0..).map(ReplicaId).zip(&self.replicas)
    }

    /// The replicas whose storage the nemesis damaged.
    pub(crate) fn damaged(&self) -> impl Iterator<Item = ReplicaId> {
        self.all()
            .filter(|(_, replica)| replica.is_damaged)
            .map(|(id, _)| id)
    }

    /// The nemesis damages what it has stored.
    pub(crate) fn damage(&mut self, id: ReplicaId) {
        if let Some(replica) = self.get_mut(id) {
            replica.is_damaged = true;
        }
    }

    /// Whether the node is down for good: its storage is damaged, and it said so.
    pub(crate) fn is_lost(&self, node: NodeId) -> bool {
        let replica = node.as_replica().and_then(|id| self.get(id));
        replica.is_some_and(|replica| replica.is_lost)
    }

    /// The primary of the highest view in normal status. None where a replica is in a higher view than all
    /// that call themselves primary: the last of those was deposed.
    pub(crate) fn primary(&self) -> Option<ReplicaId> {
        let normal = |replica: &Replica| replica.role.filter(|role| role.status == Status::Normal);
        let highest = self
            .replicas
            .iter()
            .filter_map(normal)
            .map(|role| role.view)
            .max()?;
        let is_it = |role: Role| role.primary && role.view == highest;
        self.all()
            .find(|(_, replica)| normal(replica).is_some_and(is_it))
            .map(|(id, _)| id)
    }

    /// Whether it is no member, and has said so.
    pub(crate) fn is_spare(&self, id: ReplicaId) -> bool {
        let is_spare = |role: Role| role.status == Status::Spare;
        self.get(id)
            .is_some_and(|replica| replica.is_retired || replica.role.is_some_and(is_spare))
    }

    /// The replicas that have not said that they are no members.
    pub(crate) fn members(&self) -> Vec<ReplicaId> {
        let ids = self.all().map(|(id, _)| id);
        ids.filter(|id| !self.is_spare(*id)).collect()
    }

    /// Since when the node has been able to send and receive; none if it is not.
    pub(crate) fn awake_since(&self, node: NodeId) -> Option<Timestamp> {
        match node {
            NodeId::Client(_) => Some(Timestamp::ZERO),
            NodeId::Replica(id) => self.get(id)?.awake_since,
        }
    }

    /// Whether the node can send and receive.
    pub(crate) fn is_awake(&self, node: NodeId) -> bool {
        self.awake_since(node).is_some()
    }

    /// Takes note of what was observed. Hands out how a replica ended, if that was not ordered.
    pub(crate) fn observe(
        &mut self,
        now: Timestamp,
        observation: &Observation,
    ) -> Option<(ReplicaId, String)> {
        match observation {
            Observation::Started {
                replica,
                incarnation,
            } => {
                let known = self.get_mut(*replica)?;
                known.incarnation = (*incarnation).max(known.incarnation);
                if known.process != Process::Dying {
                    known.process = Process::Running;
                    known.awake_since = (!known.is_paused).then_some(now);
                }
            }
            Observation::Exited { replica, how } => {
                let known = self.get_mut(*replica)?;
                // One that ends instead of saying hello refuses the storage that it finds.
                let is_refusal = known.is_damaged && known.process == Process::Starting;
                let was_ordered = known.process == Process::Dying
                    || known.is_doomed
                    || known.is_retired
                    || is_refusal;
                known.owes_start |= known.is_doomed;
                known.is_lost |= is_refusal;
                known.process = Process::Gone;
                known.is_paused = false;
                known.role = None;
                known.awake_since = None;
                known.last_exit = Some(how.clone());
                if !was_ordered {
                    return Some((*replica, how.clone()));
                }
            }
            Observation::Role {
                replica,
                status,
                view,
                primary,
            } => {
                let known = self.get_mut(*replica)?;
                known.is_retired = *status == Status::Retired;
                if known.process == Process::Running || known.process == Process::Starting {
                    known.role = Some(Role {
                        status: *status,
                        view: *view,
                        primary: *primary,
                    });
                }
            }
            Observation::State { .. }
            | Observation::ProbeArrived { .. }
            | Observation::TapSet { .. }
            | Observation::MessageSeen { .. }
            | Observation::Counters { .. }
            | Observation::Crashed { .. }
            | Observation::Disk { .. }
            | Observation::Reconfigured { .. }
            | Observation::Clock { .. } => {}
        }
        None
    }
}

impl Replica {
    /// Whether it does not run because the nemesis ended it, and has not been up again since.
    pub(crate) const fn is_down_by_order(&self) -> bool {
        !matches!(self.process, Process::Running)
            && (self.owes_start || !matches!(self.process, Process::Gone))
    }

    /// It was ordered to end.
    pub(crate) fn end(&mut self, ending: Ending) {
        self.ended = Some(ending);
        // One that has ended already does not say so again.
        if matches!(self.process, Process::Starting | Process::Running) {
            self.process = Process::Dying;
        }
        self.awake_since = None;
        self.role = None;
    }

    /// It was ordered to start.
    pub(crate) fn start(&mut self) {
        self.is_retired = false;
        self.process = Process::Starting;
        self.ended = None;
        self.owes_start = false;
    }

    /// It was ordered to stop running.
    pub(crate) fn pause(&mut self) {
        self.is_paused = true;
        self.awake_since = None;
    }

    /// It was ordered to go on.
    pub(crate) fn resume(&mut self, now: Timestamp) {
        self.is_paused = false;
        self.awake_since = (self.process == Process::Running).then_some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn role(replica: u16, view: u64, primary: bool) -> Observation {
        let (status, view) = (Status::Normal, ViewNumber::new(view));
        Observation::Role {
            replica: ReplicaId(replica),
            status,
            view,
            primary,
        }
    }

    #[test]
    fn the_primary_is_that_of_the_highest_view_in_normal_status() {
        let mut known = Known::new(Topology {
            replicas: 3,
            clients: 1,
        });
        let mut observe = |observation| {
            known.observe(Timestamp(1), &observation);
            known.primary()
        };
        assert_eq!(observe(role(1, 1, false)), None);
        assert_eq!(observe(role(0, 0, true)), None, "view 1 has begun");
        assert_eq!(observe(role(1, 1, true)), Some(ReplicaId(1)));
        assert_eq!(
            observe(role(2, 2, false)),
            None,
            "the primary of view 1 was deposed"
        );
        assert_eq!(observe(role(2, 3, true)), Some(ReplicaId(2)));
        let (replica, how) = (ReplicaId(2), "signal 9".to_owned());
        let exited = Observation::Exited { replica, how };
        assert_eq!(
            observe(exited),
            Some(ReplicaId(1)),
            "nobody alive knows of view 3"
        );
    }
}
