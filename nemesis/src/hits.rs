//! A fault on actual nodes: what it does to which links, taps and processes, and how overlapping ones add up.

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use viewstorm_history::Seed;
use viewstorm_protocol::{NodeId, ReplicaId};

use crate::known::Known;
use crate::machine::{Ending, MachineRule};
use crate::machine_hits::{running, those};
use crate::shape::{Cut, replicas_among};
use crate::target::Aim;
use crate::{
    Action, Delay, Fault, Flow, Layer, Link, LinkEffect, LinkFault, LinkRule, Links, MessageFault,
    PROBE_KIND, Partition, ScheduledFault, TapAct, TapRule, Target, Topology, WanFault, Way,
};

/// What a fault does to whom.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Hits {
    /// Whom it hits, for the record.
    pub(crate) targets: Vec<NodeId>,
    /// The links that it touches, at whatever height.
    pub(crate) touched: BTreeSet<Link>,
    /// Its tap rules cut: they go before those of other faults.
    pub(crate) is_cut: bool,
    /// It is whole for now, as one that comes and goes is in turn.
    pub(crate) is_lifted: bool,
    /// The replicas that it ends and keeps down.
    pub(crate) ends: BTreeMap<ReplicaId, Ending>,
    /// The replicas that it keeps from running.
    pub(crate) paused: BTreeSet<ReplicaId>,
    /// What is wrong with replicas' machines.
    pub(crate) machines: BTreeMap<ReplicaId, MachineRule>,
    /// The replicas whose storage it damages.
    pub(crate) damages: BTreeSet<ReplicaId>,
    /// Retired replicas that are started, to be members again.
    pub(crate) wakes: BTreeSet<ReplicaId>,
    /// What is done once, when it is applied.
    pub(crate) once: Vec<Action>,
    pub(crate) links: BTreeMap<Link, LinkRule>,
    pub(crate) taps: BTreeMap<NodeId, Vec<TapRule>>,
}

/// Why a fault cannot be applied as things are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Miss {
    /// Nobody is known to be the primary: that may change.
    NoPrimary,
    /// There is nothing to hit.
    Nothing(String),
    /// There is nothing left to hit: other faults have ended it.
    Down(String),
}

impl Hits {
    /// Resolves a fault's targets as things are now.
    pub(crate) fn resolve(
        scheduled: &ScheduledFault,
        topology: Topology,
        known: &Known,
    ) -> Result<Self, Miss> {
        let seed = scheduled.seed;
        let targets = match scheduled.fault.target() {
            Some(target) => aim(target, &scheduled.fault, topology, known, seed)?,
            None => Vec::new(),
        };
        match &scheduled.fault {
            Fault::Partition(partition) => Self::partition(partition, &targets, topology, seed),
            Fault::Links(fault) => Self::on_links(fault, targets, topology),
            Fault::Wan(fault) => Self::on_wan(fault, topology),
            Fault::Messages(fault) => {
                let peers = match &fault.peers {
                    Some(peers) => {
                        let seed = seed.stream("peers");
                        Some(aim(peers, &scheduled.fault, topology, known, seed)?)
                    }
                    None => None,
                };
                Self::on_messages(fault, targets, peers, topology, seed)
            }
            Fault::Kill(_) | Fault::Restart(_) => Ok(Self::ending(targets, Ending::Kill)),
            Fault::PowerLoss(_) => Ok(Self::ending(targets, Ending::PowerLoss)),
            Fault::Pause(_) | Fault::Slow(_) => {
                let targets = running(targets, known)?;
                let paused = replicas_among(&targets).collect();
                Ok(Self {
                    targets,
                    paused,
                    ..Self::default()
                })
            }
            Fault::Crash(fault) => Self::crash(running(targets, known)?, fault.point),
            Fault::Disk(fault) => Self::on_disks(fault.effect, targets, known),
            Fault::Reconfigure(change) => change.hits(topology, known, seed),
            Fault::Clock(fault) => {
                let is_awake = |id| known.is_awake(NodeId::Replica(id));
                Ok(Self::on_clocks(
                    fault.effect,
                    those(targets, known, is_awake)?,
                ))
            }
        }
    }

    fn partition(
        partition: &Partition,
        isolated: &[NodeId],
        topology: Topology,
        seed: Seed,
    ) -> Result<Self, Miss> {
        let mut random = ChaCha8Rng::seed_from_u64(seed.stream("shape").0);
        let sides = (partition.clients, partition.way);
        let cut = partition.shape.cut(topology, sides, isolated, &mut random);
        let Cut {
            targets,
            links: touched,
        } = cut;
        if touched.is_empty() {
            return Err(Miss::Nothing(
                "there is no link between the sides".to_owned(),
            ));
        }
        let mut hits = Self {
            targets,
            touched,
            is_cut: true,
            ..Self::default()
        };
        match partition.layer {
            Layer::Datagrams => {
                let rule = LinkRule {
                    cut: true,
                    ..LinkRule::default()
                };
                hits.links = hits
                    .touched
                    .iter()
                    .map(|link| (*link, rule.clone()))
                    .collect();
            }
            Layer::Messages => {
                let mut peers: BTreeMap<NodeId, Vec<NodeId>> = BTreeMap::new();
                for link in &hits.touched {
                    peers.entry(link.from).or_default().push(link.to);
                }
                let rule = |peers| TapRule {
                    flow: Flow::Send,
                    peers,
                    ..TapRule::new(TapAct::Drop, seed)
                };
                hits.taps = peers
                    .into_iter()
                    .map(|(node, peers)| (node, vec![rule(peers)]))
                    .collect();
            }
        }
        Ok(hits)
    }

    fn on_links(fault: &LinkFault, targets: Vec<NodeId>, topology: Topology) -> Result<Self, Miss> {
        let touched: BTreeSet<Link> = match &fault.links {
            Links::Named(links) => links.iter().copied().collect(),
            Links::Of(_, way) => {
                let is_in = |link: &Link| *way != Way::Out && targets.contains(&link.to);
                let is_out = |link: &Link| *way != Way::In && targets.contains(&link.from);
                topology
                    .links()
                    .filter(|link| is_in(link) || is_out(link))
                    .collect()
            }
        };
        if touched.is_empty() {
            return Err(Miss::Nothing("there is no such link".to_owned()));
        }
        let rule = link_rule(&fault.effect);
        let links = touched.iter().map(|link| (*link, rule.clone())).collect();
        Ok(Self {
            targets,
            touched,
            links,
            ..Self::default()
        })
    }

    /// Every link gets the time from its sender's region to its receiver's.
    fn on_wan(fault: &WanFault, topology: Topology) -> Result<Self, Miss> {
        let delay = |link: Link| {
            let base = fault.region(link.from).one_way(fault.region(link.to));
            (!base.is_zero()).then_some(Delay {
                base,
                jitter: base.mul_f64(fault.jitter),
            })
        };
        let rule = |delay| LinkRule {
            delay: Some(delay),
            ..LinkRule::default()
        };
        let links: BTreeMap<Link, LinkRule> = topology
            .links()
            .filter_map(|link| Some((link, rule(delay(link)?))))
            .collect();
        if links.is_empty() {
            return Err(Miss::Nothing("all nodes are in one region".to_owned()));
        }
        Ok(Self {
            touched: links.keys().copied().collect(),
            links,
            ..Self::default()
        })
    }

    fn on_messages(
        fault: &MessageFault,
        targets: Vec<NodeId>,
        peers: Option<Vec<NodeId>>,
        topology: Topology,
        seed: Seed,
    ) -> Result<Self, Miss> {
        let rule = |node: NodeId| TapRule {
            flow: fault.flow,
            peers: peers.clone().unwrap_or_default(),
            kinds: fault.kinds.clone(),
            views: fault.views,
            numbers: fault.numbers,
            probability: fault.share,
            skip: fault.skip,
            limit: fault.limit,
            seed: seed.stream(&node.to_string()),
            act: fault.act,
        };
        let is_peer = |node: NodeId| peers.as_ref().is_none_or(|peers| peers.contains(&node));
        let touches = |link: &Link| {
            (fault.flow != Flow::Receive && targets.contains(&link.from) && is_peer(link.to))
                || (fault.flow != Flow::Send && targets.contains(&link.to) && is_peer(link.from))
        };
        let touched: BTreeSet<Link> = topology.links().filter(touches).collect();
        if touched.is_empty() {
            return Err(Miss::Nothing("no message passes there".to_owned()));
        }
        let taps = targets
            .iter()
            .map(|node| (*node, vec![rule(*node)]))
            .collect();
        Ok(Self {
            targets,
            touched,
            taps,
            ..Self::default()
        })
    }

    /// What it does to links now.
    pub(crate) fn link_rules(&self) -> impl Iterator<Item = (&Link, &LinkRule)> {
        self.links.iter().filter(|_| !self.is_lifted)
    }

    /// What it does at taps now.
    pub(crate) fn tap_rules(&self) -> impl Iterator<Item = (&NodeId, &Vec<TapRule>)> {
        self.taps.iter().filter(|_| !self.is_lifted)
    }

    /// Whom it keeps from running now.
    pub(crate) fn pauses(&self, replica: ReplicaId) -> bool {
        !self.is_lifted && self.paused.contains(&replica)
    }

    /// The links on which it hits probes now, so that they show less of other faults.
    pub(crate) fn probes_hit(&self) -> impl Iterator<Item = Link> {
        let is_any = |rule: &TapRule| {
            rule.kinds.is_empty() || rule.kinds.iter().any(|kind| kind == PROBE_KIND)
        };
        let at_taps = self.tap_rules().any(|(_, rules)| rules.iter().any(is_any));
        let all = self.touched.iter().filter(move |_| at_taps);
        self.link_rules().map(|(link, _)| link).chain(all).copied()
    }

    /// Whether it does nothing to anybody.
    pub(crate) fn is_nothing(&self) -> bool {
        self.touched.is_empty()
            && self.ends.is_empty()
            && self.paused.is_empty()
            && self.machines.is_empty()
            && self.damages.is_empty()
    }

    /// The nodes whose taps have rules of this fault.
    pub(crate) fn tap_nodes(&self) -> BTreeSet<NodeId> {
        self.taps.keys().copied().collect()
    }
}

/// Whom of those that it could hit as well a fault prefers.
fn prefers(fault: &Fault, topology: Topology, known: &Known, id: ReplicaId) -> bool {
    match fault {
        Fault::Partition(_) | Fault::Links(_) | Fault::Messages(_) => true,
        Fault::Disk(disk) => match (disk.effect.budget(), known.get(id)) {
            // As long as there is room, one that is still whole; then those that are not.
            (Some(budget), Some(replica)) => {
                let wanted = disk.target.count(topology.replicas) + known.damaged().count();
                replica.is_damaged == (wanted > usize::from(budget.most(topology.replicas)))
            }
            _ => known.is_awake(NodeId::Replica(id)),
        },
        _ => known.is_awake(NodeId::Replica(id)) && !known.is_spare(id),
    }
}

/// The nodes that a target means now.
fn aim(
    target: &Target,
    fault: &Fault,
    topology: Topology,
    known: &Known,
    seed: Seed,
) -> Result<Vec<NodeId>, Miss> {
    let prefers = |id: ReplicaId| prefers(fault, topology, known, id);
    let (replicas, primary) = (topology.replicas, known.primary());
    let aim = Aim {
        replicas,
        primary,
        prefers: &prefers,
    };
    // The same draws however often it is tried.
    let mut random = ChaCha8Rng::seed_from_u64(seed.stream("target").0);
    match target.resolve(&aim, &mut random) {
        Some(nodes) if nodes.is_empty() => Err(Miss::Nothing(format!(
            "{target} of {replicas} replicas is nobody"
        ))),
        Some(nodes) => Ok(nodes),
        None => Err(Miss::NoPrimary),
    }
}

fn link_rule(effect: &LinkEffect) -> LinkRule {
    let open = LinkRule::default();
    match *effect {
        LinkEffect::Delay(delay) => LinkRule {
            delay: Some(delay),
            ..open
        },
        LinkEffect::Loss(loss) => LinkRule { loss, ..open },
        LinkEffect::Duplicate(duplicate) => LinkRule { duplicate, ..open },
        LinkEffect::Reorder { share, by } => LinkRule {
            reorder: share,
            reorder_by: by,
            ..open
        },
        LinkEffect::Corrupt(corrupt) => LinkRule { corrupt, ..open },
        LinkEffect::Spread(ref spread) => LinkRule {
            spreads: vec![spread.clone()],
            ..open
        },
        LinkEffect::Burst(burst) => LinkRule {
            bursts: vec![burst],
            ..open
        },
        LinkEffect::Rate(rate) => LinkRule {
            rate: Some(rate),
            ..open
        },
        LinkEffect::Hold => LinkRule { hold: true, ..open },
    }
}

/// Adds a rule to those that hold on the same link already: delays add, shares combine as independent ones.
pub(crate) fn add_rule(sum: &mut LinkRule, rule: &LinkRule) {
    // A zero leaves the other exactly as it is.
    let either = |one: f64, other: f64| match (one, other) {
        (0.0, share) | (share, 0.0) => share,
        (one, other) => 1.0 - (1.0 - one) * (1.0 - other),
    };
    sum.cut |= rule.cut;
    sum.delay = match (sum.delay, rule.delay) {
        (Some(one), Some(other)) => Some(Delay {
            base: one.base.saturating_add(other.base),
            jitter: one.jitter.saturating_add(other.jitter),
        }),
        (one, other) => one.or(other),
    };
    sum.loss = either(sum.loss, rule.loss);
    sum.duplicate = either(sum.duplicate, rule.duplicate);
    sum.reorder = either(sum.reorder, rule.reorder);
    sum.reorder_by = sum.reorder_by.max(rule.reorder_by);
    sum.corrupt = either(sum.corrupt, rule.corrupt);
    sum.spreads.extend_from_slice(&rule.spreads);
    sum.bursts.extend_from_slice(&rule.bursts);
    // The narrowest place decides.
    let rates = [sum.rate, rule.rate].into_iter().flatten();
    sum.rate = rates.min_by_key(|rate| (rate.kilobits, rate.queue_bytes));
    sum.hold |= rule.hold;
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn overlapping_rules_add_up() {
        let delay = |base, jitter| Delay {
            base: Duration::from_millis(base),
            jitter: Duration::from_millis(jitter),
        };
        let mut sum = LinkRule::default();
        for effect in [
            LinkEffect::Delay(delay(10, 1)),
            LinkEffect::Loss(0.5),
            LinkEffect::Delay(delay(30, 4)),
            LinkEffect::Loss(0.5),
            LinkEffect::Corrupt(0.25),
        ] {
            add_rule(&mut sum, &link_rule(&effect));
        }
        let expected = LinkRule {
            delay: Some(delay(40, 5)),
            loss: 0.75,
            corrupt: 0.25,
            ..LinkRule::default()
        };
        assert_eq!(sum, expected);
        add_rule(
            &mut sum,
            &LinkRule {
                cut: true,
                ..LinkRule::default()
            },
        );
        assert!(sum.cut);
    }
}
