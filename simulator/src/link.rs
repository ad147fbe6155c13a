//! The directed links, and what becomes of what is put on one.

use viewstorm_history::Seed;
use viewstorm_nemesis::{Delay, Link, LinkCounters, LinkRule, Topology};
use viewstorm_protocol::NodeId;

use crate::Between;
use crate::random::{Stream, nanos};

/// Replicas first, then client endpoints.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nodes {
    topology: Topology,
}

impl Nodes {
    pub(crate) const fn new(topology: Topology) -> Self {
        Self { topology }
    }

    /// The node's place.
    pub(crate) fn index(self, node: NodeId) -> usize {
        match node {
            NodeId::Replica(replica) => {
                assert!(
                    replica.0 < self.topology.replicas,
                    "{replica} is not in the topology"
                );
                usize::from(replica.0)
            }
            NodeId::Client(endpoint) => {
                assert!(
                    endpoint < self.topology.clients,
                    "c{endpoint} is not in the topology"
                );
                usize::from(self.topology.replicas) + usize::from(endpoint)
            }
        }
    }

    /// How many nodes there are.
    pub(crate) fn len(self) -> usize {
        usize::from(self.topology.replicas) + usize::from(self.topology.clients)
    }
}

/// One directed link. Faults draw from a stream of their own: without them the base delays stay.
#[derive(Debug)]
struct Wire {
    rule: LinkRule,
    open: bool,
    base: Stream,
    faults: Stream,
    counters: LinkCounters,
}

/// What becomes of a message: how much later its copies arrive. None at all if it vanished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crossing {
    pub(crate) first: Option<u64>,
    pub(crate) second: Option<u64>,
}

/// All directed links.
#[derive(Debug)]
pub(crate) struct Links {
    nodes: Nodes,
    wires: Vec<Wire>,
    base_delay: Between,
}

impl Links {
    /// Untouched links.
    pub(crate) fn new(seed: Seed, topology: Topology, base_delay: Between) -> Self {
        let nodes = Nodes::new(topology);
        let name = |from: NodeId, to: NodeId| Link { from, to }.to_string();
        let wire = |from, to| Wire {
            rule: LinkRule::default(),
            open: true,
            base: Stream::new(seed, &format!("link {}", name(from, to))),
            faults: Stream::new(seed, &format!("link faults {}", name(from, to))),
            counters: LinkCounters::default(),
        };
        let wires = topology
            .nodes()
            .flat_map(|from| topology.nodes().map(move |to| (from, to)))
            .map(|(from, to)| wire(from, to))
            .collect();
        Self {
            nodes,
            wires,
            base_delay,
        }
    }

    fn place(&self, from: NodeId, to: NodeId) -> usize {
        self.nodes.index(from) * self.nodes.len() + self.nodes.index(to)
    }

    /// Replaces what happens on the link.
    pub(crate) fn set(&mut self, link: Link, rule: LinkRule) {
        let place = self.place(link.from, link.to);
        let wire = &mut self.wires[place];
        wire.open = rule.is_open();
        wire.rule = rule;
    }

    /// Whether nothing passes.
    pub(crate) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        let wire = &self.wires[self.place(from, to)];
        !wire.open && wire.rule.cut
    }

    /// Counts what a cut took on its way.
    pub(crate) fn lost_in_flight(&mut self, from: NodeId, to: NodeId) {
        let place = self.place(from, to);
        let counters = &mut self.wires[place].counters;
        counters.forwarded -= 1;
        counters.cut += 1;
    }

    /// What the link has done so far.
    pub(crate) fn counters(&self, link: Link) -> LinkCounters {
        self.wires[self.place(link.from, link.to)].counters
    }

    /// Puts a message on the link.
    pub(crate) fn cross(&mut self, from: NodeId, to: NodeId) -> Crossing {
        let place = self.place(from, to);
        let base_delay = self.base_delay;
        let wire = &mut self.wires[place];
        wire.counters.offered += 1;
        let base = wire.base.nanos(base_delay);
        if wire.open {
            wire.counters.forwarded += 1;
            return Crossing {
                first: Some(base),
                second: None,
            };
        }
        wire.cross_faulty(base, base_delay)
    }
}

impl Wire {
    /// The order of the decisions is part of what a seed means.
    fn cross_faulty(&mut self, base: u64, base_delay: Between) -> Crossing {
        let (rule, counters, faults) = (&self.rule, &mut self.counters, &mut self.faults);
        if rule.cut {
            counters.cut += 1;
            return Crossing::default();
        }
        if faults.chance(rule.loss) {
            counters.lost += 1;
            return Crossing::default();
        }
        if faults.chance(rule.corrupt) {
            // The message checksum rejects it at the receiver: never delivered, and never altered.
            counters.corrupted += 1;
            counters.forwarded += 1;
            return Crossing::default();
        }
        let mut first = base;
        if let Some(delay) = rule.delay {
            counters.delayed += 1;
            first = first.saturating_add(later(faults, delay));
        }
        if faults.chance(rule.reorder) {
            counters.reordered += 1;
            first = first.saturating_add(nanos(rule.reorder_by));
        }
        let second = faults.chance(rule.duplicate).then(|| {
            counters.duplicated += 1;
            let again = faults.nanos(base_delay);
            rule.delay
                .map_or(again, |delay| again.saturating_add(later(faults, delay)))
        });
        counters.forwarded += 1 + u64::from(second.is_some());
        Crossing {
            first: Some(first),
            second,
        }
    }
}

fn later(random: &mut Stream, delay: Delay) -> u64 {
    random.nanos(Between {
        least: delay.base.saturating_sub(delay.jitter),
        most: delay.base.saturating_add(delay.jitter),
    })
}
