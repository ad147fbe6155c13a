//! How many seeds it takes until a planted bug shows.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};
use viewstorm_checker::Validity;

use super::{Patch, TreeError};

/// The campaigns that every mutant and the clean tree go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaigns {
    /// The experiment.
    pub plan: PathBuf,
    /// How many campaigns, each with seeds of its own.
    pub campaigns: u64,
    /// How many seeds a campaign has at most.
    pub seeds: u64,
}

/// What came of a mutant.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Detection {
    /// `vr/commit-with-f`, or `clean`.
    pub mutant: String,
    /// What it is.
    pub title: String,
    /// Where it was seen.
    pub source: String,
    /// One for each campaign; none where the campaign's seeds did not show it.
    pub campaigns: Vec<Option<Found>>,
    /// How many seeds were run in all.
    pub seeds: u64,
    /// The command that shows it; none if nothing did.
    pub replay: Option<String>,
}

/// A bug was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// By the how-manieth seed of its campaign, from 1.
    pub after: u64,
    /// The seed.
    pub seed: u64,
    /// Which checks did not hold.
    pub checks: Vec<String>,
}

/// The part of a campaign's summary that counts here.
#[derive(Debug, Deserialize)]
struct Summary {
    seeds: u64,
    failures: Vec<Failure>,
}

#[derive(Debug, Deserialize)]
struct Failure {
    seed: u64,
    validity: Validity,
    checks: Vec<String>,
}

/// Whom the campaigns judge.
#[derive(Clone, Copy, Debug)]
pub enum Judged<'a> {
    /// A planted bug.
    Mutant(&'a Patch),
    /// The tree as it is.
    Clean,
}

impl Campaigns {
    /// Runs the campaigns with `binary`. `watch` is told after each how many are done.
    pub fn run(
        &self,
        binary: &Path,
        judged: Judged<'_>,
        mut watch: impl FnMut(u64),
    ) -> Result<Detection, TreeError> {
        let (mutant, title, source) = match judged {
            Judged::Mutant(patch) => (patch.name.as_str(), patch.title(), patch.source()),
            Judged::Clean => ("clean", "the tree as it is", ""),
        };
        let mut detection = Detection {
            mutant: mutant.to_owned(),
            title: title.to_owned(),
            source: source.to_owned(),
            campaigns: Vec::new(),
            seeds: 0,
            replay: None,
        };
        for campaign in 0..self.campaigns {
            let first = 1 + campaign * self.seeds;
            let summary = self.campaign(binary, first)?;
            detection.seeds += summary.seeds;
            let is_found = |failure: &Failure| failure.validity == Validity::Invalid;
            let found = summary
                .failures
                .into_iter()
                .find(is_found)
                .map(|failure| Found {
                    after: failure.seed - first + 1,
                    seed: failure.seed,
                    checks: failure.checks,
                });
            if let (None, Some(found)) = (&detection.replay, &found) {
                let plan = self.plan.display();
                let command = format!(
                    "viewstorm run {plan} --world simulated --seed {}",
                    found.seed
                );
                detection.replay = Some(command);
            }
            detection.campaigns.push(found);
            watch(campaign + 1);
        }
        Ok(detection)
    }

    fn campaign(&self, binary: &Path, first: u64) -> Result<Summary, TreeError> {
        let seeds = format!("{first}..{}", first + self.seeds - 1);
        let mut command = Command::new(binary);
        command.arg("simulate").arg(&self.plan).args([
            "--seeds",
            &seeds,
            "--until-invalid",
            "--json",
        ]);
        let output =
            command
                .stdin(Stdio::null())
                .output()
                .map_err(|source| TreeError::Program {
                    program: binary.display().to_string(),
                    source,
                })?;
        serde_json::from_slice(&output.stdout).map_err(|error| TreeError::Failed {
            what: format!(
                "simulating seeds {seeds} ended with {} and {error}",
                output.status
            ),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}

impl Detection {
    /// In how many campaigns it was found.
    pub fn found(&self) -> usize {
        self.campaigns.iter().flatten().count()
    }

    /// The seeds to detection that so many of a hundred campaigns need at most; none if they do not find it.
    pub fn seeds_to_detection(&self, percent: usize) -> Option<u64> {
        let mut after: Vec<u64> = self
            .campaigns
            .iter()
            .map(|found| found.as_ref().map_or(u64::MAX, |f| f.after))
            .collect();
        after.sort_unstable();
        let rank = (after.len() * percent).div_ceil(100).saturating_sub(1);
        after.get(rank).copied().filter(|after| *after < u64::MAX)
    }

    /// The checks that fired, each with how often.
    fn checks(&self) -> String {
        let mut counts = std::collections::BTreeMap::<&str, usize>::new();
        for check in self
            .campaigns
            .iter()
            .flatten()
            .flat_map(|found| &found.checks)
        {
            *counts.entry(check).or_default() += 1;
        }
        let counts: Vec<_> = counts
            .iter()
            .map(|(check, count)| format!("{check} {count}"))
            .collect();
        counts.join(", ")
    }
}

/// The detections as a Markdown table.
pub fn table(detections: &[Detection]) -> String {
    let mut table = String::from(
        "| mutant | found | seeds, median | seeds, p90 | checks that fired | seen in | replay |\n\
         |---|---|---|---|---|---|---|\n",
    );
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    for detection in detections {
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "| {} | {}/{} | {} | {} | {} | {} | {} |",
            detection.mutant,
            detection.found(),
            detection.campaigns.len(),
            number(detection.seeds_to_detection(50)),
            number(detection.seeds_to_detection(90)),
            detection.checks(),
            detection.source.replace('|', "\\|"),
            detection
                .replay
                .as_ref()
                .map_or("-".to_owned(), |replay| format!("`{replay}`")),
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detection(after: &[Option<u64>]) -> Detection {
        let found = |after: &Option<u64>| {
            after.map(|after| Found {
                after,
                seed: after,
                checks: vec!["invariants".to_owned()],
            })
        };
        Detection {
            mutant: "vr/some".to_owned(),
            title: String::new(),
            source: "here | there".to_owned(),
            campaigns: after.iter().map(found).collect(),
            seeds: 0,
            replay: None,
        }
    }

    #[test]
    fn quantiles_count_campaigns_that_found_nothing_as_endless() {
        let some = detection(&[Some(5), None, Some(1), Some(9), Some(2)]);
        assert_eq!(some.seeds_to_detection(50), Some(5));
        assert_eq!(some.seeds_to_detection(90), None);
        assert_eq!(detection(&[None]).seeds_to_detection(50), None);
        assert_eq!(detection(&[]).seeds_to_detection(50), None);
    }

    #[test]
    fn the_table_keeps_its_shape() {
        let table = table(&[detection(&[Some(5), None])]);
        let row = table.lines().last().unwrap();
        assert_eq!(
            row,
            "| vr/some | 1/2 | 5 | - | invariants 1 | here \\| there | - |"
        );
    }
}
