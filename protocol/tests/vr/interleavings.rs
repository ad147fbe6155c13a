//! Interleavings that the paper's text, or a well-known implementation, gets wrong. Each test plays one, step by
//! step; the oracle in `cluster` judges every step.

use std::time::Duration;

use bytes::Bytes;
use viewstorm_protocol::vr::{OpNumber, QUEUE_MAX, UNSYNCED_MAX, VrMessage};
use viewstorm_protocol::{Message, Status, ViewNumber};

use crate::cluster::{Cluster, Flight, Verdict, replica};

const OPERATION: Bytes = Bytes::from_static(b"x");
const SECOND: Duration = Duration::from_secs(1);

fn cut(blocked: impl Fn(&Flight) -> bool + 'static) -> Box<dyn Fn(&Flight) -> Verdict> {
    Box::new(move |flight| match blocked(flight) {
        true => Verdict::Drop,
        false => Verdict::Pass,
    })
}

/// Cuts the replicas of one side from the others, and from all clients.
fn without(side: &'static [usize]) -> Box<dyn Fn(&Flight) -> Verdict> {
    cut(move |flight| {
        let is_in = |address| side.iter().any(|index| replica(*index) == address);
        is_in(flight.from) != is_in(flight.to)
    })
}

/// Replicas crash and restart until `primary` leads.
fn elect(cluster: &mut Cluster, primary: usize) {
    for _ in 0..20 {
        let leads = |cluster: &Cluster| cluster.primary();
        assert!(cluster.run_until(SECOND * 5, move |cluster| leads(cluster).is_some()));
        match cluster.primary() {
            Some(leader) if leader == primary => return,
            Some(leader) => {
                cluster.crash(leader);
                cluster.restart(leader);
            }
            None => {}
        }
        cluster.run_for(Duration::from_millis(20));
    }
    panic!("r{primary} is never elected");
}

/// An acknowledgement of view 0 says nothing of the operation that has its number in view 5.
///
/// 1. r0 prepares op 1; r1 holds it too; its PrepareOk is late.
/// 2. r2, r3 and r4 elect without them: op 1 is gone.
/// 3. r0 leads again, in view 5, and puts another operation at op 1; r2 alone has it, too.
/// 4. The PrepareOk of step 1 arrives. With it that would make three; two hold the operation.
#[test]
fn an_acknowledgement_of_an_earlier_view_does_not_count() {
    let mut cluster = Cluster::new(5, 2);
    cluster.filter = Box::new(|flight| {
        let hold = flight.is("PrepareOk", 1, 0);
        let pass = !flight.is_between_replicas() || flight.is("Prepare", 0, 1);
        match (hold, pass) {
            (true, _) => Verdict::Hold,
            (false, true) => Verdict::Pass,
            (false, false) => Verdict::Drop,
        }
    });
    cluster.invoke(0, OPERATION);
    cluster.round();
    cluster.round();
    let late = cluster.held.iter().find(|flight| match &flight.message {
        VrMessage::PrepareOk(ok) => ok.op_number == OpNumber(1),
        _ => false,
    });
    let late = late.expect("r1 has acknowledged op 1").clone();
    cluster.held.clear();
    // Without clients, so that op 1 stays free.
    cluster.filter =
        cut(|flight| flight.touches(0) || flight.touches(1) || !flight.is_between_replicas());
    assert!(cluster.run_until(SECOND * 5, |cluster| {
        [2, 3, 4].iter().all(|index| {
            cluster.core(*index).status() == Status::Normal
                && cluster.core(*index).view().number > 0
        })
    }));
    cluster.filter = cut(|flight| !flight.is_between_replicas());
    cluster.run_for(SECOND);
    elect(&mut cluster, 0);
    assert!(cluster.core(0).view() >= ViewNumber::new(5));
    assert_eq!(cluster.core(0).op_number(), OpNumber(0));
    cluster.filter = cut(|flight| flight.is_between_replicas() && !flight.is_on_link(0, 2));
    cluster.invoke(1, OPERATION);
    for _ in 0..4 {
        cluster.round();
    }
    assert_eq!(cluster.core(0).op_number(), OpNumber(1));
    cluster.deliver(late);
    assert_eq!(cluster.core(0).commit_number(), OpNumber(0));
    cluster.everything_completes();
}

/// A vote counts for the view that it names and for no other.
///
/// 1. In view 0 all hold op 1. r2 votes for view 1; the vote is late, and r1, who would lead, hears nothing.
/// 2. r0 and r2 go on to view 2 and commit op 2 there, without r1.
/// 3. r1 enters view 4, which it would lead too, and r2's vote for view 1 arrives: it lacks op 2.
#[test]
fn a_vote_for_an_earlier_view_does_not_count() {
    let mut cluster = Cluster::new(3, 1);
    cluster.client_write(0, "one");
    cluster.run_for(Duration::from_millis(30));
    cluster.filter = Box::new(|flight| match flight.touches(1) || flight.touches(0) {
        true if flight.is("DoViewChange", 2, 1) => Verdict::Hold,
        true if flight.touches(1) || flight.message.kind() == "Commit" => Verdict::Drop,
        _ => Verdict::Pass,
    });
    assert!(cluster.run_until(SECOND, |cluster| !cluster.held.is_empty()));
    let late = cluster.held[0].clone();
    cluster.filter = without(&[1]);
    cluster.held.clear();
    assert!(cluster.run_until(SECOND * 5, |cluster| cluster.primary() == Some(2)));
    cluster.filter = cut(|flight| flight.touches(1));
    cluster.client_write(0, "two");
    assert_eq!(cluster.core(1).op_number(), OpNumber(1));
    // r1 hears that somebody has entered view 4, and then the old vote alone.
    let ask = viewstorm_protocol::vr::StartViewChange {
        view: ViewNumber::new(4),
        entered: ViewNumber::new(4),
    };
    cluster.deliver(Flight {
        from: replica(0),
        to: replica(1),
        message: ask.into(),
    });
    cluster.sync(1);
    cluster.deliver(late);
    cluster.sync(1);
    assert_eq!(cluster.core(1).status(), Status::ViewChange);
    cluster.everything_completes();
}

/// The views of voters are durable (Michael et al., DISC 2017): a voter that forgets its vote could acknowledge in the
/// view it had left.
#[test]
fn no_vote_leaves_before_the_view_is_durable() {
    let mut cluster = Cluster::new(3, 1);
    cluster.client_write(0, "one");
    cluster.crash(0);
    cluster.nodes[2].syncs = false;
    assert!(cluster.run_until(SECOND, |cluster| {
        cluster.core(2).status() == Status::ViewChange
    }));
    cluster.run_for(Duration::from_millis(100));
    assert_eq!(cluster.count(&["DoViewChange"]), 0);
    cluster.crash(2);
    cluster.restart(2);
    assert_eq!(
        cluster.core(2).view(),
        ViewNumber::new(0),
        "it has promised nothing"
    );
    cluster.everything_completes();
}

/// The trace of DISC 2017, appendix B.1, with durable views: the same messages, the same crashes.
///
/// 1. r1 leaves view 0 for view 1 and crashes; what it said is late. It comes back where it was.
/// 2. r2 hears the late messages, votes for view 1, and crashes; its vote is late, too. It comes back.
/// 3. r0 and r2 work on. Then the late vote reaches r1.
#[test]
fn late_votes_of_earlier_incarnations_lose_nothing() {
    let mut cluster = Cluster::new(3, 2);
    cluster.client_write(0, "one");
    cluster.run_for(Duration::from_millis(30));
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::StartViewChange(_) | VrMessage::DoViewChange(_) => Verdict::Hold,
        VrMessage::Commit(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    assert!(cluster.run_until(SECOND, |cluster| cluster.held.len() >= 4));
    for index in [1, 2] {
        let late: Vec<Flight> = cluster.held.drain(..).collect();
        let (to_it, rest) = late
            .into_iter()
            .partition::<Vec<_>, _>(|flight| flight.to == replica(index));
        cluster.held = rest;
        for flight in to_it {
            cluster.deliver(flight);
        }
        cluster.sync(index);
        cluster.crash(index);
        cluster.restart(index);
    }
    let late: Vec<Flight> = cluster.held.drain(..).collect();
    cluster.invoke(1, OPERATION);
    cluster.run_for(Duration::from_millis(5));
    for flight in late {
        cluster.deliver(flight);
        cluster.run_for(Duration::from_millis(1));
    }
    cluster.everything_completes();
}

/// A new view's log is acknowledged when all of it is durable under the new view's name, and not before.
#[test]
fn a_prepare_on_a_log_that_is_not_durable_yet_is_not_acknowledged() {
    for synced in 0..4 {
        let mut cluster = Cluster::new(3, 2);
        cluster.client_write(0, "one");
        cluster.run_for(Duration::from_millis(30));
        // r0 has a suffix of its own, which view 1 replaces.
        cluster.filter = cut(|flight| flight.touches(0) && flight.is_between_replicas());
        cluster.invoke(1, Bytes::from_static(b"alone"));
        assert!(cluster.run_until(SECOND, |cluster| cluster.primary() == Some(1)));
        cluster.client_write(0, "two");
        cluster.nodes[0].syncs = false;
        cluster.filter = cut(|flight| flight.touches(2) && flight.is_between_replicas());
        assert!(cluster.run_until(SECOND, |cluster| {
            cluster.core(0).view() == ViewNumber::new(1)
                && cluster.core(0).status() == Status::Normal
        }));
        let before = cluster.core(1).commit_number();
        cluster.invoke(0, Bytes::from_static(b"three"));
        cluster.run_for(Duration::from_millis(30));
        for _ in 0..synced {
            cluster.sync_one(0);
        }
        cluster.run_for(Duration::from_millis(30));
        let (durable, wanted) = (cluster.core(1).commit_number(), cluster.core(1).op_number());
        assert!(wanted > before);
        assert!(durable < wanted, "with {synced} records durable");
        cluster.crash(0);
        cluster.everything_completes();
    }
}

/// What is known to be committed is written down with the log, so a group that restarts as a whole knows it again.
#[test]
fn a_restarted_group_has_executed_what_it_knew_to_be_committed() {
    let mut cluster = Cluster::new(3, 1);
    for value in ["one", "two", "three"] {
        cluster.client_write(0, value);
    }
    cluster.run_for(Duration::from_millis(30));
    for index in 0..3 {
        cluster.sync(index);
        cluster.crash(index);
        cluster.restart(index);
        assert!(cluster.core(index).order() >= 2, "r{index}");
    }
    cluster.everything_completes();
    assert_eq!(cluster.core(0).order(), 3);
}

/// A replica that gives up a state transfer votes with the log and the log_view that it had (Vanlightly: the paper's
/// text truncates first, and so loses what was on a majority).
#[test]
fn a_state_transfer_given_up_leaves_the_log_as_it_was() {
    let mut cluster = Cluster::new(3, 2);
    cluster.client_write(0, "one");
    // r2 has op 2, and does not know that it is committed.
    cluster.filter = cut(|flight| flight.to == replica(2) && flight.message.kind() == "Commit");
    cluster.client_write(1, "two");
    assert_eq!(
        (cluster.core(2).op_number(), cluster.core(2).commit_number()),
        (OpNumber(2), OpNumber(1))
    );
    // It hears of view 1 and nobody answers.
    cluster.filter = cut(|flight| flight.touches(2));
    let commit = viewstorm_protocol::vr::Commit {
        view: ViewNumber::new(1),
        commit_number: OpNumber(2),
    };
    cluster.deliver(Flight {
        from: replica(1),
        to: replica(2),
        message: commit.into(),
    });
    assert_eq!(cluster.core(2).status(), Status::StateTransfer);
    cluster.run_for(Duration::from_millis(200));
    assert_eq!(cluster.core(2).status(), Status::ViewChange);
    assert_eq!(
        (cluster.core(2).op_number(), cluster.core(2).log_view()),
        (OpNumber(2), ViewNumber::new(0))
    );
    cluster.everything_completes();
}

/// One replica is a view ahead, the others normal, their primary dead: it draws them along.
#[test]
fn a_replica_that_is_ahead_draws_the_others_along() {
    for members in [3, 4, 5] {
        let mut cluster = Cluster::new(members, 1);
        cluster.client_write(0, "one");
        let ask = viewstorm_protocol::vr::StartViewChange {
            view: ViewNumber::new(3),
            entered: ViewNumber::new(3),
        };
        cluster.filter = cut(|flight| flight.is_between_replicas());
        cluster.deliver(Flight {
            from: replica(1),
            to: replica(2),
            message: ask.into(),
        });
        cluster.sync(2);
        assert_eq!(cluster.core(2).view(), ViewNumber::new(3));
        cluster.crash(0);
        cluster.heal();
        cluster.client_write(0, "two");
    }
}

/// Only one replica is linked with a majority. Sooner or later it leads, and the group serves.
#[test]
fn the_only_replica_that_reaches_a_majority_ends_up_leading() {
    for hub in 0..5 {
        let mut cluster = Cluster::new(5, 1);
        cluster.client_write(0, "one");
        cluster.filter = cut(move |flight| flight.is_between_replicas() && !flight.touches(hub));
        let leads = move |cluster: &Cluster| cluster.primary() == Some(hub);
        assert!(cluster.run_until(SECOND * 30, leads), "r{hub}");
        cluster.client_write(0, "two");
    }
}

/// A majority has restarted, and most of what is said gets lost: a view is left all the same.
#[test]
fn a_view_is_left_though_most_asks_are_lost() {
    for members in [3, 5, 7] {
        let mut cluster = Cluster::new(members, 1);
        cluster.client_write(0, "one");
        cluster.run_for(Duration::from_millis(30));
        for index in 1..members {
            cluster.crash(index);
            cluster.restart(index);
        }
        cluster.crash(0);
        let asked = std::cell::Cell::new(0);
        cluster.filter = Box::new(move |flight| {
            asked.set(asked.get() + 1);
            match flight.is_between_replicas() && asked.get() % 3 != 0 {
                true => Verdict::Drop,
                false => Verdict::Pass,
            }
        });
        let done = cluster.run_until(SECOND * 20, |cluster| cluster.primary().is_some());
        assert!(done, "{members} members");
        cluster.everything_completes();
    }
}

/// Requests beyond the queue's limit are dropped; their clients ask again.
#[test]
fn requests_that_found_the_queue_full_complete_later() {
    let clients = QUEUE_MAX + 600;
    let mut cluster = Cluster::new(3, clients);
    cluster.filter = cut(|flight| flight.is_between_replicas());
    for client in 0..clients {
        cluster.invoke(client, OPERATION);
    }
    cluster.round();
    cluster.everything_completes();
}

/// The backups commit without the primary's disk. What waits for that disk is bounded all the same.
#[test]
fn a_primary_whose_disk_stands_still_stops_in_time() {
    let mut cluster = Cluster::new(3, 1);
    cluster.nodes[0].syncs = false;
    for _ in 0..UNSYNCED_MAX {
        cluster.client_write(0, "again");
    }
    cluster.invoke(0, OPERATION);
    cluster.run_for(Duration::from_millis(10));
    assert!(!cluster.sessions[0].is_idle());
    cluster.sync(0);
    cluster.run_for(Duration::from_millis(10));
    assert!(cluster.sessions[0].is_idle());
}

/// Syncs take longer than the first elections' patience: it grows until a view can start.
#[test]
fn elections_wait_for_slow_disks() {
    let mut cluster = Cluster::new(3, 1);
    cluster.client_write(0, "one");
    cluster.crash(0);
    for index in [1, 2] {
        cluster.nodes[index].syncs = false;
    }
    let slow = Duration::from_millis(400);
    for _ in 0..40 {
        cluster.run_for(slow);
        for index in [1, 2] {
            cluster.sync(index);
        }
        if cluster.primary().is_some() {
            return;
        }
    }
    panic!("no view ever starts");
}
