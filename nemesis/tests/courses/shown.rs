//! Every kind of fault, in a world that does what it is told.

use viewstorm_history::Stage;
use viewstorm_nemesis::{
    Action, ClientSides, Delay, Fault, Flow, Layer, LinkEffect, LinkFault, Links, MessageFault,
    Partition, Shape, TapAct, Target, Way,
};

use crate::world::{Defects, World, fault, ms, replica};

pub(crate) fn partition(shape: Shape) -> Partition {
    Partition {
        shape,
        clients: ClientSides::Split,
        way: Way::Both,
        layer: Layer::Datagrams,
        flapping: None,
    }
}

pub(crate) fn links(effect: LinkEffect) -> Fault {
    Fault::Links(LinkFault {
        links: Links::Of(Target::All, Way::Both),
        effect,
    })
}

pub(crate) fn messages(act: TapAct) -> MessageFault {
    MessageFault {
        target: Target::Primary,
        flow: Flow::Send,
        peers: None,
        kinds: Vec::new(),
        views: None,
        numbers: None,
        share: 1.0,
        skip: 0,
        limit: None,
        act,
    }
}

const WHOLE: [Stage; 5] = [
    Stage::Plan,
    Stage::Inject,
    Stage::Confirm,
    Stage::Heal,
    Stage::Healed,
];

/// Applies the fault from 1 s for a second; it must go its whole course. Returns its evidence.
pub(crate) fn goes_its_course(one: Fault, replicas: u16) -> (World, String) {
    let mut world = World::new(
        replicas,
        &[fault(one, 1_000, Some(1_000))],
        Defects::default(),
    );
    world.run(6_000);
    world.finish(5_000);
    let entry = world.entry(0).clone();
    assert_eq!(world.stages(0), WHOLE, "{entry:#?}");
    assert!(entry.failure.is_none(), "{entry:#?}");
    assert!(world.nemesis.is_quiet(), "{entry:#?}");
    let totals = world.ledger().totals();
    assert_eq!((totals.planned, totals.confirmed, totals.healed), (1, 1, 1));
    let evidence = format!(
        "{} | {}",
        entry.evidence.unwrap_or_default(),
        entry.healed_evidence.unwrap_or_default()
    );
    (world, evidence)
}

#[test]
fn partitions_of_every_shape() {
    let groups = Shape::Groups(vec![vec![replica(0)], vec![replica(1), replica(2)]]);
    for shape in [
        Shape::Halves,
        Shape::Isolate(Target::One),
        Shape::Isolate(Target::Primary),
        Shape::Isolate(Target::Minority),
        Shape::MajoritiesRing,
        Shape::Bridge,
        groups,
    ] {
        for replicas in [3, 5, 7] {
            let (world, evidence) =
                goes_its_course(Fault::Partition(partition(shape.clone())), replicas);
            assert!(evidence.starts_with("none of "), "{evidence}");
            assert!(!world.entry(0).links.is_empty());
        }
    }
}

#[test]
fn a_partition_is_shown_well_within_half_a_second() {
    let fault = Fault::Partition(partition(Shape::Isolate(Target::Primary)));
    let (world, _) = goes_its_course(fault, 3);
    let entry = world.entry(0);
    let took = entry
        .confirmed_at
        .unwrap()
        .saturating_since(entry.injected_at.unwrap());
    assert!(took <= ms(300), "{took:?}");
}

#[test]
fn a_one_way_partition_at_the_message_tap() {
    for way in [Way::In, Way::Out] {
        let (world, evidence) = goes_its_course(
            Fault::Partition(Partition {
                way,
                layer: Layer::Messages,
                ..partition(Shape::Isolate(Target::Primary))
            }),
            3,
        );
        assert!(
            world
                .orders(|action| matches!(action, Action::SetLink { .. }))
                .is_empty()
        );
        // Two replicas and two clients with it, one client beside it with two replicas.
        assert_eq!(world.entry(0).links.len(), 2 + 2 + 2, "{evidence}");
    }
}

#[test]
fn a_flapping_partition() {
    let flapping = Some(ms(200));
    let (world, evidence) = goes_its_course(
        Fault::Partition(Partition {
            flapping,
            ..partition(Shape::Halves)
        }),
        3,
    );
    assert!(evidence.contains("while they were whole"), "{evidence}");
    let entry = world.entry(0);
    let first = entry.links[0];
    let turns =
        world.orders(|action| matches!(action, Action::SetLink { link, .. } if *link == first));
    assert_eq!(turns, [1_000, 1_200, 1_400, 1_600, 1_800, 2_000]);
}

#[test]
fn delay_and_loss_are_measured() {
    let delay = Delay {
        base: ms(40),
        jitter: ms(10),
    };
    let (_, evidence) = goes_its_course(links(LinkEffect::Delay(delay)), 3);
    assert!(evidence.starts_with("measured 3"), "{evidence}");
    for share in [0.01, 0.2, 0.9, 1.0] {
        let (_, evidence) = goes_its_course(links(LinkEffect::Loss(share)), 3);
        assert!(evidence.contains(" were lost, "), "{evidence}");
        assert!(!evidence.contains("injector"), "{evidence}");
    }
}

#[test]
fn what_the_transport_hides_is_counted_and_says_so() {
    for effect in [
        LinkEffect::Duplicate(0.1),
        LinkEffect::Corrupt(0.1),
        LinkEffect::Reorder {
            share: 0.1,
            by: ms(20),
        },
    ] {
        let (_, evidence) = goes_its_course(links(effect), 3);
        assert!(
            evidence.contains("by the injector's own count"),
            "{evidence}"
        );
    }
}

#[test]
fn kills_end_with_a_later_incarnation() {
    for (target, count) in [
        (Target::Primary, 1),
        (Target::Minority, 2),
        (Target::All, 5),
    ] {
        let (world, evidence) = goes_its_course(Fault::Kill(target), 5);
        assert_eq!(world.entry(0).targets.len(), count);
        assert_eq!(
            evidence.matches("signal 9 (SIGKILL)").count(),
            count,
            "{evidence}"
        );
        assert_eq!(
            evidence.matches("hello as incarnation 2").count(),
            count,
            "{evidence}"
        );
        assert_eq!(
            world.orders(|action| matches!(action, Action::Kill(_))),
            vec![1_000; count]
        );
        assert_eq!(
            world.orders(|action| matches!(action, Action::Start(_))),
            vec![2_000; count]
        );
    }
}

#[test]
fn a_restart_starts_as_soon_as_the_process_is_gone() {
    let (world, _) = goes_its_course(Fault::Restart(Target::Backups), 3);
    assert_eq!(
        world.orders(|action| matches!(action, Action::Start(_))),
        [1_002, 1_002]
    );
}

#[test]
fn a_pause_is_the_systems_word() {
    let (world, evidence) = goes_its_course(Fault::Pause(Target::Primary), 3);
    assert!(
        evidence.contains("the system says stopped: r0"),
        "{evidence}"
    );
    assert_eq!(
        world.orders(|action| matches!(action, Action::Pause(_))),
        [1_000]
    );
    assert_eq!(
        world.orders(|action| matches!(action, Action::Resume(_))),
        [2_000]
    );
}

#[test]
fn message_rules_are_acknowledged_and_heard_where_they_can_be() {
    for act in [TapAct::Drop, TapAct::Hold] {
        let (_, evidence) = goes_its_course(Fault::Messages(messages(act)), 3);
        assert!(evidence.starts_with("none of "), "{evidence}");
    }
    let kinds = vec!["Prepare".to_owned()];
    let rule = MessageFault {
        kinds,
        share: 0.5,
        ..messages(TapAct::Drop)
    };
    let (_, evidence) = goes_its_course(Fault::Messages(rule), 3);
    assert!(
        evidence.starts_with("acknowledged at the tap of r0"),
        "{evidence}"
    );
}

#[test]
fn a_fault_whose_time_does_not_come_is_not_reached() {
    let faults = [fault(Fault::Kill(Target::One), 5_000, None)];
    let mut world = World::new(3, &faults, Defects::default());
    world.run(1_000);
    world.finish(1_000);
    assert!(world.entry(0).not_reached && world.entry(0).failure.is_none());
    assert_eq!(world.stages(0), [Stage::Plan]);
    assert!(world.nemesis.is_quiet());
}

#[test]
fn a_fault_without_an_end_ends_with_the_run() {
    let faults = [fault(Fault::Kill(Target::One), 500, None)];
    let mut world = World::new(3, &faults, Defects::default());
    world.run(4_000);
    assert_eq!(world.ledger().active().collect::<Vec<_>>(), ["kill"]);
    world.finish(1_000);
    assert_eq!(world.stages(0), WHOLE);
    assert!(world.nemesis.is_quiet());
}
