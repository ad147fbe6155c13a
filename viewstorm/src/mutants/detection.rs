//! How many seeds it takes until a planted bug shows, and how few faults of a failing schedule show it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde::{Deserialize, Serialize};
use viewstorm_checker::Validity;

use super::{Patch, TreeError};
use crate::shrink::ShrunkSchedule;

/// The campaigns that every mutant and the clean tree go through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Campaigns {
    /// How many campaigns, each with seeds of its own.
    pub campaigns: u64,
    /// How many seeds a campaign has at most.
    pub seeds: u64,
    /// How many runs a failing schedule may take to be shrunk; 0 for not at all.
    pub shrink_runs: u64,
    /// Where runs that are shrunk are written.
    pub runs: PathBuf,
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
    /// The experiment.
    pub plan: PathBuf,
    /// One for each campaign; none where the campaign's seeds did not show it.
    pub campaigns: Vec<Option<Found>>,
    /// How many seeds were run in all.
    pub seeds: u64,
    /// What is left of the longest of the failing schedules.
    pub shrunk: Option<ShrunkSchedule>,
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
    /// How many faults the seed's schedule has.
    pub faults: u64,
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
    faults: u64,
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
    /// Runs the campaigns of `plan` with `binary`. `watch` is told what is being done.
    pub fn run(
        &self,
        binary: &Path,
        judged: Judged<'_>,
        plan: &Path,
        mut watch: impl FnMut(&str),
    ) -> Result<Detection, TreeError> {
        let mut detection = Detection::new(judged, plan);
        for campaign in 0..self.campaigns {
            let first = 1 + campaign * self.seeds;
            let summary = self.campaign(binary, plan, first)?;
            detection.seeds += summary.seeds;
            let is_found = |failure: &Failure| failure.validity == Validity::Invalid;
            let found = summary.failures.into_iter().find(is_found);
            detection.campaigns.push(found.map(|failure| Found {
                after: failure.seed - first + 1,
                seed: failure.seed,
                checks: failure.checks,
                faults: failure.faults,
            }));
            watch(&format!("{} campaigns", campaign + 1));
        }
        let found = detection.campaigns.iter().flatten();
        let Some(longest) = found.max_by_key(|found| found.faults) else {
            return Ok(detection);
        };
        detection.replay = Some(format!(
            "viewstorm run {} --world simulated --seed {}",
            plan.display(),
            longest.seed
        ));
        if self.shrink_runs > 0 {
            watch("shrinking");
            let seed = longest.seed;
            detection.shrunk = Some(self.shrink(binary, &detection.mutant, plan, seed)?);
        }
        Ok(detection)
    }

    fn campaign(&self, binary: &Path, plan: &Path, first: u64) -> Result<Summary, TreeError> {
        let seeds = format!("{first}..{}", first + self.seeds - 1);
        let mut command = Command::new(binary);
        command
            .arg("simulate")
            .arg(plan)
            .args(["--seeds", &seeds, "--until-invalid", "--json"]);
        json_of(&mut command, &format!("simulating seeds {seeds}"))
    }

    /// Runs the seed into a folder and shrinks its schedule.
    fn shrink(
        &self,
        binary: &Path,
        mutant: &str,
        plan: &Path,
        seed: u64,
    ) -> Result<ShrunkSchedule, TreeError> {
        let folder = self.runs.join(mutant);
        let io = |source| TreeError::Io {
            path: folder.clone(),
            source,
        };
        if folder.exists() {
            fs::remove_dir_all(&folder).map_err(io)?;
        }
        let mut run = Command::new(binary);
        run.arg("run").arg(plan);
        run.args([
            "--world",
            "simulated",
            "--quiet",
            "--seed",
            &seed.to_string(),
        ]);
        output(run.arg("--out").arg(&folder))?;
        // OUT/EXPERIMENT/RUN: the only one there is.
        let only = |path: &Path| {
            let mut entries = fs::read_dir(path).map_err(io)?;
            let entry = entries.next().transpose().map_err(io)?;
            entry.map(|entry| entry.path()).ok_or(TreeError::Failed {
                what: format!("running seed {seed} left no run"),
                output: path.display().to_string(),
            })
        };
        let mut shrink = Command::new(binary);
        shrink.arg("shrink").arg(only(&only(&folder)?)?);
        shrink.args(["--json", "--runs", &self.shrink_runs.to_string()]);
        json_of(&mut shrink, &format!("shrinking seed {seed}"))
    }
}

fn output(command: &mut Command) -> Result<Output, TreeError> {
    let output = command.stdin(Stdio::null()).output();
    output.map_err(|source| TreeError::Program {
        program: command.get_program().display().to_string(),
        source,
    })
}

/// Runs a command, whatever its exit code, and reads what it printed.
fn json_of<T: serde::de::DeserializeOwned>(
    command: &mut Command,
    what: &str,
) -> Result<T, TreeError> {
    let output = output(command)?;
    serde_json::from_slice(&output.stdout).map_err(|error| TreeError::Failed {
        what: format!("{what} ended with {} and {error}", output.status),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}

impl Detection {
    /// Nothing found yet.
    pub fn new(judged: Judged<'_>, plan: &Path) -> Self {
        let (mutant, title, source) = match judged {
            Judged::Mutant(patch) => (patch.name.as_str(), patch.title(), patch.source()),
            Judged::Clean => ("clean", "the tree as it is", ""),
        };
        Self {
            mutant: mutant.to_owned(),
            title: title.to_owned(),
            source: source.to_owned(),
            plan: plan.to_owned(),
            campaigns: Vec::new(),
            seeds: 0,
            shrunk: None,
            replay: None,
        }
    }

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
        let mut counts = BTreeMap::<&str, usize>::new();
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
        "| mutant | experiment | found | seeds, median | seeds, p90 | checks that fired | faults, shrunk to | seen in \
         | replay |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    let number = |number: Option<u64>| number.map_or("-".to_owned(), |number| number.to_string());
    for detection in detections {
        // Writing to a string does not fail.
        let _ = writeln!(
            table,
            "| {} | {} | {}/{} | {} | {} | {} | {} | {} | {} |",
            detection.mutant,
            name_of(&detection.plan),
            detection.found(),
            detection.campaigns.len(),
            number(detection.seeds_to_detection(50)),
            number(detection.seeds_to_detection(90)),
            detection.checks(),
            detection.shrunk.as_ref().map_or_else(
                || "-".to_owned(),
                |shrunk| format!("{} to {}", shrunk.from, shrunk.to)
            ),
            detection.source.replace('|', "\\|"),
            detection
                .replay
                .as_ref()
                .map_or("-".to_owned(), |replay| format!("`{replay}`")),
        );
    }
    table
}

fn name_of(plan: &Path) -> String {
    let name = plan.file_stem().unwrap_or_default();
    name.to_string_lossy().into_owned()
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
                faults: 40,
            })
        };
        Detection {
            mutant: "vr/some".to_owned(),
            title: String::new(),
            source: "here | there".to_owned(),
            plan: PathBuf::from("experiments/vr/storm.toml"),
            campaigns: after.iter().map(found).collect(),
            seeds: 0,
            shrunk: Some(ShrunkSchedule {
                from: 40,
                to: 2,
                runs: 300,
                seconds: 4.0,
                property: "invariants".to_owned(),
                replay: "viewstorm run shrunk.toml".to_owned(),
            }),
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
            "| vr/some | storm | 1/2 | 5 | - | invariants 1 | 40 to 2 | here \\| there | - |"
        );
    }
}
