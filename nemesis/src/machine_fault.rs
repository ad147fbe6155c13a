//! Faults of a replica's machine, in the terms of the plan: where a process is cut off, its disk, its clock.

use std::fmt;
use std::time::Duration;

use crate::{CrashPoint, DamagePlace, Target, WriteError};

/// Processes end in the middle of what they do: between two effects of a core's steps, counted from the
/// injection. When the fault is over they are started again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrashFault {
    /// Whose.
    pub target: Target,
    /// Where, and how.
    pub point: CrashPoint,
}

/// Disks misbehave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskFault {
    /// Whose.
    pub target: Target,
    /// How.
    pub effect: DiskEffect,
}

/// What happens to a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskEffect {
    /// Every sync takes this much longer.
    SlowSync(Duration),
    /// Every sync fails (EIO): the process stops at the next, and is started again when the fault is over.
    FailingSync,
    /// Every sync says that all is durable, and does nothing: what comes then of a loss of power no protocol masks.
    LyingSync,
    /// Every write fails: the process stops at the next, and is started again when the fault is over.
    FailingWrite(WriteError),
    /// A bit of a durable record flips. Its checksum tells, at the replica's next start, which then fails: a
    /// replica that cannot trust its disk stays down. Nothing takes the damage back.
    BitFlip {
        /// Of which record.
        place: DamagePlace,
        /// How many replicas may be so at a time.
        budget: Budget,
    },
    /// The machine loses power, and all that it had stored with it. When the fault is over the replica is
    /// started again, and has forgotten what it promised: no crash-recovery protocol masks that.
    Wipe {
        /// How many replicas may be so at a time.
        budget: Budget,
    },
}

/// How many replicas' storage may be damaged in one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Budget {
    /// As many as may fail while the others are a majority: what was acknowledged can still be found.
    #[default]
    Minority,
    /// Any number.
    Unrestricted,
}

/// Clocks go wrong: what the replicas' cores are told of the time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClockFault {
    /// Whose.
    pub target: Target,
    /// How.
    pub effect: ClockEffect,
}

/// What happens to a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClockEffect {
    /// It leaps by this many nanoseconds, forward or back, and keeps the distance.
    Jump(i64),
    /// It gains this many millionths of true time.
    Drift(i32),
    /// It stands.
    Freeze,
}

/// What a world must be able to do for a fault, beyond what every world can: cut and bend links and message
/// taps, end, start and pause processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Capability {
    /// Lose what was written and not synced.
    PowerLoss,
    /// End a process between two effects.
    EffectCrash,
    /// Slow disks, fail what is asked of them, and let them lie.
    Disk,
    /// Damage and empty disks.
    Damage,
    /// Bend what a replica is told of the time.
    Clock,
    /// Tell of the messages that pass a tap.
    Watch,
}

impl Budget {
    /// How many of so many replicas it allows.
    pub const fn most(self, replicas: u16) -> u16 {
        match self {
            Self::Minority => replicas.saturating_sub(1) / 2,
            Self::Unrestricted => replicas,
        }
    }
}

impl DiskEffect {
    /// How many replicas may have their storage damaged; none if it damages nothing.
    pub const fn budget(self) -> Option<Budget> {
        match self {
            Self::BitFlip { budget, .. } | Self::Wipe { budget } => Some(budget),
            Self::SlowSync(_) | Self::FailingSync | Self::LyingSync | Self::FailingWrite(_) => None,
        }
    }
}

impl fmt::Display for CrashFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (target, point) = (&self.target, self.point);
        let what = if point.power {
            ", with its machine"
        } else {
            ""
        };
        write!(f, "{target} before {point} from then{what}")
    }
}

impl fmt::Display for DiskFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        match self.effect {
            DiskEffect::SlowSync(delay) => write!(f, "by {delay:?} at {target}"),
            DiskEffect::FailingSync | DiskEffect::LyingSync => write!(f, "at {target}"),
            DiskEffect::FailingWrite(WriteError::Device) => write!(f, "with EIO at {target}"),
            DiskEffect::FailingWrite(WriteError::NoSpace) => write!(f, "with ENOSPC at {target}"),
            DiskEffect::BitFlip { place, budget } => {
                let place = match place {
                    DamagePlace::Tail => "the log's last record",
                    DamagePlace::Middle => "the middle of the log",
                    DamagePlace::Superblock => "the superblock",
                };
                write!(f, "in {place} of {target}{budget}")
            }
            DiskEffect::Wipe { budget } => write!(f, "of {target}{budget}"),
        }
    }
}

/// A clause to end with; nothing where all is as usual.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Minority => "",
            Self::Unrestricted => ", however many are damaged",
        })
    }
}

impl fmt::Display for ClockFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = &self.target;
        match self.effect {
            ClockEffect::Jump(nanos) => {
                let by = Duration::from_nanos(nanos.unsigned_abs());
                let way = if nanos < 0 { "back" } else { "ahead" };
                write!(f, "of {target} leaps {by:?} {way}")
            }
            ClockEffect::Drift(ppm) => write!(f, "of {target} gains {ppm} parts per million"),
            ClockEffect::Freeze => write!(f, "of {target} stands"),
        }
    }
}
