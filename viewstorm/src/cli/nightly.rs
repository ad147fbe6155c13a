//! `viewstorm nightly PLAN`.

use std::time::Duration;

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use viewstorm_checker::Validity;
use viewstorm_report::{NIGHT_PAGE_FILE, Night, SUMMARY_FILE};

use super::Exit;
use super::arguments::NightlyArguments;
use super::interrupt::Signals;
use crate::nightly::{NightOptions, NightPlan, Nightly, NightlyError};
use crate::run_facts::RunFacts;
use crate::runner::Interrupt;

pub(super) fn nightly(arguments: &NightlyArguments) -> anyhow::Result<Exit> {
    let plan = match NightPlan::load(&arguments.plan) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("viewstorm: {error}");
            return Ok(Exit::Plan);
        }
    };
    let signals = Signals::listen()?;
    let id = arguments.id.clone().unwrap_or_else(id_of_now);
    let options = NightOptions {
        id: id.clone(),
        out: arguments.out.clone(),
        budget: arguments.minutes,
        binary: std::env::current_exe().context("this program's own file")?,
    };
    let nightly = match Nightly::open(&plan, options, &signals) {
        Ok(nightly) => nightly,
        Err(
            error @ (NightlyError::Plan(_)
            | NightlyError::NoCanary { .. }
            | NightlyError::Other { .. }
            | NightlyError::Patch(_)),
        ) => {
            eprintln!("viewstorm: {error}");
            return Ok(Exit::Plan);
        }
        Err(error) => return Err(error.into()),
    };
    if !arguments.quiet && !arguments.json {
        println!("{} {id}", plan.name);
    }
    let bar = progress(arguments);
    let (night, folder) = nightly.run(&mut |what, night| {
        bar.set_position(night.spent_s as u64);
        bar.set_length(night.budget_s as u64);
        bar.set_message(format!("{what}: {} failures", night.findings.len()));
    })?;
    bar.finish_and_clear();
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&night)?);
    } else {
        let summary = folder.join(SUMMARY_FILE);
        print!(
            "{}",
            std::fs::read_to_string(&summary).with_context(|| summary.display().to_string())?
        );
        println!("{}", folder.join(NIGHT_PAGE_FILE).display());
    }
    if signals.interrupted().is_some() {
        eprintln!(
            "interrupted: viewstorm nightly {} --id {id} --out {} goes on",
            arguments.plan.display(),
            arguments.out.display()
        );
    }
    Ok(exit(&night))
}

/// What a night ends with: the worst of it.
fn exit(night: &Night) -> Exit {
    match night.validity() {
        _ if !night.troubles.is_empty() => Exit::Harness,
        Validity::Invalid => Exit::Invalid,
        Validity::Unknown => Exit::Unknown,
        Validity::Valid => Exit::Expected,
    }
}

fn id_of_now() -> String {
    let now = RunFacts::now();
    now.chars()
        .filter(|c| !matches!(c, ':' | 'Z'))
        .collect::<String>()
        .replace('T', "-")
}

fn progress(arguments: &NightlyArguments) -> ProgressBar {
    if arguments.quiet || arguments.json {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("[{bar:24}] {pos}/{len} s {msg}");
    let style = style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    let bar = ProgressBar::new(1).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(500));
    bar
}
