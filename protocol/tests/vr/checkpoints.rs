//! Checkpoints and catching up through them: one test per sentence of VRR §5.1 and §5.2, and stories.

use std::time::Duration;

use bytes::Bytes;
use viewstorm_protocol::state::{NodePath, StateNode};
use viewstorm_protocol::vr::{
    CheckpointRecord, DurabilityMode, GetPages, KEPT_INTERVALS, NewCheckpoint, OpNumber, Operation,
    Pages, Tree, VrMessage, VrRecord,
};
use viewstorm_protocol::{Digest, EpochNumber, ProtocolEvent, State, Status, ViewNumber};

use crate::cluster::{Cluster, Flight, Verdict};

const SECOND: Duration = Duration::from_secs(1);
const INTERVAL: u64 = 8;
/// Beyond what any log keeps.
const LONG: u64 = INTERVAL * (KEPT_INTERVALS + 3);

fn cut(blocked: impl Fn(&Flight) -> bool + 'static) -> Box<dyn Fn(&Flight) -> Verdict> {
    Box::new(move |flight| match blocked(flight) {
        true => Verdict::Drop,
        false => Verdict::Pass,
    })
}

/// Cuts a replica off from the others.
fn without(away: usize) -> Box<dyn Fn(&Flight) -> Verdict> {
    cut(move |flight| flight.touches(away) && flight.is_between_replicas())
}

/// A started group that takes a checkpoint every [`INTERVAL`] ops.
fn group(members: usize, clients: usize) -> Cluster {
    let mut cluster = Cluster::unstarted(members, clients, 7);
    cluster.checkpoints.interval = INTERVAL;
    for index in 0..members {
        cluster.restart(index);
    }
    cluster.round();
    cluster.sent.clear();
    cluster
}

/// So many writes of values that nobody has written yet, one after the other.
fn write(cluster: &mut Cluster, count: u64) {
    for _ in 0..count {
        let value = format!("value {}", cluster.sessions[0].operations.len());
        cluster.client_write(0, Box::leak(value.into_boxed_str()));
    }
}

fn taken(cluster: &Cluster, index: usize) -> Vec<(u64, Digest)> {
    let of = cluster.notes.iter().filter(|(who, _)| *who == index);
    of.filter_map(|(_, note)| match note {
        ProtocolEvent::CheckpointTaken { op, digest } => Some((*op, *digest)),
        _ => None,
    })
    .collect()
}

fn installed(cluster: &Cluster, index: usize) -> Vec<u64> {
    let of = cluster.notes.iter().filter(|(who, _)| *who == index);
    of.filter_map(|(_, note)| match note {
        ProtocolEvent::CheckpointInstalled { op, .. } => Some(*op),
        _ => None,
    })
    .collect()
}

fn converges(cluster: &mut Cluster) {
    assert!(cluster.run_until(SECOND * 20, Cluster::has_converged));
}

/// VRR §5.1: "After every O operations the replication code makes an upcall to the application, requesting it to take
/// a checkpoint", and "a checkpoint number, which is simply the op-number of the latest operation included".
#[test]
fn s5_1_a_checkpoint_is_taken_after_every_o_operations() {
    let mut cluster = group(3, 1);
    write(&mut cluster, 3 * INTERVAL + 2);
    converges(&mut cluster);
    for index in 0..3 {
        let ops: Vec<u64> = taken(&cluster, index)
            .into_iter()
            .map(|(op, _)| op)
            .collect();
        assert_eq!(ops, [INTERVAL, 2 * INTERVAL, 3 * INTERVAL], "r{index}");
        let checkpoint = cluster.core(index).checkpoint().expect("taken and synced");
        assert_eq!(checkpoint.op, OpNumber(3 * INTERVAL));
        assert_eq!(checkpoint.order, 3 * INTERVAL);
    }
}

/// VRR §5.1: the checkpoints of all replicas at one op-number are the same; here their names are compared.
#[test]
fn s5_1_checkpoints_of_one_number_are_the_same_on_all_replicas() {
    let mut cluster = group(3, 3);
    for round in 0..3 * INTERVAL {
        for client in 0..3 {
            cluster.invoke(client, Bytes::from(format!("{client} {round}")));
        }
        cluster.run_for(Duration::from_millis(5));
    }
    converges(&mut cluster);
    let all: Vec<_> = (0..3).map(|index| taken(&cluster, index)).collect();
    assert!(all[0].len() >= 3 && all.iter().all(|taken| *taken == all[0]));
}

/// VRR §5.1: "When it executes operations after the checkpoint, it must not modify the snapshot".
#[test]
fn s5_1_operations_after_the_checkpoint_do_not_modify_it() {
    let mut cluster = group(3, 1);
    write(&mut cluster, INTERVAL);
    let name = *cluster.core(0).checkpoint().expect("taken and synced");
    assert_eq!(cluster.core(0).state().digest(), name.service);
    write(&mut cluster, INTERVAL - 1);
    assert_ne!(cluster.core(0).state().digest(), name.service);
    assert_eq!(cluster.core(0).checkpoint(), Some(&name));
    cluster.crash(0);
    cluster.restart(0);
    assert_eq!(
        cluster.core(0).checkpoint(),
        Some(&name),
        "as it was written"
    );
}

/// VRR §5.1: "These copied pages then become what needs to be saved to make the next snapshot".
#[test]
fn s5_1_only_what_has_changed_is_saved_for_the_next_checkpoint() {
    let mut cluster = group(3, 1);
    write(&mut cluster, 100 * INTERVAL);
    let nodes = |record: &VrRecord| match record {
        VrRecord::Checkpoint(CheckpointRecord::Nodes(nodes)) => nodes.len(),
        _ => 0,
    };
    let last = cluster.nodes[0]
        .disk
        .checkpoint
        .iter()
        .map(nodes)
        .rfind(|count| *count > 0);
    let whole = cluster
        .core(0)
        .state()
        .nodes_since(&State::default())
        .count();
    let last = last.expect("it has nodes");
    // A page for each operation and those above, and the client's.
    assert!(
        last <= 2 * INTERVAL as usize + 4 && 2 * last < whole,
        "{last} of {whole}"
    );
}

/// VRR §5.1: "checkpoints allow the system to garbage collect the log ... However, a larger log than the minimum is a
/// good idea".
#[test]
fn s5_1_the_log_before_the_checkpoint_is_dropped_but_for_a_part_of_it() {
    let mut cluster = group(3, 1);
    for round in 1..=20 {
        write(&mut cluster, INTERVAL);
        for index in 0..3 {
            let core = cluster.core(index);
            let Some(checkpoint) = core.checkpoint() else {
                continue;
            };
            let kept = KEPT_INTERVALS * INTERVAL;
            assert_eq!(core.log_base().0, checkpoint.op.0.saturating_sub(kept));
            let records = cluster.nodes[index].disk.log.len() as u64;
            assert!(
                records <= kept + 2 * INTERVAL + 4,
                "round {round}: {records}"
            );
        }
    }
}

/// Not in the paper: what is not durable yet is no reason to drop the log.
#[test]
fn s5_1_the_log_stays_until_the_checkpoint_is_durable() {
    let mut cluster = group(3, 1);
    cluster.nodes[0].syncs = false;
    write(&mut cluster, LONG);
    assert_eq!(cluster.core(0).log_base(), OpNumber(0));
    assert_eq!(cluster.core(0).checkpoint(), None);
    assert_eq!(
        taken(&cluster, 0).len(),
        1,
        "the next waits until the first is durable"
    );
    cluster.sync(0);
    write(&mut cluster, LONG);
    cluster.sync(0);
    write(&mut cluster, INTERVAL);
    cluster.sync(0);
    assert!(cluster.core(0).log_base() > OpNumber(0));
    cluster.everything_completes();
}

/// VRR §5.1: a replica that was away for less than what the log keeps needs no application state.
#[test]
fn s5_1_who_was_away_for_less_than_is_kept_catches_up_from_the_log() {
    let mut cluster = group(3, 1);
    write(&mut cluster, INTERVAL + 1);
    converges(&mut cluster);
    cluster.filter = without(2);
    write(&mut cluster, KEPT_INTERVALS * INTERVAL);
    cluster.heal();
    converges(&mut cluster);
    assert_eq!(installed(&cluster, 2), []);
}

/// VRR §5.1: "The recovering node uses the Merkle tree to determine which pages to fetch; it only needs to fetch those
/// that differ from their counterpart".
#[test]
fn s5_1_only_pages_that_differ_are_fetched() {
    let mut cluster = group(3, 1);
    write(&mut cluster, 100 * INTERVAL);
    converges(&mut cluster);
    let before = cluster.core(2).state().snapshot();
    cluster.filter = without(2);
    write(&mut cluster, LONG);
    let after = cluster.core(0).state().snapshot();
    cluster.heal();
    let fetched = std::rc::Rc::new(std::cell::Cell::new(0));
    let count = std::rc::Rc::clone(&fetched);
    cluster.filter = Box::new(move |flight| {
        if let VrMessage::Pages(Pages {
            tree: Tree::Service,
            nodes,
            ..
        }) = &flight.message
        {
            count.set(count.get() + nodes.len());
        }
        Verdict::Pass
    });
    converges(&mut cluster);
    assert_eq!(installed(&cluster, 2).len(), 1);
    let differ = after.nodes_since(&before).count();
    assert!(
        fetched.get() > 0 && fetched.get() <= differ,
        "{} of {differ}",
        fetched.get()
    );
}

/// VRR §5.1: "It's possible that the node it is fetching from may take another checkpoint while the recovery is in
/// progress; in this case the recovering node re-walks the Merkle tree".
#[test]
fn s5_1_a_donor_that_takes_another_checkpoint_meanwhile_is_followed() {
    let mut cluster = group(3, 1);
    cluster.filter = without(2);
    write(&mut cluster, 60 * INTERVAL);
    // One page at a time arrives, and a checkpoint is taken between any two.
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::Pages(_) => Verdict::Hold,
        _ => Verdict::Pass,
    });
    let mut targets = std::collections::BTreeSet::new();
    for _ in 0..6 {
        assert!(cluster.run_until(SECOND, |cluster| !cluster.held.is_empty()));
        let flight = cluster.held.remove(0);
        if let VrMessage::Pages(pages) = &flight.message {
            targets.insert(pages.checkpoint);
        }
        write(&mut cluster, 2 * INTERVAL);
        cluster.deliver(flight);
        cluster.held.clear();
    }
    cluster.heal();
    converges(&mut cluster);
    assert!(targets.len() > 2, "{targets:?}");
    assert!(!installed(&cluster, 2).is_empty());
}

/// VRR §5.2, former case: "it only needs to learn about requests after its op-number".
#[test]
fn s5_2_in_its_own_view_a_replica_asks_from_its_op_number() {
    let mut cluster = group(3, 2);
    cluster.client_write(0, "one");
    // r2 has op 2 and does not know that it is committed; op 3 gets lost.
    cluster.filter = cut(|flight| flight.is("Commit", 0, 2));
    cluster.client_write(0, "two");
    assert_eq!(
        (cluster.core(2).op_number(), cluster.core(2).commit_number()),
        (OpNumber(2), OpNumber(1))
    );
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::Prepare(_) if flight.is("Prepare", 0, 2) => Verdict::Drop,
        VrMessage::GetState(_) => Verdict::Hold,
        _ => Verdict::Pass,
    });
    cluster.client_write(0, "three");
    assert!(cluster.run_until(SECOND, |cluster| !cluster.held.is_empty()));
    assert!(
        matches!(&cluster.held[0].message, VrMessage::GetState(asks) if asks.after == OpNumber(2))
    );
    cluster.everything_completes();
}

/// VRR §5.2, latter case: "it needs to learn about requests after the latest committed request in its log".
#[test]
fn s5_2_in_a_later_view_a_replica_asks_from_its_commit_number() {
    let mut cluster = group(3, 2);
    cluster.client_write(0, "one");
    cluster.run_for(Duration::from_millis(30));
    // r0 goes on alone with what view 1 replaces.
    cluster.filter = without(0);
    cluster.invoke(1, Bytes::from_static(b"alone"));
    assert!(cluster.run_until(SECOND, |cluster| cluster.primary() == Some(1)));
    cluster.client_write(0, "two");
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::GetState(_) => Verdict::Hold,
        VrMessage::StartView(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    assert!(cluster.run_until(SECOND, |cluster| !cluster.held.is_empty()));
    assert!(
        matches!(&cluster.held[0].message, VrMessage::GetState(asks) if asks.after == OpNumber(1))
    );
    // VRR's "removes all entries after this from its log" is what loses data: they stay until the answer is here.
    assert_eq!(cluster.core(0).op_number(), OpNumber(2));
    assert_eq!(cluster.core(0).log_view(), ViewNumber::new(0));
    cluster.everything_completes();
}

/// VRR §5.2: "Should a gap occur, the slow replica first brings itself almost up-to-date using application state to get
/// to a recent checkpoint, and then completes the job by obtaining the log forward from the checkpoint".
#[test]
fn s5_2_a_gap_is_bridged_by_a_checkpoint_and_the_log_after_it() {
    for later_view in [false, true] {
        let mut cluster = group(3, 1);
        write(&mut cluster, 3);
        cluster.filter = without(2);
        write(&mut cluster, LONG + 3);
        if later_view {
            cluster.crash(0);
            cluster.restart(0);
            cluster.filter = without(2);
            write(&mut cluster, 1);
        }
        cluster.heal();
        converges(&mut cluster);
        let at: Vec<u64> = installed(&cluster, 2);
        assert_eq!(at.len(), 1, "later view: {later_view}");
        assert_eq!(at[0] % INTERVAL, 0);
        assert!(cluster.core(2).op_number() > OpNumber(at[0]));
        assert_eq!(cluster.core(2).state(), cluster.core(0).state());
        assert_eq!(
            cluster.core(2).client_table(),
            cluster.core(0).client_table()
        );
        cluster.everything_completes();
    }
}

/// VRR §5.2: "In the process of getting the checkpoint, it moves to the view in which that checkpoint was taken." It
/// does not: its log would win a view change for its view-number, and it is short.
#[test]
fn s5_2_the_own_view_and_log_stay_until_all_is_there() {
    let mut cluster = group(3, 2);
    write(&mut cluster, 3);
    cluster.run_for(Duration::from_millis(30));
    cluster.filter = without(0);
    cluster.invoke(1, Bytes::from_static(b"alone"));
    assert!(cluster.run_until(SECOND, |cluster| cluster.primary() == Some(1)));
    write(&mut cluster, LONG);
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::Pages(_) => Verdict::Hold,
        _ => Verdict::Pass,
    });
    assert!(cluster.run_until(SECOND, |cluster| !cluster.held.is_empty()));
    assert_eq!(cluster.core(0).log_view(), ViewNumber::new(0));
    assert_eq!(cluster.core(0).op_number(), OpNumber(4));
    assert_eq!(cluster.core(0).commit_number(), OpNumber(3));
    assert_ne!(cluster.core(0).status(), Status::Normal);
    cluster.everything_completes();
}

/// The client table is committed data: whoever catches up through a checkpoint knows what was executed, and executes
/// no request again.
#[test]
fn a_request_that_a_checkpoint_reflects_is_not_executed_again() {
    let mut cluster = group(3, 2);
    cluster.client_write(1, "once");
    let again = VrMessage::Request(viewstorm_protocol::vr::Request {
        epoch: EpochNumber(0),
        client: cluster.sessions[1].id,
        request_number: 1,
        operation: Operation::Service(Bytes::from_static(b"once")),
    });
    cluster.filter = without(2);
    write(&mut cluster, LONG);
    cluster.heal();
    converges(&mut cluster);
    assert_eq!(installed(&cluster, 2).len(), 1);
    for index in [0, 1] {
        cluster.crash(index);
        cluster.restart(index);
    }
    converges(&mut cluster);
    let order = cluster.core(cluster.primary().unwrap()).order();
    for index in 0..3 {
        let from = viewstorm_protocol::Address::Client(cluster.sessions[1].id);
        let to = crate::cluster::replica(index);
        cluster.deliver(Flight {
            from,
            to,
            message: again.clone(),
        });
    }
    converges(&mut cluster);
    assert_eq!(cluster.core(0).order(), order);
}

/// A restart is the checkpoint and the log after it.
#[test]
fn a_restart_begins_with_the_checkpoint() {
    let mut cluster = group(3, 1);
    write(&mut cluster, LONG + 5);
    converges(&mut cluster);
    let order = cluster.core(1).order();
    cluster.notes.clear();
    cluster.crash(1);
    cluster.restart(1);
    // That the very last is committed it has heard, and not written.
    assert!([order - 1, order].contains(&cluster.core(1).order()));
    let executed = |note: &ProtocolEvent| matches!(note, ProtocolEvent::Executed { .. });
    let executed = cluster.notes.iter().filter(|(_, note)| executed(note));
    assert!(
        executed.count() <= 5,
        "only what the checkpoint does not reflect"
    );
    cluster.everything_completes();
}

/// A replica is cut off under load for longer than any log reaches, and the load does not stop while it catches up.
#[test]
fn a_replica_that_was_away_for_longer_than_the_log_reaches_catches_up_under_load() {
    for members in [3, 5] {
        let mut cluster = group(members, 4);
        cluster.filter = without(members - 1);
        write(&mut cluster, 10 * LONG);
        cluster.heal();
        let mut rounds = 0;
        while cluster.core(members - 1).commit_number().0 + 2 * INTERVAL
            < cluster.core(0).commit_number().0
        {
            for client in 0..4 {
                if cluster.sessions[client].is_idle() {
                    cluster.invoke(client, Bytes::from(format!("{client} {rounds}")));
                }
            }
            cluster.tick();
            rounds += 1;
            assert!(rounds < 2_000, "{members} members: it never catches up");
        }
        assert!(!installed(&cluster, members - 1).is_empty());
        cluster.everything_completes();
    }
}

/// The donor dies in the middle of a transfer: another finishes it, and what was fetched stays.
#[test]
fn another_donor_finishes_what_a_crashed_one_began() {
    let mut cluster = group(3, 1);
    cluster.filter = without(2);
    write(&mut cluster, 100 * INTERVAL);
    let donor = std::rc::Rc::new(std::cell::Cell::new(None));
    let first = std::rc::Rc::clone(&donor);
    cluster.filter = Box::new(move |flight| {
        if let (VrMessage::Pages(_), None) = (&flight.message, first.get()) {
            first.set(Some(flight.from));
        }
        Verdict::Pass
    });
    let began = std::rc::Rc::clone(&donor);
    assert!(cluster.run_until(SECOND, move |_| began.get().is_some()));
    let index = (0..2).find(|index| donor.get() == Some(crate::cluster::replica(*index)));
    cluster.crash(index.expect("one of the two"));
    assert!(cluster.run_until(SECOND * 5, |cluster| !installed(cluster, 2).is_empty()));
    cluster.everything_completes();
}

/// The winner of a view change begins its log where the new primary's has not come to yet.
#[test]
fn a_new_primary_that_lacks_more_than_any_log_reaches_fetches_a_checkpoint_first() {
    let mut cluster = group(3, 1);
    cluster.filter = without(1);
    write(&mut cluster, LONG);
    cluster.crash(0);
    cluster.heal();
    assert!(cluster.run_until(SECOND * 5, |cluster| cluster.primary() == Some(1)));
    assert!(!installed(&cluster, 1).is_empty());
    assert_eq!(cluster.core(1).op_number(), cluster.core(2).op_number());
    cluster.everything_completes();
}

/// A `StartView` comes to a replica that is far behind.
#[test]
fn a_view_that_starts_far_ahead_is_joined_through_a_checkpoint() {
    let mut cluster = group(5, 1);
    cluster.filter = without(4);
    write(&mut cluster, LONG);
    cluster.crash(0);
    cluster.heal();
    converges_without(&mut cluster, 0);
    assert!(!installed(&cluster, 4).is_empty());
    cluster.everything_completes();
}

fn converges_without(cluster: &mut Cluster, away: usize) {
    let done = cluster.run_until(SECOND * 10, |cluster| {
        let up: Vec<_> = (0..cluster.nodes.len())
            .filter(|index| *index != away)
            .collect();
        up.iter().all(|index| {
            let (core, first) = (cluster.core(*index), cluster.core(up[0]));
            core.status() == Status::Normal
                && core.view() == first.view()
                && core.commit_number() == first.op_number()
        })
    });
    assert!(done);
}

/// A crash at every place among the records of taking a checkpoint, whatever was durable.
#[test]
fn a_crash_anywhere_in_taking_a_checkpoint_leaves_the_one_before_or_this_one() {
    for lucky in 0.. {
        let mut cluster = group(3, 1);
        write(&mut cluster, 2 * INTERVAL - 1);
        converges(&mut cluster);
        cluster.nodes[1].syncs = false;
        write(&mut cluster, 1);
        cluster.run_for(Duration::from_millis(30));
        let records = cluster.nodes[1].disk.unsynced();
        cluster.crash_after(1, lucky);
        cluster.nodes[1].syncs = true;
        cluster.restart(1);
        let op = cluster
            .core(1)
            .checkpoint()
            .expect("the one before at least")
            .op;
        assert!([INTERVAL, 2 * INTERVAL].contains(&op.0), "{lucky}: {op}");
        write(&mut cluster, LONG);
        cluster.everything_completes();
        if lucky >= records {
            assert!(lucky > 2, "entry, nodes, name");
            break;
        }
    }
}

/// A crash at every place among the records of installing a checkpoint, over a log that differs, one that ends earlier
/// and none, in the view of the log and a later one.
#[test]
fn a_crash_anywhere_in_installing_a_checkpoint_leaves_the_old_state_or_the_new() {
    for (alone, later_view) in [(false, false), (false, true), (true, true)] {
        for lucky in 0.. {
            let mut cluster = group(3, 2);
            write(&mut cluster, 3);
            cluster.run_for(Duration::from_millis(30));
            cluster.filter = without(0);
            if alone {
                cluster.invoke(1, Bytes::from_static(b"alone"));
                cluster.run_for(Duration::from_millis(5));
            }
            let away = if later_view { 0 } else { 2 };
            cluster.filter = without(away);
            write(&mut cluster, LONG);
            cluster.heal();
            cluster.nodes[away].syncs = false;
            // What is not the checkpoint's is durable, as it comes.
            let done =
                cluster.run_until(SECOND * 10, |cluster| !installed(cluster, away).is_empty());
            if !done {
                // Without its disk it cannot leave its view; that is what it waits for.
                cluster.sync_one(away);
                continue;
            }
            let records = cluster.nodes[away].disk.unsynced();
            let before = cluster.core(away).log_base();
            cluster.crash_after(away, lucky);
            cluster.nodes[away].syncs = true;
            cluster.restart(away);
            assert!(cluster.core(away).log_base() <= before.max(OpNumber(LONG + 4)));
            cluster.everything_completes();
            if lucky >= records {
                break;
            }
        }
    }
}

/// Nodes that are not those of the checkpoint are refused, whoever sends them, and the transfer goes on.
#[test]
fn a_wrong_node_is_refused_and_another_donor_asked() {
    let mut cluster = group(3, 1);
    cluster.filter = without(2);
    write(&mut cluster, LONG);
    cluster.filter = Box::new(|flight| match flight.message {
        VrMessage::Pages(_) => Verdict::Hold,
        _ => Verdict::Pass,
    });
    assert!(cluster.run_until(SECOND, |cluster| !cluster.held.is_empty()));
    let mut flight = cluster.held.remove(0);
    if let VrMessage::Pages(pages) = &mut flight.message {
        let entry = (Bytes::from_static(b"never"), Bytes::from_static(b"written"));
        pages.nodes[0].1 = StateNode::Page(vec![entry]);
    }
    cluster.deliver(flight);
    let refused = |note: &ProtocolEvent| matches!(note, ProtocolEvent::Dropped { reason, .. } if reason == "a wrong node");
    assert!(
        cluster
            .notes
            .iter()
            .any(|(who, note)| *who == 2 && refused(note))
    );
    cluster.held.clear();
    cluster.everything_completes();
    assert_eq!(cluster.core(2).state(), cluster.core(0).state());
}

/// Who has gone on to a checkpoint of a later view does not hand it to those of an earlier one: they would acknowledge
/// there what was committed without them.
#[test]
fn a_checkpoint_of_a_later_view_is_not_taken_in_an_earlier_one() {
    let mut cluster = group(3, 1);
    cluster.filter = without(2);
    write(&mut cluster, LONG);
    let checkpoint = *cluster.core(0).checkpoint().expect("taken");
    let offer = NewCheckpoint {
        view: ViewNumber::new(3),
        checkpoint,
    };
    let (from, to) = (crate::cluster::replica(0), crate::cluster::replica(2));
    cluster.deliver(Flight {
        from,
        to,
        message: offer.into(),
    });
    let asks = GetPages {
        view: ViewNumber::new(0),
        checkpoint: checkpoint.op,
        tree: Tree::Service,
        paths: vec![NodePath::ROOT],
    };
    assert!(
        cluster
            .network
            .iter()
            .all(|flight| flight.message != asks.clone().into())
    );
    cluster.everything_completes();
}

/// A session that others have crowded out of the table is told so, and none of its requests is executed again.
#[test]
fn an_evicted_session_is_told_so_and_its_requests_are_not_executed_again() {
    let mut cluster = Cluster::unstarted(3, 4, 7);
    cluster.checkpoints.interval = 2;
    cluster.checkpoints.clients = 2;
    for index in 0..3 {
        cluster.restart(index);
    }
    cluster.round();
    for client in 0..3 {
        cluster.client_write(client, "once");
    }
    converges(&mut cluster);
    let order = cluster.core(0).order();
    let again = VrMessage::Request(viewstorm_protocol::vr::Request {
        epoch: EpochNumber(0),
        client: cluster.sessions[0].id,
        request_number: 1,
        operation: Operation::Service(Bytes::from_static(b"once")),
    });
    let from = viewstorm_protocol::Address::Client(cluster.sessions[0].id);
    cluster.deliver(Flight {
        from,
        to: crate::cluster::replica(0),
        message: again,
    });
    assert!(
        cluster
            .network
            .iter()
            .any(|flight| flight.message_is("Evicted"))
    );
    converges(&mut cluster);
    assert_eq!(cluster.core(0).order(), order);
    assert!(
        cluster
            .core(0)
            .client_table()
            .has_ended(cluster.sessions[0].id)
    );
    // Its next request is not answered either; a restart changes nothing of it.
    for index in 0..3 {
        cluster.crash(index);
        cluster.restart(index);
    }
    cluster.invoke(0, Bytes::from_static(b"twice"));
    cluster.run_for(SECOND);
    assert!(!cluster.sessions[0].is_idle());
    assert_eq!(cluster.core(0).order(), order);
    cluster.client_write(3, "a new session");
}

/// VRR §5.1: "Once the recovering node has all the application state as of the latest checkpoint at the node it is
/// fetching from, it can run the recovery protocol".
#[test]
fn s5_1_a_replica_that_has_lost_its_log_recovers_through_a_checkpoint() {
    for mode in [DurabilityMode::Diskless, DurabilityMode::ViewDurable] {
        let mut cluster = Cluster::unstarted(3, 1, 7);
        cluster.checkpoints.interval = INTERVAL;
        cluster.durability = mode;
        for index in 0..3 {
            cluster.restart(index);
        }
        cluster.round();
        write(&mut cluster, LONG);
        cluster.crash(2);
        cluster.restart(2);
        converges(&mut cluster);
        assert_eq!(installed(&cluster, 2).len(), 1, "{mode:?}");
        assert_eq!(cluster.core(2).state(), cluster.core(0).state());
        cluster.everything_completes();
    }
}
