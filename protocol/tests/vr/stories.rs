//! Stories of clusters in trouble, one claim each.

use std::time::Duration;

use bytes::Bytes;
use viewstorm_protocol::vr::{
    BATCH_MAX, CHUNK_ENTRIES_MAX, Commit, DoViewChange, Entries, GetState, LogSuffix, NewState,
    OPERATION_BYTES_MAX, OpNumber, PIPELINE_MAX, PREPARES_MAX, Prepare, PrepareOk, Request,
    StartView, StartViewChange, VrMessage,
};
use viewstorm_protocol::{Address, EpochNumber, Status, ViewNumber};

use crate::cluster::{Cluster, Flight, Verdict, replica};

fn cut(blocked: impl Fn(&Flight) -> bool + 'static) -> Box<dyn Fn(&Flight) -> Verdict> {
    Box::new(move |flight| match blocked(flight) {
        true => Verdict::Drop,
        false => Verdict::Pass,
    })
}

#[test]
fn a_group_of_any_size_serves() {
    for members in 1..=7 {
        let mut cluster = Cluster::new(members, 1);
        assert_eq!(cluster.client_write(0, "one").order, 1);
        assert_eq!(cluster.client_write(0, "two").result, "one");
        cluster.everything_completes();
    }
}

#[test]
fn a_minority_may_crash() {
    for members in [3, 5] {
        let mut cluster = Cluster::new(members, 1);
        cluster.client_write(0, "one");
        for index in 0..members / 2 {
            cluster.crash(index);
        }
        assert_eq!(cluster.client_write(0, "two").result, "one");
    }
}

#[test]
fn everything_may_crash_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::new(3, 1);
    cluster.client_write(0, "one");
    for index in 0..3 {
        cluster.crash(index);
    }
    for index in 0..3 {
        cluster.restart(index);
    }
    assert_eq!(cluster.client_write(0, "two").result, "one");
}

#[test]
fn a_restarted_primary_leaves_its_view() {
    let mut cluster = Cluster::new(3, 2);
    cluster.nodes[0].syncs = false;
    cluster.filter = cut(|flight| flight.is("Prepare", 0, 1));
    cluster.invoke(0, Bytes::from_static(b"forgotten by r0, held by r2"));
    cluster.round();
    cluster.round();
    cluster.crash(0);
    cluster.nodes[0].syncs = true;
    cluster.restart(0);
    assert_eq!(cluster.core(0).view(), ViewNumber::new(1));
    cluster.client_write(1, "other");
    cluster.everything_completes();
}

#[test]
fn a_restarted_backup_stays_in_its_view() {
    let mut cluster = Cluster::new(3, 1);
    cluster.client_write(0, "one");
    cluster.crash(2);
    cluster.restart(2);
    assert_eq!(cluster.core(2).status(), Status::Normal);
    cluster.client_write(0, "two");
    cluster.run_for(Duration::from_millis(50));
    assert!(cluster.has_converged());
    assert_eq!(cluster.core(2).view(), ViewNumber::new(0));
}

#[test]
fn a_replica_that_crashes_before_it_votes_votes_after_it_restarts() {
    let mut cluster = Cluster::new(3, 1);
    cluster.client_write(0, "one");
    cluster.crash(0);
    assert!(cluster.run_until(Duration::from_secs(1), |cluster| {
        cluster.core(2).status() == Status::ViewChange
    }));
    cluster.sync(2);
    cluster.crash(2);
    cluster.restart(2);
    assert_eq!(cluster.core(2).status(), Status::ViewChange);
    assert_eq!(cluster.client_write(0, "two").result, "one");
}

#[test]
fn a_replica_that_hears_nothing_drags_nobody_along() {
    let mut cluster = Cluster::new(3, 1);
    cluster.filter = cut(|flight| flight.to == replica(2));
    cluster.run_for(Duration::from_secs(2));
    assert_eq!(
        (cluster.core(0).view(), cluster.core(2).view()),
        (ViewNumber::new(0), ViewNumber::new(0))
    );
    cluster.client_write(0, "one");
    cluster.heal();
    cluster.run_for(Duration::from_millis(100));
    assert!(cluster.has_converged());
    assert_eq!(cluster.core(0).view(), ViewNumber::new(0));
}

#[test]
fn a_primary_that_hears_nothing_abdicates() {
    let mut cluster = Cluster::new(3, 1);
    cluster.filter = cut(|flight| flight.to == replica(0));
    assert!(
        cluster.run_until(Duration::from_millis(600), |cluster| cluster.primary()
            == Some(1))
    );
    cluster.client_write(0, "one");
}

#[test]
fn one_lost_link_between_backup_and_primary_changes_no_view() {
    let mut cluster = Cluster::new(3, 1);
    cluster.filter = cut(|flight| flight.is_on_link(0, 2));
    for value in ["one", "two", "three"] {
        cluster.client_write(0, value);
        cluster.run_for(Duration::from_millis(400));
    }
    assert_eq!(cluster.core(1).view(), ViewNumber::new(0));
}

#[test]
fn an_isolated_primary_serves_nothing_and_its_suffix_is_replaced() {
    let mut cluster = Cluster::new(3, 2);
    cluster.client_write(0, "one");
    cluster.filter = cut(|flight| flight.touches(0) && flight.is_between_replicas());
    cluster.invoke(1, Bytes::from_static(b"alone"));
    cluster.round();
    assert_eq!(cluster.core(0).op_number(), OpNumber(2));
    assert!(
        cluster.run_until(Duration::from_secs(1), |cluster| cluster.primary()
            == Some(1))
    );
    assert_eq!(cluster.core(0).commit_number(), OpNumber(1));
    cluster.client_write(0, "two");
    cluster.everything_completes();
}

#[test]
fn a_replica_that_was_away_for_long_catches_up_in_chunks() {
    for later_view in [false, true] {
        let mut cluster = Cluster::new(3, 1);
        cluster.crash(2);
        for _ in 0..CHUNK_ENTRIES_MAX * 2 + 100 {
            cluster.client_write(0, "again");
        }
        if later_view {
            cluster.crash(0);
            cluster.restart(0);
        }
        cluster.restart(2);
        let caught_up = cluster.run_until(Duration::from_secs(2), Cluster::has_converged);
        assert!(caught_up, "later view: {later_view}");
    }
}

#[test]
fn a_new_primary_without_the_committed_prefix_fetches_it() {
    let mut cluster = Cluster::new(3, 1);
    cluster.filter = cut(|flight| flight.touches(1) && flight.is_between_replicas());
    for _ in 0..PIPELINE_MAX + CHUNK_ENTRIES_MAX as u64 {
        cluster.client_write(0, "without r1");
    }
    cluster.crash(0);
    cluster.heal();
    assert!(
        cluster.run_until(Duration::from_secs(2), |cluster| cluster.primary()
            == Some(1))
    );
    assert_eq!(cluster.core(1).op_number(), cluster.core(2).op_number());
    cluster.everything_completes();
}

#[test]
fn under_load_operations_travel_in_batches_and_the_pipeline_is_bounded() {
    let clients = 2 * PIPELINE_MAX as usize;
    let mut cluster = Cluster::new(3, clients);
    for client in 0..clients {
        cluster.invoke(client, Bytes::from_static(b"x"));
    }
    cluster.round();
    assert_eq!(cluster.count(&["Prepare"]), 2 * PREPARES_MAX);
    assert!(cluster.core(0).op_number().0 <= PIPELINE_MAX);
    cluster.run_for(Duration::from_millis(15));
    assert!(cluster.sessions.iter().all(|session| session.is_idle()));
    assert!(cluster.count(&["Prepare"]) <= 2 * (PREPARES_MAX + clients.div_ceil(BATCH_MAX) + 1));
    cluster.everything_completes();
}

#[test]
fn what_is_in_the_pipeline_never_exceeds_its_bound() {
    let clients = 2 * PIPELINE_MAX as usize;
    let mut cluster = Cluster::new(3, clients);
    cluster.filter = cut(|flight| flight.is_between_replicas());
    for client in 0..clients {
        cluster.invoke(client, Bytes::from_static(b"x"));
    }
    cluster.run_for(Duration::from_millis(60));
    assert!(cluster.core(0).op_number().0 <= PIPELINE_MAX);
    cluster.everything_completes();
}

#[test]
fn an_operation_that_is_too_long_is_refused() {
    for (length, taken) in [
        (OPERATION_BYTES_MAX, true),
        (OPERATION_BYTES_MAX + 1, false),
    ] {
        let mut cluster = Cluster::new(3, 1);
        let request = Request {
            epoch: EpochNumber(0),
            client: cluster.sessions[0].id,
            request_number: 1,
            operation: Bytes::from(vec![0; length]).into(),
        };
        cluster.deliver(Flight {
            from: Address::Client(request.client),
            to: replica(0),
            message: request.into(),
        });
        assert_eq!(
            cluster.core(0).op_number() == OpNumber(1),
            taken,
            "{length}"
        );
    }
}

/// Numbers at the edges.
const EDGES: [u64; 7] = [0, 1, 2, 3, 1 << 20, u64::MAX - 1, u64::MAX];

fn strange_messages(entries: &Entries) -> Vec<VrMessage> {
    let mut messages = Vec::new();
    for view in EDGES.map(ViewNumber::new) {
        for op in EDGES.map(OpNumber) {
            for commit_number in EDGES.map(OpNumber) {
                for entries in [Entries::default(), entries.clone()] {
                    let suffix = LogSuffix {
                        after: op,
                        previous: 0,
                        entries,
                    };
                    let log_view = ViewNumber::new(commit_number.0);
                    messages.extend([
                        VrMessage::from(Prepare {
                            view,
                            commit_number,
                            suffix: suffix.clone(),
                        }),
                        DoViewChange {
                            view,
                            log_view,
                            commit_number,
                            suffix: suffix.clone(),
                        }
                        .into(),
                        StartView {
                            view,
                            commit_number,
                            suffix: suffix.clone(),
                        }
                        .into(),
                        NewState {
                            view,
                            op_number: None,
                            commit_number,
                            suffix: suffix.clone(),
                        }
                        .into(),
                        NewState {
                            view,
                            op_number: Some(op),
                            commit_number,
                            suffix,
                        }
                        .into(),
                    ]);
                }
            }
            messages.extend([
                VrMessage::from(PrepareOk {
                    view,
                    op_number: op,
                }),
                Commit {
                    view,
                    commit_number: op,
                }
                .into(),
                GetState { view, after: op }.into(),
                StartViewChange {
                    view,
                    entered: ViewNumber::new(op.0),
                }
                .into(),
            ]);
        }
    }
    messages
}

#[test]
fn no_message_panics_a_replica() {
    let mut donor = Cluster::new(3, 1);
    for value in ["one", "two"] {
        donor.client_write(0, value);
    }
    let own = donor.core(0);
    let entries: Entries = (1..=2)
        .map(|op| own.entry(OpNumber(op)).unwrap().clone())
        .collect();
    let mut wrong = entries.to_vec();
    wrong[1].op = OpNumber(u64::MAX);
    for entries in [entries, wrong.into()] {
        for message in strange_messages(&entries) {
            for receiver in 0..3 {
                for crashed in [None, Some(0)] {
                    let mut cluster = Cluster::new(3, 1);
                    cluster.unjudged = true;
                    if let Some(crashed) = crashed.filter(|crashed| *crashed != receiver) {
                        cluster.crash(crashed);
                        cluster.run_for(Duration::from_millis(155));
                    }
                    for sender in (0..3).filter(|sender| *sender != receiver) {
                        let (from, to) = (replica(sender), replica(receiver));
                        cluster.deliver(Flight {
                            from,
                            to,
                            message: message.clone(),
                        });
                    }
                    cluster.run_for(Duration::from_millis(5));
                }
            }
        }
    }
}
