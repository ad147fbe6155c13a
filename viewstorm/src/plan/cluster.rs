//! The replicas: how many, which protocol they run, and with which timeouts.

use std::time::Duration;

use serde::Serialize;
use viewstorm_protocol::ReplicaId;
use viewstorm_protocol::vr::{CHECKPOINT_INTERVAL, VrCheckpoints};

use super::choice::choice;
use super::error::PlanError;
use super::section::{Field, Section};
use super::source::Span;
use super::{duration, keys};

/// The most operations between two checkpoints.
const CHECKPOINT_INTERVAL_MAX: u64 = 1 << 20;
/// The most replicas that one machine is asked to run.
const MAX_REPLICAS: u16 = 64;
/// A clock whose rate is off by half is none.
const MAX_DRIFT_PPM: u32 = 500_000;

/// The replicas.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Cluster {
    /// Which protocol they run. Default: vr.
    pub protocol: Protocol,
    /// How many. Default: 3.
    pub replicas: u16,
    /// How many more there are that are no members of the group at first: `r3`, `r4`, ... after three replicas.
    /// Default: 0.
    pub spares: u16,
    /// What survives a crash. Default: wal.
    pub durability: Durability,
    /// The first of the ports that the replicas listen on, one after the other. Default: free ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_port: Option<u16>,
    /// Whether messages of a replica's earlier incarnation are refused. Default: true.
    pub fence_incarnations: bool,
    /// Every how many operations a replica takes a checkpoint. Default: 1024.
    pub checkpoint_interval: u64,
    /// How a backup tells a dead primary from a slow one. Default: fixed.
    pub failure_detector: FailureDetector,
    /// Where reads are answered. Default: log.
    pub reads: Reads,
    /// How far the rate of any clock is from that of true time at most, in millionths: leases assume it, and
    /// nothing else does. Default: 1000.
    pub max_drift_ppm: u32,
    /// How long the protocol waits for what.
    pub timeouts: Timeouts,
}

choice! {
    /// How a backup tells a dead primary from a slow one.
    pub enum FailureDetector {
        /// It has been silent for `suspicion`.
        Fixed = "fixed",
        /// It has been silent for longer than it used to be: `suspicion` at first, then between
        /// `suspicion-floor` and `suspicion-cap`.
        Adaptive = "adaptive",
    }
}

choice! {
    /// Where reads are answered.
    pub enum Reads {
        /// Through the log, as everything else.
        Log = "log",
        /// By the primary alone, as long as it holds leases.
        Lease = "lease",
        /// By any replica: perhaps stale, never earlier than what the client has seen.
        Backup = "backup",
    }
}

choice! {
    /// A replication protocol.
    pub enum Protocol {
        /// Viewstamped Replication Revisited.
        Vr = "vr",
    }
}

choice! {
    /// What survives a crash of a replica.
    pub enum Durability {
        /// The log and the view numbers, in a write-ahead log that is synced before anything is said.
        Wal = "wal",
        /// The view numbers, synced before a vote; the log is recovered from the other replicas.
        ViewDurable = "view-durable",
        /// Nothing: everything is recovered from the other replicas.
        Diskless = "diskless",
    }
}

/// How long the protocol waits for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Timeouts {
    /// An idle primary says that it is alive after this long. Default: 20ms.
    #[serde(serialize_with = "duration::serialize")]
    pub heartbeat: Duration,
    /// A backup that has heard nothing from the primary for this long starts a view change. Default: 250ms.
    #[serde(serialize_with = "duration::serialize")]
    pub suspicion: Duration,
    /// The least patience of an adaptive failure detector. Default: 60ms.
    #[serde(serialize_with = "duration::serialize")]
    pub suspicion_floor: Duration,
    /// The most patience of an adaptive failure detector. Default: 2s.
    #[serde(serialize_with = "duration::serialize")]
    pub suspicion_cap: Duration,
    /// Whoever waits for an answer asks again after this long. Default: 100ms.
    #[serde(serialize_with = "duration::serialize")]
    pub resend: Duration,
    /// How long a lease is. No longer than `suspicion`, it does not delay a view change. Default: 150ms.
    #[serde(serialize_with = "duration::serialize")]
    pub lease: Duration,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            protocol: Protocol::Vr,
            replicas: 3,
            spares: 0,
            durability: Durability::Wal,
            base_port: None,
            fence_incarnations: true,
            checkpoint_interval: CHECKPOINT_INTERVAL,
            failure_detector: FailureDetector::Fixed,
            reads: Reads::Log,
            max_drift_ppm: 1000,
            timeouts: Timeouts::default(),
        }
    }
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(20),
            suspicion: Duration::from_millis(250),
            suspicion_floor: Duration::from_millis(60),
            suspicion_cap: Duration::from_secs(2),
            resend: Duration::from_millis(100),
            lease: Duration::from_millis(150),
        }
    }
}

impl Cluster {
    /// The group that the run begins with, and the replicas beside it.
    pub fn groups(&self) -> (Vec<ReplicaId>, Vec<ReplicaId>) {
        let ids = (0..self.all()).map(ReplicaId);
        ids.partition(|replica| replica.0 < self.replicas)
    }

    /// How many replicas there are, spares too.
    pub const fn all(&self) -> u16 {
        self.replicas + self.spares
    }

    /// Reads `[cluster]`. The second is the number of all replicas if it is known: it was not refused.
    pub(super) fn read(plan: &mut Section<'_, '_>) -> (Self, Option<u16>) {
        let default = Self::default();
        let mut section = plan.section("cluster", keys::CLUSTER);
        let protocol = section.choice("protocol").or(default.protocol);
        let replicas = section.integer("replicas", 1..=MAX_REPLICAS);
        let spares = section.integer("spares", 0..=MAX_REPLICAS);
        let spares_span = spares.span().cloned();
        let durability = section.choice("durability").or(default.durability);
        let base_port = section.integer("base-port", 1024..=u16::MAX);
        let known = replicas
            .clone()
            .known(default.replicas)
            .map(|(replicas, _)| replicas);
        let spares = spares.or(default.spares);
        let known = known.map(|replicas| replicas + spares);
        if let Some(span) = spares_span.filter(|_| known.is_some_and(|all| all > MAX_REPLICAS)) {
            let title = format!("{} replicas are too many", known.unwrap_or_default());
            let label = format!("expected at most {MAX_REPLICAS}, spares too");
            section.note(PlanError::at(&span, title, label));
        }
        if let Some(replicas) = known {
            check_ports(&section, &base_port, replicas);
        }
        let cluster = Self {
            protocol,
            replicas: replicas.or(default.replicas),
            spares,
            durability,
            base_port: base_port.value(),
            fence_incarnations: section
                .flag("fence-incarnations")
                .or(default.fence_incarnations),
            checkpoint_interval: section
                .integer("checkpoint-interval", 1..=CHECKPOINT_INTERVAL_MAX)
                .or(default.checkpoint_interval),
            failure_detector: section
                .choice("failure-detector")
                .or(default.failure_detector),
            reads: section.choice("reads").or(default.reads),
            max_drift_ppm: section
                .integer("max-drift-ppm", 0..=MAX_DRIFT_PPM)
                .or(default.max_drift_ppm),
            timeouts: Timeouts::read(&mut section),
        };
        section.finish();
        (cluster, known)
    }
}

impl Cluster {
    /// When replicas take checkpoints, in the protocol's terms.
    pub(crate) fn checkpoints(&self) -> VrCheckpoints {
        VrCheckpoints {
            interval: self.checkpoint_interval,
            ..VrCheckpoints::default()
        }
    }
}

impl Timeouts {
    fn read(cluster: &mut Section<'_, '_>) -> Self {
        const LEAST: Duration = Duration::from_millis(1);
        let default = Self::default();
        let mut section = cluster.section("timeouts", keys::TIMEOUTS);
        let heartbeat = section.duration("heartbeat", LEAST);
        let suspicion = section.duration("suspicion", LEAST);
        let resend = section.duration("resend", LEAST).or(default.resend);
        let lease = section.duration("lease", LEAST).or(default.lease);
        let floor = section.duration("suspicion-floor", LEAST);
        let cap = section.duration("suspicion-cap", LEAST);
        if let (Some((floor, floor_span)), Some((cap, cap_span))) = (
            floor.clone().known(default.suspicion_floor),
            cap.clone().known(default.suspicion_cap),
        ) {
            check_cap(&section, (floor, floor_span), (cap, cap_span));
        }
        let known = (
            heartbeat.clone().known(default.heartbeat),
            suspicion.clone().known(default.suspicion),
        );
        if let (Some(beat), Some(suspect)) = known {
            check_suspicion(&section, beat, suspect);
        }
        section.finish();
        Self {
            heartbeat: heartbeat.or(default.heartbeat),
            suspicion: suspicion.or(default.suspicion),
            suspicion_floor: floor.or(default.suspicion_floor),
            suspicion_cap: cap.or(default.suspicion_cap),
            resend,
            lease,
        }
    }
}

/// The least patience is not more than the most.
fn check_cap(
    section: &Section<'_, '_>,
    (floor, floor_span): (Duration, Option<Span>),
    (cap, cap_span): (Duration, Option<Span>),
) {
    let Some(span) = cap_span.as_ref().or(floor_span.as_ref()) else {
        return;
    };
    if cap < floor {
        let (cap, floor) = (duration::write(cap), duration::write(floor));
        let title = format!("patience of at most {cap} and at least {floor}");
        let error = PlanError::at(
            span,
            title,
            "`suspicion-cap` must not be shorter than `suspicion-floor`",
        );
        let other = floor_span.as_ref().filter(|_| cap_span.is_some());
        section.note(error.and(other, "the floor"));
    }
}

/// A primary that lives is not suspected.
fn check_suspicion(
    section: &Section<'_, '_>,
    (heartbeat, heartbeat_span): (Duration, Option<Span>),
    (suspicion, suspicion_span): (Duration, Option<Span>),
) {
    let Some(span) = suspicion_span.as_ref().or(heartbeat_span.as_ref()) else {
        return;
    };
    if suspicion > heartbeat {
        return;
    }
    let title = format!(
        "a primary that says every {} that it is alive is suspected after {}",
        duration::write(heartbeat),
        duration::write(suspicion),
    );
    let error = PlanError::at(span, title, "`suspicion` must be longer than `heartbeat`");
    let other = heartbeat_span.as_ref().filter(|_| suspicion_span.is_some());
    section.note(error.and(other, "the heartbeat"));
}

/// The last replica's port is a port too.
fn check_ports(section: &Section<'_, '_>, base_port: &Field<u16>, replicas: u16) {
    let Field::Here(base, span) = base_port else {
        return;
    };
    if base.checked_add(replicas - 1).is_none() {
        let title = format!("{replicas} replicas from port {base} on go beyond port 65535");
        let most = u16::MAX - (replicas - 1);
        section.note(PlanError::at(
            span,
            title,
            format!("expected at most {most}"),
        ));
    }
}
