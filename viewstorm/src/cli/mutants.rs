//! `viewstorm mutants`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use viewstorm_checker::{CheckResult, Validity};
use viewstorm_report::Results;

use super::Exit;
use super::arguments::MutantsArguments;
use crate::mutants::{Campaigns, Detection, Found, HOME, Judged, Patch, Tree, patches, table};
use crate::plan::{Override, Plan, WorldKind};

/// The experiment that finds most mutants, in the simulator and on processes.
const STORM: &str = "experiments/vr/storm.toml";
const PARTITIONS: &str = "experiments/vr/partitions.toml";
/// How many seeds a campaign has, and how many runs of processes a mutant gets.
const SEEDS: u64 = 2_000;
const PROCESS_SEEDS: u64 = 3;

pub(super) fn mutants(arguments: &MutantsArguments) -> anyhow::Result<Exit> {
    let root = Path::new(".").canonicalize().context("the tree")?;
    if !root.join("protocol/Cargo.toml").exists() {
        eprintln!(
            "viewstorm: {} is not the tree of viewstorm: run this at its top",
            root.display()
        );
        return Ok(Exit::Plan);
    }
    let patches = match patches(&root, &arguments.names) {
        Ok(patches) => patches,
        Err(error) => {
            eprintln!("viewstorm: {error}");
            return Ok(Exit::Plan);
        }
    };
    let tree = Tree::new(&root, &root.join(HOME))?;
    if arguments.check {
        return check(&tree, &patches);
    }
    match world(arguments)? {
        WorldKind::Simulated => simulated(arguments, &root, &tree, &patches),
        WorldKind::Processes => {
            let is_shown = |patch: &&Patch| patch.processes_plan().is_some();
            let patches = match arguments.names.is_empty() {
                true => patches.iter().filter(is_shown).cloned().collect(),
                false => patches,
            };
            processes(arguments, &root, &tree, &patches)
        }
    }
}

/// Which world the plan, or the flag, names.
fn world(arguments: &MutantsArguments) -> anyhow::Result<WorldKind> {
    let text = arguments.world.as_deref().unwrap_or("simulated");
    let world = Override::flag("--world", "world.kind", text);
    let plan = Plan::parse("mutants", "name = \"mutants\"", &[world])?;
    Ok(plan.world.kind)
}

/// Every patch applies and compiles.
fn check(tree: &Tree, patches: &[Patch]) -> anyhow::Result<Exit> {
    for patch in patches {
        tree.plant(patch)?;
        tree.check(&patch.name)?;
        println!("{}: applies and compiles", patch.name);
    }
    println!("{} mutants apply and compile", patches.len());
    Ok(Exit::Expected)
}

/// The experiment of a mutant: that of the command line, or of its story, or the one that most are found by.
fn plan(arguments: &MutantsArguments, named: Option<&Path>, default: &str) -> PathBuf {
    let plan = arguments.plan.as_deref().or(named);
    plan.map_or_else(|| PathBuf::from(default), Path::to_owned)
}

fn simulated(
    arguments: &MutantsArguments,
    root: &Path,
    tree: &Tree,
    patches: &[Patch],
) -> anyhow::Result<Exit> {
    let campaigns = Campaigns {
        campaigns: arguments.campaigns,
        seeds: arguments.seeds.unwrap_or(SEEDS),
        shrink_runs: arguments.shrink,
        runs: root.join(HOME).join("runs"),
    };
    let plan_of = |patch: &Patch| plan(arguments, patch.plan(), STORM);
    let plans: BTreeSet<PathBuf> = patches.iter().map(plan_of).collect();
    if let Some(missing) = plans.iter().find(|plan| !root.join(plan).exists()) {
        bail!("{}: no such plan", missing.display());
    }
    let bar = progress((patches.len() + plans.len()) as u64);
    let mut detections = Vec::new();
    for patch in patches {
        bar.set_message(format!("{}: building", patch.name));
        tree.plant(patch)?;
        let binary = tree.build(&patch.name)?;
        let watch = |what: &str| bar.set_message(format!("{}: {what}", patch.name));
        let plan = plan_of(patch);
        detections.push(campaigns.run(&binary, Judged::Mutant(patch), &plan, watch)?);
        bar.inc(1);
    }
    let missed = detections.iter().filter(|one| one.found() == 0).count();
    tree.restore()?;
    let binary = tree.build("clean")?;
    let mut false_positives = 0;
    for plan in &plans {
        let watch = |what: &str| bar.set_message(format!("clean: {what}"));
        let clean = campaigns.run(&binary, Judged::Clean, plan, watch)?;
        false_positives += clean.found();
        detections.push(clean);
        bar.inc(1);
    }
    bar.finish_and_clear();
    show(arguments, &detections)?;
    if !arguments.json {
        println!(
            "{} of {} mutants found within {} seeds; {false_positives} false positives on the clean tree",
            patches.len() - missed,
            patches.len(),
            campaigns.seeds,
        );
    }
    Ok(if false_positives > 0 || missed > 0 {
        Exit::Invalid
    } else {
        Exit::Expected
    })
}

fn show(arguments: &MutantsArguments, detections: &[Detection]) -> anyhow::Result<()> {
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(detections)?);
    } else {
        print!("{}", table(detections));
    }
    Ok(())
}

/// On real processes: few seeds, each a whole run, and a campaign of its own in the table.
fn processes(
    arguments: &MutantsArguments,
    root: &Path,
    tree: &Tree,
    patches: &[Patch],
) -> anyhow::Result<Exit> {
    let seeds = arguments.seeds.unwrap_or(PROCESS_SEEDS);
    let plan_of = |patch: &Patch| plan(arguments, patch.processes_plan(), PARTITIONS);
    let plans: BTreeSet<PathBuf> = patches.iter().map(plan_of).collect();
    let mut detections = Vec::new();
    for patch in patches {
        tree.plant(patch)?;
        let binary = tree.build(&patch.name)?;
        let judged = Judged::Mutant(patch);
        detections.push(on_processes(
            &binary,
            judged,
            (root, &plan_of(patch)),
            seeds,
        )?);
    }
    let is_shown = |one: &Detection| one.found() as u64 * 10 >= seeds * 8;
    let are_all_shown = detections.iter().all(is_shown);
    tree.restore()?;
    let binary = tree.build("clean")?;
    let mut false_positives = 0;
    for plan in &plans {
        let clean = on_processes(&binary, Judged::Clean, (root, plan), seeds)?;
        false_positives += clean.found();
        detections.push(clean);
    }
    show(arguments, &detections)?;
    Ok(match are_all_shown && false_positives == 0 {
        true => Exit::Expected,
        false => Exit::Invalid,
    })
}

fn on_processes(
    binary: &Path,
    judged: Judged<'_>,
    (root, plan): (&Path, &Path),
    seeds: u64,
) -> anyhow::Result<Detection> {
    let mut detection = Detection::new(judged, plan);
    for seed in 1..=seeds {
        let results = run_process_seed(binary, &root.join(plan), &root.join(HOME), seed)?;
        let is_invalid = |check: &&CheckResult| check.validity == Validity::Invalid;
        let broken = results.verdict.checks.iter().filter(is_invalid);
        let checks: Vec<String> = broken.map(|check| check.check.clone()).collect();
        eprintln!(
            "{} seed {seed}: {} {}",
            detection.mutant,
            results.outcome.validity,
            checks.join(", ")
        );
        let is_found = results.outcome.validity == Validity::Invalid;
        let faults = results.fault_totals.planned;
        detection.seeds += 1;
        detection.campaigns.push(is_found.then_some(Found {
            after: 1,
            seed,
            checks,
            faults,
        }));
        if is_found && detection.replay.is_none() {
            let plan = plan.display();
            detection.replay = Some(format!("viewstorm run {plan} --seed {seed}"));
        }
    }
    Ok(detection)
}

fn run_process_seed(binary: &Path, plan: &Path, home: &Path, seed: u64) -> anyhow::Result<Results> {
    let mut command = Command::new(binary);
    command
        .arg("run")
        .arg(plan)
        .args(["--world", "processes", "--seed", &seed.to_string()]);
    command
        .args(["--replace", "--json", "--out"])
        .arg(home.join("process-runs"));
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("running the mutant")?;
    serde_json::from_slice(&output.stdout).with_context(|| {
        format!(
            "seed {seed}: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })
}

fn progress(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("[{bar:24}] {pos}/{len} {msg}");
    let style = style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ");
    ProgressBar::new(length).with_style(style)
}
