//! What must fail: planted bugs, and plans that expect a violation. A night that does not catch them proves
//! nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use viewstorm_checker::Validity;
use viewstorm_history::Seed;

use super::experiments::length;
use super::night::{Nightly, NightlyError, PATIENCE, Watch};
use super::plan::NightlyCanary;
use super::units::{self, Slice};
use crate::mutants::{HOME, Tree, TreeError, patches};
use crate::plan::{Plan, WorldKind};

/// How many seeds of a plan that expects its violation are run at a time.
const STEP: u64 = 10;

impl Nightly<'_> {
    /// Each canary that has not run yet.
    pub(super) fn canaries(&mut self, watch: Watch<'_>) -> Result<(), NightlyError> {
        let mut tree: Option<Tree> = None;
        for index in 0..self.plan.canaries.len() {
            if self.night.canaries[index].seeds.is_some() || self.is_over(self.budget()) {
                continue;
            }
            let canary = &self.plan.canaries[index];
            watch(&format!("canary {}", canary.name()), &self.night);
            let caught = match &canary.mutant {
                Some(mutant) => match self.plant(mutant, &mut tree) {
                    Ok(binary) => self.hunt(index, canary, &binary)?,
                    Err(error) => {
                        let command = planting(mutant);
                        self.trouble(&command, "could not be planted", &error.to_string())?;
                        continue;
                    }
                },
                None => self.await_violation(index, canary)?,
            };
            if caught {
                self.night.canaries[index].caught = true;
            }
            self.keep()?;
        }
        Ok(())
    }

    /// A binary with the bug in it. The copy of the tree serves all bugs of the night.
    fn plant(&self, mutant: &str, tree: &mut Option<Tree>) -> Result<PathBuf, NightlyError> {
        let root = PathBuf::from(".");
        let patch = patches(&root, &[mutant.to_owned()])?;
        let tree = match tree {
            Some(tree) => tree,
            None => {
                let root = root.canonicalize().map_err(super::night::io_error(&root))?;
                tree.insert(Tree::new(&root, &root.join(HOME))?)
            }
        };
        for patch in &patch {
            tree.plant(patch)?;
        }
        let binary = tree.build(mutant)?;
        // The next canary is built in the same place.
        let own = binary.with_file_name(format!("viewstorm-canary-{}", mutant.replace('/', "-")));
        std::fs::copy(&binary, &own).map_err(|source| TreeError::Io {
            path: own.clone(),
            source,
        })?;
        Ok(own)
    }

    /// Seeds until the planted bug is caught. Whether it was.
    fn hunt(
        &mut self,
        index: usize,
        canary: &NightlyCanary,
        binary: &Path,
    ) -> Result<bool, NightlyError> {
        let first = canary.first_seed(&self.options.id);
        let last = first + canary.seeds - 1;
        let mut command = units::simulate(binary, &canary.plan, &[], first, last);
        command.arg("--until-invalid");
        let limit = PATIENCE + self.budget();
        let Some(slice) = self.canary_slice(command, limit)? else {
            return Ok(false);
        };
        let record = &mut self.night.canaries[index];
        let found = slice
            .failures
            .iter()
            .find(|f| f.validity == Validity::Invalid);
        record.seeds = Some(found.map_or(slice.seeds, |f| f.seed.0.saturating_sub(first) + 1));
        record.seed = found.map(|f| f.seed);
        record.checks = found.map(|f| f.checks.clone()).unwrap_or_default();
        Ok(found.is_some())
    }

    /// Runs of a plan that expects its own violation, until it comes. Whether it did.
    fn await_violation(
        &mut self,
        index: usize,
        canary: &NightlyCanary,
    ) -> Result<bool, NightlyError> {
        let plan = Plan::load(&canary.plan).map_err(NightlyError::Plan)?;
        let first = canary.first_seed(&self.options.id);
        let mut ran = 0;
        while ran < canary.seeds && !self.is_over(self.budget()) {
            let seed = first + ran;
            let (step, caught) = match plan.world.kind {
                WorldKind::Simulated => {
                    let step = STEP.min(canary.seeds - ran);
                    let last = seed + step - 1;
                    let command =
                        units::simulate(&self.options.binary, &canary.plan, &[], seed, last);
                    let slice = self.canary_slice(command, PATIENCE * 5)?;
                    (step, slice.map(|slice| slice.as_expected > 0))
                }
                WorldKind::Processes => (1, self.expected_on_processes(canary, Seed(seed))?),
            };
            let Some(caught) = caught else {
                return Ok(false);
            };
            ran += step;
            self.night.canaries[index].seeds = Some(ran);
            if caught {
                self.night.canaries[index].checks = plan.expect.property.iter().cloned().collect();
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn expected_on_processes(
        &mut self,
        canary: &NightlyCanary,
        seed: Seed,
    ) -> Result<Option<bool>, NightlyError> {
        let out = self.work().join("canary");
        let binary = &self.options.binary;
        let command = units::run(binary, &canary.plan, None, &[], Some(seed), &out);
        let limit = length(&canary.plan).unwrap_or_default() * 2 + PATIENCE;
        let ended = self.unit(command, limit)?;
        drop(std::fs::remove_dir_all(&out));
        Ok(ended.map(|(code, _)| code == 0))
    }

    fn canary_slice(
        &mut self,
        command: Command,
        limit: std::time::Duration,
    ) -> Result<Option<Slice>, NightlyError> {
        let typed = units::typed(&command);
        let Some((_, stdout)) = self.unit(command, limit)? else {
            return Ok(None);
        };
        match serde_json::from_slice(&stdout) {
            Ok(slice) => Ok(Some(slice)),
            Err(error) => {
                let mut shown = Command::new("viewstorm");
                shown.arg(typed.trim_start_matches("viewstorm "));
                self.trouble(&shown, &format!("printed no summary: {error}"), &typed)?;
                Ok(None)
            }
        }
    }
}

fn planting(mutant: &str) -> Command {
    let mut command = Command::new("viewstorm");
    command.args(["mutants", "--check", mutant]);
    command
}
