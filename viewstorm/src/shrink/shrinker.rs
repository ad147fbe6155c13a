//! The search for a smaller plan that breaks the same property.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use viewstorm_checker::Validity;
use viewstorm_history::Seed;
use viewstorm_report::Results;

use crate::plan::{Plan, WorldKind};
use crate::run_facts::RunFacts;
use crate::simulate::{SeedError, run_seed};

/// As many faults as one can think about at a time. While more are left, harder is tried.
const FEW: usize = 6;
/// How much harder each time, and how much at most.
const HARDER: u64 = 4;
const HARDEST: u64 = 16;

/// How hard it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShrinkOptions {
    /// How many seeds a smaller plan gets to fail with: a change of the plan changes the interleaving, so one
    /// seed alone would keep what does not matter.
    pub seeds: u64,
    /// How many runs it may take in all.
    pub runs_max: u64,
}

impl Default for ShrinkOptions {
    fn default() -> Self {
        Self {
            seeds: 16,
            runs_max: 5_000,
        }
    }
}

/// Why nothing was shrunk.
#[derive(Debug, thiserror::Error)]
pub enum ShrinkError {
    /// A simulated run failed as a run.
    #[error(transparent)]
    Seed(#[from] SeedError),
    /// It does not fail.
    #[error(
        "the plan does not fail in the simulator with any of {seeds} seeds: there is nothing to shrink"
    )]
    DoesNotFail {
        /// How many were tried.
        seeds: u64,
    },
}

/// A plan that fails and is as small as it could be made.
#[derive(Clone, Debug)]
pub struct Shrunk {
    /// The plan, with the seed that it fails with.
    pub plan: Plan,
    /// What its run came to.
    pub results: Results,
    /// How many faults there were.
    pub faults_before: usize,
    /// How many runs it took.
    pub runs: u64,
    /// Which property it breaks, as the original did.
    pub property: String,
}

/// What shrinking came to, in numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ShrunkSchedule {
    /// How many faults there were.
    pub from: u64,
    /// How many are left.
    pub to: u64,
    /// How many runs it took.
    pub runs: u64,
    /// How long it took.
    pub seconds: f64,
    /// Which property it breaks.
    pub property: String,
    /// The command that runs what is left.
    pub replay: String,
}

/// Told of every smaller plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many faults are left.
    pub faults: usize,
    /// How many runs it took so far.
    pub runs: u64,
}

/// Shrinks one plan.
pub struct Shrinker<'a> {
    options: ShrinkOptions,
    facts: RunFacts,
    /// The checks that the plan breaks: a smaller one must break one of them.
    property: BTreeSet<String>,
    pub(super) best: Plan,
    results: Results,
    runs: u64,
    /// How many times as many seeds as usual a smaller plan gets.
    effort: u64,
    watch: &'a mut dyn FnMut(Step),
}

impl fmt::Debug for Shrinker<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shrinker")
            .field("best", &self.best)
            .field("runs", &self.runs)
            .finish_non_exhaustive()
    }
}

impl<'a> Shrinker<'a> {
    /// A shrinker for `plan`, which is resolved and fails with `seed` in the simulator. With `property` it is
    /// that one which must break.
    pub fn new(
        plan: &Plan,
        seed: Seed,
        property: Option<&str>,
        options: ShrinkOptions,
        watch: &'a mut dyn FnMut(Step),
    ) -> Result<Self, ShrinkError> {
        let mut plan = plan.resolved(seed);
        plan.world.kind = WorldKind::Simulated;
        let facts = RunFacts::begin(Vec::new());
        for attempt in 0..options.seeds {
            let seed = attempt_seed(seed, attempt);
            let run = run_seed(&plan, seed, &facts)?;
            let mut broken = broken(&run.results);
            if let Some(property) = property {
                broken.retain(|check| check == property);
            }
            if broken.is_empty() {
                continue;
            }
            plan.run.seed = Some(seed);
            let results = run.results;
            let runs = attempt + 1;
            return Ok(Self {
                options,
                facts,
                property: broken,
                best: plan,
                results,
                runs,
                effort: 1,
                watch,
            });
        }
        Err(ShrinkError::DoesNotFail {
            seeds: options.seeds,
        })
    }

    /// Makes the plan as small as it can.
    pub fn shrink(mut self) -> Result<Shrunk, ShrinkError> {
        let faults_before = self.best.nemesis.settled.len();
        // Each pass may open the door for another; a round that changes nothing is the last.
        loop {
            let before = self.best.clone();
            self.cut_the_end()?;
            self.drop_faults()?;
            self.lower_magnitudes()?;
            self.lessen_load()?;
            if self.runs >= self.options.runs_max {
                break;
            }
            // A bug that shows seldom keeps faults that do not matter: they only happened to be there.
            let is_many = self.best.nemesis.settled.len() > FEW;
            match self.best == before {
                true if is_many && self.effort < HARDEST => self.effort *= HARDER,
                true => break,
                false => self.effort = 1,
            }
        }
        let broken = broken(&self.results);
        let property = broken.intersection(&self.property).next();
        Ok(Shrunk {
            property: property.cloned().unwrap_or_default(),
            plan: self.best,
            results: self.results,
            faults_before,
            runs: self.runs,
        })
    }

    /// Takes a smaller plan if it still breaks the property. False if it does not, or if the runs are used up.
    pub(super) fn try_plan(&mut self, mut plan: Plan) -> Result<bool, ShrinkError> {
        let first = self.best.run.seed.unwrap_or(Seed(0));
        for attempt in 0..self.options.seeds.saturating_mul(self.effort) {
            if self.runs >= self.options.runs_max {
                return Ok(false);
            }
            let seed = attempt_seed(first, attempt);
            self.runs += 1;
            // A plan that is no plan any more (no replica left to target, say) is not smaller but wrong.
            let Ok(run) = run_seed(&plan, seed, &self.facts) else {
                return Ok(false);
            };
            if broken(&run.results).is_disjoint(&self.property) {
                continue;
            }
            plan.run.seed = Some(seed);
            self.best = plan;
            self.results = run.results;
            (self.watch)(Step {
                faults: self.best.nemesis.settled.len(),
                runs: self.runs,
            });
            return Ok(true);
        }
        Ok(false)
    }

    /// When the property was certainly broken, from the start of the load.
    pub(super) fn broken_at(&self) -> Option<Duration> {
        let checks = self.results.verdict.checks.iter();
        let checks = checks.filter(|check| self.property.contains(&check.check));
        let violations = checks.flat_map(|check| &check.violations);
        let at = violations.map(|violation| violation.window.1).min()?;
        let load = self.results.phases.first().map(|phase| phase.from_ns)?;
        Some(at.saturating_since(load))
    }
}

/// The checks that do not hold.
fn broken(results: &Results) -> BTreeSet<String> {
    let checks = results.verdict.checks.iter();
    let broken = checks.filter(|check| check.validity == Validity::Invalid);
    broken.map(|check| check.check.clone()).collect()
}

/// The seed of the `attempt`th try: the first is the one that failed before.
fn attempt_seed(seed: Seed, attempt: u64) -> Seed {
    match attempt {
        0 => seed,
        attempt => Seed(seed.stream(&format!("shrink {attempt}")).0 % 1_000_000_000),
    }
}
