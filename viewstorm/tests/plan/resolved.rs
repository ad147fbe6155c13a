//! What is written reads back as the same plan.

use std::time::Duration;

use proptest::prelude::*;
use viewstorm::plan::{
    Arrival, Bounds, Check, Cluster, Durability, Expect, FailureDetector, Faults, Liveness, Mix,
    Model, Network, Nodes, Pauses, Plan, Protocol, Reads, Run, SeedQuantifier, Timeouts, Timing,
    Workload, WorkloadKind, World, WorldKind,
};
use viewstorm_checker::Validity;
use viewstorm_history::Seed;
use viewstorm_nemesis::Declaration;

use crate::faults;

fn duration(nanos: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    nanos.prop_map(Duration::from_nanos)
}

fn model() -> impl Strategy<Value = Model> {
    let network = prop::sample::select(vec![
        Network::Reliable,
        Network::FairLoss,
        Network::Arbitrary,
    ]);
    let nodes = prop::sample::select(vec![
        Nodes::CrashStop,
        Nodes::CrashRecovery,
        Nodes::Byzantine,
    ]);
    let timing = prop::sample::select(vec![
        Timing::Synchronous,
        Timing::PartiallySynchronous,
        Timing::Asynchronous,
    ]);
    (network, nodes, timing).prop_map(|(network, nodes, timing)| Model {
        network,
        nodes,
        timing,
    })
}

prop_compose! {
    fn cluster()(
        replicas in 1u16..=32,
        spares in 0u16..=32,
        base_port in prop::option::of(1024u16..60_000),
        fence_incarnations: bool,
        checkpoint_interval in 1u64..1_000_000,
        heartbeat in duration(1_000_000..1_000_000_000),
        longer in duration(1..10_000_000_000),
        resend in duration(1_000_000..10_000_000_000),
        suspicion_floor in duration(1_000_000..1_000_000_000),
        wider in duration(0..10_000_000_000),
        lease in duration(1_000_000..10_000_000_000),
        failure_detector in prop::sample::select(vec![FailureDetector::Fixed, FailureDetector::Adaptive]),
        reads in prop::sample::select(vec![Reads::Log, Reads::Lease, Reads::Backup]),
        max_drift_ppm in 0u32..=500_000,
    ) -> Cluster {
        Cluster {
            protocol: Protocol::Vr,
            replicas,
            spares,
            durability: Durability::Wal,
            base_port,
            fence_incarnations,
            checkpoint_interval,
            failure_detector,
            reads,
            max_drift_ppm,
            timeouts: Timeouts {
                heartbeat,
                suspicion: heartbeat + longer,
                suspicion_floor,
                suspicion_cap: suspicion_floor + wider,
                resend,
                lease,
            },
        }
    }
}

prop_compose! {
    fn workload()(
        endpoints in 1u16..=64,
        more in 0u32..1000,
        rate in prop::option::of(0.001f64..1e6),
        keys in 1u32..1000,
        payload in 0u32..10_000,
        timeout in duration(1_000_000..100_000_000_000),
        start_timeout in duration(1_000_000..100_000_000_000),
        read in 0u32..100,
        write in 0u32..100,
        cas in 1u32..100,
        pauses in prop::option::of((
            0.0f64..=1.0,
            duration(1_000_000..10_000_000_000),
            duration(1_000_000..10_000_000_000),
        )),
    ) -> Workload {
        Workload {
            kind: WorkloadKind::Register,
            clients: u32::from(endpoints) + more,
            endpoints,
            arrival: rate.map_or(Arrival::Closed, |rate| Arrival::Open { rate }),
            keys,
            payload,
            timeout,
            start_timeout,
            mix: Mix { read, write, cas },
            pauses: pauses.map(|(chance, burst, pause)| Pauses { chance, burst, pause }),
        }
    }
}

prop_compose! {
    fn run()(
        warmup in duration(0..1_000_000_000),
        rest in duration(1_000_000..1_000_000_000_000),
        quiesce in duration(0..100_000_000_000),
        seed: Option<u64>,
    ) -> Run {
        Run { warmup, duration: warmup + rest, quiesce, seed: seed.map(Seed) }
    }
}

prop_compose! {
    fn judged()(
        checks in prop::sample::select(vec![
            vec!["linearizability"],
            vec!["durability"],
            vec!["durability", "linearizability"],
        ]),
        strict_bounds: bool,
        availability in prop::option::of(0.0f64..=1.0),
        recovery in prop::option::of(duration(0..10_000_000_000)),
        latency_p99 in prop::option::of(duration(0..10_000_000_000)),
        verdict in prop::sample::select(vec![Validity::Valid, Validity::Unknown, Validity::Invalid]),
        names_property: bool,
        any: bool,
        core: bool,
    ) -> (Check, Expect) {
        let names_property = names_property && verdict != Validity::Valid;
        let seeds = if any { SeedQuantifier::Any } else { SeedQuantifier::Every };
        let property = names_property.then(|| checks[0].to_owned());
        let check = Check {
            checks: checks.into_iter().map(str::to_owned).collect(),
            liveness: if core { Liveness::Core } else { Liveness::All },
            strict_bounds,
            bounds: Bounds { availability, recovery, latency_p99 },
        };
        (check, Expect { verdict, property, seeds })
    }
}

prop_compose! {
    fn plan()(
        name in "[a-z0-9]{1,8}(-[a-z0-9]{1,8}){0,3}",
        description in any::<String>(),
        simulated: bool,
        model in model(),
        cluster in cluster(),
        workload in workload(),
        run in run(),
        (check, expect) in judged(),
        drawn in prop::collection::vec(faults::drawn(), 0..6),
    ) -> Plan {
        let settled: Vec<Declaration> =
            drawn.into_iter().map(|fault| fault.declare(run.duration)).collect();
        let nemesis = Faults { settled, open: Vec::new() };
        // Faults need a model that allows them, and the nodes that they name.
        let has_faults = !nemesis.is_empty();
        let model = if has_faults { Model::default() } else { model };
        let replicas = cluster.replicas.max(if has_faults { 3 } else { 1 });
        let cluster = Cluster { replicas, ..cluster };
        // And a world that can do what they ask for.
        let is_beyond = nemesis.settled.iter().any(|fault| fault.fault.capability().is_some());
        let kind =
            if simulated || is_beyond { WorldKind::Simulated } else { WorldKind::Processes };
        let world = World { kind };
        Plan { name, description, world, model, cluster, workload, run, nemesis, check, expect }
    }
}

fn read_back(plan: &Plan) -> Plan {
    let text = plan.to_toml();
    Plan::parse("plan.toml", &text, &[]).unwrap_or_else(|errors| panic!("{errors}\n{text}"))
}

proptest! {
    #[test]
    fn any_plan_reads_back_as_it_is_written(plan in plan()) {
        prop_assert_eq!(read_back(&plan), plan);
    }

    #[test]
    fn a_resolved_plan_reads_back_and_means_the_same_faults(plan in plan(), seed: u64, other: u64) {
        let resolved = plan.resolved(Seed(seed));
        prop_assert_eq!(&read_back(&resolved), &resolved);
        prop_assert_eq!(resolved.timeline(Seed(other)), plan.timeline(Seed(seed)));
    }
}

#[test]
fn a_plan_that_only_has_a_name_is_complete() {
    let plan = Plan::parse("x.toml", "name = \"x\"", &[]).unwrap();
    assert_eq!(read_back(&plan), plan);
    insta::assert_snapshot!("defaults", plan.to_toml());
}
