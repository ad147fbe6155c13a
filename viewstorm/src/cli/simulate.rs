//! `viewstorm simulate PLAN --seeds A..B`.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressStyle};
use viewstorm_history::Seed;

use super::Exit;
use super::arguments::SimulateArguments;
use super::interrupt::Signals;
use super::load::load_plan;
use crate::plan::{Plan, PlanErrors, SeedQuantifier};
use crate::runner::Interrupt;
use crate::simulate::{Campaign, CampaignOptions, Summary, Until};

/// How many failures are printed.
const SHOWN_MAX: usize = 10;

pub(super) fn simulate(arguments: &SimulateArguments) -> anyhow::Result<Exit> {
    let plan = match load(arguments) {
        Ok(plan) => plan,
        Err(errors) => {
            eprint!("{}", errors.render(std::io::stderr().is_terminal()));
            return Ok(Exit::Plan);
        }
    };
    let signals = Signals::listen()?;
    let (first, last) = arguments.seeds;
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let options = CampaignOptions {
        seeds: first..=last,
        jobs: arguments.jobs.map_or(cores, std::num::NonZero::get),
        until: match (arguments.fail_fast, arguments.until_invalid) {
            (true, _) => Until::Failed,
            (false, true) => Until::Invalid,
            (false, false) => Until::TheEnd,
        },
        twice: arguments.twice,
    };
    let bar = progress_bar(arguments, last - first);
    if !arguments.quiet && !arguments.json {
        println!("{}: seeds {first}..{last}", plan.name);
    }
    let summary = Campaign::new(&plan, options).run(|summary| {
        bar.set_position(summary.seeds);
        bar.set_message(format!("{} failed", summary.failed));
        signals.interrupted().is_none()
    })?;
    bar.finish_and_clear();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&summary)?);
    } else {
        print(arguments, &plan, &summary);
    }
    Ok(exit(
        &summary,
        plan.expect.seeds,
        signals.interrupted().is_some(),
    ))
}

fn load(arguments: &SimulateArguments) -> Result<Plan, PlanErrors> {
    let (nemesis, set) = (arguments.nemesis.as_deref(), &arguments.set);
    load_plan(&arguments.plan, Some("simulated"), nemesis, set)
}

fn progress_bar(arguments: &SimulateArguments, more: u64) -> ProgressBar {
    if arguments.quiet || arguments.json {
        return ProgressBar::hidden();
    }
    let style =
        ProgressStyle::with_template("[{bar:32}] {pos}/{len} seeds, {per_sec}, {eta} to go; {msg}");
    let style = style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    ProgressBar::new(more.saturating_add(1)).with_style(style)
}

fn print(arguments: &SimulateArguments, plan: &Plan, summary: &Summary) {
    for failure in summary.failures.iter().take(SHOWN_MAX) {
        println!(
            "seed {}: {}, {}",
            failure.seed,
            failure.validity,
            failure.checks.join(", ")
        );
        for reason in failure.reasons.iter().take(3) {
            println!("  {reason}");
        }
        println!("  {}", replay(arguments, failure.seed));
    }
    let hidden = summary.failed.saturating_sub(SHOWN_MAX as u64);
    if hidden > 0 {
        println!("and {hidden} more seeds that did not come as expected");
    }
    let wall = summary.wall_seconds.max(f64::MIN_POSITIVE);
    println!(
        "{:.1} s: {:.0} simulated seconds, {:.0} events and {:.0} operations per second",
        summary.wall_seconds,
        summary.virtual_seconds / wall,
        summary.events as f64 / wall,
        summary.operations as f64 / wall,
    );
    let (first, last) = arguments.seeds;
    println!(
        "{}: seeds {first}..{last}: {} ran, {} as expected, {} not ({} invalid)",
        plan.name, summary.seeds, summary.as_expected, summary.failed, summary.invalid
    );
}

/// The command that runs a seed again, into a folder with a report.
fn replay(arguments: &SimulateArguments, seed: Seed) -> String {
    let mut command = format!(
        "viewstorm run {} --world simulated --seed {seed}",
        arguments.plan.display()
    );
    if let Some(profile) = &arguments.nemesis {
        command.push_str(&format!(" --nemesis {profile}"));
    }
    for set in &arguments.set {
        command.push_str(&format!(" --set '{set}'"));
    }
    command
}

fn exit(summary: &Summary, quantifier: SeedQuantifier, interrupted: bool) -> Exit {
    let exits: Vec<Exit> = summary
        .exits
        .iter()
        .map(|code| Exit::from_code(*code))
        .collect();
    let exit = Exit::overall(&exits, quantifier);
    if interrupted {
        exit.max(Exit::Unknown)
    } else {
        exit
    }
}
