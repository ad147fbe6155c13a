//! Recovery and the durability modes: a test per sentence of VRR §4.3 and §8.2, the costs, and stories.

use std::time::Duration;

use bytes::Bytes;
use viewstorm_protocol::vr::{DurabilityMode, OpNumber, Recovery, RecoveryResponse, VrMessage};
use viewstorm_protocol::{ProtocolEvent, Status, ViewNumber};

use crate::cluster::{Cluster, Flight, Verdict, replica};

const OPERATION: Bytes = Bytes::from_static(b"x");
const SECONDS: Duration = Duration::from_secs(5);
/// Kinds that speak for a replica.
const VOICES: [&str; 8] = [
    "Prepare",
    "PrepareOk",
    "Commit",
    "StartViewChange",
    "DoViewChange",
    "StartView",
    "NewState",
    "RecoveryResponse",
];

fn drops(cluster: &Cluster, wanted: &str) -> usize {
    let is_it = |note: &ProtocolEvent| matches!(note, ProtocolEvent::Dropped { reason, .. } if reason == wanted);
    cluster.notes.iter().filter(|(_, note)| is_it(note)).count()
}

fn is_normal(cluster: &Cluster, index: usize) -> bool {
    cluster.core(index).status() == Status::Normal
}

fn diskless(members: usize, clients: usize) -> Cluster {
    Cluster::with_durability(members, clients, DurabilityMode::Diskless)
}

fn restart(cluster: &mut Cluster, index: usize) {
    cluster.crash(index);
    cluster.restart(index);
}

/// Only these messages pass.
fn only(passes: impl Fn(&Flight) -> bool + 'static) -> Box<dyn Fn(&Flight) -> Verdict> {
    Box::new(move |flight| match passes(flight) {
        true => Verdict::Pass,
        false => Verdict::Drop,
    })
}

fn held(holds: impl Fn(&Flight) -> bool + 'static) -> Box<dyn Fn(&Flight) -> Verdict> {
    Box::new(move |flight| match holds(flight) {
        true => Verdict::Hold,
        false => Verdict::Pass,
    })
}

/// VRR §4.3: recovery takes a round trip and 2(n-1) messages: `Recovery` to all others, an answer of each.
#[test]
fn s4_3_recovery_takes_two_delays_and_2_n_minus_1_messages() {
    for (members, messages) in [(3, 4), (5, 8)] {
        for durability in [DurabilityMode::Diskless, DurabilityMode::ViewDurable] {
            let mut cluster = Cluster::with_durability(members, 1, durability);
            cluster.client_write(0, "one");
            cluster.crash(2);
            cluster.sent.clear();
            cluster.restart(2);
            cluster.round();
            assert_eq!(cluster.core(2).status(), Status::Recovering);
            cluster.round();
            assert!(is_normal(&cluster, 2));
            assert_eq!(cluster.count(&["Recovery", "RecoveryResponse"]), messages);
            assert_eq!(cluster.core(2).order(), 1);
        }
    }
}

/// VRR §4.3 step 1: "The recovering replica, i, sends a ⟨RECOVERY i, x⟩ message to all other replicas, where x is
/// a nonce". It says so again until enough have answered.
#[test]
fn s4_3_step_1_recovery_is_sent_to_all_others_again_and_again() {
    let mut cluster = diskless(5, 1);
    cluster.crash(4);
    cluster.filter = held(|flight| matches!(flight.message, VrMessage::Recovery(_)));
    cluster.restart(4);
    for to in 0..4 {
        assert!(
            cluster
                .held
                .iter()
                .any(|flight| flight.is("Recovery", 4, to))
        );
    }
    let before = cluster.held.len();
    cluster.run_for(Duration::from_millis(200));
    assert!(cluster.held.len() >= 3 * before);
    cluster.heal();
    assert!(cluster.run_until(SECONDS, |cluster| is_normal(cluster, 4)));
}

/// VRR §4.3 step 2: "A replica j replies to a RECOVERY message only when its status is normal".
#[test]
fn s4_3_step_2_only_a_normal_replica_answers() {
    let mut cluster = diskless(3, 1);
    cluster.crash(2);
    // r1 is left alone, and changes views by itself.
    cluster.crash(0);
    assert!(cluster.run_until(SECONDS, |cluster| {
        cluster.core(1).status() == Status::ViewChange
    }));
    cluster.sent.clear();
    let recovery = Recovery {
        nonce: 9,
        view: ViewNumber::default(),
        commit_number: OpNumber::ZERO,
    };
    cluster.deliver(Flight {
        from: replica(2),
        to: replica(1),
        message: recovery.into(),
    });
    assert_eq!(cluster.count(&["RecoveryResponse"]), 0);
    assert_eq!(drops(&cluster, "not in normal status"), 1);
}

/// VRR §4.3 step 2: "if j is the primary of its view, l is its log, n is its op-number, and k is the
/// commit-number; otherwise these values are nil".
#[test]
fn s4_3_step_2_the_primary_alone_sends_its_log() {
    let mut cluster = diskless(3, 1);
    cluster.client_write(0, "one");
    cluster.filter = held(|flight| matches!(flight.message, VrMessage::RecoveryResponse(_)));
    restart(&mut cluster, 2);
    cluster.round();
    let answers: Vec<_> = cluster.held.clone();
    assert_eq!(answers.len(), 2);
    for flight in answers {
        let VrMessage::RecoveryResponse(RecoveryResponse { log, .. }) = flight.message else {
            panic!("held by kind");
        };
        assert_eq!(log.is_some(), flight.from == replica(0));
        assert!(log.is_none_or(|log| log.suffix.op_number() == OpNumber(1)));
    }
}

/// VRR §4.3 step 3: "The recovering replica waits to receive at least f + 1 RECOVERYRESPONSE messages from
/// different replicas".
#[test]
fn s4_3_step_3_f_answers_are_too_few_however_often_they_come() {
    let mut cluster = diskless(5, 1);
    cluster.filter =
        only(|flight| !flight.touches(4) || flight.is_on_link(0, 4) || flight.is_on_link(1, 4));
    restart(&mut cluster, 4);
    cluster.run_for(Duration::from_millis(500));
    assert_eq!(cluster.core(4).status(), Status::Recovering);
    cluster.filter = only(|flight| !flight.is_on_link(3, 4));
    assert!(cluster.run_until(SECONDS, |cluster| is_normal(cluster, 4)));
}

/// VRR §4.3 step 3: "all containing the nonce it sent in its RECOVERY message".
#[test]
fn s4_3_step_3_answers_to_an_earlier_incarnation_do_not_count() {
    let mut cluster = diskless(3, 1);
    cluster.filter = held(|flight| matches!(flight.message, VrMessage::RecoveryResponse(_)));
    restart(&mut cluster, 2);
    cluster.round();
    let answers = std::mem::take(&mut cluster.held);
    // Meanwhile an operation is acknowledged by nobody but r1 and r0: these answers know nothing of it.
    cluster.client_write(0, "after the answers");
    restart(&mut cluster, 2);
    for flight in answers {
        cluster.deliver(flight);
    }
    assert_eq!(cluster.core(2).status(), Status::Recovering);
    assert_eq!(drops(&cluster, "answers another incarnation"), 2);
    cluster.everything_completes();
}

/// VRR §4.3 step 3: "including one from the primary of the latest view it learns of in these messages".
#[test]
fn s4_3_step_3_the_primary_of_the_latest_view_is_waited_for() {
    let mut cluster = diskless(5, 2);
    cluster.client_write(0, "in view 0");
    // r0 does not hear that view 1 has come; it still takes itself for the primary.
    cluster.filter = only(|flight| !flight.touches(0) || flight.is_on_link(0, 4));
    cluster.crash(4);
    assert!(cluster.run_until(SECONDS, |cluster| cluster.primary() == Some(1)));
    cluster.client_write(1, "in view 1");
    // r4 hears r0, and of those in view 1 all but its primary.
    cluster.filter =
        only(|flight| (!flight.touches(0) || flight.is_on_link(0, 4)) && !flight.is_on_link(1, 4));
    cluster.restart(4);
    cluster.run_for(Duration::from_millis(100));
    assert_eq!(cluster.core(4).status(), Status::Recovering);
    cluster.everything_completes();
    assert_eq!(cluster.core(4).order(), 2);
}

/// VRR §4.3: "While a replica's status is recovering it does not participate in either the request processing
/// protocol or the view change protocol".
#[test]
fn s4_3_a_recovering_replica_has_no_voice() {
    let mut cluster = diskless(3, 1);
    cluster.client_write(0, "one");
    cluster.filter = held(|flight| matches!(flight.message, VrMessage::RecoveryResponse(_)));
    restart(&mut cluster, 2);
    cluster.crash(0);
    let voices = |cluster: &Cluster| {
        let speaks = |flight: &&Flight| flight.from == replica(2) && VOICES.contains(&kind(flight));
        cluster.network.iter().filter(speaks).count()
    };
    for _ in 0..600 {
        cluster.tick();
        assert_eq!(voices(&cluster), 0);
        assert_eq!(cluster.core(2).status(), Status::Recovering);
    }
    assert!(cluster.primary().is_none(), "r1 alone is no quorum");
    assert!(drops(&cluster, "recovering") > 0);
}

fn kind(flight: &Flight) -> &'static str {
    viewstorm_protocol::Message::kind(&flight.message)
}

/// VRR §4.3: if the recovering replica "would be the primary" of the view that the others are moving to, they go
/// one view further.
#[test]
fn s4_3_the_group_moves_past_a_primary_that_recovers() {
    for durability in [DurabilityMode::Diskless, DurabilityMode::ViewDurable] {
        let mut cluster = Cluster::with_durability(3, 1, durability);
        cluster.client_write(0, "one");
        restart(&mut cluster, 0);
        assert!(cluster.run_until(SECONDS, |cluster| is_normal(cluster, 0)));
        assert!(!cluster.core(0).is_primary());
        cluster.client_write(0, "two");
        // And in the middle of a view change.
        let primary = cluster.primary().expect("one serves");
        let next = (primary + 1) % 3;
        cluster.filter = only(move |flight| !flight.is("DoViewChange", flight_from(flight), next));
        restart(&mut cluster, next);
        cluster.heal();
        cluster.everything_completes();
        assert_eq!(cluster.client_write(0, "three").result, "two");
    }
}

fn flight_from(flight: &Flight) -> usize {
    match flight.from {
        viewstorm_protocol::Address::Replica(id) => usize::from(id.0),
        viewstorm_protocol::Address::Client(_) => usize::MAX,
    }
}

/// VRR §8.2: the SVC exchange makes sure that f+1 replicas know of the view before anybody votes in it.
#[test]
fn s8_2_without_a_disk_nobody_votes_before_f_others_have_left_the_view() {
    let mut cluster = diskless(5, 1);
    cluster.crash(0);
    // Everybody hears r2 alone.
    cluster.filter = held(|flight| kind(flight) == "StartViewChange" && flight.from != replica(2));
    assert!(cluster.run_until(SECONDS, |cluster| {
        cluster.core(3).status() == Status::ViewChange
    }));
    cluster.round();
    assert_eq!(cluster.count(&["DoViewChange"]), 0);
    cluster.heal();
    cluster.round();
    assert!(cluster.count(&["DoViewChange"]) > 0);
    cluster.everything_completes();
}

/// VRR §8.2: who asks for a view without a disk has left its own; with one it stays until a quorum asks.
#[test]
fn s8_2_without_a_disk_who_asks_has_left() {
    for (durability, status) in [
        (DurabilityMode::Diskless, Status::ViewChange),
        (DurabilityMode::ViewDurable, Status::Normal),
        (DurabilityMode::Wal, Status::Normal),
    ] {
        let mut cluster = Cluster::with_durability(3, 1, durability);
        cluster.filter = only(|flight| !flight.touches(2));
        assert!(cluster.run_until(SECONDS, |cluster| {
            cluster.sent.contains_key("StartViewChange")
        }));
        assert_eq!(cluster.core(2).status(), status);
    }
}

/// VRR §8.2: "the protocol doesn't require any disk writes": none at all.
#[test]
fn s8_2_nothing_is_written_without_a_disk() {
    let mut cluster = diskless(3, 1);
    for node in &mut cluster.nodes {
        node.syncs = false;
    }
    cluster.client_write(0, "one");
    cluster.crash(0);
    cluster.client_write(0, "two");
    assert_eq!(cluster.records, 0);
}

/// VR'88: one forced write a view change, of the view number, before the vote; and none for an operation.
#[test]
fn view_durable_groups_write_once_in_a_view_change() {
    let mut cluster = Cluster::with_durability(3, 1, DurabilityMode::ViewDurable);
    cluster.records = 0;
    cluster.client_write(0, "one");
    assert_eq!(cluster.records, 0);
    cluster.crash(0);
    cluster.client_write(0, "two");
    let views = cluster.core(1).view().number;
    assert_eq!(
        cluster.records,
        2 * views as usize,
        "two replicas, {views} view changes"
    );
}

/// A vote does not leave before its view is durable, whether the log is or not.
#[test]
fn a_vote_waits_for_its_view() {
    for durability in [DurabilityMode::ViewDurable, DurabilityMode::Wal] {
        let mut cluster = Cluster::with_durability(3, 1, durability);
        cluster.crash(0);
        cluster.nodes[2].syncs = false;
        cluster.filter = held(|flight| kind(flight) == "DoViewChange");
        cluster.run_for(Duration::from_secs(1));
        let votes = |cluster: &Cluster| {
            let of_r2 = |flight: &&Flight| flight.from == replica(2);
            cluster.held.iter().filter(of_r2).count()
        };
        assert!(!cluster.held.is_empty(), "r1 has a disk and votes");
        assert_eq!(votes(&cluster), 0);
        cluster.sync(2);
        cluster.run_for(Duration::from_millis(1));
        assert!(votes(&cluster) > 0);
        cluster.everything_completes();
    }
}

/// Michael et al., DISC 2017: "once a replica commits to participate in a new view, it never operates in a lower
/// view". One that has its view number moves the others there.
#[test]
fn a_replica_that_kept_its_view_recovers_in_no_earlier_one() {
    let mut cluster = Cluster::with_durability(3, 1, DurabilityMode::ViewDurable);
    cluster.client_write(0, "one");
    // r1 and r2 ask for view 1; r2 votes, and nobody hears of it.
    cluster.filter = only(|flight| {
        !(matches!(kind(flight), "Commit" | "DoViewChange" | "StartView")
            || (kind(flight) == "StartViewChange" && flight.from == replica(2)))
    });
    assert!(cluster.run_until(SECONDS, |cluster| {
        cluster.core(2).status() == Status::ViewChange
    }));
    let voted = cluster.core(2).view();
    cluster.sync(2);
    restart(&mut cluster, 2);
    cluster.heal();
    assert!(cluster.run_until(SECONDS, |cluster| is_normal(cluster, 2)));
    assert!(cluster.core(2).view() >= voted);
    cluster.everything_completes();
}

/// VRR §4.3: "if more than f replicas fail at the same time" all is lost; those that are left say so.
#[test]
fn more_than_f_that_have_lost_their_state_say_that_they_are_stuck() {
    for durability in [DurabilityMode::Diskless, DurabilityMode::ViewDurable] {
        let mut cluster = Cluster::with_durability(3, 1, durability);
        cluster.client_write(0, "one");
        cluster.crash(1);
        cluster.crash(2);
        cluster.restart(1);
        cluster.run_for(Duration::from_millis(100));
        let is_stuck =
            |note: &(usize, ProtocolEvent)| matches!(note.1, ProtocolEvent::Stuck { .. });
        assert!(!cluster.notes.iter().any(is_stuck));
        cluster.restart(2);
        cluster.run_for(Duration::from_millis(500));
        let stuck: Vec<usize> = cluster
            .notes
            .iter()
            .filter(|note| is_stuck(note))
            .map(|note| note.0)
            .collect();
        assert!(stuck.contains(&1) && stuck.contains(&2), "{stuck:?}");
        assert!(!is_normal(&cluster, 1) && !is_normal(&cluster, 2));
    }
}

/// §5.3: a log that is longer than a message is fetched in chunks.
#[test]
fn a_long_log_is_recovered_in_chunks() {
    let mut cluster = diskless(3, 1);
    for _ in 0..1_500 {
        cluster.client_write(0, "again");
    }
    cluster.sent.clear();
    restart(&mut cluster, 1);
    assert!(cluster.run_until(SECONDS, |cluster| is_normal(cluster, 1)));
    assert!(cluster.count(&["NewState"]) >= 2);
    assert_eq!(cluster.core(1).order(), 1_500);
    cluster.everything_completes();
}

/// tigerbeetle#2996: a member whose disk is lost has acknowledged what it does not know of any more.
#[test]
fn a_wiped_replica_recovers_and_never_votes_as_a_new_one() {
    let mut cluster = Cluster::new(3, 1);
    // r1 and r0 have the operation, r2 does not.
    cluster.filter = only(|flight| !flight.touches(2));
    cluster.client_write(0, "one");
    cluster.wipe(1);
    // r0 is cut off: were r1 a voter it would elect with r2, and the operation were lost.
    cluster.filter = only(|flight| !flight.touches(0));
    cluster.restart(1);
    cluster.run_for(SECONDS);
    assert_eq!(cluster.core(1).status(), Status::Recovering);
    assert!(!cluster.core(2).is_primary());
    cluster.heal();
    assert_eq!(cluster.client_write(0, "two").result, "one");
    cluster.everything_completes();
}

/// What a wiped replica recovered it keeps.
#[test]
fn a_wiped_replica_that_has_recovered_restarts_from_its_disk() {
    let mut cluster = Cluster::new(3, 1);
    cluster.client_write(0, "one");
    cluster.wipe(1);
    cluster.restart(1);
    assert!(cluster.run_until(SECONDS, |cluster| is_normal(cluster, 1)));
    for index in 0..3 {
        cluster.crash(index);
    }
    for index in 0..3 {
        cluster.restart(index);
    }
    assert_eq!(cluster.client_write(0, "two").result, "one");
    cluster.everything_completes();
}

/// A crash in the middle of it, and it recovers again: what reached the disk is no log of its own yet.
#[test]
fn a_wiped_replica_that_crashes_before_it_has_recovered_recovers_again() {
    for lucky in 0..3 {
        let mut cluster = Cluster::new(3, 1);
        cluster.client_write(0, "one");
        cluster.wipe(1);
        cluster.nodes[1].syncs = false;
        cluster.restart(1);
        cluster.run_for(Duration::from_millis(50));
        assert_eq!(
            cluster.core(1).status(),
            Status::Recovering,
            "not durable yet"
        );
        cluster.crash_after(1, lucky);
        cluster.nodes[1].syncs = true;
        cluster.restart(1);
        cluster.everything_completes();
        assert_eq!(cluster.core(1).order(), 1);
    }
}

#[test]
fn a_group_of_one_without_a_disk_serves_and_does_not_survive() {
    let mut cluster = diskless(1, 1);
    cluster.client_write(0, "one");
    restart(&mut cluster, 0);
    assert_eq!(cluster.core(0).status(), Status::Recovering);
    assert!(matches!(
        cluster.notes.last(),
        Some((0, ProtocolEvent::Stuck { .. }))
    ));
    cluster.invoke(0, OPERATION);
    cluster.run_for(Duration::from_millis(300));
    assert!(!cluster.sessions[0].is_idle());
}
