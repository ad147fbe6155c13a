//! The end of a run that heals a core of the replicas alone: what is broken outside it stays so.

use std::collections::BTreeSet;

use viewstorm_history::Stage;
use viewstorm_nemesis::{
    Action, Declaration, Delay, Fault, Layer, Link, LinkEffect, LinkRule, Partition, Shape, Target,
};
use viewstorm_protocol::{NodeId, ReplicaId};

use crate::shown::{links, partition};
use crate::world::{Defects, World, fault, ms, replica};

/// Lets the faults, which have no end, happen, and heals a core.
fn run(faults: &[Declaration]) -> (World, BTreeSet<ReplicaId>) {
    let mut world = World::new(3, faults, Defects::default());
    world.run(4_000);
    let core = world.finish_core(8_000);
    assert!(world.nemesis.is_quiet(), "{:#?}", world.ledger());
    assert_eq!(core.len(), 2, "a majority of three");
    (world, core)
}

fn outsider(core: &BTreeSet<ReplicaId>) -> ReplicaId {
    let mut all = (0..3).map(ReplicaId);
    all.find(|id| !core.contains(id)).expect("one of three")
}

fn last_rule(world: &World, wanted: Link) -> LinkRule {
    let rule = |action: &Action| match action {
        Action::SetLink { link, rule } if *link == wanted => Some(rule.clone()),
        _ => None,
    };
    let mut rules = world.log.iter().filter_map(|(_, action)| rule(action));
    rules.next_back().unwrap_or_default()
}

#[test]
fn outside_the_core_processes_stay_down_and_paused() {
    for fault_of_all in [Fault::Kill(Target::All), Fault::Pause(Target::All)] {
        let (world, core) = run(&[fault(fault_of_all.clone(), 1_000, None)]);
        let back = |id: ReplicaId| {
            !world
                .orders(|action| [Action::Start(id), Action::Resume(id)].contains(action))
                .is_empty()
        };
        for id in (0..3).map(ReplicaId) {
            assert_eq!(back(id), core.contains(&id), "{fault_of_all} at {id}");
        }
        let entry = world.entry(0);
        let stays = entry.stays.clone().expect("one of three stays");
        assert!(stays.ends_with(&outsider(&core).to_string()), "{stays}");
        assert!(entry.failure.is_none(), "{entry:#?}");
        // The two of the core were seen to be back.
        assert!(entry.healed_confirmed_at.is_some(), "{entry:#?}");
    }
}

#[test]
fn what_lies_outside_the_core_altogether_is_not_taken_back() {
    for id in 0..3 {
        let only = Fault::Kill(Target::Named(vec![replica(id)]));
        let (world, core) = run(&[fault(only, 1_000, None)]);
        let entry = world.entry(0);
        let is_out = !core.contains(&ReplicaId(id));
        assert_eq!(entry.stays.is_some(), is_out);
        assert_eq!(entry.healed_at.is_none(), is_out);
        let heal = world.records().find(|event| event.stage == Stage::Heal);
        assert_eq!(heal.expect("recorded").value["whole"] == true, is_out);
    }
}

#[test]
fn between_replicas_cuts_stay_but_not_inside_the_core_and_never_for_clients() {
    let alone = |id: u16| {
        let target = Target::Named(vec![replica(id)]);
        fault(
            Fault::Partition(partition(Shape::Isolate(target))),
            1_000,
            None,
        )
    };
    let (world, core) = run(&[alone(0), alone(1), alone(2)]);
    let out = outsider(&core);
    for from in (0..3).map(ReplicaId) {
        for to in (0..3).map(ReplicaId).filter(|to| *to != from) {
            let link = Link {
                from: NodeId::Replica(from),
                to: NodeId::Replica(to),
            };
            assert_eq!(
                last_rule(&world, link).cut,
                from == out || to == out,
                "{link}"
            );
        }
        let client = Link {
            from: NodeId::Client(0),
            to: NodeId::Replica(from),
        };
        assert!(!last_rule(&world, client).cut, "{client}");
    }
}

#[test]
fn cuts_at_taps_are_narrowed_to_what_stays() {
    let deaf = Partition {
        layer: Layer::Messages,
        ..partition(Shape::Halves)
    };
    let (world, core) = run(&[fault(Fault::Partition(deaf), 1_000, None)]);
    let mut rules = std::collections::BTreeMap::new();
    for (_, action) in &world.log {
        if let Action::SetTap { node, rules: new } = action {
            rules.insert(*node, new.clone());
        }
    }
    let out = NodeId::Replica(outsider(&core));
    let mut is_cut = false;
    for (node, rules) in rules {
        for peer in rules.iter().flat_map(|rule| &rule.peers) {
            assert!(node == out || *peer == out, "{node}->{peer} stays cut");
            is_cut = true;
        }
    }
    assert_eq!(is_cut, world.entry(0).stays.is_some());
}

#[test]
fn noise_is_healed_everywhere_and_what_hides_that_is_said() {
    let delay = LinkEffect::Delay(Delay {
        base: ms(20),
        jitter: ms(0),
    });
    let (world, core) = run(&[
        fault(Fault::Pause(Target::All), 1_000, None),
        fault(links(delay), 2_000, None),
    ]);
    let out = NodeId::Replica(outsider(&core));
    let link = Link {
        from: NodeId::Client(0),
        to: out,
    };
    assert_eq!(last_rule(&world, link).delay, None);
    assert!(world.entry(1).stays.is_none());
    assert!(world.entry(1).healed_at.is_some());
}

#[test]
fn a_damaged_replica_is_of_no_core() {
    use viewstorm_nemesis::{Budget, DamagePlace, DiskEffect, DiskFault};
    for id in 0..3 {
        let effect = DiskEffect::BitFlip {
            place: DamagePlace::Middle,
            budget: Budget::Minority,
        };
        let target = Target::Named(vec![replica(id)]);
        let flip = Fault::Disk(DiskFault { target, effect });
        let (_, core) = run(&[fault(flip, 1_000, None)]);
        assert_eq!(outsider(&core), ReplicaId(id));
    }
}
