//! Every planted bug applies to this tree and compiles: one that does not would prove nothing when it is not found.

use std::path::Path;

use viewstorm::mutants::{Tree, patches};

#[test]
fn every_mutant_applies_and_compiles() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let patches = patches(root, &[]).unwrap();
    assert!(patches.iter().any(|patch| patch.name == "vr/commit-with-f"));
    let tree = Tree::new(
        root,
        &Path::new(env!("CARGO_TARGET_TMPDIR")).join("mutants"),
    )
    .unwrap();
    for patch in &patches {
        tree.plant(patch).unwrap_or_else(|error| panic!("{error}"));
        tree.check(&patch.name)
            .unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_patch_that_does_not_apply_is_an_error() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let tree = Tree::new(
        root,
        &Path::new(env!("CARGO_TARGET_TMPDIR")).join("no-mutants"),
    )
    .unwrap();
    let mut patch = patches(root, &["commit-with-f".to_owned()])
        .unwrap()
        .remove(0);
    let text = std::fs::read_to_string(&patch.path)
        .unwrap()
        .replace("majority", "minority");
    let elsewhere = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&elsewhere, text).unwrap();
    patch.path = elsewhere.path().to_owned();
    let error = tree.plant(&patch).unwrap_err().to_string();
    assert!(
        error.contains("commit-with-f") && error.contains("does not apply"),
        "{error}"
    );
}
