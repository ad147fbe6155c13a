//! Several faults at a time: what they do adds up, and each is taken back alone.

use viewstorm_history::Stage;
use viewstorm_nemesis::{
    Action, Declaration, Delay, Fault, Layer, Link, LinkEffect, LinkRule, Partition, Shape, Target,
};

use crate::shown::{links, partition};
use crate::world::{Defects, World, fault, ms, replica};

fn named(id: u16) -> Target {
    Target::Named(vec![replica(id)])
}

fn run(faults: &[Declaration]) -> World {
    let mut world = World::new(3, faults, Defects::default());
    world.run(12_000);
    world.finish(6_000);
    assert!(world.nemesis.is_quiet(), "{:#?}", world.ledger());
    world
}

fn all_went_well(world: &World) {
    for entry in world.ledger().entries() {
        assert!(entry.failure.is_none(), "{entry:#?}");
        assert!(entry.healed_confirmed_at.is_some(), "{entry:#?}");
    }
}

/// What was ordered for the link, in turn.
fn rules(world: &World, wanted: Link) -> Vec<LinkRule> {
    let rule = |action: &Action| match action {
        Action::SetLink { link, rule } if *link == wanted => Some(rule.clone()),
        _ => None,
    };
    world
        .log
        .iter()
        .filter_map(|(_, action)| rule(action))
        .collect()
}

#[test]
fn a_replica_is_down_until_the_last_kill_is_over() {
    let world = run(&[
        fault(Fault::Kill(named(1)), 1_000, Some(2_000)),
        fault(Fault::Kill(named(1)), 2_000, Some(3_000)),
    ]);
    all_went_well(&world);
    assert_eq!(
        world.orders(|action| matches!(action, Action::Kill(_))),
        [1_000]
    );
    assert_eq!(
        world.orders(|action| matches!(action, Action::Start(_))),
        [5_000]
    );
    assert_eq!(
        world.entry(1).evidence.as_deref(),
        Some("r1: already down, signal 9 (SIGKILL)")
    );
    // The first is over at 3 s, and shown to be gone only when the replica is back.
    assert!(world.entry(0).healed_confirmed_at.unwrap() > world.entry(1).healed_at.unwrap());
}

#[test]
fn a_replica_is_paused_until_the_last_pause_is_over() {
    let world = run(&[
        fault(Fault::Pause(named(1)), 1_000, Some(2_000)),
        fault(Fault::Pause(named(1)), 2_000, Some(3_000)),
    ]);
    all_went_well(&world);
    assert_eq!(
        world.orders(|action| matches!(action, Action::Resume(_))),
        [5_000]
    );
}

#[test]
fn a_kill_ends_a_pause() {
    let world = run(&[
        fault(Fault::Pause(named(1)), 1_000, Some(4_000)),
        fault(Fault::Kill(named(1)), 2_000, Some(1_000)),
    ]);
    all_went_well(&world);
    assert_eq!(
        world.orders(|action| matches!(action, Action::Pause(_))),
        [1_000]
    );
    assert!(
        world
            .orders(|action| matches!(action, Action::Resume(_)))
            .is_empty()
    );
    let healed = world.entry(0).healed_evidence.as_deref();
    assert_eq!(healed, Some("no process that it stopped is left"));
}

#[test]
fn rules_on_a_link_add_up_and_come_off_one_by_one() {
    let delay = |base| {
        LinkEffect::Delay(Delay {
            base: ms(base),
            jitter: ms(0),
        })
    };
    let world = run(&[
        fault(links(delay(20)), 1_000, Some(3_000)),
        fault(links(delay(30)), 2_000, Some(3_000)),
        fault(links(LinkEffect::Loss(0.5)), 2_500, Some(3_500)),
    ]);
    all_went_well(&world);
    let rule = |base, loss| LinkRule {
        delay: Some(Delay {
            base: ms(base),
            jitter: ms(0),
        }),
        loss,
        ..LinkRule::default()
    };
    let link = world.entry(0).links[0];
    let loss = LinkRule {
        loss: 0.5,
        ..LinkRule::default()
    };
    let expected = [
        rule(20, 0.0),
        rule(50, 0.0),
        rule(50, 0.5),
        rule(30, 0.5),
        loss,
        LinkRule::default(),
    ];
    assert_eq!(rules(&world, link), expected);
}

#[test]
fn two_partitions_of_the_same_links_are_shown_gone_after_the_second() {
    let cut = || Fault::Partition(partition(Shape::Isolate(named(0))));
    let world = run(&[
        fault(cut(), 1_000, Some(2_000)),
        fault(cut(), 2_000, Some(8_000)),
    ]);
    for entry in world.ledger().entries() {
        assert!(entry.failure.is_none(), "{entry:#?}");
    }
    let link = Link {
        from: replica(0),
        to: replica(1),
    };
    assert_eq!(rules(&world, link).len(), 2, "cut once, opened once");
}

#[test]
fn a_partition_of_a_replica_that_is_down_is_shown_on_the_other_links() {
    let world = run(&[
        fault(Fault::Kill(named(2)), 1_000, Some(4_000)),
        fault(
            Fault::Partition(partition(Shape::Isolate(named(0)))),
            2_000,
            Some(1_000),
        ),
    ]);
    all_went_well(&world);
    let evidence = world.entry(1).evidence.as_ref().unwrap();
    assert!(
        evidence.contains("had an end that was down or paused"),
        "{evidence}"
    );
}

#[test]
fn a_restarted_replica_is_told_its_rules_again() {
    let cut = Partition {
        layer: Layer::Messages,
        ..partition(Shape::Isolate(named(1)))
    };
    let world = run(&[
        fault(Fault::Partition(cut), 1_000, Some(4_000)),
        fault(Fault::Restart(named(1)), 2_000, None),
    ]);
    all_went_well(&world);
    let told = world.orders(|action| {
        matches!(action, Action::SetTap { node, rules } if *node == replica(1) && !rules.is_empty())
    });
    assert_eq!(told, [1_000, 2_012]);
}

#[test]
fn the_same_faults_give_the_same_actions() {
    let faults = [
        fault(Fault::Kill(Target::One), 1_000, Some(1_000)),
        fault(
            Fault::Partition(partition(Shape::Halves)),
            1_500,
            Some(2_000),
        ),
        fault(links(LinkEffect::Loss(0.1)), 2_000, Some(3_000)),
    ];
    assert_eq!(run(&faults).log, run(&faults).log);
}

#[test]
fn a_fault_hits_the_same_without_the_others() {
    let faults = [
        fault(Fault::Kill(Target::One), 1_000, Some(500)),
        fault(
            Fault::Partition(partition(Shape::Halves)),
            4_000,
            Some(2_000),
        ),
    ];
    let (both, one) = (run(&faults), run(&faults[1..]));
    assert_eq!(both.entry(1).links, one.entry(0).links);
}

#[test]
fn the_history_is_in_order_and_begins_with_the_plan() {
    let world = run(&[
        fault(Fault::Kill(named(1)), 1_000, Some(2_000)),
        fault(
            Fault::Partition(partition(Shape::Bridge)),
            2_000,
            Some(3_000),
        ),
    ]);
    let records: Vec<_> = world.records().collect();
    assert!(records.is_sorted_by_key(|event| event.time));
    assert!(
        records
            .iter()
            .take(2)
            .all(|event| event.stage == Stage::Plan)
    );
    assert_eq!(records[0].value["description"], "r1");
    let inject = records
        .iter()
        .find(|event| event.stage == Stage::Inject)
        .unwrap();
    assert_eq!(inject.value["targets"][0], "r1");
}
