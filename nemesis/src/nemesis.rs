//! The nemesis itself: all faults of a run on their courses, and what they add up to.
//!
//! It decides and a world enacts: the caller steps it with what was observed and whenever something is due,
//! and does what it asks for, in order. The same calls give the same actions.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use viewstorm_history::{Seed, Timestamp};
use viewstorm_protocol::{NodeId, ReplicaId};

use crate::course::{Course, Next};
use crate::grip::Grip;
use crate::healthy_core::Core;
use crate::probe::Context;
use crate::trigger::{Sighting, Sightings};
use crate::{Action, Ledger, NemesisOptions, Observation, TapWatch, Timeline, Topology};

/// Decides which fault hits whom and when, confirms it, heals it, confirms that.
pub struct Nemesis {
    options: NemesisOptions,
    start: Timestamp,
    seed: Seed,
    courses: Vec<Course>,
    grip: Grip,
    sightings: Sightings,
    /// What is watched for at taps.
    watches: BTreeMap<NodeId, Vec<TapWatch>>,
    ledger: Ledger,
    has_begun: bool,
    is_final: bool,
    /// Something has changed that any course may look at: all of them go on at the next step.
    is_stirred: bool,
    /// When each course wants to go on, as of its last step.
    due: Vec<Option<Timestamp>>,
    /// When the first of them does.
    wake: Option<Timestamp>,
}

impl Nemesis {
    /// A nemesis whose timeline's times count from `start`. The timeline's faults carry their own random
    /// streams: `seed` is that of the run, for what is not a fault's.
    pub fn new(
        topology: Topology,
        timeline: Timeline,
        start: Timestamp,
        seed: Seed,
        options: NemesisOptions,
    ) -> Self {
        let mut ledger = Ledger::default();
        for fault in timeline.faults() {
            ledger.plan(fault, start);
        }
        let course = |fault: &crate::ScheduledFault| Course::new(fault.clone(), start);
        Self {
            options,
            start,
            seed,
            due: vec![None; timeline.faults().len()],
            courses: timeline.faults().iter().map(course).collect(),
            grip: Grip::new(topology),
            sightings: Sightings::default(),
            watches: BTreeMap::new(),
            ledger,
            has_begun: false,
            is_final: false,
            is_stirred: true,
            wake: None,
        }
    }

    /// Takes note of an observation, if there is one, and does what is due at `now`. Everything it wants done
    /// goes into `actions`, in order.
    pub fn step(
        &mut self,
        now: Timestamp,
        observation: Option<Observation>,
        actions: &mut Vec<Action>,
    ) {
        self.begin(actions);
        match observation {
            Some(observation) => self.observe(now, &observation, actions),
            None if !self.is_due(now) => return,
            None => {}
        }
        self.advance(now, actions);
    }

    fn is_due(&self, now: Timestamp) -> bool {
        self.is_stirred || self.wake.is_some_and(|wake| wake <= now)
    }

    /// Ends all faults now, and those whose time has not come never come. From now on every replica is kept
    /// running.
    pub fn heal_all(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        self.heal(None, now, actions);
    }

    /// Ends all faults now inside a core: a majority of the replicas, which the seed draws from those whose
    /// storage is whole, and the clients. Outside it links between replicas stay cut and processes stay down or
    /// paused, for ever. Hands out the core; its replicas are kept running from now on.
    pub fn heal_core(&mut self, now: Timestamp, actions: &mut Vec<Action>) -> BTreeSet<ReplicaId> {
        let core = Core::draw(self.grip.topology, &self.grip.known, self.seed);
        let members = core.members().clone();
        self.heal(Some(core), now, actions);
        members
    }

    fn heal(&mut self, core: Option<Core>, now: Timestamp, actions: &mut Vec<Action>) {
        self.begin(actions);
        self.is_final = true;
        for index in 0..self.courses.len() {
            let (course, entry, mut context) = self.apart(index, now, actions);
            course.end(core.as_ref(), entry, &mut context);
        }
        self.grip.core = core;
        self.watch(actions);
        self.reconcile(now, actions);
        self.is_stirred = true;
        self.advance(now, actions);
    }

    /// Whether all is over: nothing is ordered any more, every fault was shown to be gone or was recorded as
    /// failed, and every replica runs; of a core, as far as it goes.
    pub fn is_quiet(&self) -> bool {
        self.is_final && self.courses.iter().all(Course::is_over) && self.grip.is_clean()
    }

    /// When it next wants to be stepped, if it does not only wait for observations.
    pub fn next_timeout(&self) -> Option<Timestamp> {
        if !self.has_begun {
            return Some(self.start);
        }
        self.wake
    }

    /// What became of each fault so far.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The history begins with everything that is planned.
    fn begin(&mut self, actions: &mut Vec<Action>) {
        if std::mem::replace(&mut self.has_begun, true) {
            return;
        }
        for (course, entry) in self.courses.iter().zip(self.ledger.entries()) {
            actions.push(entry.planned(course.length(), self.start));
        }
        self.watch(actions);
    }

    fn observe(&mut self, now: Timestamp, observation: &Observation, actions: &mut Vec<Action>) {
        if let Some(exit) = self.grip.observe(now, observation, actions) {
            self.ledger.exited(exit);
        }
        let sighting = self.sightings.see(observation);
        for index in 0..self.courses.len() {
            let (course, entry, mut context) = self.apart(index, now, actions);
            course.observe(observation, entry, &mut context);
            if let Some(sighting) = sighting {
                course.sighted(sighting, index as u64, now);
            }
        }
        if matches!(sighting, Some(Sighting::Message(_))) {
            self.watch(actions);
        }
        match observation {
            // These alone change what processes need.
            Observation::Started { .. } | Observation::Exited { .. } => {
                self.is_stirred = true;
                self.reconcile(now, actions);
            }
            // And this what can be probed.
            Observation::TapSet { .. } => self.is_stirred = true,
            _ => {}
        }
    }

    /// Orders that messages be watched for, as long as a fault waits for them.
    fn watch(&mut self, actions: &mut Vec<Action>) {
        let mut wanted: BTreeMap<NodeId, Vec<TapWatch>> = BTreeMap::new();
        for (id, course) in (0..).zip(&self.courses) {
            let Some((at, watch)) = course.watch(id) else {
                continue;
            };
            let nodes = self.grip.topology.nodes();
            for node in nodes.filter(|node| at.is_none_or(|at| at == *node)) {
                wanted.entry(node).or_default().push(watch.clone());
            }
        }
        let nodes: BTreeSet<NodeId> = self.watches.keys().chain(wanted.keys()).copied().collect();
        for node in nodes {
            let watches = wanted.get(&node).cloned().unwrap_or_default();
            if self
                .watches
                .get(&node)
                .map(Vec::as_slice)
                .unwrap_or_default()
                != watches
            {
                actions.push(Action::Watch { node, watches });
            }
        }
        self.watches = wanted;
    }

    /// Every fault goes on as far as it can. What one changes is ordered before it or another goes on, and
    /// concerns all: those before it look at it in the next step.
    fn advance(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let mut concerns_all = std::mem::take(&mut self.is_stirred);
        for index in 0..self.courses.len() {
            let is_due = self.due[index].is_some_and(|due| due <= now);
            if !(concerns_all || is_due || self.courses[index].is_told()) {
                continue;
            }
            loop {
                let (course, entry, mut context) = self.apart(index, now, actions);
                match course.step(entry, &mut context) {
                    Next::Changed => {
                        self.reconcile(now, actions);
                        (concerns_all, self.is_stirred) = (true, true);
                    }
                    Next::Wait => break,
                }
            }
            self.due[index] = self.courses[index].next_timeout();
        }
        self.wake = self.due.iter().flatten().min().copied();
    }

    fn reconcile(&mut self, now: Timestamp, actions: &mut Vec<Action>) {
        let hits = self.courses.iter().filter_map(Course::hits);
        self.grip.reconcile(hits, self.is_final, now, actions);
    }

    /// A fault's course, its place in the ledger, and all else, borrowed apart.
    fn apart<'a>(
        &'a mut self,
        index: usize,
        now: Timestamp,
        actions: &'a mut Vec<Action>,
    ) -> (&'a mut Course, &'a mut crate::LedgerEntry, Context<'a>) {
        let (grip, options) = (&mut self.grip, &self.options);
        let context = Context {
            now,
            grip,
            options,
            actions,
        };
        (&mut self.courses[index], self.ledger.entry(index), context)
    }
}

impl fmt::Debug for Nemesis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nemesis")
            .field("ledger", &self.ledger)
            .finish_non_exhaustive()
    }
}
