//! Probes below QUIC, and what taps do to them: they show it exactly, since nobody says them again.

use serde_json::json;
use viewstorm_protocol::{NodeId, ReplicaId};
use viewstorm_replica::ClientEvent;
use viewstorm_replica::control::{Command, Report};

use crate::support::clients::{Clients, session, write};
use crate::support::cluster::Cluster;
use crate::support::wait_for;

/// Waits for the next probe at a replica: its name, its sender, and how long it travelled.
fn probe_at(cluster: &Cluster, id: u16) -> (u64, NodeId, u64) {
    wait_for(cluster.reports(id), "a probe", |report| match *report {
        Report::ProbeArrived {
            id,
            from,
            sent,
            received,
        } => Some((id, from, received - sent)),
        _ => None,
    })
}

#[test]
fn probes_reach_whom_they_are_for_in_every_direction() {
    let cluster = Cluster::running(2);
    let clients = Clients::start(&cluster, 1);
    let (r0, r1, c0) = (NodeId::replica(0), NodeId::replica(1), NodeId::Client(0));
    cluster.command(0, Command::Probe { id: 1, to: r1 });
    cluster.command(1, Command::Probe { id: 2, to: r0 });
    assert!(matches!(probe_at(&cluster, 1), (1, from, _) if from == r0));
    assert!(matches!(probe_at(&cluster, 0), (2, from, _) if from == r1));
    clients.host.probe(0, 3, ReplicaId(1));
    assert!(matches!(probe_at(&cluster, 1), (3, from, _) if from == c0));
    cluster.command(1, Command::Probe { id: 4, to: c0 });
    let arrived = wait_for(&clients.events, "a probe", |event| match event {
        ClientEvent::ProbeArrived {
            id, endpoint, from, ..
        } => Some((*id, *endpoint, *from)),
        _ => None,
    });
    assert_eq!(arrived, (4, 0, ReplicaId(1)));
}

/// Sets the sender's rules around each probe. Commands are obeyed in order, so that this leaves no doubt.
#[test]
fn a_tap_drops_holds_delays_and_duplicates() {
    let cluster = Cluster::running(2);
    let probe = |id| {
        cluster.command(
            0,
            Command::Probe {
                id,
                to: NodeId::replica(1),
            },
        )
    };
    let rules = |rules| cluster.set_tap(0, rules);
    rules(json!({"Probe": "hold"}));
    probe(1);
    probe(2);
    rules(json!({"Probe": "drop"}));
    probe(3);
    rules(json!({"Probe": "delay"}));
    probe(4);
    rules(json!({}));
    probe(5);
    rules(json!({"Probe": "duplicate"}));
    probe(6);
    let arrived = [0; 6].map(|_| probe_at(&cluster, 1).0);
    assert_eq!(arrived[..3], [1, 2, 5]);
    assert_eq!(arrived[3], 6);
    assert_eq!(arrived[4..], [4, 6], "after their delay");
}

#[test]
fn a_receivers_tap_is_asked_too() {
    let cluster = Cluster::running(2);
    let clients = Clients::start(&cluster, 1);
    cluster.set_tap(1, json!({"Probe": "drop"}));
    for number in 0..10 {
        cluster.command(
            0,
            Command::Probe {
                id: number,
                to: NodeId::replica(1),
            },
        );
    }
    cluster.set_tap(0, json!({"Probe": "drop"}));
    // A one-way cut at the tap: r1 drops what comes, and r0 what it would send.
    clients.host.probe(0, 10, ReplicaId(1));
    let rules = json!({"Probe": "drop"});
    clients.host.set_tap(0, &rules);
    clients.host.probe(0, 11, ReplicaId(0));
    wait_for(&clients.events, "tap set", |event| {
        (*event == ClientEvent::TapSet { endpoint: 0 }).then_some(())
    });
    cluster.set_tap(0, json!({}));
    cluster.set_tap(1, json!({}));
    // Whatever was still on its way to r1 when its rules went is not what this is about: r0 got none.
    cluster.command(
        1,
        Command::Probe {
            id: 12,
            to: NodeId::replica(0),
        },
    );
    assert_eq!(probe_at(&cluster, 0).0, 12);
}

#[test]
fn a_group_whose_messages_are_held_goes_on_when_they_are_released() {
    let cluster = Cluster::running(3);
    let clients = Clients::start(&cluster, 1);
    clients.perform(session(1), write("k", 1));
    for id in 0..3 {
        cluster.set_tap(id, json!({"Prepare": "hold", "PrepareOk": "hold"}));
    }
    clients.host.invoke(session(1), write("k", 2));
    for id in 0..3 {
        cluster.set_tap(id, json!({}));
    }
    wait_for(&clients.events, "a completion", |event| {
        matches!(event, ClientEvent::Completed { .. }).then_some(())
    });
}
