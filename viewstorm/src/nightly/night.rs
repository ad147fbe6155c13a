//! The night itself: old failing seeds first, then what must fail, then the experiments in turn until the time is
//! up. Its state is on disk after every unit.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use viewstorm_report::{
    Canary, CorpusOutcome, CorpusSeed, NIGHT_SCHEMA_VERSION, Night, NightError, NightExperiment,
    TREND_FILE, Trouble, read_night, write_night, write_night_reports,
};

use super::child::{self, Ended};
use super::corpus;
use super::disk;
use super::plan::NightPlan;
use super::units::{self, HARNESS};
use crate::mutants::{PatchError, TreeError};
use crate::plan::PlanErrors;
use crate::run_facts::RunFacts;
use crate::runner::Interrupt;

/// How long a unit may take beyond what it is expected to.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// How many troubles are kept; a harness that is this broken is known to be.
const TROUBLES_MAX: usize = 100;

/// How a night is asked for.
#[derive(Clone, Debug)]
pub struct NightOptions {
    /// The run's id: the same one goes on with the same night.
    pub id: String,
    /// Where the folders of nights go.
    pub out: PathBuf,
    /// Instead of the plan's budget.
    pub budget: Option<Duration>,
    /// The binary whose verbs the units are.
    pub binary: PathBuf,
}

/// Why a night could not go on.
#[derive(Debug, thiserror::Error)]
pub enum NightlyError {
    /// A plan of an experiment or canary.
    #[error("{0}")]
    Plan(PlanErrors),
    /// A canary that is expected to hold.
    #[error(
        "{plan}: is a canary without a `mutant`, and expects no violation: nothing in it must fail"
    )]
    NoCanary {
        /// Its plan.
        plan: PathBuf,
    },
    /// The night's own files.
    #[error(transparent)]
    Night(#[from] NightError),
    /// A file or folder.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The mutants.
    #[error(transparent)]
    Patch(#[from] PatchError),
    /// The copy of the tree for the mutants.
    #[error(transparent)]
    Tree(#[from] TreeError),
    /// An earlier part of the night was of another plan or build.
    #[error("{path}: {problem}: give another --id")]
    Other {
        /// The folder.
        path: PathBuf,
        /// What differs.
        problem: String,
    },
}

/// A night under way.
pub struct Nightly<'a> {
    pub(super) plan: &'a NightPlan,
    pub(super) options: NightOptions,
    pub(super) folder: PathBuf,
    pub(super) night: Night,
    pub(super) interrupt: &'a dyn Interrupt,
    /// What came before in this night, and since when it goes on.
    spent_before: f64,
    since: Instant,
}

/// Whom a night tells how it goes: what is done now, and the night so far.
pub type Watch<'w> = &'w mut dyn FnMut(&str, &Night);

impl<'a> Nightly<'a> {
    /// Begins a night, or goes on with one of the same id.
    pub fn open(
        plan: &'a NightPlan,
        options: NightOptions,
        interrupt: &'a dyn Interrupt,
    ) -> Result<Self, NightlyError> {
        super::experiments::check_plans(plan)?;
        let folder = options.out.join(&plan.name).join(&options.id);
        std::fs::create_dir_all(&folder).map_err(io_error(&folder))?;
        let fresh = fresh(plan, &options);
        let night = match read_night(&folder)? {
            None => fresh,
            Some(night) => resumed(night, fresh, &folder)?,
        };
        Ok(Self {
            plan,
            options,
            folder,
            spent_before: night.spent_s,
            night,
            interrupt,
            since: Instant::now(),
        })
    }

    /// Runs the night to its end, or to an interrupt: the same command then goes on with it.
    pub fn run(mut self, watch: Watch<'_>) -> Result<(Night, PathBuf), NightlyError> {
        self.old_seeds(watch)?;
        self.canaries(watch)?;
        self.experiments(watch)?;
        if self.interrupt.interrupted().is_none() {
            self.night.ended = Some(RunFacts::now());
        }
        self.keep()?;
        let home = self.options.out.join(&self.plan.name);
        write_night_reports(&self.folder, &self.night, &home.join(TREND_FILE))?;
        disk::keep_within(&home, &self.folder, self.plan.disk_budget_mib << 20)
            .map_err(io_error(&home))?;
        Ok((self.night, self.folder))
    }

    /// Old failing seeds, each with the plan it had.
    fn old_seeds(&mut self, watch: Watch<'_>) -> Result<(), NightlyError> {
        let home = self.corpus();
        if self.night.corpus.is_empty() {
            let all = corpus::read(&home).map_err(io_error(&home))?;
            self.night.corpus = all.into_iter().map(not_run).collect();
        }
        let share = self.budget().mul_f64(self.plan.corpus_share);
        for index in 0..self.night.corpus.len() {
            if self.night.corpus[index].outcome != CorpusOutcome::NotRun {
                continue;
            }
            if self.is_over(share) {
                break;
            }
            let plan = PathBuf::from(&self.night.corpus[index].plan);
            watch(&format!("old seed {}", plan.display()), &self.night);
            let command = units::run(&self.options.binary, &plan, None, &[], None, &self.work());
            let limit = super::experiments::length(&plan).unwrap_or_default() + PATIENCE;
            let outcome = match self.unit(command, limit)? {
                Some((0, _)) => CorpusOutcome::Holds,
                Some((1, _)) => CorpusOutcome::Fails,
                Some(_) => CorpusOutcome::Unknown,
                None => continue,
            };
            self.night.corpus[index].outcome = outcome;
            self.keep()?;
        }
        Ok(())
    }

    /// Runs a unit. None if the night was interrupted or the harness got it wrong, which is then on record.
    pub(super) fn unit(
        &mut self,
        mut command: Command,
        limit: Duration,
    ) -> Result<Option<(i32, Vec<u8>)>, NightlyError> {
        let work = self.work();
        let ended = child::run(&mut command, limit, &work, self.interrupt);
        match ended.map_err(io_error(&work))? {
            Ended::Exited {
                code: Some(code),
                stdout,
                ..
            } if code != HARNESS => Ok(Some((code, stdout))),
            Ended::Exited { code, stderr, .. } => {
                let code = code.map_or("a signal".to_owned(), |code| format!("exit code {code}"));
                self.trouble(&command, &format!("ended with {code}"), &stderr)?;
                Ok(None)
            }
            Ended::Stalled(evidence) => {
                let problem = format!("did not end within {} s", limit.as_secs());
                self.trouble(&command, &problem, &evidence)?;
                Ok(None)
            }
            Ended::Interrupted => Ok(None),
        }
    }

    /// Puts on record what the harness got wrong, with the evidence in a file.
    pub(super) fn trouble(
        &mut self,
        command: &Command,
        problem: &str,
        evidence: &str,
    ) -> Result<(), NightlyError> {
        if self.night.troubles.len() >= TROUBLES_MAX {
            return Ok(());
        }
        let name = format!("evidence/trouble-{}.txt", self.night.troubles.len());
        let path = self.folder.join(&name);
        let home = self.folder.join("evidence");
        std::fs::create_dir_all(&home).map_err(io_error(&home))?;
        std::fs::write(&path, evidence).map_err(io_error(&path))?;
        let first_line = evidence.lines().next().unwrap_or_default();
        self.night.troubles.push(Trouble {
            command: units::typed(command),
            problem: format!("{problem}: {first_line}"),
            evidence: Some(name),
        });
        self.keep()
    }

    /// Writes down how far the night is.
    pub(super) fn keep(&mut self) -> Result<(), NightlyError> {
        self.night.spent_s = self.spent().as_secs_f64();
        Ok(write_night(&self.folder, &self.night)?)
    }

    /// Whether the night is to end, or its first part of this length is over.
    pub(super) fn is_over(&self, part: Duration) -> bool {
        self.interrupt.interrupted().is_some() || self.spent() >= part
    }

    pub(super) fn spent(&self) -> Duration {
        Duration::from_secs_f64(self.spent_before.max(0.0)) + self.since.elapsed()
    }

    pub(super) fn budget(&self) -> Duration {
        self.options.budget.unwrap_or(self.plan.budget)
    }

    /// Where runs go that are not kept.
    pub(super) fn work(&self) -> PathBuf {
        self.folder.join("work")
    }

    /// Where old failing seeds are, for all nights of the plan.
    pub(super) fn corpus(&self) -> PathBuf {
        let default = || self.options.out.join(&self.plan.name).join("corpus");
        self.plan.corpus.clone().unwrap_or_else(default)
    }
}

fn fresh(plan: &NightPlan, options: &NightOptions) -> Night {
    let facts = RunFacts::begin(Vec::new());
    let experiment = |experiment: &super::plan::NightlyExperiment| NightExperiment {
        name: experiment.name(),
        plan: experiment.plan.display().to_string(),
        world: experiment.world.to_string(),
        first_seed: experiment.first_seed(&options.id),
        seeds_max: experiment.seeds,
        ..NightExperiment::default()
    };
    let canary = |canary: &super::plan::NightlyCanary| Canary {
        name: canary.name(),
        plan: canary.plan.display().to_string(),
        seeds_max: canary.seeds,
        ..Canary::default()
    };
    Night {
        schema_version: NIGHT_SCHEMA_VERSION,
        id: options.id.clone(),
        name: plan.name.clone(),
        started: facts.started,
        ended: None,
        version: facts.version,
        commit: facts.commit,
        machine: facts.machine,
        budget_s: options.budget.unwrap_or(plan.budget).as_secs_f64(),
        spent_s: 0.0,
        experiments: plan.experiments.iter().map(experiment).collect(),
        canaries: plan.canaries.iter().map(canary).collect(),
        corpus: Vec::new(),
        findings: Vec::new(),
        troubles: Vec::new(),
    }
}

/// A night that was cut off, or has time again because its budget is larger now.
fn resumed(mut night: Night, fresh: Night, folder: &Path) -> Result<Night, NightlyError> {
    let other = |problem: &str| NightlyError::Other {
        path: folder.to_owned(),
        problem: problem.to_owned(),
    };
    if night.commit != fresh.commit {
        return Err(other("the first part of this night ran another commit"));
    }
    let experiments = |night: &Night| -> Vec<_> {
        let all = night.experiments.iter();
        all.map(|e| (e.name.clone(), e.plan.clone(), e.first_seed))
            .collect()
    };
    let canaries = |night: &Night| -> Vec<_> {
        let all = night.canaries.iter();
        all.map(|c| (c.name.clone(), c.plan.clone())).collect()
    };
    if experiments(&night) != experiments(&fresh) || canaries(&night) != canaries(&fresh) {
        return Err(other(
            "the plan has changed since the first part of this night",
        ));
    }
    night.ended = None;
    night.budget_s = fresh.budget_s;
    for (old, new) in night.experiments.iter_mut().zip(&fresh.experiments) {
        old.seeds_max = new.seeds_max;
    }
    Ok(night)
}

fn not_run(old: corpus::Old) -> CorpusSeed {
    CorpusSeed {
        signature: old.signature,
        plan: old.plan.display().to_string(),
        outcome: CorpusOutcome::NotRun,
    }
}

/// An error at a path.
pub(super) fn io_error(path: &Path) -> impl Fn(std::io::Error) -> NightlyError + use<> {
    let path = path.to_owned();
    move |source| NightlyError::Io {
        path: path.clone(),
        source,
    }
}
