//! What the nemesis has ordered. Each fault that is applied says what it does to whom; what a link, a tap or
//! a process gets is the sum over all of them, and only what changes is ordered.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use viewstorm_history::Timestamp;
use viewstorm_protocol::{Direction, NodeId, Passing, ReplicaId};

use crate::healthy_core::Core;
use crate::hits::{Hits, add_rule};
use crate::known::{Known, Process, Replica};
use crate::machine::{Ending, MachineRule};
use crate::shape::replicas_among;
use crate::{Action, Link, LinkRule, Observation, PROBE_KIND, ProbeId, TapAct, TapRule, Topology};

/// The most starts of one replica after the run's planned end.
const MAX_FINAL_STARTS: u32 = 3;
/// The most uncut links that are probed beside cut ones.
const MAX_CONTROLS: usize = 8;
/// A link that loses more than this share shows nothing by its silence.
const MAX_LOSS: f64 = 0.9;

/// What is ordered, and what is known.
#[derive(Clone, Debug)]
pub(crate) struct Grip {
    pub(crate) topology: Topology,
    pub(crate) known: Known,
    /// The replicas that are healed, where not all are.
    pub(crate) core: Option<Core>,
    links: BTreeMap<Link, LinkRule>,
    taps: BTreeMap<NodeId, Vec<TapRule>>,
    machines: BTreeMap<ReplicaId, MachineRule>,
    /// How many orders for its tap a node has not acknowledged.
    unacknowledged: BTreeMap<NodeId, u32>,
    /// How often the rule of a link changed.
    versions: BTreeMap<Link, u64>,
    /// How many faults hit the probes on a link now.
    crowds: BTreeMap<Link, u32>,
    /// How many faults are applied now.
    applied: usize,
    next_probe: u64,
}

impl Grip {
    pub(crate) fn new(topology: Topology) -> Self {
        Self {
            topology,
            known: Known::new(topology),
            core: None,
            links: BTreeMap::new(),
            taps: BTreeMap::new(),
            machines: BTreeMap::new(),
            unacknowledged: BTreeMap::new(),
            versions: BTreeMap::new(),
            crowds: BTreeMap::new(),
            applied: 0,
            next_probe: 0,
        }
    }

    /// Takes note of what was observed. Hands out a replica's end that was not ordered, in words.
    pub(crate) fn observe(
        &mut self,
        now: Timestamp,
        observation: &Observation,
        actions: &mut Vec<Action>,
    ) -> Option<String> {
        let exit = self.known.observe(now, observation);
        match observation {
            Observation::Started { replica, .. } => {
                // A new process has no rules.
                let node = NodeId::Replica(*replica);
                if let Some(rules) = self.taps.get(&node).cloned() {
                    self.set_tap(node, rules, actions);
                }
            }
            Observation::Exited { replica, .. } => {
                self.unacknowledged.remove(&NodeId::Replica(*replica));
            }
            Observation::TapSet { node } => {
                if let Some(count) = self.unacknowledged.get_mut(node) {
                    *count = count.saturating_sub(1);
                }
            }
            _ => {}
        }
        exit.map(|(replica, how)| format!("{replica}: {how} at {now}"))
    }

    /// Orders whatever differs from what `hits` add up to. At the end of the run all that is down is started.
    pub(crate) fn reconcile<'a>(
        &mut self,
        hits: impl Iterator<Item = &'a Hits> + Clone,
        is_final: bool,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        self.applied = hits.clone().count();
        self.crowds.clear();
        for link in hits.clone().flat_map(Hits::probes_hit) {
            *self.crowds.entry(link).or_default() += 1;
        }
        self.reconcile_links(hits.clone(), actions);
        self.reconcile_taps(hits.clone(), actions);
        // A disk is sound again before what reads it is started.
        self.reconcile_machines(hits.clone(), actions);
        self.reconcile_processes(hits, is_final, now, actions);
    }

    fn reconcile_links<'a>(
        &mut self,
        hits: impl Iterator<Item = &'a Hits>,
        actions: &mut Vec<Action>,
    ) {
        let mut wanted: BTreeMap<Link, LinkRule> = BTreeMap::new();
        for (link, rule) in hits.flat_map(Hits::link_rules) {
            add_rule(wanted.entry(*link).or_default(), rule);
        }
        let known: BTreeSet<Link> = self.links.keys().chain(wanted.keys()).copied().collect();
        for link in known {
            let rule = wanted.get(&link).cloned().unwrap_or_default();
            if self.rule(link) != rule {
                *self.versions.entry(link).or_default() += 1;
                actions.push(Action::SetLink { link, rule });
            }
        }
        self.links = wanted;
    }

    fn reconcile_taps<'a>(
        &mut self,
        hits: impl Iterator<Item = &'a Hits> + Clone,
        actions: &mut Vec<Action>,
    ) {
        let mut wanted: BTreeMap<NodeId, Vec<TapRule>> = BTreeMap::new();
        // What is cut is cut, whatever other rules would do to it.
        for is_cut in [true, false] {
            for hits in hits.clone().filter(|hits| hits.is_cut == is_cut) {
                for (node, rules) in hits.tap_rules() {
                    wanted.entry(*node).or_default().extend_from_slice(rules);
                }
            }
        }
        let known: BTreeSet<NodeId> = self.taps.keys().chain(wanted.keys()).copied().collect();
        for node in known {
            let rules = wanted.remove(&node).unwrap_or_default();
            if self.taps.get(&node).map(Vec::as_slice).unwrap_or_default() == rules {
                continue;
            }
            // Empty rules stay noted: a replica that is down is told when it is back.
            self.taps.insert(node, rules.clone());
            self.set_tap(node, rules, actions);
        }
    }

    fn set_tap(&mut self, node: NodeId, rules: Vec<TapRule>, actions: &mut Vec<Action>) {
        let is_running = |replica| {
            self.known
                .get(replica)
                .is_some_and(|replica| replica.process == Process::Running)
        };
        if node.as_replica().is_none_or(is_running) {
            *self.unacknowledged.entry(node).or_default() += 1;
            actions.push(Action::SetTap { node, rules });
        }
    }

    fn reconcile_machines<'a>(
        &mut self,
        hits: impl Iterator<Item = &'a Hits>,
        actions: &mut Vec<Action>,
    ) {
        let mut wanted: BTreeMap<ReplicaId, MachineRule> = BTreeMap::new();
        for (replica, rule) in hits.flat_map(|hits| &hits.machines) {
            wanted.entry(*replica).or_default().add(rule);
        }
        for replica in self.topology.replica_ids() {
            let rule = wanted.get(&replica).copied().unwrap_or_default();
            rule.order(&self.machine(replica), replica, actions);
        }
        self.machines = wanted;
    }

    fn reconcile_processes<'a>(
        &mut self,
        hits: impl Iterator<Item = &'a Hits> + Clone,
        is_final: bool,
        now: Timestamp,
        actions: &mut Vec<Action>,
    ) {
        for id in self.topology.replica_ids() {
            let is_kept_up = is_final && self.is_in_core(id);
            let endings = || hits.clone().filter_map(|hits| hits.ends.get(&id)).copied();
            let ordered = endings().filter(|ending| ending.order(id).is_some()).max();
            let wants_paused = hits.clone().any(|hits| hits.pauses(id));
            let Some(replica) = self.known.get_mut(id) else {
                continue;
            };
            replica.is_doomed = endings().any(|ending| ending.order(id).is_none());
            replica.is_held_down = ordered.is_some() || replica.is_doomed;
            replica.owes_start |= ordered.is_some();
            if let Some(ending) = ordered.filter(|ending| is_to_be_ordered(replica, *ending)) {
                replica.end(ending);
                actions.extend(ending.order(id));
                continue;
            }
            match replica.process {
                Process::Running if wants_paused && !replica.is_paused => {
                    replica.pause();
                    actions.push(Action::Pause(id));
                }
                Process::Running if !wants_paused && replica.is_paused => {
                    replica.resume(now);
                    actions.push(Action::Resume(id));
                }
                Process::Gone if !replica.is_held_down && !replica.is_lost => {
                    let may_start = is_kept_up
                        && !replica.is_retired
                        && replica.final_starts < MAX_FINAL_STARTS;
                    if replica.owes_start || may_start {
                        replica.final_starts += u32::from(is_final);
                        replica.start();
                        actions.push(Action::Start(id));
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether nothing is ordered any more and every replica runs whose storage is not damaged; outside a core
    /// anything may stay.
    pub(crate) fn is_clean(&self) -> bool {
        let is_up = |(id, replica): (ReplicaId, &Replica)| {
            !self.is_in_core(id)
                || replica.is_lost
                || (replica.is_retired && replica.process == Process::Gone)
                || (replica.process == Process::Running && !replica.is_paused)
        };
        let is_nothing_ordered = self.links.is_empty()
            && self.taps.values().all(Vec::is_empty)
            && self.machines.is_empty();
        (is_nothing_ordered || self.core.is_some()) && self.known.all().all(is_up)
    }

    /// Whether nothing will change any more: a core is up, nobody is on the way to anything, and all who can have
    /// acknowledged their rules.
    pub(crate) fn is_settled(&self) -> bool {
        let is_moving =
            |replica: &Replica| matches!(replica.process, Process::Starting | Process::Dying);
        let is_asked = |node: &NodeId| self.known.is_awake(*node) && !self.has_acknowledged(*node);
        self.core.is_some()
            && self.is_clean()
            && !self.known.all().any(|(_, replica)| is_moving(replica))
            && !self.unacknowledged.keys().any(is_asked)
    }

    /// Whether the replica is to be healed: all are where there is no core.
    fn is_in_core(&self, id: ReplicaId) -> bool {
        let core = self.core.as_ref();
        core.is_none_or(|core| core.members().contains(&id))
    }

    /// Whether other faults than the one of `hits` stand in the way of what it does, or of what would show it.
    pub(crate) fn is_crowded(&self, hits: &Hits, is_applied: bool) -> bool {
        let crowd = |link: &Link| self.crowds.get(link).copied().unwrap_or_default();
        let is_asleep = |node: NodeId| !self.known.is_awake(node);
        let has_ends = |link: &Link| is_asleep(link.from) || is_asleep(link.to);
        // One that was taken back is not in the crowd itself.
        let own = hits.probes_hit().filter(|_| is_applied);
        let own: BTreeSet<Link> = own.collect();
        let on_links = hits
            .touched
            .iter()
            .any(|link| has_ends(link) || crowd(link) > u32::from(own.contains(link)));
        let is_held = |id: &ReplicaId| {
            let replica = self.known.get(*id);
            replica
                .is_some_and(|replica| replica.process != Process::Running || replica.is_held_down)
        };
        let is_down = |replica: &ReplicaId| is_asleep(NodeId::Replica(*replica));
        // What a machine does shows when its replica has work to do, which any fault may keep from it.
        let is_machine = !hits.machines.is_empty() || !hits.once.is_empty();
        let on_machines = is_machine
            && (self.applied > usize::from(is_applied)
                || replicas_among(&hits.targets).any(|id| is_down(&id)));
        let on_processes = on_machines
            || hits.paused.iter().any(is_held)
            || hits.tap_nodes().into_iter().any(is_asleep);
        // A cut is shown by comparison with the links that it leaves alone.
        let on_controls =
            hits.is_cut && self.crowds.keys().any(|link| !hits.touched.contains(link));
        on_links || on_processes || on_controls
    }

    /// Whether any fault is applied, or a replica on its way back from one.
    pub(crate) fn is_busy(&self) -> bool {
        !self.is_clean()
    }

    /// What happens on the link by order of all faults.
    pub(crate) fn rule(&self, link: Link) -> LinkRule {
        self.links.get(&link).cloned().unwrap_or_default()
    }

    /// What is wrong with the replica's machine by order of all faults.
    pub(crate) fn machine(&self, replica: ReplicaId) -> MachineRule {
        self.machines.get(&replica).copied().unwrap_or_default()
    }

    /// Changes with every change of the link's rule.
    pub(crate) fn version(&self, link: Link) -> u64 {
        self.versions.get(&link).copied().unwrap_or_default()
    }

    /// Whether the node's tap has the rules that were last ordered, by its own word.
    pub(crate) fn has_acknowledged(&self, node: NodeId) -> bool {
        self.unacknowledged.get(&node).copied().unwrap_or_default() == 0
    }

    /// Whether both ends can send and receive, and have been able to since `time`.
    pub(crate) fn were_awake_since(&self, link: Link, time: Timestamp) -> bool {
        let was_awake = |node| {
            self.known
                .awake_since(node)
                .is_some_and(|since| since <= time)
        };
        was_awake(link.from) && was_awake(link.to)
    }

    /// Whether both ends can send and receive and their taps are as they were ordered to be.
    pub(crate) fn can_probe(&self, link: Link) -> bool {
        let is_ready = |node| self.known.is_awake(node) && self.has_acknowledged(node);
        is_ready(link.from) && is_ready(link.to)
    }

    /// Whether a probe can be expected to arrive, sooner or later.
    pub(crate) fn passes(&self, link: Link) -> bool {
        let rule = self.rule(link);
        let is_open = !rule.is_shut() && rule.mean_loss() < MAX_LOSS;
        is_open && self.can_probe(link) && !self.tap_rules(link).any(stops)
    }

    /// By how much the nemesis delays a probe on the link at most.
    pub(crate) fn most_delay(&self, link: Link) -> Duration {
        let rule = self.rule(link);
        let queued = rule.rate.map_or(Duration::ZERO, |rate| {
            let millis = rate.queue_bytes.saturating_mul(8) / rate.kilobits.max(1);
            Duration::from_millis(millis)
        });
        let on_link = rule.delay_bounds().1.saturating_add(queued);
        let reordered = if rule.reorder > 0.0 {
            rule.reorder_by
        } else {
            Duration::ZERO
        };
        let at_taps: Duration = self
            .tap_rules(link)
            .filter_map(|rule| match rule.act {
                TapAct::Delay(delay) | TapAct::Reorder(delay) => {
                    Some(delay.base.saturating_add(delay.jitter))
                }
                _ => None,
            })
            .fold(Duration::ZERO, Duration::saturating_add);
        on_link.saturating_add(reordered).saturating_add(at_taps)
    }

    /// The rules at both ends' taps that match a probe on the link.
    fn tap_rules(&self, link: Link) -> impl Iterator<Item = &TapRule> {
        let at = |node: NodeId, peer: NodeId, direction: Direction| {
            let (view, number) = (None, None);
            let passing = Passing {
                direction,
                peer,
                kind: PROBE_KIND,
                view,
                number,
            };
            let rules = self.taps.get(&node).into_iter().flatten();
            rules.filter(move |rule| rule.matches(&passing))
        };
        at(link.from, link.to, Direction::Send).chain(at(link.to, link.from, Direction::Receive))
    }

    /// Links on which probes can be expected to arrive, beside those that are cut: from their senders where
    /// there are such, for the silence of one that cannot send shows nothing.
    pub(crate) fn controls(&self, cut: &BTreeSet<Link>) -> Vec<Link> {
        let open = |link: &Link| !cut.contains(link) && self.passes(*link);
        let senders: BTreeSet<NodeId> = cut.iter().map(|link| link.from).collect();
        let from = |sender: NodeId| self.topology.links().find(|l| l.from == sender && open(l));
        let mut controls: Vec<Link> = senders.into_iter().filter_map(from).collect();
        controls.truncate(MAX_CONTROLS);
        if controls.is_empty() {
            controls.extend(self.topology.links().find(open));
        }
        controls
    }

    /// Sends a probe.
    pub(crate) fn probe(&mut self, link: Link, actions: &mut Vec<Action>) -> ProbeId {
        let id = ProbeId(self.next_probe);
        self.next_probe += 1;
        actions.push(Action::Probe { id, link });
        id
    }
}

/// Whether it must still be told to end so: it is up, or what was ordered does less.
fn is_to_be_ordered(replica: &Replica, ending: Ending) -> bool {
    match replica.process {
        Process::Starting | Process::Running => true,
        Process::Dying | Process::Gone => replica.ended.unwrap_or(Ending::Kill) < ending,
    }
}

/// Whether the rule stops everything that it matches.
fn stops(rule: &TapRule) -> bool {
    matches!(rule.act, TapAct::Drop | TapAct::Hold)
        && rule.probability >= MAX_LOSS
        && rule.limit.is_none()
        && rule.skip == 0
}
