//! What the nemesis wants done to a world, and what it is told of it.
//!
//! Both worlds speak exactly this. The nemesis does all the thinking (targets, overlaps, confirmation,
//! healing); a world only enacts and observes.

use serde::{Deserialize, Serialize};
use viewstorm_history::{FaultEvent, Timestamp};
use viewstorm_protocol::{EpochNumber, Incarnation, NodeId, ReplicaId, Status, ViewNumber};

use crate::{
    ClockBend, CrashPoint, DamagePlace, DiskReading, DiskRule, Link, LinkCounters, LinkRule,
    TapRule, TapWatch,
};

/// Names a piece of test traffic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProbeId(pub u64);

/// Something to do to a world.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// From now on this is all that happens to the link: it replaces what was set before.
    SetLink {
        /// Which link.
        link: Link,
        /// What happens on it.
        rule: LinkRule,
    },
    /// From now on these are all the message-layer rules at the node: they replace what was set before.
    /// Messages that only a vanished rule held are released.
    SetTap {
        /// Whose tap.
        node: NodeId,
        /// In order: the first rule that matches a message decides.
        rules: Vec<TapRule>,
    },
    /// From now on, until this is ordered anew, report every message at the node's tap that one of these is
    /// about, as [`Observation::MessageSeen`].
    Watch {
        /// Whose tap.
        node: NodeId,
        /// About which messages.
        watches: Vec<TapWatch>,
    },
    /// End the replica's process at once, without warning it.
    Kill(ReplicaId),
    /// Start the replica again, from what its storage holds.
    Start(ReplicaId),
    /// Stop the replica's process from running, without ending it.
    Pause(ReplicaId),
    /// Let it run again.
    Resume(ReplicaId),
    /// Report the replica's process state as the operating system sees it.
    Inspect(ReplicaId),
    /// Send one piece of unreliable test traffic from the link's sender to its receiver, through everything
    /// that the nemesis may have put between them (link rules and taps).
    Probe {
        /// Its name.
        id: ProbeId,
        /// Where to send it.
        link: Link,
    },
    /// Report what the link has done to what it was given, as [`Observation::Counters`].
    ReadCounters(Link),
    /// End the replica's machine at once: of what was written and not synced a part is lost, the latest first.
    /// One whose process has ended already loses the same.
    PowerLoss(ReplicaId),
    /// The same, and its disk is empty then.
    Wipe(ReplicaId),
    /// From now on this is where the replica's process ends by itself, counted from now; none: nowhere. It
    /// replaces what was set before, and goes with the process.
    SetFuse {
        /// Which replica.
        replica: ReplicaId,
        /// Where.
        fuse: Option<CrashPoint>,
    },
    /// From now on this is all that is wrong with the replica's disk, whatever becomes of its process. Damage
    /// that was done is not undone.
    SetDisk {
        /// Whose disk.
        replica: ReplicaId,
        /// What is wrong with it.
        rule: DiskRule,
    },
    /// Flip a bit of a durable record of the replica, if it has such a record.
    FlipBit {
        /// Whose disk.
        replica: ReplicaId,
        /// Of which record.
        place: DamagePlace,
    },
    /// Report what the replica's disk is like, as [`Observation::Disk`].
    ReadDisk(ReplicaId),
    /// Bend the replica's clock, whatever becomes of its process.
    BendClock {
        /// Whose clock.
        replica: ReplicaId,
        /// How.
        bend: ClockBend,
    },
    /// Make these replicas the group, as an administrator at the first client endpoint does, who asks until it is
    /// answered with [`Observation::Reconfigured`].
    Reconfigure {
        /// The reconfiguration's name.
        request: u64,
        /// The new group, ascending.
        members: Vec<ReplicaId>,
    },
    /// Ask the replica what time it is, which it answers with [`Observation::Clock`] if its process runs.
    ReadClock(ReplicaId),
    /// Put this into the history.
    Record(FaultEvent),
}

impl Action {
    /// The name of the reconfiguration, if it is one.
    pub(crate) const fn request(&self) -> Option<u64> {
        match self {
            Self::Reconfigure { request, .. } => Some(*request),
            _ => None,
        }
    }
}

/// What the operating system says of a replica's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProcessState {
    /// It runs or could.
    Running,
    /// It is stopped by a signal.
    Paused,
    /// There is none.
    Gone,
}

/// Something that a world tells the nemesis.
#[derive(Clone, Debug, PartialEq)]
pub enum Observation {
    /// The replica's process is up: its own hello.
    Started {
        /// Which replica.
        replica: ReplicaId,
        /// Which start of it.
        incarnation: Incarnation,
    },
    /// The replica's process has ended: its wait status.
    Exited {
        /// Which replica.
        replica: ReplicaId,
        /// How, in words: `signal 9 (SIGKILL)`, `exit code 1`.
        how: String,
    },
    /// The answer to [`Action::Inspect`].
    State {
        /// Which replica.
        replica: ReplicaId,
        /// What its process is doing.
        state: ProcessState,
    },
    /// The replica's own word on its role.
    Role {
        /// Which replica.
        replica: ReplicaId,
        /// What it does.
        status: Status,
        /// In which view.
        view: ViewNumber,
        /// Whether it is that view's primary.
        primary: bool,
    },
    /// A probe arrived: the receiver's own word.
    ProbeArrived {
        /// Which.
        id: ProbeId,
        /// The link it was sent on.
        link: Link,
        /// When it left.
        sent: Timestamp,
        /// When it arrived.
        received: Timestamp,
    },
    /// A message passed a tap that a watch is about.
    MessageSeen {
        /// Which watch.
        watch: u64,
    },
    /// The node's tap now has the rules of the latest [`Action::SetTap`].
    TapSet {
        /// Whose tap.
        node: NodeId,
    },
    /// The answer to [`Action::ReadCounters`].
    Counters {
        /// Which link.
        link: Link,
        /// Its counts, from the start of the run.
        counters: LinkCounters,
    },
    /// The replica's process ends now, where [`Action::SetFuse`] wanted it to.
    Crashed {
        /// Which replica.
        replica: ReplicaId,
        /// Where.
        point: CrashPoint,
    },
    /// The answer to [`Action::ReadDisk`].
    Disk {
        /// Which replica.
        replica: ReplicaId,
        /// What its disk is like.
        reading: DiskReading,
    },
    /// The administrator's reconfiguration came to something.
    Reconfigured {
        /// Which.
        request: u64,
        /// The epoch in which the new group works, or why it was refused.
        outcome: Result<EpochNumber, String>,
    },
    /// The answer to [`Action::ReadClock`].
    Clock {
        /// Which replica.
        replica: ReplicaId,
        /// The time on its own clock.
        told: Timestamp,
        /// The time on the run's clock.
        at: Timestamp,
    },
}
