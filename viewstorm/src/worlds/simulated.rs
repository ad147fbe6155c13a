//! The simulated world: the same cores in virtual time, where the seed is the whole run.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use viewstorm_history::{Seed, Timestamp};
use viewstorm_nemesis::{Action, Capability, Topology};
use viewstorm_protocol::vr::{VrClient, VrConfig, VrReplica};
use viewstorm_protocol::{ClientId, Incarnation, Observe, ReplicaId, Service};
use viewstorm_simulator::{InvariantViolation, Simulation, SimulationConfig, Theorem, TraceSink};
use viewstorm_workloads::RegisterService;

use super::setup::durability;
use super::timeouts;
use crate::plan::{Cluster, Protocol, Reads};
use crate::world::{BrokenTheorem, Occurrence, World, WorldError, WorldFacts};

/// What a simulated world is made of.
#[derive(Clone, Debug)]
pub struct SimulatedWorldOptions {
    /// The replicas, as the plan has them.
    pub cluster: Cluster,
    /// Who there is.
    pub topology: Topology,
    /// The whole run.
    pub seed: Seed,
}

/// The theorem that the cores' own assertions hold.
const NO_CORE_PANICS: &str = "no-core-panics";

type Vr = Simulation<VrReplica<RegisterService>, VrClient>;

/// A simulated cluster that runs VR.
#[derive(Debug)]
pub struct SimulatedWorld {
    simulation: Vr,
    replicas: Vec<ReplicaId>,
    /// A core panicked, and the simulation with it: from then on only time passes.
    ended: Option<Timestamp>,
    /// What is to be told of that.
    panicked: Option<BrokenTheorem>,
}

impl SimulatedWorld {
    /// What the nemesis can ask of it beyond what it can ask of every world: all there is.
    pub const CAPABILITIES: &'static [Capability] = &[
        Capability::PowerLoss,
        Capability::EffectCrash,
        Capability::Disk,
        Capability::Damage,
        Capability::Clock,
        Capability::Watch,
    ];

    /// A world at its start.
    pub fn new(options: &SimulatedWorldOptions) -> Self {
        let SimulatedWorldOptions {
            cluster,
            topology,
            seed,
        } = options;
        let Protocol::Vr = cluster.protocol;
        let config = SimulationConfig {
            fence_incarnations: cluster.fence_incarnations,
            ..SimulationConfig::new(*seed, *topology)
        };
        let (replicas, spares) = cluster.groups();
        let (seed, patience, checkpoints) = (*seed, cluster.timeouts, cluster.checkpoints());
        let durability = durability(cluster.durability);
        let reads = cluster.reads;
        let choices = timeouts::vr_options(cluster);
        let (group, beside) = (replicas.clone(), spares.clone());
        let replica = move |me: ReplicaId, incarnation: Incarnation| {
            let config = VrConfig {
                durability,
                nonce: incarnation.0,
                me,
                replicas: group.clone(),
                spares: beside.clone(),
                timeouts: timeouts::vr(&patience),
                checkpoints,
                options: choices,
                seed: seed.stream(&format!("replica {me} {}", incarnation.0)).0,
            };
            VrReplica::new(config, RegisterService)
        };
        let client = move |id: ClientId| {
            let timeouts = timeouts::vr_client(&patience);
            let client = VrClient::new(id, replicas.clone(), timeouts).with_spares(&spares);
            match reads {
                Reads::Backup => client.reading_at_backups(|read| RegisterService.is_read(read)),
                Reads::Log | Reads::Lease => client,
            }
        };
        let ids = topology.replica_ids().collect();
        Self {
            simulation: Simulation::new(config, replica, client),
            replicas: ids,
            ended: None,
            panicked: None,
        }
    }

    /// Lets the simulation do something. A core that panics has found a bug of its own: that is told as a theorem
    /// that does not hold, and ends the simulation.
    fn guard<T>(&mut self, act: impl FnOnce(&mut Vr) -> T) -> Option<T> {
        if self.ended.is_some() {
            return None;
        }
        let simulation = &mut self.simulation;
        let done = catch_unwind(AssertUnwindSafe(|| act(simulation)));
        done.map_err(|panic| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            let time = self.simulation.now();
            let evidence = format!("a core panicked at {time}: {}", text.unwrap_or("no words"));
            let theorem = NO_CORE_PANICS.to_owned();
            self.ended = Some(time);
            self.panicked = Some(BrokenTheorem {
                theorem,
                time,
                evidence,
            });
        })
        .ok()
    }

    /// From now on `sink` is told of everything.
    pub fn set_trace_sink(&mut self, sink: Box<dyn TraceSink>) {
        self.simulation.set_trace_sink(sink);
    }

    /// What each replica is doing.
    fn states(&self) -> Vec<String> {
        let state = |id: &ReplicaId| match self.simulation.core(*id) {
            None => format!("{id}: down"),
            Some(core) => format!(
                "{id}: {:?} in view {}{}, log of view {} up to {}, committed {}",
                core.status(),
                core.view(),
                if core.is_primary() { " as primary" } else { "" },
                core.log_view(),
                Observe::op_number(core),
                Observe::commit_number(core),
            ),
        };
        self.replicas.iter().map(state).collect()
    }

    /// What the simulation counted so far.
    pub fn statistics(&self) -> viewstorm_simulator::Statistics {
        self.simulation.statistics()
    }
}

impl World for SimulatedWorld {
    fn now(&self) -> Timestamp {
        self.ended.unwrap_or_else(|| self.simulation.now())
    }

    fn enact(&mut self, action: &Action) -> Result<(), WorldError> {
        self.guard(|simulation| simulation.enact(action));
        Ok(())
    }

    fn invoke(&mut self, client: ClientId, operation: Bytes) {
        self.guard(|simulation| simulation.invoke(client, operation));
    }

    fn retire(&mut self, client: ClientId) {
        self.guard(|simulation| simulation.retire(client));
    }

    fn next(&mut self, until: Timestamp) -> Result<Option<Occurrence>, WorldError> {
        use viewstorm_simulator::Occurrence as Simulated;
        let occurrence = self.guard(|simulation| simulation.next(until)).flatten();
        if let Some(panicked) = self.panicked.take() {
            return Ok(Some(Occurrence::Broken(panicked)));
        }
        if let Some(ended) = &mut self.ended {
            *ended = until.max(*ended);
        }
        Ok(occurrence.map(|occurrence| match occurrence {
            Simulated::Completed {
                client,
                time,
                completion,
            } => Occurrence::Completed {
                client,
                time,
                completion,
            },
            Simulated::Observed(observation) => Occurrence::Observed(observation),
            Simulated::Violation(violation) => Occurrence::Broken(broken(&violation)),
        }))
    }

    fn stop(&mut self) -> Result<WorldFacts, WorldError> {
        Ok(WorldFacts {
            trace_hash: Some(self.simulation.trace_hash()),
            theorems: Theorem::ALL
                .iter()
                .map(ToString::to_string)
                .chain([NO_CORE_PANICS.to_owned()])
                .collect(),
            events: self.simulation.statistics().events,
            states: self.states(),
        })
    }
}

fn broken(violation: &InvariantViolation) -> BrokenTheorem {
    BrokenTheorem {
        theorem: violation.theorem.to_string(),
        time: violation.time,
        evidence: violation.to_string(),
    }
}
