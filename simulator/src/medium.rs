//! Between two cores: the sender's tap, the link, the receiver's tap.
//!
//! ```text
//!   core -> tap of the sender -> link -> tap of the receiver -> core
//!             Leave(later)       Arrive        Deliver(later)
//! ```
//!
//! Messages move as values: nothing is serialised, and corruption is what a checksum makes of it, a loss.

use viewstorm_nemesis::{Link, LinkCounters, LinkRule, Observation, ProbeId, TapRule, TapWatch};
use viewstorm_protocol::{Address, Direction, Envelope, Message, NodeId, Passing, TapVerdict};

use crate::SimulationConfig;
use crate::link::{Links, Nodes};
use crate::queue::{Due, Slab, Slot};
use crate::random::nanos;
use crate::run::Run;
use crate::tap::Gate;

/// How many bytes a probe has.
const PROBE_BYTES: usize = 64;

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Cargo<M> {
    /// A message between cores.
    Message(Envelope<M>),
    /// The nemesis' test traffic.
    Probe { id: ProbeId, sent: u64 },
}

/// Something on its way.
#[derive(Clone, Debug)]
pub(crate) struct InFlight<M> {
    pub(crate) from: Address,
    pub(crate) to: Address,
    pub(crate) cargo: Cargo<M>,
}

impl<M: Message> InFlight<M> {
    /// The link it crosses.
    pub(crate) const fn link(&self) -> Link {
        Link {
            from: self.from.node(),
            to: self.to.node(),
        }
    }

    /// How many bytes it would have on a wire.
    fn bytes(&self) -> usize {
        match &self.cargo {
            // One that does not serialise does not travel either.
            Cargo::Message(envelope) => {
                postcard::to_stdvec(envelope).map_or(0, |bytes| bytes.len())
            }
            Cargo::Probe { .. } => PROBE_BYTES,
        }
    }

    /// What a tap is told of it.
    fn passing(&self, direction: Direction) -> Passing {
        let peer = match direction {
            Direction::Send => self.to.node(),
            Direction::Receive => self.from.node(),
        };
        let (kind, view, number) = match &self.cargo {
            Cargo::Message(Envelope { message, .. }) => {
                (message.kind(), message.view(), message.number())
            }
            Cargo::Probe { .. } => ("Probe", None, None),
        };
        Passing {
            direction,
            peer,
            kind,
            view,
            number,
        }
    }
}

/// The whole network.
#[derive(Debug)]
pub(crate) struct Medium<M> {
    nodes: Nodes,
    links: Links,
    gates: Vec<Gate>,
    flights: Slab<InFlight<M>>,
    hold_buffer: usize,
    cut_in_flight: bool,
}

impl<M: Message> Medium<M> {
    /// An untouched network.
    pub(crate) fn new(config: &SimulationConfig) -> Self {
        let nodes = Nodes::new(config.topology);
        Self {
            nodes,
            links: Links::new(config.seed, config.topology, config.network_delay),
            gates: (0..nodes.len()).map(|_| Gate::default()).collect(),
            flights: Slab::default(),
            hold_buffer: config.hold_buffer,
            cut_in_flight: config.cut_in_flight,
        }
    }

    /// Replaces what happens on the link. What only a hold that is over kept goes on at once, in its order; a cut
    /// takes it.
    pub(crate) fn set_link(&mut self, link: Link, rule: LinkRule, run: &mut Run) {
        let released = self.links.set(link, rule);
        self.links.released(link, released.len() as u64);
        for slot in released {
            if self.links.is_cut(link.from, link.to) {
                self.links.lost_in_flight(link.from, link.to);
                self.lose(slot, run);
            } else {
                run.queue.push(run.now, Due::Arrive(slot));
            }
        }
    }

    /// What the link has done.
    pub(crate) fn counters(&self, link: Link) -> LinkCounters {
        self.links.counters(link)
    }

    /// Takes what a node sends.
    pub(crate) fn send(&mut self, flight: InFlight<M>, run: &mut Run) {
        let gate = self.nodes.index(flight.from.node());
        if self.gates[gate].is_open() {
            self.cross(flight, run);
        } else {
            let slot = self.flights.insert(flight);
            if let Some(flight) = self.tap(Direction::Send, slot, run) {
                self.cross(flight, run);
            }
        }
    }

    /// A delayed message has passed its sender's tap.
    pub(crate) fn leave(&mut self, slot: Slot, run: &mut Run) {
        let flight = self.flights.remove(slot);
        self.cross(flight, run);
    }

    /// A message reaches its receiver's tap. Hands it out if it goes on at once.
    pub(crate) fn arrive(&mut self, slot: Slot, run: &mut Run) -> Option<InFlight<M>> {
        let link = self.flights.get(slot).expect("it is on its way").link();
        if self.cut_in_flight && self.links.is_cut(link.from, link.to) {
            self.links.lost_in_flight(link.from, link.to);
            self.lose(slot, run);
            return None;
        }
        if self.gates[self.nodes.index(link.to)].is_open() {
            return Some(self.flights.remove(slot));
        }
        self.tap(Direction::Receive, slot, run)
    }

    /// A delayed message has passed its receiver's tap.
    pub(crate) fn deliver(&mut self, slot: Slot) -> InFlight<M> {
        self.flights.remove(slot)
    }

    /// Replaces what is watched for at a node's tap.
    pub(crate) fn watch(&mut self, node: NodeId, watches: Vec<TapWatch>) {
        self.gates[self.nodes.index(node)].watch(watches);
    }

    /// Replaces the rules at a node's tap. What only a vanished rule held goes on.
    pub(crate) fn set_tap(&mut self, node: NodeId, rules: Vec<TapRule>, run: &mut Run) {
        let gate = self.nodes.index(node);
        for (direction, slot) in self.gates[gate].set(rules) {
            let due = match direction {
                Direction::Send => Due::Leave(slot),
                Direction::Receive => Due::Deliver(slot),
            };
            // Those still to be held are asked again in the order in which they came.
            let flight = self.flights.get(slot).expect("it was held");
            let verdict = self.gates[gate].inspect(run.now, &flight.passing(direction));
            if matches!(verdict, TapVerdict::Hold | TapVerdict::Replay) {
                self.gates[gate].hold(direction, slot);
            } else {
                run.queue.push(run.now, due);
            }
        }
    }

    /// Asks the tap. Hands the message out if it passes at once.
    fn tap(&mut self, direction: Direction, slot: Slot, run: &mut Run) -> Option<InFlight<M>> {
        let flight = self.flights.get(slot).expect("it is at the tap");
        let node = match direction {
            Direction::Send => flight.from.node(),
            Direction::Receive => flight.to.node(),
        };
        let later: fn(Slot) -> Due = match direction {
            Direction::Send => Due::Leave,
            Direction::Receive => Due::Deliver,
        };
        let gate = &mut self.gates[self.nodes.index(node)];
        let passing = flight.passing(direction);
        for watch in gate.seen(&passing) {
            run.observe(Observation::MessageSeen { watch });
        }
        match gate.inspect(run.now, &passing) {
            TapVerdict::Pass => return Some(self.flights.remove(slot)),
            TapVerdict::Drop => self.lose(slot, run),
            TapVerdict::Delay(by) => run
                .queue
                .push(run.now.saturating_add(nanos(by)), later(slot)),
            TapVerdict::Duplicate(by) => {
                let copy = flight.clone();
                run.queue
                    .push(run.now.saturating_add(nanos(by)), later(slot));
                return Some(copy);
            }
            TapVerdict::Hold if gate.held() < self.hold_buffer => gate.hold(direction, slot),
            TapVerdict::Hold => self.lose(slot, run),
            TapVerdict::Replay => {
                let copy = flight.clone();
                if gate.held() < self.hold_buffer {
                    gate.hold(direction, slot);
                } else {
                    self.flights.remove(slot);
                }
                return Some(copy);
            }
        }
        None
    }

    /// Puts a message on its link.
    fn cross(&mut self, flight: InFlight<M>, run: &mut Run) {
        let link = flight.link();
        let bytes = || flight.bytes();
        let crossing = self.links.cross(link.from, link.to, run.now, bytes);
        if crossing.is_held {
            let slot = self.flights.insert(flight);
            if !self.links.keep(link, slot, self.hold_buffer) {
                self.lose(slot, run);
            }
            return;
        }
        if let Some(second) = crossing.second {
            let slot = self.flights.insert(flight.clone());
            run.queue
                .push(run.now.saturating_add(second), Due::Arrive(slot));
        }
        match crossing.first {
            Some(first) => {
                let slot = self.flights.insert(flight);
                run.queue
                    .push(run.now.saturating_add(first), Due::Arrive(slot));
            }
            None => run.statistics.dropped += 1,
        }
    }

    fn lose(&mut self, slot: Slot, run: &mut Run) {
        self.flights.remove(slot);
        run.statistics.dropped += 1;
    }
}
