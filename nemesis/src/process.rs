//! Process faults are shown by the operating system and by the process itself: a wait status, a process state,
//! the hello of a new incarnation.

use std::collections::{BTreeMap, BTreeSet};

use viewstorm_history::Timestamp;
use viewstorm_protocol::{Incarnation, ReplicaId};

use crate::known::Process;
use crate::probe::{Context, Finding};
use crate::target::list;
use crate::{Action, ProcessState};

/// Shows that processes have ended.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    replicas: BTreeSet<ReplicaId>,
    /// They were down before.
    already: BTreeSet<ReplicaId>,
}

impl Ended {
    /// `already` are those that were down before the fault.
    pub(crate) const fn new(replicas: BTreeSet<ReplicaId>, already: BTreeSet<ReplicaId>) -> Self {
        Self { replicas, already }
    }

    pub(crate) fn look(&self, context: &Context<'_>) -> Finding {
        let mut ends = Vec::new();
        for id in &self.replicas {
            let Some(replica) = context.grip.known.get(*id) else {
                continue;
            };
            if replica.process != Process::Gone {
                return Finding::Open(format!("the process of {id} has not ended"));
            }
            let how = replica.last_exit.as_deref().unwrap_or("never started");
            let already = if self.already.contains(id) {
                "already down, "
            } else {
                ""
            };
            ends.push(format!("{id}: {already}{how}"));
        }
        Finding::Shown(list(ends))
    }
}

/// Shows that replicas are up again, each as a later incarnation.
#[derive(Clone, Debug)]
pub(crate) struct Back {
    replicas: BTreeMap<ReplicaId, Incarnation>,
}

impl Back {
    /// The incarnations are those that ended.
    pub(crate) const fn new(replicas: BTreeMap<ReplicaId, Incarnation>) -> Self {
        Self { replicas }
    }

    pub(crate) fn look(&self, context: &Context<'_>) -> Finding {
        let mut back = Vec::new();
        for (id, before) in &self.replicas {
            let Some(replica) = context.grip.known.get(*id) else {
                continue;
            };
            let now = replica.incarnation;
            if replica.process != Process::Running || now <= *before {
                return Finding::Open(match (replica.process, &replica.last_exit) {
                    (Process::Gone, Some(how)) => format!("{id} is down: {how}"),
                    _ => format!("no hello of a new incarnation of {id}"),
                });
            }
            back.push(format!("{id} said hello as incarnation {}", now.0));
        }
        Finding::Shown(list(back))
    }

    /// Whether other faults keep one down.
    pub(crate) fn is_obstructed(&self, context: &Context<'_>) -> bool {
        let known = &context.grip.known;
        self.replicas
            .keys()
            .any(|id| known.get(*id).is_some_and(|replica| replica.is_held_down))
    }
}

/// Shows that processes are in a state.
#[derive(Clone, Debug)]
pub(crate) struct State {
    replicas: BTreeSet<ReplicaId>,
    wanted: ProcessState,
    seen: BTreeMap<ReplicaId, ProcessState>,
    next_look: Timestamp,
}

impl State {
    pub(crate) fn new(
        replicas: BTreeSet<ReplicaId>,
        wanted: ProcessState,
        context: &Context<'_>,
    ) -> Self {
        Self {
            replicas,
            wanted,
            seen: BTreeMap::new(),
            next_look: context.now,
        }
    }

    pub(crate) fn seen(&mut self, replica: ReplicaId, state: ProcessState) {
        if self.replicas.contains(&replica) {
            self.seen.insert(replica, state);
        }
    }

    pub(crate) fn look(&mut self, context: &mut Context<'_>) -> Finding {
        let runs = |id: &ReplicaId| {
            let replica = context.grip.known.get(*id);
            replica.is_some_and(|replica| replica.process == Process::Running)
        };
        let (alive, ended): (BTreeSet<ReplicaId>, BTreeSet<ReplicaId>) =
            self.replicas.iter().copied().partition(runs);
        let is_there = |id: &&ReplicaId| self.seen.get(id) != Some(&self.wanted);
        let missing: Vec<ReplicaId> = alive.iter().filter(is_there).copied().collect();
        if !ended.is_empty() && self.wanted == ProcessState::Paused {
            return Finding::Refuted(format!("the process of {} has ended", list(ended)));
        }
        let wanted = match self.wanted {
            ProcessState::Paused => "stopped",
            _ => "not stopped",
        };
        if missing.is_empty() {
            let mut evidence = Vec::new();
            if !alive.is_empty() {
                evidence.push(format!("the system says {wanted}: {}", list(alive)));
            }
            if !ended.is_empty() {
                evidence.push(format!("ended meanwhile: {}", list(ended)));
            }
            if evidence.is_empty() {
                evidence.push("no process that it stopped is left".to_owned());
            }
            return Finding::Shown(evidence.join("; "));
        }
        if context.now >= self.next_look {
            self.next_look = context.now + context.options.look_interval;
            context
                .actions
                .extend(missing.iter().copied().map(Action::Inspect));
        }
        Finding::Open(format!(
            "the system does not say {wanted} of {}",
            list(missing)
        ))
    }

    /// Whether other faults keep one paused.
    pub(crate) fn is_obstructed(&self, context: &Context<'_>) -> bool {
        let known = &context.grip.known;
        self.wanted == ProcessState::Running
            && self
                .replicas
                .iter()
                .any(|id| known.get(*id).is_some_and(|known| known.is_paused))
    }

    pub(crate) const fn next_timeout(&self) -> Timestamp {
        self.next_look
    }
}
