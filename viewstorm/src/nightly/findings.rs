//! Failures: one record a signature. A new one is run again into a folder, shrunk, packed into a bundle and added
//! to the corpus.

use std::path::{Path, PathBuf};
use std::time::Duration;

use viewstorm_checker::Validity;
use viewstorm_history::Seed;
use viewstorm_report::{CorpusOutcome, Finding, Results, Run, Shrunk};

use super::bundle::write_bundle;
use super::corpus;
use super::night::{Nightly, NightlyError, PATIENCE, io_error};
use super::plan::{NightlyExperiment, NightlyWorld};
use super::signature::signature;
use super::units::{self, SliceFailure};
use crate::run_folder::PLAN_FILE;

/// How many new findings a night looks into; beyond, they are counted alone.
const FILED_MAX: usize = 20;
/// How long a shrink may take.
const SHRINK_MAX: Duration = Duration::from_secs(300);
/// The plan that a shrink leaves.
const SHRUNK_FILE: &str = "shrunk.toml";

/// A seed that failed.
#[derive(Debug)]
pub(super) struct Failed {
    seed: Seed,
    validity: Validity,
    checks: Vec<String>,
    reasons: Vec<String>,
    /// Its folder, if it has one already.
    pub(super) run: Option<PathBuf>,
}

impl From<SliceFailure> for Failed {
    fn from(failure: SliceFailure) -> Self {
        Self {
            seed: failure.seed,
            validity: failure.validity,
            checks: failure.checks,
            reasons: failure.reasons,
            run: None,
        }
    }
}

impl From<&Results> for Failed {
    fn from(results: &Results) -> Self {
        Self {
            seed: results.run.seed,
            validity: results.outcome.validity,
            checks: results.broken(),
            reasons: results.reasons(),
            run: None,
        }
    }
}

impl Nightly<'_> {
    /// Puts a failure on record, and looks into it if it is the first of its kind.
    pub(super) fn found(
        &mut self,
        experiment: &NightlyExperiment,
        failed: Failed,
    ) -> Result<(), NightlyError> {
        let signature = signature(&experiment.name(), &failed.checks, &failed.reasons);
        let mut all = self.night.findings.iter_mut();
        if let Some(finding) = all.find(|finding| finding.signature == signature) {
            finding.count += 1;
            return Ok(());
        }
        let known = self
            .night
            .corpus
            .iter()
            .any(|old| old.signature == signature);
        let replay = units::run(
            Path::new("viewstorm"),
            &experiment.plan,
            Some(experiment.world),
            &experiment.set,
            Some(failed.seed),
            Path::new("runs"),
        );
        let mut finding = Finding {
            signature,
            experiment: experiment.name(),
            world: experiment.world.to_string(),
            seed: failed.seed,
            validity: failed.validity,
            checks: failed.checks.clone(),
            reasons: failed.reasons.clone(),
            count: 1,
            known,
            replay: units::typed(&replay).replace(" --replace --json --out runs", ""),
            replayed: None,
            shrunk: None,
            bundle: None,
        };
        let has_room = self
            .night
            .findings
            .iter()
            .filter(|f| f.bundle.is_some())
            .count()
            < FILED_MAX;
        if has_room && self.interrupt.interrupted().is_none() {
            self.look_into(experiment, &failed, &mut finding)?;
        }
        self.night.findings.push(finding);
        self.keep()
    }

    fn look_into(
        &mut self,
        experiment: &NightlyExperiment,
        failed: &Failed,
        finding: &mut Finding,
    ) -> Result<(), NightlyError> {
        let run = match &failed.run {
            Some(run) => run.clone(),
            None => match self.run_again(experiment, failed.seed)? {
                Some(run) => run,
                None => return Ok(()),
            },
        };
        finding.replayed = match experiment.world {
            NightlyWorld::Simulated => Some(fails_alike(&run, &failed.checks)),
            // A seed narrows a run on processes, it does not fix it; the simulator is asked instead.
            NightlyWorld::Processes => None,
        };
        if failed.validity == Validity::Invalid {
            finding.shrunk = self.cut_down(experiment, &run)?;
        }
        let name = format!("bundles/{}.tar.gz", corpus::slug(&finding.signature));
        let home = self.folder.join("bundles");
        std::fs::create_dir_all(&home).map_err(io_error(&home))?;
        match write_bundle(&run, &self.folder.join(&name)) {
            Ok(()) => finding.bundle = Some(name),
            Err(error) => {
                let command = units::on_folder(&self.options.binary, "report", &run);
                self.trouble(
                    &command,
                    "its folder could not be packed",
                    &error.to_string(),
                )?;
            }
        }
        self.remember(experiment, &run, finding)?;
        drop(std::fs::remove_dir_all(self.work().join("finding")));
        Ok(())
    }

    /// The seed once more, into a folder.
    fn run_again(
        &mut self,
        experiment: &NightlyExperiment,
        seed: Seed,
    ) -> Result<Option<PathBuf>, NightlyError> {
        let out = self.work().join("finding");
        // What a night that was cut off left.
        drop(std::fs::remove_dir_all(&out));
        let command = units::run(
            &self.options.binary,
            &experiment.plan,
            Some(experiment.world),
            &experiment.set,
            Some(seed),
            &out,
        );
        let ended = self.unit(command, PATIENCE * 2)?;
        Ok(ended.and_then(|_| units::only_run(&out)))
    }

    /// The smaller plan: of the run itself in the simulator, or of what the simulator makes of a run on processes.
    fn cut_down(
        &mut self,
        experiment: &NightlyExperiment,
        run: &Path,
    ) -> Result<Option<Shrunk>, NightlyError> {
        let (verb, file) = match experiment.world {
            NightlyWorld::Simulated => ("shrink", SHRUNK_FILE),
            NightlyWorld::Processes => ("reproduce", "reproduced.toml"),
        };
        let command = units::on_folder(&self.options.binary, verb, run);
        let Some((0, stdout)) = self.unit(command, SHRINK_MAX)? else {
            return Ok(None);
        };
        Ok(run.join(file).exists().then(|| Shrunk {
            file: file.to_owned(),
            story: String::from_utf8_lossy(&stdout).into_owned(),
        }))
    }

    /// Keeps the plan for the nights to come. One on processes is kept too: its schedule is fixed.
    fn remember(
        &mut self,
        experiment: &NightlyExperiment,
        run: &Path,
        finding: &Finding,
    ) -> Result<(), NightlyError> {
        let file = match (experiment.world, &finding.shrunk) {
            (NightlyWorld::Simulated, Some(shrunk)) => shrunk.file.as_str(),
            _ => PLAN_FILE,
        };
        let path = run.join(file);
        let plan = std::fs::read_to_string(&path).map_err(io_error(&path))?;
        let story = format!(
            "night {}, commit {}, seed {}\n{}",
            self.night.id, self.night.commit, finding.seed, finding.replay
        );
        let home = self.corpus();
        corpus::add(&home, &finding.signature, &story, &plan).map_err(io_error(&home))?;
        // It has just failed: it need not run again tonight.
        let mut old = self.night.corpus.iter_mut();
        if let Some(old) = old.find(|old| old.signature == finding.signature) {
            old.outcome = CorpusOutcome::Fails;
        }
        Ok(())
    }
}

/// Whether a run's folder shows a failure of one of these checks.
fn fails_alike(run: &Path, checks: &[String]) -> bool {
    let Ok(run) = Run::open(run) else {
        return false;
    };
    let again = Failed::from(&run.results);
    again.checks.iter().any(|check| checks.contains(check))
        || (checks.is_empty() && run.results.outcome.exit.code != 0)
}
