//! `viewstorm dry-run PLAN`: what the nemesis would do, and when.

use std::io::IsTerminal;
use std::time::Duration;

use viewstorm_history::Seed;
use viewstorm_nemesis::ScheduledFault;

use super::Exit;
use super::arguments::DryRunArguments;
use crate::plan::{Override, Plan, PlanErrors};

/// The seed where neither the command line nor the plan has one.
const SEED: Seed = Seed(1);

pub(super) fn dry_run(arguments: &DryRunArguments) -> anyhow::Result<Exit> {
    let plan = match load(arguments) {
        Ok(plan) => plan,
        Err(errors) => {
            eprint!("{}", errors.render(std::io::stderr().is_terminal()));
            return Ok(Exit::Plan);
        }
    };
    let seed = arguments.seed.map(Seed).or(plan.run.seed);
    let seed = seed.unwrap_or(SEED);
    if arguments.toml {
        print!("{}", plan.resolved(seed).to_toml());
    } else {
        print!("{}", timeline(&plan, seed));
    }
    Ok(Exit::Expected)
}

fn load(arguments: &DryRunArguments) -> Result<Plan, PlanErrors> {
    let mut overrides = Vec::new();
    overrides.extend(arguments.nemesis.as_deref().map(Override::profile));
    for set in &arguments.set {
        overrides.push(Override::set(set)?);
    }
    Plan::load_with(&arguments.plan, &overrides)
}

/// One line for each fault, in the order of time.
fn timeline(plan: &Plan, seed: Seed) -> String {
    let timeline = plan.timeline(seed);
    let faults = timeline.faults();
    let duration = plan.run.duration;
    let mut text = format!(
        "{} seed {seed}: {} faults in {duration:?}, then everything is healed\n",
        plan.name,
        faults.len()
    );
    for fault in faults {
        text += &line(fault);
        text.push('\n');
    }
    text
}

fn line(fault: &ScheduledFault) -> String {
    let at = seconds(fault.at);
    let when = match &fault.trigger {
        Some(trigger) => format!("on {trigger}, from {at}"),
        None => at,
    };
    let length = match fault.length {
        Some(length) => format!("for {}", seconds(length)),
        None => "to the end".to_owned(),
    };
    let name = fault.fault.name();
    let label = match &fault.name {
        Some(label) => format!(" [{label}]"),
        None => String::new(),
    };
    format!("{when:>10}  {length:<12}  {name}{label}: {}", fault.fault)
}

fn seconds(time: Duration) -> String {
    format!("{:.3}s", time.as_secs_f64())
}
