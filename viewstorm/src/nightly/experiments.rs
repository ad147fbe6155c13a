//! The experiments of a night, in turn: each gets its part of the time, and every failure is put on record.

use std::path::Path;
use std::time::Duration;

use viewstorm_checker::Validity;
use viewstorm_report::{Figures, NightExperiment, Results};

use super::findings::Failed;
use super::night::{Nightly, NightlyError, PATIENCE, Watch};
use super::plan::{NightPlan, NightlyExperiment, NightlyWorld};
use super::units::{self, HARNESS, Slice};
use crate::plan::{Override, Plan, PlanErrors};

/// About as long a slice of simulated seeds takes.
const SLICE: Duration = Duration::from_secs(15);
/// How many seeds the first slice has, when nobody knows how long they take.
const FIRST_SLICE: u64 = 20;
/// The most seeds of a slice.
const SLICE_MAX: u64 = 10_000;
/// How much longer than expected a slice may take.
const SLICE_SLACK: u32 = 20;
/// How many runs' figures an experiment keeps.
const FIGURES_MAX: usize = 10_000;

/// Reads every plan of a night, so that a slip in one shows before the night begins.
pub(super) fn check_plans(plan: &NightPlan) -> Result<(), NightlyError> {
    for experiment in &plan.experiments {
        load(experiment).map_err(NightlyError::Plan)?;
    }
    for canary in &plan.canaries {
        let read = Plan::load(&canary.plan).map_err(NightlyError::Plan)?;
        if canary.mutant.is_none() && read.expect.verdict == Validity::Valid {
            return Err(NightlyError::NoCanary {
                plan: canary.plan.clone(),
            });
        }
    }
    Ok(())
}

/// How long one run of a plan goes; none if there is no such plan.
pub(super) fn length(plan: &Path) -> Option<Duration> {
    Plan::load(plan).ok().map(|plan| length_of(&plan))
}

fn length_of(plan: &Plan) -> Duration {
    plan.run.warmup + plan.run.duration + plan.run.quiesce
}

fn load(experiment: &NightlyExperiment) -> Result<Plan, PlanErrors> {
    let world = experiment.world.to_string();
    let mut overrides = vec![Override::flag("world =", "world.kind", &world)];
    for set in &experiment.set {
        overrides.push(Override::set(set)?);
    }
    Plan::load_with(&experiment.plan, &overrides)
}

impl Nightly<'_> {
    /// The experiments in turn, until the time is up or all have had their seeds.
    pub(super) fn experiments(&mut self, watch: Watch<'_>) -> Result<(), NightlyError> {
        while !self.is_over(self.budget()) {
            let Some(index) = self.next_experiment() else {
                return Ok(());
            };
            let experiment = &self.plan.experiments[index];
            watch(&experiment.name(), &self.night);
            let progressed = match experiment.world {
                NightlyWorld::Simulated => self.slice(index, experiment)?,
                NightlyWorld::Processes => self.run_on_processes(index, experiment)?,
            };
            if !progressed && self.interrupt.interrupted().is_none() {
                // The harness got it wrong, which is on record: its seeds are passed over.
                self.tally(index).seeds_max = self.tally(index).seeds;
            }
            self.keep()?;
        }
        Ok(())
    }

    /// The one that is furthest behind its part of the time.
    fn next_experiment(&self) -> Option<usize> {
        let due = |index: &usize| {
            let tally = &self.night.experiments[*index];
            tally.wall_s / self.plan.experiments[*index].weight
        };
        (0..self.plan.experiments.len())
            .filter(|index| {
                let tally = &self.night.experiments[*index];
                tally.seeds < tally.seeds_max
            })
            .min_by(|a, b| due(a).total_cmp(&due(b)))
    }

    /// Some seeds in the simulator. False if nothing came of it.
    fn slice(
        &mut self,
        index: usize,
        experiment: &NightlyExperiment,
    ) -> Result<bool, NightlyError> {
        let tally = &self.night.experiments[index];
        let per_seed = tally.wall_s / tally.seeds.max(1) as f64;
        let left = self.budget().saturating_sub(self.spent()).min(SLICE);
        let wanted = match tally.seeds {
            0 => FIRST_SLICE,
            _ => (left.as_secs_f64() / per_seed.max(1e-6)) as u64,
        };
        let count = wanted
            .clamp(1, SLICE_MAX)
            .min(tally.seeds_max - tally.seeds);
        let first = tally.first_seed + tally.seeds;
        let last = first + count - 1;
        let expected = Duration::from_secs_f64((per_seed * count as f64).min(3600.0));
        let limit = PATIENCE + expected * SLICE_SLACK;
        let (plan, set) = (&experiment.plan, &experiment.set);
        let command = units::simulate(&self.options.binary, plan, set, first, last);
        let shown = units::simulate(&self.options.binary, plan, set, first, last);
        let Some((_, stdout)) = self.unit(command, limit)? else {
            return Ok(false);
        };
        let slice: Slice = match serde_json::from_slice(&stdout) {
            Ok(slice) => slice,
            Err(error) => {
                let said = String::from_utf8_lossy(&stdout).into_owned();
                self.trouble(&shown, &format!("printed no summary: {error}"), &said)?;
                return Ok(false);
            }
        };
        self.tally(index).add(&slice);
        for failure in slice.failures {
            if i32::from(failure.exit) == HARNESS {
                self.trouble(
                    &shown,
                    &format!("seed {}", failure.seed),
                    &failure.reasons.join("\n"),
                )?;
                continue;
            }
            self.found(experiment, Failed::from(failure))?;
        }
        Ok(true)
    }

    /// One seed on real processes. False if nothing came of it.
    fn run_on_processes(
        &mut self,
        index: usize,
        experiment: &NightlyExperiment,
    ) -> Result<bool, NightlyError> {
        let tally = &self.night.experiments[index];
        let seed = viewstorm_history::Seed(tally.first_seed + tally.seeds);
        let length = load(experiment).map_err(NightlyError::Plan)?;
        let limit = length_of(&length) * 2 + PATIENCE;
        let out = self.work().join("processes");
        // A run of the part of this night that was cut off.
        drop(std::fs::remove_dir_all(&out));
        let (plan, set) = (&experiment.plan, &experiment.set);
        let world = Some(experiment.world);
        let command = units::run(&self.options.binary, plan, world, set, Some(seed), &out);
        let overloaded = is_overloaded();
        let started = std::time::Instant::now();
        let Some((_, stdout)) = self.unit(command, limit)? else {
            return Ok(false);
        };
        let results: Results = match serde_json::from_slice(&stdout) {
            Ok(results) => results,
            Err(error) => {
                let shown = units::run(&self.options.binary, plan, world, set, Some(seed), &out);
                let said = String::from_utf8_lossy(&stdout).into_owned();
                self.trouble(&shown, &format!("printed no results: {error}"), &said)?;
                return Ok(false);
            }
        };
        let failed = self
            .tally(index)
            .add_run(&results, started.elapsed(), overloaded);
        if let Some(mut failed) = failed {
            failed.run = units::only_run(&out);
            self.found(experiment, failed)?;
        }
        drop(std::fs::remove_dir_all(&out));
        Ok(true)
    }

    fn tally(&mut self, index: usize) -> &mut NightExperiment {
        &mut self.night.experiments[index]
    }
}

/// Whether the machine has more to do than it has processors, before a run adds its own.
fn is_overloaded() -> bool {
    let cores = std::thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64);
    let load = std::fs::read_to_string("/proc/loadavg").ok();
    let load = load.and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    load.is_some_and(|load| load > 1.5 * cores)
}

/// What a unit adds to an experiment's account.
trait Account {
    fn add(&mut self, slice: &Slice);
    fn add_run(&mut self, results: &Results, took: Duration, overloaded: bool) -> Option<Failed>;
}

impl Account for NightExperiment {
    fn add(&mut self, slice: &Slice) {
        self.seeds += slice.seeds;
        self.as_expected += slice.as_expected;
        let unknown = slice.unknown();
        self.unknown += unknown;
        self.invalid += slice.failed.saturating_sub(unknown);
        self.operations += slice.operations;
        self.events += slice.events;
        self.virtual_s += slice.virtual_seconds;
        self.wall_s += slice.wall_seconds;
    }

    fn add_run(&mut self, results: &Results, took: Duration, overloaded: bool) -> Option<Failed> {
        self.seeds += 1;
        self.wall_s += took.as_secs_f64();
        self.operations += results.counts.ok;
        let lag = results.harness_lag.as_ref();
        if self.figures.len() < FIGURES_MAX {
            self.figures.push(Figures {
                throughput_ops_per_s: results.throughput_ops_per_s,
                latency_us_p50: results.latency.p50_us,
                latency_us_p99: results.latency.p99_us,
                flagged: overloaded || lag.is_some_and(|lag| lag.fell_behind),
            });
        }
        match (results.outcome.exit.code, results.outcome.validity) {
            (0, _) => {
                self.as_expected += 1;
                return None;
            }
            (_, Validity::Unknown) => self.unknown += 1,
            (_, Validity::Valid | Validity::Invalid) => self.invalid += 1,
        }
        Some(Failed::from(results))
    }
}
