//! Faults of machines on actual replicas: who ends how, what is wrong with whose disk and clock.

use std::collections::BTreeSet;

use viewstorm_protocol::{NodeId, ReplicaId};

use crate::hits::{Hits, Miss};
use crate::known::{Known, Process};
use crate::machine::{Ending, MachineRule, STANDSTILL};
use crate::shape::replicas_among;
use crate::target::list;
use crate::{Action, Budget, ClockBend, ClockEffect, CrashPoint, DiskEffect, DiskRule};

impl Hits {
    pub(crate) fn ending(targets: Vec<NodeId>, ending: Ending) -> Self {
        let ends = replicas_among(&targets).map(|id| (id, ending)).collect();
        Self {
            targets,
            ends,
            ..Self::default()
        }
    }

    pub(crate) fn crash(targets: Vec<NodeId>, point: CrashPoint) -> Result<Self, Miss> {
        let hits = Self::ending(targets, Ending::AtEffect(point));
        let rule = MachineRule {
            fuse: Some(point),
            ..MachineRule::default()
        };
        Ok(hits.with_machines(rule))
    }

    pub(crate) fn on_disks(
        effect: DiskEffect,
        targets: Vec<NodeId>,
        known: &Known,
    ) -> Result<Self, Miss> {
        if let Some(budget) = effect.budget() {
            keep_within(budget, &targets, known)?;
        }
        let disk = |rule: DiskRule| MachineRule {
            disk: rule,
            ..MachineRule::default()
        };
        Ok(match effect {
            DiskEffect::SlowSync(sync_delay) => {
                let hits = Self {
                    targets,
                    ..Self::default()
                };
                hits.with_machines(disk(DiskRule {
                    sync_delay,
                    ..DiskRule::default()
                }))
            }
            DiskEffect::LyingSync => {
                let hits = Self {
                    targets,
                    ..Self::default()
                };
                hits.with_machines(disk(DiskRule {
                    syncs_lie: true,
                    ..DiskRule::default()
                }))
            }
            DiskEffect::FailingWrite(error) => {
                let hits = Self::ending(running(targets, known)?, Ending::WriteError(error));
                hits.with_machines(disk(DiskRule {
                    writes_fail: Some(error),
                    ..DiskRule::default()
                }))
            }
            DiskEffect::FailingSync => {
                let hits = Self::ending(running(targets, known)?, Ending::SyncError);
                hits.with_machines(disk(DiskRule {
                    syncs_fail: true,
                    ..DiskRule::default()
                }))
            }
            DiskEffect::BitFlip { place, .. } => {
                let flip = |replica| Action::FlipBit { replica, place };
                let once = replicas_among(&targets).map(flip).collect();
                let damages = replicas_among(&targets).collect();
                Self {
                    targets,
                    damages,
                    once,
                    ..Self::default()
                }
            }
            DiskEffect::Wipe { .. } => {
                let damages = replicas_among(&targets).collect();
                Self {
                    damages,
                    ..Self::ending(targets, Ending::Wipe)
                }
            }
        })
    }

    pub(crate) fn on_clocks(effect: ClockEffect, targets: Vec<NodeId>) -> Self {
        let hits = Self {
            targets,
            ..Self::default()
        };
        let drift = |drift| MachineRule {
            drift,
            ..MachineRule::default()
        };
        match effect {
            ClockEffect::Drift(ppm) => hits.with_machines(drift(ppm)),
            ClockEffect::Freeze => hits.with_machines(drift(STANDSTILL)),
            ClockEffect::Jump(nanos) => {
                // What the clock says before is what the leap is measured against.
                let jump = |replica| {
                    let bend = ClockBend::Jump(nanos);
                    [
                        Action::ReadClock(replica),
                        Action::BendClock { replica, bend },
                    ]
                };
                let once = replicas_among(&hits.targets).flat_map(jump).collect();
                Self { once, ..hits }
            }
        }
    }

    /// The same rule for every target's machine.
    fn with_machines(self, rule: MachineRule) -> Self {
        let machines = replicas_among(&self.targets).map(|id| (id, rule)).collect();
        Self { machines, ..self }
    }
}

/// Those of the targets whose processes run: what does not run can neither be paused nor end by itself.
pub(crate) fn running(targets: Vec<NodeId>, known: &Known) -> Result<Vec<NodeId>, Miss> {
    let runs = |id| {
        known
            .get(id)
            .is_some_and(|replica| replica.process == Process::Running)
    };
    those(targets, known, runs)
}

/// Those of the targets that can be hit.
pub(crate) fn those(
    targets: Vec<NodeId>,
    known: &Known,
    can_be: impl Fn(ReplicaId) -> bool,
) -> Result<Vec<NodeId>, Miss> {
    let found = replicas_among(&targets)
        .filter(|id| can_be(*id))
        .map(NodeId::Replica);
    let found: Vec<NodeId> = found.collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let reason = format!("{} has no running process", list(&targets));
    // One that ended by itself is no work of the nemesis.
    let is_ordered = |id| {
        known
            .get(id)
            .is_some_and(|it| it.is_down_by_order() || it.is_paused)
    };
    Err(match replicas_among(&targets).all(is_ordered) {
        true => Miss::Down(reason),
        false => Miss::Nothing(reason),
    })
}

/// Never are the storages of more replicas damaged than the budget allows.
fn keep_within(budget: Budget, targets: &[NodeId], known: &Known) -> Result<(), Miss> {
    let before: BTreeSet<ReplicaId> = known.damaged().collect();
    let after: BTreeSet<ReplicaId> = replicas_among(targets).chain(before.clone()).collect();
    let replicas = known.all().count();
    let most = budget.most(u16::try_from(replicas).unwrap_or(u16::MAX));
    if after.len() <= usize::from(most) {
        return Ok(());
    }
    let before = if before.is_empty() {
        "nobody".to_owned()
    } else {
        list(before)
    };
    Err(Miss::Nothing(format!(
        "the storage of {before} is damaged already, and of {replicas} replicas it may be that of {most}"
    )))
}
