//! `viewstorm replay DIR`.

use std::path::Path;

use viewstorm_history::Seed;
use viewstorm_report::Run;

use super::Exit;
use super::arguments::ReplayArguments;
use crate::plan::Plan;
use crate::run_facts::RunFacts;
use crate::run_folder::PLAN_FILE;
use crate::simulate::run_seed;

pub(super) fn replay(arguments: &ReplayArguments) -> anyhow::Result<Exit> {
    let recorded = match read(&arguments.directory) {
        Ok(recorded) => recorded,
        Err(reason) => {
            eprintln!("viewstorm: {reason}");
            return Ok(Exit::Plan);
        }
    };
    let again = run_seed(&recorded.plan, recorded.seed, &recorded.facts)?;
    let same_hash = again.trace_hash == recorded.trace_hash;
    println!(
        "trace hash: {} then, {} now",
        recorded.trace_hash, again.trace_hash
    );
    if same_hash && again.results.outcome == recorded.run.results.outcome {
        println!("the same run: {}", again.results.outcome.validity);
        return Ok(Exit::of(&again.results));
    }
    let (then, now) = (&recorded.facts.commit, crate::run_folder::COMMIT);
    eprintln!(
        "viewstorm: another run than {}: it was made by commit {then}, this is {now}",
        arguments.directory.display()
    );
    Ok(Exit::Harness)
}

/// A simulated run, as its folder has it.
struct Recorded {
    plan: Plan,
    facts: RunFacts,
    run: Run,
    seed: Seed,
    trace_hash: String,
}

fn read(directory: &Path) -> Result<Recorded, String> {
    let run = Run::open(directory).map_err(|error| error.to_string())?;
    let plan = Plan::load(directory.join(PLAN_FILE)).map_err(|errors| errors.to_string())?;
    let facts = RunFacts::read(directory).map_err(|error| error.to_string())?;
    let trace_hash = facts
        .ending
        .as_ref()
        .and_then(|ending| ending.trace_hash.clone());
    let trace_hash = trace_hash.ok_or_else(|| {
        format!(
            "{}: its seed does not fix this run: only simulated runs replay",
            directory.display()
        )
    })?;
    let seed = run.results.run.seed;
    Ok(Recorded {
        plan,
        facts,
        run,
        seed,
        trace_hash,
    })
}
