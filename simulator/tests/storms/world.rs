//! The cluster under the storm, its clients, and everything that is noticed about them.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;

use viewstorm_history::Timestamp;
use viewstorm_nemesis::{Observation, Topology};
use viewstorm_protocol::vr::{
    DIVERGED, VrCheckpoints, VrClient, VrClientTimeouts, VrConfig, VrOptions, VrReplica, VrTimeouts,
};
use viewstorm_protocol::{
    ClientId, Completion, ProtocolEvent, ReplicaId, Status, TraceEvent, TraceRecord,
};
use viewstorm_simulator::{Occurrence, Simulation, TraceSink};

use crate::answers::{Answers, Pending, SwapRegister};
use crate::climate::Climate;
use crate::random::Random;

/// Hears a replica say that a message contradicts what it knows.
#[derive(Debug, Default)]
struct Contradictions(Rc<RefCell<Option<String>>>);

impl TraceSink for Contradictions {
    fn record(&mut self, record: &TraceRecord) {
        if let TraceEvent::Noted {
            note: ProtocolEvent::Dropped { kind, reason },
        } = &record.event
            && reason == DIVERGED
        {
            let (node, time) = (record.node, Timestamp(record.time));
            let said = format!("{node} at {time}: a {kind} contradicts its log");
            self.0.borrow_mut().get_or_insert(said);
        }
    }
}

/// The cluster and its clients.
pub(crate) struct World {
    pub(crate) simulation: Simulation<VrReplica<SwapRegister>, VrClient>,
    pub(crate) topology: Topology,
    contradiction: Rc<RefCell<Option<String>>>,
    answers: Answers,
    random: Random,
    think: u64,
    /// Who has an operation under way.
    pending: BTreeMap<ClientId, Pending>,
    /// Who invokes next, and when.
    idle: BTreeSet<(Timestamp, ClientId)>,
    opened: u64,
    /// A replica's role has changed since it was asked last.
    stirred: bool,
}

impl World {
    pub(crate) fn new(climate: &Climate) -> Self {
        let config = climate.simulation.clone();
        let (seed, topology) = (config.seed, config.topology);
        let durability = climate.durability;
        let replicas: Vec<ReplicaId> = topology.replica_ids().collect();
        let group = replicas.clone();
        let interval = climate.checkpoint_interval;
        let mut simulation = Simulation::new(
            config,
            move |me, incarnation| {
                let config = VrConfig {
                    durability,
                    nonce: incarnation.0,
                    me,
                    replicas: replicas.clone(),
                    spares: Vec::new(),
                    timeouts: VrTimeouts::default(),
                    checkpoints: VrCheckpoints {
                        interval,
                        ..VrCheckpoints::default()
                    },
                    options: VrOptions::default(),
                    seed: seed.stream(&format!("replica {me} {}", incarnation.0)).0,
                };
                VrReplica::new(config, SwapRegister)
            },
            move |client| VrClient::new(client, group.clone(), VrClientTimeouts::default()),
        );
        let contradictions = Contradictions::default();
        let contradiction = Rc::clone(&contradictions.0);
        simulation.set_trace_sink(Box::new(contradictions));
        let mut world = Self {
            simulation,
            topology,
            contradiction,
            answers: Answers::default(),
            random: Random::new(seed, "clients"),
            think: climate.think,
            pending: BTreeMap::new(),
            idle: BTreeSet::new(),
            opened: 0,
            stirred: false,
        };
        for _ in 0..climate.sessions {
            world.open_session();
        }
        world
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.simulation.now()
    }

    /// How many operations were answered.
    pub(crate) fn answered(&self) -> usize {
        self.answers.len()
    }

    fn open_session(&mut self) {
        self.opened += 1;
        let endpoint = self.random.below(usize::from(self.topology.clients)) as u16;
        let client = ClientId {
            endpoint,
            session: self.opened,
        };
        self.think(client);
    }

    fn think(&mut self, client: ClientId) {
        let at = after(self.now(), self.random.millis(0, self.think));
        self.idle.insert((at, client));
    }

    /// A client dies with its operation under way, and another takes its place.
    pub(crate) fn crash_client(&mut self) {
        let sessions: Vec<ClientId> = self.pending.keys().copied().collect();
        if sessions.is_empty() {
            return;
        }
        let client = self.random.pick(&sessions);
        self.pending.remove(&client);
        self.simulation.retire(client);
        self.open_session();
    }

    /// From now on nobody invokes but in [`invoke_once`](Self::invoke_once).
    pub(crate) fn hush(&mut self) {
        self.think = 0;
        self.idle.clear();
    }

    /// A new client invokes one operation.
    pub(crate) fn invoke_once(&mut self) {
        self.opened += 1;
        self.invoke(ClientId {
            endpoint: 0,
            session: self.opened,
        });
    }

    fn invoke(&mut self, client: ClientId) {
        let pending = self.answers.invoke();
        self.pending.insert(client, pending);
        self.simulation.invoke(client, pending.operation());
    }

    pub(crate) fn has_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Whether a replica's role has changed since this was asked last.
    pub(crate) fn take_stirred(&mut self) -> bool {
        std::mem::take(&mut self.stirred)
    }

    /// Lets time pass until `until`, or until a replica's role changes.
    pub(crate) fn run_to(&mut self, until: Timestamp) -> Result<(), String> {
        loop {
            let next = self.idle.first().copied();
            let wake = next.map_or(until, |(at, _)| at.min(until));
            while let Some(occurrence) = self.simulation.next(wake) {
                self.notice(occurrence)?;
                if self.stirred {
                    return Ok(());
                }
            }
            if let Some(said) = self.contradiction.borrow().as_ref() {
                return Err(said.clone());
            }
            match self.idle.first().copied() {
                Some((at, client)) if at <= self.now() => {
                    self.idle.remove(&(at, client));
                    self.invoke(client);
                }
                _ if self.now() >= until => return Ok(()),
                _ => {}
            }
        }
    }

    fn notice(&mut self, occurrence: Occurrence) -> Result<(), String> {
        match occurrence {
            Occurrence::Completed {
                client, completion, ..
            } => self.completed(client, &completion),
            Occurrence::Violation(violation) => Err(violation.to_string()),
            Occurrence::Observed(observation) => {
                self.stirred |= matches!(observation, Observation::Role { .. });
                Ok(())
            }
        }
    }

    fn completed(&mut self, client: ClientId, completion: &Completion) -> Result<(), String> {
        let pending = self.pending.remove(&client).expect("it had an operation");
        self.answers.complete(pending, completion)?;
        if self.think > 0 {
            self.think(client);
        }
        Ok(())
    }

    /// Whether all answers given are those of one order.
    pub(crate) fn answers_are_of_one_order(&self) -> Result<(), String> {
        self.answers.are_of_one_order()
    }

    /// The latest view of all replicas.
    pub(crate) fn latest_view(&self) -> u64 {
        let views = self.cores().map(|(_, core)| core.view().number);
        views.max().unwrap_or_default()
    }

    /// The primary of the latest view, if there is one.
    pub(crate) fn primary(&self) -> Option<ReplicaId> {
        let cores = self.cores().filter(|(_, core)| core.is_primary());
        cores.max_by_key(|(_, core)| core.view()).map(|(id, _)| id)
    }

    /// Whether it has lost its state, or will have by the time it is up again, where its log dies with it.
    pub(crate) fn is_lost(&self, replica: ReplicaId) -> bool {
        self.simulation
            .core(replica)
            .is_none_or(|core| core.status() == Status::Recovering)
    }

    fn cores(&self) -> impl Iterator<Item = (ReplicaId, &VrReplica<SwapRegister>)> {
        let ids = self.topology.replica_ids();
        ids.filter_map(|id| Some((id, self.simulation.core(id)?)))
    }

    /// Whether all replicas are up, normal, in one view, with one log, all of it executed.
    pub(crate) fn has_converged(&self) -> bool {
        let mut shown = self.cores().map(|(_, core)| {
            let settled =
                core.status() == Status::Normal && core.op_number() == core.commit_number();
            (
                settled,
                core.view(),
                core.commit_number(),
                core.state_digest(),
            )
        });
        let first = shown.next();
        first.is_some_and(|first| first.0 && shown.all(|other| other == first))
            && self.cores().count() == usize::from(self.topology.replicas)
    }

    /// What each replica is doing, for those who look for the cause.
    pub(crate) fn describe(&self) -> String {
        let mut lines = format!("at {}, {} sessions wait:", self.now(), self.pending.len());
        for id in self.topology.replica_ids() {
            let line = match self.simulation.core(id) {
                Some(core) => format!(
                    "\n  {id}: {:?} view {} log_view {} op {} commit {} primary {}",
                    core.status(),
                    core.view(),
                    core.log_view(),
                    core.op_number(),
                    core.commit_number(),
                    core.is_primary()
                ),
                None => format!("\n  {id}: down"),
            };
            lines.push_str(&line);
        }
        lines
    }
}

/// The time `duration` after `time`.
pub(crate) fn after(time: Timestamp, duration: Duration) -> Timestamp {
    let nanos = u64::try_from(duration.as_nanos()).expect("a storm is short");
    Timestamp(time.0 + nanos)
}
