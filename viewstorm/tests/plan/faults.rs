//! Any faults that three replicas and a client endpoint can have, and every target, shape and act as a plan
//! writes it.

use std::time::Duration;

use proptest::prelude::*;
use viewstorm::plan::Plan;
use viewstorm_history::Seed;
use viewstorm_nemesis::{
    Budget, Burst, ClientSides, ClockEffect, ClockFault, CrashFault, CrashPoint, CrashStep,
    DamagePlace, Declaration, Delay, DiskEffect, DiskFault, Distribution, Fault, Flow, Layer, Link,
    LinkEffect, LinkFault, Links, MessageFault, Numbers, Partition, Rate, Shape, SlowFault, Spread,
    TapAct, Target, Trigger, TriggerEvent, WanFault, WanPreset, Way, When,
};
use viewstorm_protocol::{NodeId, ReplicaId};

/// A fault, its times still shares of the run.
#[derive(Clone, Debug)]
pub(crate) struct Drawn {
    name: Option<String>,
    fault: Fault,
    at: f64,
    length: Option<f64>,
    seed: Option<u64>,
    every: Option<(f64, f64, Option<f64>, Option<u32>)>,
    /// What it waits for, how often, how long, and how often it comes.
    trigger: Option<(TriggerEvent, u32, f64, u32)>,
}

impl Drawn {
    /// The fault in a run of this length.
    pub(crate) fn declare(self, duration: Duration) -> Declaration {
        const LEAST: Duration = Duration::from_millis(1);
        let share = |share: f64| duration.mul_f64(share * 0.9);
        let first = share(self.at);
        let when = match self.every {
            _ if let Some((event, count, after, times)) = self.trigger => When::On {
                trigger: Trigger {
                    event,
                    count,
                    after: share(after),
                    from: first,
                },
                times,
            },
            None => When::At(first),
            Some((period, jitter, until, count)) => {
                // A tenth of the run at least, so that a few of them are not thousands.
                let period = share(period).max(duration / 10).max(LEAST);
                let until = until.map(|until| share(until).max(first + LEAST));
                When::Every {
                    period,
                    first,
                    jitter: period.mul_f64(jitter),
                    until,
                    count,
                }
            }
        };
        let is_flapping = matches!(&self.fault, Fault::Partition(it) if it.flapping.is_some());
        let length = match self.fault {
            Fault::Restart(_) => None,
            Fault::Disk(DiskFault {
                effect: DiskEffect::BitFlip { .. },
                ..
            }) => None,
            _ if is_flapping => None,
            _ => self.length.map(|length| share(length).max(LEAST)),
        };
        let seed = self.seed.map(Seed);
        Declaration {
            name: self.name,
            fault: self.fault,
            when,
            length,
            seed,
        }
    }
}

fn node() -> impl Strategy<Value = NodeId> {
    prop_oneof![(0u16..3).prop_map(NodeId::replica), Just(NodeId::Client(0))]
}

fn target(with_clients: bool) -> impl Strategy<Value = Target> {
    let replica = (0u16..3).prop_map(NodeId::replica);
    let named = if with_clients {
        node().boxed()
    } else {
        replica.boxed()
    };
    prop_oneof![
        prop::sample::select(vec![
            Target::One,
            Target::Minority,
            Target::Majority,
            Target::Primary,
            Target::NextPrimary,
            Target::Backups,
        ]),
        (1u16..=2).prop_map(Target::Random),
        prop::collection::vec(named, 1..3).prop_map(Target::Named),
    ]
}

fn links() -> impl Strategy<Value = Vec<Link>> {
    let link = (0u16..3, 1u16..4).prop_map(|(from, step)| match step {
        3 => Link {
            from: NodeId::replica(from),
            to: NodeId::Client(0),
        },
        step => Link {
            from: NodeId::replica(from),
            to: NodeId::replica((from + step) % 3),
        },
    });
    prop::collection::vec(link, 1..4)
}

fn duration(millis: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
    (millis, 0u32..1_000_000).prop_map(|(millis, nanos)| {
        Duration::from_millis(millis) + Duration::from_nanos(u64::from(nanos))
    })
}

fn spread() -> impl Strategy<Value = Spread> {
    let times = || (duration(1..100), duration(0..20));
    let trace = prop::collection::vec(1_000_000u64..100_000_000, 1..5);
    let distribution = prop_oneof![
        // Without a correlation a uniform one is a delay like any other.
        times().prop_map(|(base, jitter)| Distribution::Normal { base, jitter }),
        (times(), 1.0f64..10.0).prop_map(|((base, jitter), alpha)| {
            Distribution::Pareto {
                base,
                jitter,
                alpha,
            }
        }),
        trace.prop_map(Distribution::Trace),
    ];
    let uniform = times().prop_map(|(base, jitter)| Distribution::Uniform { base, jitter });
    let spread = |(distribution, correlation)| Spread {
        distribution,
        correlation,
    };
    prop_oneof![
        (distribution, 0.0f64..0.95).prop_map(spread),
        (uniform, 0.01f64..0.95).prop_map(spread),
    ]
}

fn burst() -> impl Strategy<Value = Burst> {
    (0.01f64..0.5, 0.1f64..1.0, 0.5f64..1.0, 0.0f64..0.1).prop_map(|(p, r, loss_bad, loss_good)| {
        Burst {
            p,
            r,
            loss_bad,
            loss_good,
        }
    })
}

fn wan() -> impl Strategy<Value = Fault> {
    let region = |name| WanPreset::Ibm2025.region(name).unwrap();
    let second = prop::sample::select(vec!["tokyo", "sydney", "dallas"]);
    (second, 0.0f64..0.5).prop_map(move |(second, jitter)| {
        Fault::Wan(WanFault {
            regions: vec![region("london"), region(second)],
            jitter,
        })
    })
}

fn share() -> impl Strategy<Value = f64> {
    prop_oneof![Just(1.0), 0.000_001f64..1.0]
}

fn partition() -> impl Strategy<Value = Fault> {
    let groups = vec![
        vec![NodeId::replica(2)],
        vec![NodeId::replica(0), NodeId::Client(0)],
    ];
    let shape = prop_oneof![
        prop::sample::select(vec![
            Shape::Halves,
            Shape::MajoritiesRing,
            Shape::Bridge,
            Shape::Groups(groups),
        ]),
        target(true).prop_map(Shape::Isolate),
        links().prop_map(Shape::Links),
    ];
    let sides = vec![
        ClientSides::Split,
        ClientSides::Majority,
        ClientSides::Untouched,
    ];
    let way = prop::sample::select(vec![Way::Both, Way::In, Way::Out]);
    let layer = prop::sample::select(vec![Layer::Datagrams, Layer::Messages]);
    let flapping = prop::option::of(duration(100..10_000));
    (shape, prop::sample::select(sides), way, layer, flapping).prop_map(
        |(shape, clients, way, layer, flapping)| {
            let (has_sides, way) = match shape {
                Shape::Links(_) => (false, Way::Both),
                Shape::MajoritiesRing | Shape::Bridge => (true, Way::Both),
                _ => (true, way),
            };
            let clients = if has_sides {
                clients
            } else {
                ClientSides::Split
            };
            Fault::Partition(Partition {
                shape,
                clients,
                way,
                layer,
                flapping,
            })
        },
    )
}

fn delay() -> impl Strategy<Value = Delay> {
    (duration(1..5_000), duration(0..100)).prop_map(|(base, jitter)| Delay { base, jitter })
}

fn link_fault() -> impl Strategy<Value = Fault> {
    let effect = prop_oneof![
        delay().prop_map(LinkEffect::Delay),
        share().prop_map(LinkEffect::Loss),
        share().prop_map(LinkEffect::Duplicate),
        share().prop_map(LinkEffect::Corrupt),
        (share(), duration(1..100)).prop_map(|(share, by)| LinkEffect::Reorder { share, by }),
        spread().prop_map(LinkEffect::Spread),
        burst().prop_map(LinkEffect::Burst),
        (8u64..1_000_000, 1_500u64..1 << 20).prop_map(|(kilobits, queue_bytes)| {
            LinkEffect::Rate(Rate {
                kilobits,
                queue_bytes,
            })
        }),
        Just(LinkEffect::Hold),
    ];
    let way = prop::sample::select(vec![Way::Both, Way::In, Way::Out]);
    let links = prop_oneof![
        (target(true), way).prop_map(|(target, way)| Links::Of(target, way)),
        links().prop_map(Links::Named),
    ];
    (effect, links).prop_map(|(effect, links)| Fault::Links(LinkFault { links, effect }))
}

prop_compose! {
    fn messages()(
        target in target(true),
        flow in prop::sample::select(vec![Flow::Both, Flow::Send, Flow::Receive]),
        peers in prop::option::of(target(true)),
        kinds in prop::sample::subsequence(vec!["Prepare", "Commit", "StartView", "Probe"], 0..4),
        views in prop::option::of((0u64..10, 0u64..1_000_000)),
        numbers in prop::option::of((0u64..10, 0u64..=i64::MAX as u64 - 10)),
        share in share(),
        (skip, limit) in (0u64..10, prop::option::of(1u64..10)),
        act in prop_oneof![
            Just(TapAct::Drop),
            Just(TapAct::Hold),
            Just(TapAct::Replay),
            delay().prop_map(TapAct::Reorder),
            delay().prop_map(TapAct::Delay),
            delay().prop_map(TapAct::Duplicate),
        ],
    ) -> Fault {
        let range = |(from, length): (u64, u64)| Numbers { from, to: from + length };
        Fault::Messages(MessageFault {
            target,
            flow,
            peers,
            kinds: kinds.into_iter().map(str::to_owned).collect(),
            views: views.map(range),
            numbers: numbers.map(range),
            share,
            skip,
            limit,
            act,
        })
    }
}

fn disk_effect() -> impl Strategy<Value = DiskEffect> {
    let places = vec![
        DamagePlace::Tail,
        DamagePlace::Middle,
        DamagePlace::Superblock,
    ];
    prop_oneof![
        duration(1..5_000).prop_map(DiskEffect::SlowSync),
        Just(DiskEffect::FailingSync),
        prop::sample::select(places).prop_map(|place| DiskEffect::BitFlip {
            place,
            budget: Budget::Unrestricted
        }),
    ]
}

fn clock_effect() -> impl Strategy<Value = ClockEffect> {
    let nanos = 10_000_000i64..3_600_000_000_000;
    prop_oneof![
        (nanos, any::<bool>()).prop_map(|(by, back)| ClockEffect::Jump(if back {
            -by
        } else {
            by
        })),
        (1i32..=900_000, any::<bool>()).prop_map(|(ppm, slow)| ClockEffect::Drift(if slow {
            -ppm
        } else {
            ppm
        })),
        Just(ClockEffect::Freeze),
    ]
}

fn machine() -> impl Strategy<Value = Fault> {
    prop_oneof![
        target(false).prop_map(Fault::PowerLoss),
        (target(false), 1u64..=1_000_000, any::<bool>()).prop_map(|(target, effect, power)| {
            Fault::Crash(CrashFault {
                target,
                point: CrashPoint {
                    effect,
                    step: CrashStep::Any,
                    power,
                },
            })
        }),
        (target(false), disk_effect())
            .prop_map(|(target, effect)| Fault::Disk(DiskFault { target, effect })),
        (target(false), clock_effect())
            .prop_map(|(target, effect)| Fault::Clock(ClockFault { target, effect })),
    ]
}

/// Events that both worlds tell of.
fn event() -> impl Strategy<Value = TriggerEvent> {
    let replica = prop::option::of((0u16..3).prop_map(ReplicaId));
    prop_oneof![
        Just(TriggerEvent::ViewChange),
        Just(TriggerEvent::Primary),
        replica.prop_map(TriggerEvent::StateTransfer),
    ]
}

/// Any fault that needs no other model than the default.
pub(crate) fn drawn() -> impl Strategy<Value = Drawn> {
    let fault = prop_oneof![
        partition(),
        link_fault(),
        messages(),
        target(false).prop_map(Fault::Kill),
        target(false).prop_map(Fault::Pause),
        target(false).prop_map(Fault::Restart),
        wan(),
        (target(false), 0.05f64..0.95, duration(20..500)).prop_map(|(target, share, period)| {
            Fault::Slow(SlowFault {
                target,
                share,
                period,
            })
        }),
        machine(),
    ];
    let share = || 0.0f64..1.0;
    let every = (
        share(),
        share(),
        prop::option::of(share()),
        prop::option::of(1u32..20),
    );
    let trigger = (event(), 1u32..=1_000, share(), 1u32..20);
    let trigger = prop::option::weighted(0.2, trigger);
    let times = (
        share(),
        prop::option::of(share()),
        prop::option::of(every),
        trigger,
    );
    let name = prop::option::of("[a-z][a-z ]{0,20}");
    (name, fault, times, any::<Option<u64>>()).prop_map(|(name, fault, times, seed)| {
        let (at, length, every, trigger) = times;
        Drawn {
            name,
            fault,
            at,
            length,
            seed,
            every,
            trigger,
        }
    })
}

#[test]
fn faults_are_read_as_they_are_meant() {
    let text = r#"
        name = "x"
        [[nemesis]]
        fault = "partition"
        shape = "isolate"
        target = ["r0", "c1"]
        at = "3s"
        for = "2s"
        [[nemesis]]
        fault = "kill"
        target = "random(2)"
        every = "5s"
        count = 2
        [[nemesis]]
        fault = "delay"
        delay = "50ms"
        delay-jitter = "10ms"
        at = "1s"
    "#;
    let plan = Plan::parse("x.toml", text, &[]).unwrap();
    let [partition, kill, delay] = plan.nemesis.settled.as_slice() else {
        panic!("{plan:?}")
    };
    let isolated = Target::Named(vec![NodeId::replica(0), NodeId::Client(1)]);
    let expected = Partition {
        shape: Shape::Isolate(isolated),
        clients: ClientSides::Split,
        way: Way::Both,
        layer: Layer::Datagrams,
        flapping: None,
    };
    assert_eq!(partition.fault, Fault::Partition(expected));
    assert_eq!(partition.when, When::At(Duration::from_secs(3)));
    assert_eq!(partition.length, Some(Duration::from_secs(2)));
    assert_eq!(kill.fault, Fault::Kill(Target::Random(2)));
    let every = When::Every {
        period: Duration::from_secs(5),
        first: Duration::from_secs(5),
        jitter: Duration::ZERO,
        until: None,
        count: Some(2),
    };
    assert_eq!(kill.when, every);
    let rule = Delay {
        base: Duration::from_millis(50),
        jitter: Duration::from_millis(10),
    };
    let links = Links::Of(Target::All, Way::Both);
    let effect = LinkEffect::Delay(rule);
    assert_eq!(delay.fault, Fault::Links(LinkFault { links, effect }));
    assert_eq!(plan.timeline(Seed(1)).faults().len(), 4);
}

#[test]
fn machine_faults_are_read_as_they_are_meant() {
    let text = r#"
        name = "x"
        world.kind = "simulated"
        model.nodes = "byzantine"
        [[nemesis]]
        fault = "crash"
        target = "primary"
        effect = 7
        step = "DoViewChange"
        power = true
        at = "1s"
        for = "2s"
        [[nemesis]]
        fault = "wipe"
        target = "one"
        at = "2s"
        for = "1s"
        [[nemesis]]
        fault = "clock"
        target = "one"
        jump = "-1.5s"
        at = "3s"
        [[nemesis]]
        fault = "clock"
        target = "one"
        drift = -40_000
        at = "4s"
        [[nemesis]]
        fault = "bit-flip"
        target = "minority"
        place = "superblock"
        at = "5s"
    "#;
    let plan = Plan::parse("x.toml", text, &[]).unwrap();
    let found: Vec<Fault> = plan
        .nemesis
        .settled
        .iter()
        .map(|one| one.fault.clone())
        .collect();
    let (budget, place) = (Budget::Minority, DamagePlace::Superblock);
    let clock = |effect| {
        Fault::Clock(ClockFault {
            target: Target::One,
            effect,
        })
    };
    let disk = |target, effect| Fault::Disk(DiskFault { target, effect });
    let point = CrashPoint {
        effect: 7,
        step: CrashStep::Send("DoViewChange"),
        power: true,
    };
    let expected = [
        Fault::Crash(CrashFault {
            target: Target::Primary,
            point,
        }),
        disk(Target::One, DiskEffect::Wipe { budget }),
        clock(ClockEffect::Jump(-1_500_000_000)),
        clock(ClockEffect::Drift(-40_000)),
        disk(Target::Minority, DiskEffect::BitFlip { place, budget }),
    ];
    assert_eq!(found, expected);
    assert_eq!(Plan::parse("x.toml", &plan.to_toml(), &[]).unwrap(), plan);
}

#[test]
fn a_resolved_plan_has_every_fault_with_its_time_and_stream() {
    let text = "name = \"x\"\n[run]\nduration = \"10s\"\n[[nemesis]]\nfault = \"kill\"\n\
                target = \"primary\"\nevery = \"4s\"\njitter = \"500ms\"\nfor = \"1s\"\n";
    let plan = Plan::parse("x.toml", text, &[]).unwrap();
    let written = plan.resolved(Seed(7)).to_toml();
    let faults = written
        .split("[[nemesis]]")
        .skip(1)
        .map(|fault| fault.split("\n[").next());
    let faults: Vec<_> = faults.flatten().collect();
    insta::assert_snapshot!(faults.join("---"));
}

#[test]
fn message_kinds_are_those_of_the_protocol() {
    // The source says what a message calls itself; a plan must be able to name every one.
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let source = directory.join("../protocol/src/vr/message.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let body = source
        .split("fn kind(&self)")
        .nth(1)
        .unwrap()
        .split("\n    }\n")
        .next()
        .unwrap();
    let kinds: Vec<&str> = body.split('"').skip(1).step_by(2).collect();
    assert!(kinds.len() >= 10, "{kinds:?}");
    for kind in kinds {
        let text = format!(
            "name = \"x\"\n[[nemesis]]\nfault = \"messages\"\nact = \"drop\"\ntarget = \"one\"\n\
             at = \"1s\"\nkinds = [\"{kind}\"]\n"
        );
        assert!(
            Plan::parse("x.toml", &text, &[]).is_ok(),
            "{kind} cannot be named"
        );
    }
}
