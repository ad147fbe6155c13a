//! Process faults are shown by the operating system and by the process itself: a wait status, a process state,
//! the hello of a new incarnation.

use std::collections::{BTreeMap, BTreeSet};

use viewstorm_history::Timestamp;
use viewstorm_protocol::{Incarnation, ReplicaId};

use crate::known::Process;
use crate::machine::Ending;
use crate::probe::{Context, Finding};
use crate::target::list;
use crate::{Action, CrashPoint, DiskReading, ProcessState, WriteError};

/// Shows that processes have ended, and each in its way.
#[derive(Clone, Debug)]
pub(crate) struct Ended {
    replicas: BTreeMap<ReplicaId, Ending>,
    /// They were down before, and how they were ordered to end.
    already: BTreeMap<ReplicaId, Option<Ending>>,
    since: Timestamp,
    /// Where they ended by themselves.
    crashed: BTreeMap<ReplicaId, CrashPoint>,
    /// What their disks are like since.
    disks: BTreeMap<ReplicaId, DiskReading>,
    has_asked: bool,
}

impl Ended {
    /// `already` are those that were down before the fault.
    pub(crate) const fn new(
        replicas: BTreeMap<ReplicaId, Ending>,
        already: BTreeMap<ReplicaId, Option<Ending>>,
        since: Timestamp,
    ) -> Self {
        Self {
            replicas,
            already,
            since,
            crashed: BTreeMap::new(),
            disks: BTreeMap::new(),
            has_asked: false,
        }
    }

    /// A process ends by itself.
    pub(crate) fn crashed(&mut self, replica: ReplicaId, point: CrashPoint) {
        self.crashed.insert(replica, point);
    }

    pub(crate) fn read(&mut self, replica: ReplicaId, reading: &DiskReading) {
        if self.has_asked && self.replicas.contains_key(&replica) {
            self.disks.insert(replica, reading.clone());
        }
    }

    pub(crate) fn look(&mut self, context: &mut Context<'_>) -> Finding {
        let known = &context.grip.known;
        let is_gone = |id: ReplicaId| known.get(id).is_some_and(|it| it.process == Process::Gone);
        if let Some(id) = self.replicas.keys().find(|id| !is_gone(**id)) {
            return Finding::Open(format!("the process of {id} has not ended"));
        }
        let on_disk = self
            .replicas
            .iter()
            .filter(|(_, ending)| ending.needs_disk());
        let on_disk: Vec<ReplicaId> = on_disk.map(|(id, _)| *id).collect();
        if !std::mem::replace(&mut self.has_asked, true) {
            context
                .actions
                .extend(on_disk.iter().copied().map(Action::ReadDisk));
        }
        if let Some(id) = on_disk.iter().find(|id| !self.disks.contains_key(id)) {
            return Finding::Open(format!("the disk of {id} has not been read"));
        }
        let mut ends = Vec::new();
        for (id, ending) in &self.replicas {
            let replica = context.grip.known.get(*id);
            let how = replica.and_then(|replica| replica.last_exit.as_deref());
            let how = how.unwrap_or("never started");
            let already = if self.already.contains_key(id) {
                "already down, "
            } else {
                ""
            };
            match self.way(*id, *ending) {
                Ok(way) => ends.push(format!("{id}: {already}{how}{way}")),
                Err(problem) => return Finding::Refuted(format!("{id}: {how}, {problem}")),
            }
        }
        Finding::Shown(list(ends))
    }

    /// What shows that it ended in this way and no other.
    fn way(&self, id: ReplicaId, ending: Ending) -> Result<String, String> {
        let disk = self.disks.get(&id);
        match ending {
            Ending::Kill => Ok(String::new()),
            Ending::PowerLoss => self.losses(id, disk),
            Ending::Wipe => match disk.map_or(0, |disk| disk.records) {
                0 => Ok(", its disk is empty".to_owned()),
                records => Err(format!("its disk still holds {records} records")),
            },
            Ending::AtEffect(point) => {
                if self.crashed.get(&id) != Some(&point) {
                    return Err(format!("and not before {point}"));
                }
                let losses = if point.power {
                    self.losses(id, disk)?
                } else {
                    String::new()
                };
                Ok(format!(" before {point}{losses}"))
            }
            Ending::WriteError(error) => {
                let code = match error {
                    WriteError::Device => "EIO",
                    WriteError::NoSpace => "ENOSPC",
                };
                match disk.is_some_and(|disk| disk.has_refused) {
                    true => Ok(format!(", a write of it failed with {code}")),
                    false => Err("and no write had failed".to_owned()),
                }
            }
            Ending::SyncError => {
                let sync = disk.and_then(|disk| disk.last_sync);
                match sync.filter(|sync| sync.failed && sync.began + sync.took >= self.since) {
                    Some(sync) => Ok(format!(", the sync that it began at {} failed", sync.began)),
                    None => Err("and no sync had failed".to_owned()),
                }
            }
        }
    }

    /// What a loss of power took.
    fn losses(&self, id: ReplicaId, disk: Option<&DiskReading>) -> Result<String, String> {
        let loss = disk.and_then(|disk| disk.last_power_loss);
        // A machine without power does not lose it again.
        let is_dark = self
            .already
            .get(&id)
            .is_some_and(|ended| *ended >= Some(Ending::PowerLoss));
        match loss.filter(|loss| is_dark || loss.at >= self.since) {
            Some(loss) => Ok(format!(
                ", {} of {} unsynced records lost",
                loss.lost, loss.unsynced
            )),
            None => Err("and its disk has not lost its power".to_owned()),
        }
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
        if self.replicas.is_empty() {
            return Finding::Shown("it had ended nobody".to_owned());
        }
        let mut back = Vec::new();
        for (id, before) in &self.replicas {
            let Some(replica) = context.grip.known.get(*id) else {
                continue;
            };
            if let Some(how) = replica.last_exit.as_ref().filter(|_| replica.is_lost) {
                back.push(format!("{id} stays down, its storage is damaged: {how}"));
                continue;
            }
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
            let reason = format!("the process of {} has ended", list(ended.iter().copied()));
            let known = &context.grip.known;
            let is_ordered = |id| known.get(id).is_some_and(|it| it.is_down_by_order());
            return match ended.into_iter().all(is_ordered) {
                true => Finding::Open(reason),
                false => Finding::Refuted(reason),
            };
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
