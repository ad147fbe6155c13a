//! What operations cost in messages and delays, counted.

use bytes::Bytes;
use viewstorm_protocol::ProtocolEvent;
use viewstorm_protocol::vr::{
    BATCH_MAX, LeaseTerms, OpNumber, PREPARES_MAX, PrepareOk, Reads, VrMessage, VrOptions,
};

use crate::cluster::{Cluster, Flight, READ, Verdict, replica};

const OPERATION: Bytes = Bytes::from_static(b"x");

fn messages(cluster: &Cluster) -> usize {
    cluster.sent.values().sum()
}

/// VRR §6.2: b operations in one Prepare: 2b messages with clients and 2(n-1) between replicas, so an operation costs
/// 2 + 2(n-1)/b.
#[test]
fn s6_2_a_batch_costs_two_messages_for_each_operation_and_one_round() {
    for members in [3, 5] {
        let clients = PREPARES_MAX + BATCH_MAX;
        let mut cluster = Cluster::new(members, clients);
        // The pipeline is full of single operations; those that come then are gathered.
        for client in 0..clients {
            cluster.invoke(client, OPERATION);
        }
        while !cluster.sessions.iter().all(|session| session.is_idle()) {
            cluster.round();
        }
        assert_eq!(cluster.count(&["Request", "Reply"]), 2 * clients);
        let rounds = PREPARES_MAX + 1;
        assert_eq!(cluster.count(&["Prepare"]), rounds * (members - 1));
        // A PrepareOk speaks for all before it, and several may be one.
        assert!(cluster.count(&["PrepareOk"]) <= rounds * (members - 1));
        assert_eq!(cluster.core(0).op_number(), OpNumber(clients as u64));
        cluster.everything_completes();
    }
}

/// VRR §6.2: "only under load": an operation that finds the primary idle does not wait for company.
#[test]
fn s6_2_an_operation_that_finds_the_primary_idle_goes_alone() {
    let mut cluster = Cluster::new(3, 2);
    for client in 0..2 {
        cluster.invoke(client, OPERATION);
    }
    cluster.round();
    assert_eq!(cluster.count(&["Prepare"]), 4);
}

/// VRR §4.1: the primary "need not wait" between operations: all that fit are prepared at once.
#[test]
fn s4_1_operations_are_pipelined() {
    let mut cluster = Cluster::new(3, PREPARES_MAX);
    for client in 0..PREPARES_MAX {
        cluster.invoke(client, OPERATION);
    }
    for _ in 0..4 {
        cluster.round();
    }
    assert!(cluster.sessions.iter().all(|session| session.is_idle()));
    assert_eq!(messages(&cluster), PREPARES_MAX * 6);
}

/// A leased read costs two messages and two delays, whatever the size of the group; a lease two messages for each
/// backup, however many reads it serves.
#[test]
fn s6_3_a_leased_read_costs_two_messages_and_two_delays() {
    for members in [3, 5] {
        let options = VrOptions {
            reads: Reads::Lease(LeaseTerms::default()),
            ..VrOptions::default()
        };
        let mut cluster = Cluster::with_options(members, 10, options);
        cluster.run_for(LeaseTerms::default().length / 3 + std::time::Duration::from_millis(3));
        let leases = cluster.count(&["GetLease", "Lease"]);
        assert_eq!(leases, 2 * (members - 1), "renewed once");
        cluster.sent.clear();
        for client in 0..10 {
            cluster.invoke(client, Bytes::from_static(READ));
        }
        cluster.round();
        cluster.round();
        assert!(cluster.sessions.iter().all(|session| session.is_idle()));
        assert_eq!(messages(&cluster), 20);
    }
}

/// VRR §4.1 step 5: "f PREPAREOK messages from different backups": of five replicas, one backup that says it twice is
/// one.
#[test]
fn s4_1_step_5_one_backup_counts_once() {
    let mut cluster = Cluster::new(5, 1);
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::PrepareOk(_) if flight.from != replica(1) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    cluster.invoke(0, OPERATION);
    cluster.round();
    cluster.round();
    for _ in 0..3 {
        cluster.deliver(Flight {
            from: replica(1),
            to: replica(0),
            message: PrepareOk {
                view: cluster.core(0).view(),
                op_number: OpNumber(1),
            }
            .into(),
        });
    }
    cluster.round();
    assert_eq!(cluster.core(0).commit_number(), OpNumber(0));
    cluster.everything_completes();
}

/// VRR §4.1 step 4: PREPAREOK "indicates that this operation and all earlier ones have prepared locally": one for the
/// last stands for all.
#[test]
fn s4_1_step_4_an_acknowledgement_speaks_for_all_before_it() {
    let mut cluster = Cluster::new(3, 3);
    cluster.filter = Box::new(|flight| match &flight.message {
        VrMessage::PrepareOk(ok) if ok.op_number < OpNumber(3) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    for client in 0..3 {
        cluster.invoke(client, OPERATION);
    }
    for _ in 0..4 {
        cluster.round();
    }
    assert_eq!(cluster.core(0).commit_number(), OpNumber(3));
    assert!(cluster.sessions.iter().all(|session| session.is_idle()));
}

/// VRR §4.1 steps 5 and 7: operations are executed in the order of their op-numbers, everywhere.
#[test]
fn s4_1_step_7_every_replica_executes_in_the_order_of_op_numbers() {
    let mut cluster = Cluster::new(3, 20);
    for client in 0..20 {
        cluster.invoke(client, OPERATION);
    }
    cluster.everything_completes();
    for index in 0..3 {
        let executed: Vec<_> = cluster
            .notes
            .iter()
            .filter_map(|(who, note)| match note {
                ProtocolEvent::Executed { op, .. } if *who == index => Some(*op),
                _ => None,
            })
            .collect();
        assert_eq!(executed, (1..=20).collect::<Vec<_>>());
    }
}

/// VRR §4.1: a client that waits too long "re-sends the request to all replicas".
#[test]
fn s4_1_a_client_that_waits_too_long_asks_all() {
    let mut cluster = Cluster::new(5, 1);
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::Request(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    cluster.invoke(0, OPERATION);
    assert_eq!(cluster.count(&["Request"]), 1);
    cluster.run_for(std::time::Duration::from_millis(101));
    assert_eq!(cluster.count(&["Request"]), 1 + 5);
    cluster.everything_completes();
}

/// VRR §4.2 step 3: the new primary's commit-number is "the largest such number it received", not the winner's.
#[test]
fn s4_2_step_3_the_largest_commit_number_of_all_votes_counts() {
    let mut cluster = Cluster::new(3, 1);
    // r2 alone learns that the operation is committed.
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::Commit(_) if flight.to == replica(1) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    cluster.client_write(0, "one");
    cluster.run_for(std::time::Duration::from_millis(45));
    assert_eq!(cluster.core(1).commit_number(), OpNumber(0));
    assert_eq!(cluster.core(2).commit_number(), OpNumber(1));
    cluster.crash(0);
    // No acknowledgement arrives: what r1 commits in its view it has learned from votes.
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::PrepareOk(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    let started = cluster.run_until(std::time::Duration::from_secs(1), |cluster| {
        cluster.primary() == Some(1)
    });
    assert!(started);
    assert_eq!(cluster.core(1).commit_number(), OpNumber(1));
    cluster.everything_completes();
}

/// VRR §4.5: the alternative to request-numbers that are fetched: every incarnation of a client has an id of its own,
/// so that none of its requests can be taken for one of an earlier incarnation, however many crashes there are.
#[test]
fn s4_5_a_client_that_restarts_under_a_fresh_id_is_served_at_once() {
    let mut cluster = Cluster::new(3, 3);
    // Each incarnation has its request executed and does not live to see the answer.
    for incarnation in 0..2 {
        cluster.filter = Box::new(|flight| match flight.message {
            VrMessage::Reply(_) => Verdict::Drop,
            _ => Verdict::Pass,
        });
        cluster.invoke(incarnation, OPERATION);
        cluster.round();
        cluster.round();
        cluster.round();
        assert_eq!(cluster.core(0).order(), incarnation as u64 + 1);
    }
    cluster.filter = Box::new(|_| Verdict::Pass);
    assert_eq!(cluster.sessions[2].core.request_number(), 0);
    assert_eq!(cluster.client_write(2, "third life").order, 3);
    cluster.everything_completes();
}
