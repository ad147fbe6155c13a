//! A plan says only how it differs from another.

use std::path::Path;

use viewstorm::plan::{Plan, PlanErrors};

/// Writes the files of a folder and reads the first of them.
fn load(files: &[(&str, &str)]) -> Result<Plan, PlanErrors> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        let parent = path.parent().unwrap_or(Path::new("."));
        std::fs::create_dir_all(parent).expect("a folder");
        std::fs::write(path, text).expect("a file");
    }
    Plan::load(folder.path().join(files[0].0))
}

fn refused(files: &[(&str, &str)]) -> String {
    let errors = load(files).expect_err("this is accepted");
    errors.render(false)
}

const BASE: &str = "name = \"base\"\n[cluster]\nreplicas = 5\n[run]\nduration = \"10s\"\n\
    [[nemesis]]\nfault = \"kill\"\ntarget = \"primary\"\nat = \"1s\"\nfor = \"1s\"\n";

#[test]
fn tables_are_merged_and_the_upper_plan_has_the_last_word() {
    let upper =
        "extends = \"base.toml\"\nname = \"upper\"\n[run]\nwarmup = \"1s\"\nduration = \"20s\"\n";
    let plan = load(&[("upper.toml", upper), ("base.toml", BASE)]).unwrap();
    assert_eq!(plan.name, "upper");
    assert_eq!(plan.cluster.replicas, 5);
    assert_eq!(plan.run.duration.as_secs(), 20);
    assert_eq!(plan.run.warmup.as_secs(), 1);
    assert_eq!(plan.nemesis.settled.len(), 1);
    assert!(
        !plan.to_toml().contains("extends"),
        "a resolved plan is complete"
    );
}

#[test]
fn a_list_replaces_that_of_the_base() {
    let upper = "extends = \"base.toml\"\nname = \"calm\"\nnemesis = []\n";
    let plan = load(&[("upper.toml", upper), ("base.toml", BASE)]).unwrap();
    assert!(plan.nemesis.settled.is_empty());
}

#[test]
fn a_base_extends_from_its_own_folder() {
    let plan = load(&[
        ("upper.toml", "extends = \"deep/middle.toml\"\n"),
        (
            "deep/middle.toml",
            "extends = \"../base.toml\"\n[cluster]\nreplicas = 7\n",
        ),
        ("base.toml", BASE),
    ])
    .unwrap();
    assert_eq!((plan.name.as_str(), plan.cluster.replicas), ("base", 7));
}

#[test]
fn an_error_of_the_base_is_shown_in_the_base() {
    let text = refused(&[
        (
            "upper.toml",
            "extends = \"base.toml\"\nname = \"x\"\n# one more line\n",
        ),
        ("base.toml", "\n[cluster]\nreplica = 3\n"),
    ]);
    assert!(text.contains("base.toml:3:1"), "{text}");
    assert!(text.contains("replicas"), "{text}");
    let text = refused(&[
        ("upper.toml", "extends = \"base.toml\"\nname = \"x\"\n"),
        ("base.toml", "[cluster\n"),
    ]);
    assert!(text.contains("base.toml:1"), "{text}");
}

#[test]
fn an_error_of_the_upper_plan_keeps_its_place() {
    let upper = "extends = \"base.toml\"\n[cluster]\nreplicas = \"five\"\n";
    let text = refused(&[("upper.toml", upper), ("base.toml", BASE)]);
    assert!(text.contains("upper.toml:3:12"), "{text}");
}

#[test]
fn a_base_that_is_missing_or_goes_in_a_circle_is_an_error_at_its_name() {
    let text = refused(&[("upper.toml", "extends = \"gone.toml\"\n")]);
    assert!(text.contains("gone.toml cannot be read"), "{text}");
    assert!(text.contains("upper.toml:1:11"), "{text}");
    let text = refused(&[
        ("upper.toml", "extends = \"base.toml\"\n"),
        ("base.toml", "name = \"x\"\nextends = \"upper.toml\"\n"),
    ]);
    assert!(text.contains("goes in a circle"), "{text}");
    assert!(text.contains("base.toml:2:11"), "{text}");
    let text = refused(&[("upper.toml", "extends = 3\n")]);
    assert!(text.contains("names no plan"), "{text}");
}

#[test]
fn a_text_without_a_file_cannot_extend() {
    let errors = Plan::parse("text", "extends = \"base.toml\"\nname = \"x\"\n", &[]);
    let text = errors.expect_err("this is accepted").render(false);
    assert!(text.contains("has no file"), "{text}");
}
