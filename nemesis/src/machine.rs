//! A replica's machine in orders and observations: how its process ends, what its disk and its clock do.
//!
//! The plan's words for the same are in `machine_fault`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use viewstorm_history::Timestamp;
use viewstorm_protocol::{Fuse, FuseStep, ReplicaId};

use crate::Action;

/// The most that a clock can lose: it stands.
pub(crate) const STANDSTILL: i32 = -1_000_000;

/// A place between two effects of a core's steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CrashPoint {
    /// Counted from 1: this effect and those after it are not carried out.
    pub effect: u64,
    /// Which effects are counted.
    pub step: CrashStep,
    /// Whether the machine loses its power, or the process alone ends.
    pub power: bool,
}

/// Which effects a crash counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum CrashStep {
    /// All.
    #[default]
    Any,
    /// Writes of records.
    Persist,
    /// Writes of the log.
    PersistLog,
    /// Writes of the superblock.
    PersistSuperblock,
    /// Sends of messages of this kind.
    Send(&'static str),
}

impl CrashPoint {
    /// The fuse that burns down there.
    pub fn fuse(self) -> Fuse {
        Fuse::new(self.effect, self.fuse_step())
    }

    /// What the fuse counts.
    pub fn fuse_step(self) -> FuseStep {
        match self.step {
            CrashStep::Any => FuseStep::Any,
            CrashStep::Persist => FuseStep::Persist,
            CrashStep::PersistLog => FuseStep::PersistLog,
            CrashStep::PersistSuperblock => FuseStep::PersistSuperblock,
            CrashStep::Send(kind) => FuseStep::Send(kind.to_owned()),
        }
    }
}

/// In words, after a "before": `its effect 3`, `its write 1 of the log`.
impl fmt::Display for CrashPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let effect = self.effect;
        match self.step {
            CrashStep::Any => write!(f, "its effect {effect}"),
            CrashStep::Persist => write!(f, "its write {effect}"),
            CrashStep::PersistLog => write!(f, "its write {effect} of the log"),
            CrashStep::PersistSuperblock => write!(f, "its write {effect} of the superblock"),
            CrashStep::Send(kind) => write!(f, "its {kind} number {effect}"),
        }
    }
}

/// All that is wrong with a replica's disk. The default is a sound one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskRule {
    /// Every sync takes this much longer.
    #[serde(with = "crate::link::nanos")]
    pub sync_delay: Duration,
    /// Every sync fails (EIO). The process then stops: nothing may be assumed durable after it.
    pub syncs_fail: bool,
    /// Every sync says that all is durable, and nothing is.
    pub syncs_lie: bool,
    /// Every write fails. The process then stops.
    pub writes_fail: Option<WriteError>,
}

/// How a write fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WriteError {
    /// The device does not take it (EIO).
    Device,
    /// There is no room (ENOSPC).
    NoSpace,
}

/// Which durable record is damaged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DamagePlace {
    /// The log's last.
    Tail,
    /// One in the middle of the log.
    Middle,
    /// The superblock.
    Superblock,
}

/// What a replica's disk is like.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiskReading {
    /// How many durable records it holds, the superblock included.
    pub records: u64,
    /// The durable records whose checksums do not match, by name.
    pub corrupt: Vec<String>,
    /// The sync that ended last.
    pub last_sync: Option<SyncReading>,
    /// The last loss of power.
    pub last_power_loss: Option<PowerLossReading>,
    /// A write was refused by order.
    pub has_refused: bool,
}

/// A sync, as the disk's user saw it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncReading {
    /// When it was asked for.
    pub began: Timestamp,
    /// How long it took.
    #[serde(with = "crate::link::nanos")]
    pub took: Duration,
    /// Whether it failed.
    pub failed: bool,
    /// Whether it said that all was durable, and nothing was.
    pub lied: bool,
}

/// What a loss of power did to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PowerLossReading {
    /// When it was.
    pub at: Timestamp,
    /// How many records were written and not yet durable.
    pub unsynced: u64,
    /// How many of them are lost.
    pub lost: u64,
}

/// What happens to a replica's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClockBend {
    /// It leaps by this many nanoseconds, forward or back. A core's time never goes back: after a leap back
    /// its clock stands until it has caught up.
    Jump(i64),
    /// From now on it gains this many millionths of true time; -1,000,000 freezes it.
    Drift(i32),
}

/// How a fault ends a process. Of those that are ordered a later one does all that an earlier one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Ending {
    /// It is killed.
    Kill,
    /// Its machine loses power.
    PowerLoss,
    /// Its machine loses power and its disk.
    Wipe,
    /// It ends by itself, once it is there.
    AtEffect(CrashPoint),
    /// It ends by itself when a sync fails.
    SyncError,
    /// It ends by itself when a write fails.
    WriteError(WriteError),
}

impl Ending {
    /// The order that ends a process so; none if it ends by itself.
    pub(crate) const fn order(self, replica: ReplicaId) -> Option<Action> {
        match self {
            Self::Kill => Some(Action::Kill(replica)),
            Self::PowerLoss => Some(Action::PowerLoss(replica)),
            Self::Wipe => Some(Action::Wipe(replica)),
            Self::AtEffect(_) | Self::SyncError | Self::WriteError(_) => None,
        }
    }

    /// Whether only the disk can show it.
    pub(crate) const fn needs_disk(self) -> bool {
        match self {
            Self::Kill => false,
            Self::AtEffect(point) => point.power,
            Self::PowerLoss | Self::Wipe | Self::SyncError | Self::WriteError(_) => true,
        }
    }
}

/// What faults do to a machine while they are applied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MachineRule {
    pub(crate) fuse: Option<CrashPoint>,
    pub(crate) disk: DiskRule,
    /// In millionths.
    pub(crate) drift: i32,
}

impl MachineRule {
    /// Adds one to another on the same machine: delays and drifts add, the first crash comes first.
    pub(crate) fn add(&mut self, other: &Self) {
        self.fuse = match (self.fuse, other.fuse) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        self.disk.sync_delay = self.disk.sync_delay.saturating_add(other.disk.sync_delay);
        self.disk.syncs_fail |= other.disk.syncs_fail;
        self.disk.syncs_lie |= other.disk.syncs_lie;
        self.disk.writes_fail = self.disk.writes_fail.max(other.disk.writes_fail);
        self.drift = self.drift.saturating_add(other.drift).max(STANDSTILL);
    }

    /// Orders whatever differs from `before`.
    pub(crate) fn order(&self, before: &Self, replica: ReplicaId, actions: &mut Vec<Action>) {
        if self.disk != before.disk {
            let rule = self.disk;
            actions.push(Action::SetDisk { replica, rule });
        }
        if self.drift != before.drift {
            let bend = ClockBend::Drift(self.drift);
            actions.push(Action::BendClock { replica, bend });
        }
        if self.fuse != before.fuse {
            let fuse = self.fuse;
            actions.push(Action::SetFuse { replica, fuse });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_rules_add_up() {
        let rule = |effect, delay, drift| MachineRule {
            fuse: Some(CrashPoint {
                effect,
                step: CrashStep::Any,
                power: effect == 7,
            }),
            disk: DiskRule {
                sync_delay: Duration::from_millis(delay),
                syncs_fail: delay == 2,
                ..DiskRule::default()
            },
            drift,
        };
        let mut sum = MachineRule::default();
        for one in [rule(9, 1, 300), rule(7, 2, 50), rule(8, 3, -100)] {
            sum.add(&one);
        }
        assert_eq!(
            sum.fuse,
            Some(CrashPoint {
                effect: 7,
                step: CrashStep::Any,
                power: true
            })
        );
        assert_eq!(
            sum.disk,
            DiskRule {
                sync_delay: Duration::from_millis(6),
                syncs_fail: true,
                ..DiskRule::default()
            }
        );
        assert_eq!(sum.drift, 250);
        sum.add(&rule(1, 0, STANDSTILL));
        sum.add(&rule(1, 0, STANDSTILL));
        assert_eq!(
            sum.drift, STANDSTILL,
            "a clock that runs backwards is not one"
        );
    }

    #[test]
    fn only_what_changes_is_ordered() {
        let replica = ReplicaId(1);
        let frozen = MachineRule {
            drift: STANDSTILL,
            ..MachineRule::default()
        };
        let mut actions = Vec::new();
        frozen.order(&frozen, replica, &mut actions);
        assert!(actions.is_empty());
        MachineRule::default().order(&frozen, replica, &mut actions);
        let bend = ClockBend::Drift(0);
        assert_eq!(actions, [Action::BendClock { replica, bend }]);
    }
}
