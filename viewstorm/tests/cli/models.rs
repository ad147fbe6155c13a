//! What is promised in which model, and the experiments that show it.

use std::path::Path;

use viewstorm::plan::{Plan, Promise, experiment, matrix, models};
use viewstorm_checker::Validity;

use crate::support::Home;

fn root() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

#[test]
fn the_page_of_the_book_is_what_the_command_prints() {
    let page = std::fs::read_to_string(root().join("docs/models.md")).unwrap();
    assert_eq!(page, matrix(), "viewstorm model > docs/models.md");
    let printed = Home::new().viewstorm(&["model"]).expect(0);
    assert_eq!(printed.stdout, page);
}

#[test]
fn every_cell_is_shown_by_its_experiment() {
    let home = Home::new();
    let mut seen = 0;
    for model in models() {
        let protocol = viewstorm::plan::Protocol::Vr;
        let path = root().join(experiment(protocol, model));
        let plan = Plan::load(&path).unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(plan.model, model, "{}", path.display());
        let expected = match Promise::of(protocol, model) {
            Promise::SafeAndLive | Promise::SafeOnly => Validity::Valid,
            Promise::Nothing => Validity::Invalid,
        };
        assert_eq!(plan.expect.verdict, expected, "{}", path.display());
        let is_live = Promise::of(protocol, model) == Promise::SafeAndLive;
        assert_eq!(plan.check.bounds.availability.is_some(), is_live);
        let path = path.to_str().unwrap();
        let ended = home.viewstorm(&["simulate", path, "--seeds", "1..2", "--quiet"]);
        assert_eq!(
            ended.code,
            Some(0),
            "{path}: {} {}",
            ended.stdout,
            ended.stderr
        );
        seen += 1;
    }
    assert_eq!(seen, 27);
}
