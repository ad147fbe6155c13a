//! Faults that each seed draws its own of.

use std::collections::BTreeSet;
use std::time::Duration;

use proptest::prelude::*;
use viewstorm::plan::Plan;
use viewstorm_history::Seed;
use viewstorm_nemesis::{Fault, LinkEffect, LinkFault, ScheduledFault, Shape};

const HEAD: &str = "name = \"x\"\nworld.kind = \"simulated\"\n[run]\nduration = \"60s\"\n";

const PARTITION: &str = "[[nemesis]]\nname = \"cut\"\nfault = \"partition\"\nshape = \"any\"\n\
                         every = [\"4s\", \"9s\"]\njitter = \"1s\"\nfor = [\"300ms\", \"3s\"]\n";
const LOSS: &str = "[[nemesis]]\nfault = \"loss\"\nchance = 0.5\ntarget = [\"primary\", \"one\"]\n\
                    share = [0.05, 0.5]\nat = [\"1s\", \"50s\"]\nfor = \"2s\"\n";
const KILL: &str = "[[nemesis]]\nfault = [\"kill\", \"pause\"]\ntarget = \"any\"\n\
                    every = \"7s\"\ncount = [1, 4]\nfor = [\"1s\", \"2s\"]\n";
const DROP: &str = "[[nemesis]]\nfault = \"messages\"\nact = [\"drop\", \"hold\"]\nkinds = \"any\"\n\
                    target = \"primary\"\nskip = [0, 9]\nat = \"3s\"\nchance = 1\n";
const TRIGGER: &str = "[[nemesis]]\nfault = \"restart\"\ntarget = \"one\"\non = \"message\"\n\
                       kind = \"any\"\nfrom = [\"r0\", \"r1\"]\ncount = [1, 9]\nafter = [\"0s\", \"5ms\"]\n\
                       times = 2\n";
const ALL: [&str; 5] = [PARTITION, LOSS, KILL, DROP, TRIGGER];

fn plan(tables: &[&str]) -> Plan {
    let text = format!("{HEAD}{}", tables.concat());
    Plan::parse("x.toml", &text, &[]).unwrap_or_else(|errors| panic!("{errors}"))
}

fn faults(plan: &Plan, seed: u64) -> Vec<ScheduledFault> {
    plan.timeline(Seed(seed)).faults().to_vec()
}

#[test]
fn a_seed_draws_the_same_again_and_another_something_else() {
    let plan = plan(&ALL);
    let timelines: BTreeSet<String> = (0..100)
        .map(|seed| format!("{:?}", faults(&plan, seed)))
        .collect();
    assert_eq!(timelines.len(), 100, "every seed is a storm of its own");
    assert_eq!(faults(&plan, 7), faults(&plan, 7));
}

#[test]
fn taking_a_fault_away_shifts_nothing_of_the_others() {
    let whole = plan(&ALL);
    for gone in 0..ALL.len() {
        let mut tables = ALL.to_vec();
        let table = tables.remove(gone);
        for seed in 0..20 {
            let taken = faults(&plan(&[table]), seed);
            let left = faults(&whole, seed)
                .into_iter()
                .filter(|fault| !taken.contains(fault));
            assert_eq!(
                faults(&plan(&tables), seed),
                left.collect::<Vec<_>>(),
                "{table}"
            );
        }
    }
}

#[test]
fn a_key_more_shifts_nothing_of_the_others() {
    let clients = format!("{PARTITION}clients = \"any\"\n");
    let (without, with) = (plan(&[PARTITION]), plan(&[&clients]));
    for seed in 0..20 {
        let times = |plan| -> Vec<_> {
            faults(plan, seed)
                .iter()
                .map(|fault| (fault.at, fault.length, fault.seed))
                .collect()
        };
        assert_eq!(times(&without), times(&with));
    }
}

#[test]
fn draws_stay_between_their_ends_and_reach_all_of_it() {
    let plan = plan(&[PARTITION, LOSS]);
    let all: Vec<_> = (0..300).flat_map(|seed| faults(&plan, seed)).collect();
    let ms = Duration::from_millis;
    let lengths = all
        .iter()
        .filter(|fault| fault.name.is_some())
        .filter_map(|fault| fault.length);
    let lengths: Vec<Duration> = lengths.collect();
    assert!(
        lengths
            .iter()
            .all(|length| (ms(300)..=ms(3_000)).contains(length))
    );
    assert!(lengths.iter().min() < Some(&ms(400)) && lengths.iter().max() > Some(&ms(2_900)));
    let shapes: BTreeSet<String> = all
        .iter()
        .filter_map(|fault| match &fault.fault {
            Fault::Partition(partition) => Some(format!("{:?}", partition.shape)),
            _ => None,
        })
        .collect();
    assert_eq!(shapes.len(), 5, "{shapes:?}");
    assert!(shapes.contains(&format!("{:?}", Shape::MajoritiesRing)));
    let shares = all.iter().filter_map(|fault| match fault.fault {
        Fault::Links(LinkFault {
            effect: LinkEffect::Loss(share),
            ..
        }) => Some(share),
        _ => None,
    });
    let shares: Vec<f64> = shares.collect();
    assert!(shares.iter().all(|share| (0.05..=0.5).contains(share)));
    assert!(
        (120..180).contains(&shares.len()),
        "half of 300 seeds: {}",
        shares.len()
    );
}

#[test]
fn what_a_seed_settles_is_the_same_each_time_and_the_rest_is_not() {
    let plan = plan(&[PARTITION]);
    for seed in 0..20 {
        let faults = faults(&plan, seed);
        // A period of 4 to 9 s with a jitter of 1 s.
        let period = faults[0].at.as_secs_f64();
        for (number, fault) in (1..).zip(&faults) {
            let off = fault.at.as_secs_f64() - f64::from(number) * period;
            assert!(off.abs() <= f64::from(number) + 1.0, "{number}: {off}");
        }
        let lengths: BTreeSet<_> = faults.iter().map(|fault| fault.length).collect();
        assert_eq!(lengths.len(), faults.len(), "each has a length of its own");
    }
}

#[test]
fn a_list_of_nodes_is_these_nodes() {
    let text = "[[nemesis]]\nfault = \"kill\"\ntarget = [\"r0\", \"r2\"]\nat = \"1s\"\n";
    let plan = plan(&[text]);
    assert!(plan.nemesis.open.is_empty() && plan.nemesis.settled.len() == 1);
}

const ANY: &str = "[[nemesis]]\nfault = \"any\"\n";

#[test]
fn any_is_the_storm_as_far_as_the_plan_allows_it() {
    let storm =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/vr/storm.toml");
    let storm = Plan::load(storm).unwrap();
    let any = plan(&[ANY]);
    assert_eq!(
        any.nemesis.open.len(),
        storm.nemesis.open.len(),
        "nothing is left out"
    );
    let names = |text: &str| -> BTreeSet<&'static str> {
        let plan = Plan::parse("x.toml", text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        let timelines: Vec<_> = (0..50).map(|seed| plan.timeline(Seed(seed))).collect();
        let faults = timelines.iter().flat_map(|timeline| timeline.faults());
        faults.map(|fault| fault.fault.name()).collect()
    };
    let processes = names(&format!("name = \"x\"\n{ANY}"));
    assert!(
        processes.contains("kill") && processes.contains("partition"),
        "{processes:?}"
    );
    assert!(
        processes.contains("power-loss") && processes.contains("clock"),
        "{processes:?}"
    );
    let stable = names(&format!("{HEAD}[model]\nnodes = \"crash-stop\"\n{ANY}"));
    assert!(
        !stable.contains("kill") && stable.contains("loss"),
        "{stable:?}"
    );
}

#[test]
fn intensity_is_how_often_and_a_short_run_has_as_many() {
    let count = |text: &str| -> usize {
        let plan = Plan::parse("x.toml", text, &[]).unwrap_or_else(|errors| panic!("{errors}"));
        (0..50)
            .map(|seed| plan.timeline(Seed(seed)).faults().len())
            .sum()
    };
    let with = |run: &str, more: &str| {
        count(&format!(
            "name = \"x\"\n[run]\nduration = \"{run}\"\n{ANY}{more}"
        ))
    };
    let (normal, twice) = (with("30s", ""), with("30s", "intensity = 2\n"));
    assert!(
        (1.6..2.4).contains(&(twice as f64 / normal as f64)),
        "{normal} {twice}"
    );
    let short = with("15s", "");
    assert!(
        (0.6..1.4).contains(&(short as f64 / normal as f64)),
        "{normal} {short}"
    );
}

fn tables() -> impl Strategy<Value = Vec<&'static str>> {
    prop::sample::subsequence(ALL.to_vec(), 0..=ALL.len())
}

proptest! {
    #[test]
    fn open_faults_read_back_as_they_are_written(tables in tables()) {
        let plan = plan(&tables);
        let text = plan.to_toml();
        let again = Plan::parse("x.toml", &text, &[]);
        prop_assert_eq!(again.unwrap_or_else(|errors| panic!("{errors}\n{text}")), plan);
    }

    #[test]
    fn a_resolved_plan_leaves_nothing_open(tables in tables(), seed: u64, other: u64) {
        let plan = plan(&tables);
        let resolved = plan.resolved(Seed(seed));
        prop_assert!(resolved.nemesis.open.is_empty());
        let text = resolved.to_toml();
        let again = Plan::parse("x.toml", &text, &[]);
        let again = again.unwrap_or_else(|errors| panic!("{errors}\n{text}"));
        prop_assert_eq!(&again, &resolved);
        prop_assert_eq!(again.timeline(Seed(other)), plan.timeline(Seed(seed)));
    }

    /// Whatever stands where a value may be left open, a plan or its errors come of it.
    #[test]
    fn no_list_makes_the_parser_panic(
        key in prop::sample::select(vec!["for", "share", "target", "shape", "kinds", "count", "on"]),
        items in prop::collection::vec(
            prop::sample::select(vec!["1", "0.5", "-3", "\"1s\"", "\"r0\"", "\"any\"", "[]", "true"]),
            0..4,
        ),
    ) {
        let text = format!(
            "{HEAD}[[nemesis]]\nfault = \"loss\"\nevery = \"5s\"\n{key} = [{}]\n",
            items.join(", ")
        );
        if let Ok(plan) = Plan::parse("x.toml", &text, &[]) {
            plan.timeline(Seed(1));
        }
    }
}
