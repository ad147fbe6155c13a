//! The directed links, and what becomes of what is put on one.

use viewstorm_history::Seed;
use viewstorm_nemesis::{Delay, Link, LinkCounters, LinkMemory, LinkRule, Topology};
use viewstorm_protocol::NodeId;

use crate::Between;
use crate::queue::Slot;
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
    memory: LinkMemory,
    /// What waits for the end of a hold, as it came.
    held: Vec<Slot>,
    base: Stream,
    faults: Stream,
    counters: LinkCounters,
}

/// What becomes of a message: how much later its copies arrive. None at all if it vanished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Crossing {
    pub(crate) first: Option<u64>,
    pub(crate) second: Option<u64>,
    /// It waits for the end of a hold.
    pub(crate) is_held: bool,
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
            memory: LinkMemory::default(),
            held: Vec::new(),
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

    /// Replaces what happens on the link. Hands out what only a hold that is over kept, as it came.
    #[must_use = "what was held goes on"]
    pub(crate) fn set(&mut self, link: Link, rule: LinkRule) -> Vec<Slot> {
        let place = self.place(link.from, link.to);
        let wire = &mut self.wires[place];
        let released = match rule.hold {
            true => Vec::new(),
            false => std::mem::take(&mut wire.held),
        };
        wire.memory.set(&rule);
        wire.open = rule.is_open();
        wire.rule = rule;
        released
    }

    /// Keeps a message until the hold is over. False if there is no room.
    pub(crate) fn keep(&mut self, link: Link, slot: Slot, room: usize) -> bool {
        let place = self.place(link.from, link.to);
        let wire = &mut self.wires[place];
        if wire.held.len() >= room {
            wire.counters.overflowed += 1;
            return false;
        }
        wire.held.push(slot);
        true
    }

    /// Counts what had been held and goes on.
    pub(crate) fn released(&mut self, link: Link, count: u64) {
        let place = self.place(link.from, link.to);
        let counters = &mut self.wires[place].counters;
        counters.forwarded += count;
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

    /// Puts a message on the link at `now`, in nanoseconds. How many bytes it has is asked only where a rate is
    /// set: messages move as values.
    pub(crate) fn cross(
        &mut self,
        from: NodeId,
        to: NodeId,
        now: u64,
        bytes: impl FnOnce() -> usize,
    ) -> Crossing {
        let place = self.place(from, to);
        let base_delay = self.base_delay;
        let wire = &mut self.wires[place];
        wire.counters.offered += 1;
        let base = wire.base.nanos(base_delay);
        if wire.open {
            wire.counters.forwarded += 1;
            return Crossing {
                first: Some(base),
                ..Crossing::default()
            };
        }
        wire.cross_faulty(base, base_delay, now, bytes)
    }
}

impl Wire {
    /// The order of the decisions is part of what a seed means.
    fn cross_faulty(
        &mut self,
        base: u64,
        base_delay: Between,
        now: u64,
        bytes: impl FnOnce() -> usize,
    ) -> Crossing {
        let (rule, counters, faults) = (&self.rule, &mut self.counters, &mut self.faults);
        let memory = &mut self.memory;
        if rule.cut {
            counters.cut += 1;
            return Crossing::default();
        }
        if rule.hold {
            counters.held += 1;
            return Crossing {
                is_held: true,
                ..Crossing::default()
            };
        }
        if faults.chance(rule.loss) | memory.burst(rule, || faults.next_u64()) {
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
        if rule.rate.is_some() {
            let Some(queued) = memory.queue(rule, now, bytes()) else {
                counters.overflowed += 1;
                return Crossing::default();
            };
            counters.limited += 1;
            first = first.saturating_add(nanos(queued));
        }
        if let Some(delay) = rule.delay {
            first = first.saturating_add(later(faults, delay));
        }
        counters.delayed += u64::from(rule.delay.is_some() || !rule.spreads.is_empty());
        first = first.saturating_add(nanos(memory.spread(rule, || faults.next_u64())));
        if faults.chance(rule.reorder) {
            counters.reordered += 1;
            first = first.saturating_add(nanos(rule.reorder_by));
        }
        let second = faults.chance(rule.duplicate).then(|| {
            counters.duplicated += 1;
            let again = faults.nanos(base_delay);
            let delayed = rule
                .delay
                .map_or(again, |delay| again.saturating_add(later(faults, delay)));
            delayed.saturating_add(nanos(memory.spread(rule, || faults.next_u64())))
        });
        counters.forwarded += 1 + u64::from(second.is_some());
        Crossing {
            first: Some(first),
            second,
            is_held: false,
        }
    }
}

fn later(random: &mut Stream, delay: Delay) -> u64 {
    random.nanos(Between {
        least: delay.base.saturating_sub(delay.jitter),
        most: delay.base.saturating_add(delay.jitter),
    })
}
