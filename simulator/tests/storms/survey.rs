//! Many seeds, and what became of them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use crate::climate::Climate;
use crate::storm;

/// A number from the environment.
fn variable(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

/// Runs seeds, each in its climate. Fails if any does, naming the line that runs it again.
pub(crate) fn survey(test: &str, climate: impl Fn(u64) -> Climate, seeds: u64) {
    let first = variable("STORM_SEED", 0);
    let most = variable("STORM_FAILURES", 1);
    let (mut failures, mut events, mut answered, mut syncs, mut views) = (0, 0, 0, 0, 0);
    let (mut virtual_time, mut slowest) = (Duration::ZERO, (Duration::ZERO, first));
    for seed in first..first + variable("STORM_SEEDS", seeds) {
        match attempt(&climate(seed)) {
            Ok(outcome) => {
                events += outcome.statistics.events;
                syncs += outcome.statistics.syncs;
                virtual_time += outcome.statistics.virtual_time;
                answered += outcome.answered;
                views += outcome.view;
                slowest = slowest.max((outcome.recovery, seed));
            }
            Err(what) => {
                failures += 1;
                println!(
                    "seed {seed} fails: STORM_SEED={seed} STORM_SEEDS=1 cargo nextest run -p \
                     viewstorm-simulator --test storms -E 'test({test})'\n{what}"
                );
            }
        }
        if failures >= most {
            break;
        }
    }
    println!(
        "{test}: {events} events, {answered} operations, {views} view changes, {syncs} syncs in {virtual_time:?} of \
         virtual time; slowest recovery {:?} (seed {})",
        slowest.0, slowest.1
    );
    assert_eq!(failures, 0, "seeds that fail are named above");
}

/// One seed; a core that panics has failed it like any other.
fn attempt(climate: &Climate) -> Result<storm::Outcome, String> {
    catch_unwind(AssertUnwindSafe(|| storm::run(climate))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("a panic: {}", text.unwrap_or_default()))
    })
}
