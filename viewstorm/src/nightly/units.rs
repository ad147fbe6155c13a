//! The commands that a night's units are, and what is read of their output.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use viewstorm_checker::Validity;
use viewstorm_history::Seed;

use super::plan::NightlyWorld;

/// What `viewstorm simulate --json` prints, as far as a night wants it.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Slice {
    pub(super) seeds: u64,
    pub(super) as_expected: u64,
    pub(super) failed: u64,
    pub(super) invalid: u64,
    pub(super) failures: Vec<SliceFailure>,
    pub(super) virtual_seconds: f64,
    pub(super) events: u64,
    pub(super) operations: u64,
    pub(super) wall_seconds: f64,
}

impl Slice {
    /// How many seeds proved nothing. Not all failures are listed; invalid ones are listed first.
    pub(super) fn unknown(&self) -> u64 {
        let listed = |validity: Validity| {
            let all = self.failures.iter();
            all.filter(|failure| failure.validity == validity).count() as u64
        };
        let unlisted = self.failed.saturating_sub(self.failures.len() as u64);
        let unlisted_invalid = self.invalid.saturating_sub(listed(Validity::Invalid));
        listed(Validity::Unknown) + unlisted.saturating_sub(unlisted_invalid)
    }
}

/// A seed that did not come as expected.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct SliceFailure {
    pub(super) seed: Seed,
    pub(super) validity: Validity,
    pub(super) exit: u8,
    pub(super) reasons: Vec<String>,
    pub(super) checks: Vec<String>,
}

/// The exit code of a harness that failed.
pub(super) const HARNESS: i32 = 4;

/// `viewstorm simulate PLAN --seeds A..B --json`.
pub(super) fn simulate(
    binary: &Path,
    plan: &Path,
    set: &[String],
    first: u64,
    last: u64,
) -> Command {
    let mut command = Command::new(binary);
    command.arg("simulate").arg(plan);
    command.args(["--seeds", &format!("{first}..{last}"), "--json"]);
    sets(&mut command, set);
    command
}

/// `viewstorm run PLAN --json` into a folder of the night.
pub(super) fn run(
    binary: &Path,
    plan: &Path,
    world: Option<NightlyWorld>,
    set: &[String],
    seed: Option<Seed>,
    out: &Path,
) -> Command {
    let mut command = Command::new(binary);
    command
        .arg("run")
        .arg(plan)
        .args(["--replace", "--json", "--out"])
        .arg(out);
    if let Some(world) = world {
        command.args(["--world", &world.to_string()]);
    }
    if let Some(seed) = seed {
        command.args(["--seed", &seed.to_string()]);
    }
    sets(&mut command, set);
    command
}

/// `viewstorm VERB DIR`.
pub(super) fn on_folder(binary: &Path, verb: &str, folder: &Path) -> Command {
    let mut command = Command::new(binary);
    command.arg(verb).arg(folder);
    command
}

fn sets(command: &mut Command, set: &[String]) {
    for set in set {
        command.args(["--set", set]);
    }
}

/// A command as one would type it.
pub(super) fn typed(command: &Command) -> String {
    let mut words = vec!["viewstorm".to_owned()];
    for argument in command.get_args() {
        let word = argument.to_string_lossy();
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:,".contains(c);
        match word.chars().all(is_plain) && !word.is_empty() {
            true => words.push(word.into_owned()),
            false => words.push(format!("'{}'", word.replace('\'', "'\\''"))),
        }
    }
    words.join(" ")
}

/// The only run's folder below `out`: `<out>/<experiment>/<run>`.
pub(super) fn only_run(out: &Path) -> Option<PathBuf> {
    let only = |folder: &Path| {
        let mut entries = std::fs::read_dir(folder).ok()?;
        let first = entries.next()?.ok()?.path();
        entries.next().is_none().then_some(first)
    };
    only(&only(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_can_be_typed_again() {
        let set = ["workload.mix={ read = 1 }".to_owned()];
        let command = simulate(Path::new("/x/viewstorm"), Path::new("a b.toml"), &set, 1, 9);
        assert_eq!(
            typed(&command),
            "viewstorm simulate 'a b.toml' --seeds 1..9 --json --set 'workload.mix={ read = 1 }'"
        );
    }
}
