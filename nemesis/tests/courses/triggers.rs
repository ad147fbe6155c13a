//! Faults that come when something happens.

use std::time::Duration;

use viewstorm_history::Stage;
use viewstorm_nemesis::{
    Action, Declaration, Fault, Flow, Observation, TapWatch, Target, Trigger, TriggerEvent, When,
};
use viewstorm_protocol::{NodeId, ReplicaId, Status, ViewNumber};

use crate::world::{Defects, World, at, ms, replica};

/// Ends r2 for a second when this has happened.
fn on(event: TriggerEvent, count: u32, after: u64, from: u64, times: u32) -> Declaration {
    let trigger = Trigger {
        event,
        count,
        after: ms(after),
        from: ms(from),
    };
    Declaration {
        name: None,
        fault: Fault::Kill(Target::Named(vec![replica(2)])),
        when: When::On { trigger, times },
        length: Some(Duration::from_secs(1)),
        seed: None,
    }
}

fn role(status: Status, view: u64) -> Observation {
    let (replica, view) = (ReplicaId(1), ViewNumber::new(view));
    Observation::Role {
        replica,
        status,
        view,
        primary: false,
    }
}

fn do_view_change_from(from: u16) -> TriggerEvent {
    TriggerEvent::Message {
        kind: "DoViewChange".to_owned(),
        from: Some(NodeId::replica(from)),
        to: None,
    }
}

fn kills(world: &World) -> Vec<u64> {
    world.orders(|action| matches!(action, Action::Kill(_)))
}

fn watches(world: &World) -> Vec<(NodeId, Vec<TapWatch>)> {
    let watch = |action: &Action| match action {
        Action::Watch { node, watches } => Some((*node, watches.clone())),
        _ => None,
    };
    world
        .log
        .iter()
        .filter_map(|(_, action)| watch(action))
        .collect()
}

#[test]
fn a_fault_comes_so_long_after_a_view_change_begins() {
    let faults = [on(TriggerEvent::ViewChange, 1, 5, 500, 1)];
    let mut world = World::new(3, &faults, Defects::default());
    // Before it is armed, then the first that counts, and a second that comes too late.
    for (time, view) in [(400, 20), (1_000, 21), (1_500, 22)] {
        world.tell(time, role(Status::ViewChange, view));
    }
    world.run(4_000);
    world.finish(6_000);
    assert_eq!(kills(&world), [1_005]);
    let entry = world.entry(0);
    assert_eq!(
        entry.injected_at,
        Some(at(1_005)),
        "its time is when it came"
    );
    assert!(
        entry.healed_confirmed_at.is_some() && entry.failure.is_none(),
        "{entry:#?}"
    );
    let plan = world.records().next().unwrap();
    assert_eq!(plan.value.get("at"), None, "nobody knows when it will come");
}

#[test]
fn a_message_is_watched_for_as_long_as_a_fault_waits_for_it() {
    let mut world = World::new(
        3,
        &[on(do_view_change_from(1), 2, 0, 0, 1)],
        Defects::default(),
    );
    for time in [900, 1_000, 1_100] {
        world.tell(time, Observation::MessageSeen { watch: 0 });
    }
    world.tell(950, Observation::MessageSeen { watch: 7 });
    world.run(4_000);
    assert_eq!(kills(&world), [1_000]);
    let (kind, flow) = ("DoViewChange".to_owned(), Flow::Send);
    let watch = TapWatch {
        id: 0,
        flow,
        peer: None,
        kind,
    };
    assert_eq!(
        watches(&world),
        [(replica(1), vec![watch]), (replica(1), vec![])]
    );
}

#[test]
fn the_receiver_is_watched_where_only_it_is_said() {
    let event = TriggerEvent::Message {
        kind: "StartView".to_owned(),
        from: None,
        to: Some(replica(2)),
    };
    let mut world = World::new(3, &[on(event, 1, 0, 0, 1)], Defects::default());
    world.run(10);
    let [(node, watch)] = watches(&world).try_into().unwrap();
    assert_eq!(
        (node, watch[0].flow, watch[0].peer),
        (replica(2), Flow::Receive, None)
    );
}

#[test]
fn what_never_happens_is_not_reached_and_no_failure() {
    let event = TriggerEvent::StateTransfer(Some(ReplicaId(2)));
    let faults = [
        on(event, 1, 0, 0, 1),
        on(do_view_change_from(0), 1, 0, 0, 1),
    ];
    let mut world = World::new(3, &faults, Defects::default());
    // Another replica's is none of its.
    world.tell(1_000, role(Status::StateTransfer, 1));
    world.run(3_000);
    world.finish(1_000);
    assert!(world.nemesis.is_quiet());
    for fault in 0..2 {
        let entry = world.entry(fault);
        assert!(entry.not_reached && entry.failure.is_none(), "{entry:#?}");
        assert_eq!(world.stages(entry.id), [Stage::Plan]);
    }
    let last = watches(&world).pop().unwrap();
    assert_eq!(
        last,
        (replica(0), vec![]),
        "nothing is watched for in the end"
    );
}

#[test]
fn a_trigger_may_bring_its_fault_more_than_once() {
    let faults = [on(TriggerEvent::ViewChange, 2, 0, 0, 2)];
    let mut world = World::new(3, &faults, Defects::default());
    for view in 0..5 {
        world.tell(
            1_000 + 2_000 * view,
            role(Status::ViewChange, 20 + 10 * view),
        );
    }
    world.run(12_000);
    world.finish(3_000);
    // The second and the fourth.
    assert_eq!(kills(&world), [3_000, 7_000]);
}
