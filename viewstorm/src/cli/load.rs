//! A plan as the command line changes it.

use std::path::Path;

use crate::plan::{Override, Plan, PlanErrors};

/// Reads the plan at `path` with the world of `--world`, the profile of `--nemesis` and every `--set`.
pub(super) fn load_plan(
    path: &Path,
    world: Option<&str>,
    nemesis: Option<&str>,
    set: &[String],
) -> Result<Plan, PlanErrors> {
    let world = world.map(|world| Ok(Override::flag("--world", "world.kind", world)));
    let nemesis = nemesis.map(|profile| Ok(Override::profile(profile)));
    let set = set.iter().map(|set| Override::set(set));
    let all = world.into_iter().chain(nemesis).chain(set);
    let overrides: Vec<_> = all.collect::<Result<_, _>>()?;
    Plan::load_with(path, &overrides)
}
