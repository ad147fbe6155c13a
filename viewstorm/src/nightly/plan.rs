//! The plan of a night, in TOML: what runs, with which weight, and what must fail.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use viewstorm_history::Seed;

/// The plan of a night. Paths count from the folder of its file.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NightPlan {
    /// Its name, which also names the folder of its nights.
    pub name: String,
    /// How long a night takes at most, canaries and old seeds included.
    #[serde(with = "duration")]
    pub budget: Duration,
    /// How much of the budget old failing seeds may take.
    #[serde(default = "corpus_share")]
    pub corpus_share: f64,
    /// The folder of old failing seeds, for all nights; beside the nights otherwise.
    #[serde(default)]
    pub corpus: Option<PathBuf>,
    /// How much of the disk all nights of this plan may take, in MiB; the oldest evidence goes first.
    #[serde(default = "disk_budget")]
    pub disk_budget_mib: u64,
    /// What runs.
    #[serde(default, rename = "experiment")]
    pub experiments: Vec<NightlyExperiment>,
    /// What must fail.
    #[serde(default, rename = "canary")]
    pub canaries: Vec<NightlyCanary>,
}

/// An experiment of a night.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NightlyExperiment {
    /// Its plan.
    pub plan: PathBuf,
    /// What it is called; the plan's file and the world otherwise.
    pub name: Option<String>,
    /// `processes` or `simulated`.
    pub world: NightlyWorld,
    /// Its part of the time, against that of the others.
    #[serde(default = "weight")]
    pub weight: f64,
    /// How many seeds at most.
    #[serde(default = "seeds")]
    pub seeds: u64,
    /// Changes to the plan, as `--set` has them.
    #[serde(default)]
    pub set: Vec<String>,
}

/// Where an experiment runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NightlyWorld {
    /// Real processes.
    Processes,
    /// The simulator.
    Simulated,
}

/// Something that must fail: a planted bug, or a plan that expects a violation.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct NightlyCanary {
    /// A patch under `mutants/`; none for a plan that expects its violation itself.
    pub mutant: Option<String>,
    /// The plan that must catch it.
    pub plan: PathBuf,
    /// Within how many seeds.
    #[serde(default = "canary_seeds")]
    pub seeds: u64,
}

/// Why there is no plan of a night.
#[derive(Debug, thiserror::Error)]
pub enum NightPlanError {
    /// The file.
    #[error("{path}: cannot be read: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// It is not the plan of a night.
    #[error("{path}: {message}")]
    Malformed {
        /// Which.
        path: PathBuf,
        /// What is wrong, with its place.
        message: String,
    },
}

impl NightPlan {
    /// Reads a plan.
    pub fn load(path: &Path) -> Result<Self, NightPlanError> {
        let text = std::fs::read_to_string(path).map_err(|source| NightPlanError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::parse(path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, NightPlanError> {
        let malformed = |message: String| NightPlanError::Malformed {
            path: path.to_owned(),
            message,
        };
        let mut plan: Self = toml::from_str(text).map_err(|error| malformed(error.to_string()))?;
        plan.check().map_err(malformed)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        plan.corpus = plan.corpus.map(|corpus| folder.join(corpus));
        for experiment in &mut plan.experiments {
            experiment.plan = folder.join(&experiment.plan);
        }
        for canary in &mut plan.canaries {
            canary.plan = folder.join(&canary.plan);
        }
        Ok(plan)
    }

    fn check(&self) -> Result<(), String> {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if self.name.is_empty() || !self.name.chars().all(is_word) {
            return Err(format!(
                "name = {:?}: expected lower-case words joined by hyphens",
                self.name
            ));
        }
        if self.experiments.is_empty() {
            return Err("it has no [[experiment]]: a night of nothing proves nothing".to_owned());
        }
        if self.budget.is_zero() {
            return Err("budget is 0: expected a duration such as \"30m\"".to_owned());
        }
        if !(0.0..=1.0).contains(&self.corpus_share) {
            return Err(format!(
                "corpus-share = {}: expected 0 to 1",
                self.corpus_share
            ));
        }
        let names: Vec<String> = self
            .experiments
            .iter()
            .map(NightlyExperiment::name)
            .collect();
        for (index, experiment) in self.experiments.iter().enumerate() {
            if !(experiment.weight.is_finite() && experiment.weight > 0.0) {
                return Err(format!(
                    "{}: weight = {}: expected a number above 0",
                    names[index], experiment.weight
                ));
            }
            if names[..index].contains(&names[index]) {
                return Err(format!(
                    "two experiments are called {:?}: give one of them a `name`",
                    names[index]
                ));
            }
        }
        Ok(())
    }
}

impl NightlyExperiment {
    /// What it is called.
    pub fn name(&self) -> String {
        self.name.clone().unwrap_or_else(|| {
            let stem = self.plan.file_stem().unwrap_or_default().to_string_lossy();
            let folder = self.plan.parent().and_then(Path::file_name);
            match folder {
                Some(folder) => format!("{}/{stem} {}", folder.to_string_lossy(), self.world),
                None => format!("{stem} {}", self.world),
            }
        })
    }

    /// The first of its seeds in the night `id`; the others follow it. Anyone can compute it again.
    pub fn first_seed(&self, id: &str) -> u64 {
        1_000_000_000 + Seed(0).stream(&format!("night {id} {}", self.name())).0 % 8_000_000_000
    }
}

impl NightlyCanary {
    /// What it is called.
    pub fn name(&self) -> String {
        self.mutant
            .clone()
            .unwrap_or_else(|| self.plan.display().to_string())
    }

    /// The first of its seeds in the night `id`.
    pub fn first_seed(&self, id: &str) -> u64 {
        1_000_000_000 + Seed(0).stream(&format!("canary {id} {}", self.name())).0 % 8_000_000_000
    }
}

impl std::fmt::Display for NightlyWorld {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Processes => "processes",
            Self::Simulated => "simulated",
        })
    }
}

fn corpus_share() -> f64 {
    0.2
}

fn disk_budget() -> u64 {
    4096
}

fn weight() -> f64 {
    1.0
}

fn seeds() -> u64 {
    1_000_000
}

fn canary_seeds() -> u64 {
    500
}

mod duration {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, de::Error};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        humantime::parse_duration(&text).map_err(|error| {
            D::Error::custom(format!("{text:?} is no duration such as \"30m\": {error}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<NightPlan, String> {
        NightPlan::parse(Path::new("plans/nightly.toml"), text).map_err(|error| error.to_string())
    }

    const EXPERIMENT: &str = "[[experiment]]\nplan = \"vr/storm.toml\"\nworld = \"simulated\"\n";

    #[test]
    fn paths_count_from_the_folder_of_the_plan() {
        let plan = parse(&format!("name = \"n\"\nbudget = \"30m\"\n{EXPERIMENT}")).unwrap();
        assert_eq!(plan.experiments[0].plan, Path::new("plans/vr/storm.toml"));
        assert_eq!(plan.budget, Duration::from_secs(1800));
        assert_eq!(plan.experiments[0].name(), "vr/storm simulated");
    }

    #[test]
    fn seeds_follow_from_the_id_alone() {
        let plan = parse(&format!("name = \"n\"\nbudget = \"30m\"\n{EXPERIMENT}")).unwrap();
        let first = plan.experiments[0].first_seed("2026-11-25");
        assert_eq!(first, plan.experiments[0].first_seed("2026-11-25"));
        assert_ne!(first, plan.experiments[0].first_seed("2026-11-26"));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("name = \"n\"\nbudget = \"30m\"\n", "no [[experiment]]"),
            ("name = \"N x\"\nbudget = \"30m\"\n", "lower-case words"),
            ("name = \"n\"\nbudget = \"soon\"\n", "is no duration"),
            ("name = \"n\"\nbudgte = \"1m\"\n", "unknown field `budgte`"),
        ];
        for (text, expected) in cases {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{error}");
            assert!(error.starts_with("plans/nightly.toml"), "{error}");
        }
        let twice = format!("name = \"n\"\nbudget = \"30m\"\n{EXPERIMENT}{EXPERIMENT}");
        assert!(parse(&twice).unwrap_err().contains("two experiments"));
    }
}
