//! `viewstorm mutants`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use indicatif::{ProgressBar, ProgressStyle};
use viewstorm_checker::Validity;
use viewstorm_report::Results;

use super::Exit;
use super::arguments::MutantsArguments;
use crate::mutants::{Campaigns, HOME, Judged, Patch, Tree, patches, table};
use crate::plan::{Override, Plan, WorldKind};

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
        WorldKind::Processes => processes(arguments, &root, &tree, &patches),
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

fn simulated(
    arguments: &MutantsArguments,
    root: &Path,
    tree: &Tree,
    patches: &[Patch],
) -> anyhow::Result<Exit> {
    let plan = arguments
        .plan
        .clone()
        .unwrap_or_else(|| PathBuf::from("experiments/vr/storm.toml"));
    let campaigns = Campaigns {
        plan: plan.clone(),
        campaigns: arguments.campaigns,
        seeds: arguments.seeds,
    };
    if !root.join(&plan).exists() {
        bail!("{}: no such plan", plan.display());
    }
    let bar = progress(patches.len() as u64 + 1);
    let mut detections = Vec::new();
    for patch in patches {
        bar.set_message(format!("{}: building", patch.name));
        tree.plant(patch)?;
        let binary = tree.build(&patch.name)?;
        let watch = |done| bar.set_message(format!("{}: {done} campaigns", patch.name));
        detections.push(campaigns.run(&binary, Judged::Mutant(patch), watch)?);
        bar.inc(1);
    }
    tree.restore()?;
    let binary = tree.build("the clean tree")?;
    let watch = |done| bar.set_message(format!("clean: {done} campaigns"));
    let clean = campaigns.run(&binary, Judged::Clean, watch)?;
    bar.finish_and_clear();
    let false_positives = clean.found();
    let missed = detections
        .iter()
        .filter(|detection| detection.found() == 0)
        .count();
    detections.push(clean);
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&detections)?);
    } else {
        print!("{}", table(&detections));
        println!(
            "{} of {} mutants found within {} seeds; {false_positives} false positives on the clean tree",
            patches.len() - missed,
            patches.len(),
            arguments.seeds,
        );
    }
    Ok(if false_positives > 0 || missed > 0 {
        Exit::Invalid
    } else {
        Exit::Expected
    })
}

/// On real processes: few seeds, each a whole run.
fn processes(
    arguments: &MutantsArguments,
    root: &Path,
    tree: &Tree,
    patches: &[Patch],
) -> anyhow::Result<Exit> {
    let plan = arguments
        .plan
        .clone()
        .unwrap_or_else(|| PathBuf::from("experiments/vr/partitions.toml"));
    let plan = root.join(plan);
    let mut worst = Exit::Expected;
    for patch in patches {
        tree.plant(patch)?;
        let binary = tree.build(&patch.name)?;
        let mut found = 0;
        for seed in 1..=arguments.seeds {
            let results = run_process_seed(&binary, &plan, tree.path(), seed)?;
            let is_found = results.outcome.validity == Validity::Invalid;
            found += u64::from(is_found);
            let first = results.first_violation();
            let what = first.map_or_else(String::new, |(_, violation)| violation.summary.clone());
            println!(
                "{} seed {seed}: {} {what}",
                patch.name, results.outcome.validity
            );
        }
        println!(
            "{}: found by {found} of {} seeds",
            patch.name, arguments.seeds
        );
        if found * 10 < arguments.seeds * 8 {
            worst = Exit::Invalid;
        }
    }
    tree.restore()?;
    Ok(worst)
}

fn run_process_seed(binary: &Path, plan: &Path, home: &Path, seed: u64) -> anyhow::Result<Results> {
    let mut command = Command::new(binary);
    command
        .arg("run")
        .arg(plan)
        .args(["--seed", &seed.to_string()]);
    command
        .args(["--replace", "--json", "--out"])
        .arg(home.with_file_name("runs"));
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
