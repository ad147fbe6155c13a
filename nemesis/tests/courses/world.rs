//! A world as small as one can be that takes the nemesis' orders: processes, links, taps, probes, in virtual
//! time. Its defects are what the nemesis must not be fooled by.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use viewstorm_history::{FaultEvent, Seed, Stage, Timestamp};
use viewstorm_nemesis::{
    Action, Declaration, Fault, Ledger, LedgerEntry, Link, LinkCounters, LinkMemory, LinkRule,
    Nemesis, NemesisOptions, Observation, PROBE_KIND, ProbeId, ProcessState, RuleTap, TapRule,
    Timeline, Topology, When,
};
use viewstorm_protocol::{
    Direction, Incarnation, Instant, NodeId, Passing, ReplicaId, Status, Tap, TapVerdict,
    ViewNumber,
};

use crate::machine::Machine;

/// What is wrong with the world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Defects {
    /// Cuts on these links are ordered in vain.
    pub(crate) leaks: BTreeSet<Link>,
    /// These replicas survive a kill.
    pub(crate) immortal: BTreeSet<ReplicaId>,
    /// These replicas never come back.
    pub(crate) dead: BTreeSet<ReplicaId>,
    /// These replicas go on when they are paused.
    pub(crate) restless: BTreeSet<ReplicaId>,
    /// Nobody says who is primary.
    pub(crate) no_roles: bool,
    /// No probe ever arrives.
    pub(crate) no_probes: bool,
    /// Links do what they want: every rule is ignored but a cut.
    pub(crate) no_rules: bool,
    /// Links stay as they were first ordered.
    pub(crate) sticky: bool,
    /// Machines do what they want: power stays on, fuses do not burn, disks and clocks stay as they are.
    pub(crate) sturdy: bool,
    /// Taps never acknowledge.
    pub(crate) mute: bool,
    /// These replicas end by themselves at these times.
    pub(crate) exits: Vec<(u64, ReplicaId)>,
}

struct Process {
    incarnation: u64,
    is_up: bool,
    is_paused: bool,
    machine: Machine,
}

/// The world, and the nemesis in it.
pub(crate) struct World {
    topology: Topology,
    defects: Defects,
    now: Timestamp,
    queue: BTreeMap<(Timestamp, u64), Due>,
    next: u64,
    processes: Vec<Process>,
    links: BTreeMap<Link, LinkRule>,
    counters: BTreeMap<Link, LinkCounters>,
    memories: BTreeMap<Link, LinkMemory>,
    taps: BTreeMap<NodeId, RuleTap>,
    random: ChaCha8Rng,
    view: u64,
    pub(crate) nemesis: Nemesis,
    /// Everything it ordered, with its time.
    pub(crate) log: Vec<(Timestamp, Action)>,
}

enum Due {
    Observe(Observation),
    Hello(ReplicaId),
    Exit(ReplicaId, String),
    /// It ends by itself, if what makes it do so is still there.
    Trap(ReplicaId),
    Elect,
    Deliver {
        id: ProbeId,
        link: Link,
        sent: Timestamp,
    },
}

pub(crate) fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn at(millis: u64) -> Timestamp {
    Timestamp::from(ms(millis))
}

pub(crate) fn replica(id: u16) -> NodeId {
    NodeId::replica(id)
}

pub(crate) fn link(from: NodeId, to: NodeId) -> Link {
    Link { from, to }
}

/// A fault at this time, for so long.
pub(crate) fn fault(fault: Fault, from: u64, length: Option<u64>) -> Declaration {
    let when = When::At(ms(from));
    Declaration {
        name: None,
        fault,
        when,
        length: length.map(ms),
        seed: None,
    }
}

impl World {
    pub(crate) fn new(replicas: u16, faults: &[Declaration], defects: Defects) -> Self {
        let topology = Topology {
            replicas,
            clients: 3,
        };
        let timeline = Timeline::expand(faults, Seed(11), Duration::from_secs(60));
        let start = Timestamp::ZERO;
        let process = |_| Process {
            incarnation: 0,
            is_up: false,
            is_paused: false,
            machine: Machine::new(),
        };
        let mut world = Self {
            topology,
            now: start,
            queue: BTreeMap::new(),
            next: 0,
            processes: (0..replicas).map(process).collect(),
            links: BTreeMap::new(),
            counters: BTreeMap::new(),
            memories: BTreeMap::new(),
            taps: BTreeMap::new(),
            random: ChaCha8Rng::seed_from_u64(5),
            view: 0,
            nemesis: Nemesis::new(
                topology,
                timeline,
                start,
                Seed(11),
                NemesisOptions::default(),
            ),
            log: Vec::new(),
            defects,
        };
        for id in topology.replica_ids() {
            world.push(ms(1), Due::Hello(id));
        }
        world.push(ms(5), Due::Elect);
        for (time, id) in world.defects.exits.clone() {
            world.push(ms(time), Due::Exit(id, "exit code 101".to_owned()));
        }
        world
    }

    /// Lets the world run until then.
    pub(crate) fn run(&mut self, until: u64) {
        loop {
            let timeout = self.nemesis.next_timeout().unwrap_or(Timestamp::MAX);
            let due = self
                .queue
                .keys()
                .next()
                .map_or(Timestamp::MAX, |(time, _)| *time);
            let next = timeout.min(due);
            if next > at(until) {
                self.now = at(until);
                return;
            }
            self.now = self.now.max(next);
            if timeout < due {
                self.step(None);
                let timeout = self.nemesis.next_timeout();
                assert!(
                    timeout.is_none_or(|timeout| timeout > self.now),
                    "it never sleeps"
                );
            } else if let Some((_, due)) = self.queue.pop_first() {
                self.happen(due);
            }
        }
    }

    /// Something is observed so many milliseconds from now.
    pub(crate) fn tell(&mut self, after: u64, observation: Observation) {
        self.push(ms(after), Due::Observe(observation));
    }

    /// Ends the run's planned part and lets everything heal, for at most this long.
    pub(crate) fn finish(&mut self, within: u64) {
        let mut actions = Vec::new();
        self.nemesis.heal_all(self.now, &mut actions);
        self.enact(actions);
        self.settle(within);
    }

    /// The same, of a core of the replicas, which is handed out.
    pub(crate) fn finish_core(&mut self, within: u64) -> BTreeSet<ReplicaId> {
        let mut actions = Vec::new();
        let core = self.nemesis.heal_core(self.now, &mut actions);
        self.enact(actions);
        self.settle(within);
        core
    }

    fn settle(&mut self, within: u64) {
        let end = self.now + ms(within);
        while !self.nemesis.is_quiet() && self.now < end {
            let millis = u64::try_from(ms(10).as_nanos()).unwrap() + self.now.as_nanos();
            self.run(millis / 1_000_000);
        }
    }

    fn step(&mut self, observation: Option<Observation>) {
        let mut actions = Vec::new();
        self.nemesis.step(self.now, observation, &mut actions);
        self.enact(actions);
    }

    fn push(&mut self, after: Duration, due: Due) {
        self.queue.insert((self.now + after, self.next), due);
        self.next += 1;
    }

    fn process(&mut self, id: ReplicaId) -> &mut Process {
        &mut self.processes[usize::from(id.0)]
    }

    fn is_awake(&self, node: NodeId) -> bool {
        node.as_replica().is_none_or(|id| {
            let process = &self.processes[usize::from(id.0)];
            process.is_up && !process.is_paused
        })
    }

    fn happen(&mut self, due: Due) {
        match due {
            Due::Observe(observation) => self.step(Some(observation)),
            Due::Hello(id) if self.process(id).machine.refusal().is_some() => {
                let how = self.process(id).machine.refusal().unwrap_or_default();
                self.step(Some(Observation::Exited { replica: id, how }));
            }
            Due::Trap(id) => self.trap(id),
            Due::Hello(id) => {
                let process = self.process(id);
                process.is_up = true;
                process.is_paused = false;
                process.incarnation += 1;
                let incarnation = Incarnation(process.incarnation);
                self.taps.remove(&NodeId::Replica(id));
                self.step(Some(Observation::Started {
                    replica: id,
                    incarnation,
                }));
            }
            Due::Exit(id, how) => {
                self.process(id).is_up = false;
                self.step(Some(Observation::Exited { replica: id, how }));
                self.push(ms(60), Due::Elect);
            }
            Due::Elect => self.elect(),
            Due::Deliver { id, link, sent } => {
                if self.is_awake(link.to) && !self.defects.no_probes {
                    let received = self.now;
                    self.step(Some(Observation::ProbeArrived {
                        id,
                        link,
                        sent,
                        received,
                    }));
                }
            }
        }
    }

    fn trap(&mut self, replica: ReplicaId) {
        let now = self.now;
        let process = self.process(replica);
        let fuse = process.machine.fuse.take();
        let (is_up, fails) = (process.is_up, process.machine.rule.syncs_fail);
        match fuse {
            Some(point) if is_up => {
                if point.power {
                    process.machine.lose_power(now);
                }
                self.step(Some(Observation::Crashed { replica, point }));
                self.happen(Due::Exit(replica, "signal 9 (SIGKILL)".to_owned()));
            }
            _ if is_up && fails => {
                process.machine.fail_sync(now);
                self.happen(Due::Exit(replica, "exit code 1: EIO".to_owned()));
            }
            _ => {}
        }
    }

    /// What is done to a replica's machine, or asked of it.
    fn enact_on_machine(&mut self, action: &Action) {
        let (now, is_sturdy) = (self.now, self.defects.sturdy);
        match *action {
            Action::PowerLoss(id) | Action::Wipe(id) => {
                let process = self.process(id);
                let is_up = process.is_up;
                if !is_sturdy {
                    process.machine.lose_power(now);
                    if matches!(action, Action::Wipe(_)) {
                        process.machine.wipe();
                    }
                }
                if is_up {
                    self.push(ms(2), Due::Exit(id, "power loss".to_owned()));
                }
            }
            Action::SetFuse { replica, fuse } => {
                self.process(replica).machine.fuse = fuse.filter(|_| !is_sturdy);
                self.push(ms(5), Due::Trap(replica));
            }
            Action::SetDisk { replica, rule } if !is_sturdy => {
                self.process(replica).machine.rule = rule;
                self.push(ms(5), Due::Trap(replica));
            }
            Action::FlipBit { replica, place } if !is_sturdy => {
                self.process(replica)
                    .machine
                    .flip(&format!("{place:?}").to_lowercase());
            }
            Action::BendClock { replica, bend } if !is_sturdy => {
                self.process(replica).machine.bend(now, bend);
            }
            Action::ReadDisk(replica) => {
                let reading = self.process(replica).machine.read(now);
                self.push(ms(0), Due::Observe(Observation::Disk { replica, reading }));
            }
            Action::ReadClock(replica) if self.is_awake(NodeId::Replica(replica)) => {
                let (told, at) = (self.process(replica).machine.tell(now), now);
                self.push(
                    ms(0),
                    Due::Observe(Observation::Clock { replica, told, at }),
                );
            }
            _ => {}
        }
    }

    /// The first replica that runs becomes primary of a new view.
    fn elect(&mut self) {
        let up: Vec<ReplicaId> = self
            .topology
            .replica_ids()
            .filter(|id| self.is_awake(NodeId::Replica(*id)))
            .collect();
        self.view += 1;
        for id in &up {
            let primary = Some(id) == up.first();
            let (status, view) = (Status::Normal, ViewNumber::new(self.view));
            if !self.defects.no_roles {
                self.step(Some(Observation::Role {
                    replica: *id,
                    status,
                    view,
                    primary,
                }));
            }
        }
    }

    fn enact(&mut self, actions: Vec<Action>) {
        for action in actions {
            self.log.push((self.now, action.clone()));
            match action {
                Action::SetLink { link, rule } => self.set_link(link, rule),
                Action::SetTap { node, rules } => self.set_tap(node, rules),
                Action::Kill(id) if !self.defects.immortal.contains(&id) => {
                    self.push(ms(2), Due::Exit(id, "signal 9 (SIGKILL)".to_owned()));
                }
                Action::Start(id) if !self.defects.dead.contains(&id) => {
                    self.push(ms(10), Due::Hello(id));
                }
                Action::Pause(id) if !self.defects.restless.contains(&id) => {
                    self.process(id).is_paused = true;
                }
                Action::Resume(id) => self.process(id).is_paused = false,
                Action::Inspect(replica) => {
                    let process = self.process(replica);
                    let state = match process.is_up {
                        false => ProcessState::Gone,
                        true if process.is_paused => ProcessState::Paused,
                        true => ProcessState::Running,
                    };
                    self.push(ms(1), Due::Observe(Observation::State { replica, state }));
                }
                Action::Probe { id, link } => self.probe(id, link),
                Action::ReadCounters(link) => {
                    let counters = self.counters.get(&link).copied().unwrap_or_default();
                    self.push(
                        ms(1),
                        Due::Observe(Observation::Counters { link, counters }),
                    );
                }
                action => self.enact_on_machine(&action),
            }
        }
    }

    fn set_link(&mut self, link: Link, rule: LinkRule) {
        let rule = match &self.defects {
            defects if defects.leaks.contains(&link) => LinkRule::default(),
            defects if defects.no_rules => LinkRule {
                cut: rule.cut,
                ..LinkRule::default()
            },
            defects if defects.sticky && self.links.contains_key(&link) => return,
            _ => rule,
        };
        self.links.insert(link, rule);
    }

    fn set_tap(&mut self, node: NodeId, rules: Vec<TapRule>) {
        assert!(
            node.as_replica()
                .is_none_or(|id| self.processes[usize::from(id.0)].is_up),
            "{node} has no process to tell"
        );
        self.taps.insert(node, RuleTap::new(rules));
        if !self.defects.mute {
            self.push(ms(1), Due::Observe(Observation::TapSet { node }));
        }
    }

    fn probe(&mut self, id: ProbeId, link: Link) {
        if !self.is_awake(link.from) {
            return;
        }
        let sent = self.now;
        let mut wait = Duration::from_micros(200);
        for (node, peer, direction) in [
            (link.from, link.to, Direction::Send),
            (link.to, link.from, Direction::Receive),
        ] {
            let (view, number) = (None, None);
            let passing = Passing {
                direction,
                peer,
                kind: PROBE_KIND,
                view,
                number,
            };
            let verdict = self.taps.get_mut(&node).map_or(TapVerdict::Pass, |tap| {
                tap.inspect(Instant::ORIGIN, &passing)
            });
            match verdict {
                TapVerdict::Pass | TapVerdict::Duplicate(_) | TapVerdict::Replay => {}
                TapVerdict::Drop | TapVerdict::Hold => return,
                TapVerdict::Delay(by) => wait += by,
            }
        }
        let rule = self.links.get(&link).cloned().unwrap_or_default();
        let mut chance = |share: f64| share > 0.0 && self.random.random::<f64>() < share;
        let counters = self.counters.entry(link).or_default();
        counters.offered += 1;
        counters.duplicated += u64::from(chance(rule.duplicate));
        let (is_lost, is_corrupt) = (chance(rule.loss), chance(rule.corrupt));
        counters.corrupted += u64::from(is_corrupt);
        if chance(rule.reorder) {
            counters.reordered += 1;
            wait += rule.reorder_by;
        }
        counters.limited += u64::from(rule.rate.is_some());
        let memory = self.memories.entry(link).or_default();
        memory.set(&rule);
        let is_burst = memory.burst(&rule, || self.random.next_u64());
        if rule.is_shut() || is_lost || is_corrupt || is_burst {
            return;
        }
        wait += memory.spread(&rule, || self.random.next_u64());
        if let Some(delay) = rule.delay {
            let share: f64 = self.random.random();
            wait += delay.base.saturating_sub(delay.jitter) + (delay.jitter * 2).mul_f64(share);
        }
        self.push(wait, Due::Deliver { id, link, sent });
    }

    pub(crate) fn ledger(&self) -> &Ledger {
        self.nemesis.ledger()
    }

    pub(crate) fn entry(&self, fault: usize) -> &LedgerEntry {
        &self.ledger().entries()[fault]
    }

    /// What the history says of a fault.
    pub(crate) fn stages(&self, fault: u64) -> Vec<Stage> {
        self.records()
            .filter(|event| event.fault == fault)
            .map(|event| event.stage)
            .collect()
    }

    pub(crate) fn records(&self) -> impl Iterator<Item = &FaultEvent> {
        self.log.iter().filter_map(|(_, action)| match action {
            Action::Record(event) => Some(event),
            _ => None,
        })
    }

    /// The actions of a kind, with their times in milliseconds.
    pub(crate) fn orders(&self, is: impl Fn(&Action) -> bool) -> Vec<u64> {
        let of_kind = self.log.iter().filter(|(_, action)| is(action));
        of_kind
            .map(|(time, _)| time.as_nanos() / 1_000_000)
            .collect()
    }
}
