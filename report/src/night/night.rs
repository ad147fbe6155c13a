//! What a night came to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use viewstorm_checker::Validity;
use viewstorm_history::Seed;

/// The version of `night.json` that this crate writes, and the only one that it reads.
pub const NIGHT_SCHEMA_VERSION: u32 = 1;

/// A night. Written whole after every step: a night that is cut off goes on from there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Night {
    /// [`NIGHT_SCHEMA_VERSION`] when it was written.
    pub schema_version: u32,
    /// The run's id: all seeds follow from it and the plan.
    pub id: String,
    /// The plan's name.
    pub name: String,
    /// When it began (RFC 3339).
    pub started: String,
    /// When it ended; none while it has not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// The version of viewstorm.
    pub version: String,
    /// The commit it was built from.
    pub commit: String,
    /// Facts about the host.
    #[serde(default)]
    pub machine: BTreeMap<String, String>,
    /// How long it may take, in seconds.
    pub budget_s: f64,
    /// How long it has taken, in seconds, over all its parts.
    pub spent_s: f64,
    /// The experiments, in the order of the plan.
    #[serde(default)]
    pub experiments: Vec<NightExperiment>,
    /// What must fail, in the order of the plan.
    #[serde(default)]
    pub canaries: Vec<Canary>,
    /// Old failing seeds.
    #[serde(default)]
    pub corpus: Vec<CorpusSeed>,
    /// Failures, one for each signature.
    #[serde(default)]
    pub findings: Vec<Finding>,
    /// What the harness itself got wrong: runs that stalled or failed.
    #[serde(default)]
    pub troubles: Vec<Trouble>,
}

/// What came of an experiment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NightExperiment {
    /// Its name in this night.
    pub name: String,
    /// Its plan's file.
    pub plan: String,
    /// `processes` or `simulated`.
    pub world: String,
    /// The first of its seeds; the others follow it.
    pub first_seed: u64,
    /// How many seeds it may have at most.
    pub seeds_max: u64,
    /// How many have run.
    pub seeds: u64,
    /// How many came as expected.
    pub as_expected: u64,
    /// How many were invalid, or did not show the violation they were to show.
    pub invalid: u64,
    /// How many proved nothing.
    pub unknown: u64,
    /// Acknowledged operations.
    pub operations: u64,
    /// Events of cores, where the world counts them.
    pub events: u64,
    /// Simulated seconds.
    pub virtual_s: f64,
    /// How long it took.
    pub wall_s: f64,
    /// Figures of single runs, in their order.
    #[serde(default)]
    pub figures: Vec<Figures>,
}

/// The figures of one run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// Acknowledged operations a second.
    pub throughput_ops_per_s: f64,
    /// Latency.
    pub latency_us_p50: f64,
    /// Latency.
    pub latency_us_p99: f64,
    /// Taken while the machine was overloaded or the harness fell behind: no part of any trend.
    pub flagged: bool,
}

/// Something that must fail.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Canary {
    /// `vr/commit-with-f`, or a plan.
    pub name: String,
    /// The plan that must catch it.
    pub plan: String,
    /// How many seeds it has at most.
    pub seeds_max: u64,
    /// How many it took; none before it has run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seeds: Option<u64>,
    /// Whether it was caught.
    pub caught: bool,
    /// The seed that caught it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<Seed>,
    /// The checks that fired.
    #[serde(default)]
    pub checks: Vec<String>,
}

/// An old failing seed, tried again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CorpusSeed {
    /// What it is kept under.
    pub signature: String,
    /// Its plan, complete.
    pub plan: String,
    /// What came of it.
    pub outcome: CorpusOutcome,
}

/// What came of an old failing seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorpusOutcome {
    /// It has not run yet.
    NotRun,
    /// It fails as it did.
    Fails,
    /// It comes as expected.
    Holds,
    /// It proved nothing.
    Unknown,
}

/// A failure, with all seeds that failed in the same way.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// Experiment, checks and first reason without its numbers.
    pub signature: String,
    /// The experiment.
    pub experiment: String,
    /// `processes` or `simulated`.
    pub world: String,
    /// The first seed that failed so.
    pub seed: Seed,
    /// Its verdict.
    pub validity: Validity,
    /// The checks that did not hold.
    #[serde(default)]
    pub checks: Vec<String>,
    /// What was wrong, the first thing first.
    #[serde(default)]
    pub reasons: Vec<String>,
    /// How many seeds of this night failed so.
    pub count: u64,
    /// Whether it was in the corpus before this night.
    pub known: bool,
    /// The command that shows it again.
    pub replay: String,
    /// Whether a second run of the seed failed in the same way; none before it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replayed: Option<bool>,
    /// The smaller plan.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shrunk: Option<Shrunk>,
    /// The bundle's file, beside `night.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bundle: Option<String>,
}

/// A finding's plan, cut down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shrunk {
    /// The smaller plan's file, inside the bundle.
    pub file: String,
    /// What is left of it, and why.
    pub story: String,
}

/// Something that went wrong in the harness, not in what it tests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trouble {
    /// The command.
    pub command: String,
    /// What went wrong.
    pub problem: String,
    /// The folder in which the evidence is, beside `night.json`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
}

impl Night {
    /// How it ended.
    pub fn validity(&self) -> Validity {
        let invalid = self
            .findings
            .iter()
            .any(|f| f.validity == Validity::Invalid)
            || self.passing_canaries().next().is_some()
            || self.experiments.iter().any(|e| e.invalid > 0)
            || self
                .corpus
                .iter()
                .any(|old| old.outcome == CorpusOutcome::Fails);
        let unknown = !self.troubles.is_empty()
            || self.experiments.iter().any(|e| e.unknown > 0)
            || self.experiments.iter().all(|e| e.seeds == 0)
            || self.ended.is_none();
        match (invalid, unknown) {
            (true, _) => Validity::Invalid,
            (false, true) => Validity::Unknown,
            (false, false) => Validity::Valid,
        }
    }

    /// Canaries that ran and were not caught.
    pub fn passing_canaries(&self) -> impl Iterator<Item = &Canary> {
        self.canaries
            .iter()
            .filter(|canary| canary.seeds.is_some() && !canary.caught)
    }

    /// Findings that were not in the corpus before this night.
    pub fn new_findings(&self) -> impl Iterator<Item = &Finding> {
        self.findings.iter().filter(|finding| !finding.known)
    }

    /// What there is to say first.
    pub fn headline(&self) -> String {
        let seeds: u64 = self.experiments.iter().map(|e| e.seeds).sum();
        let caught = self.canaries.iter().filter(|c| c.caught).count();
        let tried = self.canaries.iter().filter(|c| c.seeds.is_some()).count();
        let mut parts = vec![format!(
            "{seeds} seeds of {} experiments, {} new and {} known failures, {caught} of {tried} canaries caught",
            self.experiments.len(),
            self.new_findings().count(),
            self.findings.len() - self.new_findings().count(),
        )];
        if !self.troubles.is_empty() {
            parts.push(format!(
                "{} runs that the harness got wrong",
                self.troubles.len()
            ));
        }
        parts.join(", ")
    }
}

impl NightExperiment {
    /// The median of a figure over the runs that are not flagged.
    pub fn median(&self, figure: impl Fn(&Figures) -> f64) -> Option<f64> {
        let sound = self.figures.iter().filter(|run| !run.flagged);
        let mut values: Vec<f64> = sound.map(figure).collect();
        values.sort_unstable_by(f64::total_cmp);
        let middle = values.len() / 2;
        match values.len() {
            0 => None,
            length if length % 2 == 1 => Some(values[middle]),
            _ => Some(f64::midpoint(values[middle - 1], values[middle])),
        }
    }

    /// How many runs' figures are flagged.
    pub fn flagged(&self) -> usize {
        self.figures.iter().filter(|run| run.flagged).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn night() -> Night {
        Night {
            schema_version: NIGHT_SCHEMA_VERSION,
            id: "7".to_owned(),
            name: "nightly".to_owned(),
            started: String::new(),
            ended: Some(String::new()),
            version: String::new(),
            commit: String::new(),
            machine: BTreeMap::new(),
            budget_s: 1.0,
            spent_s: 1.0,
            experiments: vec![NightExperiment {
                seeds: 3,
                as_expected: 3,
                ..NightExperiment::default()
            }],
            canaries: vec![Canary {
                seeds: Some(2),
                caught: true,
                ..Canary::default()
            }],
            corpus: Vec::new(),
            findings: Vec::new(),
            troubles: Vec::new(),
        }
    }

    #[test]
    fn a_night_in_which_a_canary_passes_is_a_failed_night() {
        let mut night = night();
        assert_eq!(night.validity(), Validity::Valid);
        night.canaries[0].caught = false;
        assert_eq!(night.validity(), Validity::Invalid);
    }

    #[test]
    fn a_night_that_proves_nothing_is_unknown() {
        let mut cut_off = night();
        cut_off.ended = None;
        assert_eq!(cut_off.validity(), Validity::Unknown);
        let mut empty = night();
        empty.experiments[0].seeds = 0;
        assert_eq!(empty.validity(), Validity::Unknown);
        let mut stalled = night();
        stalled.troubles.push(Trouble {
            command: String::new(),
            problem: String::new(),
            evidence: None,
        });
        assert_eq!(stalled.validity(), Validity::Unknown);
    }

    #[test]
    fn flagged_runs_are_no_part_of_a_median() {
        let run = |value: f64, flagged| Figures {
            throughput_ops_per_s: value,
            flagged,
            ..Figures::default()
        };
        let experiment = NightExperiment {
            figures: vec![run(1.0, false), run(900.0, true), run(3.0, false)],
            ..NightExperiment::default()
        };
        assert_eq!(experiment.median(|f| f.throughput_ops_per_s), Some(2.0));
        assert_eq!(experiment.flagged(), 1);
    }
}
