//! `viewstorm run PLAN`.

use std::io::IsTerminal;
use std::path::Path;

use anyhow::Context;
use viewstorm_history::Seed;
use viewstorm_report::{Results, closing_lines};

use super::Exit;
use super::arguments::RunArguments;
use super::interrupt::Signals;
use super::load::load_plan;
use super::progress::ProgressLine;
use crate::plan::{Plan, PlanErrors};
use crate::run::run_once;
use crate::run_folder::RunFolder;
use crate::runner::Interrupt;

/// The report's page in a run's folder.
const PAGE: &str = "report.html";

pub(super) fn run(arguments: &RunArguments) -> anyhow::Result<Exit> {
    let plan = match load(arguments) {
        Ok(plan) => plan,
        Err(errors) => {
            eprint!("{}", errors.render(std::io::stderr().is_terminal()));
            return Ok(Exit::Plan);
        }
    };
    let signals = Signals::listen()?;
    let seeds = seeds(arguments, &plan);
    let mut exits = Vec::new();
    for seed in seeds {
        exits.push(run_seed(arguments, &plan, Seed(seed), &signals)?);
        if signals.interrupted().is_some() {
            break;
        }
    }
    Ok(Exit::overall(&exits, plan.expect.seeds))
}

fn load(arguments: &RunArguments) -> Result<Plan, PlanErrors> {
    let (nemesis, set) = (arguments.nemesis.as_deref(), &arguments.set);
    load_plan(&arguments.plan, arguments.world.as_deref(), nemesis, set)
}

/// The seeds to run: those asked for, else the plan's, else a fresh one.
fn seeds(arguments: &RunArguments, plan: &Plan) -> std::ops::RangeInclusive<u64> {
    if let Some((first, last)) = arguments.seeds {
        return first..=last;
    }
    let seed = arguments.seed.or(plan.run.seed.map(|seed| seed.0));
    let seed = seed.unwrap_or_else(fresh_seed);
    seed..=seed
}

/// A seed that no earlier run had. Small enough to be typed.
fn fresh_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(std::process::id()) % 1_000_000_000
}

fn run_seed(
    arguments: &RunArguments,
    plan: &Plan,
    seed: Seed,
    signals: &Signals,
) -> anyhow::Result<Exit> {
    let path = RunFolder::default_path(
        &arguments.out,
        &plan.name,
        &plan.world.kind.to_string(),
        seed,
    );
    let folder = RunFolder::create(path, arguments.replace)?;
    let title = format!("{} seed {seed}", plan.name);
    if !arguments.quiet {
        eprintln!("{title}: {}", folder.path().display());
    }
    let quiet = arguments.quiet || arguments.json;
    let mut progress = ProgressLine::new(&title, plan.run.duration, quiet);
    let reproduce = vec![reproduce(arguments, seed)];
    let results =
        run_once(plan, seed, &folder, reproduce, signals, &mut progress).with_context(|| {
            format!(
                "{title}: what there is of the run is in {}",
                folder.path().display()
            )
        })?;
    drop(progress);
    print(arguments, &results, &folder.file(PAGE))?;
    Ok(Exit::of(&results))
}

fn print(arguments: &RunArguments, results: &Results, page: &Path) -> anyhow::Result<()> {
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(results)?);
    } else {
        let color = std::io::stdout().is_terminal();
        print!("{}", closing_lines(results, page, color));
    }
    Ok(())
}

/// The command that runs this seed again. On processes the schedule is the same, the interleaving is not.
fn reproduce(arguments: &RunArguments, seed: Seed) -> String {
    let mut command = format!("viewstorm run {} --seed {seed}", arguments.plan.display());
    if let Some(world) = &arguments.world {
        command.push_str(&format!(" --world {world}"));
    }
    if let Some(profile) = &arguments.nemesis {
        command.push_str(&format!(" --nemesis {profile}"));
    }
    for set in &arguments.set {
        command.push_str(&format!(" --set '{set}'"));
    }
    command
}
