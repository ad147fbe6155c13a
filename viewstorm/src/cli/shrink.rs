//! `viewstorm shrink DIR` and `viewstorm reproduce DIR`.

use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use indicatif::ProgressBar;
use viewstorm_checker::Validity;
use viewstorm_history::Seed;
use viewstorm_report::Run;

use super::Exit;
use super::arguments::{ReproduceArguments, ShrinkArguments};
use crate::plan::{Plan, WorldKind};
use crate::run_facts::RunFacts;
use crate::run_folder::{PLAN_FILE, RunFolder};
use crate::shrink::{ShrinkError, ShrinkOptions, Shrinker, ShrunkSchedule, story};
use crate::simulate::run_seed;

/// The smaller plan, beside the original.
const SHRUNK_FILE: &str = "shrunk.toml";
/// The plan with which the simulator breaks what the processes broke.
const REPRODUCED_FILE: &str = "reproduced.toml";

pub(super) fn shrink(arguments: &ShrinkArguments) -> anyhow::Result<Exit> {
    let (plan, seed, _) = match read(&arguments.directory) {
        Ok(read) => read,
        Err(reason) => {
            eprintln!("viewstorm: {reason}");
            return Ok(Exit::Plan);
        }
    };
    let options = ShrinkOptions {
        seeds: arguments.seeds,
        runs_max: arguments.runs,
    };
    let started = Instant::now();
    let bar = match arguments.json {
        true => ProgressBar::hidden(),
        false => ProgressBar::new_spinner(),
    };
    let mut watch = |step: crate::shrink::Step| {
        bar.set_message(format!(
            "{} faults left after {} runs",
            step.faults, step.runs
        ));
        bar.tick();
    };
    let property = arguments.property.as_deref();
    let shrinker = match Shrinker::new(&plan, seed, property, options, &mut watch) {
        Err(error @ ShrinkError::DoesNotFail { .. }) => {
            eprintln!("viewstorm: {error}");
            return Ok(Exit::Unknown);
        }
        shrinker => shrinker?,
    };
    let shrunk = shrinker.shrink()?;
    bar.finish_and_clear();
    let story = story(&shrunk);
    let path = write(&arguments.directory, SHRUNK_FILE, &story, &shrunk.plan)?;
    let outcome = ShrunkSchedule {
        from: shrunk.faults_before as u64,
        to: shrunk.plan.nemesis.settled.len() as u64,
        runs: shrunk.runs,
        seconds: started.elapsed().as_secs_f64(),
        property: shrunk.property.clone(),
        replay: format!("viewstorm run {path}"),
    };
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&outcome)?);
    } else {
        print!("{story}");
        println!("{} runs, {:.1} s", outcome.runs, outcome.seconds);
        println!("{}", outcome.replay);
    }
    Ok(Exit::Expected)
}

pub(super) fn reproduce(arguments: &ReproduceArguments) -> anyhow::Result<Exit> {
    let (plan, _, run) = match read(&arguments.directory) {
        Ok(read) => read,
        Err(reason) => {
            eprintln!("viewstorm: {reason}");
            return Ok(Exit::Plan);
        }
    };
    let checks = run.results.verdict.checks.iter();
    let broken: Vec<_> = checks
        .filter(|check| check.validity == Validity::Invalid)
        .collect();
    if broken.is_empty() {
        eprintln!(
            "viewstorm: {}: every check holds or is unknown: there is nothing to reproduce",
            arguments.directory.display()
        );
        return Ok(Exit::Plan);
    }
    let mut plan = plan;
    plan.world.kind = WorldKind::Simulated;
    let facts = RunFacts::begin(Vec::new());
    let bar = ProgressBar::new(arguments.seeds);
    for seed in 1..=arguments.seeds {
        bar.set_position(seed);
        let simulated = run_seed(&plan, Seed(seed), &facts)?;
        let same = simulated.results.verdict.checks.iter().find(|check| {
            check.validity == Validity::Invalid && broken.iter().any(|one| one.check == check.check)
        });
        let Some(check) = same else { continue };
        bar.finish_and_clear();
        plan.run.seed = Some(Seed(seed));
        let story = format!(
            "{} is broken in the simulator with seed {seed}",
            check.check
        );
        let path = write(&arguments.directory, REPRODUCED_FILE, &story, &plan)?;
        println!("reproduced: {story}");
        println!("viewstorm run {path}");
        return Ok(Exit::Expected);
    }
    bar.finish_and_clear();
    println!("not reproduced in {} seeds", arguments.seeds);
    Ok(Exit::Unknown)
}

/// A run's plan and seed, and what it came to.
fn read(directory: &Path) -> Result<(Plan, Seed, Run), String> {
    let run = Run::open(directory).map_err(|error| error.to_string())?;
    let plan = Plan::load(directory.join(PLAN_FILE)).map_err(|errors| errors.to_string())?;
    let seed = run.results.run.seed;
    Ok((plan, seed, run))
}

/// Writes a plan with its story as comments, and returns its path.
fn write(directory: &Path, name: &str, story: &str, plan: &Plan) -> anyhow::Result<String> {
    let comments: String = story.lines().map(|line| format!("# {line}\n")).collect();
    let text = format!("{comments}\n{}", plan.to_toml());
    let path = RunFolder::existing(directory).write(name, text.as_bytes());
    Ok(path
        .with_context(|| format!("writing {name}"))?
        .display()
        .to_string())
}
