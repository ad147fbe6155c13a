//! Storms: Viewstamped Replication under everything at once, hundreds of seeds of it.
//!
//! A seed draws a climate, the climate draws faults, the faults hit a cluster that serves clients. Theorems are
//! checked after every event and every answer is checked against the one order of operations. Then the sky
//! clears, and the cluster has to serve everybody within a bounded time.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `STORM_SEED` | the first seed | 0 |
//! | `STORM_SEEDS` | how many | what the test says |
//! | `STORM_FAILURES` | how many failing seeds to look for before giving up | 1 |

mod answers;
mod climate;
mod faults;
mod partition;
mod random;
mod storm;
mod survey;
mod world;

use climate::Climate;
use survey::survey;

#[test]
fn three_replicas_weather_every_storm() {
    survey("three", |seed| Climate::draw(seed, &[3]), 1_200);
}

#[test]
fn five_replicas_weather_every_storm() {
    survey("five", |seed| Climate::draw(seed, &[5]), 500);
}

#[test]
fn a_group_of_any_size_weathers_every_storm() {
    let climate = |seed| Climate::draw(seed, &[1, 2, 4, 6, 7]);
    survey("any_size", climate, 300);
}

#[test]
fn view_durable_groups_weather_all_that_leaves_f_plus_one_their_state() {
    let climate = |seed| Climate::view_durable(seed, &[3, 3, 5]);
    survey("view_durable", climate, 400);
}

#[test]
fn diskless_groups_weather_it_while_the_dead_are_silent() {
    let climate = |seed| Climate::diskless(seed, &[3, 3, 5]);
    survey("diskless", climate, 200);
}

#[test]
fn wiped_replicas_come_back_as_members_that_know_nothing() {
    let climate = |seed| Climate::wiping(seed, &[3, 3, 5]);
    survey("wiped", climate, 400);
}

#[test]
fn a_seed_is_one_run_and_another_seed_is_another() {
    let mut hashes = std::collections::BTreeSet::new();
    for seed in 0..30 {
        let run = || {
            storm::run(&Climate::draw(seed, &[3, 5]))
                .expect("it ends well")
                .trace_hash
        };
        let hash = run();
        assert_eq!(hash, run(), "seed {seed}");
        assert!(hashes.insert(hash), "seed {seed} repeats another's run");
    }
}
