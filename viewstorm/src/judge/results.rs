//! Puts the results of a run together.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use viewstorm_checker::{
    CheckError, CheckOptions, CheckResult, Validity, Verdict, Violation, check,
};
use viewstorm_history::{History, ReadError, Timestamp};
use viewstorm_report::{
    Bound, FaultRecord, HISTORY_FILE, HarnessLag, Identity, Recovery, Results, SCHEMA_VERSION,
};

use super::faults;
use super::liveness::{core, no_progress};
use super::measures::{Measure, Phase, by_kind, by_phase};
use super::operations::{Operation, operations};
use super::outcome::outcome;
use super::recovery::recovery;
use super::traces::{TraceError, Traces};
use super::vacuity;
use crate::plan::{Plan, PlanErrors, duration_text};
use crate::run_facts::{Ending, FactsError, RunFacts};
use crate::runner::Stages;
use crate::world::BrokenTheorem;

/// Beyond this the harness was so late that figures of the run say more about it than about the replicas.
const LAG_LIMIT: Duration = Duration::from_millis(50);

/// What is known of a run after it was judged.
#[derive(Debug)]
pub struct Judgement {
    /// What it came to.
    pub results: Results,
    /// What happened, with what the traces add to it.
    pub history: History,
}

/// Why a run cannot be judged.
#[derive(Debug, thiserror::Error)]
pub enum JudgeError {
    /// Its plan is none.
    #[error("{0}")]
    Plan(#[from] PlanErrors),
    /// Its facts are missing or wrong.
    #[error(transparent)]
    Facts(#[from] FactsError),
    /// Its history cannot be opened.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its history is wrong.
    #[error("{path}: {source}")]
    History {
        /// The file.
        path: PathBuf,
        /// Which line, and what is wrong with it.
        source: ReadError,
    },
    /// A trace is wrong.
    #[error(transparent)]
    Trace(#[from] TraceError),
    /// The checker was asked for what it does not have.
    #[error(transparent)]
    Check(#[from] CheckError),
}

/// Judges the run in `directory` from its files.
pub fn judge(directory: &Path) -> Result<Judgement, JudgeError> {
    let plan = Plan::load(directory.join(crate::run_folder::PLAN_FILE))?;
    let facts = RunFacts::read(directory)?;
    let path = directory.join(HISTORY_FILE);
    let history = match File::open(&path) {
        Ok(file) => History::read(BufReader::new(file))
            .map_err(|source| JudgeError::History { path, source })?,
        Err(source) => return Err(JudgeError::Io { path, source }),
    };
    let traces = Traces::read(directory, &history)?;
    Ok(judge_run(&plan, &facts, history, traces)?)
}

/// Judges a run that is in memory.
pub fn judge_run(
    plan: &Plan,
    facts: &RunFacts,
    mut history: History,
    traces: Traces,
) -> Result<Judgement, CheckError> {
    traces.fill_orders(&mut history);
    let options = CheckOptions {
        checks: plan.check.checks.clone(),
        ..CheckOptions::default()
    };
    let verdict = check(&history, &options)?;
    let run = Run {
        plan,
        facts,
        history: &history,
        traces,
    };
    let results = run.results(verdict);
    Ok(Judgement { results, history })
}

/// A run, read.
struct Run<'a> {
    plan: &'a Plan,
    facts: &'a RunFacts,
    history: &'a History,
    traces: Traces,
}

impl Run<'_> {
    fn results(self, mut verdict: Verdict) -> Results {
        let stages = self.stages();
        let operations = operations(self.history);
        let faults = faults::ledger(self.history);
        let measured = self.measured(&operations, stages);
        let measure = Measure::of(measured.iter().copied());
        let warm = stages.load + self.plan.run.warmup;
        let load_end = stages.drain;
        let healed = faults::last_heal(&faults, stages.heal);
        let recovery = recovery(&operations, &faults, healed, (stages.load, load_end));
        let phases = by_phase(&operations, &self.phases(stages, &faults));
        if let Some(ending) = &self.facts.ending {
            add_replica_exits(&mut verdict, ending);
            add_theorems(&mut verdict, ending);
            if self.plan.liveness_is_judged() && ending.interrupted.is_none() {
                let violation = no_progress(&operations, ending, self.plan.run.quiesce);
                let judged = operations
                    .iter()
                    .filter(|one| one.due >= stages.healed)
                    .count();
                let violations = violation.into_iter().collect();
                let whose = core(ending).unwrap_or_else(|| "all replicas".to_owned());
                let algorithm = format!("progress of {whose} after the heal");
                add_check(
                    &mut verdict,
                    "liveness",
                    (&algorithm, judged as u64),
                    violations,
                );
            }
        }
        let mut reservations = self.reservations(&faults);
        if self.facts.ending.is_some() {
            let is_silent_at_times = self.plan.workload.pauses.is_some();
            reservations.extend(vacuity::reservations(
                &operations,
                &faults,
                is_silent_at_times,
            ));
        }
        let bounds = self.bounds(&measure, &recovery);
        Results {
            schema_version: SCHEMA_VERSION,
            run: self.identity(),
            outcome: outcome(&verdict, &reservations, &bounds, &self.plan.expect),
            verdict,
            reservations,
            bounds,
            counts: self.counts(&operations),
            throughput_ops_per_s: measure.throughput(load_end.saturating_since(warm)),
            latency: measure.latency(),
            kinds: by_kind(&measured),
            phases,
            fault_totals: faults::totals(&faults),
            faults,
            recovery,
            views: self.traces.views,
            reproduce: self.facts.reproduce.clone(),
            machine: self.facts.machine.clone(),
            harness_lag: self.facts.ending.as_ref().map(harness_lag),
            floors: std::collections::BTreeMap::new(),
        }
    }

    /// The stages; of a run that was cut off, as far as its history shows them.
    fn stages(&self) -> Stages {
        if let Some(ending) = &self.facts.ending {
            return ending.stages;
        }
        let first = self.history.operations.first().map(|event| event.time);
        let last = self.history.operations.last().map(|event| event.time);
        let (first, last) = (first.unwrap_or_default(), last.unwrap_or_default());
        Stages {
            load: first,
            heal: last,
            healed: last,
            drain: last,
            end: last,
        }
    }

    /// The operations that figures are about: due under load, after the warm-up.
    fn measured<'a>(
        &self,
        operations: &'a [Operation<'a>],
        stages: Stages,
    ) -> Vec<&'a Operation<'a>> {
        let warm = stages.load + self.plan.run.warmup;
        let is_measured = |operation: &&Operation<'_>| !operation.is_final && operation.due >= warm;
        operations.iter().filter(is_measured).collect()
    }

    fn counts(&self, operations: &[Operation<'_>]) -> viewstorm_report::Counts {
        let not_started = self
            .facts
            .ending
            .as_ref()
            .map_or(0, |ending| ending.not_started);
        viewstorm_report::Counts {
            not_started,
            ..Measure::of(operations.iter()).counts()
        }
    }

    /// Warm-up, before the faults, during each, after the heal.
    fn phases(&self, stages: Stages, faults: &[FaultRecord]) -> Vec<Phase> {
        let phase = |name: &str, from, to| Phase {
            name: name.to_owned(),
            from,
            to,
        };
        let warm = stages.load + self.plan.run.warmup;
        let windows = faults::windows(faults, stages.drain);
        let first = windows
            .iter()
            .map(|window| window.from)
            .min()
            .unwrap_or(stages.drain);
        let last = windows.iter().map(|window| window.to).max();
        let mut phases = Vec::new();
        if warm > stages.load {
            phases.push(phase("warm-up", stages.load, warm));
        }
        phases.push(phase("before faults", warm, first.max(warm)));
        phases.extend(windows);
        if let Some(last) = last {
            phases.push(phase("after heal", last, stages.drain.max(last)));
        }
        phases
    }

    fn identity(&self) -> Identity {
        let (plan, history) = (self.plan, self.history);
        let end = history.end.as_ref().map(|end| end.time);
        let last = history.operations.last().map(|event| event.time);
        let seed = history
            .header
            .as_ref()
            .map(|header| header.seed)
            .or(plan.run.seed);
        Identity {
            experiment: plan.name.clone(),
            description: Some(plan.description.clone()).filter(|text| !text.is_empty()),
            seed: seed.unwrap_or(viewstorm_history::Seed(0)),
            world: plan.world.kind.to_string(),
            protocol: plan.cluster.protocol.to_string(),
            replicas: u32::from(plan.cluster.replicas),
            clients: plan.workload.clients,
            version: self.facts.version.clone(),
            commit: Some(self.facts.commit.clone()),
            started: self.facts.started.clone(),
            duration_ns: end.or(last).unwrap_or_default().as_nanos(),
        }
    }

    /// Why the run would not count as valid even if every check holds.
    fn reservations(&self, faults: &[FaultRecord]) -> Vec<String> {
        let mut reservations = Vec::new();
        if !self.history.is_complete() {
            reservations.push("the history breaks off: the run was cut short".to_owned());
        }
        let end = self.history.end.as_ref();
        if let Some(reason) = end.and_then(|end| end.interrupted.as_ref()) {
            reservations.push(format!("the run was cut short: {reason}"));
        }
        reservations.extend(faults.iter().filter_map(faults::reservation));
        let ending = self.facts.ending.as_ref();
        reservations.extend(
            ending
                .into_iter()
                .flat_map(|ending| ending.anomalies.iter().cloned()),
        );
        reservations
    }

    fn bounds(&self, measure: &Measure, recovery: &Recovery) -> Vec<Bound> {
        let judged = self.plan.bounds_are_judged();
        let limits = self.plan.check.bounds;
        let mut bounds = Vec::new();
        let mut bound = |name: &str, limit: String, measured: Option<String>, met: bool| {
            bounds.push(Bound {
                name: name.to_owned(),
                limit,
                measured,
                met,
                judged,
            });
        };
        if let Some(limit) = limits.availability {
            let counts = measure.counts();
            let share = (counts.invoked > 0).then(|| counts.ok as f64 / counts.invoked as f64);
            let met = share.is_some_and(|share| share >= limit);
            bound(
                "availability",
                limit.to_string(),
                share.map(|share| format!("{share:.4}")),
                met,
            );
        }
        if let Some(limit) = limits.recovery {
            let measured = recovery.after_final_heal_ns.map(Duration::from_nanos);
            let met = measured.is_some_and(|measured| measured <= limit);
            bound(
                "recovery",
                duration_text(limit),
                measured.map(|time| format!("{time:.1?}")),
                met,
            );
        }
        if let Some(limit) = limits.latency_p99 {
            let latency = measure.latency();
            let measured = Duration::from_secs_f64(latency.p99_us / 1e6);
            let text = (latency.count > 0).then(|| format!("{measured:.1?}"));
            bound(
                "latency p99",
                duration_text(limit),
                text,
                latency.count > 0 && measured <= limit,
            );
        }
        bounds
    }
}

/// Replicas end by the nemesis' hand alone: one that ends by itself has found a bug of its own.
fn add_replica_exits(verdict: &mut Verdict, ending: &Ending) {
    let violation = |exit: &String| Violation {
        class: "unexpected-exit".to_owned(),
        key: None,
        summary: exit.clone(),
        explanation: format!(
            "{exit}\nNo fault of the schedule ended this process. Its log in replicas/ says why."
        ),
        operations: Vec::new(),
        window: (Timestamp::ZERO, ending.stages.end),
    };
    let violations: Vec<_> = ending.unexpected_exits.iter().map(violation).collect();
    add_check(verdict, "replica-exits", ("wait-status", 1), violations);
}

/// The theorems that the world checked after every event.
fn add_theorems(verdict: &mut Verdict, ending: &Ending) {
    if ending.theorems.is_empty() {
        return;
    }
    let violation = |broken: &BrokenTheorem| Violation {
        class: broken.theorem.clone(),
        key: None,
        summary: broken.evidence.clone(),
        explanation: broken.evidence.clone(),
        operations: Vec::new(),
        window: (broken.time, broken.time),
    };
    let violations = ending.broken.iter().map(violation).collect();
    add_check(
        verdict,
        "invariants",
        ("after-every-event", ending.events),
        violations,
    );
}

fn add_check(
    verdict: &mut Verdict,
    name: &str,
    (algorithm, judged): (&str, u64),
    violations: Vec<Violation>,
) {
    let validity = if violations.is_empty() {
        Validity::Valid
    } else {
        Validity::Invalid
    };
    verdict.validity = verdict.validity.max(validity);
    verdict.checks.push(CheckResult {
        check: name.to_owned(),
        validity,
        algorithms: vec![algorithm.to_owned()],
        judged,
        reason: None,
        violations,
    });
}

fn harness_lag(ending: &Ending) -> HarnessLag {
    let microseconds = |nanos: u64| nanos as f64 / 1e3;
    let limit = u64::try_from(LAG_LIMIT.as_nanos()).unwrap_or(u64::MAX);
    HarnessLag {
        p99_us: microseconds(ending.lag.p99_ns),
        max_us: microseconds(ending.lag.max_ns),
        limit_us: Some(microseconds(limit)),
        fell_behind: ending.lag.max_ns > limit,
    }
}
