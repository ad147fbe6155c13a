//! What the nemesis must not take for granted: every stage that does not happen is recorded as such.

use std::collections::BTreeSet;

use viewstorm_history::Stage;
use viewstorm_nemesis::{
    ClientSides, Delay, Fault, Layer, LinkEffect, Partition, Shape, TapAct, Target,
};
use viewstorm_protocol::ReplicaId;

use crate::shown::{links, messages, partition};
use crate::world::{Defects, World, fault, link, ms, replica};

/// Applies the fault from 1 s in a world with defects; it must fail at this step, for this reason.
pub(crate) fn fails(one: Fault, defects: Defects, step: &str, reason: &str) -> World {
    let mut world = World::new(3, &[fault(one, 1_000, Some(3_000))], defects);
    world.run(12_000);
    world.finish(7_000);
    let entry = world.entry(0);
    let failure = entry
        .failure
        .clone()
        .unwrap_or_else(|| panic!("it went well: {entry:#?}"));
    assert!(
        failure.starts_with(step) && failure.contains(reason),
        "{failure}"
    );
    assert!(world.stages(0).contains(&Stage::Failed));
    world
}

fn isolate() -> Fault {
    Fault::Partition(partition(Shape::Groups(vec![
        vec![replica(0)],
        vec![replica(1), replica(2)],
    ])))
}

#[test]
fn a_cut_that_leaks_is_no_cut() {
    let leaks = BTreeSet::from([link(replica(2), replica(0))]);
    let defects = Defects {
        leaks,
        ..Defects::default()
    };
    let world = fails(isolate(), defects, "not confirmed", "arrived over r2->r0");
    assert_eq!(world.entry(0).confirmed_at, None);
    assert!(
        world.entry(0).healed_at.is_some(),
        "it is taken back all the same"
    );
}

#[test]
fn silence_on_all_links_shows_nothing() {
    let defects = Defects {
        no_probes: true,
        ..Defects::default()
    };
    let reason = "probes on open links arrived either";
    let world = fails(isolate(), defects, "not confirmed", reason);
    assert!(
        world
            .entry(0)
            .failure
            .as_ref()
            .unwrap()
            .contains("not healed")
    );
}

#[test]
fn a_cut_that_stays_is_not_healed() {
    let defects = Defects {
        sticky: true,
        ..Defects::default()
    };
    let world = fails(isolate(), defects, "not healed", "no probe arrived over");
    assert!(world.entry(0).confirmed_at.is_some());
}

#[test]
fn a_process_that_survives_a_kill() {
    let immortal = BTreeSet::from([ReplicaId(0)]);
    let defects = Defects {
        immortal,
        ..Defects::default()
    };
    fails(
        Fault::Kill(Target::Primary),
        defects,
        "not confirmed",
        "r0 has not ended",
    );
}

#[test]
fn a_process_that_does_not_come_back() {
    let dead = BTreeSet::from([ReplicaId(0)]);
    let defects = Defects {
        dead,
        ..Defects::default()
    };
    let reason = "no hello of a new incarnation of r0";
    let world = fails(
        Fault::Restart(Target::Primary),
        defects,
        "not healed",
        reason,
    );
    assert!(!world.nemesis.is_quiet());
}

#[test]
fn a_process_that_goes_on_when_it_is_paused() {
    let restless = BTreeSet::from([ReplicaId(0)]);
    let defects = Defects {
        restless,
        ..Defects::default()
    };
    fails(
        Fault::Pause(Target::Primary),
        defects,
        "not confirmed",
        "does not say stopped of r0",
    );
}

#[test]
fn a_primary_that_nobody_knows() {
    let defects = Defects {
        no_roles: true,
        ..Defects::default()
    };
    let world = fails(
        Fault::Kill(Target::Primary),
        defects,
        "not applied",
        "no primary was known",
    );
    assert_eq!(world.stages(0), [Stage::Plan, Stage::Failed]);
}

#[test]
fn delay_and_loss_that_are_not_there() {
    let defects = Defects {
        no_rules: true,
        ..Defects::default()
    };
    let delay = LinkEffect::Delay(Delay {
        base: ms(40),
        jitter: ms(10),
    });
    fails(
        links(delay),
        defects.clone(),
        "not confirmed",
        "and not 30ms",
    );
    let loss = LinkEffect::Loss(0.2);
    fails(
        links(loss),
        defects.clone(),
        "not confirmed",
        "where the rule says 20 %",
    );
    let duplicate = LinkEffect::Duplicate(0.5);
    fails(links(duplicate), defects, "not confirmed", " 0 of ");
}

#[test]
fn delay_and_loss_that_stay() {
    let defects = Defects {
        sticky: true,
        ..Defects::default()
    };
    let delay = LinkEffect::Delay(Delay {
        base: ms(40),
        jitter: ms(10),
    });
    fails(
        links(delay),
        defects.clone(),
        "not healed",
        "still measured",
    );
    fails(
        links(LinkEffect::Loss(0.2)),
        defects.clone(),
        "not healed",
        "were lost",
    );
    fails(
        links(LinkEffect::Corrupt(0.2)),
        defects,
        "not healed",
        "given a flipped bit",
    );
}

#[test]
fn a_tap_that_does_not_answer() {
    let defects = Defects {
        mute: true,
        ..Defects::default()
    };
    let reason = "r0 has not acknowledged its rules";
    fails(
        Fault::Messages(messages(TapAct::Drop)),
        defects.clone(),
        "not confirmed",
        reason,
    );
    let layer = Layer::Messages;
    let cut = Partition {
        layer,
        ..partition(Shape::Isolate(Target::Primary))
    };
    fails(
        Fault::Partition(cut),
        defects,
        "not confirmed",
        "has not acknowledged its rules",
    );
}

#[test]
fn a_fault_that_is_too_short_to_be_shown() {
    let faults = [fault(isolate(), 1_000, Some(50))];
    let mut world = World::new(3, &faults, Defects::default());
    world.run(3_000);
    let entry = world.entry(0);
    assert!(
        entry
            .failure
            .as_ref()
            .unwrap()
            .starts_with("not confirmed: by its end")
    );
    assert!(entry.healed_confirmed_at.is_some());
}

#[test]
fn a_pause_of_what_does_not_run() {
    let faults = [
        fault(
            Fault::Kill(Target::Named(vec![replica(1)])),
            1_000,
            Some(3_000),
        ),
        fault(
            Fault::Pause(Target::Named(vec![replica(1)])),
            2_000,
            Some(1_000),
        ),
    ];
    let mut world = World::new(3, &faults, Defects::default());
    world.run(6_000);
    let failure = world.entry(1).failure.as_ref().unwrap();
    assert_eq!(
        failure,
        "not applied: r1 has no running process, under other faults"
    );
    assert!(
        world.entry(1).overlapped,
        "the kill has evidence of its own"
    );
    assert!(world.entry(0).failure.is_none());
}

#[test]
fn an_exit_of_its_own_is_kept_and_mended_at_the_end() {
    let exits = vec![(1_500, ReplicaId(2))];
    let mut world = World::new(
        3,
        &[],
        Defects {
            exits,
            ..Defects::default()
        },
    );
    world.run(3_000);
    assert_eq!(
        world.ledger().unexpected_exits(),
        ["r2: exit code 101 at 1.500s"]
    );
    assert!(!world.nemesis.is_quiet());
    world.finish(1_000);
    assert!(world.nemesis.is_quiet());
}

#[test]
fn the_runs_end_in_the_middle_of_a_confirmation() {
    let faults = [fault(isolate(), 1_000, Some(3_000))];
    let mut world = World::new(3, &faults, Defects::default());
    world.run(1_100);
    world.finish(2_000);
    let entry = world.entry(0);
    assert!(
        entry
            .failure
            .as_ref()
            .unwrap()
            .contains("by the end of the run")
    );
    assert!(entry.healed_confirmed_at.is_some() && world.nemesis.is_quiet());
}

#[test]
fn what_nobody_asked_for_is_ignored() {
    use viewstorm_history::Timestamp;
    use viewstorm_nemesis::{Observation, ProbeId};
    let mut world = World::new(
        3,
        &[fault(isolate(), 1_000, Some(3_000))],
        Defects::default(),
    );
    world.run(1_500);
    let stray = Observation::ProbeArrived {
        id: ProbeId(1 << 60),
        link: link(replica(0), replica(1)),
        sent: Timestamp(1),
        received: Timestamp(2),
    };
    let beyond = Observation::Exited {
        replica: ReplicaId(99),
        how: "?".to_owned(),
    };
    let tap = Observation::TapSet { node: replica(99) };
    let mut actions = Vec::new();
    for observation in [stray, beyond, tap] {
        world
            .nemesis
            .step(crate::world::at(1_500), Some(observation), &mut actions);
    }
    assert!(actions.is_empty(), "{actions:?}");
    assert!(world.entry(0).failure.is_none());
}

#[test]
fn what_other_faults_hide_is_told_from_what_fails() {
    let down = || Fault::Kill(Target::Named(vec![replica(0)]));
    let groups = vec![vec![replica(0)], vec![replica(1), replica(2)]];
    let clients = ClientSides::Untouched;
    let cut = Partition {
        clients,
        ..partition(Shape::Groups(groups))
    };
    let isolate = || Fault::Partition(cut.clone());
    // The primary is down all the while: the cut around it cannot be heard.
    let hidden = [
        fault(down(), 900, Some(4_500)),
        fault(isolate(), 1_000, Some(3_000)),
    ];
    let mut world = World::new(3, &hidden, Defects::default());
    world.run(12_000);
    world.finish(7_000);
    let entry = world.entry(1);
    assert!(
        entry.overlapped && entry.confirmed_at.is_none(),
        "{entry:#?}"
    );
    assert!(
        entry
            .failure
            .as_ref()
            .unwrap()
            .ends_with("under other faults"),
        "{entry:#?}"
    );
    let totals = world.ledger().totals();
    assert_eq!((totals.failed, totals.overlapped), (0, 1));
    // It comes back before the cut ends: then its time begins, however late.
    let late = [
        fault(down(), 900, Some(3_500)),
        fault(isolate(), 1_000, Some(6_000)),
    ];
    let mut world = World::new(3, &late, Defects::default());
    world.run(12_000);
    world.finish(7_000);
    assert!(
        world.entry(1).confirmed_at.is_some(),
        "{:#?}",
        world.entry(1)
    );
    // A cut that leaks is no less one because another fault is near.
    let near = fault(down(), 3_000, Some(500));
    let leaks = BTreeSet::from([link(replica(2), replica(0))]);
    let defects = Defects {
        leaks,
        ..Defects::default()
    };
    let mut world = World::new(3, &[fault(isolate(), 1_000, Some(3_000)), near], defects);
    world.run(12_000);
    world.finish(7_000);
    let entry = world.entry(0);
    assert!(entry.failure.is_some() && !entry.overlapped, "{entry:#?}");
}
