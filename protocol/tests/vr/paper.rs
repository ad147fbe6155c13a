//! One test per sentence of the paper, named by it. "VRR" is Viewstamped Replication Revisited.

use std::time::Duration;

use bytes::Bytes;
use viewstorm_protocol::vr::{OpNumber, VrMessage};
use viewstorm_protocol::{ProtocolEvent, Status, ViewNumber};

use crate::cluster::{Cluster, Verdict, replica};

const OPERATION: Bytes = Bytes::from_static(b"x");

fn drops(cluster: &Cluster, reason: &str) -> usize {
    let is_it = |note: &ProtocolEvent| matches!(note, ProtocolEvent::Dropped { reason: r, .. } if r == reason);
    cluster.notes.iter().filter(|(_, note)| is_it(note)).count()
}

fn view_and_status(cluster: &Cluster, index: usize) -> (ViewNumber, Status) {
    (cluster.core(index).view(), cluster.core(index).status())
}

/// VRR §4.1: the figure: request, prepare, prepareok, reply. `2n` messages.
#[test]
fn s4_1_an_operation_takes_four_delays_and_2n_messages() {
    for (members, messages) in [(3, 6), (5, 10)] {
        let mut cluster = Cluster::new(members, 1);
        cluster.invoke(0, OPERATION);
        for _ in 0..3 {
            cluster.round();
            assert!(!cluster.sessions[0].is_idle());
        }
        cluster.round();
        assert!(cluster.sessions[0].is_idle());
        assert_eq!(cluster.sent.values().sum::<usize>(), messages);
    }
}

/// VRR §4.1: "If the request-number s isn't larger than the information in the table it drops the request, but
/// it will re-send the response if the request is the most recent one from this client".
#[test]
fn s4_1_step_2_a_repeated_request_is_answered_and_not_executed() {
    let mut cluster = Cluster::new(3, 1);
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::Reply(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    cluster.invoke(0, OPERATION);
    cluster.run_for(Duration::from_millis(50));
    assert_eq!(cluster.core(0).order(), 1);
    cluster.heal();
    cluster.run_for(Duration::from_millis(100));
    assert_eq!(cluster.sessions[0].completions.len(), 1);
    assert_eq!(
        (cluster.core(0).order(), cluster.core(0).op_number()),
        (1, OpNumber(1))
    );
}

/// VRR §4.1 step 2, and a request older than the latest.
#[test]
fn s4_1_step_2_an_older_request_is_dropped() {
    let mut cluster = Cluster::new(3, 1);
    cluster.filter = Box::new(|flight| match &flight.message {
        VrMessage::Request(request) if request.request_number == 1 => Verdict::Hold,
        _ => Verdict::Pass,
    });
    cluster.invoke(0, OPERATION);
    let late = cluster.held[0].clone();
    cluster.heal();
    cluster.run_for(Duration::from_millis(10));
    cluster.client_write(0, "two");
    cluster.sent.clear();
    cluster.deliver(late);
    assert_eq!(drops(&cluster, "older than the client's latest"), 1);
    assert_eq!(cluster.count(&["Reply", "Prepare"]), 0);
}

/// VRR §4.1: a request in the pipeline is not prepared a second time.
#[test]
fn s4_1_step_2_a_request_in_progress_is_not_prepared_twice() {
    let mut cluster = Cluster::new(3, 1);
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::PrepareOk(_) => Verdict::Hold,
        _ => Verdict::Pass,
    });
    cluster.invoke(0, OPERATION);
    cluster.run_for(Duration::from_millis(110));
    assert!(drops(&cluster, "already in progress") > 0);
    assert_eq!(cluster.core(0).op_number(), OpNumber(1));
}

/// VRR §4.1: "replicas ignore client requests" unless they are the primary.
#[test]
fn s4_1_a_backup_ignores_requests() {
    let mut cluster = Cluster::new(3, 1);
    cluster.invoke(0, OPERATION);
    let mut flight = cluster.network.pop().expect("the request");
    flight.to = replica(1);
    cluster.deliver(flight);
    assert_eq!(drops(&cluster, "not the primary"), 1);
    assert!(cluster.network.is_empty());
}

/// VRR §4.1 step 4: a backup "won't accept a prepare with op-number n until it has entries for all earlier
/// requests in its log".
#[test]
fn s4_1_step_4_a_backup_accepts_no_gap() {
    let mut cluster = Cluster::new(3, 2);
    cluster.filter = Box::new(|flight| match flight.is("Prepare", 0, 1) {
        true => Verdict::Drop,
        false => Verdict::Pass,
    });
    cluster.client_write(0, "lost on the way to r1");
    cluster.filter = Box::new(|_| Verdict::Pass);
    cluster.invoke(1, OPERATION);
    cluster.round();
    cluster.round();
    assert_eq!(cluster.core(1).op_number(), OpNumber(0));
    // It asks for what it lacks.
    cluster.run_for(Duration::from_millis(30));
    assert_eq!(cluster.core(1).op_number(), OpNumber(2));
}

/// VRR §4.1 step 4: it "waits until it has entries in its log for all earlier requests". A Prepare that overtook
/// another is there when that one arrives, and nobody needs to be asked.
#[test]
fn s4_1_step_4_a_prepare_that_overtakes_another_waits_for_it() {
    let mut cluster = Cluster::new(3, 2);
    cluster.filter = Box::new(|flight| match flight.is("Prepare", 0, 1) {
        true => Verdict::Hold,
        false => Verdict::Pass,
    });
    cluster.client_write(0, "held up on the way to r1");
    cluster.filter = Box::new(|flight| match flight.is("GetState", 1, 0) {
        true => Verdict::Drop,
        false => Verdict::Pass,
    });
    cluster.invoke(1, OPERATION);
    cluster.round();
    cluster.round();
    assert_eq!(cluster.core(1).op_number(), OpNumber(0));
    let held = std::mem::take(&mut cluster.held);
    cluster.network.extend(held);
    cluster.round();
    assert_eq!(cluster.core(1).op_number(), OpNumber(2));
}

/// The write-ahead log's rule: what a `PrepareOk` speaks of is durable.
#[test]
fn a_backup_acknowledges_what_is_durable_only() {
    let mut cluster = Cluster::new(3, 1);
    cluster.nodes[1].syncs = false;
    cluster.nodes[2].syncs = false;
    cluster.invoke(0, OPERATION);
    cluster.run_for(Duration::from_millis(60));
    assert_eq!(cluster.core(2).op_number(), OpNumber(1));
    assert_eq!(cluster.core(0).commit_number(), OpNumber(0));
    assert_eq!(
        cluster.core(0).view(),
        ViewNumber::new(0),
        "a slow disk is no dead primary"
    );
    cluster.sync(2);
    cluster.run_for(Duration::from_millis(5));
    assert!(cluster.sessions[0].is_idle());
}

/// The primary's own entry counts like any other: two durable backups are a quorum of three, one is not.
#[test]
fn a_primary_votes_with_what_is_durable_only() {
    let mut cluster = Cluster::new(3, 1);
    cluster.nodes[0].syncs = false;
    cluster.nodes[2].syncs = false;
    cluster.invoke(0, OPERATION);
    cluster.run_for(Duration::from_millis(20));
    assert_eq!(cluster.core(0).commit_number(), OpNumber(0));
    cluster.sync(2);
    cluster.run_for(Duration::from_millis(5));
    assert!(cluster.sessions[0].is_idle());
}

/// VRR §4.1 step 6: an idle primary "instead informs the backups of the latest commit".
#[test]
fn s4_1_step_6_idle_backups_learn_of_commits() {
    let mut cluster = Cluster::new(3, 1);
    cluster.client_write(0, "one");
    cluster.run_for(Duration::from_millis(25));
    assert!(cluster.has_converged());
    assert_eq!(cluster.core(2).order(), 1);
}

/// VRR §4.2: three delays; n(n-1) + (n-1) + (n-1) messages if all live, fewer if the old primary is dead.
#[test]
fn s4_2_a_view_change_takes_three_delays() {
    for (members, alive, messages) in [(3, true, 10), (5, true, 28), (3, false, 7), (5, false, 23)]
    {
        let mut cluster = Cluster::new(members, 1);
        cluster.client_write(0, "one");
        cluster.run_for(Duration::from_millis(30));
        if alive {
            cluster.filter = Box::new(|flight| match flight.message {
                VrMessage::Commit(_) => Verdict::Drop,
                _ => Verdict::Pass,
            });
        } else {
            cluster.crash(0);
        }
        cluster.round();
        cluster.network.clear();
        cluster.now = cluster.now + Duration::from_millis(150);
        cluster.sent.clear();
        for backup in 1..members {
            cluster.timeout(backup);
        }
        for _ in 0..3 {
            assert_ne!(
                view_and_status(&cluster, 2),
                (ViewNumber::new(1), Status::Normal)
            );
            cluster.round();
        }
        for backup in 1..members {
            assert_eq!(
                view_and_status(&cluster, backup),
                (ViewNumber::new(1), Status::Normal)
            );
        }
        let kinds = ["StartViewChange", "DoViewChange", "StartView"];
        assert_eq!(
            cluster.count(&kinds),
            messages,
            "{members} members, alive: {alive}"
        );
    }
}

/// VRR §4.2 step 3: "selects as the new log the one contained in the message with the largest v'": a longer log
/// of an earlier view loses.
#[test]
fn s4_2_step_3_the_latest_view_wins_over_the_longest_log() {
    let mut cluster = Cluster::new(3, 4);
    cluster.client_write(0, "zero");
    cluster.run_for(Duration::from_millis(30));
    // r0 alone prepares three operations that nobody gets.
    cluster.filter = Box::new(
        |flight| match flight.touches(0) && flight.is_between_replicas() {
            true => Verdict::Drop,
            false => Verdict::Pass,
        },
    );
    for client in 1..4 {
        cluster.invoke(client, OPERATION);
        cluster.round();
    }
    assert_eq!(cluster.core(0).op_number(), OpNumber(4));
    // r1 and r2 commit one in view 1.
    assert!(
        cluster.run_until(Duration::from_secs(2), |cluster| cluster.primary()
            == Some(1))
    );
    cluster.client_write(0, "committed in view 1");
    // Now r1 is gone, and r0 and r2 elect.
    cluster.crash(1);
    cluster.heal();
    assert!(cluster.run_until(Duration::from_secs(5), |cluster| {
        cluster
            .primary()
            .is_some_and(|primary| cluster.core(primary).view() > ViewNumber::new(1))
    }));
    cluster.everything_completes();
}

/// VRR §4.2 step 4: the new primary "executes in order any committed operations that it hadn't executed
/// previously, updates its client table, and sends the replies to the clients".
#[test]
fn s4_2_step_4_the_new_primary_answers_for_the_old() {
    let mut cluster = Cluster::new(3, 1);
    cluster.filter = Box::new(
        |flight| match (&flight.message, flight.from == replica(0)) {
            (VrMessage::Reply(_), true) => Verdict::Drop,
            _ => Verdict::Pass,
        },
    );
    cluster.invoke(0, OPERATION);
    for _ in 0..3 {
        cluster.round();
    }
    assert_eq!(cluster.core(0).order(), 1);
    cluster.crash(0);
    // The client need not ask again.
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::Request(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    assert!(cluster.run_until(Duration::from_secs(2), |cluster| {
        cluster.sessions[0].is_idle()
    }));
    cluster.everything_completes();
    assert_eq!(cluster.core(1).order(), 1);
}

/// VRR §4.2 step 5: backups acknowledge the uncommitted suffix, so it commits without any new request.
#[test]
fn s4_2_step_5_the_uncommitted_suffix_commits_by_itself() {
    let mut cluster = Cluster::new(3, 1);
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::PrepareOk(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    cluster.invoke(0, OPERATION);
    cluster.run_for(Duration::from_millis(5));
    cluster.crash(0);
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::Request(_) | VrMessage::Prepare(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    assert!(cluster.run_until(Duration::from_secs(2), |cluster| {
        cluster.sessions[0].is_idle()
    }));
}

/// VRR §4.2: a replica takes StartView "only if" the view is later, or the same while it is changing views.
#[test]
fn s4_2_step_5_a_second_start_view_undoes_nothing() {
    let mut cluster = Cluster::new(3, 1);
    cluster.crash(0);
    cluster.filter = Box::new(|flight| match flight.is("StartView", 1, 2) {
        true => Verdict::Hold,
        false => Verdict::Pass,
    });
    assert!(
        cluster.run_until(Duration::from_secs(2), |cluster| cluster.primary()
            == Some(1))
    );
    assert!(!cluster.held.is_empty());
    let late = cluster.held[0].clone();
    cluster.heal();
    cluster.client_write(0, "prepared since");
    let before = cluster.core(2).op_number();
    cluster.deliver(late);
    assert_eq!(cluster.core(2).op_number(), before);
    assert_eq!(cluster.core(2).status(), Status::Normal);
}

/// VRR §8.1: "replicas must stop accepting PREPARE messages from earlier views once they start the view change".
#[test]
fn s8_1_no_prepare_is_accepted_once_the_view_change_has_begun() {
    let mut cluster = Cluster::new(3, 1);
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::Prepare(_) => Verdict::Hold,
        _ => Verdict::Pass,
    });
    cluster.invoke(0, OPERATION);
    cluster.round();
    let prepare = cluster
        .held
        .iter()
        .find(|flight| flight.is("Prepare", 0, 2))
        .cloned();
    cluster.crash(0);
    cluster.filter = Box::new(|flight| match flight.is("DoViewChange", 2, 1) {
        true => Verdict::Drop,
        false => Verdict::Pass,
    });
    assert!(cluster.run_until(Duration::from_secs(2), |cluster| {
        cluster.core(2).status() == Status::ViewChange
    }));
    cluster.deliver(prepare.expect("held"));
    assert_eq!(cluster.core(2).op_number(), OpNumber(0));
}
