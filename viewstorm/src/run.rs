//! One run, from the plan to its folder: the world is made, the experiment goes its length, the files are
//! judged and the report is written.

use std::io;
use std::path::PathBuf;

use viewstorm_history::{FORMAT_VERSION, Header, Seed};
use viewstorm_nemesis::{Timeline, Topology};
use viewstorm_report::{HISTORY_FILE, Results, WriteError};
use viewstorm_workloads::{
    ObjectKind, ObjectOptions, Objects, Register, RegisterMix, RegisterOptions, Workload,
};

use crate::judge::{JudgeError, Judgement, LATENCY_LOG_FILE, judge, latency_log};
use crate::plan::{Arrival, Liveness, Plan, WorkloadKind};
use crate::run_facts::{Ending, FACTS_FILE, RunFacts};
use crate::run_folder::{FolderError, PLAN_FILE, RunFolder};
use crate::runner::{
    Experiment, ExperimentOptions, Healing, Interrupt, Load, Progress, Recorder, RunError,
    RunRecord, Silences,
};
use crate::world::{World, WorldError};
use crate::worlds;

/// Why there are no results.
#[derive(Debug, thiserror::Error)]
pub enum RunOnceError {
    /// The folder, or a file in it.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The history could not be begun.
    #[error("{path}: {source}")]
    History {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The world could not be made.
    #[error(transparent)]
    World(#[from] WorldError),
    /// The run could not go on.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The run cannot be judged.
    #[error(transparent)]
    Judge(#[from] JudgeError),
    /// The report could not be written.
    #[error(transparent)]
    Report(#[from] WriteError),
}

/// Runs `plan` with `seed` into `folder`, which is fresh. `reproduce` are the commands that run it again.
pub fn run_once(
    plan: &Plan,
    seed: Seed,
    folder: &RunFolder,
    reproduce: Vec<String>,
    interrupt: &dyn Interrupt,
    progress: &mut dyn Progress,
) -> Result<Results, RunOnceError> {
    let plan = plan.resolved(seed);
    let mut facts = RunFacts::begin(reproduce);
    folder.write(PLAN_FILE, plan.to_toml().as_bytes())?;
    folder.write(FACTS_FILE, &facts.to_json())?;
    let path = folder.file(HISTORY_FILE);
    let recorder = Recorder::create(&path, header(&plan, seed))
        .map_err(|source| RunOnceError::History { path, source })?;
    let mut world = worlds::open(&plan, seed, folder)?;
    let record = experiment(&plan, seed, &mut *world, recorder, interrupt, progress)?;
    facts.ending = Some(Ending::of(record).0);
    folder.write(FACTS_FILE, &facts.to_json())?;
    write_report(folder, judge(folder.path())?)
}

/// Writes what a run came to, and its report, into its folder.
pub fn write_report(folder: &RunFolder, judgement: Judgement) -> Result<Results, RunOnceError> {
    folder.write(LATENCY_LOG_FILE, &latency_log(&judgement.history))?;
    viewstorm_report::write_all(folder.path(), &judgement.results, &judgement.history)?;
    Ok(judgement.results)
}

/// What the history of a run begins with.
pub fn header(plan: &Plan, seed: Seed) -> Header {
    let workload = workload(plan, seed);
    let initial = workload
        .initial()
        .map(|initial| ("initial".to_owned(), initial));
    Header {
        format: FORMAT_VERSION,
        experiment: plan.name.clone(),
        seed,
        model: workload.model().to_owned(),
        extra: initial.into_iter().collect(),
    }
}

/// Runs the experiment of `plan` in `world`.
pub fn experiment(
    plan: &Plan,
    seed: Seed,
    world: &mut dyn World,
    recorder: Recorder,
    interrupt: &dyn Interrupt,
    progress: &mut dyn Progress,
) -> Result<RunRecord, RunError> {
    let mut workload = workload(plan, seed);
    let timeline: Timeline = plan.timeline(seed);
    let options = options(plan, seed);
    let experiment = Experiment::prepare(world, &mut *workload, options, timeline, recorder)?;
    experiment.run(interrupt, progress)
}

/// Who there is in a plan.
pub fn topology(plan: &Plan) -> Topology {
    Topology {
        replicas: plan.cluster.all(),
        clients: plan.workload.endpoints,
    }
}

fn options(plan: &Plan, seed: Seed) -> ExperimentOptions {
    let load = match plan.workload.arrival {
        Arrival::Open { rate } => Load::Open {
            rate,
            patience: plan.workload.start_timeout,
            pauses: plan.pauses(seed).map(|pauses| Silences {
                burst: pauses.burst,
                pause: pauses.pause,
            }),
        },
        Arrival::Closed => Load::Closed,
    };
    ExperimentOptions {
        topology: topology(plan),
        clients: plan.workload.clients,
        load,
        operation_timeout: plan.workload.timeout,
        duration: plan.run.duration,
        healing: match plan.check.liveness {
            Liveness::All => Healing::All,
            Liveness::Core => Healing::Core,
        },
        quiesce: plan.run.quiesce,
        seed,
    }
}

fn workload(plan: &Plan, seed: Seed) -> Box<dyn Workload> {
    let workload = &plan.workload;
    let mix = workload.mix;
    let kind = match workload.kind {
        WorkloadKind::Register => {
            let options = RegisterOptions {
                keys: workload.keys,
                mix: RegisterMix {
                    read: mix.read,
                    write: mix.write,
                    cas: mix.cas,
                },
                padding: workload.payload as usize,
            };
            return Box::new(Register::new(options, seed));
        }
        WorkloadKind::MultiRegister => ObjectKind::MultiRegister,
        WorkloadKind::Set => ObjectKind::Set,
        WorkloadKind::Counter => ObjectKind::Counter,
        WorkloadKind::Queue => ObjectKind::Queue,
        WorkloadKind::List => ObjectKind::List,
        WorkloadKind::Mutex => ObjectKind::Mutex,
        WorkloadKind::Bank => ObjectKind::Bank,
        WorkloadKind::ListAppend => ObjectKind::ListAppend,
    };
    let options = ObjectOptions {
        kind,
        keys: workload.keys,
        read: mix.read,
        write: mix.write.saturating_add(mix.cas),
    };
    Box::new(Objects::new(options, seed))
}
