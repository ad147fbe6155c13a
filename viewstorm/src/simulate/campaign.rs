//! A range of seeds over all cores. Memory does not grow with the number of seeds.

use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde::Serialize;
use viewstorm_checker::Validity;
use viewstorm_history::Seed;

use super::seed::{SeedError, run_seed};
use crate::plan::Plan;
use crate::run_facts::RunFacts;

/// How many failures are kept; beyond, they are counted alone.
const FAILURES_MAX: usize = 100;

/// How a campaign goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignOptions {
    /// Which seeds, both ends included.
    pub seeds: RangeInclusive<u64>,
    /// How many at a time.
    pub jobs: usize,
    /// When no further seed is begun.
    pub until: Until,
    /// Whether each seed runs twice, and must be the same run both times.
    pub twice: bool,
}

/// When a campaign begins no further seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// When all have run.
    TheEnd,
    /// Once a seed has not come as expected.
    Failed,
    /// Once a seed was judged invalid.
    Invalid,
}

/// A seed that did not come as expected.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Failure {
    /// Which.
    pub seed: Seed,
    /// The verdict.
    pub validity: Validity,
    /// The exit code that it would have had alone.
    pub exit: u8,
    /// What was wrong, the first thing first.
    pub reasons: Vec<String>,
    /// The names of the checks that did not hold.
    pub checks: Vec<String>,
    /// How many faults its schedule has.
    pub faults: u64,
}

/// What a campaign came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many seeds ran.
    pub seeds: u64,
    /// How many came as expected.
    pub as_expected: u64,
    /// How many did not.
    pub failed: u64,
    /// How many of those were judged invalid.
    pub invalid: u64,
    /// The first of those that did not: invalid ones before others, then by seed.
    pub failures: Vec<Failure>,
    /// The worst exit code of all, in the order of DESIGN: 4, 3, 1, 2, 0.
    pub exits: Vec<u8>,
    /// Simulated time.
    pub virtual_seconds: f64,
    /// Steps of cores.
    pub events: u64,
    /// Operations that clients saw completed.
    pub operations: u64,
    /// How long it took.
    pub wall_seconds: f64,
}

/// What one seed adds to the summary.
#[derive(Debug)]
struct SeedReport {
    exit: u8,
    failure: Option<Failure>,
    virtual_time: Duration,
    events: u64,
    operations: u64,
}

/// Runs a range of seeds of one plan.
#[derive(Debug)]
pub struct Campaign<'a> {
    plan: &'a Plan,
    options: CampaignOptions,
    facts: RunFacts,
}

impl<'a> Campaign<'a> {
    /// A campaign over `plan`, which is taken to run in the simulator.
    pub fn new(plan: &'a Plan, options: CampaignOptions) -> Self {
        Self {
            plan,
            options,
            facts: RunFacts::begin(Vec::new()),
        }
    }

    /// Runs the seeds. `watch` is told after each how many are done, and ends the campaign by false.
    pub fn run(&self, mut watch: impl FnMut(&Summary) -> bool) -> Result<Summary, SeedError> {
        let started = Instant::now();
        let (next, stop) = (
            AtomicU64::new(*self.options.seeds.start()),
            AtomicBool::new(false),
        );
        let last = *self.options.seeds.end();
        let mut summary = Summary::default();
        let mut error = None;
        std::thread::scope(|scope| {
            let (sender, reports) = mpsc::sync_channel(2 * self.options.jobs);
            for _ in 0..self.options.jobs.max(1) {
                let (sender, next, stop) = (sender.clone(), &next, &stop);
                scope.spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        let seed = next.fetch_add(1, Ordering::Relaxed);
                        // The range may end at the last number there is; the counter then wraps.
                        if seed > last || seed < *self.options.seeds.start() {
                            return;
                        }
                        if sender.send(self.run_seed(Seed(seed))).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for report in reports {
                match report {
                    Ok(report) => summary.add(report),
                    Err(first) => error = error.take().or(Some(first)),
                }
                summary.wall_seconds = started.elapsed().as_secs_f64();
                let is_enough = error.is_some() || self.options.until.is_reached(&summary);
                if !watch(&summary) || is_enough {
                    stop.store(true, Ordering::Relaxed);
                }
            }
        });
        match error {
            Some(error) => Err(error),
            None => Ok(summary),
        }
    }

    fn run_seed(&self, seed: Seed) -> Result<SeedReport, SeedError> {
        let run = run_seed(self.plan, seed, &self.facts)?;
        let outcome = &run.results.outcome;
        let mut exit = outcome.exit.code;
        let mut reasons = Vec::new();
        if self.options.twice {
            let again = run_seed(self.plan, seed, &self.facts)?;
            if again.trace_hash != run.trace_hash || again.history != run.history {
                reasons.push("two runs of the seed differ: it does not fix the run".to_owned());
                exit = 4;
            }
        }
        reasons.extend(run.results.reasons());
        let failure = (exit != 0).then(|| Failure {
            seed,
            validity: outcome.validity,
            exit,
            reasons,
            checks: run.results.broken(),
            faults: run.results.fault_totals.planned,
        });
        Ok(SeedReport {
            exit,
            failure,
            virtual_time: run.statistics.virtual_time,
            events: run.statistics.events,
            operations: run.statistics.operations,
        })
    }
}

impl Failure {
    /// What it is shown by: invalid ones first, then by seed.
    fn rank(&self) -> (bool, Seed) {
        (self.validity != Validity::Invalid, self.seed)
    }
}

impl Until {
    fn is_reached(self, summary: &Summary) -> bool {
        match self {
            Self::TheEnd => false,
            Self::Failed => summary.failed > 0,
            Self::Invalid => summary.invalid > 0,
        }
    }
}

impl Summary {
    fn add(&mut self, report: SeedReport) {
        self.seeds += 1;
        self.virtual_seconds += report.virtual_time.as_secs_f64();
        self.events += report.events;
        self.operations += report.operations;
        if !self.exits.contains(&report.exit) {
            self.exits.push(report.exit);
        }
        let Some(failure) = report.failure else {
            self.as_expected += 1;
            return;
        };
        self.failed += 1;
        self.invalid += u64::from(failure.validity == Validity::Invalid);
        // Invalid ones first: the others say less about the replicas.
        let place = self
            .failures
            .partition_point(|other| other.rank() < failure.rank());
        self.failures.insert(place, failure);
        self.failures.truncate(FAILURES_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_does_not_grow_with_the_seeds() {
        let mut summary = Summary::default();
        let seeds = 50 * FAILURES_MAX as u64;
        for seed in (0..seeds).rev() {
            let is_invalid = seed % 100 == 7;
            let failure = Failure {
                seed: Seed(seed),
                validity: match is_invalid {
                    true => Validity::Invalid,
                    false => Validity::Unknown,
                },
                exit: 1,
                reasons: vec!["a reason".to_owned()],
                checks: vec!["invariants".to_owned()],
                faults: 3,
            };
            summary.add(SeedReport {
                exit: 1,
                failure: Some(failure),
                virtual_time: Duration::from_secs(1),
                events: 10,
                operations: 1,
            });
        }
        assert_eq!((summary.seeds, summary.failed), (seeds, seeds));
        assert_eq!(
            (summary.failures.len(), summary.exits.len()),
            (FAILURES_MAX, 1)
        );
        // Of those that are kept the invalid ones come first, by seed.
        let first: Vec<u64> = summary
            .failures
            .iter()
            .take(3)
            .map(|one| one.seed.0)
            .collect();
        assert_eq!((first, summary.invalid), (vec![7, 107, 207], seeds / 100));
    }
}
