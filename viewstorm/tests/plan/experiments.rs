//! Every plan under experiments/ is a plan.

use std::path::{Path, PathBuf};

use viewstorm::plan::Plan;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments")
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
    let mut found = Vec::new();
    files(&directory(), &mut found);
    found.sort();
    found
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect()
}

#[test]
fn every_experiment_is_a_plan() {
    let mut found = Vec::new();
    files(&directory(), &mut found);
    assert!(!found.is_empty());
    for path in found {
        if let Err(errors) = Plan::load(&path) {
            panic!("{}\n{errors}", path.display());
        }
    }
}
