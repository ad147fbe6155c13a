//! One seed from its first fault to the calm after the last.

use std::time::Duration;

use viewstorm_history::Timestamp;
use viewstorm_simulator::Statistics;

use crate::climate::Climate;
use crate::faults::Weather;
use crate::world::{World, after};

/// After the storm every request is answered and all replicas agree within this long.
const CALM: Duration = Duration::from_secs(20);
/// How often it is looked whether they do.
const GLANCE: Duration = Duration::from_millis(10);

/// A run that ended well.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub(crate) trace_hash: u64,
    pub(crate) statistics: Statistics,
    /// How many operations were answered.
    pub(crate) answered: usize,
    /// The latest view that was reached.
    pub(crate) view: u64,
    /// How long the cluster took to recover from the storm.
    pub(crate) recovery: Duration,
}

/// Runs one seed. An error says what was broken and which faults had hit.
pub(crate) fn run(climate: &Climate) -> Result<Outcome, String> {
    let mut world = World::new(climate);
    let mut weather = Weather::begin(climate, &mut world);
    let ended = rage(climate, &mut world, &mut weather);
    let recovery = ended.map_err(|what| {
        let faults = weather.log.join("\n  ");
        format!("{what}\n{}\nfaults:\n  {faults}", world.describe())
    })?;
    Ok(Outcome {
        trace_hash: world.simulation.trace_hash(),
        statistics: world.simulation.statistics(),
        answered: world.answered(),
        view: world.latest_view(),
        recovery,
    })
}

/// The storm, and the calm after it. Says how long the cluster took to recover.
fn rage(climate: &Climate, world: &mut World, weather: &mut Weather) -> Result<Duration, String> {
    let end = Timestamp(climate.length * 1_000_000);
    while world.now() < end {
        world.run_to(weather.next().min(end))?;
        weather.change(world);
    }
    weather.clear_up(world);
    // What is under way completes by itself: a new request would heal what an old one has lost.
    world.hush();
    let recovery = settle(world, weather)?;
    world.invoke_once();
    settle(world, weather)?;
    world.answers_are_of_one_order()?;
    Ok(recovery)
}

/// Waits until every request is answered and all replicas agree. Says how long that took.
fn settle(world: &mut World, weather: &mut Weather) -> Result<Duration, String> {
    let cleared = world.now();
    while world.has_pending() || !world.has_converged() {
        if world.now() >= after(cleared, CALM) {
            return Err(format!(
                "liveness: no recovery within {CALM:?} after the storm"
            ));
        }
        // A crash or a failing disk that was already on its way may still strike.
        weather.restart_all(world);
        world.run_to(after(world.now(), GLANCE))?;
        world.take_stirred();
    }
    Ok(Duration::from_nanos(world.now().0 - cleared.0))
}
