//! The main loop: one operation and one fault after the other, from the plan to the record.

use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use viewstorm_history::{End, History, Kind, OperationEvent, ProcessId, Seed, Timestamp};
use viewstorm_nemesis::{Action, Ledger, Nemesis, NemesisOptions, Observation, Timeline, Topology};
use viewstorm_protocol::{ClientId, Completion, ReplicaId, Status};
use viewstorm_workloads::{Invocation, UnreadableResult, Workload};

use super::lag::LagRecorder;
use super::sessions::{Outstanding, Sessions, process_of};
use super::{Arrivals, Counts, Lag, Recorder, Silences};
use crate::world::{BrokenTheorem, Occurrence, World, WorldError, WorldFacts};

/// How long the replicas may take to come up and elect their first primary.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// The longest the loop waits without looking whether it was interrupted.
const LOOK_UP_EVERY: Duration = Duration::from_millis(50);
/// How long the load goes on after everything healed, so that the recovery can be seen.
const AFTER_HEAL: Duration = Duration::from_secs(2);

/// How operations come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// Open loop: `rate` operations per second are due whatever becomes of them, and each waits at most
    /// `patience` for a free session.
    Open {
        /// Operations per second.
        rate: f64,
        /// How long a due operation waits for a free session.
        patience: Duration,
        /// When the clients fall silent. Those that do say nothing new after the load either.
        pauses: Option<Silences>,
    },
    /// Closed loop: every session invokes again as soon as it is free.
    Closed,
}

/// Who is healed after the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Healing {
    /// Everybody.
    All,
    /// A majority, which the seed draws: what is broken outside it stays so.
    Core,
}

/// What an experiment is, apart from its world, workload and faults.
#[derive(Clone, Debug, PartialEq)]
pub struct ExperimentOptions {
    /// Who there is.
    pub topology: Topology,
    /// How many sessions at a time.
    pub clients: u32,
    /// How operations come.
    pub load: Load,
    /// When a client gives an operation up: it ends info.
    pub operation_timeout: Duration,
    /// How long the load goes on before the final heal.
    pub duration: Duration,
    /// Who is healed after the load.
    pub healing: Healing,
    /// How long the final heal, and then the final reads, may take.
    pub quiesce: Duration,
    /// The run's seed.
    pub seed: Seed,
}

/// Asked now and then whether somebody wants the run to end.
pub trait Interrupt {
    /// Why the run should end now, if it should.
    fn interrupted(&self) -> Option<String>;
}

/// Told now and then how the run goes.
pub trait Progress {
    /// How far it is.
    fn update(&mut self, now: Timestamp, stage: &'static str, counts: Counts, ledger: &Ledger);
}

/// When a run's stages began, on the run's clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// The load started: the plan's times count from here.
    pub load: Timestamp,
    /// The final heal began.
    pub heal: Timestamp,
    /// Everything was seen healed.
    pub healed: Timestamp,
    /// The load ended.
    pub drain: Timestamp,
    /// The final reads were over.
    pub end: Timestamp,
}

/// All that a run leaves.
#[derive(Debug)]
pub struct RunRecord {
    /// What was done and what came of it.
    pub history: History,
    /// What the nemesis did.
    pub ledger: Ledger,
    /// Due operations that found no free session in time.
    pub not_started: u64,
    /// When which stage began.
    pub stages: Stages,
    /// The replicas that were healed, where not all were.
    pub core: Vec<ReplicaId>,
    /// Why the run ended early, if it did.
    pub interrupted: Option<String>,
    /// Answers that were none.
    pub anomalies: Vec<String>,
    /// Theorems that did not hold.
    pub broken: Vec<BrokenTheorem>,
    /// What the world says of the run.
    pub world: WorldFacts,
    /// How far the loop ran behind its own schedule.
    pub lag: Lag,
}

/// Why a run could not go on. What was recorded until then is in the history file.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The world failed.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The history could not be written.
    #[error("history.jsonl: {0}")]
    History(#[from] io::Error),
    /// The replicas never became a cluster.
    #[error("after {READY_WITHIN:?} the replicas are not ready: {0}")]
    NotReady(String),
}

/// One experiment on its way.
pub struct Experiment<'a> {
    world: &'a mut dyn World,
    workload: &'a mut dyn Workload,
    options: ExperimentOptions,
    recorder: Recorder,
    nemesis: Nemesis,
    actions: Vec<Action>,
    sessions: Sessions,
    arrivals: Option<Arrivals>,
    final_reads: Vec<Invocation>,
    stages: Stages,
    core: Vec<ReplicaId>,
    anomalies: Vec<String>,
    broken: Vec<BrokenTheorem>,
    lag: LagRecorder,
}

impl<'a> Experiment<'a> {
    /// Waits until the world's replicas are a cluster, and sets the experiment up.
    pub fn prepare(
        world: &'a mut dyn World,
        workload: &'a mut dyn Workload,
        options: ExperimentOptions,
        timeline: Timeline,
        recorder: Recorder,
    ) -> Result<Self, RunError> {
        let observations = wait_until_ready(world, options.topology)?;
        let start = world.now();
        let nemesis = Nemesis::new(
            options.topology,
            timeline,
            start,
            options.seed,
            NemesisOptions::default(),
        );
        let arrivals = match options.load {
            Load::Open {
                rate,
                patience,
                pauses,
            } => Some(Arrivals::new(rate, start, patience, pauses, options.seed)),
            Load::Closed => None,
        };
        let mut experiment = Self {
            sessions: Sessions::new(options.clients, options.topology.clients, options.seed),
            world,
            workload,
            options,
            recorder,
            nemesis,
            actions: Vec::new(),
            arrivals,
            final_reads: Vec::new(),
            stages: Stages {
                load: start,
                ..Stages::default()
            },
            core: Vec::new(),
            anomalies: Vec::new(),
            broken: Vec::new(),
            lag: LagRecorder::default(),
        };
        for (time, observation) in observations {
            experiment.step_nemesis(time, Some(observation))?;
        }
        Ok(experiment)
    }

    /// Runs to the end, or until it is interrupted. Whatever happens, the history is finished: where the run
    /// could not go on, its end record says why.
    pub fn run(
        mut self,
        interrupt: &dyn Interrupt,
        progress: &mut dyn Progress,
    ) -> Result<RunRecord, RunError> {
        match self.run_stages(interrupt, progress) {
            Ok((interrupted, facts)) => self.finish(interrupted, facts),
            Err(error) => {
                // The error that led here is the one worth reporting.
                drop(self.finish(Some(error.to_string()), WorldFacts::default()));
                Err(error)
            }
        }
    }

    /// Goes through the stages. Returns why it was interrupted, if it was; everything is healed then too.
    fn run_stages(
        &mut self,
        interrupt: &dyn Interrupt,
        progress: &mut dyn Progress,
    ) -> Result<(Option<String>, WorldFacts), RunError> {
        let mut interrupted = None;
        let mut stage = Stage::Load;
        while stage != Stage::Done {
            let now = self.world.now();
            if interrupted.is_none() {
                interrupted = interrupt.interrupted();
            }
            stage = self.advance_stage(stage, now, interrupted.is_some());
            progress.update(
                now,
                stage.name(),
                self.recorder.counts(),
                self.nemesis.ledger(),
            );
            self.step_nemesis(now, None)?;
            self.expire(now);
            self.dispatch(stage);
            self.recorder.advance(now)?;
            let until = self.next_wake(now, stage);
            if let Some(occurrence) = self.world.next(until)? {
                self.handle(occurrence)?;
            } else {
                self.lag.record(self.world.now().saturating_since(until));
            }
        }
        Ok((interrupted, self.world.stop()?))
    }

    fn finish(
        mut self,
        interrupted: Option<String>,
        facts: WorldFacts,
    ) -> Result<RunRecord, RunError> {
        let now = self.world.now();
        self.stages.end = now;
        let mut extra = Map::new();
        if !self.core.is_empty() {
            let core: Vec<_> = self.core.iter().map(ToString::to_string).collect();
            extra.insert("core".to_owned(), core.into());
        }
        let end = End {
            time: now,
            interrupted: interrupted.clone(),
            extra,
        };
        Ok(RunRecord {
            history: self.recorder.finish(end)?,
            ledger: self.nemesis.ledger().clone(),
            not_started: self.arrivals.as_ref().map_or(0, Arrivals::not_started),
            stages: self.stages,
            core: self.core,
            interrupted,
            anomalies: self.anomalies,
            broken: self.broken,
            world: facts,
            lag: self.lag.summary(),
        })
    }

    /// Where stages change: here and nowhere else.
    fn advance_stage(&mut self, stage: Stage, now: Timestamp, interrupted: bool) -> Stage {
        match stage {
            Stage::Load if interrupted || now >= self.stages.load + self.options.duration => {
                self.stages.heal = now;
                self.heal(now, interrupted);
                Stage::Heal
            }
            Stage::Heal
                if self.nemesis.is_quiet() || now >= self.stages.heal + self.options.quiesce =>
            {
                self.stages.healed = now;
                if !interrupted {
                    self.stop_load(match self.falls_silent() {
                        true => now,
                        false => now + AFTER_HEAL,
                    });
                    // Whoever waits at the heal is to be answered: no timeout may hide one that is not.
                    self.sessions.extend(now + self.options.quiesce);
                }
                Stage::Drain
            }
            Stage::Drain if now >= self.stages.drain && self.is_drained() => {
                self.final_reads = self.workload.final_reads();
                Stage::FinalReads
            }
            Stage::FinalReads
                if (self.final_reads.is_empty() && self.sessions.outstanding() == 0)
                    || now >= self.stages.drain + 2 * self.options.quiesce =>
            {
                Stage::Done
            }
            stage => stage,
        }
    }

    /// A run that is cut short leaves nothing broken behind.
    fn heal(&mut self, now: Timestamp, interrupted: bool) {
        match self.options.healing {
            Healing::Core if !interrupted => {
                let core = self.nemesis.heal_core(now, &mut self.actions);
                self.core = core.into_iter().collect();
            }
            Healing::Core | Healing::All => self.nemesis.heal_all(now, &mut self.actions),
        }
        if interrupted || self.falls_silent() {
            self.stop_load(now);
        }
        if self.falls_silent() {
            // Nothing new will come to the help of those who wait.
            self.sessions.extend(now + 2 * self.options.quiesce);
        }
    }

    fn falls_silent(&self) -> bool {
        matches!(self.options.load, Load::Open { pauses, .. } if pauses.is_some())
    }

    /// Whether no operation is under way and none waits for a session.
    fn is_drained(&self) -> bool {
        let waiting = self.arrivals.as_ref().map_or(0, Arrivals::waiting);
        waiting == 0 && self.sessions.outstanding() == 0
    }

    fn stop_load(&mut self, at: Timestamp) {
        self.stages.drain = at;
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.stop_at(at);
        }
    }

    /// Starts what is due, as far as sessions are free.
    fn dispatch(&mut self, stage: Stage) {
        let now = self.world.now();
        if let Some(arrivals) = &mut self.arrivals {
            arrivals.advance(now);
        }
        while self.sessions.has_free() {
            let is_final = stage == Stage::FinalReads;
            let (invocation, intended) = if is_final {
                let Some(read) = self.final_reads.pop() else {
                    break;
                };
                (read, now)
            } else if let Some(arrivals) = &mut self.arrivals {
                let Some(intended) = arrivals.take() else {
                    break;
                };
                (self.workload.next(), intended)
            } else if stage == Stage::Drain && now >= self.stages.drain {
                break;
            } else {
                (self.workload.next(), now)
            };
            self.invoke(invocation, intended, is_final);
        }
    }

    fn invoke(&mut self, invocation: Invocation, intended: Timestamp, is_final: bool) {
        let now = self.world.now();
        let operation = invocation.operation.clone();
        let event = event_of(&invocation, Kind::Invoke, now, intended, is_final);
        let deadline = now + self.options.operation_timeout;
        let client = self.sessions.start(|| Outstanding {
            invocation,
            intended,
            deadline,
            is_final,
        });
        let client = client.expect("the caller saw a free session");
        self.recorder.operation(OperationEvent {
            process: process_of(client),
            ..event
        });
        self.world.invoke(client, operation);
    }

    fn handle(&mut self, occurrence: Occurrence) -> Result<(), RunError> {
        match occurrence {
            Occurrence::Completed {
                client,
                time,
                completion,
            } => {
                self.complete(client, time, &completion);
                Ok(())
            }
            Occurrence::Observed(observation) => {
                let now = self.world.now();
                self.step_nemesis(now, Some(observation))
            }
            Occurrence::Broken(theorem) => {
                self.broken.push(theorem);
                Ok(())
            }
        }
    }

    fn complete(&mut self, client: ClientId, time: Timestamp, completion: &Completion) {
        // One that nobody waits for any more ended info.
        let Some(outstanding) = self.sessions.complete(client) else {
            return;
        };
        let Outstanding {
            invocation,
            intended,
            is_final,
            ..
        } = outstanding;
        let process = process_of(client);
        let mut event = match self.workload.complete(&invocation, &completion.result) {
            Ok(outcome) => OperationEvent {
                value: outcome.value,
                observed: outcome.observed,
                order: Some(completion.order),
                ..event_of(&invocation, outcome.kind, time, intended, is_final)
            },
            Err(error) => {
                self.note_unreadable(&error);
                event_of(&invocation, Kind::Info, time, intended, is_final)
            }
        };
        event.process = process;
        self.recorder.operation(event);
    }

    fn note_unreadable(&mut self, error: &UnreadableResult) {
        const KEEP: usize = 20;
        if self.anomalies.len() < KEEP {
            self.anomalies.push(error.to_string());
        }
    }

    /// Ends what nobody waits for any more as info. A final read is tried again.
    fn expire(&mut self, now: Timestamp) {
        while let Some((client, outstanding)) = self.sessions.expire(now) {
            self.world.retire(client);
            let Outstanding {
                invocation,
                intended,
                is_final,
                ..
            } = outstanding;
            let process = process_of(client);
            let event = event_of(&invocation, Kind::Info, now, intended, is_final);
            self.recorder.operation(OperationEvent { process, ..event });
            if is_final {
                self.final_reads.push(invocation);
            }
        }
    }

    fn step_nemesis(
        &mut self,
        now: Timestamp,
        observation: Option<Observation>,
    ) -> Result<(), RunError> {
        self.nemesis.step(now, observation, &mut self.actions);
        for action in self.actions.drain(..) {
            match action {
                Action::Record(event) => self.recorder.fault(event),
                action => self.world.enact(&action)?,
            }
        }
        Ok(())
    }

    fn next_wake(&self, now: Timestamp, stage: Stage) -> Timestamp {
        let arrival = match &self.arrivals {
            // While all sessions are busy only a completion can start what is due.
            Some(arrivals) if self.sessions.has_free() => arrivals.next_due(),
            _ => None,
        };
        let stage_end = match stage {
            Stage::Load => Some(self.stages.load + self.options.duration),
            Stage::Drain => Some(self.stages.drain),
            Stage::Heal | Stage::FinalReads | Stage::Done => None,
        };
        // What was due by now has been done. To wait for it again would be to wait for ever in virtual time,
        // as for a drain whose time is over but whose last operation is not.
        [
            arrival,
            stage_end,
            self.nemesis.next_timeout(),
            self.sessions.next_deadline(),
        ]
        .into_iter()
        .flatten()
        .filter(|at| *at > now)
        .fold(now + LOOK_UP_EVERY, Timestamp::min)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Load,
    Heal,
    Drain,
    FinalReads,
    Done,
}

impl Stage {
    fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Heal => "heal",
            Self::Drain => "drain",
            Self::FinalReads => "final reads",
            Self::Done => "done",
        }
    }
}

fn event_of(
    invocation: &Invocation,
    kind: Kind,
    time: Timestamp,
    intended: Timestamp,
    is_final: bool,
) -> OperationEvent {
    let mut extra = Map::new();
    if is_final {
        extra.insert("final".to_owned(), Value::Bool(true));
    }
    OperationEvent {
        index: None,
        time,
        process: ProcessId(0),
        kind,
        f: invocation.f.to_owned(),
        key: invocation.key.clone(),
        value: invocation.value.clone(),
        intended: (kind == Kind::Invoke).then_some(intended),
        order: None,
        observed: None,
        extra,
    }
}

/// Waits for every replica's hello and the first primary. Returns what was observed on the way.
fn wait_until_ready(
    world: &mut dyn World,
    topology: Topology,
) -> Result<Vec<(Timestamp, Observation)>, RunError> {
    let deadline = world.now() + READY_WITHIN;
    let mut seen = Vec::new();
    let mut started: Vec<ReplicaId> = Vec::new();
    let mut has_primary = false;
    while !(has_primary && started.len() == usize::from(topology.replicas)) {
        if world.now() >= deadline {
            let up: Vec<_> = started.iter().map(ToString::to_string).collect();
            let primary = if has_primary {
                "there is a primary"
            } else {
                "no primary"
            };
            return Err(RunError::NotReady(format!(
                "up: {}; {primary}",
                up.join(", ")
            )));
        }
        let Some(occurrence) = world.next(deadline)? else {
            continue;
        };
        let Occurrence::Observed(observation) = occurrence else {
            continue;
        };
        match &observation {
            Observation::Started { replica, .. } if !started.contains(replica) => {
                started.push(*replica);
            }
            Observation::Role {
                status: Status::Normal,
                primary: true,
                ..
            } => has_primary = true,
            Observation::Exited { replica, how } => {
                let reason = format!("its process ended: {how}");
                return Err(WorldError::Start {
                    replica: *replica,
                    reason,
                }
                .into());
            }
            _ => {}
        }
        seen.push((world.now(), observation));
    }
    Ok(seen)
}
