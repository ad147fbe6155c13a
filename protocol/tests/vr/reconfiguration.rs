//! Reconfiguration: one test per sentence of VRR §7, named by its section, and the stories that the paper tells
//! around them.

use std::collections::BTreeSet;
use std::time::Duration;

use bytes::Bytes;
use viewstorm_protocol::vr::{DurabilityMode, Operation, VrMessage};
use viewstorm_protocol::{
    Address, ClientId, EpochNumber, Message, ProtocolEvent, ReplicaId, Status, ViewNumber,
};

use crate::cluster::{Cluster, Flight, Verdict, replica};

const EPOCH_1: EpochNumber = EpochNumber(1);
const OPERATION: Bytes = Bytes::from_static(b"x");

/// A cluster of 3 members and `spares` others, two clients and the administrator: client 2.
fn cluster(spares: usize) -> Cluster {
    Cluster::with_spares(3, spares, 3)
}

const ADMINISTRATOR: usize = 2;

fn refusals(cluster: &Cluster, reason: &str) -> usize {
    let is_it = |note: &ProtocolEvent| matches!(note, ProtocolEvent::Dropped { reason: r, .. } if r == reason);
    cluster.notes.iter().filter(|(_, note)| is_it(note)).count()
}

fn drop_kind(kind: &'static str) -> Box<dyn Fn(&Flight) -> Verdict> {
    Box::new(move |flight| match flight.message.kind() == kind {
        true => Verdict::Drop,
        false => Verdict::Pass,
    })
}

fn members(cluster: &Cluster, index: usize) -> Vec<u16> {
    let configuration = cluster.core(index).configuration();
    configuration.members.iter().map(|id| id.0).collect()
}

fn epoch(cluster: &Cluster, index: usize) -> u64 {
    cluster.core(index).view().epoch.0
}

/// Runs until the reconfiguration is committed somewhere.
fn until_epoch_1(cluster: &mut Cluster) {
    let begun = cluster.run_until(Duration::from_secs(10), |cluster| {
        let up = (0..cluster.nodes.len()).filter(|index| cluster.is_up(*index));
        up.into_iter().any(|index| epoch(cluster, index) == 1)
    });
    assert!(begun, "the reconfiguration commits");
}

/// VRR §7.1: "it increments its epoch-number"; members of both groups go on, those added join.
#[test]
fn s7_a_group_grows_is_replaced_and_shrinks_while_clients_write() {
    let mut cluster = cluster(3);
    for (number, group) in [
        &[0, 1, 2, 3, 4][..],
        &[1, 2, 3, 4, 5],
        &[3, 4, 5],
        &[0, 1, 2],
    ]
    .into_iter()
    .enumerate()
    {
        cluster.client_write(0, "before");
        for index in group {
            if !cluster.is_up(*index) {
                cluster.restart(*index);
            }
        }
        let epoch = EpochNumber(number as u64 + 1);
        assert_eq!(cluster.reconfigured(ADMINISTRATOR, group), Ok(epoch));
        cluster.client_write(1, "after");
    }
    cluster.everything_completes();
    assert_eq!(cluster.core(1).order(), 8);
}

/// VRR §7.1: "the primary discards the request if new-config contains fewer than 3 IP addresses".
#[test]
fn s7_1_a_group_of_fewer_than_three_is_refused() {
    let mut cluster = cluster(0);
    let refused = cluster.reconfigured(ADMINISTRATOR, &[0, 1]).unwrap_err();
    assert!(refused.contains("at least 3"), "{refused}");
    cluster.client_write(0, "the group works on");
    assert_eq!(epoch(&cluster, 0), 0);
}

/// Not in the paper: a group of strangers, or with a member twice, would never begin.
#[test]
fn s7_1_a_group_that_makes_no_sense_is_refused() {
    let mut cluster = cluster(1);
    for (group, reason) in [
        (&[0, 1, 9][..], "r9 is no known replica"),
        (&[0, 0, 1], "ascending"),
    ] {
        let refused = cluster.reconfigured(ADMINISTRATOR, group).unwrap_err();
        assert!(refused.contains(reason), "{refused}");
    }
}

/// VRR §7.1: "The primary will accept the request only if s is large enough (based on the client-table) and e is
/// the current epoch-number." An administrator that is answered with the new epoch asks there with the same s, and
/// is answered from the table: the group changes once.
#[test]
fn s7_1_a_reconfiguration_whose_answer_was_lost_happens_once() {
    let mut cluster = cluster(1);
    cluster.filter = drop_kind("Reply");
    cluster.reconfigure(ADMINISTRATOR, &[1, 2, 3]);
    until_epoch_1(&mut cluster);
    cluster.heal();
    cluster.run_for(Duration::from_secs(2));
    assert_eq!(cluster.sessions[ADMINISTRATOR].reconfigured, [Ok(EPOCH_1)]);
    assert_eq!(epoch(&cluster, 1), 1);
}

/// VRR §7.1: another one while one is under way waits for its turn.
#[test]
fn s7_1_a_second_reconfiguration_waits_for_the_first() {
    let mut cluster = cluster(2);
    cluster.reconfigure(1, &[0, 1, 2, 3]);
    cluster.reconfigure(ADMINISTRATOR, &[0, 1, 2, 4]);
    let done = cluster.run_until(Duration::from_secs(20), |cluster| {
        [1, ADMINISTRATOR].map(|who| cluster.sessions[who].reconfigured.len()) == [1, 1]
    });
    assert!(done);
    assert_eq!(epoch(&cluster, 0), 2);
}

/// VRR §7.1: "the primary immediately stops accepting other client requests; the reconfiguration request is the
/// last request processed in the current epoch".
#[test]
fn s7_1_the_reconfiguration_is_the_last_request_of_its_epoch() {
    let mut cluster = cluster(1);
    cluster.filter = drop_kind("PrepareOk");
    cluster.reconfigure(ADMINISTRATOR, &[0, 1, 2, 3]);
    cluster.round();
    let end = cluster.core(0).op_number();
    cluster.invoke(0, OPERATION);
    cluster.round();
    assert_eq!(refusals(&cluster, "a reconfiguration ends the epoch"), 1);
    assert_eq!(cluster.core(0).op_number(), end);
    cluster.heal();
    cluster.run_for(Duration::from_secs(2));
    assert_eq!(cluster.core(0).configuration().start, end);
    assert!(cluster.sessions[0].is_idle(), "in the next epoch");
}

/// VRR §7.1: "executing the request does not cause an up-call to the service code".
#[test]
fn s7_1_a_reconfiguration_makes_no_up_call() {
    let mut cluster = cluster(1);
    cluster.client_write(0, "one");
    let (order, digest) = (cluster.core(0).order(), cluster.core(0).state_digest());
    cluster.reconfigured(ADMINISTRATOR, &[0, 1, 3]).unwrap();
    assert_eq!(
        (order, digest),
        (cluster.core(0).order(), cluster.core(0).state_digest())
    );
}

/// VRR §7.1 step 3: the primary "sends COMMIT messages to the other old replicas, and sends STARTEPOCH messages to
/// replicas that are being added".
#[test]
fn s7_1_step_3_the_primary_tells_the_old_and_the_added() {
    let mut cluster = cluster(2);
    cluster.filter = Box::new(|flight| match flight.message.kind() {
        "StartEpoch" | "Commit" => Verdict::Hold,
        _ => Verdict::Pass,
    });
    cluster.reconfigure(ADMINISTRATOR, &[0, 1, 3, 4]);
    for _ in 0..4 {
        cluster.round();
    }
    assert_eq!(cluster.core(0).view(), ViewNumber::in_epoch(EPOCH_1, 0));
    let told = |kind| {
        let held = cluster
            .held
            .iter()
            .filter(|flight| flight.message.kind() == kind);
        held.map(|flight| flight.to).collect::<Vec<_>>()
    };
    assert_eq!(told("Commit"), [replica(1), replica(2)]);
    // And whoever still spoke to it of the old epoch.
    assert!(told("StartEpoch").starts_with(&[replica(3), replica(4)]));
}

/// VRR §7.1: "The new threshold ... is the largest value f' such that 2f'+1 is less than or equal to the size of
/// new-config". Four members mask one crash and decide with three.
#[test]
fn s7_1_four_members_mask_one_crash_and_not_two() {
    let mut cluster = cluster(1);
    cluster.reconfigured(ADMINISTRATOR, &[0, 1, 2, 3]).unwrap();
    cluster.crash(3);
    cluster.client_write(0, "with three");
    cluster.crash(2);
    cluster.invoke(0, OPERATION);
    cluster.run_for(Duration::from_secs(2));
    assert!(!cluster.sessions[0].is_idle(), "two of four are no quorum");
    cluster.everything_completes();
}

/// VRR §7.1: "If they receive a message with an earlier epoch number they discard the message but inform the sender
/// about the later epoch." And "if they receive a message with a later epoch number they move to that epoch".
#[test]
fn s7_1_who_speaks_to_a_later_epoch_moves_there() {
    let mut cluster = cluster(1);
    cluster.filter = Box::new(
        |flight| match flight.touches(1) && flight.is_between_replicas() {
            true => Verdict::Drop,
            false => Verdict::Pass,
        },
    );
    cluster.reconfigured(ADMINISTRATOR, &[0, 1, 2, 3]).unwrap();
    assert_eq!(epoch(&cluster, 1), 0);
    cluster.heal();
    cluster.run_for(Duration::from_millis(100));
    assert_eq!(epoch(&cluster, 1), 1);
    assert!(refusals(&cluster, "of an earlier epoch") + refusals(&cluster, "of a later epoch") > 0);
}

/// VRR §7.1.1 step 1: a new member "initializes its state to record the old and new configurations, the new
/// epoch-number, and the op-number, sets its view-number to 0, and sets its status to transitioning".
#[test]
fn s7_1_1_step_1_a_new_member_records_the_epoch() {
    let mut cluster = cluster(1);
    cluster.filter = drop_kind("NewState");
    cluster.client_write(0, "one");
    cluster.reconfigure(ADMINISTRATOR, &[0, 1, 3]);
    until_epoch_1(&mut cluster);
    cluster.run_for(Duration::from_millis(5));
    let core = cluster.core(3);
    assert_eq!(
        (core.status(), core.view()),
        (Status::Transitioning, ViewNumber::in_epoch(EPOCH_1, 0))
    );
    assert_eq!(core.configuration().start.0, 2);
    assert_eq!(core.configuration().old_members, [0, 1, 2].map(ReplicaId));
    assert_eq!(members(&cluster, 3), [0, 1, 3]);
    assert_eq!(core.log_view(), ViewNumber::new(0), "not of this epoch");
}

/// VRR §7.1.1 step 2 and 3: only "once a replica in the new group is up to date with respect to the start of the
/// epoch" does it acknowledge or vote: it sends no PrepareOk and no DoViewChange before.
#[test]
fn s7_1_1_step_2_a_member_that_transitions_does_not_vote() {
    let mut cluster = cluster(2);
    cluster.client_write(0, "one");
    cluster.filter = Box::new(|flight| match &flight.message {
        VrMessage::NewState(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    cluster.reconfigure(ADMINISTRATOR, &[2, 3, 4]);
    cluster.run_for(Duration::from_secs(3));
    for member in [3, 4] {
        assert_eq!(cluster.core(member).status(), Status::Transitioning);
    }
    let votes = cluster.count(&["DoViewChange"]);
    assert_eq!(
        votes, 0,
        "one member is no quorum, and the others do not vote"
    );
    assert!(cluster.sessions[ADMINISTRATOR].reconfigured.is_empty());
    cluster.heal();
    cluster.run_for(Duration::from_secs(3));
    assert_eq!(cluster.sessions[ADMINISTRATOR].reconfigured, [Ok(EPOCH_1)]);
    cluster.client_write(0, "two");
}

/// VRR §7.1.1: "Replicas in the new group might receive (duplicate) STARTEPOCH messages after they have completed
/// state transfer. In this case they send an EPOCHSTARTED response." And §7.1.2 step 3: the replaced ask for it.
#[test]
fn s7_1_1_a_duplicate_start_epoch_is_answered_and_7_1_2_step_3_asks_for_it() {
    let mut cluster = cluster(1);
    cluster.filter = drop_kind("EpochStarted");
    cluster.reconfigured(ADMINISTRATOR, &[1, 2, 3]).unwrap();
    cluster.run_for(Duration::from_millis(500));
    assert!(cluster.is_up(0), "nobody told it that it may go");
    assert_eq!(cluster.core(0).status(), Status::Transitioning);
    cluster.heal();
    cluster.run_for(Duration::from_millis(200));
    assert!(!cluster.is_up(0), "it shut down");
}

/// VRR §7.1.2 step 2: replaced replicas "respond to state transfer requests from replicas in the new group until
/// they receive f'+1 EPOCHSTARTED messages from the new replicas ... At this point the replica being replaced shuts
/// down".
#[test]
fn s7_1_2_step_2_the_replaced_serve_until_f_plus_1_have_started() {
    let mut cluster = cluster(3);
    cluster.client_write(0, "one");
    // Of the new group only one hears the old.
    cluster.filter = Box::new(|flight| {
        let is_deaf = flight.to == replica(4) || flight.to == replica(5);
        match flight.is_between_replicas() && is_deaf {
            true => Verdict::Drop,
            false => Verdict::Pass,
        }
    });
    cluster.reconfigure(ADMINISTRATOR, &[3, 4, 5]);
    cluster.run_for(Duration::from_secs(2));
    assert_ne!(
        cluster.core(3).status(),
        Status::Transitioning,
        "it has the log"
    );
    for old in 0..3 {
        assert_eq!(
            cluster.core(old).status(),
            Status::Transitioning,
            "it serves"
        );
    }
    cluster.heal();
    cluster.run_for(Duration::from_secs(2));
    assert!((0..3).all(|old| !cluster.is_up(old)));
    assert_eq!(cluster.sessions[ADMINISTRATOR].reconfigured, [Ok(EPOCH_1)]);
    let executed = cluster.core(3).order();
    assert_eq!(executed, 1, "what the old group did is there");
}

/// VRR §7.2: a new primary "won't accept any additional client requests if the topmost request in its log is a
/// RECONFIGURATION request. Additionally, if the request is committed, it sends STARTEPOCH messages".
#[test]
fn s7_2_a_new_primary_with_a_reconfiguration_on_top_takes_no_request() {
    let mut cluster = cluster(1);
    cluster.filter = Box::new(|flight| match flight.message.kind() {
        "PrepareOk" | "Commit" => Verdict::Drop,
        _ => Verdict::Pass,
    });
    cluster.reconfigure(ADMINISTRATOR, &[1, 2, 3]);
    cluster.round();
    cluster.round();
    cluster.crash(0);
    let changed = cluster.run_until(Duration::from_secs(5), |cluster| {
        cluster.core(1).is_primary()
    });
    assert!(changed && epoch(&cluster, 1) == 0);
    let end = cluster.core(1).op_number();
    cluster.invoke(0, OPERATION);
    cluster.run_for(Duration::from_millis(150));
    assert!(refusals(&cluster, "a reconfiguration ends the epoch") > 0);
    assert_eq!(cluster.core(1).op_number(), end);
    cluster.sent.clear();
    cluster.heal();
    cluster.run_for(Duration::from_secs(2));
    assert!(cluster.count(&["StartEpoch"]) > 0);
    assert_eq!(epoch(&cluster, 3), 1);
    assert!(cluster.sessions[0].is_idle());
}

/// VRR §7.2: "RECONFIGURATION requests that are in the log, but not the topmost request, are ignored, because in
/// this case the reconfiguration has already happened". A replica that slept executes them on its way.
#[test]
fn s7_2_a_reconfiguration_that_has_already_happened_is_ignored() {
    let mut cluster = cluster(2);
    cluster.crash(2);
    for group in [&[0, 1, 2, 3][..], &[0, 1, 2, 3, 4], &[0, 1, 2]] {
        cluster.reconfigured(ADMINISTRATOR, group).unwrap();
        cluster.client_write(0, "between");
    }
    cluster.restart(2);
    cluster.everything_completes();
    assert_eq!(cluster.core(2).view().epoch, EpochNumber(3));
    assert_eq!(members(&cluster, 2), [0, 1, 2]);
    // And a view change in which one lies below the top takes requests.
    cluster.crash(0);
    cluster.client_write(0, "after");
}

/// VRR §7.2: "An old replica that is attempting recovery while a reconfiguration is underway may be informed about
/// the next epoch. If the replica isn't a member of the new replica group it shuts down".
#[test]
fn s7_2_a_replica_that_comes_back_after_the_group_has_moved_on_learns_it() {
    let mut cluster = cluster(1);
    cluster.crash(0);
    cluster.client_write(0, "one");
    cluster.reconfigured(ADMINISTRATOR, &[1, 2, 3]).unwrap();
    cluster.restart(0);
    cluster.run_for(Duration::from_secs(2));
    assert!(!cluster.is_up(0), "it is not needed and has shut down");
    // Started again, it waits until it is made a member.
    cluster.restart(0);
    cluster.run_for(Duration::from_secs(1));
    assert_eq!(cluster.core(0).status(), Status::Spare);
    cluster.reconfigured(ADMINISTRATOR, &[0, 1, 2]).unwrap();
    cluster.client_write(0, "two");
    cluster.everything_completes();
}

/// VRR §7.3: CHECKEPOCH "runs through the normal case": its answer comes from the new group.
#[test]
fn s7_3_an_administrator_is_answered_when_the_new_group_works() {
    let mut cluster = cluster(3);
    cluster.filter = Box::new(|flight| match flight.touches(4) || flight.touches(5) {
        true => Verdict::Drop,
        false => Verdict::Pass,
    });
    cluster.reconfigure(ADMINISTRATOR, &[3, 4, 5]);
    cluster.run_for(Duration::from_secs(2));
    assert_eq!(epoch(&cluster, 0), 1, "the reconfiguration is committed");
    assert!(cluster.sessions[ADMINISTRATOR].reconfigured.is_empty());
    cluster.heal();
    cluster.run_for(Duration::from_secs(2));
    assert_eq!(cluster.sessions[ADMINISTRATOR].reconfigured, [Ok(EPOCH_1)]);
}

/// VRR §7.4: "old replicas that receive a client request with an old epoch number inform the client about the
/// reconfiguration by sending it a NEWEPOCH message".
#[test]
fn s7_4_an_old_client_is_told_of_the_new_group() {
    let mut cluster = cluster(3);
    cluster.client_write(0, "one");
    cluster.filter = drop_kind("EpochStarted");
    cluster.reconfigured(ADMINISTRATOR, &[3, 4, 5]).unwrap();
    cluster.sent.clear();
    cluster.client_write(0, "two");
    assert_eq!(cluster.sent["NewEpoch"], 1);
    assert_eq!(cluster.sessions[0].core.epoch(), EPOCH_1);
    cluster.everything_completes();
}

/// The same when the old group is gone: the client asks around.
#[test]
fn s7_4_a_client_whose_group_is_gone_finds_the_new_one() {
    let mut cluster = cluster(3);
    cluster.reconfigured(ADMINISTRATOR, &[3, 4, 5]).unwrap();
    cluster.run_for(Duration::from_secs(1));
    assert!((0..3).all(|old| !cluster.is_up(old)));
    cluster.client_write(0, "one");
}

/// VRR §7.5: old and new primary can be alive at once. The old one, cut off with a client, answers nothing that the
/// new group does not know.
#[test]
fn s7_5_an_old_primary_with_a_client_on_its_side_answers_nothing() {
    let mut cluster = cluster(2);
    cluster.client_write(0, "one");
    let old_side = |address: Address| {
        address == replica(0) || matches!(address, Address::Client(ClientId { endpoint: 0, .. }))
    };
    cluster.filter = Box::new(
        move |flight| match old_side(flight.from) == old_side(flight.to) {
            true => Verdict::Pass,
            false => Verdict::Drop,
        },
    );
    cluster.invoke(0, OPERATION);
    assert_eq!(
        cluster.reconfigured(ADMINISTRATOR, &[1, 2, 3, 4]),
        Ok(EPOCH_1)
    );
    cluster.client_write(1, "in the new epoch");
    assert!(
        cluster.core(0).is_primary() && epoch(&cluster, 0) == 0,
        "it knows of nothing"
    );
    assert!(!cluster.sessions[0].is_idle());
    cluster.heal();
    cluster.run_for(Duration::from_secs(2));
    assert!(cluster.sessions[0].is_idle());
    cluster.everything_completes();
}

/// An operation of the group is none of the service's: a member that lies about a request is no one's client.
#[test]
fn a_reconfiguration_is_answered_by_the_primary_alone() {
    let mut cluster = cluster(1);
    let client = cluster.sessions[ADMINISTRATOR].id;
    let request = viewstorm_protocol::vr::Request {
        epoch: EpochNumber(0),
        client,
        request_number: 1,
        operation: Operation::Reconfiguration([1, 2, 3].map(ReplicaId).to_vec()),
    };
    let (from, to, message) = (Address::Client(client), replica(1), request.into());
    cluster.sent.clear();
    cluster.deliver(Flight { from, to, message });
    assert_eq!(cluster.count(&["Refused"]), 1);
    assert_eq!(cluster.count(&["Prepare", "StartEpoch"]), 0);
}

/// VRR §7.2: an old replica that recovers, and "is a member of the new replica group ... continues with recovery by
/// communicating with replicas in the new group". Without a log it may have been one before: it recovers there.
#[test]
fn s7_2_who_recovers_while_the_group_moves_on_recovers_in_the_new_group() {
    for durability in [DurabilityMode::ViewDurable, DurabilityMode::Diskless] {
        let mut cluster = Cluster::with(3, 2, 3, durability);
        cluster.client_write(0, "one");
        cluster.crash(2);
        cluster
            .reconfigured(ADMINISTRATOR, &[0, 1, 2, 3, 4])
            .unwrap();
        cluster.client_write(0, "two");
        cluster.restart(2);
        cluster.run_for(Duration::from_secs(1));
        cluster.crash(3);
        cluster.restart(3);
        cluster.run_for(Duration::from_secs(1));
        cluster.crash(0);
        cluster.client_write(1, "three");
        cluster.restart(0);
        cluster.everything_completes();
        assert_eq!(
            cluster.reconfigured(ADMINISTRATOR, &[2, 3, 4]),
            Ok(EpochNumber(2))
        );
        cluster.client_write(0, "four");
        cluster.run_for(Duration::from_secs(1));
        assert!(!cluster.is_up(0) && !cluster.is_up(1));
    }
}

/// Every replica, crashed after every number of durable records while the epoch changes, comes back to it.
#[test]
fn a_crash_at_every_record_of_an_epoch_change_is_survived() {
    let mut epochs = BTreeSet::new();
    for victim in 0..5 {
        for rounds in 0..14 {
            for lucky in 0..4 {
                let mut cluster = Cluster::with_spares(3, 2, 3);
                cluster.client_write(0, "before");
                cluster.nodes[victim].syncs = false;
                cluster.reconfigure(ADMINISTRATOR, &[1, 2, 3, 4]);
                cluster.invoke(1, OPERATION);
                for _ in 0..rounds {
                    cluster.tick();
                    if lucky > 1 && cluster.is_up(victim) {
                        cluster.sync_one(victim);
                    }
                }
                if cluster.is_up(victim) {
                    cluster.crash_after(victim, lucky % 2);
                }
                cluster.run_for(Duration::from_millis(300));
                cluster.everything_completes();
                let reconfigured = cluster.sessions[ADMINISTRATOR].reconfigured.clone();
                assert_eq!(reconfigured, [Ok(EPOCH_1)], "{victim} {rounds} {lucky}");
                epochs.insert(cluster.core(1).view());
            }
        }
    }
    assert!(
        epochs.len() > 1,
        "some crashes also cost a view: {epochs:?}"
    );
}

/// The whole of both groups loses power in the middle of it.
#[test]
fn a_crash_of_everybody_in_an_epoch_change_is_survived() {
    for rounds in 0..25 {
        let mut cluster = Cluster::with_spares(3, 2, 3);
        cluster.client_write(0, "before");
        cluster.reconfigure(ADMINISTRATOR, &[2, 3, 4]);
        for _ in 0..rounds {
            cluster.round();
        }
        for index in 0..5 {
            if cluster.is_up(index) {
                cluster.crash(index);
            }
        }
        cluster.network.clear();
        cluster.everything_completes();
        cluster.client_write(1, "after");
        cluster.everything_completes();
    }
}
