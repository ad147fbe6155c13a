//! Directed links between nodes, and what the nemesis does to the datagrams on one.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use viewstorm_protocol::{NodeId, ReplicaId};

use crate::{Burst, Rate, Spread};

/// One direction between two nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// Who sends on it.
    pub from: NodeId,
    /// Who receives.
    pub to: NodeId,
}

impl Link {
    /// The same two nodes the other way.
    pub const fn reverse(self) -> Self {
        Self {
            from: self.to,
            to: self.from,
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}->{}", self.from, self.to)
    }
}

/// Written `["r0","c1"]`, sender first.
impl Serialize for Link {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.from, self.to).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (from, to) = Deserialize::deserialize(deserializer)?;
        Ok(Self { from, to })
    }
}

/// All that happens to the datagrams (in the simulator: the messages) of one directed link. The default is
/// an untouched link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct LinkRule {
    /// Nothing passes.
    pub cut: bool,
    /// Everything passes later than it came.
    pub delay: Option<Delay>,
    /// The share that vanishes, 0 to 1, independently of each other.
    pub loss: f64,
    /// The share that passes twice, 0 to 1.
    pub duplicate: f64,
    /// The share that is held back by `reorder_by`, so that later ones overtake it, 0 to 1.
    pub reorder: f64,
    /// How long an overtaken one is held back.
    #[serde(with = "crate::link::nanos")]
    pub reorder_by: Duration,
    /// The share in which one bit is flipped, 0 to 1.
    pub corrupt: f64,
    /// Delays by distributions, each on top of the others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub spreads: Vec<Spread>,
    /// Losses in bursts, independent of one another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bursts: Vec<Burst>,
    /// How much passes at most.
    pub rate: Option<Rate>,
    /// Everything waits, and goes on in order once this is lifted.
    pub hold: bool,
}

impl LinkRule {
    /// Whether the link is as if there were no nemesis.
    pub fn is_open(&self) -> bool {
        *self == Self::default()
    }

    /// Whether nothing passes for now.
    pub const fn is_shut(&self) -> bool {
        self.cut || self.hold
    }

    /// The share that is lost in the long run, a flipped bit being a loss.
    pub fn mean_loss(&self) -> f64 {
        let bursts = self.bursts.iter().map(|burst| 1.0 - burst.mean());
        1.0 - (1.0 - self.loss) * (1.0 - self.corrupt) * bursts.product::<f64>()
    }

    /// The least and the most that it delays, the rate's queue and reordering apart.
    pub fn delay_bounds(&self) -> (Duration, Duration) {
        let fixed = self.delay.map_or((Duration::ZERO, Duration::ZERO), |it| {
            (
                it.base.saturating_sub(it.jitter),
                it.base.saturating_add(it.jitter),
            )
        });
        let spreads = self.spreads.iter().map(|it| it.distribution.bounds());
        spreads.fold(fixed, |(least, most), (low, high)| {
            (least.saturating_add(low), most.saturating_add(high))
        })
    }

    /// What nearly all of its delays exceed.
    pub fn delay_low(&self) -> Duration {
        let fixed = self
            .delay
            .map_or(Duration::ZERO, |it| it.base.saturating_sub(it.jitter));
        let spreads = self.spreads.iter().map(|it| it.distribution.low());
        spreads.fold(fixed, Duration::saturating_add)
    }
}

/// What a link has done to the datagrams (in the simulator: the messages) that it was given, from the start
/// of the run. It is the injector's own book-keeping: evidence only where the transport hides the effect.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct LinkCounters {
    /// Came in.
    pub offered: u64,
    /// Went out, duplicates too.
    pub forwarded: u64,
    /// Vanished because the link was cut.
    pub cut: u64,
    /// Vanished by the rule's loss.
    pub lost: u64,
    /// Went out twice.
    pub duplicated: u64,
    /// Were held back so that others overtook them.
    pub reordered: u64,
    /// Went out with a flipped bit.
    pub corrupted: u64,
    /// Went out later than they came, by the rule's delay.
    pub delayed: u64,
    /// Went through the rule's rate.
    pub limited: u64,
    /// Waited for the end of a hold.
    pub held: u64,
    /// Vanished because too much was waiting, or the system refused it.
    pub overflowed: u64,
}

/// How late: uniform between `base - jitter` (at least zero) and `base + jitter`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    /// The middle.
    #[serde(with = "crate::link::nanos")]
    pub base: Duration,
    /// The half width.
    #[serde(with = "crate::link::nanos")]
    pub jitter: Duration,
}

/// Durations on the control channel and in the history: whole nanoseconds.
pub(crate) mod nanos {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_nanos)
    }
}

/// Which nodes there are. Every replica has links with every other node; client endpoints have none with one
/// another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Topology {
    /// How many replicas: `r0`, `r1`, ...
    pub replicas: u16,
    /// How many client endpoints: `c0`, `c1`, ...
    pub clients: u16,
}

impl Topology {
    /// All replicas.
    pub fn replica_ids(self) -> impl DoubleEndedIterator<Item = ReplicaId> + Clone {
        (0..self.replicas).map(ReplicaId)
    }

    /// All nodes, replicas first.
    pub fn nodes(self) -> impl Iterator<Item = NodeId> + Clone {
        (0..self.replicas)
            .map(NodeId::replica)
            .chain((0..self.clients).map(NodeId::Client))
    }

    /// All directed links.
    pub fn links(self) -> impl Iterator<Item = Link> {
        let pair = move |from: NodeId| self.nodes().map(move |to| Link { from, to });
        self.nodes().flat_map(pair).filter(|link| {
            link.from != link.to
                && (link.from.as_replica().is_some() || link.to.as_replica().is_some())
        })
    }
}
