//! Every plan in the folders under experiments/ is a plan; what lies in experiments/ itself are plans of nights.

use std::path::{Path, PathBuf};

use viewstorm::mutants::patches;
use viewstorm::nightly::NightPlan;
use viewstorm::plan::Plan;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments")
}

/// The plans: everything in the folders of experiments/.
fn plans() -> Vec<PathBuf> {
    let mut found = Vec::new();
    files(&directory(), &mut found);
    found.retain(|path| path.parent() != Some(directory().as_path()));
    found.sort();
    found
}

fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            found.push(path);
        }
    }
}

/// The texts of all plans under experiments/.
pub(crate) fn texts() -> Vec<String> {
    plans()
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn every_experiment_is_a_plan() {
    let found = plans();
    assert!(!found.is_empty());
    for path in found {
        if let Err(errors) = Plan::load(&path) {
            panic!("{}\n{errors}", path.display());
        }
    }
}

#[test]
fn every_night_is_a_plan_of_a_night_whose_plans_are_there() {
    let mut nights = 0;
    for entry in std::fs::read_dir(directory()).unwrap() {
        let path = entry.unwrap().path();
        if !path.is_file() {
            continue;
        }
        nights += 1;
        let night = NightPlan::load(&path).unwrap_or_else(|error| panic!("{error}"));
        let of_experiments = night.experiments.iter().map(|experiment| &experiment.plan);
        let of_canaries = night.canaries.iter().map(|canary| &canary.plan);
        for plan in of_experiments.chain(of_canaries) {
            assert!(plan.is_file(), "{}: {}", path.display(), plan.display());
        }
        let names: Vec<_> = night
            .canaries
            .iter()
            .filter_map(|c| c.mutant.clone())
            .collect();
        patches(&directory().join(".."), &names).unwrap_or_else(|error| panic!("{error}"));
    }
    assert!(nights > 0);
}
