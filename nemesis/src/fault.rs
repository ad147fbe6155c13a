//! The fault vocabulary: what can be done to a run, in the terms of the plan.
//!
//! Targets are symbolic here. A fault knows neither when it happens (`timeline`) nor how it is shown to have
//! happened (`confirm`).

use std::fmt;
use std::time::Duration;

use viewstorm_protocol::NodeId;

use crate::target::list;
use crate::{
    Burst, Capability, ClientSides, ClockFault, CrashFault, Delay, DiskEffect, DiskFault, Flow,
    Link, Membership, Numbers, Rate, Region, Shape, Spread, TapAct, Target, Way,
};

/// Something to be done to a run.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Nodes cannot talk to one another.
    Partition(Partition),
    /// Datagrams on links suffer.
    Links(LinkFault),
    /// The nodes are regions apart.
    Wan(WanFault),
    /// Messages at taps suffer.
    Messages(MessageFault),
    /// Processes end at once; when the fault is over they are started again.
    Kill(Target),
    /// Processes stop running; when the fault is over they go on.
    Pause(Target),
    /// Processes get a share of the time, in turns; when the fault is over they get all.
    Slow(SlowFault),
    /// Processes end at once and are started again as soon as they are gone.
    Restart(Target),
    /// Machines lose power: processes end at once, and what was written and not synced is lost in part. When
    /// the fault is over they are started again.
    PowerLoss(Target),
    /// Processes end between two effects.
    Crash(CrashFault),
    /// Disks misbehave.
    Disk(DiskFault),
    /// Clocks go wrong.
    Clock(ClockFault),
    /// An administrator makes other replicas the group. No fault, but it comes and is shown like one.
    Reconfigure(Membership),
}

/// At which height messages are stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Layer {
    /// Datagrams, below QUIC. Nothing can be acknowledged across a cut in one direction, so that such a cut
    /// soon acts both ways.
    #[default]
    Datagrams,
    /// Messages, at the sender's tap: the transport does not notice.
    Messages,
}

/// Nodes cannot talk to one another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Who cannot talk to whom.
    pub shape: Shape,
    /// Where the clients are.
    pub clients: ClientSides,
    /// Which direction, for shapes of two sides.
    pub way: Way,
    /// At which height.
    pub layer: Layer,
    /// For one that comes and goes: so long it is cut, then as long it is whole.
    pub flapping: Option<Duration>,
}

/// Datagrams on links suffer.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkFault {
    /// On which links.
    pub links: Links,
    /// What they suffer.
    pub effect: LinkEffect,
}

/// Some of the links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Links {
    /// Those of the target, in these directions seen from it.
    Of(Target, Way),
    /// These.
    Named(Vec<Link>),
}

/// What the datagrams on a link suffer. In the simulator they are messages.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkEffect {
    /// They come later.
    Delay(Delay),
    /// This share vanishes, independently of each other.
    Loss(f64),
    /// This share comes twice.
    Duplicate(f64),
    /// This share is held back.
    Reorder {
        /// The share.
        share: f64,
        /// For so long.
        by: Duration,
    },
    /// In this share one bit is flipped. Below QUIC and in the simulator a checksum makes a loss of it.
    Corrupt(f64),
    /// They come later, by any distribution.
    Spread(Spread),
    /// They vanish in bursts.
    Burst(Burst),
    /// So many pass in a time; the others wait, or vanish where too many do.
    Rate(Rate),
    /// They wait until the fault is over, and then all come at once, in order.
    Hold,
}

/// The nodes are regions apart.
#[derive(Clone, Debug, PartialEq)]
pub struct WanFault {
    /// Where the nodes are: the first replica and the first client endpoint in the first, and so on, round and
    /// round. Of one preset.
    pub regions: Vec<Region>,
    /// How much the times vary, as a share of themselves.
    pub jitter: f64,
}

impl WanFault {
    /// Where the node is.
    ///
    /// # Panics
    ///
    /// If it has no region at all.
    pub fn region(&self, node: NodeId) -> Region {
        let index = match node {
            NodeId::Replica(replica) => usize::from(replica.0),
            NodeId::Client(endpoint) => usize::from(endpoint),
        };
        self.regions[index % self.regions.len()]
    }
}

/// Processes get a share of the time, in turns of running and standing.
#[derive(Clone, Debug, PartialEq)]
pub struct SlowFault {
    /// Whose.
    pub target: Target,
    /// The share of time in which they run.
    pub share: f64,
    /// How long a turn of both is.
    pub period: Duration,
}

impl SlowFault {
    /// How long they stand, and run, in a turn.
    pub fn turns(&self) -> (Duration, Duration) {
        let runs = self.period.mul_f64(self.share);
        (self.period.saturating_sub(runs), runs)
    }
}

/// Messages at taps suffer: the same in both worlds, and unnoticed by the transport.
#[derive(Clone, Debug, PartialEq)]
pub struct MessageFault {
    /// At whose taps.
    pub target: Target,
    /// Which way through the tap.
    pub flow: Flow,
    /// To or from whom; none: anybody.
    pub peers: Option<Target>,
    /// Of which kinds; none: any.
    pub kinds: Vec<String>,
    /// Of which views; none: any.
    pub views: Option<Numbers>,
    /// With which op or request numbers; none: any.
    pub numbers: Option<Numbers>,
    /// Which share of them.
    pub share: f64,
    /// How many of them are left alone first, at each tap.
    pub skip: u64,
    /// How many of them at most, at each tap. When a replica's process starts anew, its counts begin again.
    pub limit: Option<u64>,
    /// What becomes of them.
    pub act: TapAct,
}

impl Fault {
    /// The fault's name in plan, history and report.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Partition(_) => "partition",
            Self::Links(fault) => match fault.effect {
                LinkEffect::Delay(_) | LinkEffect::Spread(_) => "delay",
                LinkEffect::Loss(_) => "loss",
                LinkEffect::Duplicate(_) => "duplicate",
                LinkEffect::Reorder { .. } => "reorder",
                LinkEffect::Corrupt(_) => "corrupt",
                LinkEffect::Burst(_) => "burst-loss",
                LinkEffect::Rate(_) => "rate",
                LinkEffect::Hold => "hold",
            },
            Self::Wan(_) => "wan",
            Self::Messages(_) => "messages",
            Self::Kill(_) => "kill",
            Self::Pause(_) => "pause",
            Self::Slow(_) => "slow",
            Self::Restart(_) => "restart",
            Self::PowerLoss(_) => "power-loss",
            Self::Crash(_) => "crash",
            Self::Disk(fault) => match fault.effect {
                DiskEffect::SlowSync(_) => "slow-sync",
                DiskEffect::FailingSync => "failing-sync",
                DiskEffect::LyingSync => "lying-sync",
                DiskEffect::FailingWrite(_) => "failing-write",
                DiskEffect::BitFlip { .. } => "bit-flip",
                DiskEffect::Wipe { .. } => "wipe",
            },
            Self::Clock(_) => "clock",
            Self::Reconfigure(_) => "reconfigure",
        }
    }

    /// The target that must be resolved for it, if it has one.
    pub const fn target(&self) -> Option<&Target> {
        match self {
            Self::Partition(partition) => partition.shape.target(),
            Self::Links(LinkFault {
                links: Links::Of(target, _),
                ..
            })
            | Self::Messages(MessageFault { target, .. })
            | Self::Kill(target)
            | Self::Pause(target)
            | Self::Restart(target)
            | Self::PowerLoss(target)
            | Self::Slow(SlowFault { target, .. })
            | Self::Crash(CrashFault { target, .. })
            | Self::Disk(DiskFault { target, .. })
            | Self::Clock(ClockFault { target, .. }) => Some(target),
            Self::Links(LinkFault {
                links: Links::Named(_),
                ..
            })
            | Self::Wan(_)
            | Self::Reconfigure(_) => None,
        }
    }

    /// What a world must be able to do for it, if not every world is.
    pub const fn capability(&self) -> Option<Capability> {
        match self {
            Self::PowerLoss(_) => Some(Capability::PowerLoss),
            Self::Disk(fault) if fault.effect.budget().is_some() => Some(Capability::Damage),
            Self::Disk(_) => Some(Capability::Disk),
            Self::Crash(fault) if fault.point.power => Some(Capability::PowerLoss),
            Self::Crash(_) => Some(Capability::EffectCrash),
            Self::Clock(_) => Some(Capability::Clock),
            Self::Partition(_)
            | Self::Links(_)
            | Self::Wan(_)
            | Self::Slow(_)
            | Self::Messages(_)
            | Self::Kill(_)
            | Self::Pause(_)
            | Self::Restart(_)
            | Self::Reconfigure(_) => None,
        }
    }

    /// Whether it waits for processes to end by themselves: its length counts from then.
    pub(crate) const fn is_a_trap(&self) -> bool {
        match self {
            Self::Crash(_) => true,
            Self::Disk(fault) => {
                matches!(
                    fault.effect,
                    DiskEffect::FailingSync | DiskEffect::FailingWrite(_)
                )
            }
            _ => false,
        }
    }
}

/// A description in words, without the name.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Partition(partition) => partition.fmt(f),
            Self::Links(fault) => write!(f, "{} on {}", fault.effect, fault.links),
            Self::Messages(fault) => fault.fmt(f),
            Self::Kill(target) | Self::Pause(target) | Self::PowerLoss(target) => target.fmt(f),
            Self::Crash(fault) => fault.fmt(f),
            Self::Disk(fault) => fault.fmt(f),
            Self::Clock(fault) => fault.fmt(f),
            Self::Reconfigure(change) => change.fmt(f),
            Self::Restart(target) => write!(f, "{target}, at once"),
            Self::Wan(fault) => fault.fmt(f),
            Self::Slow(SlowFault {
                target,
                share,
                period,
            }) => {
                write!(
                    f,
                    "{target}, running {} of every {period:?}",
                    Percent(*share)
                )
            }
        }
    }
}

impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shape.fmt(f)?;
        if !matches!(self.shape, Shape::Links(_)) {
            write!(f, ", {}", self.clients)?;
        }
        f.write_str(match self.way {
            Way::Both => "",
            Way::In => ", inwards only",
            Way::Out => ", outwards only",
        })?;
        f.write_str(match self.layer {
            Layer::Datagrams => ", below QUIC",
            Layer::Messages => ", at the message tap",
        })?;
        match self.flapping {
            Some(flapping) => write!(f, ", cut and whole for {flapping:?} in turn"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Of(target, Way::Both) => write!(f, "all links of {target}"),
            Self::Of(target, Way::In) => write!(f, "all links to {target}"),
            Self::Of(target, Way::Out) => write!(f, "all links from {target}"),
            Self::Named(links) => f.write_str(&list(links)),
        }
    }
}

impl fmt::Display for LinkEffect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delay(delay) => write!(f, "of {}", Around(*delay)),
            Self::Loss(share) | Self::Duplicate(share) | Self::Corrupt(share) => {
                write!(f, "of {}", Percent(*share))
            }
            Self::Reorder { share, by } => write!(f, "of {} by {by:?}", Percent(*share)),
            Self::Spread(spread) => write!(f, "of {spread}"),
            Self::Burst(burst) => burst.fmt(f),
            Self::Rate(rate) => rate.fmt(f),
            Self::Hold => f.write_str("until it is over"),
        }
    }
}

impl fmt::Display for WanFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let preset = self.regions.first().map_or("", |it| it.preset().name());
        let regions = list(self.regions.iter().map(|region| region.name()));
        write!(f, "of {preset}: the nodes in turn in {regions}")?;
        if self.jitter > 0.0 {
            write!(f, ", ± {}", Percent(self.jitter))?;
        }
        Ok(())
    }
}

impl fmt::Display for MessageFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.act {
            TapAct::Drop => f.write_str("dropped")?,
            TapAct::Hold => f.write_str("held")?,
            TapAct::Replay => f.write_str("passed, and replayed at the end")?,
            TapAct::Delay(delay) => write!(f, "delayed by {}", Around(delay))?,
            TapAct::Reorder(delay) => write!(f, "overtaken for {}", Around(delay))?,
            TapAct::Duplicate(delay) => write!(f, "sent again after {}", Around(delay))?,
        }
        f.write_str(": ")?;
        if self.share < 1.0 {
            write!(f, "{} of ", Percent(self.share))?;
        }
        match self.kinds.as_slice() {
            [] => f.write_str("all messages")?,
            kinds => f.write_str(&list(kinds))?,
        }
        f.write_str(match self.flow {
            Flow::Send => " sent by ",
            Flow::Receive => " received by ",
            Flow::Both => " at ",
        })?;
        self.target.fmt(f)?;
        if let Some(peers) = &self.peers {
            write!(f, ", with {peers} at the other end")?;
        }
        if let Some(Numbers { from, to }) = self.views {
            write!(f, ", of views {from} to {to}")?;
        }
        if let Some(Numbers { from, to }) = self.numbers {
            write!(f, ", numbered {from} to {to}")?;
        }
        if self.skip > 0 {
            write!(f, ", after the first {}", self.skip)?;
        }
        match self.limit {
            Some(limit) => write!(f, ", {limit} at most"),
            None => Ok(()),
        }
    }
}

/// A delay in words.
struct Around(Delay);

impl fmt::Display for Around {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Delay { base, jitter } = self.0;
        match jitter {
            Duration::ZERO => write!(f, "{base:?}"),
            jitter => write!(f, "{base:?} ± {jitter:?}"),
        }
    }
}

/// A share in words.
pub(crate) struct Percent(pub(crate) f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Rounded to a thousandth of a percent: 0.07 * 100 is not 7.
        write!(f, "{} %", (self.0 * 1e5).round() / 1e3)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_as_sentences() {
        let partition = Fault::Partition(Partition {
            shape: Shape::Isolate(Target::Primary),
            clients: ClientSides::Split,
            way: Way::In,
            layer: Layer::Messages,
            flapping: Some(Duration::from_millis(300)),
        });
        assert_eq!(
            partition.to_string(),
            "that isolates the primary, clients on every side, inwards only, at the message tap, \
             cut and whole for 300ms in turn"
        );
        let delay = Delay {
            base: Duration::from_millis(50),
            jitter: Duration::from_millis(10),
        };
        let links = Links::Of(Target::All, Way::Both);
        let delay = Fault::Links(LinkFault {
            links,
            effect: LinkEffect::Delay(delay),
        });
        assert_eq!(
            delay.to_string(),
            "of 50ms ± 10ms on all links of all replicas"
        );
        let messages = Fault::Messages(MessageFault {
            target: Target::Primary,
            flow: Flow::Send,
            peers: Some(Target::NextPrimary),
            kinds: vec!["Prepare".to_owned(), "Commit".to_owned()],
            views: Some(Numbers { from: 1, to: 2 }),
            numbers: None,
            share: 0.07,
            skip: 2,
            limit: Some(1),
            act: TapAct::Drop,
        });
        assert_eq!(
            messages.to_string(),
            "dropped: 7 % of Prepare, Commit sent by the primary, with the next primary at the \
             other end, of views 1 to 2, after the first 2, 1 at most"
        );
    }
}
