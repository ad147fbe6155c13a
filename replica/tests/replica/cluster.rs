//! Whole replicas over real sockets and files: they replicate, die, come back and stop.

use viewstorm_protocol::{ClientId, Incarnation};
use viewstorm_replica::ClientEvent;
use viewstorm_replica::control::Report;

use crate::support::clients::{Clients, large_write, read, session, value, write};
use crate::support::cluster::Cluster;
use crate::support::wait_for;

fn incarnation(hello: &Report) -> Incarnation {
    match hello {
        Report::Hello { incarnation, .. } => *incarnation,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_one_client_writes_another_reads() {
    let cluster = Cluster::running(3);
    let clients = Clients::start(&cluster, 2);
    clients.perform(session(1), write("k", 7));
    let other = ClientId {
        endpoint: 1,
        session: 2,
    };
    let completion = clients.perform(other, read("k"));
    assert_eq!((value(&completion), completion.order), (Some(7), 2));
}

#[test]
fn many_sessions_share_an_endpoint() {
    let cluster = Cluster::running(3);
    let clients = Clients::start(&cluster, 1);
    const SESSIONS: u64 = 200;
    for number in 0..SESSIONS {
        clients.host.invoke(session(number), write("k", number));
    }
    let mut orders: Vec<_> = (0..SESSIONS)
        .map(|_| {
            wait_for(&clients.events, "a completion", |event| match event {
                ClientEvent::Completed { completion, .. } => Some(completion.order),
                _ => None,
            })
        })
        .collect();
    orders.sort_unstable();
    assert!(orders.into_iter().eq(1..=SESSIONS));
}

/// Kills a replica, brings it back, and takes another away, so that nothing goes on without it.
fn comes_back(victim: u16) {
    let mut cluster = Cluster::running(3);
    let clients = Clients::start(&cluster, 1);
    clients.perform(session(1), write("k", 1));
    cluster.kill(victim);
    clients.perform(session(1), write("k", 2));
    assert_eq!(incarnation(&cluster.start(victim)), Incarnation(2));
    cluster.wait_until_normal(victim);
    cluster.kill((victim + 1) % 3);
    clients.perform(session(1), write("k", 3));
    assert_eq!(value(&clients.perform(session(1), read("k"))), Some(3));
}

#[test]
fn the_replica_that_dials_all_others_comes_back_in_a_new_incarnation() {
    comes_back(0);
}

#[test]
fn the_replica_that_all_others_dial_comes_back_in_a_new_incarnation() {
    comes_back(2);
}

#[test]
fn what_was_acknowledged_survives_a_stop_of_all() {
    let mut cluster = Cluster::running(3);
    {
        let clients = Clients::start(&cluster, 1);
        for number in 0..50 {
            clients.perform(session(1), write(&format!("k{}", number % 5), number));
        }
    }
    for id in 0..3 {
        cluster.stop(id);
    }
    for id in 0..3 {
        assert_eq!(incarnation(&cluster.start(id)), Incarnation(2));
    }
    let clients = Clients::start(&cluster, 1);
    for key in 0..5 {
        let completion = clients.perform(session(2), read(&format!("k{key}")));
        assert_eq!(value(&completion), Some(45 + key));
    }
}

#[test]
fn large_messages_arrive_and_hold_nothing_up() {
    let cluster = Cluster::running(3);
    let clients = Clients::start(&cluster, 1);
    // More at once than a queue takes: what finds no room is said again.
    const SESSIONS: u64 = 64;
    for number in 0..SESSIONS {
        clients
            .host
            .invoke(session(number), large_write("k", number, 16_000));
    }
    let mut last = 0;
    for _ in 0..SESSIONS {
        let completed = |event: &ClientEvent| match event {
            ClientEvent::Completed { completion, .. } => Some(completion.order),
            _ => None,
        };
        last = last.max(wait_for(&clients.events, "a completion", completed));
    }
    assert_eq!(last, SESSIONS);
}
