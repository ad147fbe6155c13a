//! One test per sentence of the papers, named by it. "PBFT" is OSDI'99, "TOCS" the article of 2002.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use viewstorm_protocol::pbft::{
    AuthenticationMode, Batch, Checkpoint, Commit, NULL_DIGEST, PbftMessage, PrePrepare, Prepare,
    Proof, Proposal, Reply, ReplyResult, Request, SequenceNumber, Signed, TIMESTAMP_LEAD_MAX,
    ViewChange,
};
use viewstorm_protocol::{Digest, Message, NodeId, Status, ViewNumber};

use crate::cluster::{Cluster, Options, Verdict, replica};

const X: Bytes = Bytes::from_static(b"x");

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn proposal(cluster: &Cluster, by: usize, view: u64, number: u64, batch: Batch) -> PbftMessage {
    let pre_prepare = PrePrepare {
        view: ViewNumber::new(view),
        sequence_number: SequenceNumber(number),
        digest: batch.digest(),
    };
    let keys = cluster.keys(NodeId::replica(by as u16));
    PbftMessage::PrePrepare(Proposal {
        pre_prepare: keys.sign(pre_prepare).into_signed(),
        batch,
    })
}

fn prepare(cluster: &Cluster, by: usize, number: u64, digest: Digest) -> PbftMessage {
    let content = Prepare {
        view: ViewNumber::new(0),
        sequence_number: SequenceNumber(number),
        digest,
    };
    let keys = cluster.keys(NodeId::replica(by as u16));
    PbftMessage::Prepare(keys.sign(content).into_signed())
}

fn commit(cluster: &Cluster, by: usize, number: u64, digest: Digest) -> PbftMessage {
    let content = Commit {
        view: ViewNumber::new(0),
        sequence_number: SequenceNumber(number),
        digest,
    };
    let keys = cluster.keys(NodeId::replica(by as u16));
    PbftMessage::Commit(keys.sign(content).into_signed())
}

fn batch(cluster: &Cluster, operation: &str) -> Batch {
    Batch::new(vec![cluster.request(0, 1, operation)])
}

/// PBFT §4.2, the figure: a request, n-1 pre-prepares, (n-1)² prepares, n(n-1) commits, n replies: 2n²-n+1 messages.
#[test]
fn s4_2_an_operation_takes_2n_squared_minus_n_plus_1_messages() {
    for members in [4, 7, 10] {
        let mut cluster = Cluster::with(Options {
            members,
            tentative: false,
            ..Options::default()
        });
        cluster.invoke(0, X);
        for delays in 1..=5 {
            assert!(!cluster.sessions[0].is_idle(), "after {delays} delays");
            cluster.round();
        }
        assert!(cluster.sessions[0].is_idle());
        cluster.settle();
        let n = members;
        assert_eq!(cluster.count(&["Request"]), 1);
        assert_eq!(cluster.count(&["PrePrepare"]), n - 1);
        assert_eq!(cluster.count(&["Prepare"]), (n - 1) * (n - 1));
        assert_eq!(cluster.count(&["Commit"]), n * (n - 1));
        assert_eq!(cluster.count(&["Reply"]), n);
        assert_eq!(cluster.sent.values().sum::<usize>(), 2 * n * n - n + 1);
    }
}

/// TOCS §5.1.2: tentative execution "eliminates the latency of the commit phase": four delays.
#[test]
fn tocs_5_1_2_a_tentative_reply_takes_one_delay_less() {
    for members in [4, 7, 10] {
        let mut cluster = Cluster::new(members, 1);
        cluster.invoke(0, X);
        for _ in 0..4 {
            assert!(!cluster.sessions[0].is_idle());
            cluster.round();
        }
        assert!(cluster.sessions[0].is_idle());
    }
}

/// What each message costs: one signature of its sender, whoever receives it; and what a quorum does not need is never
/// checked.
#[test]
fn a_message_is_signed_once_and_checked_at_most_once() {
    for (members, prepares_needed) in [(4, 2), (7, 4), (10, 6)] {
        let mut cluster = Cluster::new(members, 1);
        cluster.invoke(0, X);
        cluster.settle();
        assert_eq!(cluster.sessions[0].uses.signed.load(Ordering::Relaxed), 1);
        for (index, node) in cluster.nodes.iter().enumerate() {
            let signed = node.uses.signed.load(Ordering::Relaxed);
            let verified = node.uses.verified.load(Ordering::Relaxed);
            assert_eq!(
                signed, 2,
                "r{index}: a pre-prepare or prepare, and a commit"
            );
            // The request; at a backup the pre-prepare, and its own prepare counts unchecked; commits of a quorum with
            // its own among them.
            let prepares = prepares_needed - usize::from(index > 0);
            let expected = 1 + usize::from(index > 0) + prepares + prepares_needed;
            assert!(
                verified <= expected,
                "r{index} checked {verified}, not {expected}"
            );
        }
    }
}

/// 64 requests in a batch cost each replica two signatures, and each request one check.
#[test]
fn tocs_5_1_4_a_batch_shares_the_protocols_cost() {
    let mut cluster = Cluster::with(Options {
        clients: 200,
        ..Options::default()
    });
    for client in 0..200 {
        cluster.invoke(client, Bytes::from(client.to_string()));
    }
    cluster.settle();
    assert!(cluster.sessions.iter().all(|session| session.is_idle()));
    let places = cluster.core(0).executed().0;
    assert!(places <= 8, "{places} batches for 200 requests");
    for node in &cluster.nodes {
        assert_eq!(node.uses.signed.load(Ordering::Relaxed) as u64, 2 * places);
        let verified = node.uses.verified.load(Ordering::Relaxed) as u64;
        assert!(verified <= 200 + places * 5, "{verified}");
    }
}

/// With authenticators nothing of the normal case is signed.
#[test]
fn tocs_5_2_authenticators_replace_signatures_but_for_checkpoints_and_view_changes() {
    let mut cluster = Cluster::with(Options {
        mode: AuthenticationMode::Authenticators,
        interval: 4,
        ..Options::default()
    });
    for _ in 0..3 {
        cluster.invoke(0, X);
        cluster.settle();
    }
    assert_eq!(cluster.sessions[0].completions.len(), 3);
    let signed = |cluster: &Cluster| -> usize {
        let uses = cluster.nodes.iter().map(|node| &node.uses.signed);
        uses.map(|signed| signed.load(Ordering::Relaxed)).sum()
    };
    assert_eq!(signed(&cluster), 0);
    cluster.invoke(0, X);
    cluster.settle();
    assert_eq!(signed(&cluster), 4, "the checkpoint after the fourth");
}

/// PBFT §4.1: "Replicas discard requests whose timestamp is lower than the timestamp in the last reply they sent to the
/// client", and "re-send the reply" for the last.
#[test]
fn s4_1_exactly_once_an_old_request_is_dropped_and_the_latest_is_answered_again() {
    let mut cluster = Cluster::new(4, 1);
    cluster.client_write(0, "one");
    cluster.client_write(0, "two");
    cluster.settle();
    let (executed, order) = (cluster.core(0).executed(), cluster.core(0).order());
    cluster.sent.clear();
    for (timestamp, operation) in [(1, "one"), (2, "two")] {
        let request = cluster.request(0, timestamp, operation);
        let from = viewstorm_protocol::Address::Client(cluster.sessions[0].id);
        for index in 0..4 {
            cluster.deliver(crate::cluster::Flight {
                from,
                to: replica(index),
                message: PbftMessage::Request(request.clone()),
            });
        }
    }
    assert_eq!(cluster.count(&["Reply"]), 4, "for the latest alone");
    cluster.settle();
    assert_eq!(
        (cluster.core(0).executed(), cluster.core(0).order()),
        (executed, order)
    );
    assert_eq!(cluster.drops("older than the client's latest"), 4);
}

/// B20: the same request in two batches, twice in one batch, and an older one after a newer, execute once.
#[test]
fn s4_1_a_request_that_is_ordered_twice_is_executed_once() {
    let mut cluster = Cluster::new(4, 1);
    cluster.faulty = vec![0];
    cluster.sessions[0].operations.push(X);
    let request = cluster.request(0, 1, "x");
    let twice = Batch::new(vec![request.clone(), request.clone()]);
    for (number, batch) in [(1, twice), (2, Batch::new(vec![request]))] {
        let message = proposal(&cluster, 0, 0, number, batch.clone());
        for index in 1..4 {
            cluster.inject(0, index, message.clone());
            cluster.inject(0, index, commit(&cluster, 0, number, batch.digest()));
        }
    }
    cluster.settle();
    for index in 1..4 {
        assert_eq!(cluster.core(index).executed(), SequenceNumber(2));
        assert_eq!(cluster.core(index).order(), 1);
    }
}

/// PBFT §4.2: "the signatures in the request and the pre-prepare message are correct and d is the digest for m".
#[test]
fn s4_2_a_pre_prepare_with_another_batch_or_a_forged_request_is_refused() {
    let mut cluster = Cluster::new(4, 1);
    let good = batch(&cluster, "x");
    let PbftMessage::PrePrepare(named) = proposal(&cluster, 0, 0, 1, good.clone()) else {
        panic!("a proposal is one");
    };
    let other = Proposal {
        batch: batch(&cluster, "y"),
        ..named.clone()
    };
    cluster.inject(0, 1, PbftMessage::PrePrepare(other));
    assert_eq!(cluster.drops("not the batch that it names"), 1);
    let request = &good.requests()[0];
    let forged = Signed::from_parts(
        request.signer(),
        request.content().clone(),
        named.pre_prepare.proof().clone(),
    );
    let forged = proposal(&cluster, 0, 0, 1, Batch::new(vec![forged]));
    cluster.inject(0, 1, forged);
    let by_another = Signed::from_parts(
        NodeId::replica(0),
        *named.pre_prepare.content(),
        Proof::Authenticator(Vec::new()),
    );
    let by_another = Proposal {
        pre_prepare: by_another,
        batch: good,
    };
    cluster.inject(0, 1, PbftMessage::PrePrepare(by_another));
    assert_eq!(cluster.drops("a signature does not hold"), 2);
    assert_eq!(cluster.count(&["Prepare"]), 0);
}

/// PBFT §4.2: "it is in view v".
#[test]
fn s4_2_a_pre_prepare_of_another_view_or_of_a_backup_is_refused() {
    let mut cluster = Cluster::new(4, 1);
    let batch = batch(&cluster, "x");
    cluster.inject(1, 2, proposal(&cluster, 1, 1, 1, batch.clone()));
    assert_eq!(cluster.drops("of another view"), 1);
    cluster.inject(1, 2, proposal(&cluster, 1, 0, 1, batch));
    assert_eq!(cluster.drops("not from the view's primary"), 1);
    assert_eq!(cluster.count(&["Prepare"]), 0);
}

/// PBFT §4.2: "it has not accepted a pre-prepare message for view v and sequence number n containing a different
/// digest".
#[test]
fn s4_2_a_second_pre_prepare_for_a_place_is_refused() {
    let mut cluster = Cluster::new(4, 1);
    let (one, other) = (batch(&cluster, "x"), batch(&cluster, "y"));
    cluster.inject(0, 1, proposal(&cluster, 0, 0, 1, one.clone()));
    cluster.inject(0, 1, proposal(&cluster, 0, 0, 1, other));
    assert_eq!(cluster.drops("another batch has this place"), 1);
    cluster.inject(0, 1, proposal(&cluster, 0, 0, 1, one));
    cluster.sync(1);
    assert_eq!(cluster.count(&["Prepare"]), 3, "one prepare to each");
}

/// PBFT §4.2: "the sequence number in the pre-prepare message is between a low water mark, h, and a high water mark, H":
/// B21.
#[test]
fn s4_2_a_pre_prepare_outside_of_the_water_marks_is_refused() {
    let mut cluster = Cluster::with(Options {
        interval: 4,
        ..Options::default()
    });
    for _ in 0..5 {
        cluster.client_write(0, "w");
    }
    cluster.settle();
    assert_eq!(cluster.core(1).low_water_mark(), SequenceNumber(4));
    assert_eq!(cluster.core(1).high_water_mark(), SequenceNumber(12));
    cluster.sent.clear();
    let batch = Batch::new(vec![cluster.request(0, 6, "x")]);
    for number in [0, 3, 4, 13, u64::MAX] {
        cluster.inject(0, 1, proposal(&cluster, 0, 0, number, batch.clone()));
        cluster.inject(2, 1, prepare(&cluster, 2, number, batch.digest()));
        cluster.inject(2, 1, commit(&cluster, 2, number, batch.digest()));
    }
    assert_eq!(cluster.drops("not between the water marks"), 10);
    cluster.inject(0, 1, proposal(&cluster, 0, 0, 12, batch));
    cluster.sync(1);
    assert_eq!(cluster.count(&["Prepare"]), 3);
}

/// PBFT §4.2: prepared "if and only if replica i has inserted in its log: the request m, a pre-prepare for m in view v
/// with sequence number n, and 2f prepares from different backups that match the pre-prepare". B1, B4, B3.
#[test]
fn s4_2_prepared_takes_2f_matching_prepares_of_different_backups() {
    let mut cluster = Cluster::new(7, 1);
    let (one, other) = (batch(&cluster, "x"), batch(&cluster, "y").digest());
    let digest = one.digest();
    cluster.inject(0, 1, proposal(&cluster, 0, 0, 1, one));
    cluster.sync(1);
    let commits = |cluster: &mut Cluster| {
        cluster.sync(1);
        cluster.count(&["Commit"])
    };
    // Its own, r2's many times, r3's for something else, and the primary's do not make four.
    for _ in 0..5 {
        cluster.inject(2, 1, prepare(&cluster, 2, 1, digest));
    }
    cluster.inject(3, 1, prepare(&cluster, 3, 1, other));
    cluster.inject(0, 1, prepare(&cluster, 0, 1, digest));
    cluster.inject(4, 1, prepare(&cluster, 4, 1, digest));
    assert_eq!(commits(&mut cluster), 0);
    // r6 signs as r5: nobody's vote.
    cluster.inject(6, 1, prepare(&cluster, 5, 1, digest));
    assert_eq!(cluster.drops("not signed by its sender"), 1);
    assert_eq!(commits(&mut cluster), 0);
    // The signature of another message.
    let PbftMessage::Prepare(wrong) = prepare(&cluster, 5, 2, digest) else {
        panic!("a prepare is one");
    };
    let content = Prepare {
        sequence_number: SequenceNumber(1),
        ..*wrong.content()
    };
    let wrong = Signed::from_parts(wrong.signer(), content, wrong.proof().clone());
    cluster.inject(5, 1, PbftMessage::Prepare(wrong));
    assert_eq!(commits(&mut cluster), 0);
    // 2f are enough, the primary's pre-prepare being the 2f+1st: sawtooth-pbft waited for one more.
    cluster.inject(5, 1, prepare(&cluster, 5, 1, digest));
    assert_eq!(commits(&mut cluster), 6);
}

/// PBFT §4.2: committed-local "if and only if prepared(m, v, n, i) is true and i has accepted 2f+1 commits (possibly
/// including its own) from different replicas that match the pre-prepare". B5.
#[test]
fn s4_2_committed_takes_a_quorum_of_matching_commits() {
    let mut cluster = Cluster::with(Options {
        tentative: false,
        ..Options::default()
    });
    cluster.faulty = vec![0];
    cluster.sessions[0].operations.push(X);
    let one = batch(&cluster, "x");
    let (digest, other) = (one.digest(), batch(&cluster, "y").digest());
    cluster.inject(0, 1, proposal(&cluster, 0, 0, 1, one));
    cluster.inject(2, 1, prepare(&cluster, 2, 1, digest));
    for _ in 0..3 {
        cluster.inject(2, 1, commit(&cluster, 2, 1, digest));
    }
    cluster.inject(0, 1, commit(&cluster, 0, 1, other));
    cluster.sync(1);
    assert_eq!(cluster.core(1).executed(), SequenceNumber::ZERO);
    cluster.inject(3, 1, commit(&cluster, 3, 1, digest));
    assert_eq!(cluster.core(1).executed(), SequenceNumber(1));
}

/// A vote that is not durable does not count, not even for its sender: B36.
#[test]
fn a_replicas_own_commit_counts_once_it_is_durable() {
    let mut cluster = Cluster::with(Options {
        tentative: false,
        ..Options::default()
    });
    cluster.sessions[0].operations.push(X);
    let one = batch(&cluster, "x");
    let digest = one.digest();
    cluster.inject(0, 1, proposal(&cluster, 0, 0, 1, one));
    assert_eq!(cluster.count(&["Prepare"]), 0, "not before it is durable");
    cluster.inject(2, 1, prepare(&cluster, 2, 1, digest));
    for from in [0, 2] {
        cluster.inject(from, 1, commit(&cluster, from, 1, digest));
    }
    assert_eq!(cluster.core(1).executed(), SequenceNumber::ZERO);
    assert_eq!(cluster.count(&["Commit"]), 0);
    cluster.sync(1);
    assert_eq!(cluster.core(1).executed(), SequenceNumber(1));
    assert_eq!(cluster.count(&["Prepare", "Commit"]), 6);
}

/// PBFT §4.2: "Each replica i executes the operation requested by m after ... i's state reflects the sequential execution
/// of all requests with lower sequence numbers."
#[test]
fn s4_2_a_later_place_waits_for_the_earlier() {
    let mut cluster = Cluster::new(4, 2);
    cluster.filter = Box::new(|flight| match flight.message.number() {
        Some(1) if flight.message.kind() == "Commit" => Verdict::Hold,
        _ => Verdict::Pass,
    });
    cluster.invoke(0, X);
    cluster.settle();
    cluster.invoke(1, Bytes::from_static(b"y"));
    cluster.settle();
    for index in 0..4 {
        assert_eq!(cluster.core(index).executed(), SequenceNumber::ZERO);
        assert_eq!(cluster.core(index).tentative(), Some(SequenceNumber(1)));
        assert_eq!(
            cluster.core(index).order(),
            1,
            "nor is it executed tentatively"
        );
    }
    cluster.heal();
    cluster.settle();
    assert_eq!(cluster.core(3).executed(), SequenceNumber(2));
}

/// PBFT §4.3: "it is periodically ... divisible by some constant"; "a replica ... collects 2f+1 checkpoints"; "discards
/// all pre-prepare, prepare, and commit messages with sequence number less than or equal to n". B13.
#[test]
fn s4_3_a_checkpoint_is_stable_with_a_quorum_and_the_log_before_it_goes() {
    let mut cluster = Cluster::with(Options {
        interval: 2,
        ..Options::default()
    });
    cluster.filter = Box::new(|flight| match flight.message {
        PbftMessage::Checkpoint(_) if flight.from != replica(1) => Verdict::Hold,
        _ => Verdict::Pass,
    });
    for _ in 0..2 {
        cluster.invoke(0, X);
        cluster.settle();
    }
    assert_eq!(cluster.core(0).executed(), SequenceNumber(2));
    // r0 has its own and r1's: f+1, and no quorum.
    assert_eq!(cluster.core(0).low_water_mark(), SequenceNumber::ZERO);
    assert_eq!(cluster.core(0).places(), 2);
    cluster.heal();
    cluster.settle();
    for index in 0..4 {
        assert_eq!(cluster.core(index).low_water_mark(), SequenceNumber(2));
        assert_eq!(cluster.core(index).places(), 0);
    }
}

/// PBFT §4.3: k and the window: a primary goes no further than H.
#[test]
fn s4_2_the_primary_stays_between_the_water_marks() {
    let mut cluster = Cluster::with(Options {
        interval: 2,
        clients: 12,
        ..Options::default()
    });
    cluster.filter = Box::new(|flight| match flight.message {
        PbftMessage::Checkpoint(_) => Verdict::Hold,
        _ => Verdict::Pass,
    });
    for client in 0..12 {
        cluster.invoke(client, X);
        cluster.settle();
    }
    assert_eq!(cluster.core(0).executed(), SequenceNumber(4));
    cluster.heal();
    cluster.settle();
    assert!(cluster.sessions.iter().all(|session| session.is_idle()));
}

/// PBFT §4.4: "If the timer of backup i expires in view v, the backup starts a view change to move the system to view
/// v+1. It stops accepting messages (other than checkpoint, view-change, and new-view messages)".
#[test]
fn s4_4_an_overdue_request_starts_a_view_change_and_its_view_is_over() {
    let mut cluster = Cluster::new(4, 1);
    cluster.isolate(0);
    cluster.invoke(0, X);
    cluster.run_for(ms(401));
    let reached = cluster.run_until(ms(200), |cluster| cluster.view_and_status(2).0 == 1);
    assert!(reached);
    cluster.run_for(ms(20));
    for index in 1..4 {
        assert_eq!(cluster.view_and_status(index), (1, Status::Normal));
    }
    assert!(cluster.core(1).is_primary());
    let late = Batch::new(vec![cluster.request(0, 1, "late")]);
    cluster.sent.clear();
    cluster.inject(0, 2, proposal(&cluster, 0, 0, 2, late));
    assert_eq!(cluster.drops("of another view"), 1);
    assert!(cluster.run_until(ms(500), |cluster| cluster.sessions[0].is_idle()));
}

/// A request has a timer of its own: a primary that serves one client and not the other is replaced (B24).
#[test]
fn a_primary_that_leaves_out_one_client_is_replaced() {
    let mut cluster = Cluster::new(4, 2);
    cluster.filter = Box::new(|flight| match &flight.message {
        PbftMessage::Request(request)
            if request.content().client.session == 1 && flight.to == replica(0) =>
        {
            Verdict::Drop
        }
        _ => Verdict::Pass,
    });
    cluster.invoke(1, X);
    let mut served = 0;
    while !cluster.sessions[1].is_idle() {
        cluster.client_write(0, "served");
        served += 1;
        assert!(served < 1000, "the other client is never served");
        cluster.run_for(ms(5));
    }
    assert!(cluster.core(1).view() > ViewNumber::new(0));
}

/// PBFT §4.5.2: "if a replica receives a set of f+1 valid view-change messages from other replicas for views greater than
/// its current view, it sends a view-change message ... even if its timer has not expired". B26.
#[test]
fn s4_5_2_f_plus_one_view_changes_are_joined_and_f_are_not() {
    let view_change = |cluster: &Cluster, by: u16, view: u64| {
        let content = ViewChange {
            view: ViewNumber::new(view),
            low_water_mark: SequenceNumber::ZERO,
            checkpoints: Vec::new(),
            prepared: Vec::new(),
            pre_prepared: Vec::new(),
        };
        PbftMessage::ViewChange(
            cluster
                .keys(NodeId::replica(by))
                .sign(content)
                .into_signed(),
        )
    };
    let mut cluster = Cluster::new(7, 1);
    for _ in 0..3 {
        cluster.inject(1, 4, view_change(&cluster, 1, 9));
        cluster.inject(2, 4, view_change(&cluster, 2, 1 << 40));
        cluster.inject(2, 4, view_change(&cluster, 2, 5));
    }
    assert_eq!(cluster.view_and_status(4), (0, Status::Normal));
    // Of the f+1 with the greatest views the smallest.
    cluster.inject(3, 4, view_change(&cluster, 3, 7));
    assert_eq!(cluster.view_and_status(4).0, 5);
    assert_eq!(cluster.drops("names an absurd view"), 3);
}

/// Nobody waits for a primary that has left its view.
#[test]
fn a_view_change_of_the_primary_is_joined_at_once() {
    let mut cluster = Cluster::new(4, 1);
    let content = ViewChange {
        view: ViewNumber::new(1),
        low_water_mark: SequenceNumber::ZERO,
        checkpoints: Vec::new(),
        prepared: Vec::new(),
        pre_prepared: Vec::new(),
    };
    let message = cluster.keys(NodeId::replica(0)).sign(content).into_signed();
    cluster.inject(0, 2, PbftMessage::ViewChange(message));
    assert_eq!(cluster.view_and_status(2), (1, Status::ViewChange));
}

/// TOCS §4.5.1: a view-change message is of a correct replica only if all in it is between its water marks, of earlier
/// views, in order. B14.
#[test]
fn tocs_4_5_1_a_view_change_that_no_correct_replica_sends_is_refused() {
    use viewstorm_protocol::pbft::ViewEntry;
    let entry = |number, view| ViewEntry {
        sequence_number: SequenceNumber(number),
        digest: Digest::of(b"x"),
        view: ViewNumber::new(view),
    };
    let checkpoint = |number| Checkpoint {
        sequence_number: SequenceNumber(number),
        digest: Digest::of(b"x"),
    };
    let good = ViewChange {
        view: ViewNumber::new(3),
        low_water_mark: SequenceNumber(64),
        checkpoints: vec![checkpoint(64), checkpoint(128)],
        prepared: vec![entry(65, 2), entry(192, 0)],
        pre_prepared: vec![entry(65, 2)],
    };
    type Spoil<'a> = Box<dyn Fn(&mut ViewChange) + 'a>;
    let spoils: Vec<Spoil<'_>> = vec![
        Box::new(|m| m.prepared[0].view = ViewNumber::new(3)),
        Box::new(|m| m.prepared[0].sequence_number = SequenceNumber(64)),
        Box::new(|m| m.prepared[1].sequence_number = SequenceNumber(193)),
        Box::new(|m| m.prepared.reverse()),
        Box::new(|m| m.prepared.push(m.prepared[1])),
        Box::new(|m| m.pre_prepared.push(m.pre_prepared[0])),
        Box::new(|m| m.pre_prepared[0].view = ViewNumber::new(u64::MAX)),
        Box::new(|m| m.checkpoints.push(checkpoint(256))),
        Box::new(|m| m.checkpoints[0] = checkpoint(0)),
        Box::new(|m| m.checkpoints[1] = checkpoint(100)),
        Box::new(|m| m.low_water_mark = SequenceNumber(u64::MAX)),
        Box::new(|m| {
            let more = (0..4).map(|i| ViewEntry {
                digest: Digest::of(&[i]),
                ..entry(66, 1)
            });
            m.pre_prepared.extend(more);
            m.pre_prepared
                .sort_by_key(|e| (e.sequence_number, e.digest));
        }),
    ];
    let mut cluster = Cluster::new(4, 1);
    let keys = cluster.keys(NodeId::replica(1));
    let count = spoils.len();
    for spoil in spoils {
        let mut bad = good.clone();
        spoil(&mut bad);
        cluster.inject(1, 2, PbftMessage::ViewChange(keys.sign(bad).into_signed()));
    }
    assert_eq!(cluster.drops("malformed"), count);
    cluster.inject(1, 2, PbftMessage::ViewChange(keys.sign(good).into_signed()));
    assert_eq!(cluster.drops("malformed"), count);
}

/// PBFT §4.5.2: "if the timer expires before it receives a valid new-view message ... it starts the view change for view
/// v+2, but this time it will wait 2T". B28.
#[test]
fn s4_5_2_each_view_that_does_not_start_is_waited_for_twice_as_long() {
    let mut cluster = Cluster::new(4, 1);
    cluster.filter = Box::new(|flight| match flight.message {
        PbftMessage::NewView(_) => Verdict::Drop,
        PbftMessage::PrePrepare(_) => Verdict::Drop,
        _ => Verdict::Pass,
    });
    cluster.invoke(0, X);
    let mut times = Vec::new();
    for view in 1..=5 {
        let reached = cluster.run_until(Duration::from_secs(60), |cluster| {
            (0..4).all(|index| cluster.core(index).view().number >= view)
        });
        assert!(reached);
        times.push(cluster.now.as_nanos() / 1_000_000);
    }
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for pair in gaps.windows(2) {
        assert!(
            pair[1] >= pair[0] * 18 / 10 && pair[1] <= pair[0] * 22 / 10,
            "{gaps:?}"
        );
    }
    cluster.heal();
    cluster.everything_completes();
}

/// PBFT §4.1: "The client waits for f+1 replies with valid signatures from different replicas, and with the same t and r,
/// before accepting the result." B33.
#[test]
fn s4_1_a_client_accepts_f_plus_one_equal_replies_and_a_quorum_of_tentative_ones() {
    let reply = |view, tentative, result: &'static [u8]| {
        PbftMessage::Reply(Reply {
            view: ViewNumber::new(view),
            timestamp: 1,
            tentative,
            order: 1,
            result: ReplyResult::Full(Bytes::from_static(result)),
        })
    };
    // For each case: who says what, and after how many the client is sure.
    type Said = (usize, u64, bool, &'static [u8]);
    let cases: [(&[Said], Option<usize>); 7] = [
        (&[(0, 0, false, b"a"), (1, 0, false, b"a")], Some(2)),
        (
            &[
                (0, 0, false, b"a"),
                (0, 0, false, b"a"),
                (0, 1, false, b"a"),
            ],
            None,
        ),
        (
            &[
                (0, 0, false, b"a"),
                (1, 0, false, b"b"),
                (2, 0, false, b"b"),
            ],
            Some(3),
        ),
        (
            &[(0, 0, true, b"a"), (1, 0, true, b"a"), (2, 0, true, b"a")],
            Some(3),
        ),
        (
            &[(0, 0, true, b"a"), (1, 1, true, b"a"), (2, 2, true, b"a")],
            None,
        ),
        (
            &[(0, 0, true, b"a"), (1, 0, true, b"a"), (2, 0, false, b"a")],
            Some(3),
        ),
        (
            &[(0, 0, true, b"a"), (1, 0, false, b"a"), (9, 0, false, b"a")],
            None,
        ),
    ];
    for (said, sure) in cases {
        let mut cluster = Cluster::new(4, 1);
        cluster.filter = Box::new(|_| Verdict::Drop);
        cluster.invoke(0, X);
        let client = viewstorm_protocol::Address::Client(cluster.sessions[0].id);
        for (place, (from, view, tentative, result)) in (1..).zip(said.iter().copied()) {
            cluster.deliver(crate::cluster::Flight {
                from: replica(from),
                to: client,
                message: reply(view, tentative, result),
            });
            let expected = sure.is_some_and(|sure| place >= sure);
            assert_eq!(
                cluster.sessions[0].is_idle(),
                expected,
                "{said:?} after {place}"
            );
        }
    }
}

/// TOCS §5.1.1: a digest reply counts, and the result must come from somebody.
#[test]
fn tocs_5_1_1_one_replica_sends_the_result_and_the_others_its_digest() {
    let mut cluster = Cluster::new(4, 1);
    let long: &'static str =
        "a long value: ..............................................................";
    cluster.client_write(0, long);
    let full = std::rc::Rc::new(std::cell::Cell::new(0));
    let seen = std::rc::Rc::clone(&full);
    cluster.filter = Box::new(move |flight| match &flight.message {
        PbftMessage::Reply(reply) if matches!(reply.result, ReplyResult::Full(_)) => {
            seen.set(seen.get() + 1);
            Verdict::Drop
        }
        _ => Verdict::Pass,
    });
    cluster.invoke(0, X);
    cluster.settle();
    assert_eq!(full.get(), 1);
    assert!(
        !cluster.sessions[0].is_idle(),
        "three digests are no result"
    );
    cluster.heal();
    // The client asks everybody, and everybody sends all of it.
    assert!(cluster.run_until(ms(300), |cluster| cluster.sessions[0].is_idle()));
    assert_eq!(cluster.sessions[0].completions[1].result, long);
}

/// A faulty client: a timestamp at the end of time, another's name, a forged signature: nobody changes views for it.
#[test]
fn a_faulty_client_changes_no_view() {
    let mut cluster = Cluster::new(4, 2);
    let from = viewstorm_protocol::Address::Client(cluster.sessions[0].id);
    let far = cluster.request(0, TIMESTAMP_LEAD_MAX + 1, "x");
    let other = cluster.request(1, 1, "x");
    let content = Request {
        operation: X,
        ..cluster.request(0, 1, "y").content().clone()
    };
    let forged = Signed::from_parts(far.signer(), content, far.proof().clone());
    for request in [far, other, forged] {
        for index in 0..4 {
            cluster.deliver(crate::cluster::Flight {
                from,
                to: replica(index),
                message: PbftMessage::Request(request.clone()),
            });
        }
    }
    cluster.run_for(Duration::from_secs(3));
    assert_eq!(cluster.drops("its timestamp leaps too far ahead"), 4);
    assert_eq!(cluster.drops("of another client"), 4);
    assert_eq!(cluster.drops("its proof does not hold"), 4);
    for index in 0..4 {
        assert_eq!(cluster.view_and_status(index), (0, Status::Normal));
        assert_eq!(cluster.core(index).executed(), SequenceNumber::ZERO);
    }
}

/// TOCS §5.2, the hole of authenticators: a request that one backup cannot check is believed once f+1 prepares say that a
/// correct replica could.
#[test]
fn tocs_5_2_a_request_that_cannot_be_checked_here_is_believed_with_f_plus_one_prepares() {
    let mut cluster = Cluster::with(Options {
        mode: AuthenticationMode::Authenticators,
        ..Options::default()
    });
    cluster.sessions[0].operations.push(X);
    let good = cluster.request(0, 1, "x");
    let Proof::Authenticator(mut tags) = good.proof().clone() else {
        panic!("tags are asked for");
    };
    tags[3].0[0] ^= 1;
    let proof = Proof::Authenticator(tags);
    let request = Signed::from_parts(good.signer(), good.content().clone(), proof);
    let from = viewstorm_protocol::Address::Client(cluster.sessions[0].id);
    cluster.deliver(crate::cluster::Flight {
        from,
        to: replica(0),
        message: PbftMessage::Request(request),
    });
    cluster.settle();
    assert_eq!(
        cluster.drops("held: a request's authenticator does not hold here"),
        1
    );
    for index in 0..4 {
        assert_eq!(
            cluster.core(index).executed(),
            SequenceNumber(1),
            "r{index}"
        );
    }
}

/// PBFT §4.4: a null request executes as nothing.
#[test]
fn s4_4_a_place_that_nobody_prepared_becomes_a_null_request() {
    let mut cluster = Cluster::new(4, 2);
    // In view 0 place 1 is prepared nowhere; place 2 everywhere, and committed nowhere.
    cluster.filter = Box::new(|flight| {
        let view = flight.message.view().unwrap_or_default();
        match (&flight.message, flight.message.number()) {
            _ if view > ViewNumber::new(0) => Verdict::Pass,
            (PbftMessage::Prepare(_), Some(1)) | (PbftMessage::Commit(_), _) => Verdict::Drop,
            _ => Verdict::Pass,
        }
    });
    cluster.invoke(0, X);
    cluster.settle();
    cluster.invoke(1, Bytes::from_static(b"y"));
    cluster.settle();
    cluster.crash(0);
    let reached = cluster.run_until(Duration::from_secs(5), |cluster| {
        let idle = cluster.sessions.iter().all(|session| session.is_idle());
        idle && cluster.core(2).executed() >= SequenceNumber(3)
    });
    assert!(reached);
    let core = cluster.core(2);
    assert_eq!(core.order(), 2);
    // The second client's was prepared and keeps its place; the first's comes after it.
    assert_eq!(cluster.sessions[1].completions[0].order, 1);
    assert_eq!(cluster.sessions[0].completions[0].order, 2);
    assert_eq!(NULL_DIGEST, Batch::null().digest());
}
