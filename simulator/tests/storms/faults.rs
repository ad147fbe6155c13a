//! The faults: drawn, enacted, and lifted after a while.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use viewstorm_history::{Seed, Timestamp};
use viewstorm_nemesis::{Action, ClockBend, Delay, Flow, Link, LinkRule, TapAct, TapRule};
use viewstorm_protocol::vr::DurabilityMode;
use viewstorm_protocol::{NodeId, Quorum, ReplicaId};
use viewstorm_simulator::CrashKind;

use crate::climate::{Climate, FaultKind};
use crate::partition;
use crate::random::Random;
use crate::world::{World, after};

/// Messages that a tap may single out, by the paper's names.
const KINDS: [&str; 12] = [
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
    "Recovery",
    "RecoveryResponse",
];

/// Messages that belong together: without one group, the other goes on as if nothing were.
const GROUPS: [&[&str]; 3] = [
    &["StartViewChange", "DoViewChange", "StartView"],
    &["Prepare", "Commit"],
    &["GetState", "NewState", "StartView"],
];

/// How long a dethroned primary is down.
const GRACE: Duration = Duration::from_millis(1);
/// How long a process is down at least where nothing of it may come late.
const SILENCE: u64 = 20;

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
    jumpy: usize,
    budget: bool,
    durability: DurabilityMode,
    /// What happens on every link.
    base: LinkRule,
    cut: BTreeSet<Link>,
    rough: BTreeMap<Link, LinkRule>,
    taps: BTreeMap<NodeId, Vec<(u64, TapRule)>>,
    named: u64,
    /// Who was hit last.
    last: ReplicaId,
    reliefs: BTreeSet<(Timestamp, Relief)>,
    next: Timestamp,
    /// Everything that was done, for those who look for the cause.
    pub(crate) log: Vec<String>,
}

impl Weather {
    /// The weather at the beginning of a storm.
    pub(crate) fn begin(climate: &Climate, world: &mut World) -> Self {
        let half = Duration::from_millis(climate.turbulence) / 2;
        let delay = Delay {
            base: half,
            jitter: half,
        };
        let mut random = Random::new(climate.simulation.seed, "weather");
        // Some messages come so late that several views have passed.
        let stray = !half.is_zero() && random.chance(70);
        let mut weather = Self {
            kinds: climate.faults.clone(),
            lull: climate.lull,
            spell: climate.spell,
            jumpy: climate.jumpy,
            budget: climate.budget,
            durability: climate.durability,
            base: LinkRule {
                delay: (!half.is_zero()).then_some(delay),
                reorder: if stray {
                    random.pick(&[0.05, 0.2, 0.5])
                } else {
                    0.0
                },
                reorder_by: random.millis(100, 3_000),
                duplicate: random.pick(&[0.0, 0.2]),
                ..LinkRule::default()
            },
            random,
            cut: BTreeSet::new(),
            rough: BTreeMap::new(),
            taps: BTreeMap::new(),
            named: 0,
            last: ReplicaId(0),
            reliefs: BTreeSet::new(),
            next: Timestamp(50_000_000),
            log: Vec::new(),
        };
        for link in world.topology.links() {
            weather.set_link(link, world);
        }
        for replica in world.topology.replica_ids() {
            let by = weather.random.millis(0, climate.turbulence);
            world.simulation.slow_syncs(replica, by);
        }
        if weather.random.chance(40) && climate.may_be_late() {
            weather.echo(world);
        }
        weather
    }

    /// All storm long, what was said once is heard again much later: messages of one kind or of all.
    fn echo(&mut self, world: &mut World) {
        let half = self.random.millis(10, 1_000);
        let echo = TapAct::Duplicate(Delay {
            base: half,
            jitter: half,
        });
        let kind = self.random.pick(&KINDS).to_owned();
        let kinds = if self.random.chance(70) {
            vec![kind]
        } else {
            Vec::new()
        };
        for replica in world.topology.replica_ids() {
            let rule = TapRule {
                flow: Flow::Receive,
                kinds: kinds.clone(),
                ..TapRule::new(echo, Seed(self.random.next()))
            };
            let node = NodeId::Replica(replica);
            self.log.push(format!("{node} echoes: {rule:?}"));
            self.taps.entry(node).or_default().push((0, rule));
            self.set_tap(node, world);
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
        if world.take_stirred() {
            self.jump(world);
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

    /// Somebody's role has changed: the time at which a late message or another fault does most harm.
    fn jump(&mut self, world: &mut World) {
        if self.random.chance(self.jumpy) {
            let is_tap = |relief: &(Timestamp, Relief)| matches!(relief.1, Relief::LiftTap(..));
            let taps: Vec<_> = self.reliefs.iter().copied().filter(is_tap).collect();
            if !taps.is_empty() {
                let (at, relief) = self.random.pick(&taps);
                self.reliefs.remove(&(at, relief));
                let soon = after(world.now(), self.random.millis(0, 100));
                self.reliefs.insert((soon, relief));
            }
        }
        if self.random.chance(self.jumpy) {
            self.next = after(world.now(), self.random.millis(0, 5));
        }
    }

    /// Ends all faults.
    pub(crate) fn clear_up(&mut self, world: &mut World) {
        self.log.push(format!("{} clears up", world.now()));
        self.base = LinkRule::default();
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
        let mut rule = self.rough.get(&link).unwrap_or(&self.base).clone();
        rule.cut = self.cut.contains(&link);
        world.simulation.enact(&Action::SetLink { link, rule });
    }

    fn set_tap(&mut self, node: NodeId, world: &mut World) {
        let rules = self.taps.get(&node).into_iter().flatten();
        let rules = rules.map(|(_, rule)| rule.clone()).collect();
        world.simulation.enact(&Action::SetTap { node, rules });
    }

    /// Some replica: often the one that was hit last, and the primary more often than others.
    fn target(&mut self, world: &World) -> ReplicaId {
        if self.random.chance(30) {
            return self.last;
        }
        let primary = world.primary().filter(|_| self.random.chance(40));
        let any = self.random.below(usize::from(world.topology.replicas)) as u16;
        self.last = primary.unwrap_or(ReplicaId(any));
        self.last
    }

    fn until(&mut self, world: &World, relief: Relief) {
        let at = after(world.now(), self.random.millis(1, self.spell));
        self.reliefs.insert((at, relief));
    }

    fn strike(&mut self, world: &mut World) {
        let kind = self.random.pick(&self.kinds);
        let target = self.target(world);
        if self.is_too_much(kind, target, world) {
            return;
        }
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
            // A primary that restarts leaves its view: the next one comes without delay.
            FaultKind::Dethrone => {
                let primary = world.primary().unwrap_or(target);
                if self.is_too_much(FaultKind::Kill, primary, world) {
                    return;
                }
                let kind = self
                    .random
                    .pick(&[CrashKind::Process, CrashKind::PowerLoss]);
                world.simulation.crash(primary, kind);
                let grace = match self.durability {
                    DurabilityMode::Diskless => Duration::from_millis(SILENCE),
                    _ => GRACE,
                };
                self.reliefs
                    .insert((after(world.now(), grace), Relief::Start(primary)));
            }
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
            FaultKind::Wipe => {
                world.simulation.wipe(target);
                self.start_after_silence(target, world);
            }
        }
    }

    fn crash(&mut self, target: ReplicaId, kind: CrashKind, world: &mut World) {
        world.simulation.crash(target, kind);
        match self.durability {
            DurabilityMode::Diskless => self.start_after_silence(target, world),
            _ => self.until(world, Relief::Start(target)),
        }
    }

    /// What the process has said is all heard or lost before it speaks again.
    fn start_after_silence(&mut self, target: ReplicaId, world: &World) {
        let down = self.random.millis(SILENCE, SILENCE + self.spell);
        self.reliefs
            .insert((after(world.now(), down), Relief::Start(target)));
    }

    /// Whether the fault would leave more than f replicas without their state.
    fn is_too_much(&self, kind: FaultKind, target: ReplicaId, world: &World) -> bool {
        let takes = match kind {
            FaultKind::Wipe => true,
            FaultKind::Kill | FaultKind::Dethrone | FaultKind::PowerLoss => {
                self.durability != DurabilityMode::Wal
            }
            _ => false,
        };
        let mut others = world.topology.replica_ids().filter(|id| *id != target);
        let lost = others.by_ref().filter(|id| world.is_lost(*id)).count();
        let faults = Quorum::of(usize::from(world.topology.replicas)).faults();
        self.budget && takes && lost + 1 > faults
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
            delay: self.random.chance(30).then(|| {
                let most = self.random.pick(&[5, 30, 250]);
                Delay {
                    base: self.random.millis(0, most),
                    jitter: self.random.millis(0, most),
                }
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
        let most = random.pick(&[20, 300, 1_500]);
        let delay = Delay {
            base: random.millis(1, most),
            jitter: random.millis(0, most),
        };
        let acts = [
            TapAct::Drop,
            TapAct::Hold,
            TapAct::Delay(delay),
            TapAct::Duplicate(delay),
        ];
        let mut rule = TapRule::new(random.pick(&acts), Seed(random.next()));
        rule.flow = random.pick(&[Flow::Send, Flow::Receive, Flow::Both]);
        let kinds: &[&str] = match random.below(10) {
            0 => &[],
            1..4 => random.pick(&GROUPS),
            _ => &[random.pick(&KINDS)],
        };
        rule.kinds = kinds.iter().map(|kind| (*kind).to_owned()).collect();
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
        let rules = self.taps.entry(node).or_default();
        rules.insert(0, (self.named, rule));
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
