//! The faults: drawn, enacted, and lifted after a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use viewstorm_history::{Seed, Timestamp};
use viewstorm_nemesis::{Action, Delay, Flow, Link, LinkRule, TapAct, TapRule};
use viewstorm_protocol::{NodeId, ReplicaId};
use viewstorm_simulator::{ClockBend, CrashKind};

use crate::climate::{Climate, FaultKind};
use crate::partition;
use crate::random::Random;
use crate::world::{World, after};

/// Messages that a tap may single out, by the paper's names.
const KINDS: [&str; 10] = [
    "Request",
    "Reply",
    "Prepare",
    "PrepareOk",
    "Commit",
    "StartViewChange",
    "DoViewChange",
    "StartView",
    "GetState",
    "NewState",
];

/// What ends a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Relief {
    Start(ReplicaId),
    Resume(ReplicaId),
    Join,
    Smooth(Link),
    LiftTap(NodeId, u64),
    SpeedUp(ReplicaId),
    Straighten(ReplicaId),
}

/// The faults at work.
pub(crate) struct Weather {
    random: Random,
    kinds: Vec<FaultKind>,
    lull: u64,
    spell: u64,
    cut: BTreeSet<Link>,
    rough: BTreeMap<Link, LinkRule>,
    taps: BTreeMap<NodeId, Vec<(u64, TapRule)>>,
    named: u64,
    reliefs: BTreeSet<(Timestamp, Relief)>,
    next: Timestamp,
    /// Everything that was done, for those who look for the cause.
    pub(crate) log: Vec<String>,
}

impl Weather {
    pub(crate) fn new(climate: &Climate) -> Self {
        Self {
            random: Random::new(climate.simulation.seed, "weather"),
            kinds: climate.faults.clone(),
            lull: climate.lull,
            spell: climate.spell,
            cut: BTreeSet::new(),
            rough: BTreeMap::new(),
            taps: BTreeMap::new(),
            named: 0,
            reliefs: BTreeSet::new(),
            next: Timestamp(50_000_000),
            log: Vec::new(),
        }
    }

    /// When something is to be done.
    pub(crate) fn next(&self) -> Timestamp {
        let relief = self
            .reliefs
            .first()
            .map_or(Timestamp(u64::MAX), |first| first.0);
        relief.min(self.next)
    }

    /// Does what is due.
    pub(crate) fn change(&mut self, world: &mut World) {
        let now = world.now();
        while let Some((at, relief)) = self.reliefs.first().copied()
            && at <= now
        {
            self.reliefs.remove(&(at, relief));
            self.lift(relief, world);
        }
        if self.next <= now {
            self.strike(world);
            // Often two faults come together.
            if self.random.chance(30) {
                self.strike(world);
            }
            self.next = after(now, self.random.millis(1, self.lull));
        }
    }

    /// Ends all faults.
    pub(crate) fn clear_up(&mut self, world: &mut World) {
        self.log.push(format!("{} clears up", world.now()));
        self.cut.clear();
        self.rough.clear();
        self.taps.clear();
        self.reliefs.clear();
        for link in world.topology.links() {
            self.set_link(link, world);
        }
        for node in world.topology.nodes() {
            self.set_tap(node, world);
        }
        for replica in world.topology.replica_ids() {
            self.lift(Relief::SpeedUp(replica), world);
            self.lift(Relief::Straighten(replica), world);
            self.lift(Relief::Resume(replica), world);
        }
        self.restart_all(world);
    }

    /// Starts whoever is down.
    pub(crate) fn restart_all(&mut self, world: &mut World) {
        for replica in world.topology.replica_ids() {
            self.lift(Relief::Start(replica), world);
        }
    }

    fn lift(&mut self, relief: Relief, world: &mut World) {
        let simulation = &mut world.simulation;
        match relief {
            Relief::Start(replica) => simulation.enact(&Action::Start(replica)),
            Relief::Resume(replica) => simulation.enact(&Action::Resume(replica)),
            Relief::Join => self.partition(BTreeSet::new(), world),
            Relief::Smooth(link) => {
                self.rough.remove(&link);
                self.set_link(link, world);
            }
            Relief::LiftTap(node, name) => {
                if let Some(rules) = self.taps.get_mut(&node) {
                    rules.retain(|rule| rule.0 != name);
                }
                self.set_tap(node, world);
            }
            Relief::SpeedUp(replica) => simulation.slow_syncs(replica, Duration::ZERO),
            Relief::Straighten(replica) => simulation.bend_clock(replica, ClockBend::Drift(0)),
        }
    }

    fn set_link(&mut self, link: Link, world: &mut World) {
        let mut rule = self.rough.get(&link).cloned().unwrap_or_default();
        rule.cut = self.cut.contains(&link);
        world.simulation.enact(&Action::SetLink { link, rule });
    }

    fn set_tap(&mut self, node: NodeId, world: &mut World) {
        let rules = self.taps.get(&node).into_iter().flatten();
        let rules = rules.map(|(_, rule)| rule.clone()).collect();
        world.simulation.enact(&Action::SetTap { node, rules });
    }

    /// Some replica, the primary more often than others.
    fn target(&mut self, world: &World) -> ReplicaId {
        let primary = world.primary().filter(|_| self.random.chance(40));
        let any = self.random.below(usize::from(world.topology.replicas)) as u16;
        primary.unwrap_or(ReplicaId(any))
    }

    fn until(&mut self, world: &World, relief: Relief) {
        let at = after(world.now(), self.random.millis(1, self.spell));
        self.reliefs.insert((at, relief));
    }

    fn strike(&mut self, world: &mut World) {
        let kind = self.random.pick(&self.kinds);
        let target = self.target(world);
        self.log.push(format!("{} {kind:?} {target}", world.now()));
        match kind {
            FaultKind::Partition => {
                let cut = partition::draw(&mut self.random, world.topology, target.0);
                self.partition(cut, world);
                self.until(world, Relief::Join);
            }
            FaultKind::Rough => self.roughen(world),
            FaultKind::Tap => self.tap(target, world),
            FaultKind::Kill => self.crash(target, CrashKind::Process, world),
            FaultKind::PowerLoss => self.crash(target, CrashKind::PowerLoss, world),
            FaultKind::CrashInStep => {
                let nth = 1 + self.random.below(40) as u64;
                let kind = self
                    .random
                    .pick(&[CrashKind::Process, CrashKind::PowerLoss]);
                world.simulation.crash_at_effect(target, nth, kind);
                self.until(world, Relief::Start(target));
            }
            FaultKind::CrashAll => {
                for replica in world.topology.replica_ids() {
                    self.crash(replica, CrashKind::PowerLoss, world);
                }
            }
            FaultKind::Pause => {
                world.simulation.enact(&Action::Pause(target));
                self.until(world, Relief::Resume(target));
            }
            FaultKind::Clock => self.bend_clock(target, world),
            FaultKind::SlowDisk => {
                let by = self.random.millis(1, 100);
                world.simulation.slow_syncs(target, by);
                self.until(world, Relief::SpeedUp(target));
            }
            FaultKind::FailSync => {
                world.simulation.fail_next_sync(target);
                self.until(world, Relief::Start(target));
            }
            FaultKind::ClientCrash => world.crash_client(),
        }
    }

    fn crash(&mut self, target: ReplicaId, kind: CrashKind, world: &mut World) {
        world.simulation.crash(target, kind);
        self.until(world, Relief::Start(target));
    }

    fn partition(&mut self, cut: BTreeSet<Link>, world: &mut World) {
        let before = std::mem::replace(&mut self.cut, cut);
        let changed: Vec<Link> = before.symmetric_difference(&self.cut).copied().collect();
        if !changed.is_empty() {
            let cut: Vec<String> = self.cut.iter().map(Link::to_string).collect();
            self.log
                .push(format!("{} cut: {}", world.now(), cut.join(" ")));
        }
        for link in changed {
            self.set_link(link, world);
        }
    }

    /// Loss, delay, duplicates and overtaking on some links.
    fn roughen(&mut self, world: &mut World) {
        let share = self.random.pick(&[5, 30, 100]);
        let chance = |random: &mut Random| random.pick(&[0.0, 0.0, 0.02, 0.2, 0.7]);
        let rule = LinkRule {
            loss: chance(&mut self.random),
            duplicate: chance(&mut self.random),
            reorder: chance(&mut self.random),
            reorder_by: self.random.millis(1, 60),
            delay: self.random.chance(30).then(|| Delay {
                base: self.random.millis(0, 30),
                jitter: self.random.millis(0, 30),
            }),
            ..LinkRule::default()
        };
        let links: Vec<Link> = world.topology.links().collect();
        for link in links {
            if self.random.chance(share) {
                self.rough.insert(link, rule.clone());
                self.set_link(link, world);
                self.until(world, Relief::Smooth(link));
            }
        }
    }

    /// A rule at one node's tap, about one kind of message or all.
    fn tap(&mut self, target: ReplicaId, world: &mut World) {
        let random = &mut self.random;
        let delay = Delay {
            base: random.millis(1, 300),
            jitter: random.millis(0, 100),
        };
        let acts = [
            TapAct::Drop,
            TapAct::Hold,
            TapAct::Delay(delay),
            TapAct::Duplicate(delay),
        ];
        let mut rule = TapRule::new(random.pick(&acts), Seed(random.next()));
        rule.flow = random.pick(&[Flow::Send, Flow::Receive, Flow::Both]);
        if random.chance(90) {
            rule.kinds = vec![random.pick(&KINDS).to_owned()];
        }
        if random.chance(50) {
            let nodes: Vec<NodeId> = world.topology.nodes().collect();
            rule.peers = vec![random.pick(&nodes)];
        }
        rule.probability = random.pick(&[0.2, 1.0, 1.0]);
        rule.skip = random.pick(&[0, 0, 1, 5]);
        rule.limit = random.pick(&[None, Some(1), Some(3)]);
        self.named += 1;
        let node = NodeId::Replica(target);
        self.log
            .push(format!("{} tap {node}: {rule:?}", world.now()));
        self.taps.entry(node).or_default().push((self.named, rule));
        self.set_tap(node, world);
        self.until(world, Relief::LiftTap(node, self.named));
    }

    fn bend_clock(&mut self, target: ReplicaId, world: &mut World) {
        let leap =
            i64::try_from(self.random.millis(0, 300).as_nanos()).expect("less than a second");
        let bend = match self.random.below(3) {
            0 => ClockBend::Jump(leap),
            1 => ClockBend::Jump(-leap),
            _ => ClockBend::Drift(
                self.random
                    .pick(&[-1_000_000, -500_000, 300_000, 2_000_000]),
            ),
        };
        world.simulation.bend_clock(target, bend);
        self.until(world, Relief::Straighten(target));
    }
}
